"""A task: the two players, the data, and how generated samples are judged on held-out data."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import nn

from gan_env.argument_checks import at_least, is_positive, one_of, plain_text
from gan_env.losses.losses import get_loss
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.registry import Registry
from gan_env.tasks.condition import Condition
from gan_env.tasks.judges import judges
from gan_env.tasks.own_gan import fitted
from gan_env.tasks.protocols import Data as Data
from gan_env.tasks.protocols import Quality as Quality
from gan_env.tasks.protocols import Score as Score
from gan_env.tasks.protocols import Wiring as Wiring
from gan_env.torch_modes import shielded
from gan_env.types import KINDS

PLAYERS = ("generator", "discriminator", "data", "latent_size", "condition")


def _no_samples(count: int) -> torch.Tensor:
    raise ValueError("a task with a wiring of its own needs a Quality, for its G makes no samples of latents")


@dataclass(frozen=True, kw_only=True, init=False, repr=False)
class Task:
    """What is trained and how it is judged; your own GAN needs the first three arguments.

    Examples:
        >>> import torch
        >>> from functools import partial
        >>> from gan_env import GANEnv, Task, mlp_discriminator, mlp_generator
        >>> task = Task(
        ...     generator=partial(mlp_generator, (4, 16, 2), (2,)),
        ...     discriminator=partial(mlp_discriminator, (2, 16, 1), (2,)),
        ...     data=torch.randn(1_000, 2),
        ...     latent_size=4,
        ...     name="blob",
        ... )
        >>> GANEnv(task=task, episode_updates=100)
        GANEnv(blob, bce, update 0/100)

    Args:
        generator: Class or function that builds a module: latents (B, latent_size) to samples (B, *shape). Latents of
            shape (B, latent_size, 1, 1) are handed over where the module takes those. One whose `forward` needs a
            second argument is given labels, `generator(latents, labels)`: see `conditional`.
        discriminator: The same for samples (B, *shape) to logits (B,), (B, 1) or (B, 1, 1, 1), or to a map of logits
            with one channel, (B, 1, H, W) or (B, T, 1), over which the loss averages.
        data: A tensor or array (count, *shape), a table, a pair (samples, labels), a `torch.utils.data.Dataset`, a
            folder of pictures, or a `Data`.
        latent_size: Normals that a sample is made from; a tuple for latents of another shape.
        conditional: Whether both players take the samples' labels as a second argument. By default they do where their
            `forward` cannot be called without.
        quality: `quality(real, fake)`, a distance of two sets of samples, or a `Quality`; by default a sliced W1. Of a
            conditional GAN it is measured within each class.
        score: The final judge, a `Score`; by default the same distance, to test data.
        loss: A name of a GAN loss.
        name: For tables and pictures.
        kind: "plane", "image", "voxels", "domains", "dirac" or "custom": how it is drawn, and some controllers have
            defaults by kind. By default from the data's shape.
        batch_size, d_lr, g_lr, episode_updates, optimizer, dtype: Defaults of a run, as in `EnvConfig`.
        latents, distance, wiring, tuned: See the fields.

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
    """A score computed from the generator and the discriminator themselves, instead of samples."""
    wiring: Wiring | None
    """Inputs and loss of G, if the game is not a plain GAN."""
    tuned: dict[str, float] | None
    """Constant rates "d_lr" and "g_lr" that did best over the task's own number of updates in a sweep on tune seeds, by
    validation data (`benchmarks/rate_sweep.py`); None where none was made. The base rates are these only in `grid`: a
    game of a paper's keeps the paper's, so that a controller meets what its authors did, and `digits` those of its
    committed results."""
    condition: Condition | None = field(init=False)
    """Labels that both players of a conditional GAN are given, appended to latents and samples."""

    @shielded
    def __init__(
        self,
        *,
        generator: Callable[[], nn.Module],
        discriminator: Callable[[], nn.Module],
        data: Any,
        latent_size: int | tuple[int, ...] = 100,
        conditional: bool | None = None,
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
        wiring: Wiring | None = None,
        tuned: dict[str, float] | None = None,
    ):
        one_of("dtype", dtype, ("float32", "float64"))
        values: dict[str, Any] = {
            "name": name,
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
            "wiring": wiring,
            "tuned": tuned,
        }
        if wiring is None:
            for each in latent_size if isinstance(latent_size, tuple) else (latent_size,):
                at_least("latent_size", each, 1)
            gan = fitted(
                generator,
                discriminator,
                data,
                latent_size=latent_size,
                conditional=conditional,
                dtype=getattr(torch, dtype),
            )
            for remark in gan.remarks:
                warnings.warn(remark, stacklevel=3)
            values |= {name: getattr(gan, name) for name in PLAYERS}
            values["quality"], values["score"] = gan.judges(quality, score)
        else:  # its maker knows how the parts fit
            values |= dict(zip(PLAYERS, (generator, discriminator, data, latent_size, None), strict=True))
            values["quality"], values["score"] = judges(data, quality, score, _no_samples, labelled=False)
        for each, value in values.items():
            object.__setattr__(self, each, value)
        self._complete()
        self._check()

    def _complete(self) -> None:
        """Fills in omitted fields that follow from the data."""
        shape = self.data.shape
        kind = "image" if len(shape) == 3 else "plane" if shape == (2,) else "custom"
        batch_size = min(64, len(self.data)) if isinstance(self.data, Sized) else 64
        for name, value in (("kind", kind), ("batch_size", batch_size)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    registered = None
    """Name from which `make_task` builds this very task, if it has one."""

    def __repr__(self) -> str:
        rates = f"{self.d_lr:g}" if self.d_lr == self.g_lr else f"{self.d_lr:g} (D) and {self.g_lr:g} (G)"
        judged = f"score {self.score.name}, quality {self.quality.name}"
        length = f"{self.episode_updates:,} updates of batch {self.batch_size} at {rates}"
        return f"Task({self.name}: {self.kind}, {self.loss}, {length}; {judged})"

    @cached_property
    def untrained_scores(self) -> dict[Any, float | None]:
        """Cached scores of generators before their first update; one can take seconds."""
        return {}

    def _check(self) -> None:
        """Raises ValueError for an invalid setting."""
        plain_text("name", self.name)
        one_of("kind", self.kind, KINDS)
        one_of("latents", self.latents, ("normal", "ones"))
        get_loss(self.loss)
        for name in ("batch_size", "episode_updates"):
            at_least(name, getattr(self, name), 1)
        for name in ("d_lr", "g_lr"):
            if not is_positive(getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)!r} must be a finite learning rate > 0")


