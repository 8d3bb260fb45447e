"""Cuts a benchmark into groups, the rows that run as one batch.

The groups are a pure function of the configuration, so that whoever has the configuration can run any of them again.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.tasks.task import Task, parse_task
from gan_env.training.compatible import difference

from ..comparison.contestants import by_settings, file_hash, file_of
from ..comparison.own_settings import own_settings
from ..comparison.rows import cell_key, group_id, joint_id, settled
from ..comparison.seeds import split_seeds
from ..registry import TUNED_SCHEDULE, controller_label
from .bench_config import BenchConfig, Part, Undefined, built
from .contestants import refusal, tuned_on
from .halving import SURVIVOR, rungs, schedules, short, survivors

T = TypeVar("T")

SHARED_ROWS = 16
"""Most rows in a batch that games share. Sixteen rows cost hardly twice what four do; more are hardly cheaper together
than apart, and apart they keep more cores busy. Another number makes other groups of the same configuration."""


@dataclass(frozen=True)
class PlannedComparison:
    """A game and the names of the controllers that are compared on it."""

    game: EnvConfig
    controllers: tuple[str, ...]
    needs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of each controller that is chosen on tune seeds, the groups whose rows choose it; of the survivors of a rung
    together, as `SURVIVOR`, those whose rows rank them."""
    files: tuple[tuple[str, str], ...] = ()
    """Hash of each controller's file, and of the data of a task that names a place."""
    spent: tuple[tuple[str, int], ...] = ()
    """Updates of GANs on tune seeds that choose each of these, counted where a best-schedule is among them."""

    @property
    def task(self) -> str:
        """Name of the game's task."""
        assert isinstance(self.game.task, str)
        return self.game.task

    @property
    def names(self) -> tuple[str, ...]:
        """Labels of the controllers in rows and tables."""
        return tuple(map(controller_label, self.controllers))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the game that all its controllers change alike, see `by_settings`."""
        return own_settings(self.controllers[0])

    @property
    def resolved(self) -> EnvConfig:
        """The game with its task built; the data are read at the first call."""
        return EnvConfig.of(self.game, task=built(self.task))


@dataclass(frozen=True)
class Group:
    """Rows that run as one batch: the same seeds for each controller of a game, or of several games.

    Games that share a batch differ in their task alone.
    """

    part: str
    comparisons: tuple[PlannedComparison, ...]
    seeds: tuple[int, ...]
    split: str
    rung: int = 0
    """Which rung of the search for a schedule it belongs to, from 1; 0: to none."""

    @property
    def game(self) -> EnvConfig:
        """The first game; the others differ from it in their task alone."""
        return self.comparisons[0].game

    @property
    def chooses(self) -> bool:
        """Whether its rows choose a constant or a schedule; such rows are never scored on test data."""
        return not self.game.score

    @property
    def needs(self) -> list[str]:
        """The groups whose rows choose its constants and schedules."""
        return [need for comparison in self.comparisons for _, ids in comparison.needs for need in ids]

    @property
    def cells(self) -> int:
        """Rows."""
        return sum(len(comparison.controllers) for comparison in self.comparisons) * len(self.seeds)

    @property
    def steps(self) -> int:
        """Its updates, then the rows and untrained generators that are scored one by one."""
        scored = 0 if self.chooses else self.cells + len(self.comparisons) * len(self.seeds)
        return self.updates + scored

    @property
    def updates(self) -> int:
        """Updates of each row."""
        return self.game.episode_updates or self.comparisons[0].resolved.build_task().episode_updates

    @property
    def what(self) -> str:
        """Part, tasks and loss, for people."""
        rung = f", rung {self.rung}" if self.rung else ""
        return f"{self.part}: {' + '.join(comparison.task for comparison in self.comparisons)}, {self.game.loss}{rung}"

    def labels(self, comparison: PlannedComparison) -> dict[str, Any]:
        """Returns further fields of a comparison's rows, which count in its hash."""
        more = {
            "chosen_by": {k: list(v) for k, v in comparison.needs},
            "files": dict(comparison.files),
            "selection_updates": dict(comparison.spent),
        }
        return {"part": self.part} | {name: value for name, value in more.items() if value}

    @functools.cached_property
    def ids(self) -> list[str]:
        """Hash of all that decides the rows of each comparison."""
        return [
            group_id(c.resolved, c.names, self.seeds, {**self.labels(c), "split": self.split}) for c in self.comparisons
        ]

    @functools.cached_property
    def id(self) -> str:
        """Hash of all that decides its rows, as `group` in them."""
        return joint_id(self.ids)

    @property
    def rows(self) -> dict[str, tuple[str, str, int]]:
        """The key of each row, in order, with its task, controller and seed."""
        return {
            cell_key(own, name, seed): (comparison.resolved.build_task().name, name, seed)
            for own, comparison in zip(self.ids, self.comparisons, strict=True)
            for name in comparison.names
            for seed in self.seeds
        }


