"""What a benchmark runs: parts, each a grid of games, controllers and seeds, cut into groups that run as one batch.

The groups are a pure function of the configuration, so that whoever has the configuration can run any of them again.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.envs.rewards import REWARDS
from gan_env.tasks.task import Task, make_task, parse_task
from gan_env.training.compatible import difference

from ..comparison.compare import SPLIT_SIZE, SPLITS, split_seeds
from ..comparison.rows import cell_key, group_id, joint_id, settled
from ..registry import controller_label
from .contestants import check_contender, file_hash, file_of, meaning, refusal, tuned_on

HALF_DECADES = (0.1, 0.3, 1.0, 3.0, 10.0)
SHARED_ROWS = 16
"""Most rows in a batch that games share. Sixteen rows cost hardly twice what four do; more are hardly cheaper together
than apart, and apart they keep more cores busy. Another number makes other groups of the same configuration."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One grid: tasks × losses × base rates × controllers × seeds, with all else fixed."""

    name: str = "main"
    """What rows and tables call it; differs between the parts of a benchmark."""
    tasks: tuple[str, ...] = ("ring",)
    """Tasks (`gan-env list`)."""
    losses: tuple[str, ...] = ("bce",)
    """GAN losses; "wgan-gp:10" sets a coefficient."""
    controllers: tuple[str, ...] = ("sim-gda", "alt-gda-1", "alt-gda-5", "dyn-gda")
    """Controllers (`gan-env list`), with options in brackets: "dyn-gda(c1=1.2)"; "best-constant", chosen on tune seeds;
    the path of a controller file."""
    d_lr: tuple[float, ...] = ()
    """Base learning rates of the discriminator; by default the task's own."""
    g_lr: float | Literal["task", "same"] = "task"
    """Base learning rate of the generator: a number, "same" as the discriminator's, or the "task"'s own."""
    updates: int | None = None
    """Updates of each run; by default the task's own number."""
    seeds: int = 8
    """Runs of each controller in each game; every controller meets the same seeds."""
    split: str = "evaluate"
    """Which seeds: "evaluate", or "tune" for choosing anything at all."""
    group_rows: int = 64
    """Most rows in one batch, unless one seed needs more. Fewer leave more groups for more cores. Part of the results,
    for rounding depends on it. Small batches of games that differ in their data alone become one, of up to 16 rows."""
    constants: tuple[float, ...] = HALF_DECADES
    """Multipliers among which best-constant is chosen."""
    tune_seeds: int = 8
    """Seeds of the split "tune" on which it is chosen, by the distance to validation data."""
    game: EnvConfig = field(default_factory=EnvConfig)
    """Everything else about the game; its task, loss, rates and length are those above."""

    def __post_init__(self) -> None:
        for axis in ("tasks", "losses", "controllers", "d_lr", "constants"):
            values = getattr(self, axis)
            if not values and axis != "d_lr":
                raise ValueError(f"{axis} is empty; name at least one")
            if len(set(values)) != len(values):
                raise ValueError(f"{axis}={','.join(map(str, values))} names one twice; leave it out once")
        if not all(0 < value < math.inf for value in self.constants):
            raise ValueError(f"constants={','.join(map(str, self.constants))} must be numbers > 0, e.g. 0.3,1,3")
        for one, other in itertools.combinations(self.controllers, 2):
            if meaning(one, self.tasks) == meaning(other, self.tasks):
                raise ValueError(f"controllers: {one!r} and {other!r} are the same; leave one of them out")
        for count in ("seeds", "tune_seeds", "group_rows"):
            if not 1 <= getattr(self, count) <= SPLIT_SIZE:
                raise ValueError(f"{count}={getattr(self, count)} must be 1 to {SPLIT_SIZE}")
        if self.split not in SPLITS:
            raise ValueError(f"split={self.split!r} is unknown; use one of {', '.join(SPLITS)}")
        REWARDS[self.game.reward]  # by name alone, for the configuration is written down
        if isinstance(self.g_lr, str) and self.g_lr not in ("task", "same"):
            raise ValueError(f"g_lr={self.g_lr!r} must be a learning rate, 'same' (as d_lr) or 'task'")
        if self.g_lr == "same" and not self.d_lr:
            raise ValueError("g_lr='same' needs d_lr to be the same as; name base rates with d_lr")
        if any(tuned_on(name) is not None for name in self.controllers) and self.split == "tune":
            raise ValueError("best-constant is chosen on the seeds of split='tune'; judge it on split='evaluate'")
        for _ in self.games():  # every name is known, every number fits
            pass
        for name in self.controllers:
            check_contender(name)

    def games(self) -> Iterator[EnvConfig]:
        """Every combination of task, loss and base rate."""
        for task in self.tasks:
            for loss in self.losses:
                for d_lr in self.d_lr or (None,):
                    yield self.game_of(task, loss, d_lr)

    def game_of(self, task: str | Task, loss: str, d_lr: float | None) -> EnvConfig:
        """One of the games."""
        g_lr = {"task": None, "same": d_lr}.get(self.g_lr, self.g_lr) if isinstance(self.g_lr, str) else self.g_lr
        return EnvConfig.of(self.game, task=task, loss=loss, d_lr=d_lr, g_lr=g_lr, episode_updates=self.updates)


