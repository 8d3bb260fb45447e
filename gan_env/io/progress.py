"""Progress with the time left: a bar on a terminal; elsewhere a line now and then, so that a log stays readable."""

from __future__ import annotations

import sys
import threading
import time

from tqdm import tqdm

EVERY_S = 12.0
"""Seconds between two lines where there is no terminal."""
LINE = "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt} {unit}s, {elapsed} so far, {remaining} left{postfix}"


class Lines:
    """What a bar says, as one line at a time, whether anything moved or not; the part of tqdm's methods that is used.

    Args:
        total: Of all that there is to do.
        what: Is being done.
        unit: Of `total` and `done`.
        done: How much of it is done already.
        at_once: Say the first line now, and not only when something has moved.
    """

    def __init__(self, total: int, what: str, unit: str, done: int = 0, *, at_once: bool = True):
        self.total, self.n = total, done
        self._what, self._unit, self._first, self._more = what, unit, done, ""
        self._began, self._over, self._moved = time.monotonic(), threading.Event(), at_once
        if at_once:
            self._say()
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while not self._over.wait(EVERY_S):
            if self._moved:
                self._say()

    def _say(self) -> None:
        line = tqdm.format_meter(
            self.n, self.total, time.monotonic() - self._began, prefix=self._what, unit=self._unit,
            bar_format=LINE, postfix=self._more, initial=self._first,
        )  # fmt: skip
        print(line, file=sys.stderr, flush=True)

    def update(self, more: float = 1) -> None:
        """Moves it; the last line is said when all is done."""
        self.n += more
        self._moved = True
        if self.n >= self.total:
            self.close()

    def reset(self) -> None:
        """Begins to count time now."""
        self._began = time.monotonic()

    def set_postfix(self, values: dict[str, str], refresh: bool = True) -> None:
        """Sets what is said behind the time left from now on."""
        self._more = ", ".join(f"{name} {value}" for name, value in values.items())

    def close(self) -> None:
        """Says how it ended, unless that was said."""
        if not self._over.is_set():
            self._over.set()
            if self._moved:
                self._say()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def progress_bar(
    total: int, what: str, unit: str, *, done: int = 0, show: bool = True, delay: float = 0, last: bool = False
) -> tqdm | Lines:
    """Shows progress on standard error, to be moved by `update` and closed.

    Args:
        total: Of all that there is to do.
        what: Is being done.
        unit: Of `total` and `done`.
        done: How much of it is done already.
        show: Whether anything is shown at all.
        delay: Seconds until a bar appears.
        last: Whether it begins only when another ends, and leaves a terminal as it was.
    """
    if show and not sys.stderr.isatty():
        return Lines(total, what, unit, done, at_once=not last)
    return tqdm(total=total, initial=done, unit=unit, desc=what, disable=not show, delay=delay, leave=not last)
