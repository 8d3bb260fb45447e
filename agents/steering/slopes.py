"""Finds out from D's own backward passes which way its loss pushes the scores, and whether they are probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor

from .rates import HasGroups

VOTES = 12
"""Iterations by which one direction must be ahead of the other, as labels are flipped now and then on purpose. More
than an equal `d_loss` needs, which says the same in plainer words."""


class Slopes:
    """Watches the gradients that reach the scores of a loop.

    A loss of D that is minimised has a slope below 0 in the scores of real samples and above 0 in those of generated
    ones. Only both together are a vote: with label smoothing a D that is too certain has a slope above 0 in both, and
    where a generator's loss runs through the same scores their slopes have both signs.

    Scores that do not enter the loop's loss (detached ones, `-scores`, `output.logit()`) get no gradients, and nothing
    is found out.

    Args:
        optimizers: D's. One that maximises turns the direction round.
    """

    def __init__(self, optimizers: Sequence[HasGroups]):
        self._optimizers = optimizers
        self._seen: dict[str, list[Tensor]] = {}
        self._ahead = 0
        self.sides: Literal["", "as usual", "exchanged"] = ""
        """What D learns, once it is beyond doubt."""
        self.of_probabilities = False
        """Whether D's loss is the cross-entropy of the scores themselves: its slope in p is -1 / p or 1 / (1 - p)."""

    def watch(self, real: Any, fake: Any) -> None:
        """Watches an iteration's scores, (B, ...) each or lists of them, for the gradients that will reach them."""
        if self.sides:
            return
        self._seen = {"real": [], "fake": []}
        for side, given in (("real", real), ("fake", fake)):
            for scores in given if isinstance(given, (list, tuple)) else (given,):
                if isinstance(scores, Tensor) and scores.requires_grad:
                    scores.register_hook(self._into(side, scores.detach()))

    def count(self) -> None:
        """Counts what came in since `watch`; call it once an iteration."""
        seen, self._seen = self._seen, {}
        if self.sides or not (seen.get("real") and seen.get("fake")):
            return
        real, fake = ([float(slope) for slope in seen[side]] for side in ("real", "fake"))
        maximises = {bool(group.get("maximize")) for each in self._optimizers for group in each.param_groups}
        if len(maximises) > 1:
            return
        up, down = (max(real) < 0 < min(fake)), (max(fake) < 0 < min(real))
        self._ahead += (int(up) - int(down)) * (-1 if maximises == {True} else 1)
        if abs(self._ahead) >= VOTES:
            self.sides = "as usual" if self._ahead > 0 else "exchanged"

    def _into(self, side: str, scores: Tensor) -> Callable[[Tensor], None]:
        slopes = self._seen[side]

        def hook(gradient: Tensor) -> None:
            gradient = gradient.detach()  # which has a graph of its own under `create_graph=True`
            if bool((gradient == 1).all()):  # of `autograd.grad(scores.sum(), samples)`, for a penalty
                return
            slopes.append(gradient.float().sum())
            self.of_probabilities |= _is_of_probabilities(scores, gradient)

        return hook


def _is_of_probabilities(p: Tensor, slope: Tensor) -> bool:
    """Whether the slope is that of log p or log(1 - p), and plainly not the same everywhere.

    Of a logit f it is a multiple of sigmoid(f) - 1 or sigmoid(f), and where that varies by 0.01, its product with f or
    1 - f varies by more than 0.001.
    """
    inside = bool(((p > 0) & (p < 1)).all())
    return inside and _spread(slope) >= 0.01 and min(_spread(slope * p), _spread(slope * (1 - p))) <= 1e-3


def _spread(values: Tensor) -> float:
    """Difference of the ends, as a share of the larger one; infinite where they have different signs."""
    low, high = (float(end) for end in values.aminmax())
    return (high - low) / max(abs(low), abs(high)) if low * high > 0 else math.inf
