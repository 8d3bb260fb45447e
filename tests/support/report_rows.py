"""Rows as the benchmark writes them, with planted scores, for tests of what reads them."""

import json

CONTROLLERS = {"sim-gda": 1.0, "constant:3": 0.8, "dyn-gda": 0.5, "alt-gda-1": 1.5}
"""Score of each controller on the first seed."""


def row(controller="sim-gda", seed=0, score=1.0, **changes):
    """One row; a score of None is a run that diverged."""
    points = list(range(10, 101, 10))
    return {
        "task": "ring", "loss": "bce", "d_lr": 2e-3, "g_lr": 2e-3, "optimizer": {"name": "adam"}, "batch_size": 64,
        "order": "simultaneous", "updates": 100, "updates_per_step": 10, "d_loss_scale": "mean", "reward": "loss_gap",
        "normalise": False, "dtype": "float32", "split": "evaluate", "score_name": "w1", "floor": 0.02,
        "device": "cpu", "threads": 1, "group": "aa", "versions": {"torch": "2.13.0"}, "controller": controller,
        "seed": 3_000_000 + seed, "status": "diverged" if score is None else "ok",
        "failure": "a loss is not finite" if score is None else None, "ended": 40 if score is None else 100,
        "score": score, "details": {}, "return": -float(seed) - (score or 9.0), "return_name": "loss_gap",
        "d_updates": 100, "g_updates": 100, "wall_s": 0.5, "control_s": 0.01, "key": f"{controller} {seed}",
        "trace": {"update": points, "g_loss": [0.7] * 10, "d_loss": [0.6] * 10, "log_d_multiplier": [0.1] * 10,
                  "v1_share": [0.0] * 10},
        **changes,
    }  # fmt: skip


def rows(controllers=None, seeds=10, **changes):
    """Rows of every controller and seed: a controller's score grows by a hundredth, unevenly, with the seed."""
    return [
        row(name, seed, score=level + 0.01 * ((7 * seed + 3 * i) % 11), **changes)
        for i, (name, level) in enumerate((controllers or CONTROLLERS).items())
        for seed in range(seeds)
    ]


def write(folder, rows, config=None):
    """`rows.jsonl` and `config.json` in a folder, which is given back."""
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder
