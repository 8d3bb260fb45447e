"""Running out of memory: what an allocator's error looks like, and how many rows would have fitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gan_env.training.snapshot import held
from gan_env.training.trainer import Trainer


def out_of_memory(error: Exception) -> bool:
    """Whether an error is an allocator's; torch has no class of its own for the CPU's."""
    text = str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        mark in text for mark in ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
    )


def what_fits(trainer: Trainer, rows: int, error: Exception) -> str:
    """That so many rows are too many, and a number that is not, on one line.

    Args:
        trainer: One like theirs, of any number of rows.
        rows: How many there should have been.
        error: The allocator's.
    """
    fits = _rows_that_fit(trainer, rows)
    advice = f"about num_envs={fits} does" if fits else "not even a few do; take a smaller batch_size or game"
    why = (str(error).splitlines() or ["no more to be had"])[0]
    return f"num_envs={rows} does not fit into memory, {advice} ({why})"


@contextmanager
def telling_what_fits(trainer: Trainer) -> Iterator[None]:
    """An allocator's error inside the block becomes a MemoryError that says how many rows would have fitted."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        problem = error
    else:
        return
    problem.__traceback__ = None
    raise MemoryError(what_fits(trainer, trainer.n, problem))


def _rows_that_fit(trainer: Trainer, rows: int) -> int:
    """How many rows the allocator would grant, by halves; nothing is written there, so nobody else is driven out."""
    weights = sum(tensor.nbytes for tensor in held(trainer).values())
    row_bytes = max(1, 2 * weights // trainer.n)  # as much again for scratch and activations
    count = min(rows // 2, 2**62 // row_bytes)
    while count:
        try:
            torch.empty(count * row_bytes, dtype=torch.uint8, device=trainer.device)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            count //= 2
        else:
            break
    return count
