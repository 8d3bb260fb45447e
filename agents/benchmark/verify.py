"""`gan-env verify`: runs groups of a benchmark again and compares their rows to the bit."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tqdm import tqdm

from gan_env.envs.config import EnvConfig
from gan_env.io.files import shown

from ..comparison.rows import ORIGIN, TIMES, Row
from .executors import Executor, Failed
from .folder import Folder, Job
from .plan import Group


@dataclass(frozen=True)
class Difference:
    """A field of a row whose value differs."""

    controller: str
    seed: int
    field: str
    held: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.controller}, seed {self.seed}: {self.field} is {_short(self.held)}, now {_short(self.found)}"


FLOOR_ROUNDING = 1e-12
"""Relative difference within which two floors are equal.

Real points on one curve can have several cheapest matchings, whose sums differ in their last bits; which one is found
depends on the solver. Scores and all else are compared to the bit.
"""

ABSENT = "absent"
"""Value of a field that a row lacks, e.g. because an earlier version of the package made it."""


@dataclass(frozen=True)
class Verdict:
    """Result of running one group again."""

    group: str
    what: str
    """Its part, tasks and loss."""
    rows: int
    differences: list[Difference] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    """Differences in provenance: versions, machine, device, threads."""
    failed: str = ""
    """Why it could not be run, or ""."""

    @property
    def equal(self) -> bool:
        """Whether every row was reproduced."""
        return not self.differences and not self.failed


def finished(folder: Folder, within_s: float = math.inf) -> list[Group]:
    """Lists the groups that can be run again and whose training took at most `within_s` seconds by their rows."""
    done = [group for group in folder.groups if folder.done(group) and folder.ready(group)]
    return [group for group in done if sum(float(row["wall_s"]) for row in folder.rows_of(group)) <= within_s]


def verify(
    folder: Folder,
    executor: Executor,
    groups: int = 3,
    seed: int = 0,
    within_s: float = math.inf,
    *,
    show: bool = False,
) -> list[Verdict]:
    """Runs `groups` of the finished groups again, chosen by `seed` among those that took at most `within_s` to train.

    `show` draws a bar with the time left.

    Raises:
        ValueError: If no such group is finished, or `groups` is less than 1.
    """
    if groups < 1:
        raise ValueError(f"groups={groups} must be at least 1")
    found = finished(folder, within_s)
    if not found:
        within = "" if within_s == math.inf else f" that was trained within {within_s:g} s"
        raise ValueError(f"{str(folder.path)!r} has no finished group to verify{within}; run gan-env bench --out first")
    chosen = random.Random(seed).sample(found, min(groups, len(found)))
    jobs = iter([_by_the_same_engine(folder.job(group), folder.rows_of(group)) for group in chosen])
    verdicts, done = {}, {}
    bar = tqdm(total=sum(group.updates for group in chosen), unit="update", desc="verify", disable=not show)

    def say(group: str, updates: int) -> None:
        done[group] = updates
        bar.update(max(sum(done.values()) - bar.n, 0))

    for job, outcome in executor(lambda: next(jobs, None), say):
        group, what = job.group, job.group.what
        if isinstance(outcome, Failed):
            verdicts[group.id] = Verdict(group.id, what, group.cells, failed=outcome.why)
            continue
        held = folder.rows_of(group)
        found = shown(json.loads(json.dumps(outcome)))  # as rows come back from a file
        verdicts[group.id] = Verdict(group.id, what, group.cells, _compare(held, found), _origins(held[0], found[0]))
    bar.close()
    return [verdicts[group.id] for group in chosen]


def _by_the_same_engine(job: Job, held: Sequence[Row]) -> Job:
    """Returns the job with the engine that the group's rows name; rows without one were made by torch."""
    engine = held[0].get("engine", "torch")
    comparisons = [replace(each, game=EnvConfig.of(each.game, engine=engine)) for each in job.group.comparisons]
    return replace(job, group=replace(job.group, comparisons=tuple(comparisons)))


def _compare(held: Sequence[Row], found: Sequence[Row]) -> list[Difference]:
    differences = []
    for a, b in zip(held, found, strict=True):
        for name in dict.fromkeys([*a, *b]):
            was, now = a.get(name, ABSENT), b.get(name, ABSENT)
            if name not in TIMES + ORIGIN and not _equal(name, was, now):
                differences.append(Difference(str(a["controller"]), int(a["seed"]), name, was, now))
    return differences


def _equal(name: str, was: Any, now: Any) -> bool:
    if name == "floor" and isinstance(was, float) and isinstance(now, float):
        return math.isclose(was, now, rel_tol=FLOOR_ROUNDING)
    return _text(was) == _text(now)


def _origins(held: Row, found: Row) -> list[str]:
    flat = [{**row, **{f"version of {k}": v for k, v in row["versions"].items()}} for row in (held, found)]
    names = [name for name in dict.fromkeys([*flat[0], *flat[1]]) if name in ORIGIN or name.startswith("version of")]
    return [
        f"{name} {flat[0].get(name)} there, {flat[1].get(name)} here"
        for name in names
        if name != "versions" and flat[0].get(name) != flat[1].get(name)
    ]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # unlike ==, says that NaN is NaN


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= 60 else text[:57] + "..."


def report(verdicts: Sequence[Verdict], most: int = 5) -> str:
    """Formats the verdicts as text, with the likely cause of a difference."""
    lines = []
    for v in verdicts:
        said = "equal to the bit" if v.equal else v.failed or f"{len(v.differences)} fields differ"
        lines.append(f"{v.group}  {v.what}, {v.rows} rows: {said}")
        lines += [f"    {each}" for each in v.differences[:most]]
        lines += [f"    ... and {more} more"] if (more := len(v.differences) - most) > 0 else []
    if any(v.differences for v in verdicts):
        lines.append(cause(verdicts))
    return "\n".join(lines)


def cause(verdicts: Sequence[Verdict]) -> str:
    """Names the likely cause of differences."""
    origins = list(dict.fromkeys(each for v in verdicts if v.differences for each in v.origins))
    if origins:
        return f"likely cause: the rows were made with something else ({'; '.join(origins)})"
    return "versions and machine are the same, so the likely cause is a row that was changed, or code that was"
