"""The names that a benchmark takes for its controllers, and what they stand for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gan_env.envs.config import EnvConfig
from gan_env.tasks.task import parse_task
from gan_env.training.trainer import Trainer

from ..base import NeedsTrainer
from ..comparison.compare import Entry
from ..comparison.rows import Row
from ..policies.policy_files import load_controller
from ..registry import controller_label, make_controller, parse_controller

BEST_CONSTANT = "best-constant"
"""`best-constant`: the constant multiplier that did best on tune seeds; `best-constant:TASK`, on another task's."""
_SHARED = ("updates_per_step", "features", "d_loss_scale", "d_lr_range")
"""What an embedded FSCO has in common with its game, unless its name says otherwise."""


def tuned_on(name: str) -> str | None:
    """Of a best-constant, the task that it is chosen on, "" for the judged one; None for any other name."""
    stem, colon, task = name.partition(":")
    if stem != BEST_CONSTANT:
        return None
    if colon:
        parse_task(task)
    return task


def file_of(name: str) -> Path | None:
    """The file that a controller is read from, if it is."""
    if name.endswith(".safetensors") and ":" not in name:
        return Path(name)
    stem, text, _ = parse_controller(name)
    return Path(text) if stem in ("replay", "autoloss") and text else None


def meaning(name: str, tasks: tuple[str, ...]) -> object:
    """What names have in common that say the same of games of these tasks, e.g. "constant:1" and "constant:1.0()".

    An option that is given its default is not seen through.
    """
    if (task := tuned_on(name)) is not None:
        return BEST_CONSTANT, "" if (task,) == tasks else task
    if name.endswith(".safetensors"):
        return name
    stem, text, options = parse_controller(name)
    try:
        number = None if text is None else float(text)
    except ValueError:
        number = text
    return stem, number, sorted(options.items(), key=lambda option: option[0])


def check_contender(name: str) -> None:
    """Raises ValueError for a name that stands for nothing."""
    if tuned_on(name) is None:
        make_entry(name, EnvConfig())


def make_entry(name: str, game: EnvConfig, runs_as: str = "") -> Entry:
    """A fresh controller for a game, under its name in tables; `runs_as` is what a best-constant turned out to be."""
    if tuned_on(name) is not None:
        return Entry(name, make_controller(runs_as), runs_as)
    path = file_of(name)
    if path is not None and str(path) == name:
        controller = load_controller(path)
        return Entry(name, controller, f"{controller.name} {file_hash(path)}")
    if Path(name).is_file():
        raise ValueError(f"controller {name!r} is a file, but none of a controller: those end in .safetensors")
    stem, text, options = parse_controller(name)
    if stem == "fsco":
        options = {field: getattr(game, field) for field in _SHARED} | options
    full = stem if text is None else f"{stem}:{text}"
    return Entry(
        controller_label(name), make_controller(full, **options), "" if path is None else f"{name} {file_hash(path)}"
    )


def file_hash(path: Path) -> str:
    """Hash of a file's bytes; raises OSError where it cannot be read."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def refusal(name: str, game: EnvConfig, trainer: Trainer) -> str:
    """Why a controller is not defined for a game, "" if it is: it is started on the first row of a trainer."""
    if tuned_on(name) is not None:
        return ""
    controller = make_entry(name, game).controller
    try:
        if isinstance(controller, NeedsTrainer):
            controller.bind(trainer, slice(0, 1))
        controller.reset([0], trainer.facts)
    except ValueError as error:
        return str(error)
    return ""


def best_constant(rows: Iterable[Row], worst: float) -> str:
    """The constant with the least mean distance to validation data; a run that failed counts as `worst`.

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
