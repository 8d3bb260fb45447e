"""Data of a GAN in three splits: endless points of the plane, and finite arrays such as images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from gan_env.random.counters import Draws

# Seeds of the fixed draws: large, so that no row's stream, seeded with a small integer, meets one.
VALIDATION_SEED, TEST_SEED, FLOOR_SEED, SPLIT_SEED = 7_040_311_001, 7_040_311_002, 7_040_311_003, 7_040_311_004


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """K equally likely isotropic Gaussians in the plane; a place u in [0, 1) selects number floor(u K)."""

    centres: Float64[np.ndarray, "K 2"]
    std: float
    """Standard deviation along each axis, in data units."""

    def points(self, place: Float64[np.ndarray, "*S"], rng: np.random.Generator) -> Float64[np.ndarray, "*S 2"]:
        """Draws points; the places select their modes, `rng` their noise."""
        mode = (place * len(self.centres)).astype(np.int64)
        return self.centres[mode] + self.std * rng.standard_normal((*place.shape, 2))

    def device_points(self, place: Float[Tensor, "m *S"], draws: Draws) -> Float[Tensor, "m *S 2"]:  # noqa: F821, UP037  a shape
        """Draws points for m rows on the places' device, with noise from `draws`."""
        centres = torch.from_numpy(self.centres).to(place.device, torch.float32)
        return centres[(place * len(centres)).long()] + self.std * draws.normal(*place.shape[1:], 2)


@dataclass(frozen=True, eq=False)
class Curve:
    """Points exactly on a curve, uniform in its parameter u in [0, 1)."""

    path: Callable[[Tensor], Tensor]
    """Maps places (*S) to points (*S, 2)."""

    def points(self, place: Float64[np.ndarray, "*S"], rng: np.random.Generator) -> Float64[np.ndarray, "*S 2"]:
        """Evaluates the curve at the places; draws nothing."""
        return self.path(torch.from_numpy(place)).numpy()

    def device_points(self, place: Float[Tensor, "*S"], draws: Draws) -> Float[Tensor, "*S 2"]:
        """Evaluates the curve on the places' device."""
        return self.path(place)


Distribution = GaussianMixture | Curve


def ring(std: float = 0.05) -> GaussianMixture:
    """Makes eight Gaussians evenly spaced at radius 0.5.

    The thesis prints "variance 0.05", which would merge neighbours 0.383 apart; read as the standard deviation.
    """
    angle = 2 * np.pi * np.arange(8) / 8
    return GaussianMixture(0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1), std)


def grid(std: float = 0.02) -> GaussianMixture:
    """Makes five by five Gaussians, 0.25 apart, in [-0.5, 0.5] squared."""
    ticks = np.linspace(-0.5, 0.5, 5)
    return GaussianMixture(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), std)


def _circle(u: Tensor) -> Tensor:
    return 0.5 * torch.stack([(2 * np.pi * u).cos(), (2 * np.pi * u).sin()], -1)


def _spiral(u: Tensor) -> Tensor:
    # scikit-learn's swiss roll without its depth, t in [1.5 pi, 4.5 pi], scaled so that its outer end has radius 0.5.
    t = 1.5 * np.pi * (1 + 2 * u)
    return (t / (9 * np.pi)).unsqueeze(-1) * torch.stack([t.cos(), t.sin()], -1)


def _line(u: Tensor) -> Tensor:
    return torch.stack([u, u], -1) - 0.5


DISTRIBUTIONS: dict[str, Callable[[], Distribution]] = {
    "ring": ring,
    "grid": grid,
    "circle": lambda: Curve(_circle),
    "spiral": lambda: Curve(_spiral),
    "line": lambda: Curve(_line),
}
"""The thesis' four and the common 5 x 5 grid, all within about half a unit of the origin."""


def _balanced(distribution: Distribution, count: int, seed: int) -> Float32[Tensor, "M 2"]:
    """Draws one point in each of `count` equal slices of the place: equal modes, an evenly covered curve."""
    rng = np.random.default_rng(seed)
    place = (np.arange(count) + rng.random(count)) / count
    return torch.from_numpy(distribution.points(place, rng).astype(np.float32))


