"""A task: the two players, the data, and how what the generator makes is judged on data that no player saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from gan_env.registry import Registry


@runtime_checkable
class Data(Protocol):
    """Where real batches come from. Three splits: *train* through `codes` and `batch`, *validation* and *test* whole.

    What is drawn at random is a *code* (a point, or the index of an image), so that a drawn epoch of a large data
    set costs little memory; `batch` turns codes into samples.
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

    def details(self, fake: Tensor) -> dict[str, float]:
        """Further plain figures of the same samples, e.g. modes hit or class coverage."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is trained and how it is judged. `generator()` and `discriminator()` build plain modules.

    The generator maps latents (B, latent_size) to samples (B, *data.shape); the discriminator maps samples to
    logits (B,) or (B, 1).
    """

    name: str
    generator: Callable[[], nn.Module]
    discriminator: Callable[[], nn.Module]
    latent_size: int
    data: Data
    quality: Quality
    score: Score
    kind: str = "plane"
    """"plane", "image", "voxels", "domains" or "dirac"; some controllers have defaults by kind."""
    batch_size: int = 128
    d_lr: float = 2e-4
    g_lr: float = 2e-4
    episode_updates: int = 5_000
    loss: str = "bce"


TASKS: Registry[Callable[[], Task]] = Registry("task")
"""Name to a function that builds the task; data are read when it is called, not on import."""
