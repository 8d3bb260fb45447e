"""Chooses the figures of a report and writes their captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

from gan_env.io.files import has_folder, is_there, read_bytes

from ..blocks import Block
from ..comparisons import Difference
from ..model import Report
from ..statistics import FEWEST
from ..tables import MOST_BLOCKS
from . import figures, line_figures
from .figures import Picture

MOST_CURVES = 4
MOST_SAMPLES = 24
SAMPLES_BYTES = 12_000_000
"""Total size of the sample pictures on a page."""
_PNG = b"\x89PNG\r\n\x1a\n"

Album = dict[str, list[Picture]]
"""Pictures by section of the page."""


@dataclass(frozen=True)
class _Sketch:
    """A figure to draw; `make` returns None where there is nothing to show."""

    name: str
    make: Callable[[], Figure | None]
    caption: str
    narrow: Callable[[], Figure | None] | None = None
    """Draws it again for a phone; None if it is drawn once."""


def draw(report: Report, blocks: Sequence[Block], folder: Path) -> Album:
    """Draws every figure of the report and adds the folder's sample pictures; shows progress on a terminal."""
    sketches = _sketches(report, blocks)
    album: Album = {section: [] for section in sketches}
    count = sum(map(len, sketches.values()))
    with tqdm(total=count, desc="drawing", unit="figure", disable=None, delay=2, leave=False) as bar:
        for section, found in sketches.items():
            for sketch in found:
                if (figure := sketch.make()) is not None:
                    small = sketch.narrow and sketch.narrow()
                    album[section].append(
                        Picture(
                            sketch.name,
                            figures.png_of(figure, figures.COLOURS),
                            sketch.caption,
                            figures.png_of(small, figures.COLOURS) if small else b"",
                        )
                    )
                bar.update()
    album["samples"] = _samples(folder)
    return album


def _sketches(report: Report, blocks: Sequence[Block]) -> dict[str, list[_Sketch]]:
    """Lists the figures of each section, in order."""
    names = report.contestants(report.order)
    lines = line_figures.lines_of(report, names)
    rest = "" if len(lines) == len(names) else f" Drawn: the {len(lines)} best by rank, including the baseline."
    asked = report.question.figure
    shown = {
        "scores": _scores(report, blocks),
        "rates": _rates(report, lines, rest),
        "budget": _budget(report, lines, rest),
    }
    return {
        "question": shown.get(asked, []),
        "scores": [sketch for kind, found in shown.items() if kind != asked for sketch in found],
        "differences": _differences(report, report.to_baseline, report.baseline, "baseline")
        + _differences(report, report.to_best_constant, "the best constant", "constant")
        + _differences(report, report.to_best_schedule, "the best schedule", "schedule"),
        "critical difference": _ranks(report),
        "profiles": _profiles(report, lines, rest),
        "curves": [
            _Sketch(
                f"curves-{number}",
                partial(line_figures.training_curves, block.rows, [n for n in report.order if n in block.controllers]),
                f"{block.label}: mean over the runs that did not fail.",
            )
            for number, block in enumerate(blocks[:MOST_CURVES], 1)
        ],
        "reward": [
            _Sketch(
                f"reward-{number}",
                partial(line_figures.reward_dots, report, block, [n for n in lines if n in block.controllers]),
                f"{block.label}: every run that did not fail.{rest}",
            )
            for number, block in enumerate(blocks[:MOST_CURVES], 1)
        ],
    }


def _scores(report: Report, blocks: Sequence[Block]) -> list[_Sketch]:
    """Plots every run's score, where configurations are few."""
    sketches = []
    for number, block in enumerate(blocks if len(blocks) <= MOST_BLOCKS else [], 1):
        names = [name for name in report.order if name in block.controllers]
        make = partial(figures.score_dots, block.rows, names)
        bars = "the bar its 95 % t interval" if len(block.seeds) >= FEWEST else "too few runs for an interval"
        caption = (
            f"{block.label}: a dot per run that did not fail; the stroke is their mean, {bars}. Dashed: the floor, "
            "what fresh real data score; dotted: the generator before its first update."
        )
        sketches.append(_Sketch(f"scores-{number}", make, caption, partial(make, width=figures.NARROW)))
    return sketches


