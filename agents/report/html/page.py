"""A report as one HTML page that loads nothing from elsewhere: styles and pictures stand inside it."""

from __future__ import annotations

import json
from pathlib import Path

from gan_env.io.files import make_folder, own_folder, write_whole

from ..numbers import Facts, Report, make_report
from ..text import measure
from . import ranking_sections, sections
from .gallery import Album, draw
from .headline import headline
from .markup import STYLE, Html, bullets, join, tag
from .parts import figures

CONFIG_LENGTH = 20_000


def write_report(folder: Path | str, baseline: str, out: Path | None = None) -> tuple[Report, Path]:
    """Writes `report.html` and `figures/*.png` of a folder of rows; gives the numbers and the page's path.

    They go into `out`, which is then made, or else into the folder itself; nothing else of it is touched.

    Raises:
        ValueError: As `make_report`.
        OSError: If the folder cannot be written to.
    """
    folder = Path(folder)
    report, blocks = make_report(folder, baseline)
    album = draw(report, blocks, folder)
    if out is not None:
        make_folder(out)
    place = folder if out is None else out
    own_folder(place / "figures")
    for pictures in (found for section, found in album.items() if section != "samples"):
        for each in pictures:
            write_whole(place / "figures" / f"{each.name}.png", each.png)
    path = place / "report.html"
    write_whole(path, page(report, album).encode())
    return report, path


def page(report: Report, album: Album) -> str:
    """The whole page."""
    facts = report.facts
    title = f"{facts.runs} runs of {len(facts.controllers)} controllers"
    parts = [
        ("What was run", _run(report)),
        ("In short", tag("div", bullets(headline(report)), cls="headline")),
        ("Ranking", ranking_sections.ranking(report)),
        ("Scores", join([ranking_sections.scores(report, album["ranking"]), ranking_sections.relative(report)])),
        ("Paired differences", sections.differences(report, album["differences"])),
        ("Performance profiles", ranking_sections.profiles(report, album["profiles"])),
        ("Critical differences", ranking_sections.critical(report, album["critical difference"])),
        ("Quality against base rate", sections.rates(report, album["rates"])),
        ("Losses and learning rate over time", sections.curves(report, album["curves"])),
        ("Samples", figures(album["samples"])),
        ("Reward against quality", sections.reward(report, album["reward"])),
        ("Failures", sections.failures(report)),
    ]
    body = join(tag("section", tag("h2", name), content) for name, content in parts if content)
    head = join(
        [
            Html('<meta charset="utf-8">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", f"gan-env report: {title}"),
            Html(f"<style>{STYLE}</style>"),
        ]
    )
    content = tag("main", tag("h1", f"GAN controllers compared: {title}"), body)
    return f'<!DOCTYPE html>\n<html lang="en">{tag("head", head)}{tag("body", content)}</html>\n'


def _run(report: Report) -> Html:
    facts = report.facts
    again = tag("code", facts.command) if facts.command else "config.json does not name the command that made the rows"
    entries: list[tuple[str, object]] = [
        ("Run it again", again),
        ("Runs", f"{facts.runs}: {len(facts.configurations)} configuration(s) × {len(facts.controllers)} controllers, "
                 f"{facts.seeds} seeds in all"),
        ("Configurations", ", ".join(facts.configurations[:8]) + (" …" if len(facts.configurations) > 8 else "")),
        ("Updates a run", ", ".join(map(str, facts.updates))),
        ("Seeds' split", ", ".join(facts.splits)),
        ("Score", f"{', '.join(map(measure, facts.scores))}; lower is better. No player sees test data"),
        ("Machine", "; ".join(facts.machine)),
        ("Time", f"{_duration(facts.training_s)} of training over all runs"
                 + (f", {_duration(facts.wall_s)} in all" if facts.wall_s is not None else "")),
        ("Versions", "; ".join(v for v in facts.versions if v) or "not named"),
        ("Failures in means", _imputed(facts)),
    ]  # fmt: skip
    listed = tag("dl", *(join([tag("dt", key), tag("dd", value)]) for key, value in entries))
    if not facts.config:
        return listed
    text = json.dumps(facts.config, indent=2, ensure_ascii=False)
    cut = "" if len(text) <= CONFIG_LENGTH else "\n… the rest stands in config.json"
    return join([listed, tag("details", tag("summary", "config.json"), tag("pre", text[:CONFIG_LENGTH] + cut))])


def _imputed(facts: Facts) -> str:
    if not facts.untrained:
        return "the configuration's worst finite score; the rows do not hold the untrained generator's"
    lacking = facts.runs - facts.untrained
    return "the larger of the configuration's worst finite score and the untrained generator's" + (
        f", which {lacking} of {facts.runs} rows do not hold" if lacking else ""
    )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
