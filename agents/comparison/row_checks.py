"""Whether a row that was read back says what a judged run says: for the benchmark, and for a report."""

from __future__ import annotations

import math

import numpy as np

from gan_env.io.files import parsed_json

from .rows import Row

NAME_LENGTH = 120

_NUMBER = (int, float)
_REQUIRED: dict[str, tuple[type, ...]] = {
    "task": (str,), "loss": (str,), "controller": (str,), "split": (str,), "status": (str,), "score_name": (str,),
    "seed": (int,), "updates": (int,), "d_lr": _NUMBER, "g_lr": _NUMBER, "floor": _NUMBER,
    "d_updates": _NUMBER, "g_updates": _NUMBER, "wall_s": _NUMBER,
}  # fmt: skip
_STATUS = ("ok", "diverged", "error")
_TRACE = ("update", "g_loss", "d_loss", "log_d_multiplier")


def read_row(line: str, where: str) -> Row:
    """The row on a line; raises ValueError, which names the place `where`, if it is none."""
    try:
        row = parsed_json(line)
    except ValueError as error:
        raise ValueError(
            f"{where} is not JSON ({error}); gan-env bench --out DIR mends a benchmark's folder, else delete the line"
        ) from error
    if not isinstance(row, dict):
        raise ValueError(f"{where} is not a JSON object; delete the line")
    check_row(row, where)
    return row


def check_row(row: Row, where: str) -> None:
    """Raises ValueError, which names the place `where`, for what no judged run says."""
    for name, kinds in _REQUIRED.items():
        value = row.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool) or value != value or value in (math.inf, -math.inf):
            kind = "a finite number" if float in kinds else "a whole number" if int in kinds else "a text"
            got = "is missing" if name not in row else f"is {str(value)[:40]!r}"
            raise ValueError(f"{where}: {name!r} {got}, not {kind}; run the cell again")
    _check_values(row, where)


def _check_values(row: Row, where: str) -> None:
    score, trace = row.get("score"), row.get("trace")
    for name in ("task", "loss", "controller", "score_name", "split"):
        if not row[name].isprintable() or not 0 < len(row[name]) <= NAME_LENGTH:
            raise ValueError(f"{where}: {name!r} must be 1 to {NAME_LENGTH} printable characters; rename it")
    if row["status"] not in _STATUS:
        raise ValueError(f"{where}: 'status' is {row['status'][:40]!r}, not one of {', '.join(_STATUS)}")
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


def finite(value: object) -> bool:
    """Whether it is a number that is neither NaN nor infinite."""
    return isinstance(value, _NUMBER) and not isinstance(value, bool) and math.isfinite(value)


def _good_trace(trace: object) -> bool:
    if not isinstance(trace, dict) or not all(isinstance(trace.get(name), list) for name in _TRACE):
        return False
    try:
        values = np.array([trace[name] for name in _TRACE])
    except ValueError:  # lists of different lengths
        return False
    return values.ndim == 2 and values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
