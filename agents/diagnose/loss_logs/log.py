"""Reads files into a `LossLog`: both players' losses row by row, and columns of quality."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .columns import Choice, Unnamed, choose
from .names import COUNTS, Measure, measure_of, role_of, words_of
from .printed import read_bare, read_printed
from .readers import read_delimited, read_json, read_python
from .source import read_lines, shown
from .table import Series, Table

LEAST = 20
"""Fewest rows with both losses for a diagnosis."""
READERS: tuple[Callable[[list[str]], Table], ...] = (read_json, read_delimited, read_python, read_printed, read_bare)
"""Readers, which are all tried; the one that finds losses in the most rows wins, the first of equals."""
_SPACING = 2.0
"""Multiple of a column's usual spacing over which a value is carried forward."""


class Quality(NamedTuple):
    """A column that measures sample quality."""

    column: str
    measure: Measure
    update: np.ndarray
    """(m,) where it was measured."""
    values: np.ndarray


@dataclass(frozen=True)
class LossLog:
    """Both players' losses, update by update."""

    source: str
    d_column: str
    """Name in the log of the column of D's loss."""
    g_column: str
    update: np.ndarray
    """(n,): what the log counts, or the number of the row."""
    d: np.ndarray
    """(n,) float64, as logged; NaN and infinity where the log says so."""
    g: np.ndarray
    which: str = ""
    """Of several discriminators (or runs) in one log, which."""
    d_is: str = ""
    """"sum" or "mean", where columns of both halves show which of them D's loss is; "" where nothing does."""
    notes: tuple[str, ...] = ()
    """Uncertain choices that were made while reading."""
    quality: tuple[Quality, ...] = field(default=(), repr=False)
    """Columns of quality beside the losses."""


def read_losses(
    paths: Path | Sequence[Path], d_columns: Sequence[str] = (), g_columns: Sequence[str] = ()
) -> list[LossLog]:
    """Reads the losses in a log, one entry for each discriminator.

    Args:
        paths: A log in any form that `READERS` know; "-" is standard input. Several files are joined by what they
            count, as TensorBoard exports one scalar a file.
        d_columns: Names whose sum is D's loss, where the usual ones are not found or not meant.
        g_columns: The same of G's.

    Raises:
        ValueError: If a loss is not found (the columns that are there are named), is no number, or there are fewer than
            `LEAST` rows; or a file is no text, too long, or no regular file.
        OSError: If a file cannot be read.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    read = [read_lines(path) for path in files]
    source = " and ".join(name for name, _ in read)
    if len(read) == 1:
        table, choices = _chosen(source, read[0][1], d_columns, g_columns)
    else:
        table = _joined([_fullest(lines) for _, lines in read], _labels(files))
        choices = choose(source, table, d_columns, g_columns)
    return [_log(source, table, choice) for choice in choices]


def _chosen(
    source: str, lines: list[str], d_columns: Sequence[str], g_columns: Sequence[str]
) -> tuple[Table, list[Choice]]:
    """Returns the table with losses in the most rows, and their columns."""
    best: tuple[int, Table, list[Choice]] | None = None
    failed: list[tuple[int, Unnamed]] = []
    for reader in READERS:
        table = reader(lines)
        if not table.names and not table.odd:
            continue
        try:
            choices = choose(source, table, d_columns, g_columns)
        except Unnamed as error:
            failed.append((sum(map(table.count, table.names)), error))
            continue
        rows = min(table.count(name) for choice in choices for name in (*choice.d, *choice.g))
        if best is None or rows > best[0]:
            best = rows, table, choices
        if rows >= max(LEAST, len(lines) / 2):
            break
    if best is not None:
        return best[1], best[2]
    if failed:
        raise max(failed, key=lambda each: each[0])[1]
    raise ValueError(
        f"{source} holds no losses: neither CSV or columns with a line of names, JSON, JSON lines, Python's dicts, nor "
        "'Loss_D: 0.5' in lines"
    )


def _log(source: str, table: Table, choice: Choice) -> LossLog:
    names = tuple(dict.fromkeys((*choice.d, *choice.g)))
    for name in names:
        if name in table.odd:
            row, text = table.odd[name]
            raise ValueError(f"{source}, row {row + 1}: {shown(name)}={text[:80]!r} is no number")
    rows, values = _paired([table.series(name) for name in names])
    values = values / np.array([100 if name in table.percents else 1 for name in names])
    if len(rows) < LEAST:
        raise ValueError(f"{source} holds {len(rows)} rows with both losses; {LEAST} are needed to say anything")
    d, g = (values[:, [names.index(name) for name in parts]].sum(1) for parts in (choice.d, choice.g))
    update = _counted(table, rows)
    return LossLog(
        source, " + ".join(map(shown, choice.d)), " + ".join(map(shown, choice.g)), update, d, g, shown(choice.which),
        choice.d_is, (*choice.notes, *_thin(table, names), *_reshaped(table, names)), _measures(table, rows, update),
    )  # fmt: skip


# -- rows ---------------------------------------------------------------------------------------------------------


def _paired(columns: list[Series]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows in which every column has a value, (n,), and these values, (n, columns).

    Columns may stand in rows of their own, as in blocks of lines. A row is complete as soon as each has a new value; if
    one has a second value first, as where D steps five times for each step of G, the others' last values stand in, but
    only as long as their own next ones are usually away.
    """
    if all(len(each.at) == len(columns[0].at) and (each.at == columns[0].at).all() for each in columns):
        return columns[0].at, np.stack([each.values for each in columns], 1)
    limit = [_SPACING * float(np.median(np.diff(c.at))) if len(c.at) > 1 else 0.0 for c in columns]
    order = np.concatenate([c.at for c in columns])
    which = np.repeat(np.arange(len(columns)), [len(c.at) for c in columns])
    value = np.concatenate([c.values for c in columns])
    events = np.lexsort((which, order))
    held, since = [0.0] * len(columns), [-1.0] * len(columns)
    fresh: set[int] = set()
    rows, values, last = [], [], -1

    def complete() -> None:
        if all(i in fresh or (since[i] >= 0 and last - since[i] <= limit[i]) for i in range(len(columns))):
            rows.append(last)
            values.append(list(held))
        fresh.clear()

    for at, i, x in zip(order[events].tolist(), which[events].tolist(), value[events].tolist(), strict=True):
        if i in fresh:
            complete()
        held[i], since[i], last = x, at, at
        fresh.add(i)
        if len(fresh) == len(columns):
            complete()
    if fresh:
        complete()
    return np.array(rows, np.int64), np.array(values, np.float64).reshape(len(rows), len(columns))


