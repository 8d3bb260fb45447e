"""A term of G's loss that grows as its samples grow alike: GCANN's diversity loss, as far as it can be read.

It changes what is minimised, so it is no control but an option of the loss, off by default: `bce+diversity`.

Source: evan-sctg/Guided-Convergence-Adversarial-Neural-Networks (README, 2024). In print the score is larger the more
diverse the samples are and yet is added to the loss, and its scaled value is computed but not used; this is the
reading of algorithms G17 that does what the text wants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def mean_distance(samples: Float[Tensor, "n B ..."]) -> Float[Tensor, " n"]:
    """Mean Euclidean distance between two different samples of each row's batch."""
    flat = samples.flatten(2)
    count = flat.shape[1]
    if count < 2:
        raise ValueError(f"batch_size={count} has no pairs; the diversity term needs two samples or more")
    # Not by way of products: these lose what is left of a distance where samples are nearly alike.
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.sum((1, 2)) / (count * (count - 1))


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """The term and how often it is added."""

    weight: float
    """w, the curvature of the scale."""
    interval: int
    """It is added at every so manieth update of G."""
    top: float
    """Its value where all samples are the same."""
    bottom: float
    """Its value in the limit of samples that are far apart."""

    def __call__(self, fake: Float[Tensor, "n B ..."], real: Float[Tensor, "n B ..."]) -> Float[Tensor, " n"]:
        """The term, differentiable in `fake`; raises ValueError for batches of one.

        With P = exp(−mean distance / that of the real batch) it is
        bottom + (top − bottom) (1 − e^(−wP)) / (1 − e^(−w)).
        """
        alike = torch.exp(-mean_distance(fake) / mean_distance(real).clamp_min(1e-12))
        return self.bottom + (self.top - self.bottom) * -torch.expm1(-self.weight * alike) / -math.expm1(-self.weight)


DIVERSITIES = {
    "image": Diversity(weight=1, interval=5, top=3, bottom=0.001),
    "voxels": Diversity(weight=1, interval=10, top=5, bottom=0.01),
}
"""The two settings in print."""
