"""Interfaces of a task's parts: data, a cheap measure of quality, the final score, the wiring of its players."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from gan_env.random.streams import Purpose


@runtime_checkable
class Data(Protocol):
    """Where real batches come from. Three splits: *train* through `codes` and `batch`, *validation* and *test* whole.

    What is drawn at random is a *code* (a point, or the index of an image), so that a drawn epoch of a large data
    set costs little memory; `batch` turns codes into samples. Finite data have a length, by which an epoch is known.
    """

    shape: tuple[int, ...]
    """Shape of one sample, e.g. (2,) or (1, 28, 28)."""

    def block(self, batch_size: int) -> int:
        """Batches that one call of `codes` yields: an epoch for finite data, a constant for endless data.

        Raises ValueError if the training split holds fewer samples than one batch.
        """
        ...

    def codes(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Codes of `block(batch_size)` training batches, (block, batch_size, *code_shape), from this generator only."""
        ...

    def batch(self, codes: Tensor) -> Float[Tensor, "*N X"] | Tensor:
        """Samples (*lead, *shape) of codes (*lead, *code_shape), float32, on the codes' device."""
        ...

    def validation(self) -> Tensor:
        """The validation split, (M, *shape): for rewards, look-ahead and choosing constants."""
        ...

    def test(self) -> Tensor:
        """The test split, (M, *shape): for the score alone."""
        ...


@runtime_checkable
class Quality(Protocol):
    """A cheap distance of generated samples to *validation* data, for all rows at once; lower is better."""

    name: str
    samples: int
    """Generated samples that it needs per row."""
    worst: float
    """Bound at which rewards clip it; about what an untrained generator gets."""

    def __call__(self, fake: Tensor) -> Float[Tensor, " N"]:
        """Distances of samples (N, samples, *shape), float64."""
        ...


@runtime_checkable
class Score(Protocol):
    """The exact distance of one generator's samples to *test* data; lower is better. Never used in training."""

    name: str
    samples: int

    def __call__(self, fake: Tensor) -> float:
        """Distance of samples (samples, *shape) to the test split."""
        ...

    def floor(self) -> float:
        """The same distance for as many fresh real samples: what a perfect generator would get."""
        ...

    def details(self, fake: Tensor) -> Mapping[str, float | str]:
        """Further plain figures of the same samples, e.g. modes hit or class coverage, and what they were read with."""
        ...


@runtime_checkable
class Wiring(Protocol):
    """How the players are joined where G makes something of the data and has a loss of its own besides D's verdict.

    G's loss is `own_loss` minus `strength` times D's loss on both sides: gradient reversal (Ganin & Lempitsky 2015,
    arXiv:1409.7495, eq. 10 to 18).
    """

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of what G makes of one input."""
        ...

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of what D sees of it."""
        ...

    def inputs(self, codes: Tensor) -> Tensor:
        """G's inputs (n, M, *in) of a batch of codes (n, B, *code_shape), float32."""
        ...

    def sides(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """D's two batches (n, B, *seen_shape), real and fake, from what G made (n, M, *out_shape)."""
        ...

    def own_loss(self, out: Tensor, codes: Tensor) -> Float[Tensor, " n"]:
        """G's loss apart from D, differentiable in `out`: what measurements call `g_loss`."""
        ...

    def strength(self, progress: Tensor) -> Tensor:
        """Weight of the reversed gradient at these shares of the run, (n,)."""
        ...

    def held_out(self, purpose: Purpose, count: int) -> Tensor:
        """Inputs (count, *in) on which G is judged; the test split's for Purpose.SCORE alone."""
        ...
