"""Training, validation and test draws: endless points of the plane, and finite arrays of images."""

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
    """Equally likely round Gaussians in the plane; a place u in [0, 1) chooses the one numbered floor(u K)."""

    centres: Float64[np.ndarray, "K 2"]
    std: float
    """Standard deviation along each axis, in data units."""

    def points(self, place: Float64[np.ndarray, "*S"], rng: np.random.Generator) -> Float64[np.ndarray, "*S 2"]:
        """Points whose modes the places choose, their noise drawn from `rng`."""
        mode = (place * len(self.centres)).astype(np.int64)
        return self.centres[mode] + self.std * rng.standard_normal((*place.shape, 2))

    def device_points(self, place: Float[Tensor, "m *S"], draws: Draws) -> Float[Tensor, "m *S 2"]:  # noqa: F821, UP037  a shape
        """The same for m rows on the places' device, the noise from `draws`."""
        centres = torch.from_numpy(self.centres).to(place.device, torch.float32)
        return centres[(place * len(centres)).long()] + self.std * draws.normal(*place.shape[1:], 2)


@dataclass(frozen=True, eq=False)
class Curve:
    """Points exactly on a curve, uniform in its parameter u in [0, 1)."""

    path: Callable[[Tensor], Tensor]
    """Places (*S) to points (*S, 2)."""

    def points(self, place: Float64[np.ndarray, "*S"], rng: np.random.Generator) -> Float64[np.ndarray, "*S 2"]:
        """The curve at the places; draws nothing."""
        return self.path(torch.from_numpy(place)).numpy()

    def device_points(self, place: Float[Tensor, "*S"], draws: Draws) -> Float[Tensor, "*S 2"]:
        """The same on the places' device."""
        return self.path(place)


Distribution = GaussianMixture | Curve


def ring(std: float = 0.05) -> GaussianMixture:
    """Eight Gaussians evenly spaced at radius 0.5.

    The thesis prints "variance 0.05", which would merge neighbours 0.383 apart; read as the standard deviation.
    """
    angle = 2 * np.pi * np.arange(8) / 8
    return GaussianMixture(0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1), std)


def grid(std: float = 0.02) -> GaussianMixture:
    """Five by five Gaussians, 0.25 apart, in [-0.5, 0.5] squared."""
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
    """One point in each of `count` equal slices of the place: equal modes, an evenly covered curve."""
    rng = np.random.default_rng(seed)
    place = (np.arange(count) + rng.random(count)) / count
    return torch.from_numpy(distribution.points(place, rng).astype(np.float32))


class PlaneData:
    """Endless points of the plane. A code is the point itself.

    Validation and test draws are balanced over the modes or along the curve. Two independent `ring` draws of 2,000
    points are about .026 apart in W1, a balanced and an independent one .023, two balanced ones .013: balance
    lowers the floor under a score.

    Args:
        distribution: Where the points come from, e.g. `ring()`.
        validation_size, test_size: Points; the defaults are multiples of 8 and of 25, so that every mode of the
            ring and of the grid gets equally many.
    """

    shape: tuple[int, ...] = (2,)
    batches_per_block = 8
    """Fixed: another value would hand the same seed other batches."""

    def __init__(self, distribution: Distribution, *, validation_size: int = 800, test_size: int = 2_000):
        self.distribution = distribution
        self.validation_size, self.test_size = validation_size, test_size

    def block(self, batch_size: int) -> int:
        """Eight batches, whatever their size."""
        return self.batches_per_block

    def codes(self, rng: np.random.Generator, batch_size: int) -> Float32[np.ndarray, "K B 2"]:
        """Independent points, from `rng` alone."""
        return self._independent(rng, (self.batches_per_block, batch_size))

    def device_codes(self, draws: Draws, batch_size: int) -> Float32[Tensor, "m K B 2"]:
        """Independent points for m rows, on the draws' device."""
        return self.distribution.device_points(draws.uniform(self.batches_per_block, batch_size), draws)

    def batch(self, codes: Tensor) -> Float32[Tensor, "*S 2"]:
        """The codes themselves, as float32."""
        return codes.float()

    def validation(self) -> Float32[Tensor, "M 2"]:
        """Balanced points, the same at every call."""
        return _balanced(self.distribution, self.validation_size, VALIDATION_SEED)

    def test(self) -> Float32[Tensor, "M 2"]:
        """Balanced points, the same at every call and other than the validation points."""
        return _balanced(self.distribution, self.test_size, TEST_SEED)

    def fresh(self, draws: int, count: int) -> Float32[Tensor, "draws count 2"]:
        """Independent points of no split, the same at every call: what a perfect generator would make."""
        return torch.from_numpy(self._independent(np.random.default_rng(FLOOR_SEED), (draws, count)))

    def _independent(self, rng: np.random.Generator, size: tuple[int, ...]) -> Float32[np.ndarray, "*S 2"]:
        return self.distribution.points(rng.random(size), rng).astype(np.float32)


