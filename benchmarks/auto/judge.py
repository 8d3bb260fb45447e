"""Judges policies on the held-out games of PROTOCOL.md: runs the rows, or prints the figures that they give.

python benchmarks/auto/judge.py ranks
python benchmarks/auto/judge.py ranks --policies feedback-1,schedule-1 --folder policies
python benchmarks/auto/judge.py ranks --policies schedule-gradient-1,no-steps-gradient-1 --folder gradient
python benchmarks/auto/judge.py ranks --policies auto --folder auto-2
python benchmarks/auto/judge.py trials
python benchmarks/auto/judge.py figures --policies auto,no-steps-gradient-1,feedback-1,schedule-1

All but the last can be started twice on one folder to use two cores; what is finished stays. The last prints what is
kept as benchmarks/results/auto/figures.md.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, wilcoxon
from sklearn.datasets import load_breast_cancer

from agents.benchmark import suites
from agents.benchmark.bench_config import Part
from agents.benchmark.command import bench
from agents.benchmark.folder import open_folder
from agents.comparison.rows import Row
from agents.report.budget import expected_scores
from gan_env import EnvConfig, Task, make_task
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.tasks.task import TASKS

RESULTS = Path("benchmarks/results/auto")
OPPONENTS = (
    *("sim-gda", "alt-gda-5", "best-constant", "best-schedule", "ttur-decay", "dyn-gda", "gap-aware", "gcann"),
    *("linear-decay", "ttur", "d-accuracy-gate", "loss-rate-balance"),
)
GAME = EnvConfig(updates_per_step=10, optimizer="adam")
RANKED = {
    "ranks": "",
    "policies": "",
    "gradient": "",
    "auto": "auto, first version",
    "auto-2": "",
}
"""Folders of rows that are ranked together: of opponents, of both versions' searches, of what shipped and what ships;
and what the contestant of a folder is called, if it is not by its own name."""
TRIALS, TRIAL_SEEDS = 40, 4
WORST = 5.0
"""Logarithm of the score of a run that failed."""


def ring_wide() -> Task:
    """Returns `ring` with networks of five layers of 64."""
    ring = make_task("ring")
    return Task(
        name="ring-5x64",
        kind="plane",
        generator=partial(mlp_generator, (10, *(64,) * 5, 2), (2,)),
        discriminator=partial(mlp_discriminator, (2, *(64,) * 5, 1), (2,)),
        latent_size=10,
        data=ring.data,
        quality=ring.quality,
        score=ring.score,
        batch_size=128,
    )


def breast_cancer() -> Task:
    """Returns a table of 569 rows and 30 standardised columns, which scikit-learn ships."""
    table: np.ndarray = load_breast_cancer(return_X_y=True)[0]  # pyright: ignore[reportAssignmentType]
    return Task(
        name="breast-cancer",
        generator=partial(mlp_generator, (16, 64, 64, 30), (30,)),
        discriminator=partial(mlp_discriminator, (30, 64, 64, 1), (30,)),
        latent_size=16,
        data=((table - table.mean(0)) / table.std(0)).astype(np.float32),
        batch_size=128,
    )


TASKS.add("ring-5x64", ring_wide)
TASKS.add("breast-cancer", breast_cancer)
_PART = Part(controllers=OPPONENTS, d_lr=(2e-4,), g_lr="same", updates=5_000, seeds=10, game=GAME)


def held_out(**settings: object) -> tuple[Part, ...]:
    """Returns the 13 held-out games, with other controllers or seeds if they are given."""

    def part(name: str, **more: object) -> Part:
        fields = {field: getattr(_PART, field) for field in _PART.__dataclass_fields__}
        return Part(**{**fields, **settings, "name": name, **more})

    return (
        part("data", tasks=("ring", "circle", "spiral", "line", "grid")),
        part("js-reg", losses=("js-reg",)),
        part("sn", tasks=("circle",), losses=("sn",)),
        part("wgan-gp", tasks=("spiral",), losses=("wgan-gp",)),
        part("wide", tasks=("ring-5x64",)),
        part("long", updates=10_000),
        part("rates", d_lr=(3e-6, 3e-2)),
        part("table", tasks=("breast-cancer",)),
    )


def trials() -> tuple[str, ...]:
    """Draws the random trials of a search over rates: absolute rates of both players, and a decay."""
    rng = np.random.default_rng(22)
    found = []
    for _ in range(TRIALS):
        d, g = 10 ** rng.uniform(-5, -1, 2)
        shape = rng.choice(["constant", "linear", "cosine"])
        found.append(f"ttur-decay(d_lr={d:.4g}, g_lr={g:.4g}, shape='{shape}')")
    return tuple(found)


suites.SUITES.add("auto-ranks", held_out())
suites.SUITES.add("auto-trials", held_out(controllers=trials(), seeds=TRIAL_SEEDS))


def policy(name: str) -> str:
    """Returns the file of a search's policy, or the name of a controller as it is."""
    file = RESULTS / name / "policy.safetensors"
    return str(file) if file.is_file() else name


def _short(name: str) -> str:
    """Returns the name of a search for the file of its policy, other names as they are."""
    return Path(name).parent.name if name.endswith(".safetensors") else name


