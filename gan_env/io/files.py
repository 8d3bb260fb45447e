"""Reads, writes and locks files in the folders of runs; no other module does.

A folder may come from somebody else. So nothing here follows a link, waits for a pipe or reads without a limit:
anything but a regular file in the place of one of our files is refused by name and left unchanged. Files are replaced
atomically, or appended to in place if they have no other name (hard link).
"""

from __future__ import annotations

import gzip
import json
import os
import stat
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

PARTIAL = ".partial"
"""Suffix of a file that is being written; after a crash such a file can be deleted."""
LOCK = ".lock"
"""File that the process working in a folder keeps locked; it stays there, and its existence alone means nothing."""
LARGEST_TEXT = 2**24
"""Most bytes of a configuration or a table; larger files are refused unread."""
MOST_UNPACKED, LEAST_UNPACKED = 100, 2**24
"""A packed file may hold so many times its own bytes; or so many bytes, if that is more. Our rows shrink to a 15th."""
LONGEST_LINE = 2**22
"""Most bytes of a line in a file of rows, packed or plain."""
PADDING = 4_096
"""Zeros at the end of a packed file that are refused."""
DEEPEST_JSON = 64
"""Most nested lists and records in JSON; ours have seven."""
_PLAIN = sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NONBLOCK"))
"""Flags for opening: follow no link, wait for no pipe."""


class NotOurs(OSError):
    """Raised if the place of one of our files or folders is taken by something that we did not make; names it."""


# -- what is there ------------------------------------------------------------------------------------------------


def is_there(path: Path | str, *, alone: bool = False) -> bool:
    """Returns whether there is a regular file at this very path.

    Args:
        path: Path of the file; links in the path of its folder are followed, because the caller chose that path.
        alone: Whether the file will be changed in place, so that it must not have another name (hard link).

    Raises:
        NotOurs: For a link, to whatever it leads, a folder, a pipe or a device, or a file that is hardly more than
            holes; if `alone`, for one of several names.
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    _check(path, found, alone)
    return True


def _check(path: Path | str, found: os.stat_result, alone: bool) -> None:
    kinds = {
        stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    }  # fmt: skip
    if not stat.S_ISREG(found.st_mode):
        kind = kinds.get(stat.S_IFMT(found.st_mode), "no plain file")
        raise NotOurs(f"{path}: is {kind}, where a file of gan-env's own belongs; take it away or name another place")
    # Some file systems report no blocks at all.
    if found.st_size > LEAST_UNPACKED and 0 < getattr(found, "st_blocks", 0) * 512 * MOST_UNPACKED < found.st_size:
        raise NotOurs(f"{path}: consists of holes, so it holds far less than its size says; put the right one there")
    if alone and found.st_nlink > 1:
        raise NotOurs(f"{path}: has another name elsewhere (a hard link), where it would change, too; put a copy here")


def _opened(path: Path | str, flags: int, *, alone: bool = False) -> int:
    """Opens the regular file at this path; raises NotOurs for anything else, and OSError."""
    try:
        handle = os.open(path, flags | _PLAIN, 0o644)
    except OSError:
        is_there(path, alone=alone)  # says why, where that is known
        raise
    try:
        found, here = os.fstat(handle), os.lstat(path)
        _check(path, found, alone)
        if (found.st_dev, found.st_ino) != (here.st_dev, here.st_ino):
            raise NotOurs(f"{path}: was exchanged while it was opened; try again")
    except BaseException:
        os.close(handle)
        raise
    return handle


# -- reading ------------------------------------------------------------------------------------------------------


def open_to_read(path: Path | str) -> BinaryIO:
    """Opens a regular file for reading; raises NotOurs for anything else, OSError as `open`."""
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def read_bytes(path: Path | str, largest: int = LARGEST_TEXT) -> bytes:
    """Reads a regular file; raises OSError for anything else, and, without reading it, for a file of more bytes."""
    with open_to_read(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(
            f"{path}: is larger than {largest:,} bytes, which none of gan-env's own is; put the right one there"
        )
    return content


def read_text(path: Path | str) -> str:
    """Reads a regular file as UTF-8, see `read_bytes`; raises ValueError, naming the file, for other bytes."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start}); put it back") from error


