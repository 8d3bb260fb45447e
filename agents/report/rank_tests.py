"""Ranks within blocks, and tests of whether average ranks differ; lower scores are better.

A *block* is one configuration, or one seed of it, in which every controller ran under the same conditions. Nemenyi's
and Holm's procedures are ours: SciPy has neither, and scikit-posthocs and statsmodels would bring pandas along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Friedman:
    """Result of Friedman's test that all controllers perform alike."""

    chi2: float
    p: float
    blocks: int
    controllers: int


def block_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks scores within each block: 1 is the lowest, ties share their mean rank, failures (infinite) come last.

    Args:
        scores: (blocks, controllers), without NaN.
    """
    return stats.rankdata(scores, axis=-1)


def friedman(scores: np.ndarray) -> Friedman:
    """Friedman's test on scores (blocks, controllers), corrected for ties.

    Raises ValueError for fewer than two blocks or three controllers, where there is nothing to test.
    """
    blocks, controllers = scores.shape
    if blocks < 2 or controllers < 3:
        raise ValueError(f"Friedman's test needs 2 blocks and 3 controllers, got {blocks} and {controllers}")
    if (block_ranks(scores) == (controllers + 1) / 2).all():  # SciPy divides 0 by 0 where all tie everywhere
        return Friedman(0.0, 1.0, blocks, controllers)
    found = stats.friedmanchisquare(*scores.T)
    return Friedman(float(found.statistic), float(found.pvalue), blocks, controllers)


def critical_difference(controllers: int, blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference: average ranks further apart than this differ, over all pairs.

    Source: Demsar 2006 (JMLR 7), §3.2.2: the Studentized range over √2, times the standard error of a difference.
    """
    q = float(stats.studentized_range.ppf(1 - alpha, controllers, np.inf)) / np.sqrt(2)
    return q * _error(controllers, blocks)


def nemenyi(average: np.ndarray, blocks: int) -> np.ndarray:
    """Nemenyi's p values of all pairs of average ranks (controllers,), as a symmetric matrix with 1 on the diagonal."""
    k = len(average)
    apart = np.abs(np.subtract.outer(average, average)) / _error(k, blocks) * np.sqrt(2)
    p = np.ones((k, k))
    above = np.triu_indices(k, 1)
    p[above] = stats.studentized_range.sf(apart[above], k, np.inf)
    return np.minimum(p, p.T)


def against(average: np.ndarray, blocks: int, control: int) -> np.ndarray:
    """Two-sided p that average ranks (controllers,) equal the control's, Holm-adjusted; 1 for the control itself.

    Source: Demsar 2006 (JMLR 7), §3.2.2 (z of a rank difference), with Holm's step-down procedure.
    """
    others = np.arange(len(average)) != control
    z = np.abs(average - average[control]) / _error(len(average), blocks)
    p = np.ones(len(average))
    p[others] = holm(2 * stats.norm.sf(z[others]))
    return p


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusts p values (m,) by Holm's step-down procedure, which controls the family-wise error rate.

    Source: Holm 1979 (Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def cliques(average: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Finds maximal runs (first, last) of two or more ascending average ranks within the critical difference."""
    ends = [int(np.searchsorted(average, rank + difference, side="right")) - 1 for rank in average]
    found = [(start, end) for start, end in enumerate(ends) if end > start]
    return [run for run in found if not any(o != run and o[0] <= run[0] and run[1] <= o[1] for o in found)]


def _error(controllers: int, blocks: int) -> float:
    """Standard error of the difference of two average ranks."""
    return float(np.sqrt(controllers * (controllers + 1) / (6 * blocks)))
