"""A benchmark's folder: its configuration, its rows, and which of its groups somebody is running.

    config.json       the configuration, written first and never changed
    rows.jsonl        one line a judged cell; the lines of a group appear together
    selection.jsonl   the same for the runs on tune seeds that choose a constant, which test data never score
    generators/       with --keep, KEY.safetensors: the generator of the row of that key
    *.gz              in place of either file, packed by gzip: for keeping and verifying, not for going on
    *.torn            lines that a killed process left unfinished, cut off before the next write
    *.retried         groups that were taken out to be run again, because a cell of theirs had crashed
    claims/           one locked file a group that is running, one a file of rows; a lock dies with its process

Any number of processes may work on a folder; a group is run by one of them at a time, and put down once.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gan_env.files import Lock, sync_folder, write_whole

from ..rows import Row
from .contenders import best_constant, tuned_on
from .plan import BenchConfig, Group, built, plan, prepared, without_undefined
from .plan_json import as_json, difference, from_json

CLAIMS = "claims"


class RowLog:
    """A file of rows to which whole groups are added, and of which whole groups are read.

    Args:
        path: The file; it need not be there yet.
        sizes: Rows of every group that may stand in it.
    """

    def __init__(self, path: Path, sizes: dict[str, int]):
        self.path, self.sizes = path, sizes
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
        assert len(rows) == self.sizes[group], (group, len(rows), self.sizes[group])
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
            if row["group"] not in self.sizes:
                raise ValueError(
                    f"{self.path}: group {row['group']} is not in this configuration's plan; the folder's files do not "
                    "belong together, or another version of the package made them"
                )
            block.append(row)
            if len(block) == self.sizes[row["group"]]:
                if torn:
                    raise ValueError(
                        f"{self.path}: a whole group stands behind broken lines, so somebody changed the file; put it "
                        "back, or take it away to run everything again"
                    )
                self.rows[row["group"]], self._end, block = block, at, []


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
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) and "group" in row else None


@dataclass(frozen=True)
class Job:
    """A group that is to be run now."""

    group: Group
    runs_as: dict[str, str] = field(default_factory=dict)
    """Constant that stands for each best-constant."""
    keep: Path | None = None
    """Folder for the generators of the rows that are scored, if they are to be kept."""


class Folder:
    """The benchmark in a folder, as one process sees it. See `open_folder`."""

    TRIES = 2
    """How often one call tries a group that something outside it breaks."""

    def __init__(self, path: Path, config: BenchConfig):
        self.path, self.config, self.groups = path, config, plan(config)
        self.keep = False
        """Whether jobs write the generators that they train to `generators/KEY.safetensors`."""
        sizes = {chooses: {g.id: g.cells for g in self.groups if g.chooses is chooses} for chooses in (False, True)}
        self.rows, self.selection = (
            RowLog(path / "rows.jsonl", sizes[False]),
            RowLog(path / "selection.jsonl", sizes[True]),
        )
        self.failures: dict[str, list[str]] = {}
        """Why groups could not be run, by group."""
        self._claims: dict[str, Lock] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads what others have finished since."""
        self.rows.refresh()
        self.selection.refresh()

    def _log(self, group: Group) -> RowLog:
        return self.selection if group.chooses else self.rows

    def done(self, group: Group) -> bool:
        """Whether the group's rows are there."""
        return group.id in self._log(group).rows

    def ready(self, group: Group) -> bool:
        """Whether everything is there that chooses its constants."""
        return all(need in self.selection.rows for _, ids in group.needs for need in ids)

    @property
    def left(self) -> list[Group]:
        """Groups whose rows are not there."""
        return [group for group in self.groups if not self.done(group)]

    @property
    def crashed(self) -> list[Group]:
        """Finished groups that hold a judged cell of status "error"."""
        return [group for group in self.groups if not group.chooses and _crashed(self.rows.rows.get(group.id, []))]

    def withdraw_crashed(self) -> int:
        """Takes those groups out of the rows, so that they are left to run once more; gives how many."""
        self._refuse_packed(self.rows)
        return len(self.rows.withdraw(_crashed))

    @property
    def possible(self) -> list[Group]:
        """Groups that are left and have not failed too often."""
        lost = {g for g, why in self.failures.items() if len(why) >= self.TRIES}
        return [g for g in self.left if g.id not in lost and not lost & {need for _, ids in g.needs for need in ids}]

    def rows_of(self, group: Group) -> list[Row]:
        """The rows of a finished group."""
        return self._log(group).rows[group.id]

    def all_rows(self) -> list[Row]:
        """The judged rows, in the plan's order."""
        return [row for group in self.groups for row in self.rows.rows.get(group.id, [])]

    def take(self) -> Job | None:
        """Claims the first group that nobody is running and that has all it needs; None if there is none."""
        self.refresh()
        for group in self.possible:
            self._refuse_packed(self._log(group))
            (self.path / CLAIMS).mkdir(exist_ok=True)
            if group.id in self._claims or not self.ready(group):
                continue
            claim = Lock(self.path / CLAIMS / group.id)
            if not claim.take(wait=False):
                continue
            self.refresh()
            if self.done(group):  # by somebody who finished between the two looks
                claim.drop(remove=True)
                continue
            self._claims[group.id] = claim
            return self.job(group)
        return None

    def _refuse_packed(self, log: RowLog) -> None:
        if log.packed is not None:
            raise ValueError(f"{str(log.packed)!r} is packed and cannot be added to; to go on: gunzip {log.packed}")

    def job(self, group: Group) -> Job:
        """The group with its constants chosen."""
        found = {}
        for name, ids in group.needs:
            task = tuned_on(name) or str(group.game.task)
            rows = [row for i in ids for row in self.selection.rows[i]]
            found[name] = best_constant(rows, built(task).quality.worst)
        return Job(group, found, self.path / "generators" if self.keep else None)

    def put(self, group: Group, rows: Sequence[Row]) -> None:
        """Puts down the rows of a group that `take` gave."""
        self._log(group).append(group.id, rows)
        self._claims.pop(group.id).drop(remove=True)

    def fail(self, group: Group, why: str) -> None:
        """Gives back a group that could not be run."""
        self.failures.setdefault(group.id, []).append(why)
        self._claims.pop(group.id).drop()

    def close(self) -> None:
        """Gives back every claim."""
        for claim in self._claims.values():
            claim.drop()
        self._claims.clear()