class PlaneData:
    """Endless points of the plane. A code is the point itself.

    Validation and test draws are balanced over the modes or along the curve. Two independent `ring` draws of 2,000
    points are about .026 apart in W1, a balanced and an independent one .023, two balanced ones .013: balance
    lowers the floor under a score.

    Args:
        distribution: Distribution of the points, e.g. `ring()`.
        validation_size, test_size: Points; the defaults are multiples of 8 and of 25, so that every mode of the
            ring and of the grid gets equally many.
    """

    shape: tuple[int, ...] = (2,)
    batches_per_block = 8
    """Fixed: another value would give the same seed other batches."""

    def __init__(self, distribution: Distribution, *, validation_size: int = 800, test_size: int = 2_000):
        self.distribution = distribution
        self.validation_size, self.test_size = validation_size, test_size

    def block(self, batch_size: int) -> int:
        """Returns the number of batches in one block: 8."""
        return self.batches_per_block

    def codes(self, rng: np.random.Generator, batch_size: int) -> Float32[np.ndarray, "K B 2"]:
        """Draws independent points from `rng`."""
        return self._independent(rng, (self.batches_per_block, batch_size))

    def device_codes(self, draws: Draws, batch_size: int) -> Float32[Tensor, "m K B 2"]:
        """Draws independent points for m rows, on the draws' device."""
        return self.distribution.device_points(draws.uniform(self.batches_per_block, batch_size), draws)

    def batch(self, codes: Tensor) -> Float32[Tensor, "*S 2"]:
        """Returns the codes themselves, as float32."""
        return codes.float()

    def validation(self) -> Float32[Tensor, "M 2"]:
        """Returns balanced points, the same at every call."""
        return _balanced(self.distribution, self.validation_size, VALIDATION_SEED)

    def test(self) -> Float32[Tensor, "M 2"]:
        """Returns balanced points, the same at every call and different from the validation points."""
        return _balanced(self.distribution, self.test_size, TEST_SEED)

    def fresh(self, draws: int, count: int) -> Float32[Tensor, "draws count 2"]:
        """Returns independent points of no split, the same at every call: what a perfect generator would make."""
        return torch.from_numpy(self._independent(np.random.default_rng(FLOOR_SEED), (draws, count)))

    def _independent(self, rng: np.random.Generator, size: tuple[int, ...]) -> Float32[np.ndarray, "*S 2"]:
        return self.distribution.points(rng.random(size), rng).astype(np.float32)


def from_pixels(pixels: Tensor) -> Tensor:
    """Converts samples to float32: bytes 0...255 become -1...1, other numbers stay."""
    return pixels.float().div(127.5).sub(1) if pixels.dtype == torch.uint8 else pixels.float()


