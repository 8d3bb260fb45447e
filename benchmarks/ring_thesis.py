"""The shape of the thesis' result on `ring`: Sim, Alt-1, Alt-5 and Dynamic-GDA, bce, 30,000 updates, paired seeds.

    python benchmarks/ring_thesis.py --out benchmarks/results/ring-thesis

Run at Adam β₁ = 0.5 and 0.9, since the thesis names none and the order of the controllers depends on it. Writes
`rows.jsonl.gz` and prints every score, each controller's share of generator updates, and the paired differences.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch

from agents import compare
from agents.report.statistics import mean_interval
from agents.report.text import by_controller, paired_difference
from gan_env.envs.config import EnvConfig

CONTROLLERS = ("sim-gda", "alt-gda-1", "alt-gda-5", "dyn-gda")


def table(rows: list[dict]) -> str:
    lines = [f"{'':<11}{'mean W1 [95 % t]':<26}{'minus sim-gda, paired':<28}{'G share':>8}  W1 of each seed"]
    for name, group in by_controller(rows).items():
        score = [row["score"] for row in group]
        share = np.mean([row["g_updates"] / (row["g_updates"] + row["d_updates"]) for row in group])
        difference = "" if name == "sim-gda" else str(mean_interval(paired_difference(rows, name, "sim-gda", "score")))
        each = " ".join("fail" if s is None else f"{s:.3f}" for s in score)
        found = mean_interval([s for s in score if s is not None])
        lines.append(f"{name:<11}{found!s:<26}{difference:<28}{share:>8.3f}  {each}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=30_000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/ring-thesis"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    texts = []
    with gzip.open(given.out / "rows.jsonl.gz", "wt") as file:
        for beta in (0.5, 0.9):
            config = EnvConfig(
                task="ring", episode_updates=given.updates, optimizer={"name": "adam", "betas": (beta, 0.999)}
            )
            result = compare(config, CONTROLLERS, seeds=given.seeds)
            file.writelines(json.dumps(row) + "\n" for row in result.rows)
            texts.append(
                f"ring, bce, Adam beta1 = {beta}, rate 2e-4, {given.updates} updates, {given.seeds} seeds; "
                f"exact W1 to test data, floor {result.rows[0]['floor']:.4f}; "
                f"{sum(r['wall_s'] for r in result.rows):.0f} s\n{table(result.rows)}"
            )
            print(texts[-1], flush=True)
    (given.out / "table.txt").write_text("\n\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