def from_pixels(pixels: Tensor) -> Tensor:
    """Samples in float32: bytes 0...255 become -1...1, other numbers stay."""
    return pixels.float().div(127.5).sub(1) if pixels.dtype == torch.uint8 else pixels.float()


class ArrayData:
    """Finite data in memory. A code is the index of a training sample.

    Args:
        train, validation, test: Samples of the three splits, (count, *shape): float32, or uint8 for pixels, which
            are kept as bytes and handed out in -1...1.
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
        """Training samples."""
        return len(self._train)

    @property
    def of_bytes(self) -> bool:
        """Whether the samples were given as pixels of 0 to 255."""
        return self._train.dtype == torch.uint8

    @property
    def test_size(self) -> int:
        """Test samples; asking does not touch them."""
        return len(self._test)

    def block(self, batch_size: int) -> int:
        """Whole batches in one epoch; the incomplete last one is dropped.

        Raises:
            ValueError: If the training split holds fewer samples than one batch.
        """
        if not 1 <= batch_size <= len(self):
            raise ValueError(
                f"batch_size={batch_size} must be at least 1 and at most {len(self)}, the samples of the training split"
            )
        return len(self) // batch_size

    def codes(self, rng: np.random.Generator, batch_size: int) -> Int64[np.ndarray, "K B"]:
        """One epoch from `rng` alone: every index at most once.

        Raises:
            ValueError: If the training split holds fewer samples than one batch.
        """
        batches = self.block(batch_size)
        return rng.permutation(len(self))[: batches * batch_size].reshape(batches, batch_size)

    def device_codes(self, draws: Draws, batch_size: int) -> Int64[Tensor, "m K B"]:
        """One epoch for each of m rows, on the draws' device."""
        batches = self.block(batch_size)
        return draws.uniform(len(self)).argsort(1)[:, : batches * batch_size].unflatten(1, (batches, batch_size))

    def batch(self, codes: Int64[Tensor, "*S"]) -> Float[Tensor, "..."]:  # noqa: UP037  a shape, not a name
        """Training samples of the indices, on the indices' device."""
        if codes.device not in self._on_device:
            self._on_device[codes.device] = self._train.to(codes.device)
        return from_pixels(self._on_device[codes.device][codes])

    def batch_labels(self, codes: Int64[Tensor, "*S"]) -> Tensor:
        """Labels (*S, *label shape) of the training samples of the indices; raises ValueError where there are none."""
        if self.labels is None:
            raise ValueError("these data hold no labels")
        if codes.device not in self._labels_on_device:
            self._labels_on_device[codes.device] = self.labels[0].to(codes.device)
        return self._labels_on_device[codes.device][codes]

    @property
    def samples(self) -> Tensor:
        """The training samples as stored, (A, *shape): bytes or float32, which `from_pixels` turns into samples."""
        return self._train

    def train(self) -> Float[Tensor, "A ..."]:
        """The whole training split, for what is fitted to it once."""
        return from_pixels(self._train)

    def validation(self) -> Float[Tensor, "V ..."]:
        """The validation split."""
        return from_pixels(self._validation)

    def test(self) -> Float[Tensor, "T ..."]:
        """The test split."""
        return from_pixels(self._test)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves copies on devices behind: they are made again when needed."""
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
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels as "train", "validation" and "test".

    Validation and test hold 40 of each class, 400 in all, so that the class shares of real samples are exact; the
    other 997 train. Equal sizes make the floor of a Frechet distance plain: validation against test is as many fresh
    real images as a generator is scored on. With 400 images and 32 features that floor is 1.5, against 710 for an
    untrained generator and some tens for one trained well.

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
    """The digits as data of a game."""
    splits = digits_splits()
    return ArrayData(
        splits["train"].images,
        splits["validation"].images,
        splits["test"].images,
        test_labels=splits["test"].labels,
    )
