"""Shows progress with the time left: a bar on a terminal; elsewhere a line now and then, so that logs stay readable."""

from __future__ import annotations

import sys
import threading
import time

from tqdm import tqdm

EVERY_S = 12.0
"""Seconds between two lines where there is no terminal."""
LINE = "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt} {unit}s, {elapsed} so far, {remaining} left{postfix}"


class Lines:
    """Progress as printed lines, with the subset of tqdm's methods that is used here.

    Args:
        total: Amount of work.
        what: Description of the work.
        unit: Unit of `total` and `done`.
        done: Amount that is already done.
        at_once: Print the first line now, before anything has moved.
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
        """Adds to the amount done; prints the last line when all is done."""
        self.n += more
        self._moved = True
        if self.n >= self.total:
            self.close()

    def reset(self) -> None:
        """Restarts the clock."""
        self._began = time.monotonic()

    def set_postfix(self, values: dict[str, str], refresh: bool = True) -> None:
        """Sets the text after the time left."""
        self._more = ", ".join(f"{name} {value}" for name, value in values.items())

    def close(self) -> None:
        """Prints the final line, unless it was printed."""
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
    """Shows progress on standard error; the caller calls `update` and `close`.

    Args:
        total: Amount of work.
        what: Description of the work.
        unit: Unit of `total` and `done`.
        done: Amount that is already done.
        show: Whether anything is shown at all.
        delay: Seconds until a bar appears.
        last: Whether it starts only after another bar has ended, and clears itself from the terminal.
    """
    if show and not sys.stderr.isatty():
        return Lines(total, what, unit, done, at_once=not last)
    return tqdm(total=total, initial=done, unit=unit, desc=what, disable=not show, delay=delay, leave=not last)
