"""A task: the two players, the data, and how what the generator makes is judged on data that no player saw."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from gan_env.argument_checks import at_least, is_positive, one_of
from gan_env.losses.losses import get_loss
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.random.streams import Purpose
from gan_env.registry import Registry


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
class Game(Protocol):
    """Where G makes something of the data instead of latents, and has a loss of its own besides D's verdict.

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


KINDS = ("plane", "image", "voxels", "domains", "dirac", "custom")


@dataclass(frozen=True, kw_only=True, init=False)
class Task:
    """What is trained and how it is judged; a GAN of your own needs the first three arguments.

    Args:
        generator: Class or function that builds a module: latents (B, latent_size) to samples (B, *shape). Latents of
            shape (B, latent_size, 1, 1) are handed over where the module takes those.
        discriminator: The same for samples (B, *shape) to logits (B,), (B, 1) or (B, 1, 1, 1).
        data: A tensor or array (count, *shape), a `torch.utils.data.Dataset`, a folder of pictures, or a `Data`.
        latent_size: Normals that a sample is made from; a tuple for latents of another shape.
        quality: `quality(real, fake)`, a distance of two sets of samples, or a `Quality`; by default a sliced W1.
        score: The final judge, a `Score`; by default the same distance, to test data.
        loss: A name of a GAN loss.
        name: For tables and pictures.
        kind: "plane", "image", "voxels", "domains", "dirac" or "custom": how it is drawn, and some controllers have
            defaults by kind. By default from the data's shape.
        batch_size, d_lr, g_lr, episode_updates, optimizer, dtype: Defaults of a run, as in `EnvConfig`.
        latents, distance, game: See the fields.

    Raises:
        ValueError: Naming the argument that does not fit the others.
    """

    name: str
    generator: Callable[[], nn.Module]
    discriminator: Callable[[], nn.Module]
    latent_size: int
    data: Data
    quality: Quality
    score: Score
    kind: str
    batch_size: int
    d_lr: float
    g_lr: float
    episode_updates: int
    loss: str
    optimizer: OptimizerSpec | None
    """Of both players; by default the loss' own."""
    dtype: Literal["float32", "float64"]
    latents: Literal["normal", "ones"]
    """N(0, I), or the number 1 (Dirac-GAN)."""
    distance: Callable[[nn.Module, nn.Module], float] | None
    """A score that is read off the generator and the discriminator themselves, in place of samples."""
    game: Game | None
    """How G is fed and what it learns, where it is no plain GAN."""

    def __init__(
        self,
        *,
        generator: Callable[[], nn.Module],
        discriminator: Callable[[], nn.Module],
        data: Any,
        latent_size: int | tuple[int, ...] = 100,
        quality: Any = None,
        score: Score | None = None,
        loss: str = "bce",
        name: str = "custom",
        kind: str | None = None,
        batch_size: int | None = None,
        d_lr: float = 2e-4,
        g_lr: float = 2e-4,
        episode_updates: int = 5_000,
        optimizer: OptimizerSpec | dict[str, Any] | str | None = None,
        dtype: Literal["float32", "float64"] = "float32",
        latents: Literal["normal", "ones"] = "normal",
        distance: Callable[[nn.Module, nn.Module], float] | None = None,
        game: Game | None = None,
    ):
        from gan_env.tasks import from_data as custom  # they know this module
        from gan_env.tasks import from_modules

        if game is None:
            for each in latent_size if isinstance(latent_size, tuple) else (latent_size,):
                at_least("latent_size", each, 1)
        size = math.prod(latent_size) if isinstance(latent_size, tuple) else latent_size
        data = data if isinstance(data, Data) else custom.as_data(data)
        if game is None:
            generator = from_modules.fitted_generator(generator, latent_size, data.shape)
            discriminator = from_modules.fitted_discriminator(discriminator, data.shape)
        quality, score = custom.judges(data, quality, score, partial(from_modules.untrained_samples, generator, size))
        if batch_size is None:
            batch_size = min(64, len(data)) if hasattr(data, "__len__") else 64
        if kind is None:
            kind = "image" if len(data.shape) == 3 else "plane" if data.shape == (2,) else "custom"
        values = {
            "name": name,
            "generator": generator,
            "discriminator": discriminator,
            "latent_size": size,
            "data": data,
            "quality": quality,
            "score": score,
            "kind": kind,
            "batch_size": batch_size,
            "d_lr": d_lr,
            "g_lr": g_lr,
            "episode_updates": episode_updates,
            "loss": loss,
            "optimizer": None if optimizer is None else OptimizerSpec.of(optimizer),
            "dtype": dtype,
            "latents": latents,
            "distance": distance,
            "game": game,
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)
        self._check()

    @cached_property
    def untrained_scores(self) -> dict[Any, float | None]:
        """Scores of generators before their first update, as far as they were asked for; one can take seconds."""
        return {}

    def _check(self) -> None:
        """Raises ValueError for a setting that no run could use."""
        one_of("kind", self.kind, KINDS)
        one_of("latents", self.latents, ("normal", "ones"))
        one_of("dtype", self.dtype, ("float32", "float64"))
        get_loss(self.loss)
        for field in ("batch_size", "episode_updates"):
            at_least(field, getattr(self, field), 1)
        for field in ("d_lr", "g_lr"):
            if not is_positive(getattr(self, field)):
                raise ValueError(f"{field}={getattr(self, field)!r} must be a finite learning rate > 0")


TASKS: Registry[Callable[..., Task]] = Registry("task", "gan_env.tasks", built_in="gan_env.tasks")
"""Name to a function that builds the task; data are read when it is called, not on import.

A function with a parameter takes what stands behind a colon: `folder:PATH@64` calls TASKS["folder"]("PATH@64"). If
the parameter has a default, the bare name will do: `fashion`, `fashion:PATH`.
"""


def parse_task(name: str) -> tuple[Callable[..., Task], tuple[str, ...]]:
    """The function that builds a task, and its arguments; reads no data.

    Raises:
        ValueError: If nobody registered the name (the nearest one is suggested), or the argument is missing or one
            too many.
    """
    head, colon, argument = name.partition(":") if isinstance(name, str) else (name, "", "")
    build = TASKS[head]
    takes = list(inspect.signature(build).parameters.values())
    takes = [each for each in takes if each.kind is each.POSITIONAL_OR_KEYWORD]
    if colon and not takes:
        raise ValueError(f"task {head!r} takes no argument, got {name!r}; write {head!r}")
    if takes and takes[0].default is inspect.Parameter.empty and not argument:
        raise ValueError(f"task {head!r} needs to know where its data are: {head}:{takes[0].name.upper()}")
    return build, ((argument,) if argument else ())


def make_task(name: str) -> Task:
    """The task of a name, with its argument behind a colon if it takes one; reads its data.

    Raises:
        ValueError: As `parse_task`, or naming the file that cannot be read.
    """
    build, arguments = parse_task(name)
    return build(*arguments)
