"""Does meta-trained FSCO earn more of its own reward than plain training and random rates, and what does quality say?

    python benchmarks/fsco_on_ring.py        # three base rates, ten minutes or so each on one core

For each base rate of both players a DDPG agent is trained on short `ring` runs (seeds of the split "train-agent") with
FSCO's reward −|L_G − L_D|, frozen, and judged on 16 seeds of the split "evaluate" beside its own untrained actor and
scripted controllers. Differences are paired by seed, with 95 % t intervals. Rows and table go to benchmarks/results/.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from at_rates import at_rates, command_line

from agents.comparison.contestants import Contestant
from agents.report.statistics import mean_interval, spearman
from agents.report.text import by_controller, paired_difference, scores
from agents.training.main_job import META, UNTRAINED, TrainConfig, evaluate, train_meta
from gan_env.envs.config import EnvConfig

RIVALS = ("constant:1", "random", "constant:10", "frozen-d")


def run(rate: float, updates: int, decisions: int, seeds: int) -> list[dict[str, Any]]:
    """Rows of every controller at one base rate."""
    config = TrainConfig(
        env=EnvConfig(task="ring", d_lr=rate, g_lr=rate, updates_per_step=10, episode_updates=updates),
        decisions=decisions,
        evaluate_seeds=seeds,
        controllers=RIVALS,
        progress=sys.stderr.isatty(),
    )
    start = time.perf_counter()
    trained, untrained = train_meta(config)
    train_s = time.perf_counter() - start
    result = evaluate(config, [Contestant(META, trained), Contestant(UNTRAINED, untrained)])
    for row in result.rows:  # the mean multiplier stands for the trace, which would fill the file
        row["d_rate"] = float(np.exp(np.mean(row.pop("trace")["log_d_multiplier"])))
        row["train_s"] = train_s
    return result.rows


def table(rate: float, rows: list[dict[str, Any]]) -> str:
    """Return and score of each controller, and what FSCO gains over it, seed by seed."""
    lines = [
        f"base rate {rate:g}, {rows[0]['updates']} updates, {len({r['seed'] for r in rows})} evaluate seeds, agent "
        f"trained in {rows[0]['train_s']:.0f} s; score: {rows[0]['score_name']}, lower is better, "
        f"floor {rows[0]['floor']:.3f}",
        f"{'controller':<18}{'return':>9}{'fsco minus it, return':>32}{'median score':>14}"
        f"{'fsco better on':>16}{'failed':>8}{'D rate':>8}",
    ]
    for name, group in by_controller(rows).items():
        gain = wins = ""
        if name != META:
            gain = str(mean_interval(paired_difference(rows, META, name, "return")))
            better = paired_difference(rows, META, name, "score") < 0
            wins = f"{better.sum()} of {len(better)}"
        found = scores(group)
        earned = sum(row["return"] for row in group) / len(group)
        median = np.median(found) if len(found) else np.nan  # a generator that runs away can score in the thousands
        failed = len(group) - len(found)
        multiplier = np.exp(np.mean([np.log(row["d_rate"]) for row in group]))
        lines.append(f"{name:<18}{earned:>9.2f}{gain:>32}{median:>14.3f}{wins:>16}{failed:>8}{multiplier:>8.2f}")
    ok = [row for row in rows if row["status"] == "ok"]
    rank = spearman([row["return"] for row in ok], [-row["score"] for row in ok])
    lines.append(f"Spearman(return, -score) over {len(ok)} runs: {rank:+.2f}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = command_line(__doc__, "fsco_on_ring")
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=16)
    given = parser.parse_args()

    def run_and_tell(rate: float) -> tuple[list[dict[str, Any]], str]:
        rows = run(rate, given.updates, given.decisions, given.seeds)
        return rows, table(rate, rows)

    at_rates(given, run_and_tell)


if __name__ == "__main__":
    main()
