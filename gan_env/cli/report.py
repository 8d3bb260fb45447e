"""`gan-env report`: a page of a folder of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from . import DONE
from .options import print_json, read

HELP = """
    Ranking, paired differences, profiles, tests and failures, on one page that needs nothing else.

    Examples:
      gan-env report runs/mine
      gan-env report runs/mine --baseline alt-gda-5
      gan-env report runs/mine --json
      gan-env report theirs --out pages/theirs
      gan-env report runs/table-1 --markdown --published theirs.csv
"""


@dataclass(frozen=True)
class Report:
    """Options."""

    folder: tyro.conf.Positional[str]
    """With the rows.jsonl that gan-env bench or train wrote."""
    baseline: str = "sim-gda"
    """Controller that the others are compared with."""
    markdown: bool = False
    """Write no page; print its tables as Markdown: cell by cell, average ranks, tests."""
    published: Path | None = None
    """A CSV file (task,loss,controller,score) of published numbers, which --markdown sets beside ours."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where the page and its figures go (the folder itself); the folder is then only read."""
    json: bool = False
    """Print the page's numbers as one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """The command."""
    given = read(Report, "report", arguments, HELP)
    from agents.report.html.headline import headline
    from agents.report.html.page import write_report
    from agents.report.markdown import write_markdown

    if given.published is not None and not given.markdown:
        raise ValueError(f"published={str(given.published)!r} stands beside ours in --markdown only; give that, too")
    if given.markdown and given.out is not None:
        raise ValueError("markdown writes no page, so out goes with it nowhere; give one of them")
    if given.markdown and given.json:
        raise ValueError("markdown and json exclude each other; give one of them")
    if given.markdown:
        print(write_markdown(Path(given.folder), given.baseline, given.published), end="")
        return DONE
    report, path = write_report(given.folder, given.baseline, given.out)
    if given.json:
        print_json({"page": path, "headline": headline(report), **report.plain()})
        return DONE
    print(*headline(report), f"\n{path}", sep="\n")
    return DONE