@dataclass(frozen=True, kw_only=True)
class Undefined:
    """A controller that a game is not defined for, and that was left out of it."""

    part: str
    task: str
    loss: str
    controller: str
    why: str


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """A whole benchmark: what `config.json` holds."""

    parts: tuple[Part, ...] = (Part(),)
    suite: str = ""
    """The named suite that it began as."""
    skip_undefined: bool = False
    """Leave controllers out of the games that they refuse, instead of refusing to start."""
    undefined: tuple[Undefined, ...] = ()
    """What was left out for that."""
    files: dict[str, str] = field(default_factory=dict)
    """Hash of the file of every controller that is read from one, and of the data of every task that names a place."""
    command: str = ""
    """The call that began it, as a person would type it; it decides nothing."""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"parts={names} must have names that differ, at least one")


@dataclass(frozen=True)
class Contest:
    """A game and the controllers that meet in it."""

    game: EnvConfig
    controllers: tuple[str, ...]
    needs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of each best-constant among the controllers, the groups whose rows choose it."""
    files: tuple[tuple[str, str], ...] = ()
    """Hash of each controller's file, and of the data of a task that names a place."""

    @property
    def task(self) -> str:
        """Name of the game's task."""
        assert isinstance(self.game.task, str)
        return self.game.task

    @property
    def names(self) -> tuple[str, ...]:
        """The controllers as rows and tables call them."""
        return tuple(map(controller_label, self.controllers))

    @property
    def resolved(self) -> EnvConfig:
        """The game with its task built; reads the data at the first call."""
        return EnvConfig.of(self.game, task=built(self.task))


@dataclass(frozen=True)
class Group:
    """Rows that run as one batch: the same seeds for each controller of a game, or of several that share the batch."""

    part: str
    contests: tuple[Contest, ...]
    seeds: tuple[int, ...]
    split: str

    @property
    def game(self) -> EnvConfig:
        """The first game; the others differ from it in their task alone."""
        return self.contests[0].game

    @property
    def chooses(self) -> bool:
        """Whether its rows choose a constant; they are never scored on test data."""
        return not self.game.score

    @property
    def needs(self) -> list[str]:
        """The groups whose rows choose its constants."""
        return [need for contest in self.contests for _, ids in contest.needs for need in ids]

    @property
    def cells(self) -> int:
        """Rows."""
        return sum(len(contest.controllers) for contest in self.contests) * len(self.seeds)

    @property
    def updates(self) -> int:
        """Updates of each row."""
        return self.game.episode_updates or self.contests[0].resolved.build_task().episode_updates

    @property
    def what(self) -> str:
        """Part, tasks and loss, for people."""
        return f"{self.part}: {' + '.join(contest.task for contest in self.contests)}, {self.game.loss}"

    def labels(self, contest: Contest) -> dict[str, Any]:
        """What the rows of a contest say besides, and what its hash counts besides."""
        more = {"chosen_by": {k: list(v) for k, v in contest.needs}, "files": dict(contest.files)}
        return {"part": self.part} | {name: value for name, value in more.items() if value}

    @functools.cached_property
    def ids(self) -> list[str]:
        """Hash of all that decides the rows of each contest."""
        return [
            group_id(c.resolved, c.names, self.seeds, {**self.labels(c), "split": self.split}) for c in self.contests
        ]

    @functools.cached_property
    def id(self) -> str:
        """Hash of all that decides its rows, as `group` in them."""
        return joint_id(self.ids)

    @property
    def rows(self) -> dict[str, tuple[str, str, int]]:
        """The key of each row, in order, with its task, controller and seed."""
        return {
            cell_key(own, name, seed): (contest.resolved.build_task().name, name, seed)
            for own, contest in zip(self.ids, self.contests, strict=True)
            for name in contest.names
            for seed in self.seeds
        }


