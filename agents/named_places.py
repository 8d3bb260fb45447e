"""Finds the paths that a folder's `config.json` names, and refuses those that the user did not name in the call.

A folder may come from somebody else, whose configuration must not decide which files are read. Names are split here by
the very functions that load them, and whatever those cannot split counts as a path.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_env.io.files import expanded

from .registry import TUNED, parse_controller

_TASKS, _CONTROLLERS = ("task", "tasks"), ("controllers",)
"""Settings with names of tasks and of controllers."""


def refuse_elsewhere(folder: Path, held: Any, asked: Any = ()) -> None:
    """Raises ValueError if a folder's configuration names data or files that the call did not name.

    A controller's file inside the folder is allowed; data are not, for they may hold links to any place.

    Args:
        folder: The folder.
        held: The configuration as JSON.
        asked: The configuration requested by the call, as JSON.
    """
    named = set(_places(asked))
    for name, place, is_file in _places(held):
        if (name, place, is_file) not in named and not (is_file and _lies_in(folder, place)):
            raise ValueError(
                f"{str(folder / 'config.json')!r} names {place!r} ({name!r}), which need not lie in the folder; if you "
                "want it to be read, say so by --trust, or name it in the call"
            )


def _lies_in(folder: Path, place: str) -> bool:
    return folder.resolve() in expanded(place).resolve().parents


def _places(held: Any, setting: str = "") -> Iterator[tuple[str, str, bool]]:
    """Lists names of tasks and controllers that contain a path, each with the path and whether it is a single file."""
    if isinstance(held, dict):
        for name, value in held.items():
            yield from _places(value, name)
    elif isinstance(held, (list, tuple)):
        for value in held:
            yield from _places(value, setting)
    elif isinstance(held, str) and setting in _TASKS:
        yield from ((held, place, False) for place in _places_of_task(held))
    elif isinstance(held, str) and setting in _CONTROLLERS:
        stem, colon, task = held.partition(":")
        if stem in TUNED and colon:
            yield from ((held, place, False) for place in _places_of_task(task))
        else:
            yield from ((held, place, True) for place in _places_of_controller(held))


def _places_of_task(name: str) -> Iterator[str]:
    """Returns what stands behind the colon, e.g. `PATH@64,grey` of `folder:PATH@64,grey`; a number seldom is a path."""
    where = name.partition(":")[2]
    if where and not (_is_number(where) and not os.path.lexists(where)):
        yield where


def _places_of_controller(name: str) -> Iterator[str]:
    """Returns the path in `mine.safetensors`, `replay:mine.safetensors` and `autoloss(file="mine.safetensors")`."""
    if name.endswith(".safetensors") and ":" not in name:
        yield name
        return
    try:
        _, text, options = parse_controller(name)
    except ValueError:
        yield name
        return
    yield from (value for value in _texts([text, options]) if _may_be_a_path(value))


def _texts(value: Any) -> Iterator[str]:
    """Every text in an option's value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield os.fsdecode(value)
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, (list, tuple, set)):
        for each in value:
            yield from _texts(each)


def _may_be_a_path(text: str) -> bool:
    if not text or (_is_number(text) and not os.path.lexists(text)):
        return False
    return "\0" in text or bool(re.search(r"[\\/~]|\.\w", text)) or os.path.lexists(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
