"""The state of N GANs in training as plain tensors: taken, put back, carried into a fork, kept in a file."""

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
"""State by name; every tensor leads with the rows."""
_COUNTERS = ("seed", "episode", "updates", "real_index", "d_updates", "g_updates", "d_constant", "g_constant")


class SnapshotError(ValueError):
    """The one error for a snapshot that cannot be used: what is wrong with it, and the way out."""


@dataclass(frozen=True)
class Snapshot:
    """Where some rows of an environment are: all that their future depends on, as plain tensors and JSON.

    `env.snapshot()` takes one, `env.restore(snapshot)` puts it back: into the same rows, into others, into another
    environment made with the same settings, in another process. With the same number of rows it goes on bit for bit,
    with another one up to rounding.
    """

    settings: dict[str, Any]
    """What the environment was made with, as JSON can hold it."""
    rows: Rows
    """Weights, optimiser moments, counters, feature memory, held quality; every tensor leads with the rows."""
    np_random: dict[str, Any] | None
    """Seed and state of the generator that seeds unseeded resets; None if it was never used."""

    def __len__(self) -> int:
        return len(self.rows["seed"])

    def save(self, path: Path | str) -> None:
        """Writes one safetensors file, whole or not at all; raises OSError if it cannot be written."""
        write_tensors(path, FORMAT, VERSION, {"settings": self.settings, "np_random": self.np_random}, self.rows)

    @classmethod
    def load(cls, path: Path | str) -> Snapshot:
        """The snapshot in a file. Nothing in it is executed.

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
    """The trainer's own tensors, not copies.

    Draws are functions of seed, episode and counters, so these hold the future of every stream.
    """
    found = {"d_penalty": trainer.d_penalty, "g_penalty": trainer.g_penalty}
    for name, players, optimizer in (
        ("g", trainer.g, trainer.g_optimizer),
        ("d", trainer.d, trainer.d_optimizer),
    ):
        found |= {f"{name}.flat": players.flat, f"{name}.lr": optimizer.lr}
        found |= {f"{name}.{key}": value for key, value in optimizer.state().items()}
    counters = (*_COUNTERS, "which") if len(trainer.tasks) > 1 else _COUNTERS
    return found | {name: torch.from_numpy(getattr(trainer, name)) for name in counters}


def row_index(count: int, rows: Sequence[int] | None) -> Tensor:
    """The chosen rows of so many (all by default), int64; raises ValueError for a row that does not exist."""
    try:
        index = np.arange(count) if rows is None else np.asarray(rows)
    except (TypeError, ValueError):
        index = np.zeros(0)
    whole = index.ndim == 1 and len(index) and index.dtype.kind in "iu"
    if not whole or int(index.min()) < 0 or int(index.max()) >= count:
        raise ValueError(f"rows={rows!r} must name rows from 0 to {count - 1}, at least one")
    return torch.from_numpy(index.astype(np.int64))


def chosen(tensors: Rows, index: Tensor) -> Rows:
    """The chosen rows, to be read at once: the very tensors where that is all of them in order, else copies."""
    return tensors if _every(tensors, index) else copied(tensors, index)


@torch.no_grad()
def copied(tensors: Rows, index: Tensor) -> Rows:
    """Copies of the chosen rows; a row may be named more than once."""
    if _every(tensors, index):
        return {name: value.clone() for name, value in tensors.items()}
    return {name: value[index.to(value.device)] for name, value in tensors.items()}


def _every(tensors: Rows, index: Tensor) -> bool:
    """Whether the index names every row in order, which needs no gathering."""
    return len(index) == len(tensors["seed"]) and torch.equal(index, torch.arange(len(index)))


def check(tensors: Rows, state: Rows, index: Tensor) -> None:
    """Raises SnapshotError unless the state can be put into the chosen rows of the tensors."""
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
    """A copy of the rows' state (all by default; a row may be named more than once)."""
    return copied(held(trainer), row_index(trainer.n, rows))


def restore(trainer: Trainer, state: Rows, rows: Sequence[int] | None = None) -> None:
    """Puts a snapshot into the rows (all by default), which then look at the batch that comes next there.

    Of a trainer of several tasks it says by number which is a row's: only one made with the same tasks can take it.

    Raises:
        SnapshotError: If it is of another kind of trainer, or of another number of rows; nothing is changed then.
    """
    index, tensors = row_index(trainer.n, rows), held(trainer)
    check(tensors, state, index)
    if "which" in state and int(state["which"].max()) >= len(trainer.tasks):
        raise SnapshotError(f"the snapshot is of more tasks than this trainer's {len(trainer.tasks)}; take it again")
    put(tensors, state, index)
    look_again(trainer, index)


def look_again(trainer: Trainer, index: Tensor) -> None:
    """Drops what the chosen rows had drawn and seen, because their state was replaced."""
    chosen = index.numpy()
    trainer.feed.forget(chosen)
    trainer.look(chosen)


def fork(trainer: Trainer, rows: Sequence[int]) -> Trainer:
    """A trainer of its own that goes on from the rows named, each as often as it is named.

    It meets the same batches and latents as the original will; rounding may depend on the place among the rows.
    """
    state = snapshot(trainer, rows)
    branch = trainer.empty_fork(len(state["seed"]))
    restore(branch, state)
    return branch
