"""Infers whether D's logged loss is the sum or the mean of its halves, and how certain that is."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch

from gan_env.losses.losses import Loss

from .loss_logs import LossLog
from .symptoms import Sure

DLoss = Literal["sum", "mean"]
NEAR = 1.3
"""Times its ideal value, or one over that, within which G's loss counts as ideal."""
BEGINS = 0.15
"""Share of the ideal within which the first rows lie while D cannot tell samples apart yet."""


class Reading(NamedTuple):
    """Interpretation of D's logged loss."""

    d_loss: DLoss
    sure: Sure
    hints: tuple[str, ...]
    """Evidence against it."""

    @property
    def scale(self) -> float:
        """Factor that converts D's logged loss to the sum of both halves, the scale of V*."""
        return 2.0 if self.d_loss == "mean" else 1.0


def reading_of(log: LossLog, d: np.ndarray, g: np.ndarray, loss: Loss, given: DLoss | None) -> Reading:
    """Infers how D's logged loss is to be interpreted.

    Args:
        log: The log, for what its columns show.
        d: D's loss as logged, (n,), finite; at least one row.
        g: G's loss.
        loss: The GAN loss.
        given: What the user says it is; None if nothing: then what the log shows, else the sum.
    """
    if given is None and log.d_is == "mean":
        return Reading("mean", "sure", (f"{log.d_column!r} is half of its two halves' sum in this log: read as mean",))
    used: DLoss = given or "sum"
    if given and log.d_is and given != log.d_is:
        added = "were added here" if "+" in log.d_column else "add up to it"
        shown = f"{added if log.d_is == 'sum' else 'add up to twice of it'}, which makes it their {log.d_is}"
        unless = f"unless they were logged with a factor of their own, say --d-loss {log.d_is}"
        return Reading(used, "likely", (f"the columns of the halves of D's loss {shown}; {unless}",))
    if loss.ideal_d_loss < 1e-9 or log.d_is or given == "sum":
        return Reading(used, "sure", ())
    return _by_level(d, g, loss, used, given is not None)


def _by_level(d: np.ndarray, g: np.ndarray, loss: Loss, used: DLoss, given: bool) -> Reading:
    """Rates the certainty of the interpretation by the levels at which both losses begin and end."""
    last, first = slice(len(d) * 3 // 4, None), slice(0, max(3, len(d) // 20))
    ideal, other = (1.0, 0.5) if used == "sum" else (0.5, 1.0)
    ideal, other = ideal * loss.ideal_d_loss, other * loss.ideal_d_loss
    level, begin = float(np.mean(d[last])), float(np.mean(d[first]))
    begins = abs(begin - ideal) < BEGINS * ideal
    begins_other = abs(begin - other) < BEGINS * other
    at_other = abs(level - other) < 0.1 * other
    if begins or not (at_other or begins_other):
        return Reading(used, "sure", ())
    sure, rest = "likely", ""
    if given:
        pass
    elif at_other and (ideal_g := _ideal_g(loss)):
        logged = float(np.mean(g[last]))
        if logged / ideal_g > 1 / NEAR:
            sure = "not sure"
            rest = (
                f", and G's of about {logged:.3g} is near its own"
                if logged / ideal_g < NEAR
                else f", and G's of about {logged:.3g} does not tell, for it may hold other terms"
            )
    at, when = (level, "") if at_other else (begin, " in the first rows")
    wanted = "mean" if used == "sum" else "sum"
    return Reading(
        used,
        sure,
        (
            f"D's loss of about {at:.3g}{when} would be the ideal one, were it the {wanted} of its real and fake halves"
            f"{rest}; if it is, say so: --d-loss {wanted}",
        ),
    )


def _ideal_g(loss: Loss) -> float:
    """Returns G's loss for an undecided D; 0 if G's loss has no scale for comparison."""
    scores = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    found = float(loss.generator(scores[(loss.real(scores) + loss.fake(scores)).argmin()]))
    return 0.0 if loss.signed or found < 1e-9 else found
