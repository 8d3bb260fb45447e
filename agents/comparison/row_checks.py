"""Schema of a row: its fields, their types, and which a judged run must have; checks rows on reading.

A file of rows may come from anybody. Fields in this table are checked on reading, so that no other code has to check
them again; other fields are never used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gan_env.io.files import parsed_json, shown

from .rows import Row

NAME_LENGTH, TEXT_LENGTH = 120, 4_000
LARGEST_COUNT = 2**53
"""Largest bound up to which float64 represents every whole number."""
LARGEST_NUMBER = 1e100
"""Largest absolute value: its square is still finite."""
LARGEST_ROW = 2**20
"""Most bytes of a line; ours have six thousand."""
MOST_ENTRIES, DEEPEST = 1_000, 4
"""Most entries of a list or a record in a field, and deepest nesting."""
MOST_POINTS = 100_000
"""Most points of a trace."""
_STATUS = ("ok", "diverged", "error")
_TRACE = ("update", "g_loss", "d_loss", "log_d_multiplier")


def finite(value: object) -> bool:
    """Returns whether it is a finite number whose square is finite."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) <= LARGEST_COUNT
    return isinstance(value, float) and abs(value) <= LARGEST_NUMBER


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_LENGTH


def _plain(value: object, depth: int = DEEPEST) -> bool:
    """Returns whether a JSON value is small."""
    if isinstance(value, (dict, list)):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and len(value) <= MOST_ENTRIES and all(_plain(each, depth - 1) for each in inner)
    return value is None or isinstance(value, (bool, float)) or _text(value) or finite(value)


def _record_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and _plain(value) and all(map(fits, value.values()))


class _Kind(NamedTuple):
    """Type and bounds of a field."""

    words: str
    fits: Callable[[object], bool]


class _Field(NamedTuple):
    """A field of a row."""

    kind: _Kind
    always: bool = False
    """Whether every judged run must have it."""
    nothing: bool = False
    """Whether it may be None."""


_A_TEXT = _Kind("a text", _text)
_A_NUMBER = _Kind("a finite number", finite)
_NO_LESS = _Kind("a finite number", lambda value: finite(value) and value >= 0)  # type: ignore[operator]
_A_COUNT = _Kind("a whole number", _count)
_A_RECORD = _Kind("a record of plain values", _record_of(_plain))
_COUNTS = _Kind("a record of whole numbers", _record_of(_count))
_TEXTS = _Kind("a record of texts", _record_of(_text))
FIELDS: dict[str, _Field] = {
    **dict.fromkeys(("task", "loss", "controller", "split", "status", "score_name"), _Field(_A_TEXT, always=True)),
    **dict.fromkeys(("seed", "updates"), _Field(_A_COUNT, always=True)),
    **dict.fromkeys(("d_lr", "g_lr"), _Field(_A_NUMBER, always=True)),
    "floor": _Field(_A_NUMBER, always=True, nothing=True),  # of a row that chooses a constant, which is not scored
    **dict.fromkeys(("d_updates", "g_updates", "wall_s"), _Field(_NO_LESS, always=True)),
    **dict.fromkeys(("batch_size", "updates_per_step", "quality_every", "threads", "ended"), _Field(_A_COUNT)),
    **dict.fromkeys(
        ("order", "d_loss_scale", "reward", "dtype", "quality_name", "return_name", "part", "device", "machine",
         "engine", "group", "key"), _Field(_A_TEXT),
    ),
    **dict.fromkeys(("failure", "runs_as", "replay_of"), _Field(_A_TEXT, nothing=True)),
    **dict.fromkeys(("quality", "score_ema", "untrained_score"), _Field(_A_NUMBER, nothing=True)),
    **dict.fromkeys(("control_s", "g_ema"), _Field(_NO_LESS)),
    "normalise": _Field(_Kind("true or false", lambda value: isinstance(value, bool))),
    **dict.fromkeys(("optimizer", "annealing", "own_settings", "details", "chosen_by"), _Field(_A_RECORD)),
    **dict.fromkeys(("versions", "files"), _Field(_TEXTS)),
    "selection_updates": _Field(_COUNTS),
}  # fmt: skip
"""Every field that is used, except `score`, `return` and `trace`, whose meaning depends on `status`."""
_OF_A_GROUP = ("group", "key", "task", "controller", "seed", "status", "wall_s", "quality", "versions")
"""Fields that every row of a benchmark must have, also those that choose a constant."""
_JUDGED = ("return_name", "failure", "runs_as")
"""Further fields that the tables of a benchmark need."""


