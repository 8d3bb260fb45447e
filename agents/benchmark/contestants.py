"""Names of controllers in a benchmark: those chosen on tune seeds, names that mean the same, refusals."""

from __future__ import annotations

import numpy as np

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.tasks.task import parse_task
from gan_env.training.trainer import Trainer

from ..base import NeedsTrainer
from ..comparison.contestants import Contestant, game_of, make_contestant
from ..comparison.own_settings import parse_contestant
from ..registry import TUNED, make_controller, parse_controller
from .halving import is_survivor

CHOSEN_AMONG = ("constant", "schedule")
"""What one that is chosen on tune seeds can turn out to be."""


def tuned_on(name: str) -> str | None:
    """Returns the task that a controller is chosen on, "" for the judged one; None for one that is not chosen.

    `best-constant` is the constant multiplier that did best on tune seeds, `best-constant:TASK` on another task's;
    `best-schedule` likewise the best schedule of both rates.
    """
    stem, colon, task = name.partition(":")
    if stem not in TUNED:
        return None
    if colon:
        parse_task(task)
    return task


def meaning(name: str, tasks: tuple[str, ...]) -> object:
    """Returns a key that is equal for names of the same controller on these tasks: "constant:1", "constant:1.0()".

    An option that is set to its default is not recognised as such.
    """
    if (task := tuned_on(name)) is not None:
        return name.partition(":")[0], "" if (task,) == tasks else task
    if name.endswith(".safetensors"):
        return name
    stem, text, options, settings = parse_contestant(name)
    try:
        number = None if text is None else float(text)
    except ValueError:
        number = text
    plain = {
        key: float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
        for key, value in options.items()
    }
    return stem, number, sorted({**plain, **settings}.items(), key=lambda option: option[0])


def check_contestant(name: str) -> None:
    """Raises ValueError for a name that is not a controller's."""
    if tuned_on(name) is None:
        make_contestant(name, EnvConfig())


def stands_for_another(name: str) -> bool:
    """Tells whether rows on tune seeds decide what runs under this name."""
    return tuned_on(name) is not None or is_survivor(name)


def resolve_contestant(name: str, game: EnvConfig, runs_as: str = "") -> Contestant:
    """Makes a controller for a game; `runs_as` is the constant or schedule that runs under a name that is chosen.

    Raises:
        ValueError: As `make_contestant`, or if `runs_as`, which may come from somebody's rows, is anything else.
    """
    if not stands_for_another(name):
        return make_contestant(name, game)
    if parse_controller(runs_as)[0] not in CHOSEN_AMONG:
        raise ValueError(f"{name} is a constant:X or a schedule(...), not {runs_as!r}; put its rows back")
    return Contestant(name, make_controller(runs_as), runs_as)


def refusal(name: str, game: EnvConfig, trainer: Trainer) -> str:
    """Starts a controller on the first row of a trainer; returns why it is not defined for the game, "" if it is.

    A contestant with settings of its own is started on a trainer with these.
    """
    if tuned_on(name) is not None:
        return ""
    contestant = make_contestant(name, game)
    controller = contestant.controller
    try:
        if contestant.settings:
            trainer = make_trainer(game_of([contestant], game), 1)
            trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
        if isinstance(controller, NeedsTrainer):
            controller.bind(trainer, slice(0, 1))
        controller.reset([0], trainer.facts)
    except ValueError as error:
        return str(error)
    return ""
