"""The benchmark's estimates and their 95 % intervals. For ranks see `rank_tests`.

Functions named `..._bounds` take batches, (..., n) with the n runs last, so that `benchmarks/coverage.py` can simulate
how often each interval contains the true value (`COVERAGE`). SciPy has the same intervals, which the tests compare, but
not over batches, and its `bootstrap` has no strata.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from .numbers import estimate

LEVEL = 0.95
RESAMPLES = 2_000
FEWEST = 5
"""Runs that an interval takes; from fewer, only the estimate is reported."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Takes (..., n) to (...)."""

COVERAGE = {
    "t": (0.950, 0.847),
    "t of paired differences": (0.951, 0.923),
    "bootstrap-t": (0.948, 0.911),
    "bootstrap-t of paired differences": (0.951, 0.889),
    "percentile bootstrap, mean": (0.902, 0.814),
    "percentile bootstrap, median": (0.938, 0.936),
    "percentile bootstrap, IQM": (0.936, 0.934),
    "bootstrap, probability of improvement": (0.930, 0.930),
    "bootstrap, profile": (0.961, 0.961),
    "t of average ranks": (0.921, 0.921),
    "t of area over log rate": (0.951, 0.876),
    "Wilson, failure rate": (0.926, 0.926),
}
"""Share of nominal 95 % intervals that contain the true value at n = 10, for normal and for lognormal (σ = 1) runs.

Simulated by `benchmarks/coverage.py`, which writes `benchmarks/results/coverage.txt`.
"""


class Bounds(NamedTuple):
    """Estimates with their intervals, arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval and the number of values behind it.

    The interval is unbounded where there are fewer than `FEWEST` values.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, bounds: Bounds, *sizes: int) -> Interval:
        """Converts bounds of a batch of one; `sizes` counts the values in each stratum, and the smallest decides."""
        low, high = (bounds.low, bounds.high) if min(sizes) >= FEWEST else (-np.inf, np.inf)
        return cls(float(bounds.value), float(low), float(high), sum(sizes))

    @property
    def bounded(self) -> bool:
        """Whether there were enough values for an interval."""
        return bool(np.isfinite([self.low, self.high]).all())

    def __str__(self) -> str:
        text = estimate(self.value, self.low, self.high)
        return text if self.bounded else f"{text} (n = {self.n})"


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis."""
    return values.mean(-1)


def median(values: np.ndarray) -> np.ndarray:
    """Median over the last axis."""
    return np.median(values, -1)


def iqm(values: np.ndarray) -> np.ndarray:
    """Interquartile mean over the last axis: the mean without the lowest and the highest quarter, rounded down.

    Source: Agarwal et al. 2021, arXiv:2108.13264.
    """
    return stats.trim_mean(values, 0.25, axis=-1)


def t_bounds(*strata: np.ndarray) -> Bounds:
    """Mean of the strata's means, each (..., n_h), with Student's t interval; one stratum gives the usual one.

    Degrees of freedom over several strata are Welch and Satterthwaite's. Unbounded where no stratum has two values.
    For paired differences, pass the differences. Simulated coverage: `COVERAGE["t"]`, `["t of paired differences"]`.
    """
    value = np.mean([s.mean(-1) for s in strata], 0)
    several = [s for s in strata if s.shape[-1] > 1]
    if not several:
        return Bounds(value, np.full_like(value, -np.inf), np.full_like(value, np.inf))
    parts = np.array([s.var(-1, ddof=1) / s.shape[-1] / len(strata) ** 2 for s in several])
    left = np.array([s.shape[-1] - 1 for s in several]).reshape(-1, *[1] * value.ndim)
    spread = parts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(spread > 0, spread**2 / (parts**2 / left).sum(0), left.sum(0))
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(spread)
    return Bounds(value, value - half, value + half)