def read_json(path: Path | str) -> Any:
    """Reads a regular file as JSON; raises OSError as `read_bytes`, ValueError for invalid JSON."""
    return parsed_json(read_bytes(path))


def expanded(text: str | Path) -> Path:
    """Returns a path as written by a user, ~ expanded; raises ValueError if it cannot be one."""
    try:
        if "\0" in str(text):
            raise ValueError(f"{str(text)!r} holds a zero character, so it is no path")
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{str(text)!r}: there is no such user's folder; write the whole path") from error


def bounded_lines(file: BinaryIO, path: Path | str) -> Iterator[bytes]:
    """Yields the lines of a file; raises NotOurs, without reading it whole, at one that is longer than any of ours."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise NotOurs(f"{path}: holds a line of more than {LONGEST_LINE:,} bytes, beyond any of ours; put it back")
        yield line


@contextmanager
def open_packed(path: Path | str) -> Iterator[Iterator[bytes]]:
    """Yields the lines of a gzip file.

    Raises OSError if it is no gzip file, damaged, or expands to far more than its size suggests; nothing beyond the
    limit is unpacked.
    """
    with open_to_read(path) as file, gzip.GzipFile(fileobj=file) as unpacked:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - PADDING, 0))
        if size > PADDING and not any(file.read()):  # Python passes zeros behind the content over byte by byte
            raise NotOurs(f"{path}: ends with zeros, as no packed file of ours does; put it back")
        file.seek(0)
        most = max(LEAST_UNPACKED, MOST_UNPACKED * size)

        def lines() -> Iterator[bytes]:
            left = most
            try:
                while line := unpacked.readline(min(left, LONGEST_LINE) + 1):
                    left -= len(line)
                    if left < 0 or len(line) > LONGEST_LINE:
                        raise NotOurs(f"{path}: holds far more than its size suggests, or a line beyond any of ours")
                    yield line
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise OSError(f"{path}: is damaged ({error}); put it back") from error

        yield lines()


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Yields the lines of a plain file, or of a packed one (.gz); see `bounded_lines` and `open_packed`."""
    if path.suffix == ".gz":
        with open_packed(path) as lines:
            yield lines
    else:
        with open_to_read(path) as file:
            yield bounded_lines(file, path)


def parsed_json(text: str | bytes) -> Any:
    """Parses JSON; raises ValueError for any other text, also if it is nested too deeply."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    level = [found]
    for _ in range(DEEPEST_JSON):
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return found
        level = [value for each in level for value in (each.values() if isinstance(each, dict) else each)]
    raise ValueError("it is nested too deeply")


def shown(value: Any) -> Any:
    """Formats a value as JSON with control and unprintable characters escaped."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    if isinstance(value, list):
        return [shown(each) for each in value]
    if isinstance(value, dict):
        return {shown(name): shown(each) for name, each in value.items()}
    return value


def shown_lines(text: str) -> str:
    """Escapes a text of several lines as `shown` does."""
    return "\n".join(map(shown, text.split("\n")))


# -- writing ------------------------------------------------------------------------------------------------------


def write_whole(path: Path | str, content: bytes | str) -> None:
    """Writes a file atomically and durably: after a power cut, too, it is there whole or not at all.

    Raises OSError, on one line and naming the file, if it cannot be written, and NotOurs if the path is a link or not
    a file; the previous file is then unchanged.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}{PARTIAL}")
    try:
        is_there(path)
        partial.unlink(missing_ok=True)  # of a process of this number that crashed, or planted
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o666), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError) or isinstance(error, NotOurs):
            raise
        raise OSError(
            f"{path}: cannot be written ({error.strerror or error}); what was there is unchanged, make room or name "
            "another place"
        ) from error
    sync_folder(path.parent)


def write_by(path: Path | str, write: Callable[[Path], object]) -> None:
    """Writes a file atomically through a library that takes a path: calls `write` with a temporary one."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / Path(path).name
        write(made)
        write_whole(path, made.read_bytes())


