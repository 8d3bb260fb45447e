"""Reads the text of a log from a file or standard input, within limits and without terminal control sequences."""

from __future__ import annotations

import codecs
import re
import stat
import sys
from pathlib import Path
from typing import BinaryIO

STDIN = Path("-")
LIMIT = 16 * 2**20
"""Most bytes of a log: about 200,000 printed lines."""
_HEAD = 2**16
_EVENTS = "events.out.tfevents"
_TENSORBOARD = (
    "TensorBoard's binary event files; in TensorBoard turn on 'Show data download links', save both losses as CSV, and "
    "name these two files: gan-env diagnose D.csv G.csv"
)
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # as PowerShell redirects output
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
"""Control characters except blanks and line ends."""
_ESCAPES = re.compile(
    r"\x9b[0-?]*[ -/]*[@-~]|\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\-_])|\x08+"
)


def shown(text: object) -> str:
    """Escapes control characters for printing."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text))


def read_lines(path: Path) -> tuple[str, list[str]]:
    """Returns a log's name and its lines; each update of a progress bar is a separate line.

    Raises:
        ValueError: If it is no regular file, longer than `LIMIT`, empty, or no text.
        OSError: If it cannot be read.
    """
    source = "standard input" if path == STDIN else shown(path)
    if path == STDIN:
        content = _content(source, sys.stdin.buffer)
    else:
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            if any(path.glob(f"{_EVENTS}*")) or any(path.glob(f"*/{_EVENTS}*")):
                raise ValueError(f"{source} holds {_TENSORBOARD}")
            raise ValueError(f"{source} is a folder; name the file with the losses")
        if not stat.S_ISREG(kind.st_mode):
            raise ValueError(
                f"{source} is no regular file; hand over what it gives by a pipe: ... | gan-env diagnose -"
            )
        if kind.st_size > LIMIT:
            raise _too_long(source, f"{kind.st_size / 2**20:,.0f} MB")
        if path.name.startswith(_EVENTS):
            raise ValueError(f"{source} is one of {_TENSORBOARD}")
        with path.open("rb") as file:
            content = _content(source, file)
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8-sig")
    text = content.decode(encoding, "replace").replace("\N{MINUS SIGN}", "-")
    return source, _CONTROLS.sub(" ", _ESCAPES.sub("", text)).splitlines()


def _content(source: str, file: BinaryIO) -> bytes:
    head = file.read(_HEAD)
    if not head.strip():
        raise ValueError(f"{source} is empty")
    text = head.decode("utf-8", "replace")
    wide = any(head.startswith(mark) for mark in _BOMS)
    if not wide and ("\0" in text or text.count("\ufffd") > len(text) / 20):
        raise ValueError(f"{source} is no text; save the losses as CSV or JSON lines, with a column for each player")
    content = head + file.read(LIMIT + 1 - len(head))
    if len(content) > LIMIT:
        raise _too_long(source, f"more than {LIMIT // 2**20} MB")
    return content


def _too_long(source: str, size: str) -> ValueError:
    return ValueError(
        f"{source} holds {size}, and {LIMIT // 2**20} MB are the most that is read; hand over a part, such as each "
        "tenth line: awk 'NR % 10 == 1' FILE | gan-env diagnose -"
    )
