"""TensorBoard's logs of a training, by Stable-Baselines3's logger."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


class Curves:
    """TensorBoard's curves in a folder, read again as they grow."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names: list[str] = []
        """Of the curves that were there at the last `reload`."""
        self._log: Any = None

    def reload(self) -> None:
        """Reads what was added.

        Raises NotOurs for a link or a pipe, which TensorBoard would follow or wait for, and OSError for a damaged log.
        """
        if not log_sizes(self.folder):
            self.names = []
            return
        if self._log is None:
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

            self._log = EventAccumulator(str(self.folder), size_guidance={"scalars": 0})
        try:
            self._log.Reload()
        except (MemoryError, OverflowError) as error:  # the length of a record is anything that somebody wrote there
            raise OSError(
                f"{self.folder}: holds a damaged log, with a record of no possible length; remove it"
            ) from error
        self.names = self._log.Tags()["scalars"]

    def events(self, name: str) -> list[Any]:
        """Returns the points of a curve, one of `names`: `step`, `value` and `wall_time`."""
        return self._log.Scalars(name)

    def finite(self, names: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
        """Reads the finite (decision, value) pairs of curves; those that are not there are left out."""
        self.reload()
        return {
            name: [(e.step, e.value) for e in self.events(name) if math.isfinite(e.value)]
            for name in names
            if name in self.names
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
