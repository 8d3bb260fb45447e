"""Judges generated voxel shapes: Chamfer distances to held-out shapes, and measures that detect mode collapse.

A shape is the set of its full voxels (value above 0); distances are in voxels.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from gan_env.data.datasets import ArrayData
from gan_env.metrics import distances


class ShapeSet:
    """Shapes with precomputed distance transforms, for Chamfer distances to other shapes.

    A distance transform gives the distance from every cell to a shape, so the mean over another shape's voxels is a
    matrix product: exact, and a hundred shapes against a hundred take half a second.

    Args:
        grids: (M, X, Y, Z), full where true.
    """

    def __init__(self, grids: Bool[Tensor, "M X Y Z"]):
        from scipy.ndimage import distance_transform_edt  # on call: controllers in a user's own loop do without SciPy

        cells = grids.detach().cpu().numpy()
        self.empty = ~cells.any(axis=(1, 2, 3))
        self.diagonal = float(np.linalg.norm(cells.shape[1:]))
        full = cells.reshape(len(cells), -1).astype(np.float32)
        self.share = torch.from_numpy(full / np.maximum(full.sum(1, keepdims=True), 1))
        # The transform of a grid without voxels is undefined; `chamfer` replaces those distances.
        away = [np.asarray(distance_transform_edt(~each)) if each.any() else np.zeros(each.shape) for each in cells]
        self.away = torch.from_numpy(np.stack(away).reshape(len(cells), -1).astype(np.float32))


def chamfer(a: ShapeSet, b: ShapeSet) -> Float64[Tensor, "A B"]:
    """Computes Chamfer distances: half the mean distance from a's voxels to the nearest of b, plus half of b's to a.

    The distance of a shape without voxels to any other is the grid's diagonal.

    Source: Fan et al. 2017, arXiv:1612.00603, eq. 1, with distances instead of their squares, averaged.
    """
    distance = ((a.share @ b.away.T + a.away @ b.share.T) / 2).double()
    distance[torch.from_numpy(a.empty)] = a.diagonal
    distance[:, torch.from_numpy(b.empty)] = b.diagonal
    return distance


def nearest_neighbour_accuracy(real: Tensor, fake: Tensor, across: Float[Tensor, "R F"]) -> float:
    """Computes how often a shape's nearest neighbour is of its own kind: 0.5 if real and fake are alike, 1 if separate.

    Args:
        real: Distances within the real shapes, (R, R).
        fake: Distances within the generated ones, (F, F).
        across: Distances between them.

    Source: Lopez-Paz & Oquab 2017, arXiv:1610.06545; Yang et al. 2019, arXiv:1906.12320, eq. 10.
    """
    within_real, within_fake = (x.clone().fill_diagonal_(torch.inf).amin(1) for x in (real, fake))
    right = 0.0
    for within, other in ((within_real, across.amin(1)), (within_fake, across.amin(0))):
        right += float((within < other).sum() + (within == other).sum() / 2)  # a tie is half right
    return right / (len(real) + len(fake))


def _shapes(samples: Float[Tensor, "M 1 X Y Z"]) -> ShapeSet:
    return ShapeSet(samples[:, 0] > 0)


class ShapeQuality:
    """Mean Chamfer distance of the validation shapes to their nearest generated ones, in voxels."""

    name = "matched_chamfer"

    def __init__(self, data: ArrayData, *, samples: int):
        self.data, self.samples = data, samples
        self.worst = float(np.linalg.norm(data.shape[1:])) / 2

    @cached_property
    def _real(self) -> ShapeSet:
        return _shapes(self.data.validation())

    def __call__(self, fake: Float[Tensor, "N M 1 X Y Z"]) -> Float64[Tensor, " N"]:
        """Computes distances, at most `worst`; `worst` for a row with a non-finite value."""
        if fake.shape[1] != self.samples:
            raise ValueError(f"{self.samples} generated samples are needed, got {fake.shape[1]}")
        found = torch.full((len(fake),), self.worst, dtype=torch.float64)
        for row, samples in enumerate(fake):
            if torch.isfinite(samples).all():
                found[row] = chamfer(self._real, _shapes(samples)).amin(1).mean().clamp(max=self.worst)
        return found.to(fake.device)


class ShapeScore:
    """Mean Chamfer distance of the test shapes to their nearest generated ones ("minimum matching distance").

    The other direction, generated to nearest real, would reward a generator of one good shape; `details` reports it.

    Source: Achlioptas et al. 2018, arXiv:1707.02392, section 3 (MMD and coverage).
    """

    name = "matched_chamfer"

    def __init__(self, data: ArrayData):
        self.data, self.samples = data, data.test_size

    @cached_property
    def _real(self) -> ShapeSet:
        return _shapes(self.data.test())

    def __call__(self, fake: Float[Tensor, "M 1 X Y Z"]) -> float:
        """Computes the distance, in voxels; raises ValueError if a value is not finite or the count is wrong."""
        return float(chamfer(self._real, self._checked(fake)).amin(1).mean())

    def _checked(self, fake: Tensor) -> ShapeSet:
        if len(fake) != self.samples:
            raise ValueError(f"{self.samples} generated samples are needed, got {len(fake)}")
        distances.require_finite(fake)
        return _shapes(fake)

    def floor(self) -> float:
        """Returns the score of the validation shapes."""
        return self(self.data.validation()[: self.samples])

    def details(self, fake: Float[Tensor, "M 1 X Y Z"]) -> dict[str, float]:
        """Returns further measures; all but `to_nearest_real` and `filled` detect mode collapse.

        `coverage`: share of test shapes that are the nearest of some generated one. `nearest_accuracy`: see
        `nearest_neighbour_accuracy`. `diversity`: mean Chamfer distance between two generated shapes (GCANN).
        `to_nearest_real`: mean distance of generated shapes to their nearest test shape. `filled`: mean share of
        full voxels.
        """
        ours = self._checked(fake)
        across, within = chamfer(self._real, ours), chamfer(ours, ours)
        pairs = len(within) * (len(within) - 1)
        return {
            "samples": float(len(fake)),
            "coverage": len(across.argmin(0).unique()) / len(across),
            "nearest_accuracy": nearest_neighbour_accuracy(chamfer(self._real, self._real), within, across),
            "diversity": float((within.sum() - within.diagonal().sum()) / pairs),
            "to_nearest_real": float(across.amin(0).mean()),
            "filled": float((fake > 0).double().mean()),
        }
