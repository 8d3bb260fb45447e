"""Decides which games the compiled kernel covers, and so which engine trains them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gan_env.data.datasets import ArrayData, PlaneData
from gan_env.losses.losses import LOSSES, Loss
from gan_env.losses.penalties import GradientNormalisation, bounded_normalisation
from gan_env.native import library as lib
from gan_env.players.batched_mlp import MLPPlayers
from gan_env.players.players import Players
from gan_env.random.streams import Purpose, rng
from gan_env.registry import unknown
from gan_env.tasks.task import Task

ENGINES = ("auto", "native", "torch")
_LOSSES = {"bce": 0, "wgan": 1, "hinge": 2, "lsgan": 3, "r3gan": 4}
"""Losses whose functions of a logit the kernel implements; other losses share these."""
_PENALTIES = {"wgan-gp": 1, "js-reg": 2, "r1": 3, "r2": 4, "r3gan": 5}
_MOST_LAYERS = 64
NUMBERS: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
"""Precisions that the kernel computes in, as NumPy has them."""


def not_covered(
    tasks: Sequence[Task],
    loss: Loss,
    players: tuple[Players, Players],
    batch_size: int,
    dtype: torch.dtype,
    device: str,
) -> str | None:
    """Returns why the kernel cannot train such rows, as a clause after "because"; None if it can.

    Args:
        tasks: Distinct tasks of the rows.
        loss: The GAN loss.
        players: G and D.
        batch_size: B.
        dtype: Precision of weights and computation.
        device: Type of the device, "cpu" or "cuda".
    """
    if lib.library() is None:
        return "the compiled kernel is not installed"
    if device != "cpu":
        return f"the kernel runs on processors, not on {device}"
    if dtype not in NUMBERS:
        return f"the kernel computes in float32 or float64, not in {dtype}"
    if any(task.wiring is not None for task in tasks):
        return f"task {tasks[0].name!r} is no plain GAN"
    for name, each in zip(("generator", "discriminator"), players, strict=True):
        if not isinstance(each, MLPPlayers):
            return f"the {name} is no plain MLP"
        if len(each.sizes) > _MOST_LAYERS:
            return f"the {name} has more than {_MOST_LAYERS} layers"
    return _loss_not_covered(loss, players[1]) or _data_not_covered(tasks, batch_size)


def chosen(
    engine: str,
    tasks: Sequence[Task],
    loss: Loss,
    players: tuple[Players, Players],
    batch_size: int,
    dtype: torch.dtype,
    device: str,
) -> str:
    """Chooses the engine, "native" or "torch"; the arguments after the first are those of `not_covered`.

    "auto" chooses the kernel if it covers them and the processor has fused multiply-adds, which are slow in software.

    Raises:
        ValueError: If the name is unknown, or "native" is requested and the kernel does not cover them.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, list(ENGINES))
    if engine == "torch":
        return "torch"
    why = not_covered(tasks, loss, players, batch_size, dtype, device)
    if engine == "native":
        if why:
            raise ValueError(f"engine='native' cannot be used: {why}; leave it out, or use engine='torch'")
        return "native"
    return "torch" if why or lib.instruction_sets()[0] == "plain" else "native"


def _loss_not_covered(loss: Loss, d: Players) -> str | None:
    assert isinstance(d, MLPPlayers)
    if loss_kind(loss) is None:
        return f"loss {loss.name!r} has functions of its own"
    if loss.paired and loss.normalise is not None:
        return f"loss {loss.name!r} compares normalised logits by pairs"
    if loss.diversity is not None:
        return f"loss {loss.name!r} has a diversity term"
    own = (
        (loss.penalty is not None and penalty_kind(loss) is None)
        or (loss.normalise is not None and normalisation_kind(loss) is None)
        or loss.reparametrise not in (None, LOSSES["sn"].reparametrise)
    )
    if own:
        return f"loss {loss.name!r} has a regulariser of its own"
    if sum((loss.penalty is not None, loss.normalise is not None, loss.reparametrise is not None, loss.noisy)) > 1:
        return f"loss {loss.name!r} has more than one regulariser"
    if (loss.penalty is not None or loss.normalise is not None) and not d.piecewise_linear:
        return f"loss {loss.name!r} reads input gradients, and the discriminator is not piecewise linear"
    return None


def _data_not_covered(tasks: Sequence[Task], batch_size: int) -> str | None:
    for data in (task.data for task in tasks):
        if type(data) not in (PlaneData, ArrayData):
            made = data.batch(torch.from_numpy(data.codes(rng(0, 0, Purpose.REAL), batch_size)[:1])).dtype
            if made != torch.float32:
                return f"the data's batches are {made}, not float32"
    return None


def loss_kind(loss: Loss) -> int | None:
    """Returns the kernel's number of the loss' functions of a logit; None if it has none."""

    def functions(of: Loss) -> tuple[object, ...]:
        return of.paired, of.real, of.fake, of.generator, of.real_gradient, of.fake_gradient, of.generator_gradient

    return next((kind for name, kind in _LOSSES.items() if functions(LOSSES[name]) == functions(loss)), None)


def penalty_kind(loss: Loss) -> int | None:
    """Returns the kernel's number of a penalty; None if there is none, or none of the kernel's."""
    return next((kind for name, kind in _PENALTIES.items() if LOSSES[name].penalty is loss.penalty), None)


def normalisation_kind(loss: Loss) -> int | None:
    """Returns the kernel's number of a gradient normalisation; None if there is none, or none of the kernel's."""
    if isinstance(loss.normalise, GradientNormalisation):
        return 1
    return 2 if loss.normalise is bounded_normalisation else None
