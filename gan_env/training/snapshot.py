"""The state of N GANs in training as plain tensors: takes, restores, forks and saves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_env.io.tensor_files import read_tensors, write_tensors
from gan_env.training.trainer import Trainer

FORMAT, VERSION = "gan-env snapshot", 1
Rows = dict[str, Tensor]
"""State by name; the first axis of every tensor is the rows."""
_COUNTERS = ("seed", "episode", "updates", "real_index", "d_updates", "g_updates", "d_constant", "g_constant")


class SnapshotError(ValueError):
    """Raised for a snapshot that cannot be used; the message names the reason and the way out."""


@dataclass(frozen=True)
class Snapshot:
    """The state of some rows of an environment: all that their future depends on, as plain tensors and JSON.

    `env.snapshot()` takes one, `env.restore(snapshot)` restores it: into the same rows, other rows, or another
    environment with the same settings, also in another process. With the same number of rows training continues equal
    to the bit, with another number up to rounding.

    Examples:
        >>> from gan_env import GANVectorEnv
        >>> envs = GANVectorEnv(2, task="ring")
        >>> _ = envs.reset(seed=0)
        >>> snapshot, actions = envs.snapshot(), envs.action_space.sample()
        >>> after = envs.step(actions)[0]
        >>> envs.restore(snapshot)
        >>> bool((envs.step(actions)[0] == after).all())
        True
    """

    settings: dict[str, Any]
    """Settings of the environment as JSON values."""
    rows: Rows
    """Weights, optimiser moments, counters, feature memory, last quality; rows lead every tensor."""
    np_random: dict[str, Any] | None
    """Seed and state of the generator that seeds unseeded resets; None if it was never used."""

    def __len__(self) -> int:
        return len(self.rows["seed"])

    def save(self, path: Path | str) -> None:
        """Writes one safetensors file atomically; raises OSError if it cannot be written."""
        write_tensors(path, FORMAT, VERSION, {"settings": self.settings, "np_random": self.np_random}, self.rows)

    @classmethod
    def load(cls, path: Path | str) -> Snapshot:
        """Loads a snapshot from a file. Nothing in it is executed.

        Raises:
            SnapshotError: If the file is missing, truncated, altered, of another kind or of an unknown version.
        """
        remedy = "take the snapshot again"
        content, rows = read_tensors(path, FORMAT, VERSION, error=SnapshotError, remedy=remedy)
        settings, np_random = content.get("settings"), content.get("np_random")
        lengths = {tuple(value.shape[:1]) for value in rows.values()}
        if not isinstance(settings, dict) or not isinstance(np_random, dict | None) or "seed" not in rows:
            raise SnapshotError(f"{path}: lacks settings, rows or a generator's state; {remedy}")
        if len(lengths) != 1 or lengths <= {(), (0,)}:
            raise SnapshotError(f"{path}: its tensors do not lead with the same number of rows; {remedy}")
        return cls(settings, rows, np_random)


# -- rows of tensors ----------------------------------------------------------------------------------------------


def held(trainer: Trainer) -> Rows:
    """Returns the trainer's own tensors, not copies.

    Draws are functions of seed, episode and counters, so these tensors determine the future of every stream.
    """
    found = {"d_penalty": trainer.d_penalty, "g_penalty": trainer.g_penalty}
    if trainer.g_average is not None:
        found["g.average"] = trainer.g_average
    for name, players, optimizer in (
        ("g", trainer.g, trainer.g_optimizer),
        ("d", trainer.d, trainer.d_optimizer),
    ):
        found |= {f"{name}.flat": players.flat, f"{name}.lr": optimizer.lr}
        found |= {f"{name}.{key}": value for key, value in optimizer.state().items()}
    counters = (*_COUNTERS, "which") if len(trainer.tasks) > 1 else _COUNTERS
    return found | {name: torch.from_numpy(getattr(trainer, name)) for name in counters}


def row_index(count: int, rows: Sequence[int] | None) -> Tensor:
    """Returns indices of the chosen rows (all by default), int64; raises ValueError for a row that does not exist."""
    try:
        index = np.arange(count) if rows is None else np.asarray(rows)
    except (TypeError, ValueError):
        index = np.zeros(0)
    whole = index.ndim == 1 and len(index) and index.dtype.kind in "iu"
    if not whole or int(index.min()) < 0 or int(index.max()) >= count:
        raise ValueError(f"rows={rows!r} must name rows from 0 to {count - 1}, at least one")
    return torch.from_numpy(index.astype(np.int64))


def chosen(tensors: Rows, index: Tensor) -> Rows:
    """Returns the chosen rows for immediate reading: the tensors themselves for all rows in order, else copies."""
    return tensors if _every(tensors, index) else copied(tensors, index)


@torch.no_grad()
def copied(tensors: Rows, index: Tensor) -> Rows:
    """Copies the chosen rows; a row may be named more than once."""
    if _every(tensors, index):
        return {name: value.clone() for name, value in tensors.items()}
    return {name: value[index.to(value.device)] for name, value in tensors.items()}


def _every(tensors: Rows, index: Tensor) -> bool:
    """Returns whether the index names every row in order, so that nothing has to be gathered."""
    return len(index) == len(tensors["seed"]) and torch.equal(index, torch.arange(len(index)))


def check(tensors: Rows, state: Rows, index: Tensor) -> None:
    """Raises SnapshotError unless the state fits the chosen rows of the tensors."""
    if state.keys() != tensors.keys():
        raise SnapshotError(
            f"the snapshot holds {sorted(state)}, this trainer {sorted(tensors)}; they differ in their setup"
        )
    if len(set(index.tolist())) != len(index):
        raise SnapshotError(f"rows={index.tolist()} names a row twice; only one state can be put into it")
    for name, value in tensors.items():
        if state[name].shape != (len(index), *value.shape[1:]) or state[name].dtype != value.dtype:
            raise SnapshotError(
                f"the snapshot's {name} is {tuple(state[name].shape)} {state[name].dtype}; {len(index)} rows here need "
                f"{(len(index), *value.shape[1:])} {value.dtype}"
            )
        if value.dtype == torch.int64 and int(state[name].min()) < 0:
            raise SnapshotError(f"the snapshot's {name} counts below 0; take it again")
        if name.endswith(".lr") and not bool(((state[name] > 0) & (state[name] < torch.inf)).all()):
            raise SnapshotError(f"the snapshot's {name} must be finite learning rates > 0; take it again")


@torch.no_grad()
def put(tensors: Rows, state: Rows, index: Tensor) -> None:
    """Writes a checked state into the chosen rows."""
    every = _every(tensors, index)
    for name, value in tensors.items():
        if every:
            value.copy_(state[name])
        else:
            value[index.to(value.device)] = state[name].to(value.device)


# -- trainers -----------------------------------------------------------------------------------------------------


def snapshot(trainer: Trainer, rows: Sequence[int] | None = None) -> Rows:
    """Copies the rows' state (all by default; a row may be named more than once)."""
    return copied(held(trainer), row_index(trainer.n, rows))


