"""Renders a report as one HTML page that loads nothing: styles and figures are inside it."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from gan_env.io.files import make_folder, own_folder, write_whole

from .. import tables
from ..answer import NO_RANKING, answer
from ..headline import remarks
from ..model import Report, make_report
from ..numbers import count
from .gallery import MOST_CURVES, Album, draw
from .rank_chart import rank_chart

TITLES = {
    "scores": "Every run",
    "medians": "Medians",
    "rates": "Base rates",
    "budget": "Trials",
}
"""Title of the section with the figure that answers the question."""
CONFIG_LENGTH = 20_000
"""Characters of config.json that the page shows."""


def write_report(folder: Path | str, baseline: str, out: Path | None = None) -> tuple[Report, Path]:
    """Writes `report.html` and `figures/*.png` of a folder of rows; returns the numbers and the page's path.

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
    """Renders `page.html.jinja`; escapes all text from the rows."""
    config = json.dumps(report.facts.config, indent=2, ensure_ascii=False) if report.facts.config else ""
    if len(config) > CONFIG_LENGTH:
        config = config[:CONFIG_LENGTH] + "\n… the rest is in config.json"
    found = answer(report)
    environment = Environment(
        loader=PackageLoader("agents.report.html", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(thousands=count, measure=tables.measure)
    return (
        environment.get_template("page.html.jinja")
        .render(
            report=report,
            ranking=report.ranking,
            album=album,
            config=config,
            tables=tables,
            answer=found,
            remarks=remarks(report),
            no_ranking=NO_RANKING,
            chart=rank_chart(report),
            question_title=TITLES[report.question.figure],
            constants=sorted({name for name in report.best_constants.values() if name}),
            undrawn=len(report.facts.configurations) - MOST_CURVES,
        )
        .lstrip()
    )
