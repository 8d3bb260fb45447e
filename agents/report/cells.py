"""Plain cells of a report's tables, which the terminal, Markdown and HTML render."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .numbers import estimate, number
from .statistics import FEWEST, Interval

TOO_FEW = f"Too few runs for an interval (fewer than {FEWEST}): only the value is given."


@dataclass(frozen=True)
class Cell:
    """Text of a table with how it is shown."""

    text: str
    verdict: int = 0
    """-1 better, 1 worse, 0 neither."""
    note: str = ""
    """A remark behind the text."""
    heat: float | None = None
    """Shade of a heat map, from 0 (the best of its line) to 1; None for no shade."""
    muted: bool = False
    """Whether it belongs to a controller that is not ranked."""


Line = list[Cell] | str
"""Cells of a row, or a heading of the rows below it."""


@dataclass(frozen=True)
class Table:
    """A table with its notes; `sentences` are the columns of long text."""

    head: list[Cell]
    lines: Sequence[Line]
    notes: list[str] = field(default_factory=list)
    title: str = ""
    sentences: tuple[int, ...] = ()


def cells(*values: object) -> list[Cell]:
    """Converts values to cells."""
    return [value if isinstance(value, Cell) else Cell(str(value)) for value in values]


def muted(line: Iterable[Cell]) -> list[Cell]:
    """Greys a line out."""
    return [replace(cell, muted=True, verdict=0) for cell in line]


def interval(found: Interval | None, *, sign: bool = False) -> str:
    """Formats an estimate with its interval, alone where there are too few runs for one; a dash for None."""
    return number(None) if found is None else estimate(found.value, found.low, found.high, sign=sign)


def too_few(intervals: Iterable[Interval | None]) -> list[str]:
    """Returns the note on estimates without an interval, if there is one."""
    return [TOO_FEW] if any(each is not None and not each.bounded for each in intervals) else []
