"""How often nominal 95 % intervals hold the truth at n = 10 runs, by simulation.

    python benchmarks/coverage.py > benchmarks/results/coverage.txt

`agents.report.statistics.COVERAGE` and the report print these figures beside each kind of interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats as scipy_stats

from agents.report import statistics as stats
from agents.report.rank_tests import block_ranks

N = 10
REPEATS = 10_000
PART = 250
"""Data sets at a time: bounds the memory of the bootstrap."""
SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"normal": lambda z: z, "lognormal": np.exp}
EFFECT = 0.5
"""How much the second controller's runs are shifted, in standard deviations before the shape."""
SHARED = 0.5
"""Correlation of two controllers' runs on one seed, before the shape."""
RATES = np.array([1e-4, 1e-3, 1e-2])
SHARE = 0.7
"""Share of runs below the profile's threshold; the others count as failed."""
RIVALS = 4
"""Controllers in the ranking that is simulated, each shifted by EFFECT from the one before."""

Simulated = tuple[stats.Bounds, np.ndarray | float]
"""Intervals of many data sets, and the truth."""


def draw(rng: np.random.Generator, repeats: int, controllers: int) -> np.ndarray:
    """Standard normal runs (repeats, controllers, N), correlated between controllers seed by seed."""
    common, own = rng.standard_normal((repeats, 1, N)), rng.standard_normal((repeats, controllers, N))
    return np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own


def truths(shape: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray | float]:
    """What the intervals should hold, from the distribution itself where it has a formula, else from many draws."""
    rng = np.random.default_rng(1)
    wide = rng.standard_normal((400_000, RIVALS)) * np.sqrt(1 - SHARED)
    wide += np.sqrt(SHARED) * rng.standard_normal((400_000, 1))
    fine = scipy_stats.norm.ppf((np.arange(2_000_000) + 0.5) / 2_000_000)
    return {
        "mean": float(shape(fine).mean()),
        "shifted mean": float(shape(fine + EFFECT).mean()),
        "median": float(shape(np.zeros(1))[0]),
        "iqm": _expected_iqm(shape, rng),
        "improvement": float(scipy_stats.norm.cdf(EFFECT / np.sqrt(2))),
        "ranks": block_ranks(wide + EFFECT * np.arange(RIVALS)).mean(0),
    }


def _expected_iqm(shape: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> float:
    """Of N runs: their lowest and highest two are left out, which is a little less than a quarter."""
    return float(np.mean([stats.iqm(shape(rng.standard_normal((20_000, N)))).mean() for _ in range(50)]))


def intervals(z: np.ndarray, shape: Callable[[np.ndarray], np.ndarray], true: dict) -> Iterator[tuple[str, Simulated]]:
    """Every kind of interval on data sets z (repeats, RIVALS, N), with the truth it should hold."""
    first, second = shape(z[:, 0]), shape(z[:, 1] + EFFECT)
    gap = true["shifted mean"] - true["mean"]
    yield "t", (stats.t_bounds(first), true["mean"])
    yield "t of paired differences", (stats.t_bounds(second - first), gap)
    yield "bootstrap-t", (stats.bootstrap_t_bounds(first), true["mean"])
    yield "bootstrap-t of paired differences", (stats.bootstrap_t_bounds(second - first), gap)
    yield "percentile bootstrap, mean", (stats.bootstrap_bounds(stats.mean, first), true["mean"])
    yield "percentile bootstrap, median", (stats.bootstrap_bounds(stats.median, first), true["median"])
    yield "percentile bootstrap, IQM", (stats.bootstrap_bounds(stats.iqm, first), true["iqm"])
    yield "bootstrap, probability of improvement", (stats.improvement_bounds((first, second)), true["improvement"])
    threshold = shape(scipy_stats.norm.ppf([SHARE]))
    profile = stats.profile_bounds(threshold, first)
    yield "bootstrap, profile", (stats.Bounds(*(part[..., 0] for part in profile)), SHARE)
    rivals = shape(z + EFFECT * np.arange(RIVALS)[:, None])
    ranks = block_ranks(rivals.swapaxes(1, 2))
    yield "t of average ranks", (stats.t_bounds(ranks.swapaxes(1, 2)), true["ranks"])
    area = stats.area_over_log_rate(RATES, shape(z[:, :3]).swapaxes(1, 2))
    yield "t of area over log rate", (stats.t_bounds(area), true["mean"])
    failed = (first > threshold).sum(-1)
    yield "Wilson, failure rate", (stats.wilson_bounds(failed, N), 1 - SHARE)


def simulate(repeats: int = REPEATS, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Coverage of each kind of interval, for normal and for lognormal runs."""
    found: dict[str, list[float]] = {}
    for shape in SHAPES.values():
        true, rng, held = truths(shape), np.random.default_rng(seed), {}
        for _ in range(repeats // PART):
            for name, (bounds, truth) in intervals(draw(rng, PART, RIVALS), shape, true):
                held.setdefault(name, []).append(float(((bounds.low <= truth) & (truth <= bounds.high)).mean()))
        for name, parts in held.items():
            found.setdefault(name, []).append(float(np.mean(parts)))
    return {name: (values[0], values[1]) for name, values in found.items()}


def table(found: dict[str, tuple[float, float]]) -> str:
    """The figures as text."""
    lines = [
        f"Simulated coverage of nominal 95 % intervals at n = {N}, {REPEATS} data sets a cell",
        f"{'interval':<42}{'normal':>8}{'lognormal':>11}",
    ]
    return "\n".join(lines + [f"{name:<42}{a:>8.3f}{b:>11.3f}" for name, (a, b) in found.items()])


if __name__ == "__main__":
    print(table(simulate()))