def bootstrap_t_bounds(values: np.ndarray, *, seed: int = 0) -> Bounds:
    """Mean of (..., n) with the bootstrap-t interval, which suits skewed values better than Student's t.

    Resamples without spread have no t statistic and are left out. Unbounded for n = 1.

    Source: Efron & Tibshirani 1993, §12.5.
    Simulated coverage: `COVERAGE["bootstrap-t"]`, `COVERAGE["bootstrap-t of paired differences"]`.
    """
    value, n = values.mean(-1), values.shape[-1]
    if n == 1:
        return Bounds(value, np.full_like(value, -np.inf), np.full_like(value, np.inf))
    drawn = values[..., _draws(n, seed)]
    spread, error = drawn.std(-1, ddof=1), values.std(-1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(spread > 1e-12 * error[..., None], (drawn.mean(-1) - value[..., None]) / spread, np.nan)
    t = np.where((error > 0)[..., None], t, 0.0)  # equal values: an interval of width 0, as t_bounds gives
    low, high = np.nanquantile(t, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=-1)
    return Bounds(value, value - high * error, value - low * error)


def bootstrap_bounds(statistic: Statistic, *strata: np.ndarray, seed: int = 0) -> Bounds:
    """Pools the strata, applies a statistic and gives its stratified percentile-bootstrap interval.

    Args:
        statistic: Reduces the last axis, e.g. `mean`, `median`, `iqm`.
        strata: (..., n_h) each; values are resampled within their own stratum.
        seed: Seed of the resamples.

    Source: Agarwal et al. 2021, arXiv:2108.13264. Simulated coverage: `COVERAGE["percentile bootstrap, ..."]`.
    """
    drawn = [s[..., _draws(s.shape[-1], seed + h)] for h, s in enumerate(strata)]
    return _percentiles(statistic(np.concatenate(strata, -1)), statistic(np.concatenate(drawn, -1)))


def improvement_bounds(*pairs: tuple[np.ndarray, np.ndarray], seed: int = 0) -> Bounds:
    """Probability that a run of the first controller scores lower than one of the second; ties count half.

    Args:
        pairs: Scores of the two in one configuration, (..., n) each, on the same seeds; infinite where a run failed.
            Both are resampled by the same seeds, which keeps the pairing.
        seed: Seed of the resamples.

    Source: Agarwal et al. 2021, arXiv:2108.13264 (Mann & Whitney's U over n²), averaged over configurations.
    Simulated coverage: `COVERAGE["bootstrap, probability of improvement"]`.
    """
    found, drawn = [], []
    for h, (first, second) in enumerate(pairs):
        a, b = first[..., :, None], second[..., None, :]
        lower = (a < b) + 0.5 * (a == b)
        weights = _weights(first.shape[-1], seed + h)
        found.append(lower.mean((-2, -1)))
        drawn.append(((weights @ lower) * weights).sum(-1))
    return _percentiles(np.mean(found, 0), np.mean(drawn, 0))


def profile_bounds(thresholds: np.ndarray, *strata: np.ndarray, seed: int = 0) -> Bounds:
    """Performance profile: share of runs at or below each threshold (T,), averaged over strata; (..., T).

    Args:
        thresholds: E.g. multiples of the best median of the configuration.
        strata: Each configuration's runs, (..., n_h), in the thresholds' units; infinite where a run failed.
        seed: Seed of the resamples. The band is pointwise.

    Source: Dolan & Moré 2002; over runs as in Agarwal et al. 2021. Simulated coverage: `COVERAGE["bootstrap, profile"]`
    """
    below = [(s[..., :, None] <= thresholds).astype(float) for s in strata]
    found = np.mean([b.mean(-2) for b in below], 0)
    drawn = np.mean([_weights(b.shape[-2], seed + h) @ b for h, b in enumerate(below)], 0)  # (..., resamples, T)
    return _percentiles(found, np.moveaxis(drawn, -2, -1))


def wilson_bounds(failed: np.ndarray, n: int) -> Bounds:
    """Failure rate with Wilson's score interval, which stays valid at 0 and at n failures.

    Source: Wilson 1927; Agresti & Coull 1998. Simulated coverage: `COVERAGE["Wilson, failure rate"]`.
    """
    rate, z = np.asarray(failed) / n, float(stats.norm.ppf((1 + LEVEL) / 2))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = np.where(rate == 0, 0.0, middle - half), np.where(rate == 1, 1.0, middle + half)  # exact
    return Bounds(rate, low, high)


def area_over_log_rate(rates: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Mean score over the logarithm of the base rate: trapezoids through scores (..., R), over the span of rates (R,).

    In the score's units, lower is better; a measure for users who do not know the right rate.
    Raises ValueError for fewer than two rates, or rates that do not increase.
    """
    if len(rates) < 2 or (np.diff(rates) <= 0).any() or rates[0] <= 0:
        raise ValueError(f"rates={rates.tolist()} must be two or more positive rates that rise")
    at = np.log(rates)
    return np.trapezoid(scores, at, axis=-1) / (at[-1] - at[0])


def mean_interval(values: np.ndarray | list[float]) -> Interval:
    """Mean with Student's t interval; for paired differences, pass the differences. Coverage: as `t_bounds`.

    Raises:
        ValueError: For no values, or for values that are not finite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"an interval needs at least one value, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"value {array[~np.isfinite(array)][0]} is not finite; failures are counted, not averaged")
    return Interval.of(t_bounds(array), len(array))


def spearman(x: np.ndarray | list[float], y: np.ndarray | list[float]) -> float:
    """Spearman's rank correlation; NaN where one side is constant or there are fewer than three pairs."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y)[0])  # type: ignore[arg-type]


def _draws(n: int, seed: int) -> np.ndarray:
    """Indices of each resample's values, (resamples, n)."""
    return np.random.default_rng([seed, n]).integers(n, size=(RESAMPLES, n))


def _weights(n: int, seed: int) -> np.ndarray:
    """The same resamples as shares of the n values, (resamples, n)."""
    indices = _draws(n, seed) + n * np.arange(RESAMPLES)[:, None]
    return np.bincount(indices.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n) / n


def _percentiles(value: np.ndarray, drawn: np.ndarray) -> Bounds:
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=-1)
    return Bounds(np.asarray(value), low, high)
