"""`gan-env report`: a page of a folder of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from . import DONE
from .options import print_json, read

HELP = """
    Ranking, paired differences, profiles, tests and failures, on one page that needs nothing else.

    Examples:
      gan-env report runs/mine
      gan-env report runs/mine --baseline alt-gda-5
      gan-env report runs/mine --json
"""


@dataclass(frozen=True)
class Report:
    """Options."""

    folder: tyro.conf.Positional[str]
    """With the rows.jsonl that gan-env bench or train wrote."""
    baseline: str = "sim-gda"
    """Controller that the others are compared with."""
    json: bool = False
    """Print the page's numbers as one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """The command."""
    given = read(Report, "report", arguments, HELP)
    from agents.report.headline import headline
    from agents.report.page import write_report

    report, path = write_report(given.folder, given.baseline)
    if given.json:
        print_json({"page": path, "headline": headline(report), **report.plain()})
        return DONE
    print(*headline(report), f"\n{path}", sep="\n")
    return DONE
