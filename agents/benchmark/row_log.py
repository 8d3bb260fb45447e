"""A file of rows: whole groups are added to it, one at a time, and whole groups are read, whoever was killed when."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gan_env.io.files import Lock, parsed_json, sync_folder, write_whole

from ..comparison.row_checks import check_row
from ..comparison.rows import Row

CLAIMS = "claims"
"""Folder beside the rows in which the locks of those who work on them lie."""


class RowLog:
    """A file of rows to which whole groups are added, and of which whole groups are read.

    Args:
        path: The file; it need not be there yet.
        groups: Every group that may stand in it: the key of each of its rows, with its task, controller and seed.
        judged: Whether each row says what a judged run does (`check_row`).
    """

    def __init__(self, path: Path, groups: dict[str, dict[str, tuple[str, str, int]]], *, judged: bool = True):
        self.path, self.groups, self.judged = path, groups, judged
        self.rows: dict[str, list[Row]] = {}
        """Rows of each finished group, as of the last `refresh`."""
        self._lock = Lock(path.parent / CLAIMS / path.name)  # the file itself may be replaced
        self._inode: int | None = None
        self._end = 0  # bytes of the file that are whole groups

    @property
    def packed(self) -> Path | None:
        """The file as gzip left it, if it stands in place of the plain one."""
        packed = self.path.with_name(self.path.name + ".gz")
        return packed if packed.exists() and not self.path.exists() else None

    def refresh(self) -> None:
        """Reads what was added since; what is not a whole group yet is left for later."""
        if (packed := self.packed) is not None:
            if self._end == 0:
                try:
                    self._read(gzip.decompress(packed.read_bytes()))
                except (EOFError, gzip.BadGzipFile) as error:
                    raise OSError(f"{packed}: is damaged ({error}); put it back") from error
            return
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._inode:  # somebody withdrew groups
                self.rows, self._end, self._inode = {}, 0, found.st_ino
            if found.st_size < self._end:
                raise OSError(f"{self.path}: was cut while it was in use; start again on what is there now")
            file.seek(self._end)
            self._read(file.read())

    def append(self, group: str, rows: Sequence[Row]) -> None:
        """Adds a group by one write under a lock, unless it is there; what a kill left unfinished is cut off first."""
        assert [row["key"] for row in rows] == list(self.groups[group]), group
        self._lock.path.parent.mkdir(exist_ok=True)
        with self._lock.held():
            self.refresh()
            self._cut()
            if group in self.rows:
                return
            content = _lines(rows)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                written = os.write(handle, content)
                if written != len(content):
                    raise OSError(f"{self.path}: only {written} of {len(content)} bytes could be written; is it full?")
                os.fsync(handle)
            finally:
                os.close(handle)
            sync_folder(self.path.parent)
            self.refresh()

    def withdraw(self, crashed: Callable[[Sequence[Row]], bool]) -> list[str]:
        """Takes the groups whose rows are so out of the file and adds them to `*.retried`; gives their ids."""
        self._lock.path.parent.mkdir(exist_ok=True)
        with self._lock.held():
            self.refresh()
            lost = [group for group, rows in self.rows.items() if crashed(rows)]
            if lost:
                _add(self.path.with_name(self.path.name + ".retried"), _lines(r for g in lost for r in self.rows[g]))
                kept = (rows for group, rows in self.rows.items() if group not in lost)
                self._cut()
                write_whole(self.path, _lines(row for rows in kept for row in rows))
                self.refresh()
        return lost

    def _cut(self) -> None:
        """Moves what stands behind the last whole group to `*.torn`; only under the lock, when nobody is writing."""
        if not self.path.exists() or self.path.stat().st_size == self._end:
            return
        with self.path.open("r+b") as file:
            file.seek(self._end)
            _add(self.path.with_name(self.path.name + ".torn"), file.read().rstrip(b"\n") + b"\n")
            file.truncate(self._end)
            os.fsync(file.fileno())

    def _read(self, content: bytes) -> None:
        """Takes in the whole groups at the start of `content`; only what stands last may be unfinished."""
        at, block, torn = self._end, [], False
        for line in content.splitlines(keepends=True):
            at += len(line)
            row = _parse(line)
            if row is None or (block and row["group"] != block[0]["group"]):
                torn, block = True, []
            if row is None:
                continue
            if row["group"] not in self.groups:
                raise ValueError(
                    f"{self.path}: group {row['group']} is not in this configuration's plan; the folder's files do not "
                    "belong together, or another version of the package made them"
                )
            self._check(row, f"{self.path.name}, the row of key {str(row.get('key'))[:40]!r}")
            if any(row["key"] == other["key"] for other in block):
                raise ValueError(
                    f"{self.path}: the row of key {row['key']} stands twice in its group; put the file back"
                )
            block.append(row)
            if len(block) == len(self.groups[row["group"]]):
                if torn:
                    raise ValueError(
                        f"{self.path}: a whole group stands behind broken lines, so somebody changed the file; put it "
                        "back, or take it away to run everything again"
                    )
                self.rows[row["group"]], self._end, block = block, at, []

    def _check(self, row: Row, where: str) -> None:
        """Raises ValueError for a row that is no longer what was written: rows are never edited."""
        if self.judged:
            check_row(row, where)
        said = tuple(row.get(name) for name in ("task", "controller", "seed"))
        if self.groups[row["group"]].get(str(row.get("key"))) != said:
            task, controller, seed = (str(each)[:40] for each in said)
            raise ValueError(
                f"{where}: its key is not that of task {task!r}, controller {controller!r} and seed {seed} in this "
                "group, so somebody changed the row; put the file back"
            )


def _lines(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _add(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _parse(line: bytes) -> Row | None:
    """The row on a line; None if it is torn."""
    try:
        row = parsed_json(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and "group" in row else None
