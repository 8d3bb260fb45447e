"""A file of rows that is appended and read by whole groups, even if a writer is killed at any time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gan_env.io.files import (
    Lock,
    add_to,
    bounded_lines,
    cut,
    is_there,
    open_packed,
    open_to_read,
    own_folder,
    shown,
    write_whole,
)

from ..comparison.row_checks import check_group_row, parse_row
from ..comparison.rows import Row

CLAIMS = "claims"
"""Folder beside the rows for the locks of running processes."""
MOST_TORN = 1_000
"""Most broken lines after the last whole group; a killed process leaves one."""


class RowLog:
    """A file of rows that is appended and read by whole groups.

    Args:
        path: The file; it need not exist yet.
        groups: Every group that it may contain: the key of each of its rows, with its task, controller and seed.
        judged: Whether rows must have the fields of a judged run (`check_row`).
    """

    def __init__(self, path: Path, groups: dict[str, dict[str, tuple[str, str, int]]], *, judged: bool = True):
        self.path, self.groups, self.judged = path, groups, judged
        self._held: BinaryIO | None = None
        self.rows: dict[str, list[Row]] = {}
        """Rows of each finished group, as of the last `refresh`."""
        self.lock = Lock(path.parent / CLAIMS / path.name)  # the file itself may be replaced
        """Held by whoever adds groups, takes them out, or opens or removes a claim on one of them."""
        self._end = 0  # bytes of the file that are whole groups

    @property
    def packed(self) -> Path | None:
        """Path of the gzip file, if it replaces the plain one."""
        packed = self.path.with_name(self.path.name + ".gz")
        return packed if not is_there(self.path) and is_there(packed) else None

    def refresh(self) -> None:
        """Reads the groups that were added since; leaves incomplete ones for later."""
        if (packed := self.packed) is not None:
            if self._end == 0:
                with open_packed(packed) as lines:
                    self._read(lines)
            return
        if not is_there(self.path):
            return
        file = self._current()
        if os.fstat(file.fileno()).st_size < self._end:
            raise OSError(f"{self.path}: was cut while it was in use; start again on what is there now")
        file.seek(self._end)
        self._read(bounded_lines(file, self.path))

    def _current(self) -> BinaryIO:
        """Returns the open file; reopens it and reads it from the start if the path now leads to another file.

        While a file is open, no other can have its inode number, so a replacement, as `withdraw` makes, is always
        recognised.
        """
        file = open_to_read(self.path)
        if self._held is not None and os.path.sameopenfile(self._held.fileno(), file.fileno()):
            file.close()
            return self._held
        self.close()
        self.rows, self._end, self._held = {}, 0, file
        return file

    def close(self) -> None:
        """Closes the file; the next read opens it again and starts at its beginning."""
        if self._held is not None:
            self._held.close()
        self._held = None

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Locks the rows and the claims for the length of the block."""
        own_folder(self.lock.path.parent)
        with self.lock.held():
            yield

    def append(self, group: str, rows: Sequence[Row]) -> None:
        """Appends a group by one write under a lock, unless it is there; cuts off an unfinished group first."""
        assert [row["key"] for row in rows] == list(self.groups[group]), group
        with self.exclusively():
            self.refresh()
            self._cut()
            if group in self.rows:
                return
            content = _lines(rows)
            add_to(self.path, content)
            self.refresh()

    def withdraw(self, crashed: Callable[[Sequence[Row]], bool]) -> list[str]:
        """Moves the groups whose rows satisfy the condition to `*.retried`; returns their ids."""
        with self.exclusively():
            self.refresh()
            lost = [group for group, rows in self.rows.items() if crashed(rows)]
            if lost:
                add_to(self.path.with_name(self.path.name + ".retried"), _lines(r for g in lost for r in self.rows[g]))
                kept = (rows for group, rows in self.rows.items() if group not in lost)
                self._cut()
                self.close()
                write_whole(self.path, _lines(row for rows in kept for row in rows))
                self.refresh()
        return lost

    def _cut(self) -> None:
        """Moves everything after the last whole group to `*.torn`; only under the lock, when nobody is writing."""
        if not is_there(self.path, alone=True) or self.path.stat().st_size == self._end:
            return
        torn = self.path.with_name(self.path.name + ".torn")
        cut(self.path, self._end, lambda content: add_to(torn, content.rstrip(b"\n") + b"\n"))

    def _read(self, lines: Iterable[bytes]) -> None:
        """Reads the whole groups at the start of the lines; only the last group may be unfinished."""
        at, block, torn = self._end, [], 0
        for line in lines:
            at += len(line)
            row = self._parse(line)
            if row is None or (block and row["group"] != block[0]["group"]):
                torn, block = torn + 1, []
            if torn > MOST_TORN:
                raise ValueError(
                    f"{self.path}: holds {torn:,} broken lines, so it is no file of rows; put the file back"
                )
            if row is None:
                continue
            if row["group"] not in self.groups:
                raise ValueError(
                    f"{self.path}: group {shown(row['group'])[:40]!r} is not in this configuration's plan; the "
                    "folder's files do not belong together, or another version of the package made them"
                )
            self._check(row)
            if any(row["key"] == other["key"] for other in block):
                raise ValueError(
                    f"{self.path}: the row of key {row['key']} stands twice in its group; put the file back"
                )
            block.append(shown(row))
            if len(block) == len(self.groups[row["group"]]):
                if torn:
                    raise ValueError(
                        f"{self.path}: a whole group stands behind broken lines, so somebody changed the file; put it "
                        "back, or take it away to run everything again"
                    )
                self.rows[row["group"]], self._end, block = block, at, []

    def _parse(self, line: bytes) -> Row | None:
        """Parses a line; returns None if it is torn. Raises ValueError for a whole line that is no row of this file."""
        try:
            row = parse_row(line) if line.endswith(b"\n") else None
        except (TypeError, ValueError):
            return None
        if row is not None:
            check_group_row(row, self._where(row), judged=self.judged)
        return row

    def _where(self, row: Row) -> str:
        return f"{self.path.name}, the row of key {str(row.get('key'))[:40]!r}"

    def _check(self, row: Row) -> None:
        """Raises ValueError for a row that does not match the cell of its group: rows must not be edited."""
        said, where = tuple(row[name] for name in ("task", "controller", "seed")), self._where(row)
        if self.groups[row["group"]].get(row["key"]) != said:
            task, controller, seed = (str(each)[:40] for each in said)
            raise ValueError(
                f"{where}: its key is not that of task {task!r}, controller {controller!r} and seed {seed} in this "
                "group, so somebody changed the row; put the file back"
            )


def _lines(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
