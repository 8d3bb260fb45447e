"""A benchmark's folder: its configuration, its rows, and claims on the groups that are running.

    config.json       the configuration, written first and never changed
    rows.jsonl        one line a judged cell; the lines of a group appear together
    selection.jsonl   the same for the runs on tune seeds that choose a constant or a schedule; test data never score
                      them
    generators/       with --keep, KEY.safetensors: the generator of the row of that key
    samples/          with --pictures, one picture a game: each controller's samples on the way
    *.gz              in place of either file, packed by gzip: for keeping and verifying, not for going on
    *.torn            lines that a killed process left unfinished, cut off before the next write
    *.retried         groups that were taken out to be run again, because a cell of theirs had crashed
    claims/           one locked file a group that is running, one a file of rows; a lock dies with its process

Any number of processes may work on a folder; a group is run by one of them at a time, and written once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_env.io.files import (
    PARTIAL,
    Lock,
    has_folder,
    is_there,
    make_folder,
    own_folder,
    read_json,
    write_whole,
)

from ..comparison.rows import Row
from ..named_places import refuse_elsewhere
from ..run_kind import BENCHMARK, refuse_other
from ..work_limit import refuse_costly, samples_of
from .bench_config import BenchConfig, built
from .halving import SURVIVOR, ranked, survivors
from .plan import Group, PlannedComparison, ancestors, plan, prepared, without_undefined
from .plan_json import as_json, difference, from_json
from .row_log import CLAIMS, RowLog
from .sample_grids import is_pictured

CONFIG = "config.json"


@dataclass(frozen=True)
class Job:
    """A group to be run now."""

    group: Group
    runs_as: tuple[dict[str, str], ...] = ()
    """For each comparison, the constant or schedule that runs under each name that is chosen on tune seeds."""
    keep: Path | None = None
    """Folder for the generators of the rows that are scored, if they are to be kept."""
    pictures: Path | None = None
    """Folder for a picture of samples on the way, if one is to be drawn of this group."""

    @property
    def id(self) -> str:
        """Of the group."""
        return self.group.id

    @property
    def updates(self) -> int:
        """Of the group."""
        return self.group.updates


class Folder:
    """The benchmark in a folder, as one process sees it. See `open_folder`."""

    TRIES = 2
    """Attempts per call at a group that fails for an external reason."""

    def __init__(self, path: Path, config: BenchConfig):
        self.path, self.config, self.groups = path, config, plan(config)
        self.keep = False
        """Whether jobs write the generators that they train to `generators/KEY.safetensors`."""
        self.pictures = False
        """Whether jobs draw samples on the way to `samples/`, of one group a game."""
        holds = {chooses: {g.id: g.rows for g in self.groups if g.chooses is chooses} for chooses in (False, True)}
        self.rows, self.selection = (
            RowLog(path / "rows.jsonl", holds[False]),
            RowLog(path / "selection.jsonl", holds[True], judged=False),
        )
        self._choosing = {group.id: group for group in self.groups if group.chooses}
        self.failures: dict[str, list[str]] = {}
        """Why groups could not be run, by group."""
        self._claims: dict[str, Lock] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads the rows that other processes have finished since."""
        self.rows.refresh()
        self.selection.refresh()

    def _log(self, group: Group) -> RowLog:
        return self.selection if group.chooses else self.rows

    def done(self, group: Group) -> bool:
        """Returns whether the group's rows are complete."""
        return group.id in self._log(group).rows

    def ready(self, group: Group) -> bool:
        """Returns whether the groups that choose its constants and schedules are complete."""
        return all(need.id in self.selection.rows for need in ancestors(group, self._choosing))

    @property
    def left(self) -> list[Group]:
        """Lists the groups whose rows are missing."""
        return [group for group in self.groups if not self.done(group)]

    @property
    def crashed(self) -> list[Group]:
        """Lists the finished groups with a judged cell of status "error"."""
        return [group for group in self.groups if not group.chooses and _crashed(self.rows.rows.get(group.id, []))]

    def withdraw_crashed(self) -> int:
        """Removes those groups from the rows, so that they are run once more; returns their number."""
        self._refuse_packed(self.rows)
        return len(self.rows.withdraw(_crashed))

    @property
    def possible(self) -> list[Group]:
        """Lists the remaining groups that have not failed too often."""
        lost = {g for g, why in self.failures.items() if len(why) >= self.TRIES}
        for group in self.groups:  # what a group needs stands before it
            if lost & set(group.needs):
                lost.add(group.id)
        return [group for group in self.left if group.id not in lost]

    def rows_of(self, group: Group) -> list[Row]:
        """Returns the rows of a finished group."""
        return self._log(group).rows[group.id]

    def all_rows(self) -> list[Row]:
        """Returns the judged rows, in the plan's order."""
        return [row for group in self.groups for row in self.rows.rows.get(group.id, [])]

    def take(self) -> Job | None:
        """Claims the first group that nobody is running and that is `ready`; None if there is none."""
        self.refresh()
        for group in self.possible:
            self._refuse_packed(self._log(group))
            if group.id in self._claims or not self.ready(group):
                continue
            claim = Lock(self.path / CLAIMS / group.id)
            with self._log(group).exclusively():  # so that nobody takes away the file of the lock that is opened
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
        """Returns the group with its constants and schedules chosen."""
        found = tuple(map(self._runs_as, group.comparisons))
        keep = self.path / "generators" if self.keep else None
        return Job(group, found, keep, self.path / "samples" if self.pictures and is_pictured(group) else None)

    def _runs_as(self, comparison: PlannedComparison) -> dict[str, str]:
        """Returns what runs under each name that is chosen on tune seeds, by the rows that choose it.

        It follows from the distances alone: what those rows say that they ran as is not read.
        """
        found = {}
        for name, ids in comparison.needs:
            chosen_on = self._choosing[ids[0]].comparisons[0]  # in all of them, the same stands behind a name
            rows = [row for i in ids for row in self.selection.rows[i]]
            best = ranked(rows, built(chosen_on.task).quality.worst, self._runs_as(chosen_on))
            found |= dict(zip(survivors(len(best)), best, strict=True)) if name == SURVIVOR else {name: best[0]}
        return found

    def put(self, group: Group, rows: Sequence[Row]) -> None:
        """Writes the rows of a group that `take` returned."""
        log = self._log(group)
        log.append(group.id, rows)
        with log.exclusively():
            self._claims.pop(group.id).drop(remove=True)

    def fail(self, group: Group, why: str) -> None:
        """Releases a group that could not be run."""
        self.failures.setdefault(group.id, []).append(why)
        self._claims.pop(group.id).drop()

    def close(self) -> None:
        """Releases every claim and closes the files."""
        for claim in self._claims.values():
            claim.drop()
        self._claims.clear()
        self.rows.close()
        self.selection.close()


