"""Text tables: columns aligned at the decimal point, of which the least important go first where space is short."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape

GAP = 2
"""Spaces between two columns."""
_NUMBER = re.compile(r"([+−-]?[\d,]+)(\.\d+)?(.*)", re.DOTALL)


def terminal_width() -> int | None:
    """Returns the columns of the terminal; None where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@dataclass(frozen=True)
class Column:
    """A column of texts."""

    title: str
    cells: list[str]
    rank: int = 0
    """The higher, the sooner it is left out; 0: never."""
    numeric: bool = True
    """Whether cells begin with numbers, which are aligned at the decimal point."""
    verdicts: list[int] = field(default_factory=list)
    """Of each cell: -1 better, 1 worse, 0 neither; empty if there are none."""

    @property
    def width(self) -> int:
        """Characters that it takes."""
        return max(map(len, [*self.title.split("\n"), *self.cells]), default=0)

    def aligned(self) -> Column:
        """Pads the cells so that decimal points stand below one another."""
        return replace(self, cells=align(self.cells)) if self.numeric else self


@dataclass(frozen=True)
class TextTable:
    """A table for terminals and files."""

    columns: list[Column]
    head: str = ""
    headings: dict[int, str] = field(default_factory=dict)
    """Lines above the row of that number."""
    notes: list[str] = field(default_factory=list)

    def fitted(self, width: int | None) -> TextTable:
        """Aligns the columns, and leaves the least important out until the rest fits; None: any width does."""
        columns = [column.aligned() for column in self.columns]
        while width is not None and sum(c.width + GAP for c in columns) - GAP > width:
            droppable = [c for c in columns if c.rank]
            if not droppable:
                break
            columns.remove(max(droppable, key=lambda c: c.rank))
        return replace(self, columns=columns)

    def plain(self, width: int | None = None) -> str:
        """Renders it as text without colours."""
        table = self.fitted(width)
        lines = [table.head, ""] if table.head else []
        lines.append(_line(table.columns, [column.title for column in table.columns]))
        for place in range(len(table.columns[0].cells)):
            if place in table.headings:
                lines.append(table.headings[place])
            lines.append(_line(table.columns, [column.cells[place] for column in table.columns]))
        return "\n".join([*lines, *([""] if table.notes else []), *table.notes])

    def html(self) -> str:
        """Renders it as an HTML table, for notebooks; escapes all text."""
        side = ["right" if column.numeric else "left" for column in self.columns]

        def row(tag: str, texts: Sequence[str]) -> str:
            cells = (f'<{tag} style="text-align:{s}">{t}</{tag}>' for s, t in zip(side, texts, strict=True))
            return f"<tr>{''.join(cells)}</tr>"

        lines = [row("th", [escape(column.title) for column in self.columns])]
        for place in range(len(self.columns[0].cells)):
            if place in self.headings:
                lines.append(f'<tr><td colspan="{len(side)}"><i>{escape(self.headings[place])}</i></td></tr>')
            lines.append(row("td", [_coloured(column, place) for column in self.columns]))
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes)
        return f"<p>{escape(self.head)}</p><table>{''.join(lines)}</table>{notes}"


def _coloured(column: Column, place: int) -> str:
    text, verdict = escape(column.cells[place]), column.verdicts[place] if column.verdicts else 0
    return f'<b style="color:{"#0a66a8" if verdict < 0 else "#c25700"}">{text}</b>' if verdict else text


def _line(columns: Sequence[Column], texts: Sequence[str]) -> str:
    """Pads texts to their columns' widths: numbers to the right, the others to the left."""
    padded = [f"{t:>{c.width}}" if c.numeric else f"{t:<{c.width}}" for c, t in zip(columns, texts, strict=True)]
    return (" " * GAP).join(padded).rstrip()


def align(texts: Sequence[str]) -> list[str]:
    """Pads texts to one length, with the decimal points of the numbers that they begin with below one another.

    >>> align(["12.5 [3, 20]", "0.25", "–"])
    ['12.5  [3, 20]', ' 0.25        ', '            –']
    """
    parts = []
    for text in texts:
        found = _NUMBER.fullmatch(text)
        parts.append((found[1], found[2] or "", found[3]) if found else None)
    known = [part for part in parts if part]
    whole, decimals, rest = (max((len(part[i]) for part in known), default=0) for i in range(3))
    aligned = [f"{p[0]:>{whole}}{p[1]:<{decimals}}{p[2]:<{rest}}" if p else "" for p in parts]
    width = max([whole + decimals + rest, *(len(t) for t, p in zip(texts, parts, strict=True) if not p)])
    return [a.rjust(width) if p else t.rjust(width) for a, t, p in zip(aligned, texts, parts, strict=True)]