def _crashed(rows: Sequence[Row]) -> bool:
    return any(row["status"] == "error" for row in rows)


def open_folder(path: Path, asked: BenchConfig | None) -> Folder:
    """The benchmark in a folder: a new one, or the one that is there if it has the very configuration that is asked.

    Args:
        path: The folder.
        asked: The configuration; None for the folder's own.

    Raises:
        ValueError: If the folder holds another configuration (the first field that differs is named) or something else;
            if it holds none and none is asked; if a controller refuses a game, or a controller's file has changed.
        OSError: If the folder cannot be made or read.
    """
    file = path / "config.json"
    if asked is None and not file.exists():
        raise ValueError(f"folder {str(path)!r} holds no benchmark to go on with; for a new one, name a suite or tasks")
    asked = None if asked is None else prepared(asked)
    if not file.exists() and asked is not None:
        if path.exists() and any(name != CLAIMS and not name.endswith(".partial") for name in os.listdir(path)):
            raise ValueError(f"out={str(path)!r} is not empty and holds no benchmark; name another folder")
        config = without_undefined(asked)
        (path / CLAIMS).mkdir(parents=True, exist_ok=True)
        with Lock(path / CLAIMS / "config").held(remove=True):
            if not file.exists():  # else somebody was faster
                write_whole(file, json.dumps(as_json(config), indent=2) + "\n")
    try:
        config = from_json(json.loads(file.read_text()))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    held, wanted = as_json(config), as_json(prepared(config) if asked is None else asked)
    found = difference(
        *({k: v for k, v in each.items() if k not in ("undefined", "command")} for each in (held, wanted))
    )
    if found:
        raise ValueError(
            f"out={str(path)!r} holds another benchmark: {found}; name another folder, or ask for the same"
        )
    return Folder(path, config)
