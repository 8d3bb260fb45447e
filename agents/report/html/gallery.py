"""Chooses the figures of a report and writes their captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

from gan_env.io.files import has_folder, is_there, read_bytes

from ..blocks import Block, ranked
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


def draw(report: Report, blocks: Sequence[Block], folder: Path) -> Album:
    """Draws every figure of the report and adds the folder's sample pictures; shows progress on a terminal."""
    sketches = _sketches(report, blocks)
    album: Album = {section: [] for section in sketches}
    count = sum(map(len, sketches.values()))
    with tqdm(total=count, desc="drawing", unit="figure", disable=None, delay=2, leave=False) as bar:
        for section, found in sketches.items():
            for sketch in found:
                figure = sketch.make()
                if figure is not None:
                    album[section].append(Picture(sketch.name, figures.png_of(figure), sketch.caption))
                bar.update()
    album["samples"] = _samples(folder)
    return album


def _sketches(report: Report, blocks: Sequence[Block]) -> dict[str, list[_Sketch]]:
    """Lists the figures of each section, in order."""
    names = report.ranking.controllers if report.ranking else []
    names = [*names, *(name for name in report.contestants(report.facts.controllers) if name not in names)]
    lines = line_figures.lines_of(report, names)
    rest = "" if len(lines) == len(names) else f" Drawn: the {len(lines)} best by rank, including the baseline."
    families = {curve.family: curve for curve in report.rate_curves}
    return {
        "ranking": [
            _Sketch(
                f"scores-{number}",
                partial(figures.score_dots, block.rows, ranked(block.rows)),
                f"{block.label}: a dot per run that did not fail; the stroke is their mean"
                f"{', the bar its 95 % t interval' if len(block.seeds) >= FEWEST else ''}.",
            )
            for number, block in enumerate(blocks if len(blocks) <= MOST_BLOCKS else [], 1)
        ],
        "differences": _differences(report, report.to_baseline, report.baseline, "baseline")
        + _differences(report, report.to_best_constant, "the best constant", "constant"),
        "critical difference": _ranks(report),
        "profiles": _profiles(report, lines, rest),
        "rates": [
            _Sketch(
                f"rates-{number}",
                partial(line_figures.rate_lines, report, family, lines),
                f"{family}: mean score{', 95 % t interval' if curve.area.bounded else ''}.{rest}",
            )
            for number, (family, curve) in enumerate(families.items(), 1)
        ],
        "curves": [
            _Sketch(
                f"curves-{number}",
                partial(line_figures.training_curves, block.rows, ranked(block.rows)),
                f"{block.label}: mean over the runs that did not fail.",
            )
            for number, block in enumerate(blocks[:MOST_CURVES], 1)
        ],
        "reward": [
            _Sketch(
                f"reward-{number}",
                partial(line_figures.reward_dots, block, [n for n in lines if n in block.controllers]),
                f"{block.label}: every run that did not fail.{rest}",
            )
            for number, block in enumerate(blocks[:MOST_CURVES], 1)
        ],
    }


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
        names = report.contestants(list(dict.fromkeys(d.controller for d in found)))
        counts = [[sum(d.verdict == v for d in found if d.controller == each) for v in (-1, 0, 1)] for each in names]
        caption = f"Against {other}: configurations whose 95 % t interval lies below 0, contains it, lies above."
        return [_Sketch(f"verdicts-{name}", partial(figures.verdict_bars, names, counts), caption)]
    sketches = []
    for number, label in enumerate(labels, 1):
        chosen = sorted((d for d in found if d.block == label), key=lambda d: d.t.value)
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
            pictures.append(Picture(f"samples/{path.name}", data, path.stem))
            size += len(data)
    if pictures and len(pictures) < len(paths):
        last = pictures[-1]
        text = f"{last.caption} ({len(paths) - len(pictures)} more in the folder are not shown)"
        pictures[-1] = Picture(last.name, last.png, text)
    return pictures
