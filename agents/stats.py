"""Intervals and correlations of paired results; NumPy and SciPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval and the number of values behind it."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def mean_interval(values: np.ndarray | list[float], level: float = 0.95) -> Interval:
    """Mean with Student's t interval; for paired differences, give the differences.

    At n = 10 the percentile bootstrap covers less than it says, t does not (for a normal mean). With fewer than two
    values the interval is unbounded; raises ValueError for none, or for values that are not finite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"an interval needs at least one value, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"value {array[~np.isfinite(array)][0]} is not finite; failures are counted, not averaged")
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Interval(mean, -np.inf, np.inf, 1)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * array.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def spearman(x: np.ndarray | list[float], y: np.ndarray | list[float]) -> float:
    """Spearman's rank correlation; NaN where one side is constant or there are fewer than three pairs."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y)[0])  # type: ignore[arg-type]
