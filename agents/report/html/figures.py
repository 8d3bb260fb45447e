"""Draws the report's figures: readable without colour, safe with any name in the rows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from gan_env.rendering.draw import D_COLOUR, G_COLOUR, plain_log

from ..blocks import Row, by_controller, make_blocks, scores
from ..model import Report
from ..numbers import number
from ..references import marks
from ..statistics import Interval, mean_interval
from ..tables import measure

WIDTH, NARROW = 9.2, 4.6
"""Inches: of a page, and of a phone, where 8 points are still legible."""
DPI = 150
COLOURS = 128
"""Size of a figure's palette, with which it takes a third of the bytes."""
FAR = 3.0
"""A mark that is so many times below the best score, or above the worst, is written at the edge of a figure."""
BETTER, WORSE, OPEN = "#0072B2", "#D55E00", "#999999"


@dataclass(frozen=True)
class Picture:
    """A figure as a file."""

    name: str
    """Without suffix."""
    png: bytes
    caption: str
    narrow: bytes = b""
    """PNG for a phone; empty if there is none of its own."""
    alt: str = ""
    """What it shows, where no caption says it."""

    @property
    def base64(self) -> str:
        """The bytes as text, for a `data:` address."""
        return base64.b64encode(self.png).decode()

    @property
    def narrow_base64(self) -> str:
        """The narrow one's bytes as text."""
        return base64.b64encode(self.narrow).decode()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, which a PNG has in its header."""
        return size_of(self.png)

    @property
    def narrow_size(self) -> tuple[int, int]:
        """The narrow one's."""
        return size_of(self.narrow)


