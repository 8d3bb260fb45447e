"""Files that survive a kill at any moment, and folders that several processes share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a whole file; a reader, or a run after a crash, finds the old content or the new one, never a part."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes names that were added to a folder survive a power cut."""
    if os.name != "posix":  # elsewhere a folder cannot be opened, and its names need no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Lock:
    """A lock on a file, between processes and within one. The system drops it when its process dies, however it dies.

    Raises OSError where the system has no such locks.
    """

    def __init__(self, path: Path):
        self.path = path
        self._handle: int | None = None

    def take(self, *, wait: bool = True) -> bool:
        """Takes the lock; without `wait`, False if somebody has it."""
        try:
            import fcntl
        except ModuleNotFoundError as error:
            raise OSError(f"{self.path}: folders are locked by POSIX file locks, which this system lacks") from error
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return False
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def drop(self, *, remove: bool = False) -> None:
        """Gives the lock back; `remove` takes its file away, where nobody will need the lock again."""
        if self._handle is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None

    @contextlib.contextmanager
    def held(self, *, remove: bool = False) -> Iterator[None]:
        """The lock for the length of a `with`; `remove` as in `drop`."""
        self.take()
        try:
            yield
        finally:
            self.drop(remove=remove)
