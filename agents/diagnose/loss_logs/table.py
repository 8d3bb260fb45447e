"""The readers' result: named columns of numbers, each with its row indices."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

MOST_NAMES = 2_000
"""Most columns of a log; further names are ignored."""
_MISSING = {"", "-", "--", "none", "null", "na", "n/a", "<na>", "nil", "."}
_WRAPPER = r"(?:torch\.)?(?:tensor|tf\.Tensor|np\.\w+|numpy\.\w+|array|Array|DeviceArray)\(\s*"
_WRAPPED = (
    re.compile(rf"\b{_WRAPPER}\[?([-+.\w]{{1,40}})\]?\s*(?:, *\w+=(?:'[^']*'|<\w+>|\([\d, ]*\)|[\w.]+))*\)"),
    re.compile(r"<tf\.(?:Tensor|Variable)[^<>]{0,200}?numpy=([^<>,]{1,40})>"),
)
_OPENED = re.compile(f"^{_WRAPPER}")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(?:[ef]([-+]?\d+))?|[-+]?(?:nan|inf|infinity)", re.IGNORECASE)

_COUNTER = re.compile(r"\d+")
_POINT = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.:])")
_COMMA = re.compile(r"(?<![\w.,:])[-+]?\d+,\d+(?![\w.,])")


class Series(NamedTuple):
    """A column."""

    at: np.ndarray
    """(n,) int64: rows, ascending."""
    values: np.ndarray
    """(n,) float64."""


def number(text: str, comma: bool = False) -> float | None:
    """Parses a number; returns None for any other text.

    Args:
        text: E.g. `0.5`, `1e-3`, Julia's `1f-3`, `tensor(0.5)`, `11,700`, `60 %`, `nan`.
        comma: Whether a comma is the decimal mark (`0,5`), instead of one between thousands.
    """
    text = _OPENED.sub("", text.strip().strip("'\"")).split(", ")[0].rstrip(")% ")
    if "," in text:
        if comma:
            text = text.replace(".", "").replace(",", ".")
        elif re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", text):
            text = text.replace(",", "")
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    return float(f"{found[1]}e{found[2]}" if found[2] else text)


def unwrapped(line: str) -> str:
    """Replaces what libraries print for one number by the number.

    So `tensor(0.5, device='cuda:0')`, `tf.Tensor(0.5, shape=(), dtype=float32)` and `np.float32(0.5)` become `0.5`.
    """
    if "(" not in line and "<tf." not in line:
        return line
    for pattern in _WRAPPED:
        line = pattern.sub(r"\1", line)
    return line


def decimal_commas(texts: Iterable[str]) -> bool:
    """Returns whether numbers have decimal commas: more texts contain one comma than one point."""
    points = commas = 0
    for text in texts:
        points += len(_POINT.findall(text))
        commas += len(_COMMA.findall(text))
    return commas > points


class Table:
    """A table that is filled row by row."""

    def __init__(self) -> None:
        self.rows = 0
        self.odd: dict[str, tuple[int, str]] = {}
        """Of columns with entries that are no numbers: the first one's row and text."""
        self.lists: set[str] = set()
        """Columns whose entries were lists, of which the first number was taken."""
        self.spread: set[str] = set()
        """Columns that were shorter than others, and whose values were spread over the rows evenly."""
        self.percents: set[str] = set()
        """Columns with numbers in per cent, which are kept as they stand."""
        self._merged: dict[str, str] = {}
        self._crowded = False
        self._at: dict[str, array[int]] = {}
        self._values: dict[str, array[float]] = {}

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], comma: bool = False) -> Table:
        """Makes a table of rows; empty ones count."""
        table = cls()
        for row in rows:
            for name, value in row.items():
                table.put(table.rows, name, value, comma)
            table.rows += 1
        return table

    def put(self, row: int, name: str, value: Any, comma: bool = False) -> None:
        """Enters a value; keeps the first one if a name occurs twice in a row."""
        if value is None or (isinstance(value, str) and value.strip().casefold() in _MISSING):
            return
        if isinstance(value, str):
            found = number(value, comma)
            if found is None:
                self.odd.setdefault(name, (row, value))
                return
            if value.rstrip().endswith("%"):
                self.percents.add(name)
        elif isinstance(value, (int, float)):
            try:
                found = float(value)
            except OverflowError:  # an integer of hundreds of digits
                found = float("inf")
        else:
            self.odd.setdefault(name, (row, repr(value)[:80]))
            return
        if name not in self._at and self._merged:
            name = self._merged.get(_COUNTER.sub("#", name), name)
        if name not in self._at:
            if len(self._at) >= MOST_NAMES and not self._crowded:
                self.merge_counted()
                self._crowded = len(self._at) > MOST_NAMES / 2
            if len(self._at) >= MOST_NAMES:
                return
            self._at[name], self._values[name] = array("q"), array("d")
        at = self._at[name]
        if not at or at[-1] < row:
            at.append(row)
            self._values[name].append(found)

    @property
    def names(self) -> list[str]:
        """Names of all columns with numbers."""
        return list(self._at)

    def count(self, name: str) -> int:
        """Returns the number of rows with a value in a column."""
        return len(self._at.get(name, ()))

    def series(self, name: str) -> Series:
        """A column."""
        return Series(np.frombuffer(self._at[name], np.int64), np.frombuffer(self._values[name], np.float64))

    def merge_counted(self) -> None:
        """Merges columns whose names differ only by a counter, such as `epoch 3 d_loss`.

        A counter grows from row to row, so each of these names fills one stretch of rows and never comes back.
        """
        alike: dict[str, list[str]] = {}
        for name in self._at:
            if any(each.isdigit() for each in name):
                alike.setdefault(_COUNTER.sub("#", name), []).append(name)
        for pattern, names in alike.items():
            names.sort(key=lambda name: self._at[name][0])
            counters = [[int(each[:18]) for each in _COUNTER.findall(name)] for name in names]
            apart = all(self._at[a][-1] < self._at[b][0] for a, b in zip(names, names[1:], strict=False))
            if len(names) < 3 or not apart or counters != sorted(counters):
                continue
            merged = " ".join(pattern.replace("#", " ").split()).strip("_")
            if merged in self._at:
                continue
            at, values = array("q"), array("d")
            for name in names:
                at += self._at.pop(name)
                values += self._values.pop(name)
            self._at[merged], self._values[merged] = at, values
            self._merged[pattern] = merged
