"""The configuration of a benchmark: parts, each a grid of games, controllers and seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gan_env.envs.config import EnvConfig
from gan_env.envs.rewards import REWARDS
from gan_env.registry import unknown
from gan_env.tasks.task import Task, make_task

from ..comparison.seeds import SPLIT_SIZE, SPLITS
from ..registry import TUNED_SCHEDULE
from ..report.blocks import MOST_CONFIGURATIONS, MOST_CONTROLLERS
from ..rules.gda import SHAPES
from .contestants import check_contestant, meaning, tuned_on
from .halving import rungs

HALF_DECADES = (0.1, 0.3, 1.0, 3.0, 10.0)
D_MULTIPLIERS = (*HALF_DECADES, 30.0, 100.0, 300.0)
G_MULTIPLIERS = (0.03, *HALF_DECADES, 30.0)
"""They reach the best two rates of every fast game from every base rate of `lr-robustness`: see `rate_sweep.py`."""


MOST_PARTS, MOST_RUNS = 100, 50_000
"""Of a benchmark, and of a part, whose games and controllers are as many as a report takes; the largest of ours has
three thousand runs. A folder from elsewhere may ask for anything."""


@functools.cache
def built(task: str) -> Task:
    """Makes the task of a name, once in a process."""
    return make_task(task)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One grid: tasks × losses × base rates × controllers × seeds, with all else fixed.

    >>> [game.task for game in Part(tasks=("ring", "line"), controllers=("sim-gda",)).games()]
    ['ring', 'line']
    """

    name: str = "main"
    """What rows and tables call it; differs between the parts of a benchmark."""
    tasks: tuple[str, ...] = ("ring",)
    """Tasks (`gan-env list`)."""
    losses: tuple[str, ...] = ()
    """GAN losses; "wgan-gp:10" sets a coefficient. By default the tasks' own, which must be one and the same."""
    controllers: tuple[str, ...] = ("sim-gda", "alt-gda-1", "alt-gda-5", "dyn-gda")
    """Controllers (`gan-env list`), with options in brackets: "dyn-gda(c1=1.2)"; "best-constant" and "best-schedule",
    chosen on tune seeds; the path of a controller file."""
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
    d_multipliers: tuple[float, ...] = D_MULTIPLIERS
    """Multipliers of D's rate among which best-schedule is chosen, by successive halving."""
    g_multipliers: tuple[float, ...] = G_MULTIPLIERS
    """Multipliers of G's rate among which it is chosen."""
    shapes: tuple[str, ...] = SHAPES
    """Shapes among which it is chosen: "constant", "linear" and "cosine"."""
    tune_seeds: int = 8
    """Seeds of the split "tune" on which either is chosen, by the distance to validation data; the last rung's."""
    game: EnvConfig = field(default_factory=EnvConfig)
    """Everything else about the game; its task, loss, rates and length are those above."""

    def __post_init__(self) -> None:
        for count in ("seeds", "tune_seeds", "group_rows"):
            if not 1 <= getattr(self, count) <= SPLIT_SIZE:
                raise ValueError(f"{count}={getattr(self, count)} must be 1 to {SPLIT_SIZE}")
        self._check_size()
        if not self.losses:
            object.__setattr__(self, "losses", (self._own_loss(),))
        self._check_axes()
        if self.split not in SPLITS:
            raise ValueError(f"split={self.split!r} is unknown; use one of {', '.join(SPLITS)}")
        REWARDS[self.game.reward]  # by name alone, for the configuration is written down
        if isinstance(self.g_lr, str) and self.g_lr not in ("task", "same"):
            raise ValueError(f"g_lr={self.g_lr!r} must be a learning rate, 'same' (as d_lr) or 'task'")
        if self.g_lr == "same" and not self.d_lr:
            raise ValueError("g_lr='same' needs d_lr to be the same as; name base rates with d_lr")
        if any(tuned_on(name) is not None for name in self.controllers) and self.split == "tune":
            chosen = next(name for name in self.controllers if tuned_on(name) is not None)
            raise ValueError(f"{chosen} is chosen on the seeds of split='tune'; judge it on split='evaluate'")
        for _ in self.games():  # every name is known, every number fits
            pass
        for name in self.controllers:
            check_contestant(name)

    @property
    def size(self) -> int:
        """How many runs it asks for, those that choose a constant or a schedule included."""
        return self._games * self.runs_a_game

    @property
    def rows_at_once(self) -> int:
        """How many GANs one of its batches holds at most."""
        judged = len(self.controllers) * self.seeds
        return min(max(self.group_rows, len(self.controllers)), max(judged, self.runs_a_game - judged))

    @property
    def runs_a_game(self) -> int:
        """How many runs each of its games has, see `size`."""
        each = len(self.controllers) * self.seeds + len(self.constants) * self.tune_seeds
        if any(name.startswith(TUNED_SCHEDULE) for name in self.controllers):
            candidates = len(self.d_multipliers) * len(self.g_multipliers) * len(self.shapes)
            each += sum(rung.candidates * len(rung.seeds) for rung in rungs(candidates, self.tune_seeds, 1, 1))
        return each

    @property
    def _games(self) -> int:
        return len(self.tasks) * max(len(self.losses), 1) * max(len(self.d_lr), 1)

    def _check_size(self) -> None:
        """Raises ValueError for more than one folder can hold; before anything else, since all else takes as long."""
        if self._games > MOST_CONFIGURATIONS:
            raise ValueError(f"{self._games:,} games are too many for one part; at most {MOST_CONFIGURATIONS:,}")
        if len(self.controllers) > MOST_CONTROLLERS:
            raise ValueError(f"{len(self.controllers):,} controllers are too many; at most {MOST_CONTROLLERS:,}")
        if self.size > MOST_RUNS:
            raise ValueError(
                f"a benchmark of {self.size:,} runs is too large for a folder; at most {MOST_RUNS:,}: use several"
            )

    def _own_loss(self) -> str:
        """Returns the tasks' own loss; raises ValueError if they differ in it."""
        own = {task: built(task).loss for task in self.tasks}
        if len(set(own.values())) > 1:
            each = ", ".join(f"{loss} of {task}" for task, loss in own.items())
            raise ValueError(f"losses: the tasks' own differ ({each}); name losses for all of them, or use two parts")
        return next(iter(own.values()), "bce")

    def _check_axes(self) -> None:
        """Raises ValueError for an axis of the grid that is empty, or that names one thing twice."""
        multipliers = ("constants", "d_multipliers", "g_multipliers")
        for axis in ("tasks", "losses", "controllers", "d_lr", "shapes", *multipliers):
            values = getattr(self, axis)
            if not values and axis != "d_lr":
                raise ValueError(f"{axis} is empty; name at least one")
            if len(set(values)) != len(values):
                raise ValueError(f"{axis}={','.join(map(str, values))} names one twice; leave it out once")
        for axis in multipliers:
            if not all(0 < value < math.inf for value in getattr(self, axis)):
                raise ValueError(f"{axis}={','.join(map(str, getattr(self, axis)))} must be numbers > 0, e.g. 0.3,1,3")
        for shape in self.shapes:
            if shape not in SHAPES:
                raise unknown("shape", shape, list(SHAPES))
        first: dict[str, str] = {}
        for name in self.controllers:
            one = first.setdefault(repr(meaning(name, self.tasks)), name)
            if one != name:
                raise ValueError(f"controllers: {one!r} and {name!r} are the same; leave one of them out")

    def games(self) -> Iterator[EnvConfig]:
        """Yields every combination of task, loss and base rate."""
        for task in self.tasks:
            for loss in self.losses:
                for d_lr in self.d_lr or (None,):
                    yield self.game_of(task, loss, d_lr)

    def game_of(self, task: str | Task, loss: str, d_lr: float | None) -> EnvConfig:
        """Returns one of the games."""
        g_lr = {"task": None, "same": d_lr}.get(self.g_lr, self.g_lr) if isinstance(self.g_lr, str) else self.g_lr
        return EnvConfig.of(self.game, task=task, loss=loss, d_lr=d_lr, g_lr=g_lr, episode_updates=self.updates)


@dataclass(frozen=True, kw_only=True)
class Undefined:
    """A controller that refuses a game and was left out of it."""

    part: str
    task: str
    loss: str
    controller: str
    why: str


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """A whole benchmark: what `config.json` holds.

    >>> BenchConfig(parts=(Part(controllers=("sim-gda",)), Part(name="fast", updates=10))).parts[1].name
    'fast'
    """

    parts: tuple[Part, ...] = (Part(),)
    suite: str = ""
    """The named suite that it began as."""
    skip_undefined: bool = False
    """Leave controllers out of the games that they refuse, instead of refusing to start."""
    undefined: tuple[Undefined, ...] = ()
    """What was left out for that reason."""
    files: dict[str, str] = field(default_factory=dict)
    """Hash of the file of every controller that is read from one, and of the data of every task that names a place."""
    command: str = ""
    """The call that began it, as a person would type it; it decides nothing."""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"parts={names} must have names that differ, at least one")
