"""TensorBoard's logs of a training, by Stable-Baselines3's logger."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat, configure

from .checkpoints import log_sizes


def open_log(folder: Path | None) -> Logger:
    """Opens the log in a folder that `cut_logs` has checked; without one, a log that is written nowhere."""
    return configure(None if folder is None else str(folder), [] if folder is None else ["tensorboard"])


def flush(log: Logger) -> None:
    """Writes all that the log holds to its files."""
    for output in log.output_formats:
        if isinstance(output, TensorBoardOutputFormat):
            output.writer.flush()


def curves_of(folder: Path, names: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """Reads the finite (decision, value) pairs of a log's curves; those that it does not have are left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not log_sizes(folder):  # raises for what TensorBoard would wait for, or follow
        return {}
    log = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    log.Reload()
    known = log.Tags()["scalars"]
    return {
        name: [(e.step, e.value) for e in log.Scalars(name) if math.isfinite(e.value)]
        for name in names
        if name in known
    }


@contextmanager
def full_disks_told_once() -> Iterator[None]:
    """Suppresses the traceback of TensorBoard's writing thread for a full disk: its next call raises the same error."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not (issubclass(failure.exc_type, OSError) and type(failure.thread).__module__.startswith("tensorboard.")):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
