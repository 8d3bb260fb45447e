"""GCANN's diversity loss in our reading: a term of G's loss that grows as its samples become alike.

It changes the objective, so it is not a control but an option of the loss, off by default: `bce+diversity`.

Source: evan-sctg/Guided-Convergence-Adversarial-Neural-Networks (README, 2024). In print the score is larger the more
diverse the samples are, and yet is added to the loss; its scaled value is computed but not used. This reading does what
the README's text intends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def mean_distance(samples: Float[Tensor, "n B ..."]) -> Float[Tensor, " n"]:
    """Computes the mean Euclidean distance between two different samples of each row's batch."""
    flat = samples.flatten(2)
    count = flat.shape[1]
    if count < 2:
        raise ValueError(f"batch_size={count} has no pairs; the diversity term needs two samples or more")
    # Not by way of products: these lose what is left of a distance where samples are nearly alike.
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.sum((1, 2)) / (count * (count - 1))


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """The diversity term and how often it is added."""

    weight: float
    """w, the curvature of the scale."""
    interval: int
    """The term is added at every `interval`-th update of G."""
    top: float
    """Its value if all samples are equal."""
    bottom: float
    """Its value in the limit of samples that are far apart."""

    def __call__(self, fake: Float[Tensor, "n B ..."], real: Float[Tensor, "n B ..."]) -> Float[Tensor, " n"]:
        """Computes the term, differentiable in `fake`; raises ValueError for batches of one.

        With P = exp(−mean distance / that of the real batch) it is
        bottom + (top − bottom) (1 − e^(−wP)) / (1 − e^(−w)).
        """
        alike = torch.exp(-mean_distance(fake) / mean_distance(real).clamp_min(1e-12))
        return self.bottom + (self.top - self.bottom) * -torch.expm1(-self.weight * alike) / -math.expm1(-self.weight)


DIVERSITIES = {
    "image": Diversity(weight=1, interval=5, top=3, bottom=0.001),
    "voxels": Diversity(weight=1, interval=10, top=5, bottom=0.01),
}
"""The two published settings."""
