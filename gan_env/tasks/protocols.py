"""Interfaces of a task's parts: data, cheap quality, final score, wiring of the players."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from gan_env.random.streams import Purpose


@runtime_checkable
class Data(Protocol):
    """Source of real samples in three splits: *train* through `codes` and `batch`, *validation* and *test* whole.

    Random draws are *codes* (a point, or the index of an image), so that an epoch of a large data set costs little
    memory; `batch` converts codes to samples. Finite data have a length, which defines an epoch.

    Examples:
        >>> from gan_env import make_task
        >>> data = make_task("ring").data
        >>> isinstance(data, Data), data.shape, data.test().shape
        (True, (2,), torch.Size([2000, 2]))
    """

    shape: tuple[int, ...]
    """Shape of one sample, e.g. (2,) or (1, 28, 28)."""

    def block(self, batch_size: int) -> int:
        """Returns the number of batches per call of `codes`: an epoch for finite data, a constant for endless data.

        Raises ValueError if the training split has fewer samples than one batch.
        """
        ...

    def codes(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Draws codes of `block(batch_size)` training batches, (block, batch_size, *code_shape), from `rng` only."""
        ...

    def batch(self, codes: Tensor) -> Float[Tensor, "*N X"] | Tensor:
        """Converts codes (*lead, *code_shape) to samples (*lead, *shape), float32, on the codes' device."""
        ...

    def validation(self) -> Tensor:
        """Returns the validation split, (M, *shape): for rewards, look-ahead and choosing constants."""
        ...

    def test(self) -> Tensor:
        """Returns the test split, (M, *shape): for the score only."""
        ...


@runtime_checkable
class Quality(Protocol):
    """A cheap distance of generated samples to *validation* data, for all rows at once; lower is better.

    Examples:
        >>> from gan_env import make_task
        >>> quality = make_task("ring").quality
        >>> isinstance(quality, Quality), quality.name
        (True, 'sliced_w1')
    """

    name: str
    samples: int
    """Number of generated samples that it needs per row."""
    worst: float
    """Bound at which rewards clip it; about the quality of an untrained generator."""

    def __call__(self, fake: Tensor) -> Float[Tensor, " N"]:
        """Computes the distances of samples (N, samples, *shape), float64."""
        ...


@runtime_checkable
class Score(Protocol):
    """The exact distance of one generator's samples to *test* data; lower is better. Never used in training.

    Examples:
        >>> from gan_env import make_task
        >>> score = make_task("ring").score
        >>> isinstance(score, Score), score.name
        (True, 'w1')
    """

    name: str
    samples: int

    def __call__(self, fake: Tensor) -> float:
        """Computes the distance of samples (samples, *shape) to the test split."""
        ...

    def floor(self) -> float:
        """Returns the distance of as many fresh real samples: what a perfect generator would get."""
        ...

    def details(self, fake: Tensor) -> Mapping[str, float | str]:
        """Returns further measures of the same samples, e.g. modes hit or class coverage, and the network used."""
        ...


@runtime_checkable
class Wiring(Protocol):
    """Connects the players of a game in which G processes data and has a loss of its own besides D's feedback.

    G's loss is `own_loss` minus `strength` times D's loss on both sides: gradient reversal (Ganin & Lempitsky 2015,
    arXiv:1409.7495, eq. 10 to 18).

    Examples:
        >>> from gan_env import make_task
        >>> isinstance(make_task("digits-domains").wiring, Wiring)
        True
    """

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of G's output for one input."""
        ...

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of D's input for one sample."""
        ...

    def inputs(self, codes: Tensor) -> Tensor:
        """Returns G's inputs (n, M, *in) for a batch of codes (n, B, *code_shape), float32."""
        ...

    def sides(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """Returns D's two batches (n, B, *seen_shape), real and fake, from G's output (n, M, *out_shape)."""
        ...

    def own_loss(self, out: Tensor, codes: Tensor) -> Float[Tensor, " n"]:
        """Computes G's loss apart from D, differentiable in `out`: `g_loss` of measurements."""
        ...

    def strength(self, progress: Tensor) -> Tensor:
        """Returns the weight of the reversed gradient at these shares of the run, (n,)."""
        ...

    def held_out(self, purpose: Purpose, count: int) -> Tensor:
        """Returns inputs (count, *in) on which G is judged; those of the test split for Purpose.SCORE only."""
        ...
