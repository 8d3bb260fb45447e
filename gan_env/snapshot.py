"""The state of N GANs in training as plain tensors: taken, put back, and carried into a fork."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gan_env.trainer import Trainer

Snapshot = dict[str, Tensor]
"""Weights, moments, step counts, learning rates and counters; every tensor leads with the chosen rows."""

_COUNTERS = ("seed", "episode", "updates", "real_index", "d_updates", "g_updates")


def _tensors(trainer: Trainer) -> Snapshot:
    """The trainer's own tensors, not copies."""
    held = {"d_penalty": trainer.d_penalty, "g_penalty": trainer.g_penalty}
    for name, players, optimizer in (
        ("g", trainer.g, trainer.g_optimizer),
        ("d", trainer.d, trainer.d_optimizer),
    ):
        held |= {f"{name}.flat": players.flat, f"{name}.lr": optimizer.lr}
        held |= {f"{name}.{key}": value for key, value in optimizer.state().items()}
    return held | {name: torch.from_numpy(getattr(trainer, name)) for name in _COUNTERS}


def _index(trainer: Trainer, rows: Sequence[int] | None) -> Tensor:
    index = torch.arange(trainer.n) if rows is None else torch.as_tensor(np.asarray(rows), dtype=torch.int64)
    if index.ndim != 1 or not len(index) or int(index.min()) < 0 or int(index.max()) >= trainer.n:
        raise ValueError(f"rows={rows!r} must name rows from 0 to {trainer.n - 1}, at least one")
    return index


@torch.no_grad()
def snapshot(trainer: Trainer, rows: Sequence[int] | None = None) -> Snapshot:
    """A copy of the rows' state (all by default; a row may be named more than once).

    Draws are functions of seed, episode and counters, so these hold the future of every stream.
    """
    index = _index(trainer, rows)
    return {name: value[index.to(value.device)].clone() for name, value in _tensors(trainer).items()}


@torch.no_grad()
def restore(trainer: Trainer, state: Snapshot, rows: Sequence[int] | None = None) -> None:
    """Puts a snapshot into the rows (all by default), and looks at the batch that comes next there.

    Raises:
        ValueError: If it is of another kind of trainer, or of another number of rows.
    """
    index, held = _index(trainer, rows), _tensors(trainer)
    if state.keys() != held.keys():
        raise ValueError(f"the snapshot holds {sorted(state)}, this trainer {sorted(held)}; they differ in their setup")
    for name, value in held.items():
        if state[name].shape != (len(index), *value.shape[1:]) or state[name].dtype != value.dtype:
            raise ValueError(
                f"the snapshot's {name} is {tuple(state[name].shape)} {state[name].dtype}; {len(index)} rows here need "
                f"{(len(index), *value.shape[1:])} {value.dtype}"
            )
    for name, value in held.items():
        value[index.to(value.device)] = state[name].to(value.device)
    chosen = index.numpy()
    for stream in (trainer._latents, trainer._reals, trainer._probes):
        if stream is not None:
            stream.forget(chosen)
    trainer.look(chosen)


def fork(trainer: Trainer, rows: Sequence[int]) -> Trainer:
    """A trainer of its own that goes on from the rows named, each as often as it is named.

    It meets the same batches and latents as the original will; rounding may depend on the place among the rows.
    """
    state = snapshot(trainer, rows)
    branch = empty_fork(trainer, len(state["seed"]))
    restore(branch, state)
    return branch


def empty_fork(trainer: Trainer, rows: int) -> Trainer:
    """A trainer set up like this one, of so many rows, for `restore` to fill."""
    lr = [float(trainer.d_optimizer.lr[0]), float(trainer.g_optimizer.lr[0])]  # replaced by the snapshot's
    return Trainer(
        trainer.task,
        trainer.loss,
        rows,
        d_lr=lr[0],
        g_lr=lr[1],
        d_optimizer=trainer.d_optimizer.spec,
        g_optimizer=trainer.g_optimizer.spec,
        batch_size=trainer.batch_size,
        order=trainer.order,
        episode_updates=trainer.episode_updates,
        dtype=trainer.dtype,
        device=trainer.device,
    )
