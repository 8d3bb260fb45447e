"""Detects out-of-memory errors and finds how many rows would have fitted."""

from __future__ import annotations

import torch

from gan_env.training.snapshot import held
from gan_env.training.trainer import Trainer


def out_of_memory(error: Exception) -> bool:
    """Returns whether an error is an allocator's; torch has no exception class for that of the CPU."""
    text = str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        mark in text for mark in ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
    )


def what_fits(trainer: Trainer, rows: int, error: Exception) -> str:
    """Formats a one-line message that so many rows do not fit, with a number that does.

    Args:
        trainer: A trainer with the same settings, of any number of rows.
        rows: Number of rows that did not fit.
        error: The allocator's error.
    """
    fits = _rows_that_fit(trainer, rows)
    advice = f"about num_envs={fits} does" if fits else "not even a few do; take a smaller batch_size or game"
    why = (str(error).splitlines() or ["no more to be had"])[0]
    return f"num_envs={rows} does not fit into memory, {advice} ({why})"


class telling_what_fits:  # noqa: N801 (a context manager, a tenth of a generator's time)
    """Converts an allocator's error inside the block to a MemoryError that states how many rows would have fitted."""

    def __init__(self, trainer: Trainer):
        self._trainer = trainer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (MemoryError, RuntimeError)) and out_of_memory(error):
            raise MemoryError(what_fits(self._trainer, self._trainer.n, error.with_traceback(None))) from None


def _rows_that_fit(trainer: Trainer, rows: int) -> int:
    """Finds how many rows can be allocated, by halving; writes nothing there, so no other process is swapped out."""
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