class ArrayData:
    """Finite data in memory. A code is the index of a training sample.

    Args:
        train, validation, test: Samples of the three splits, (count, *shape): float32, or uint8 for pixels, which
            are stored as bytes and returned in -1...1.
        test_labels: Classes of the test samples, for class coverage; None if there are none.
        labels: Labels of the three splits, (count, *label shape), int64 or float32, that both players of a conditional
            GAN are given; None for a GAN without.
    """

    def __init__(
        self,
        train: Float32[Tensor, "A ..."] | UInt8[Tensor, "A ..."],
        validation: Float32[Tensor, "V ..."] | UInt8[Tensor, "V ..."],
        test: Float32[Tensor, "T ..."] | UInt8[Tensor, "T ..."],
        *,
        test_labels: Int64[Tensor, " T"] | None = None,
        labels: tuple[Tensor, Tensor, Tensor] | None = None,
    ):
        if not train.shape[1:] == validation.shape[1:] == test.shape[1:]:
            raise ValueError(
                f"the splits hold samples of shapes {tuple(train.shape[1:])}, {tuple(validation.shape[1:])} and "
                f"{tuple(test.shape[1:])}; they must agree"
            )
        if labels is not None and [len(each) for each in labels] != [len(train), len(validation), len(test)]:
            raise ValueError(
                f"labels are {', '.join(str(len(each)) for each in labels)} for splits of {len(train)}, "
                f"{len(validation)} and {len(test)} samples; each sample needs one"
            )
        self.shape: tuple[int, ...] = tuple(train.shape[1:])
        self.test_labels, self.labels = test_labels, labels
        self._train, self._validation, self._test = train, validation, test
        self._on_device = {train.device: train}
        self._labels_on_device: dict[torch.device, Tensor] = {}

    def __len__(self) -> int:
        """Number of training samples."""
        return len(self._train)

    @property
    def of_bytes(self) -> bool:
        """Whether the samples are stored as bytes, pixels of 0 to 255."""
        return self._train.dtype == torch.uint8

    @property
    def test_size(self) -> int:
        """Number of test samples; reads none of them."""
        return len(self._test)

    def block(self, batch_size: int) -> int:
        """Counts the whole batches in one epoch; the incomplete last one is dropped.

        Raises:
            ValueError: If the training split holds fewer samples than one batch.
        """
        if not 1 <= batch_size <= len(self):
            raise ValueError(
                f"batch_size={batch_size} must be at least 1 and at most {len(self)}, the samples of the training split"
            )
        return len(self) // batch_size

    def codes(self, rng: np.random.Generator, batch_size: int) -> Int64[np.ndarray, "K B"]:
        """Draws one epoch from `rng`: every index at most once.

        Raises:
            ValueError: If the training split holds fewer samples than one batch.
        """
        batches = self.block(batch_size)
        return rng.permutation(len(self))[: batches * batch_size].reshape(batches, batch_size)

    def device_codes(self, draws: Draws, batch_size: int) -> Int64[Tensor, "m K B"]:
        """Draws one epoch for each of m rows, on the draws' device."""
        batches = self.block(batch_size)
        return draws.uniform(len(self)).argsort(1)[:, : batches * batch_size].unflatten(1, (batches, batch_size))

    def batch(self, codes: Int64[Tensor, "*S"]) -> Float[Tensor, "..."]:  # noqa: UP037  a shape, not a name
        """Returns the training samples of the indices, on the indices' device."""
        if codes.device not in self._on_device:
            self._on_device[codes.device] = self._train.to(codes.device)
        return from_pixels(self._on_device[codes.device][codes])

    def batch_labels(self, codes: Int64[Tensor, "*S"]) -> Tensor:
        """Returns labels (*S, *label shape) of the training samples; raises ValueError if there are none."""
        if self.labels is None:
            raise ValueError("these data hold no labels")
        if codes.device not in self._labels_on_device:
            self._labels_on_device[codes.device] = self.labels[0].to(codes.device)
        return self._labels_on_device[codes.device][codes]

    @property
    def samples(self) -> Tensor:
        """Returns the training samples as stored, (A, *shape): bytes or float32, see `from_pixels`."""
        return self._train

    def train(self) -> Float[Tensor, "A ..."]:
        """Returns the whole training split."""
        return from_pixels(self._train)

    def validation(self) -> Float[Tensor, "V ..."]:
        """Returns the validation split."""
        return from_pixels(self._validation)

    def test(self) -> Float[Tensor, "T ..."]:
        """Returns the test split."""
        return from_pixels(self._test)

    def __getstate__(self) -> dict[str, Any]:
        """Drops the copies on devices, which are made again when needed."""
        return self.__dict__ | {"_on_device": {self._train.device: self._train}, "_labels_on_device": {}}


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images in [-1, 1] with their classes."""

    images: Float32[Tensor, "M C H W"]
    labels: Int64[Tensor, " M"]


HELD_OUT_PER_CLASS = 40
"""Digits of each class in the validation split, and as many in the test split."""


@cache
def digits_splits() -> dict[str, LabelledImages]:
    """Splits scikit-learn's 1,797 handwritten digits of 8 x 8 pixels into "train", "validation" and "test".

    Validation and test have 40 of each class, 400 in all, so that the class shares of real samples are exact; the
    other 997 are for training. Because the splits have equal sizes, validation against test gives the floor of the
    Frechet distance: as many fresh real images as a generator is scored on. With 400 images and 32 features that floor
    is 1.5, against 710 for an untrained generator and some tens for a well-trained one.

    Source: E. Alpaydin and C. Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
    """
    from sklearn.datasets import load_digits  # slow to import, and only this task needs it

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy((pixels / 8 - 1).astype(np.float32).reshape(-1, 1, 8, 8))  # 0...16 to -1...1
    rng = np.random.default_rng(SPLIT_SEED)
    members: dict[str, list[np.ndarray]] = {"validation": [], "test": [], "train": []}
    for label in range(10):
        order = rng.permutation(np.flatnonzero(labels == label))
        pieces = np.split(order, [HELD_OUT_PER_CLASS, 2 * HELD_OUT_PER_CLASS])
        for split, piece in zip(members, pieces, strict=True):
            members[split].append(piece)

    splits = {}
    for split, pieces in members.items():
        indices = np.sort(np.concatenate(pieces))
        splits[split] = LabelledImages(images=images[indices], labels=torch.from_numpy(labels[indices]).long())
    return splits


@cache
def digits_data() -> ArrayData:
    """Returns the digits as `ArrayData`."""
    splits = digits_splits()
    return ArrayData(
        splits["train"].images,
        splits["validation"].images,
        splits["test"].images,
        test_labels=splits["test"].labels,
    )
