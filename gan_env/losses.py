"""The GAN losses, one place each: what D and G minimise, and what follows from it.

A loss is three functions of a logit: D's on a real sample, D's on a generated one, and G's. D minimises the *sum*
of the two batch means. Whatever follows is computed from these, so that no scale can go astray: the ideal
discriminator loss V*, signedness, gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from gan_env.registry import Registry

Elementwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A GAN loss. `real`, `fake` and `generator` map logits to losses of the same shape."""

    name: str
    real: Elementwise
    """D's loss on the logit of a real sample."""
    fake: Elementwise
    """D's loss on the logit of a generated sample."""
    generator: Elementwise
    """G's loss on the logit of a generated sample."""
    probability: bool = False
    """Whether sigmoid(logit) estimates the probability that a sample is real."""
    signed: bool = False
    """Whether losses can be negative: then a gap or a ratio between them means nothing."""
    source: str = ""

    @cached_property
    def ideal_d_loss(self) -> float:
        """V*: the least `d_sum` of a discriminator that cannot tell real from fake.

        Where real and fake are alike, D is at best one number f, so V* = min over f of real(f) + fake(f)
        (Hazimeh & Ponomareva, arXiv 2302.00089, read as in algorithms §4.2).
        """

        def total(f: float) -> float:
            logit = torch.tensor(f, dtype=torch.float64)
            return float(self.real(logit) + self.fake(logit))

        low, high = -20.0, 20.0
        while high - low > 1e-9:  # by thirds, for the sum has no second valley; SciPy would be another dependency
            third = (high - low) / 3
            if total(low + third) < total(high - third):
                high -= third
            else:
                low += third
        return total((low + high) / 2)


LOSSES: Registry[Loss] = Registry("GAN loss")


def _add(**fields: object) -> None:
    loss = Loss(**fields)  # type: ignore[arg-type]
    LOSSES.add(loss.name, loss)


_add(
    name="bce",
    real=lambda f: softplus(-f),
    fake=softplus,
    generator=lambda f: softplus(-f),
    probability=True,
    source="Goodfellow et al. 2014, arXiv:1406.2661, eq. 1 with the non-saturating generator of section 3",
)
_add(
    name="hinge",
    real=lambda f: relu(1 - f),
    fake=lambda f: relu(1 + f),
    generator=torch.neg,
    signed=True,
    source="Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16-17",
)
_add(
    name="lsgan",
    real=lambda f: (f - 1).square(),
    fake=torch.square,
    generator=lambda f: (f - 1).square(),
    source="Mao et al. 2017, arXiv:1611.04076, targets 1 and 0, without the factor 1/2",
)