def restore(trainer: Trainer, state: Rows, rows: Sequence[int] | None = None) -> None:
    """Restores a snapshot into the rows (all by default), which then measure their next batch.

    For several tasks the state contains each row's task index, so the trainer must have been made with the same tasks.

    Raises:
        SnapshotError: If it is of another kind of trainer or number of rows; nothing is changed then.
    """
    index, tensors = row_index(trainer.n, rows), held(trainer)
    check(tensors, state, index)
    if "which" in state and int(state["which"].max()) >= len(trainer.tasks):
        raise SnapshotError(f"the snapshot is of more tasks than this trainer's {len(trainer.tasks)}; take it again")
    put(tensors, state, index)
    look_again(trainer, index)


def look_again(trainer: Trainer, index: Tensor) -> None:
    """Drops cached draws and measurements of the chosen rows, because their state was replaced."""
    chosen = index.numpy()
    trainer.feed.forget(chosen)
    trainer.look(chosen)


def fork(trainer: Trainer, rows: Sequence[int]) -> Trainer:
    """Makes a separate trainer that continues from the named rows, each as often as it is named.

    It draws the same batches and latents as the original will; rounding may depend on a row's position.
    """
    state = snapshot(trainer, rows)
    branch = trainer.empty_fork(len(state["seed"]))
    restore(branch, state)
    return branch
