"""Prints results: the answer first, tables that fit the terminal, the next step last; plain where there is none."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from .answer import answer
from .cells import Table
from .columns import Column, TextTable
from .headline import remarks
from .model import Report
from .tables import verdicts

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {-1: "bold blue", 1: "dark_orange3", 0: ""}
ITEM, NEXT = "- ", "next: "
"""How a line of a list begins, and one that says what to do next."""
PLAIN_WIDTH = 10_000
"""Columns where there is no terminal, so that no line is cut."""


class Printer:
    """Prints to a stream: in colours and fitted to the width on a terminal, else as plain text.

    Args:
        file: The stream; standard output if None.
        width: Columns; those of the terminal if None.
        terminal: Whether it is one; asked of the stream if None.
    """

    def __init__(self, file: TextIO | None = None, width: int | None = None, terminal: bool | None = None):
        from rich.console import Console  # only who prints waits for it

        self.file = file or sys.stdout
        self.is_terminal = self.file.isatty() if terminal is None else terminal
        width = width if self.is_terminal else PLAIN_WIDTH
        self.console: Console = Console(
            file=self.file, width=width, highlight=False, soft_wrap=False, force_terminal=self.is_terminal or None
        )

    def say(self, *lines: str, style: str = "") -> None:
        """Prints lines, wrapped at words; what goes on stands below the text behind a "- " or "next: "."""
        from rich.text import Text

        for line in lines:
            if self.is_terminal:
                lead = next((" " * len(lead) for lead in (ITEM, NEXT) if line.startswith(lead)), "")
                width = max(self.console.width, len(lead) + 20)
                text = textwrap.fill(
                    line, width, subsequent_indent=lead, break_long_words=False, break_on_hyphens=False
                )
                self.console.print(Text(text, style=style), soft_wrap=True)
            else:
                print(line, file=self.file)

    def table(self, table: TextTable) -> None:
        """Prints a table; leaves its least important columns out where it does not fit."""
        if not self.is_terminal:
            print(table.plain(), file=self.file)
            return
        if table.head:
            self.say(table.head, style="bold")
        self._grid(table.fitted(self.console.width))
        self.say(*table.notes, style="dim")

    def _grid(self, table: TextTable) -> None:
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", collapse_padding=True)
        for column in table.columns:
            grid.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold", no_wrap=True)
        for place in range(len(table.columns[0].cells)):
            if place in table.headings:
                grid.add_row(Text(table.headings[place], style="dim"))
            grid.add_row(*(Text(c.cells[place], style=_style(c, place)) for c in table.columns))
        self.console.print(grid)

    def answer(self, report: Report) -> None:
        """Prints the answer, where trained agents came out, and the evidence."""
        found = answer(report)
        self.say(found.sentence, *found.agents, style="bold")
        self.say(*(ITEM + line for line in found.evidence))

    def report(self, report: Report) -> None:
        """Prints the answer, the verdicts on all controllers, and remarks."""
        self.answer(report)
        self.say("")
        self.table(verdict_table(report))
        self.say("", *(ITEM + line for line in remarks(report)))

    def next(self, *steps: str) -> None:
        """Prints what to do next."""
        self.say("", *(NEXT + step for step in steps), style="dim")


def _style(column: Column, place: int) -> str:
    return COLOURS[column.verdicts[place]] if column.verdicts else ""


def verdict_table(report: Report) -> TextTable:
    """Makes the table of verdicts, with the reasons of those that are not ranked as notes."""
    found: Table = verdicts(report)
    lines: Sequence = [line for line in found.lines if not isinstance(line, str)]
    importance = {0: 0, 1: 0, len(found.head) - 1: 1}
    columns = [
        Column(
            cell.text,
            [line[at].text + (" *" if at == 0 and line[at].muted else "") for line in lines],
            rank=importance.get(at, at),
            numeric=at > 0,
            verdicts=[line[at].verdict for line in lines],
        )
        for at, cell in enumerate(found.head)
    ]
    reasons = [f"* {line[0].text} is not ranked: {line[0].note}" for line in lines if line[0].muted and line[0].note]
    return TextTable(columns, notes=[*found.notes, *reasons])


def to_be_official(report: Report) -> list[str]:
    """Returns the step that makes a ranking official, where one is missing."""
    suite = report.facts.config.get("suite")
    if report.ranking is None or report.ranking.official:
        return []
    what = f"--suite {suite}" if suite else "[the same options]"
    return [f"gan-env bench {what} --also best-constant,best-schedule (for an official ranking)"]
