"""Identifies the command that made a run's folder, by its `config.json`."""

from __future__ import annotations

import shlex
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
