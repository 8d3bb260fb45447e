"""Published numbers to compare with: the thesis' 2-D table, and tables of cells from a CSV file."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_env.io.files import read_text

from .rank_tests import block_ranks
from .ranking import Ranking

THESIS_SUITE = "dynamic-gda-table-1"
THESIS_RANKS = {"sim-gda": 2.84, "alt-gda-1": 2.81, "alt-gda-5": 2.50, "dyn-gda": 1.84}
"""Average ranks over the 32 cells of the thesis' 2-D table, recomputed from the cells; its own averages differ."""
THESIS_BEST = 16
"""Number of the 32 cells in which Dynamic-GDA has the lowest distance in the thesis."""

Cells = dict[tuple[str, str, str], float]
"""Score by task, loss and controller."""
_COLUMNS = ("task", "loss", "controller", "score")


@dataclass(frozen=True)
class Thesis:
    """Compares the thesis' 2-D table with the rows: average ranks of its four methods, and where Dynamic-GDA is best.

    Our ranks are of median scores over seeds; the thesis has one run per cell.
    """

    published: dict[str, float]
    ours: dict[str, float]
    published_best: int
    ours_best: int
    cells: int


def beside_thesis(config: dict[str, Any], ranking: Ranking | None) -> Thesis | None:
    """Compares with the thesis where the rows are its suite and all of its methods are ranked, else None."""
    if config.get("suite") != THESIS_SUITE or ranking is None or not set(THESIS_RANKS) <= set(ranking.controllers):
        return None
    columns = [ranking.controllers.index(name) for name in THESIS_RANKS]
    ranks = block_ranks(np.array(list(ranking.medians.values()))[:, columns])
    ours = dict(zip(THESIS_RANKS, ranks.mean(0).tolist(), strict=True))
    best = int((ranks[:, list(THESIS_RANKS).index("dyn-gda")] == 1).sum())
    return Thesis(THESIS_RANKS, ours, THESIS_BEST, best, len(ranks))


def read_cells(path: Path) -> Cells:
    """Reads a published table from a CSV file with the columns task, loss, controller and score, named as in rows.

    Raises:
        ValueError: If a column is missing, a score is not a finite number, or a cell appears twice; the message names
            the line.
        OSError: If the file cannot be read.
    """
    found: Cells = {}
    with io.StringIO(read_text(path.resolve()), newline="") as file:  # a pipe in its place would never end
        lines = csv.DictReader(file)
        if missing := [name for name in _COLUMNS if name not in (lines.fieldnames or ())]:
            raise ValueError(f"{path}: column {missing[0]!r} is missing; the first line must be {','.join(_COLUMNS)}")
        for line in lines:
            where = f"{path} line {lines.line_num}"
            task, loss, controller, text = (str(line[name]).strip() for name in _COLUMNS)
            try:
                score = float(text)
            except ValueError:
                score = math.nan
            if not math.isfinite(score):
                raise ValueError(
                    f"{where}: score {text!r} is not a finite number; leave the line out if none is published"
                )
            if (task, loss, controller) in found:
                raise ValueError(f"{where}: {task}, {loss}, {controller} appears twice; delete one of the two")
            found[task, loss, controller] = score
    return found
