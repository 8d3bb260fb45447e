"""Controllers ranked within blocks, and tests of whether the ranks differ; lower scores are better.

A *block* is one configuration, or one seed of it: all controllers met the same conditions there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Friedman:
    """Friedman's test that all controllers are alike."""

    chi2: float
    p: float
    blocks: int
    controllers: int


def block_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks within each block, 1 the lowest score, ties sharing their mean rank; failures (infinite) come last.

    Args:
        scores: (blocks, controllers), without NaN.
    """
    return stats.rankdata(scores, axis=-1)


def friedman(scores: np.ndarray) -> Friedman:
    """Friedman's test on scores (blocks, controllers), corrected for ties; SciPy's `friedmanchisquare`.

    Raises ValueError for fewer than two blocks or three controllers: there is nothing to test.
    """
    blocks, controllers = scores.shape
    if blocks < 2 or controllers < 3:
        raise ValueError(f"Friedman's test needs 2 blocks and 3 controllers, got {blocks} and {controllers}")
    ranks = block_ranks(scores)
    plain = friedman_of_ranks(ranks.mean(0), blocks).chi2
    ties = sum(float((count**3 - count).sum()) for row in ranks for count in [np.unique(row, return_counts=True)[1]])
    correction = 1 - ties / (blocks * (controllers**3 - controllers))
    chi2 = plain / correction if correction > 0 else 0.0  # all tie everywhere: no difference at all
    return Friedman(chi2, float(stats.chi2.sf(chi2, controllers - 1)), blocks, controllers)


def friedman_of_ranks(average: np.ndarray, blocks: int) -> Friedman:
    """The test from average ranks (controllers,) alone, for published tables: no correction for ties.

    Source: Demsar 2006 (JMLR 7), §3.2.2.
    """
    k = len(average)
    chi2 = 12 * blocks / (k * (k + 1)) * float(((np.asarray(average) - (k + 1) / 2) ** 2).sum())
    return Friedman(chi2, float(stats.chi2.sf(chi2, k - 1)), blocks, k)


def critical_difference(controllers: int, blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's: average ranks further apart than this differ, all pairs taken together.

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
    """Holm's step-down adjustment of p values (m,): what stays below 0.05 holds for the whole family.

    Source: Holm 1979 (Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def cliques(average: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Longest runs (first, last) of ascending average ranks that lie within the critical difference, of two or more."""
    ends = [int(np.searchsorted(average, rank + difference, side="right")) - 1 for rank in average]
    found = [(start, end) for start, end in enumerate(ends) if end > start]
    return [run for run in found if not any(o != run and o[0] <= run[0] and run[1] <= o[1] for o in found)]


def _error(controllers: int, blocks: int) -> float:
    return float(np.sqrt(controllers * (controllers + 1) / (6 * blocks)))
