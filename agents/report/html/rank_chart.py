"""The chart of average ranks as lanes that the page draws itself, at any width and in any colours."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase

from ..cells import interval
from ..model import Report
from ..ranking import Ranking


@dataclass(frozen=True)
class Lane:
    """A controller's lane: places in per cent of the lane's width."""

    name: str
    at: float
    low: float
    """Of the 95 % interval, cut at the ends of the lane; equal to `high` where there is none."""
    high: float
    rank: str
    interval: str
    """In brackets; empty where there is none."""
    letters: str
    """Controllers that share one are not told apart by Nemenyi's test; empty without a test."""


@dataclass(frozen=True)
class RankChart:
    """Lanes of the controllers that are ranked, and marks of the axis."""

    lanes: list[Lane]
    ticks: list[tuple[float, int]]
    """Place and rank."""
    critical: float | None
    """Length of the critical difference, in per cent."""


def rank_chart(report: Report) -> RankChart | None:
    """Arranges the chart; None without a ranking."""
    ranking = report.ranking
    if ranking is None:
        return None
    last = len(ranking.controllers)

    def place(rank: float) -> float:
        return round(100 * (min(max(rank, 1.0), last) - 1) / (last - 1), 2)

    lanes = [
        Lane(
            name=name,
            at=place(rank.value),
            low=place(rank.low) if rank.bounded else place(rank.value),
            high=place(rank.high) if rank.bounded else place(rank.value),
            rank=text,
            interval=rest,
            letters=letters,
        )
        for name, rank, letters in zip(ranking.controllers, ranking.ranks, letters_of(ranking), strict=True)
        for text, _, rest in [interval(rank).partition(" ")]
    ]
    step = max(1, -(-(last - 1) // 12))
    critical = ranking.critical_difference
    length = None if critical is None else round(min(100 * critical / (last - 1), 100.0), 2)
    return RankChart(lanes, [(place(rank), rank) for rank in range(1, last + 1, step)], length)


def letters_of(ranking: Ranking) -> list[str]:
    """Returns the letters of each controller: one for each run of controllers that Nemenyi's test does not distinguish.

    A controller that differs from all others has a letter of its own. Empty without a test.
    """
    count = len(ranking.controllers)
    if ranking.critical_difference is None:
        return [""] * count
    inside = {place for first, last in ranking.cliques for place in range(first, last + 1)}
    runs = sorted([*ranking.cliques, *((place, place) for place in range(count) if place not in inside)])
    return [
        "".join(ascii_lowercase[at % 26] for at, (first, last) in enumerate(runs) if first <= place <= last)
        for place in range(count)
    ]