def data_hash(task: Task) -> str:
    """Hashes a task's held-out data, which change with every sample added, and the number of its samples."""
    data, found = task.data, hashlib.blake2b(digest_size=8)
    for split in (data.validation(), data.test()):
        found.update(split.contiguous().numpy().tobytes())
    found.update(str((data.shape, len(data) if isinstance(data, Sized) else None)).encode())
    return found.hexdigest()


def plan(config: BenchConfig) -> list[Group]:
    """Lists the groups of a benchmark; those that choose or rank something come before those that need it."""
    groups: dict[str, Group] = {}
    for part in config.parts:
        left_out = {(u.task, u.loss, u.controller) for u in config.undefined if u.part == part.name}
        judged: list[Group] = []
        choosing: dict[str, Group] = {}
        for game in part.games():
            every = [name for name in part.controllers if (game.task, game.loss, name) not in left_out]
            for who in by_settings(every):
                needs, spent = [], []
                for name in who:
                    if (task := tuned_on(name)) is not None:
                        search = _search if is_schedule(name) else _constants
                        found = [list(rung) for rung in search(part, game, task or str(game.task), config.files)]
                        choosing |= {group.id: group for rung in found for group in rung}
                        needs.append((name, tuple(group.id for group in found[-1])))
                        spent.append((name, sum(group.cells * group.updates for rung in found for group in rung)))
                files = tuple((name, config.files[name]) for name in (*who, str(game.task)) if name in config.files)
                counted = tuple(spent) if any(map(is_schedule, who)) else ()
                comparison = PlannedComparison(game, who, tuple(needs), files, counted)
                for seeds in _chunks(split_seeds(part.split, part.seeds), part.group_rows // max(len(who), 1)):
                    judged += [Group(part.name, (comparison,), seeds, part.split)] if who else []
        for group in _packed(judged, min(part.group_rows, SHARED_ROWS)):
            groups |= {need.id: need for need in ancestors(group, choosing)} | {group.id: group}
    return list(groups.values())


def is_schedule(name: str) -> bool:
    """Tells whether a controller is the schedule that is chosen on tune seeds."""
    return tuned_on(name) is not None and name.startswith(TUNED_SCHEDULE)


def ancestors(group: Group, groups: Mapping[str, Group]) -> Iterator[Group]:
    """Yields the groups that must be complete before a group, those that they need themselves first."""
    for need in group.needs:
        yield from ancestors(groups[need], groups)
        yield groups[need]


def _packed(groups: Sequence[Group], most: int) -> list[Group]:
    """Packs the rows into fewer groups: a game that fits beside earlier ones joins their batch."""
    packed: list[Group] = []
    with_room: dict[tuple[int, ...], list[int]] = {}  # places in `packed`, by seeds: to look at all takes n² steps
    for group in groups:
        places = with_room.setdefault(group.seeds, [])
        for at in places:
            other = packed[at]
            if other.cells + group.cells <= most and _can_share(other, group):
                packed[at] = replace(other, comparisons=other.comparisons + group.comparisons)
                break
        else:
            if group.cells < most:
                places.append(len(packed))
            packed.append(group)
    return packed


def _can_share(a: Group, b: Group) -> bool:
    """Tells whether two games differ in their task alone, and their tasks can share a batch."""
    if EnvConfig.of(b.game, task=a.game.task) != a.game:
        return False
    if a.comparisons[0].settings != b.comparisons[0].settings:
        return False
    one, two = a.comparisons[0].resolved, b.comparisons[0].resolved
    return settled(one) == settled(two) and _alike(
        a.comparisons[0].task, b.comparisons[0].task, settled(one)["batch_size"]
    )


@functools.cache
def _alike(a: str, b: str, batch_size: int) -> bool:
    return not difference(built(a), built(b), batch_size)


def _constants(part: Part, game: EnvConfig, task: str, files: dict[str, str]) -> Iterator[Iterator[Group]]:
    """Lists the groups that choose a constant for a game, on `task`: a single round."""
    config = _unscored(part, game, task)
    who = tuple(f"constant:{short(value)}" for value in part.constants)
    comparison = PlannedComparison(config, who, files=_pinned(task, files))
    yield _tune_groups(part, comparison, split_seeds("tune", part.tune_seeds))


def _search(part: Part, game: EnvConfig, task: str, files: dict[str, str]) -> Iterator[Iterator[Group]]:
    """Lists the groups of each rung of the search for a schedule for a game, on `task`."""
    config = _unscored(part, game, task)
    every = schedules(part.d_multipliers, part.g_multipliers, part.shapes)
    updates = config.episode_updates or built(task).episode_updates
    before: list[Group] = []
    for number, rung in enumerate(rungs(len(every), part.tune_seeds, updates, config.updates_per_step), start=1):
        who = survivors(rung.candidates) if before else tuple(every)
        seeds = [split_seeds("tune", 1 + place)[-1] for place in rung.seeds]
        shorter = EnvConfig.of(config, episode_updates=rung.updates)
        needs = ((SURVIVOR, tuple(group.id for group in before)),) if before else ()
        before = [
            replace(group, rung=number)
            for names in _chunks(who, part.group_rows)
            for group in _tune_groups(part, PlannedComparison(shorter, names, needs, _pinned(task, files)), seeds)
        ]
        yield iter(before)


def _unscored(part: Part, game: EnvConfig, task: str) -> EnvConfig:
    assert game.loss is not None
    return EnvConfig.of(part.game_of(task, game.loss, game.d_lr), score=False)


def _pinned(task: str, files: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return ((task, files[task]),) if task in files else ()


def _tune_groups(part: Part, comparison: PlannedComparison, seeds: Sequence[int]) -> Iterator[Group]:
    """Cuts seeds of the split "tune" into groups of at most `group_rows` rows, unless one seed needs more."""
    for own in _chunks(seeds, part.group_rows // len(comparison.controllers)):
        yield Group(part.name, (comparison,), own, "tune")


def _chunks(items: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """Cuts a sequence into as few pieces of at most `size` as possible, of even length."""
    pieces = math.ceil(len(items) / max(size, 1))
    for i in range(pieces):
        yield tuple(items[len(items) * i // pieces : len(items) * (i + 1) // pieces])


def prepared(config: BenchConfig) -> BenchConfig:
    """Returns the configuration with the device and the hashes of controllers' files and own data filled in."""
    parts, files = [], {}
    for part in config.parts:
        parts.append(replace(part, game=EnvConfig.of(part.game, device=str(part.game.torch_device))))
        for name in part.controllers:
            if tuned_on(name) is None and (path := file_of(name)) is not None:
                files[name] = file_hash(path)
        agents = [name for name in part.controllers if name in files and str(file_of(name)) == name]
        for one, other in itertools.combinations(agents, 2):
            if files[one] == files[other]:
                raise ValueError(f"controllers: {one!r} and {other!r} are the same agent; leave one of them out")
        tasks = *part.tasks, *filter(None, map(tuned_on, part.controllers))
        files |= {task: data_hash(built(task)) for task in tasks if parse_task(task)[1]}
    return replace(config, parts=tuple(parts), files=files)


def without_undefined(config: BenchConfig) -> BenchConfig:
    """Starts every controller on every game; returns the configuration with those that refuse left out.

    Raises:
        ValueError: If one refuses and `skip_undefined` is off; otherwise what refuses is listed in `undefined`.
    """
    found: list[Undefined] = []
    for part in config.parts:
        for task, loss in itertools.product(part.tasks, part.losses):
            game = part.game_of(built(task), loss, None if not part.d_lr else part.d_lr[0])
            trainer = make_trainer(game, 1)
            trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
            for name in part.controllers:
                if why := refusal(name, game, trainer):
                    found.append(Undefined(part=part.name, task=task, loss=loss, controller=name, why=why))
    if found and not config.skip_undefined:
        first, more = found[0], len(found) - 1
        raise ValueError(
            f"controllers: {first.controller!r} is not defined for task={first.task!r}, loss={first.loss!r} "
            f"({first.why}){f', and so for {more} more' if more else ''}. Leave it out, or give skip_undefined"
        )
    return replace(config, undefined=tuple(found))
