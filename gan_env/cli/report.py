"""`gan-env report`: reports on a folder of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from . import DONE
from .options import print_json, read

HELP = """
    Write one self-contained page with ranking, paired differences, profiles, tests and failures.

    Examples:
      gan-env report runs/mine
      gan-env report runs/mine --baseline alt-gda-5
      gan-env report runs/mine --json
      gan-env report theirs --out pages/theirs
      gan-env report runs/a runs/b
      gan-env report runs/table-1 --markdown --published theirs.csv
"""


@dataclass(frozen=True)
class Report:
    """Options."""

    folder: tyro.conf.Positional[tuple[str, ...]]
    """Folders with the rows.jsonl that gan-env bench or train wrote; one page for each."""
    baseline: str = "sim-gda"
    """Controller that the others are compared with."""
    markdown: bool = False
    """Print Markdown tables (scores, average ranks, tests) instead of writing the page."""
    published: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """CSV file (task,loss,controller,score) of published numbers, which --markdown prints next to ours."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where the page and its figures go (the folder itself); the folder is then only read."""
    json: bool = False
    """Print the page's numbers as one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    given = read(Report, "report", arguments, HELP)
    folders = list(dict.fromkeys(given.folder))
    if not folders:
        raise ValueError("name a folder: gan-env report runs/mine")
    for option, wanted in (("out", given.out), ("markdown", given.markdown or None), ("json", given.json or None)):
        if len(folders) > 1 and wanted is not None:
            raise ValueError(
                f"--{option} is of one folder, and {len(folders)} are named ({', '.join(folders)}); name one"
            )
    if given.published is not None and not given.markdown:
        raise ValueError(f"published={str(given.published)!r} is printed by --markdown only; give that, too")
    if given.markdown and given.out is not None:
        raise ValueError(f"out={str(given.out)!r} is where the page goes, and --markdown writes none; give one of them")
    if given.markdown and given.json:
        raise ValueError("markdown and json exclude each other; give one of them")
    for place, folder in enumerate(folders):
        if place:
            print()
        _report(folder, given, several=len(folders) > 1)
    return DONE


def _report(folder: str, given: Report, *, several: bool) -> None:
    """Prints what is asked of a folder."""
    from agents.report.headline import headline
    from agents.report.html.page import write_report
    from agents.report.markdown import write_markdown
    from agents.report.terminal import Printer, to_be_official

    if given.markdown:
        print(write_markdown(Path(folder), given.baseline, given.published), end="")
        return
    report, path = write_report(folder, given.baseline, given.out)
    if given.json:
        print_json({"page": path, "headline": headline(report), **report.plain()})
        return
    out = Printer()
    if several:
        out.say(f"{folder}:")
    out.report(report)
    out.next(f"open {path} in a browser", *to_be_official(report))
