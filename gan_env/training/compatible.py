"""Decides which tasks can share a batch, those that differ only in their data and judges, and which losses fit a task.

Players of a shared batch must be plain MLPs, whose rows share one matrix product; others run row by row and gain
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gan_env.losses.losses import Loss
from gan_env.losses.spectral_norm import derives_weights, zero_weights
from gan_env.networks.parameters import flatten
from gan_env.players.batched_mlp import mlp_layers
from gan_env.random.streams import Purpose, rng, seeded
from gan_env.tasks.task import Task


def difference(a: Task, b: Task, batch_size: int) -> str:
    """Describes the first difference that keeps two tasks from sharing a batch; "" if they can."""
    if a.wiring is not None or b.wiring is not None:
        return "wirings"
    if a.condition is not None or b.condition is not None:
        return "labels"
    compared: dict[str, Callable[[Task], Any]] = {
        "kinds": lambda task: task.kind,
        "samples' shapes": lambda task: task.data.shape,
        "latents": lambda task: (task.latents, task.latent_size),
        "training data": lambda task: _training_data(task, batch_size),
    }
    for what, read in compared.items():
        if read(a) != read(b):
            return what
    for player in ("generator", "discriminator"):
        if not _same_mlp(getattr(a, player), getattr(b, player)):
            return f"{player}s"
    return ""


def check_loss(loss: Loss, task: Task) -> None:
    """Raises ValueError if the loss needs samples or weights of D that the task does not have."""
    if loss.diversity is not None and task.wiring is not None:
        raise ValueError(f"loss={loss.name!r}: task {task.name!r} generates no samples that could be diverse")
    if loss.diversity is not None and task.condition is not None:
        raise ValueError(
            f"loss={loss.name!r} compares whole samples, and a conditional GAN's hold labels; leave it out"
        )
    if loss.reparametrise is None:
        return
    with seeded(0):
        d = task.discriminator()
    if derives_weights(d):
        raise ValueError(
            f"loss={loss.name!r} divides D's own weights by their norm, but this discriminator computes its weights "
            "from others (spectral_norm, weight_norm, ...); take one of the two away"
        )
    if zero := zero_weights(d):
        raise ValueError(
            f"loss={loss.name!r} divides D's weights by their norm, but {', '.join(zero[:3])} of this discriminator "
            "start at zero; take another loss, or another initialisation"
        )


def _training_data(task: Task, batch_size: int) -> tuple[object, ...]:
    """Describes how batches are drawn and made: device, block size, shapes."""
    data, block = task.data, task.data.codes(rng(0, 0, Purpose.REAL), batch_size)
    finite, on_device = hasattr(data, "__len__"), hasattr(data, "device_codes")
    batch = data.batch(torch.from_numpy(block[:1]))
    return finite, on_device, data.block(batch_size), block.shape, block.dtype, batch.dtype


def _same_mlp(build: Callable[[], torch.nn.Module], other: Callable[[], torch.nn.Module]) -> bool:
    """Returns whether two functions build the same plain MLP with the same weights from the same seed."""
    made = []
    for each in (build, other):
        with seeded(0):
            made.append(each())
    if not all(mlp_layers(module) for module in made):
        return False
    one, two = map(flatten, made)
    return repr(made[0]) == repr(made[1]) and torch.equal(one, two)
