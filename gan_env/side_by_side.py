"""Which tasks can share a batch: those that differ in nothing but their data and the judges of what is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gan_env.mlp_players import mlp_layers
from gan_env.players import flatten
from gan_env.streams import Purpose, rng, seeded
from gan_env.task import Task


def difference(a: Task, b: Task, batch_size: int) -> str:
    """The first thing that keeps two tasks from sharing a batch, in words; "" if they can."""
    if a.game is not None or b.game is not None:
        return "games"
    compared: dict[str, Callable[[Task], Any]] = {
        "kinds": lambda task: task.kind,
        "samples' shapes": lambda task: task.data.shape,
        "latents": lambda task: (task.latents, task.latent_size),
        "training data": lambda task: _codes(task, batch_size),
    }
    for what, read in compared.items():
        if read(a) != read(b):
            return what
    for player in ("generator", "discriminator"):
        if not _same_player(getattr(a, player), getattr(b, player)):
            return f"{player}s"
    return ""


def gains_by_sharing(task: Task) -> bool:
    """Whether its rows go through one product: both players are plain MLPs. Others run row after row."""
    with seeded(0):
        return all(mlp_layers(build()) is not None for build in (task.generator, task.discriminator))


def _codes(task: Task, batch_size: int) -> tuple[object, ...]:
    """How its training data are drawn: the length of an epoch where there is one, and the form of a block of codes."""
    block = task.data.codes(rng(0, 0, Purpose.REAL), batch_size)
    return hasattr(task.data, "__len__"), task.data.block(batch_size), block.shape, block.dtype


def _same_player(build: Callable[[], torch.nn.Module], other: Callable[[], torch.nn.Module]) -> bool:
    """Whether two functions build the same module, the same weights included, from the same seed."""
    made = []
    for each in (build, other):
        with seeded(0):
            made.append(each())
    one, two = map(flatten, made)
    return repr(made[0]) == repr(made[1]) and torch.equal(one, two)