def _rates(report: Report, lines: Sequence[str], rest: str) -> list[_Sketch]:
    """Plots scores against base rate."""
    if not report.rate_curves:
        return []
    make = partial(line_figures.rate_lines, report, lines)
    bars = ", 95 % t intervals" if report.rate_curves[0].area.bounded else ""
    caption = f"Mean score at each base rate{bars}. Failed runs are imputed.{rest}"
    return [_Sketch("rates", make, caption, partial(make, width=figures.NARROW))]


def _budget(report: Report, lines: Sequence[str], rest: str) -> list[_Sketch]:
    """Plots expected scores against the number of trials."""
    if not report.budget:
        return []
    make = partial(line_figures.budget_lines, report, lines)
    caption = f"Expected score of the best of k trials, chosen by validation data, judged by test data.{rest}"
    return [_Sketch("budget", make, caption, partial(make, width=figures.NARROW))]


def _ranks(report: Report) -> list[_Sketch]:
    """Plots average ranks with Nemenyi's critical difference."""
    intervals = " with 95 % intervals" if report.ranking and report.ranking.ranks[0].bounded else ""
    caption = (
        f"Average ranks{intervals}. A thick bar joins controllers that Nemenyi's test does not distinguish (α = 0.05); "
        "the bar at the top is the critical difference."
    )
    return [_Sketch("critical-difference", partial(figures.critical_difference_diagram, report), caption)]


def _profiles(report: Report, lines: Sequence[str], rest: str) -> list[_Sketch]:
    """Plots performance profiles."""
    shares = report.profiles.shares if report.profiles else {}
    banded = report.baseline in shares and shares[report.baseline][0].bounded
    caption = (
        "Share of runs whose score is at most this multiple of the best controller's median in the same configuration; "
        "higher is better. Failed runs never count."
        f"{f' Shaded: the 95 % band of {report.baseline}.' if banded else ''}{rest}"
    )
    return [
        _Sketch("profiles", partial(line_figures.profile_lines, report, [n for n in lines if n in shares]), caption)
    ]


def _differences(report: Report, found: Sequence[Difference], other: str, name: str) -> list[_Sketch]:
    """Plots differences in each configuration where they are few, else counts of verdicts."""
    labels = list(dict.fromkeys(d.block for d in found))
    if len(labels) > MOST_BLOCKS:
        compared = {d.controller for d in found}
        names = [name for name in report.contestants(report.order) if name in compared]
        counts = [[sum(d.verdict == v for d in found if d.controller == each) for v in (-1, 0, 1)] for each in names]
        caption = f"Against {other}: configurations whose 95 % t interval lies below 0, contains it, lies above."
        return [_Sketch(f"verdicts-{name}", partial(figures.verdict_bars, names, counts), caption)]
    sketches = []
    for number, label in enumerate(labels, 1):
        chosen = sorted((d for d in found if d.block == label), key=lambda d: report.order.index(d.controller))
        make = partial(
            figures.forest,
            [figures.short(d.controller) for d in chosen],
            [d.t for d in chosen],
            [d.verdict for d in chosen],
            f"score minus {figures.short(chosen[0].other)}'s, same seed; below 0 is better",
        )
        intervals = ", 95 % t intervals" if any(d.t.bounded for d in chosen) else ""
        caption = f"{label}: paired differences to {chosen[0].other}{intervals}."
        sketches.append(_Sketch(f"differences-{name}-{number}", make, caption))
    return sketches


def _samples(folder: Path) -> list[Picture]:
    """Reads the folder's sample pictures, by name; skips and counts what is not a PNG, and what is too much."""
    paths = sorted((folder / "samples").glob("*.png")) if has_folder(folder / "samples") else []
    if not paths and is_there(folder / "samples.png"):
        paths = [folder / "samples.png"]
    pictures, size = [], 0
    for path in paths:
        if not is_there(path) or path.stat().st_size > SAMPLES_BYTES:
            continue
        data = read_bytes(path, SAMPLES_BYTES)
        if data.startswith(_PNG) and len(pictures) < MOST_SAMPLES and size + len(data) <= SAMPLES_BYTES:
            pictures.append(Picture(f"samples/{path.name}", data, caption="", alt=f"samples, {path.stem}"))
            size += len(data)
    if pictures and len(pictures) < len(paths):
        last = pictures[-1]
        more = f"{len(paths) - len(pictures)} more in the folder are not shown."
        pictures[-1] = replace(last, caption=more)
    return pictures
