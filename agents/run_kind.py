"""Identifies the command that made a run's folder, and checks the files outside of it that `config.json` names."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TRAINING, BENCHMARK = "training", "benchmark"
_MARKS = {TRAINING: ("env", "agent"), BENCHMARK: ("parts",)}
"""Fields that only the configuration of each kind has."""
_COMMANDS = {TRAINING: ("gan-env train", "gan-env train --resume"), BENCHMARK: ("gan-env bench", "gan-env bench --out")}


def kind_of(held: Any) -> str:
    """Returns TRAINING or BENCHMARK by the content of a `config.json`; "" if it is neither."""
    found = [kind for kind, marks in _MARKS.items() if isinstance(held, dict) and all(mark in held for mark in marks)]
    return found[0] if found else ""


def refuse_other(folder: Path, held: Any, wanted: str) -> None:
    """Raises ValueError, naming the right command, if the configuration is that of the other kind of run."""
    kind = kind_of(held)
    if kind not in ("", wanted):
        command, again = _COMMANDS[kind]
        raise ValueError(
            f"{str(folder)!r} is a {kind} of {command}, not a {wanted}; go on with: {again} {shlex.quote(str(folder))}"
        )


# -- what a configuration names elsewhere -------------------------------------------------------------------------

_TASKS, _CONTROLLERS = ("task", "tasks"), ("controllers",)
"""Settings with names of tasks and of controllers."""


def refuse_elsewhere(folder: Path, held: Any, asked: Any = ()) -> None:
    """Raises ValueError if a folder's configuration names outside data or files that the call did not request.

    A folder may come from somebody else, whose configuration must not decide which files are read.

    Args:
        folder: The folder; files inside it may be named.
        held: The configuration as JSON.
        asked: The configuration requested by the call, as JSON.
    """
    root, named = folder.resolve(), set(_places(asked))
    for name, place in _places(held):
        if (name, place) not in named and root not in Path(place).expanduser().resolve().parents:
            raise ValueError(
                f"{str(folder / 'config.json')!r} names {place!r} ({name!r}), which lies outside of the folder; if you "
                "want it to be read, say so by --trust, or name it in the call"
            )


def _places(held: Any, setting: str = "") -> Iterator[tuple[str, str]]:
    """Lists names of tasks and controllers that contain a path, each with the path."""
    if isinstance(held, dict):
        for name, value in held.items():
            yield from _places(value, name)
    elif isinstance(held, (list, tuple)):
        for value in held:
            yield from _places(value, setting)
    elif isinstance(held, str) and setting in _TASKS + _CONTROLLERS:
        for place in _places_of_task(held) if setting in _TASKS else _places_of_controller(held):
            yield held, place


def _places_of_task(name: str) -> Iterator[str]:
    """Returns the path in `folder:PATH@64`; a number is not a path."""
    where = re.sub(r"@\d*$", "", name.partition(":")[2])
    if where and not _is_number(where):
        yield where


def _places_of_controller(name: str) -> Iterator[str]:
    """Returns the path in `mine.safetensors`, `replay:mine.safetensors` and `autoloss(file="mine.safetensors")`."""
    stem, _, rest = name.partition(":")
    if stem == "best-constant":
        yield from _places_of_task(name)
        return
    head, bracket, options = name.partition("(")
    if head.endswith(".safetensors") and not rest:
        yield head
    texts = [head.partition(":")[2]]
    texts += [text for pair in re.findall(r"\"([^\"]*)\"|'([^']*)'", options) for text in pair]
    if bracket and any(mark in options for mark in ("\\", '"""', "'''")):
        texts.append(options)  # written so that its text cannot be seen here
    for text in texts:
        if text and not _is_number(text) and (re.search(r"[\\/~]|\.\w", text) or os.path.lexists(text)):
            yield text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