TASKS: Registry[Callable[..., Task]] = Registry("task", "gan_env.tasks", built_in="gan_env.tasks")
"""Maps a name to a function that builds the task; data are read when it is called, not on import.

A function with a parameter takes what stands behind a colon: `folder:PATH@64` calls TASKS["folder"]("PATH@64"). If
the parameter has a default, the bare name will do: `fashion`, `fashion:PATH`.
"""


def described(build: Callable[..., Task], summary: str) -> Callable[..., Task]:
    """Gives a factory without a docstring of its own, such as a `functools.partial`, the line that listings print."""
    build.__doc__ = summary
    return build


def task_summary(name: str) -> str:
    """Describes a registered task on one line: the first of its factory's docstring."""
    build = TASKS[name]
    text = inspect.getdoc(build) or ""
    return "" if text == inspect.getdoc(partial) else text.split("\n")[0]


def parse_task(name: str) -> tuple[Callable[..., Task], tuple[str, ...]]:
    """Returns the function that builds a task, and its arguments; reads no data.

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
    """Builds a task from its name, with an argument after a colon if it takes one; reads its data.

    Examples:
        >>> make_task("ring").data.shape
        (2,)

    Raises:
        ValueError: As `parse_task`, or naming the file that cannot be read.
    """
    build, arguments = parse_task(name)
    task = build(*arguments)
    object.__setattr__(task, "registered", name)
    return task
