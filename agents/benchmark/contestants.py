"""Names of controllers in a benchmark: the tuned constant, names that mean the same, refusals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.tasks.task import parse_task
from gan_env.training.trainer import Trainer

from ..base import NeedsTrainer
from ..comparison.contestants import Contestant, game_of, make_contestant
from ..comparison.rows import Row
from ..registry import TUNED_CONSTANT, make_controller, parse_contestant


def tuned_on(name: str) -> str | None:
    """Returns the task that a best-constant is chosen on, "" for the judged one; None for any other name.

    `best-constant` is the constant multiplier that did best on tune seeds, `best-constant:TASK` on another task's.
    """
    stem, colon, task = name.partition(":")
    if stem != TUNED_CONSTANT:
        return None
    if colon:
        parse_task(task)
    return task


def meaning(name: str, tasks: tuple[str, ...]) -> object:
    """Returns a key that is equal for names of the same controller on these tasks: "constant:1", "constant:1.0()".

    An option that is set to its default is not recognised as such.
    """
    if (task := tuned_on(name)) is not None:
        return TUNED_CONSTANT, "" if (task,) == tasks else task
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


def resolve_contestant(name: str, game: EnvConfig, runs_as: str = "") -> Contestant:
    """Makes a controller for a game; `runs_as` is the constant that stands for a best-constant."""
    if tuned_on(name) is not None:
        return Contestant(name, make_controller(runs_as), runs_as)
    return make_contestant(name, game)


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


def best_constant(rows: Iterable[Row], worst: float) -> str:
    """Returns the constant with the least mean distance to validation data; a run that failed counts as `worst`.

    Test data have no part in it. On a tie the one nearest to 1 wins.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        quality = row["quality"] if row["status"] == "ok" else worst
        found.setdefault(row["controller"], []).append(min(quality, worst))
    if not found:
        raise ValueError("best-constant has no rows to be chosen from")

    def place(name: str) -> tuple[float, float]:
        return float(np.mean(found[name])), abs(float(np.log(float(name.partition(":")[2]))))

    return min(found, key=place)