def size_of(png: bytes) -> tuple[int, int]:
    """Reads the width and the height of a PNG."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def png_of(figure: Figure, colours: int | None = None) -> bytes:
    """Encodes a figure as PNG; with a palette of `colours` it takes a third of the bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    if colours is None:
        return buffer.getvalue()
    small = io.BytesIO()
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(colours, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def short(name: str, length: int = 24) -> str:
    """Makes a name safe for a figure: cuts the middle, escapes mathematics, replaces characters that the font lacks."""
    name = "".join(c if c < "\u0590" or "\u2000" <= c <= "\u22ff" else "\u25a1" for c in name)
    if len(name) > length:
        name = f"{name[: length // 2]}…{name[-(length - length // 2 - 1) :]}"
    return name.replace("$", r"\$")


def score_dots(rows: list[Row], names: Sequence[str], width: float = WIDTH) -> Figure:
    """Draws every run's score as a dot, each controller's mean with a 95 % t interval, and two marks.

    The marks are the floor and, where the rows have it, the untrained generator's median score.
    """
    groups = by_controller(rows)
    figure, axes = _lanes([short(name, 24 if width < WIDTH else 40) for name in names], width)
    positive = all(len(s := scores(group)) == 0 or s.min() > 0 for group in groups.values())
    everything = np.concatenate([scores(groups[name]) for name in names])
    for place, name in enumerate(names):
        found = scores(groups[name])
        if failed := len(groups[name]) - len(found):
            axes.annotate(
                f"{failed} failed", (0.99, place), xycoords=("axes fraction", "data"), ha="right", va="center",
                fontsize=7, zorder=4, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
        if len(found):
            _runs(axes, place, found, positive)
    known = marks(make_blocks(rows)[0])
    drawn = [_mark(axes, value, label, everything, positive) for value, label in
             ((known.floor, "floor"), (known.untrained, "untrained")) if value is not None]  # fmt: skip
    if positive and len(everything):
        plain_log(axes, "x", np.append(everything, [value for value in drawn if value is not None]))
    axes.set_xlabel(f"{short(measure(rows[0]['score_name']), 53)}, lower is better", fontsize=8)
    return figure


def _runs(axes: Axes, place: int, found: np.ndarray, positive: bool) -> None:
    """Draws a controller's scores and their mean in its lane."""
    average = mean_interval(found)
    if average.bounded:
        # A logarithmic axis cannot show an interval that reaches below 0.
        low = max(average.low, 0.5 * float(found.min())) if positive else average.low
        axes.plot([low, average.high], [place, place], color=D_COLOUR, linewidth=6, alpha=0.4, solid_capstyle="butt")
    axes.plot(average.value, place, "|", color="black", markersize=11)
    axes.plot(found, np.full(len(found), place), "o", color="black", markersize=2.5, markeredgewidth=0)


def _mark(axes: Axes, value: float, label: str, everything: np.ndarray, positive: bool) -> float | None:
    """Draws a mark, at the edge where it is far from all scores; returns its place on the axis, None at the edge."""
    below = positive and len(everything) > 0 and value < everything.min() / FAR
    above = positive and len(everything) > 0 and value > everything.max() * FAR
    if below or above:  # to scale, it would squeeze the runs into a corner
        text = f"← {label} {number(value)}" if below else f"{label} {number(value)} →"
        axes.annotate(text, (0.01 if below else 0.99, -0.62), xycoords=("axes fraction", "data"), color=G_COLOUR,
                      fontsize=7, va="center", ha="left" if below else "right")  # fmt: skip
        return None
    axes.axvline(value, color=G_COLOUR, linestyle="--" if label == "floor" else ":", linewidth=1)
    side = "left" if label == "floor" else "right"
    axes.annotate(f" {label} ", (value, -0.62), color=G_COLOUR, fontsize=7, va="center", ha=side)
    return value


def _lanes(labels: Sequence[str], width: float = WIDTH, height: float = 0.26) -> tuple[Figure, Axes]:
    """Makes an empty figure with a horizontal lane for each label, the first on top."""
    figure = Figure(figsize=(width, height * len(labels) + 0.85), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.95)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def forest(labels: Sequence[str], found: Sequence[Interval], verdicts: Sequence[int], x_label: str) -> Figure:
    """Draws differences with their intervals: blue circles better, orange squares worse, hollow grey undecided."""
    figure, axes = _lanes(labels)
    axes.axvline(0, color="black", linewidth=1)
    styles = {-1: (BETTER, "o", BETTER), 1: (WORSE, "s", WORSE), 0: (OPEN, "D", "white")}
    for place, (interval, verdict) in enumerate(zip(found, verdicts, strict=True)):
        colour, marker, face = styles[verdict]
        if interval.bounded:
            axes.plot([interval.low, interval.high], [place, place], color=colour, linewidth=2)
        axes.plot(interval.value, place, marker, color=colour, markerfacecolor=face, markersize=5)
    axes.set_xlabel(x_label, fontsize=8)
    return figure


def verdict_bars(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Counts the configurations in which each controller's interval lies below 0, contains it, lies above."""
    figure, axes = _lanes([short(name) for name in names])
    left = np.zeros(len(names))
    kinds = (("better", BETTER, ""), ("undecided", "#dddddd", ".."), ("worse", WORSE, "//"))
    for (label, colour, hatch), values in zip(kinds, np.array(counts).T, strict=True):
        axes.barh(range(len(names)), values, left=left, color=colour, hatch=hatch, edgecolor="white", label=label)
        for place, (start, value) in enumerate(zip(left, values, strict=True)):
            if value:
                axes.text(
                    start + value / 2, place, str(value), ha="center", va="center", fontsize=7,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                )  # fmt: skip
        left += values
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    axes.set_xlim(0, max(left))
    axes.set_xlabel("configurations", fontsize=8)
    return figure


def critical_difference_diagram(report: Report) -> Figure | None:
    """Draws average ranks; bars join controllers that Nemenyi's test does not distinguish. None without a test."""
    ranking = report.ranking
    if ranking is None or ranking.critical_difference is None:
        return None
    figure, axes = _lanes([short(name) for name in ranking.controllers])
    k = len(ranking.controllers)
    bar = max(0.05 * k, 0.12)
    reach = [r.value for r in ranking.ranks]
    for place, interval in enumerate(ranking.ranks):
        if interval.bounded:
            axes.plot([interval.low, interval.high], [place, place], color=D_COLOUR, linewidth=1.5)
            reach += [interval.low, interval.high]
        axes.plot(interval.value, place, "o", color="black", markersize=4)
    right = max(k, *reach)
    for column, (first, last) in enumerate(ranking.cliques):
        at = right + (column + 1.2) * bar
        axes.plot([at, at], [first - 0.25, last + 0.25], color="black", linewidth=3, solid_capstyle="butt")
    end = right + (len(ranking.cliques) + 1.4) * bar
    axes.set_xlim(min(1.0, *reach) - 0.1, max(end, 1 + ranking.critical_difference))
    axes.plot([1, 1 + ranking.critical_difference], [-0.62, -0.62], "|-", color="black", linewidth=1, markersize=6)
    axes.text(
        1 + ranking.critical_difference / 2, -0.62, f"CD {ranking.critical_difference:.2f}", fontsize=7, ha="center",
        va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip
    axes.set_xticks(range(1, k + 1, max(1, k // 8)))
    axes.set_xlabel("average rank, 1 is best", fontsize=8)
    return figure