def add_to(path: Path | str, content: bytes) -> None:
    """Appends to a file in one write, or creates it; raises NotOurs, or OSError if the disk is full."""
    handle = _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, alone=True)
    try:
        written = os.write(handle, content)
        if written != len(content):
            raise OSError(f"{path}: only {written} of {len(content)} bytes could be written; is the disk full?")
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(Path(path).parent)


def cut(path: Path | str, size: int, keep: Callable[[bytes], object] = lambda content: None) -> None:
    """Truncates a file to a number of bytes, after calling `keep` with the bytes behind them. Raises NotOurs."""
    with os.fdopen(_opened(path, os.O_RDWR, alone=True), "r+b") as file:
        file.seek(size)
        keep(file.read())
        file.truncate(size)
        os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """Makes the folder that the user named, and its parents.

    Raises ValueError with the reason if it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        above = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), path)
        why = "cannot be written to" if above.is_dir() else "is no folder"
        raise ValueError(
            f"out={str(path)!r} cannot be made a folder, for {str(above)!r} {why}; name another"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"out={str(path)!r} cannot be written to; name another folder")


def own_folder(path: Path) -> Path:
    """Returns a folder within an existing one, and makes it if missing; raises NotOurs for a link or a file."""
    try:
        if not os.path.lexists(path):
            path.mkdir(exist_ok=True)
    except OSError as error:
        raise OSError(f"{path}: cannot be made a folder ({error.strerror}); make room or name another place") from error
    if not has_folder(path):
        raise NotOurs(f"{path}: is no folder, where one of gan-env's own belongs; take it away or name another place")
    return path


def has_folder(path: Path) -> bool:
    """Returns whether a folder exists; raises NotOurs for a link or a file in its place."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no folder"
        raise NotOurs(f"{path}: is {kind}, where a folder of gan-env's own belongs; take it away or name another place")
    return True


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries to disk; where folders cannot be synced, the file's contents are safe anyway."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partials(folder: Path) -> None:
    """Removes partly written files that a crash left in a folder; call it with the folder locked."""
    for left in folder.glob(f".*{PARTIAL}"):
        if not left.is_dir():
            left.unlink(missing_ok=True)


# -- locks --------------------------------------------------------------------------------------------------------


class Lock:
    """A lock on a file, between processes and within one. The system releases it when its process dies.

    Raises OSError if the lock's file cannot be opened, NotOurs if it is a link or has another name: `filelock` empties
    the file that it opens, and before version 3.20.1 it followed links.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = FileLock(path, thread_local=False)

    def take(self, *, wait: bool = True) -> bool:
        """Acquires the lock; without `wait`, returns False if it is taken."""
        is_there(self.path, alone=True)
        try:
            self._lock.acquire(blocking=wait)
        except Timeout:
            return False
        return True

    def drop(self, *, remove: bool = False) -> None:
        """Releases the lock.

        `remove` deletes its file, which is only safe while nobody else can open it: a process that opened it before
        the deletion would lock a file that no other process can see.
        """
        if not self._lock.is_locked:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        self._lock.release()

    def is_held(self) -> bool:
        """Returns whether somebody else holds it now; False if its file is missing, or writable only by them."""
        if not is_there(self.path, alone=True) or not os.access(self.path, os.W_OK):
            return False
        free = self.take(wait=False)
        self.drop()
        return not free

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock for the length of a `with` block."""
        self.take()
        try:
            yield
        finally:
            self.drop()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a folder for the length of the block; the lock ends with the process, however that ends.

    Raises OSError if another process works there, or the folder cannot be written to.
    """
    lock = Lock(folder / LOCK)
    try:
        free = folder.is_dir() and lock.take(wait=False)
    except NotOurs:
        raise
    except OSError as error:
        raise OSError(f"{folder}: cannot be written to ({error.strerror}); name another folder") from error
    if not folder.is_dir():
        raise OSError(f"{folder}: cannot be written to, for it is no folder; name another folder")
    if not free:
        raise OSError(f"{folder}: another process works there; wait for it, stop it, or name another folder")
    try:
        yield
    finally:
        lock.drop()
