"""Files that are whole or not there, and folders that processes share or have to themselves."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
"""Ends the name of a file that is being written; after a crash such a file is worth nothing."""
LOCK = ".lock"
"""The file in a folder that whoever works there holds locked; it stays behind and means nothing by itself."""


def write_whole(path: Path | str, content: bytes | str) -> None:
    """Writes a file that appears whole or not at all, after a power cut too.

    Raises OSError, on one line and naming the file, if it cannot be written; what was there before is then unchanged.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OSError(
            f"{path}: cannot be written ({error.strerror or error}); what was there is unchanged, make room or name "
            "another place"
        ) from error
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the new name of a file last; where folders cannot be synced, the file's contents are safe anyway."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partials(folder: Path) -> None:
    """Removes what a crash left half written in a folder; call it with the folder locked."""
    for left in folder.glob(f".*{PARTIAL}"):
        left.unlink(missing_ok=True)


class Lock:
    """A lock on a file, between processes and within one. The system drops it when its process dies, however it dies.

    Raises OSError where the lock's file cannot be opened.
    """

    def __init__(self, path: Path):
        self.path = path
        self._handle: int | None = None

    def take(self, *, wait: bool = True) -> bool:
        """Takes the lock; without `wait`, False if somebody has it."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, wait)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, (BlockingIOError, PermissionError)) and not wait:
                return False
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

    def is_held(self) -> bool:
        """Whether somebody else has it now; False where its file is not there."""
        if not self.path.exists() or not os.access(self.path, os.W_OK):
            return False
        free = self.take(wait=False)
        self.drop()
        return not free

    @contextmanager
    def held(self, *, remove: bool = False) -> Iterator[None]:
        """The lock for the length of a `with`; `remove` as in `drop`."""
        self.take()
        try:
            yield
        finally:
            self.drop(remove=remove)


def _lock(handle: int, wait: bool) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Works in a folder alone for as long as the block runs; the lock goes when the process does, however it ends.

    Raises OSError if somebody else works there, or the folder cannot be written to.
    """
    lock = Lock(folder / LOCK)
    try:
        free = lock.take(wait=False)
    except OSError as error:
        raise OSError(f"{folder}: cannot be written to ({error.strerror}); name another folder") from error
    if not free:
        raise OSError(f"{folder}: another process works there; wait for it, stop it, or name another folder")
    try:
        yield
    finally:
        lock.drop()


def parsed_json(text: str | bytes) -> Any:
    """What JSON text holds; raises ValueError for any other, nested too deeply or not."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
