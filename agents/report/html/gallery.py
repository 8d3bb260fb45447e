"""Which figures a report gets, with captions that say what is drawn and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import tqdm

from gan_env.io.files import has_folder, is_there, read_bytes

from ..blocks import Block
from ..comparisons import Difference
from ..numbers import Report
from ..text import ranked
from . import figures, line_figures
from .figures import MOST_BLOCKS, Picture

MOST_CURVES = 4
MOST_SAMPLES = 24
SAMPLES_BYTES = 12_000_000
"""Sample pictures that a page takes in, in all."""
_PNG = b"\x89PNG\r\n\x1a\n"

Album = dict[str, list[Picture]]
"""Pictures by section of the page."""


@dataclass(frozen=True)
class _Sketch:
    """A picture that is still to be drawn; `make` gives None where there is nothing to show."""

    name: str
    make: Callable[[], Figure | None]
    caption: str


def draw(report: Report, blocks: Sequence[Block], folder: Path) -> Album:
    """Every figure of the report, and the sample pictures of the folder; with progress on a terminal."""
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
    """The figures of each section, in order."""
    names = _order(report)
    lines = line_figures.lines_of(report, names)
    rest = "" if len(lines) == len(names) else f" The {len(lines)} best by rank are drawn, with the baseline."
    found: dict[str, list[_Sketch]] = {
        "ranking": _scores(report, blocks),
        "differences": _differences(report, report.to_baseline, report.baseline, "baseline")
        + _differences(report, report.to_best_constant, "the best constant", "constant"),
        "critical difference": [
            _Sketch(
                "critical-difference",
                partial(figures.critical_difference_diagram, report),
                "Average ranks with 95 % intervals; a thick bar joins controllers that Nemenyi's test does not tell "
                "apart (α = 0.05), and the bar on top is its critical difference.",
            )
        ],
        "profiles": [
            _Sketch(
                "profiles",
                partial(
                    line_figures.profile_lines,
                    report,
                    [n for n in lines if report.profiles and n in report.profiles.shares],
                ),
                "Higher is better: share of runs whose score is at most so many times the best controller's median in "
                f"the same configuration. Failed runs never count. Shaded: {report.baseline}'s 95 % band.{rest}",
            )
        ],
    }
    found["rates"] = [
        _Sketch(
            f"rates-{number}",
            partial(line_figures.rate_lines, report, family, lines),
            f"{family}: mean score, 95 % t interval.{rest}",
        )
        for number, family in enumerate(dict.fromkeys(c.family for c in report.rate_curves), 1)
    ]
    found["curves"] = [
        _Sketch(
            f"curves-{number}",
            partial(line_figures.training_curves, block.rows, ranked(block.rows)),
            f"{block.label}: mean over the runs that did not fail.",
        )
        for number, block in enumerate(blocks[:MOST_CURVES], 1)
    ]
    found["reward"] = [
        _Sketch(
            f"reward-{number}",
            partial(line_figures.reward_dots, block, [n for n in lines if n in block.controllers]),
            f"{block.label}: every run that did not fail.{rest}",
        )
        for number, block in enumerate(blocks[:MOST_CURVES], 1)
    ]
    return found


def _order(report: Report) -> list[str]:
    """Competitors, best average rank first, then those that are not ranked."""
    ranked_names = report.ranking.controllers if report.ranking else []
    rivals = report.rivals(report.facts.controllers)
    return [*ranked_names, *(name for name in rivals if name not in ranked_names)]


def _scores(report: Report, blocks: Sequence[Block]) -> list[_Sketch]:
    """Dots of every run, where configurations are few."""
    if len(blocks) > MOST_BLOCKS:
        return []
    caption = "each dot a run that did not fail, bar and stroke their mean with its 95 % t interval."
    return [
        _Sketch(
            f"scores-{number}",
            partial(figures.score_dots, block.rows, ranked(block.rows)),
            f"{block.label}: {caption}",
        )
        for number, block in enumerate(blocks, 1)
    ]


def _differences(report: Report, found: Sequence[Difference], other: str, name: str) -> list[_Sketch]:
    """A forest for each configuration where they are few, else counts of verdicts."""
    labels = list(dict.fromkeys(d.block for d in found))
    if not found:
        return []
    if len(labels) > MOST_BLOCKS:
        rivals = report.rivals(list(dict.fromkeys(d.controller for d in found)))
        counts = [[sum(d.verdict == v for d in found if d.controller == rival) for v in (-1, 0, 1)] for rival in rivals]
        caption = f"Against {other}: configurations whose 95 % t interval lies below 0, holds it, lies above."
        return [_Sketch(f"verdicts-{name}", partial(figures.verdict_bars, rivals, counts), caption)]
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
        caption = f"{label}: paired differences to {chosen[0].other}, 95 % t intervals."
        sketches.append(_Sketch(f"differences-{name}-{number}", make, caption))
    return sketches


def _samples(folder: Path) -> list[Picture]:
    """The folder's own sample pictures, by name; what is no PNG, or too much, is left out and counted."""
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