def parse_row(line: str | bytes) -> Row:
    """Parses a line; raises ValueError if it is no JSON or too long, TypeError if it is no object."""
    if len(line) > LARGEST_ROW:
        raise ValueError(f"it has more than {LARGEST_ROW:,} characters")
    try:
        text = line.decode() if isinstance(line, bytes) else line  # json would take bytes for UTF-16, too
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    row = parsed_json(text)
    if not isinstance(row, dict):
        raise TypeError("it is no JSON object")
    return row


def read_row(line: str | bytes, where: str) -> Row:
    """Reads the row on a line, with control characters escaped.

    Raises ValueError, naming the place `where`, if it is not a row.
    """
    try:
        row = parse_row(line)
    except ValueError as error:
        raise ValueError(
            f"{where} is not JSON ({error}); gan-env bench --out DIR mends a benchmark's folder, else delete the line"
        ) from error
    except TypeError as error:
        raise ValueError(f"{where} is not a JSON object; delete the line") from error
    check_row(row, where)
    return shown(row)


def check_row(row: Row, where: str) -> None:
    """Raises ValueError, naming the place `where`, unless the row can be that of a judged run."""
    check_fields(row, where, [name for name, field in FIELDS.items() if field.always])
    _check_values(row, where)


def check_group_row(row: Row, where: str, *, judged: bool) -> None:
    """Checks a row of a benchmark's group; if it is not `judged`, checks that it can choose a constant."""
    check_fields(row, where, (*_OF_A_GROUP, *(_JUDGED if judged else ())))
    if judged:
        check_row(row, where)
    elif row["status"] not in _STATUS or (row["status"] == "ok" and row["quality"] is None):
        raise ValueError(f"{where}: 'status' is {row['status'][:40]!r} and 'quality' {row['quality']}; run it again")


def check_fields(row: Row, where: str, needed: Any) -> None:
    """Raises ValueError for a field of the wrong type, or a required one that is missing."""
    for name, field in FIELDS.items():
        value = row.get(name)
        if name not in row and name not in needed or (value is None and field.nothing and name in row):
            continue
        if not field.kind.fits(value):
            got = "is missing" if name not in row else f"is {str(value)[:40]!r}"
            raise ValueError(f"{where}: {name!r} {got}, not {field.kind.words}; run the cell again")


def _check_values(row: Row, where: str) -> None:
    score, trace = row.get("score"), row.get("trace")
    for name in ("task", "loss", "controller", "score_name", "split"):
        if not row[name].isprintable() or not 0 < len(row[name]) <= NAME_LENGTH:
            raise ValueError(f"{where}: {name!r} must be 1 to {NAME_LENGTH} printable characters; rename it")
    if row["status"] not in _STATUS:
        raise ValueError(f"{where}: 'status' is {row['status'][:40]!r}, not one of {', '.join(_STATUS)}")
    if row["floor"] is None:
        raise ValueError(f"{where}: 'floor' is 'None', not a finite number; run the cell again")
    if (row["status"] == "ok") != (finite(score)) or not (score is None or finite(score)):
        raise ValueError(
            f"{where}: 'score' is {score!r:.40} at status {row['status']!r}; a number if and only if it is ok"
        )
    if (row["status"] != "error" or row.get("return") is not None) and not finite(row.get("return")):
        raise ValueError(
            f"{where}: 'return' is {str(row.get('return'))[:40]!r}, not a finite number; run the cell again"
        )
    if not (row["d_lr"] > 0 and row["g_lr"] > 0):
        raise ValueError(f"{where}: 'd_lr' and 'g_lr' must be above 0, got {row['d_lr']} and {row['g_lr']}")
    if trace is not None and not _good_trace(trace):
        raise ValueError(f"{where}: 'trace' must hold {', '.join(_TRACE)} as lists of numbers of one length")


def _good_trace(trace: object) -> bool:
    if not isinstance(trace, dict):
        return False
    columns = [trace.get(name) for name in (*_TRACE, "v1_share") if name in trace or name in _TRACE]
    if not all(isinstance(column, list) and len(column) <= MOST_POINTS for column in columns):
        return False
    try:
        values = np.array(columns)
    except (OverflowError, ValueError):  # lists of different lengths
        return False
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        return False
    return bool((np.abs(values.astype(np.float64)) <= LARGEST_NUMBER).all())