@functools.cache
def built(task: str) -> Task:
    """The task of a name, read once in a process."""
    return make_task(task)


def data_hash(task: Task) -> str:
    """Hash of a task's held-out data, which a sample more or less shuffles anew, and of how many it trains on."""
    data, found = task.data, hashlib.blake2b(digest_size=8)
    for split in (data.validation(), data.test()):
        found.update(split.contiguous().numpy().tobytes())
    found.update(str((data.shape, len(data) if isinstance(data, Sized) else None)).encode())
    return found.hexdigest()


def plan(config: BenchConfig) -> list[Group]:
    """Every group of a benchmark; those that choose a constant come before those that need it."""
    groups: dict[str, Group] = {}
    for part in config.parts:
        left_out = {(u.task, u.loss, u.controller) for u in config.undefined if u.part == part.name}
        judged: list[Group] = []
        choosing: dict[str, Group] = {}
        for game in part.games():
            who = tuple(name for name in part.controllers if (game.task, game.loss, name) not in left_out)
            needs = []
            for name in who:
                if (task := tuned_on(name)) is not None:
                    found = {group.id: group for group in _choosing(part, game, task or str(game.task), config.files)}
                    choosing |= found
                    needs.append((name, tuple(found)))
            files = tuple((name, config.files[name]) for name in (*who, str(game.task)) if name in config.files)
            contest = Contest(game, who, tuple(needs), files)
            for seeds in _chunks(split_seeds(part.split, part.seeds), part.group_rows // max(len(who), 1)):
                judged += [Group(part.name, (contest,), seeds, part.split)] if who else []
        for group in _packed(judged, min(part.group_rows, SHARED_ROWS)):
            groups |= {need: choosing[need] for need in group.needs} | {group.id: group}
    return list(groups.values())


def _packed(groups: Sequence[Group], most: int) -> list[Group]:
    """The same rows in fewer groups: where another game fits beside the first ones, it joins their batch."""
    packed: list[Group] = []
    for group in groups:
        for at, other in enumerate(packed):
            if other.cells + group.cells <= most and other.seeds == group.seeds and _can_share(other, group):
                packed[at] = replace(other, contests=other.contests + group.contests)
                break
        else:
            packed.append(group)
    return packed


def _can_share(a: Group, b: Group) -> bool:
    """Whether two games differ in their task alone, and in that so little that one product serves the rows of both."""
    if EnvConfig.of(b.game, task=a.game.task) != a.game:
        return False
    one, two = a.contests[0].resolved, b.contests[0].resolved
    return settled(one) == settled(two) and _alike(a.contests[0].task, b.contests[0].task, settled(one)["batch_size"])


@functools.cache
def _alike(a: str, b: str, batch_size: int) -> bool:
    return not difference(built(a), built(b), batch_size)


def _choosing(part: Part, game: EnvConfig, task: str, files: dict[str, str]) -> Iterator[Group]:
    """The groups that choose a constant for a game, on `task`."""
    assert game.loss is not None
    config = EnvConfig.of(part.game_of(task, game.loss, game.d_lr), score=False)
    # Short where that says it all, for the name is part of what a committed group is known by.
    who = tuple(f"constant:{f'{v:g}' if float(f'{v:g}') == v else repr(v)}" for v in part.constants)
    contest = Contest(config, who, files=((task, files[task]),) if task in files else ())
    for seeds in _chunks(split_seeds("tune", part.tune_seeds), part.group_rows // len(who)):
        yield Group(part.name, (contest,), seeds, "tune")


def _chunks(seeds: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """The seeds in as few pieces of at most `size` as can be, and as even."""
    pieces = math.ceil(len(seeds) / max(size, 1))
    for i in range(pieces):
        yield tuple(seeds[len(seeds) * i // pieces : len(seeds) * (i + 1) // pieces])


def prepared(config: BenchConfig) -> BenchConfig:
    """The configuration with what depends on this machine written down: the device, controllers' files, own data."""
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
    """The configuration once every controller has been started on every game.

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