def _counted(table: Table, rows: np.ndarray) -> np.ndarray:
    """Returns the log's counter at these rows if it increases, else the row numbers."""
    for word in COUNTS:
        for name in table.names:
            if [each for each in words_of(name) if each not in ("mean", "value")][-1:] != [word]:
                continue
            at, values = table.series(name)
            place = np.searchsorted(at, rows, "right") - 1
            found = values[np.maximum(place, 0)]
            if (place >= 0).all() and np.isfinite(found).all() and (np.diff(found) > 0).all():
                return found
    return np.arange(1, len(rows) + 1, dtype=np.float64)


def _measures(table: Table, rows: np.ndarray, update: np.ndarray) -> tuple[Quality, ...]:
    """Returns the columns of quality, each with the updates at which it was measured."""
    found = []
    for name in table.names:
        measure = measure_of(name)
        if measure is not None and len(found) < 20:
            at, values = table.series(name)
            place = np.minimum(np.searchsorted(rows, at), len(rows) - 1)
            found.append(Quality(shown(name), measure, update[place], values.copy()))
    return tuple(found)


# -- what could be otherwise --------------------------------------------------------------------------------------


def _thin(table: Table, names: Sequence[str]) -> list[str]:
    """Returns the columns that fill less than half of the rows that the fullest one fills."""
    counters = {*COUNTS, "time", "epochs", "eta", "elapsed", "s", "lr"}
    rows = max((table.count(n) for n in table.names if not set(words_of(n)[-1:]) & counters), default=0)
    rows = max(rows, *(table.count(name) for name in names))
    return [
        f"{shown(name)!r} stands in {table.count(name):,} of {rows:,} rows, less than half; rows near by take its last "
        "value, the others were left out"
        for name in names
        if table.count(name) < rows / 2
    ]


def _reshaped(table: Table, names: Sequence[str]) -> list[str]:
    lists = [f"{shown(name)!r} holds lists; their first number was read" for name in names if name in table.lists]
    percents = [
        f"{shown(name)!r} is in per cent; a hundredth of it was read" for name in names if name in table.percents
    ]
    return (
        lists
        + percents
        + [
            f"{shown(name)!r} is shorter than other columns; its values were spread over their rows evenly"
            for name in names
            if name in table.spread
        ]
    )


# -- several files ------------------------------------------------------------------------------------------------


def _labels(paths: Sequence[Path]) -> list[str]:
    """Returns what the files' names say of their columns: `Loss_D` of `run-a-tag-Loss_D.csv`.

    Where the names say more than a player's loss, they are shortened by what all begin with, e.g. the experiment.
    """
    names = [path.stem.rpartition("-tag-")[2] for path in paths]
    if all(role is not None and not role.which for role in map(role_of, names)):
        return names
    same = re.match(r"(?:.*[-_. ])?", commonprefix(names))
    return [name[same.end() :] if same else name for name in names]


def _fullest(lines: list[str]) -> Table:
    return max((reader(lines) for reader in READERS), key=lambda table: sum(map(table.count, table.names)))


def _joined(tables: Sequence[Table], labels: Sequence[str]) -> Table:
    """Joins tables by their counters; a column that is alone in its file gets the file's label."""
    parts: list[tuple[str, np.ndarray, np.ndarray]] = []
    taken: set[str] = set()
    for table, label in zip(tables, labels, strict=True):
        count = next((n for word in COUNTS for n in table.names if words_of(n)[-1:] == [word]), None)
        if table.names == ["1", "2"] and (np.diff(table.series("1").values) > 0).all():  # BigGAN's `iteration: loss`
            count = "1"
        own = [n for n in table.names if n != count and words_of(n) != ["wall", "time"]]
        for name in own:
            at, values = table.series(name)
            if count is not None:
                counted = table.series(count)
                place = np.minimum(np.searchsorted(counted.at, at), len(counted.at) - 1)
                at = counted.values[place]
            called = label if len(own) == 1 and role_of(name) is None else f"{label} {name}" if name in taken else name
            taken.add(called)
            parts.append((called, np.asarray(at, np.float64), values))
    joined = Table()
    if not parts:
        return joined
    steps = np.unique(np.concatenate([at for _, at, _ in parts]))
    for called, at, values in parts:
        order = np.argsort(at, kind="stable")
        for row, value in zip(np.searchsorted(steps, at[order]).tolist(), values[order].tolist(), strict=True):
            joined.put(row, called, value)
    for row, step in enumerate(steps.tolist()):
        joined.put(row, "step", step)
    joined.rows = len(steps)
    return joined