def game_of(row: Row) -> str:
    """Names the game of a row."""
    return f"{row['part']}: {row['task']} {row['loss']} {row['d_lr']:g} {row['updates']}"


def table_of(folder: Path, score: str = "score") -> dict[str, dict[str, np.ndarray]]:
    """Reads scores by game and controller, in order of seeds; infinite where a run failed."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row in open_folder(folder, None, trust=True).all_rows():
        if row["split"] == "evaluate":
            value = row[score] if row["status"] == "ok" else np.inf
            found.setdefault(game_of(row), {}).setdefault(row["controller"], {})[row["seed"]] = value
    return {
        game: {name: np.array([runs[seed] for seed in sorted(runs)]) for name, runs in who.items()}
        for game, who in found.items()
    }


def budget_of(scores: np.ndarray, chosen_by: np.ndarray, mine: np.ndarray) -> float:
    """Returns the least k at which the best of k random trials beats one run of `mine`; infinite if none does.

    Args:
        scores: Of the trials on test data, (trials, seeds); infinite where a run failed.
        chosen_by: Their validation distances, likewise.
        mine: Test scores of the policy on the same seeds.
    """
    expected = expected_scores(chosen_by.mean(1), np.minimum(np.log(scores), WORST).mean(1))
    beaten = np.flatnonzero(expected < np.minimum(np.log(mine), WORST).mean())
    return float(beaten[0] + 1) if len(beaten) else float("inf")


def figures(names: list[str]) -> None:
    """Prints figures 1 and 2 of the protocol for each policy."""
    ranks: dict[str, dict[str, np.ndarray]] = {}
    for folder, called in RANKED.items():
        for game, who in table_of(RESULTS / folder).items():
            ranks.setdefault(game, {}).update({called or _short(name): scores for name, scores in who.items()})
    games, first = list(ranks), next(iter(ranks.values()))
    controllers = [name for name in first if all(name in who for who in ranks.values())]
    mean_rank = {name: [] for name in controllers}
    for who in ranks.values():
        placed = np.mean([rankdata(column) for column in np.array([who[name] for name in controllers]).T], 0)
        for name, place in zip(controllers, placed, strict=True):
            mean_rank[name].append(place)
    median = {name: np.array([np.log(np.median(ranks[game][name])) for game in games]) for name in controllers}
    failures = {name: int(sum(np.isinf(ranks[game][name]).sum() for game in games)) for name in controllers}
    print(f"{len(games)} games, {len(controllers)} contestants, 10 seeds; Friedman p = "
          f"{friedmanchisquare(*[mean_rank[name] for name in controllers])[1]:.1e}\n")  # fmt: skip
    print("| contestant | mean rank | median log score | failed |\n|---|---|---|---|")
    for name in sorted(controllers, key=lambda name: np.mean(mean_rank[name])):
        print(f"| {name} | {np.mean(mean_rank[name]):.2f} | {np.median(median[name]):.3f} | {failures[name]} |")
    print("\n| game | " + " | ".join(controllers) + " |\n|" + "---|" * (len(controllers) + 1))
    for game in games:
        print(f"| {game} | " + " | ".join(f"{np.median(ranks[game][name]):.3g}" for name in controllers) + " |")
    for mine in names:
        others = [name for name in controllers if name in OPPONENTS]
        tests = {o: float(np.asarray(wilcoxon(median[mine], median[o], alternative="less"))[1]) for o in others}
        print(f"\n{mine} against each other, one-sided Wilcoxon over games, Holm:")
        worst = 0.0
        for at, (name, p) in enumerate(sorted(tests.items(), key=lambda item: item[1])):
            worst = max(worst, min(1.0, p * (len(tests) - at)))
            ratio = np.exp(np.median(median[mine] - median[name]))
            print(f"  {name}: median score ratio {ratio:.3f}, p = {worst:.4f}")
        if (RESULTS / "trials").is_dir():
            tried, chosen = table_of(RESULTS / "trials"), table_of(RESULTS / "trials", "quality")
            print("  tuning budget, trials by game:")
            found = []
            for game, who in tried.items():
                scores, validation = (np.array([t[game][n] for n in who]) for t in (tried, chosen))
                found.append(budget_of(scores, validation, ranks[game][mine][:TRIAL_SEEDS]))
                print(f"    {game}: {found[-1]:g}")
            print(f"    median {np.median(found):g}, least {min(found):g}")


def main() -> int:
    """Runs or prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["ranks", "trials", "figures"])
    parser.add_argument("--policies", default="", help="folders of searches, or names of controllers, with commas")
    parser.add_argument("--folder", default="", help="of the rows; by default `ranks` or `trials`")
    asked = parser.parse_args()
    names = [name for name in asked.policies.split(",") if name]
    if asked.what == "figures":
        figures(names)
        return 0
    mine = ["--controllers", ",".join(policy(name) for name in names)] if names else []
    out = str(RESULTS / (asked.folder or asked.what))
    return bench(["--suite", f"auto-{asked.what}", *mine, "--skip-undefined", "--trust", "--out", out], "")


if __name__ == "__main__":
    sys.exit(main())
