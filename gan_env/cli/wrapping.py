"""Fits text to the width of the terminal. Imports nothing heavy, so that help prints at once."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from itertools import groupby


def columns() -> int:
    """Returns the width of the terminal, 100 where there is none."""
    return max(shutil.get_terminal_size((100, 24)).columns, 40)


def wrapped(label: str, text: str, indent: int) -> str:
    """Wraps a line of a listing to the width of the terminal, with continuation lines aligned below the text."""
    return _fill(f"{label:<{indent}}{text}", columns(), " " * indent)


def fitted(text: str) -> str:
    """Fits a help text to the width of the terminal.

    Lines at the margin are paragraphs, filled anew (indented, since tyro joins lines that are not). Indented lines are
    commands: one that is too long goes on in the next line, after a backslash, so that it can be copied.
    """
    width, found = columns(), list[str]()
    for kind, lines in groupby(text.splitlines(), lambda line: "blank" if not line else line[:1].isspace()):
        if kind == "blank":
            found += lines
        elif kind:
            found += [_command(line, width) for line in lines]
        else:
            found += [_fill(part, width, "  ") for part in _paragraphs(lines)]
    return "\n".join(found)


def _paragraphs(lines: Iterable[str]) -> list[str]:
    """Joins lines up to each that ends with a colon."""
    found: list[str] = []
    part: list[str] = []
    for line in lines:
        part.append(line)
        if line.endswith(":"):
            found.append(" ".join(part))
            part = []
    return [*found, *([" ".join(part)] if part else [])]


def _command(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return _fill(line, width - 2, indent).replace("\n", " \\\n")


def _fill(text: str, width: int, indent: str) -> str:
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
