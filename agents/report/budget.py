"""How good a GAN is after k trials of its base rate, of which the best by validation data is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from ..comparison.row_checks import finite
from .blocks import Block
from .comparisons import rate_families
from .statistics import Interval, t_bounds


@dataclass(frozen=True)
class BudgetCurve:
    """A controller's expected score after each number of trials, over the seeds that all rates share."""

    family: str
    controller: str
    means: list[Interval]
    """For one trial, two, and so on, up to all rates."""


def budget_curves(blocks: Sequence[Block]) -> list[BudgetCurve]:
    """Returns a curve for each family of rates and controller whose rows all hold the distance to validation data.

    Trials are drawn from the rates without replacement. A failed run is the last choice, and counts as in means.
    """
    found = []
    for name, family in rate_families(blocks):
        shared = [c for c in family[0].controllers if all(c in block.controllers for block in family)]
        found += [BudgetCurve(name, c, means) for c in shared if (means := _means(family, c))]
    return found


def _means(family: Sequence[Block], controller: str) -> list[Interval]:
    rows = [{row["seed"]: row for row in block.rows if row["controller"] == controller} for block in family]
    seeds = sorted(set.intersection(*(set(each) for each in rows)))
    if not seeds or not all(finite(r[s].get("quality")) for r in rows for s in seeds if r[s]["status"] == "ok"):
        return []
    scores = np.array([[b.of(controller, imputed=True)[b.seeds.index(s)] for b in family] for s in seeds])
    quality = np.array([[r[s]["quality"] if r[s]["status"] == "ok" else np.inf for r in rows] for s in seeds])
    expected = np.array([expected_scores(q, s) for q, s in zip(quality, scores, strict=True)])
    return [Interval.of(t_bounds(each), len(seeds)) for each in expected.T] if np.isfinite(expected).all() else []


def expected_scores(quality: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the expected score of the best of k trials by quality, for k = 1 to n; exact, (n,).

    The trial of rank r (from 0) is the best of k with probability C(n − 1 − r, k − 1) / C(n, k).

    Args:
        quality: Of each of n trials, (n,); lower is better. Equal ones are taken in order.
        scores: Of each of them, (n,).
    """
    n, ordered = len(scores), scores[np.argsort(quality, kind="stable")]
    share = np.array([[comb(n - 1 - rank, k - 1) / comb(n, k) for rank in range(n)] for k in range(1, n + 1)])
    return share @ ordered
