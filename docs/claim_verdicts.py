"""How a claim is judged: the verdicts, and the seed as the unit of every interval.

What a controller did under one seed is averaged over the configurations, which share their seeds, and an interval is
that of the mean over seeds. `claim_answers.py`, `claim_thesis.py` and `claim_scripts.py` judge by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agents.report.statistics import Interval, mean_interval

CONFIRMED, NOT_SEEN, REVERSED, TOO_FEW = "confirmed", "not seen", "reversed", "too few runs"
IN_PART = f"{REVERSED} in part"
ALPHA = 0.05

BySeed = dict[int, float]
"""A number of each seed."""


@dataclass(frozen=True)
class Answer:
    """What rows say to a claim."""

    verdict: str
    figure: str


# -- verdicts -----------------------------------------------------------------------------------------------------


def lower(found: Interval) -> str:
    """Judges the claim that a difference lies below 0."""
    if not found.bounded:
        return TOO_FEW
    if found.high < 0:
        return CONFIRMED
    return REVERSED if found.low > 0 else NOT_SEEN


def higher(found: Interval) -> str:
    """Judges the claim that a difference lies above 0."""
    return lower(replace(found, value=-found.value, low=-found.high, high=-found.low))


def one_of(verdicts: Iterable[str], otherwise: str) -> str:
    """The verdict if all are the same; else what it depends on if any is in favour, or that it is reversed in part."""
    different = set(verdicts)
    if len(different) == 1:
        return different.pop()
    if any(each == CONFIRMED or each.startswith("depends") for each in different):
        return f"depends on {otherwise}"
    return IN_PART if any(each.startswith(REVERSED) for each in different) else NOT_SEEN


def counted(better: int, worse: int, of: int, otherwise: str = "the game") -> str:
    """Judges by how many of several configurations are better, and how many worse."""
    if better >= of / 2 and worse <= better / 2:
        return CONFIRMED
    if worse >= of / 2 and better <= worse / 2:
        return REVERSED
    if better:
        return f"depends on {otherwise}"
    return IN_PART if worse else NOT_SEEN


def in_how_many(number: int, of: int, otherwise: str = "the game") -> str:
    """Judges a claim that is to hold in all of several cases."""
    return CONFIRMED if number == of else f"depends on {otherwise}" if number else NOT_SEEN


# -- over seeds ---------------------------------------------------------------------------------------------------


def ratio_of(found: Interval) -> Interval:
    """Turns an interval of a mean logarithm into one of a ratio."""
    value, low, high = (float(np.exp(each)) for each in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high)


def over_seeds(values: Sequence[BySeed]) -> Interval:
    """The mean over seeds of each seed's mean over the configurations that have it."""
    seeds = sorted({seed for each in values for seed in each})
    return mean_interval(
        [float(np.mean([v[seed] for v in values if seed in v])) for seed in seeds]
    )
