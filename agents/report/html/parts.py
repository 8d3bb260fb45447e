"""What the sections of a report's page have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ..numbers import Report
from .figures import Picture
from .markup import Html, join, picture, tag


def figures(pictures: Sequence[Picture]) -> Html:
    """Pictures side by side, or one below the other where the page is narrow."""
    return tag("div", *(picture(p.png, p.caption) for p in pictures), cls="figures") if pictures else Html("")


def remark(*parts: object) -> Html:
    """What must be said beside a table, in smaller type."""
    return tag("p", *parts, cls="note")


def coverage_note(report: Report, *kinds: str) -> Html:
    """What intervals of these kinds really cover."""
    parts = [
        f"{kind}: {100 * report.coverage[kind][0]:.1f} % for normal and {100 * report.coverage[kind][1]:.1f} % for "
        "lognormal runs"
        for kind in kinds
    ]
    return remark(f"Share of nominal 95 % intervals that hold the truth at n = 10, simulated: {'; '.join(parts)}.")


def shown_name(report: Report, name: str) -> Html:
    """A controller's name, with what must be said behind it."""
    return join([name, tag("span", f" ({note})", cls="note")]) if (note := report.notes.get(name)) else join([name])


def coloured(text: str, verdict: int) -> Html:
    """Blue for -1 (better), orange for 1 (worse), plain for 0."""
    return tag("span", text, cls={-1: "better", 1: "worse", 0: ""}[verdict]) if verdict else join([text])