def _crashed(rows: Sequence[Row]) -> bool:
    return any(row["status"] == "error" for row in rows)


def open_folder(path: Path, asked: BenchConfig | None, *, trust: bool = False) -> Folder:
    """Opens the benchmark in a folder: a new one, or an existing one with exactly the requested configuration.

    Args:
        path: The folder.
        asked: The configuration; None for the folder's own.
        trust: Read the data and controllers' files that the folder's configuration names elsewhere, and take on any
            amount of work, although nobody asked for it.

    Raises:
        ValueError: If the folder holds another configuration (the first field that differs is named) or something else;
            if it holds none and none is asked; if it cannot be made; if a controller refuses a game, or a controller's
            file has changed; if its configuration names what lies elsewhere, or asks for far more work than any of
            ours, without `trust`.
        OSError: If the folder cannot be read, or a link stands in the place of a file of ours.
    """
    file = path / CONFIG
    for name in (CLAIMS, "generators", "samples"):
        has_folder(path / name)
    if asked is None and not is_there(file):
        raise ValueError(f"{str(path)!r} holds no benchmark, for there is no {file.name} in it; name a run's folder")
    asked = None if asked is None else prepared(asked)
    if asked is not None and not is_there(file):
        _begin(path, asked)
    try:
        read = read_json(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    refuse_other(path, read, BENCHMARK)
    if not trust:
        refuse_elsewhere(path, read, () if asked is None else as_json(asked))
    try:
        config = from_json(read)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if asked is None and not trust:
        samples = sum(samples_of(game, part.runs_a_game) for part in config.parts for game in part.games())
        updates = max(part.updates or 0 for part in config.parts)
        refuse_costly(path, samples, updates, max(part.rows_at_once for part in config.parts))
    held, wanted = as_json(config), as_json(prepared(config) if asked is None else asked)
    for ours, theirs in zip(wanted["parts"], held["parts"], strict=False):
        if ours["game"]["engine"] == "auto":  # a folder goes on with the engine that it was begun with
            ours["game"]["engine"] = theirs["game"]["engine"]
    neutral = {"undefined": [], "skip_undefined": False, "command": ""}  # what was left out stays left out
    if found := difference(held | neutral, wanted | neutral):
        raise ValueError(
            f"out={str(path)!r} holds another benchmark: {found}; a folder's controllers and games stay as they are: "
            "name another folder, or ask for the same"
        )
    return Folder(path, config)


def _begin(path: Path, asked: BenchConfig) -> None:
    """Writes the configuration into a new folder, unless another process did so first."""
    there = os.listdir(path) if path.is_dir() else []
    foreign = any(name != CLAIMS and not name.endswith(PARTIAL) for name in there)
    if foreign and not is_there(path / CONFIG):  # which is there before anything else is
        raise ValueError(f"out={str(path)!r} is not empty and holds no benchmark; name another folder")
    config = without_undefined(asked)
    make_folder(path)
    own_folder(path / CLAIMS)
    with Lock(path / CLAIMS / "config").held():
        if not is_there(path / CONFIG):
            write_whole(path / CONFIG, json.dumps(as_json(config), indent=2) + "\n")
