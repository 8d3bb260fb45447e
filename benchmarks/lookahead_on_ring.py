"""How much could a controller of D's learning rate hope for? Look-ahead against the best constant multiplier.

    python benchmarks/lookahead_on_ring.py       # three base rates, about five minutes each on one core

For each base rate of both players the best of five constant multipliers is chosen by its distance to *validation* data
on seeds of the split "tune". Look-ahead chooses among the same five every `horizon` updates, by the same distance. Both
are scored on 8 seeds of the split "evaluate", on test data; differences are paired by seed, with 95 % t intervals.
Rows and table go to benchmarks/results/.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from at_rates import at_rates, command_line

from agents import compare, make_controller
from agents.comparison.seeds import split_seeds
from agents.report.statistics import mean_interval
from agents.report.text import by_controller, paired_difference, scores
from agents.rules.lookahead import CANDIDATES
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.random.streams import Purpose
from gan_env.types import Control


def validation_distances(config: EnvConfig, seeds: list[int]) -> np.ndarray:
    """Distance to validation data at the end, (candidates, seeds)."""
    k, n = len(CANDIDATES), len(seeds)
    trainer = make_trainer(config, k * n)
    trainer.reset(np.tile(seeds, k), np.zeros(k * n, np.int64))
    multipliers = torch.tensor(CANDIDATES, dtype=torch.float64).repeat_interleave(n)
    trainer.advance(Control.of(k * n, d_multiplier=multipliers), trainer.episode_updates)
    quality = trainer.task.quality
    found = quality(trainer.samples(quality.samples, Purpose.QUALITY)).cpu().numpy()
    return found.reshape(k, n)


def run(rate: float, updates: int, horizon: int, seeds: int) -> tuple[list[dict[str, Any]], str]:
    """Rows at one base rate, and what is to be said about them."""
    config = EnvConfig(task="ring", d_lr=rate, g_lr=rate, episode_updates=updates)
    tuned = validation_distances(config, split_seeds("tune", seeds))
    best = f"constant:{CANDIDATES[int(tuned.mean(1).argmin())]:.4g}"
    controllers = {"lookahead": make_controller("lookahead", horizon=horizon)}
    controllers |= {name: make_controller(name) for name in (best, "constant:1")}
    rows = compare(config, controllers, seeds=seeds).rows
    pairs = ", ".join(f"×{c:.3g} {q:.3f}" for c, q in zip(CANDIDATES, tuned.mean(1), strict=True))
    lines = [
        f"base rate {rate:g}, {updates} updates, look-ahead of {horizon}, {seeds} seeds; "
        f"score: {rows[0]['score_name']}, lower is better, floor {rows[0]['floor']:.3f}",
        f"mean validation distance of constants on tune seeds: {pairs}; chosen: {best}",
        f"{'controller':<16}{'median':>9}  {'score, mean [95 %]':<30}{'lookahead minus it':<30}{'failed':>7}",
    ]
    for name, group in by_controller(rows).items():
        found = scores(group)
        difference = paired_difference(rows, "lookahead", name, "score") if name != "lookahead" else []
        lines.append(
            f"{name:<16}{np.median(found) if len(found) else np.nan:>9.3f}  "
            f"{str(mean_interval(found)) if len(found) else 'failed':<30}"
            f"{str(mean_interval(difference)) if len(difference) else '':<30}{len(group) - len(found):>7}"
        )
    return rows, "\n".join(lines) + "\nlookahead: head-room, not ranked"


def main() -> None:
    """Command line."""
    parser = command_line(__doc__, "lookahead_on_ring")
    parser.add_argument("--horizon", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=8)
    given = parser.parse_args()
    at_rates(given, lambda rate: run(rate, given.updates, given.horizon, given.seeds))


if __name__ == "__main__":
    main()
