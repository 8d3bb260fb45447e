"""Saves a training, cuts its logs back on resuming, and stops it where it can be saved."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from gan_env.io.files import cut, has_folder, is_there
from gan_env.io.tensor_files import pack, read_tensors, unpack, write_tensors

FORMAT, VERSION = "gan-env training", 1
STATE = "training.safetensors"
"""The state of a training that is not finished; replaced whole, so that the last good one is always there."""
TIMES_ITS_COST = 50
"""Least time between two saves, in durations of one save: saving takes 2 % of the time at most."""


class TrainingStateError(ValueError):
    """A saved training that cannot be used; the message names the reason and the way out."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the message names the command that goes on."""


class Checkpoints:
    """The saved state of the training in a folder.

    Args:
        folder: The run's own, held by this process alone (`files.locked`).
        every: Least seconds between two saves.
        name: The file's.
    """

    def __init__(self, folder: Path, every: float, name: str = STATE):
        self.path, self.folder, self._every = folder / name, folder, every
        self._last, self._cost = time.perf_counter(), 0.0
        self.seconds = 0.0
        """Spent on saving."""

    def due(self) -> bool:
        """Tells whether it is time to save again."""
        return time.perf_counter() - self._last >= max(self._every, TIMES_ITS_COST * self._cost)

    def save(self, state: dict[str, Any]) -> None:
        """Saves a tree of tensors and plain values in place of the last; on OSError the last one is intact."""
        began = time.perf_counter()
        content, tensors = pack(state)
        write_tensors(self.path, FORMAT, VERSION, {"state": content}, tensors)
        self._last = time.perf_counter()
        self._cost = self._last - began
        self.seconds += self._cost

    def load(self) -> dict[str, Any] | None:
        """Returns the state that was saved last, None if there is none.

        Raises:
            TrainingStateError: If the file is damaged, of another kind or of an unknown version.
            NotOurs: If it is a link, or no file at all.
        """
        if not is_there(self.path):
            return None
        remedy = "remove it to start this training from its beginning"
        content, tensors = read_tensors(self.path, FORMAT, VERSION, error=TrainingStateError, remedy=remedy)
        try:
            state = unpack(content["state"], tensors)
        except (KeyError, RecursionError, TypeError) as error:
            raise TrainingStateError(f"{self.path}: lacks {error}; {remedy}") from error
        if not isinstance(state, dict):
            raise TrainingStateError(f"{self.path}: holds no training's state; {remedy}")
        return state

    def remove(self) -> None:
        """Removes the state of a training that is finished."""
        self.path.unlink(missing_ok=True)


# -- logs ---------------------------------------------------------------------------------------------------------


def _logs(folder: Path | None) -> list[Path]:
    """Lists TensorBoard's own files in a folder; other files belong to the user.

    Raises NotOurs for a link or no file of such a name: TensorBoard opens its files by name, each time that it writes.
    """
    found = [] if folder is None or not has_folder(folder) else sorted(folder.glob("*tfevents*"))  # what it reads, too
    ours = [file for file in found if file.name.startswith("events.out.tfevents.")]
    return [file for file in found if is_there(file, alone=file in ours) and file in ours]


def log_sizes(folder: Path | None) -> dict[str, int]:
    """Returns the bytes of each log, which only grow; flush them first."""
    return {file.name: file.stat().st_size for file in _logs(folder)}


def cut_logs(folder: Path | None, sizes: dict[str, int]) -> None:
    """Cuts logs back to earlier sizes, so that what is done again is not logged twice."""
    for file in _logs(folder):
        if file.name not in sizes:
            file.unlink()
        elif file.stat().st_size > sizes[file.name]:
            cut(file, sizes[file.name])


# -- stopping -----------------------------------------------------------------------------------------------------


class Stop:
    """Stops a training on Ctrl-C or SIGTERM, at once or at the next place where it can be saved.

    Args:
        message: What `Stopped` says.
    """

    def __init__(self, message: str):
        self.message, self.asked, self._patient = message, False, False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Makes Ctrl-C and SIGTERM raise `Stopped` inside the block; has no effect outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def later(self) -> Iterator[None]:
        """Makes the first signal inside the block only set `asked`; the code there saves and calls `leave`."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False
        if self.asked:
            self.leave()

    def leave(self) -> None:
        """Raises Stopped."""
        raise Stopped(self.message)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        patient, self.asked = self._patient and not self.asked, True
        if not patient:
            self.leave()
