"""What the rows of the thesis' two tables say to a claim."""

from __future__ import annotations

import numpy as np
from claim_verdicts import ALPHA, CONFIRMED, NOT_SEEN, Answer, in_how_many
from controller_tables import RESULTS, blocks_of, ranking_of

from agents.benchmark.suites import ORDERS
from agents.report.blocks import read_rows
from agents.report.numbers import number
from agents.report.rank_tests import block_ranks
from agents.report.rank_tests import friedman as friedman_test
from agents.report.tables import p_value
from benchmarks import table_1
from benchmarks.readings.sweep import WORKS


def _cells(*folders: str) -> dict[str, list[float]]:
    """Medians of the four orders by cell, of the cells in which not every order failed."""
    found = {}
    for folder in folders:
        ranking = ranking_of(folder)
        at = [ranking.controllers.index(order) for order in ORDERS]
        for cell, medians in ranking.medians.items():
            if np.isfinite(medians).any():
                found[f"{folder}: {cell}"] = [medians[i] for i in at]
    return found


DYNAMIC = ORDERS.index("dyn-gda")


def best_cells(folder: str) -> Answer:
    """In how many cells of a table of the thesis Dynamic-GDA has the lowest median."""
    every = _cells(folder)
    lowest = [ORDERS[int(np.argmin(medians))] for medians in every.values()]
    own = lowest.count("dyn-gda")
    verdict = CONFIRMED if own >= len(lowest) / 2 else NOT_SEEN
    other = max(set(lowest), key=lowest.count)
    left_out = len(ranking_of(folder).medians) - len(every)
    aside = f", {left_out} left out in which every order failed" if left_out else ""
    runs = {row["updates"] for block in blocks_of(folder) for row in block.rows}
    seeds = min(len(block.seeds) for block in blocks_of(folder))
    length = " or ".join(f"{updates:,}" for updates in sorted(runs))
    figure = (
        f"lowest in {own} of {len(lowest)} cells{aside}; `{other}` in {lowest.count(other)} ({length} updates, "
        f"{seeds} seeds)"
    )
    return Answer(verdict, figure)


def worst_cells(folder: str, loss: str) -> Answer:
    """In how many cells of a loss Dynamic-GDA has the highest median."""
    own = [
        medians
        for cell, medians in _cells(folder).items()
        if loss in cell.partition(": ")[2].split(", ")
    ]
    worst = sum(int(np.argmax(medians)) == DYNAMIC for medians in own)
    return Answer(
        in_how_many(worst, len(own)),
        f"highest median in {worst} of {len(own)} cells of `{loss}`",
    )


def friedman(*folders: str) -> Answer:
    """Whether the orders differ, over the cells of one table or of both."""
    medians = np.array(list(_cells(*folders).values()))
    found = friedman_test(medians)
    average = block_ranks(medians).mean(0)
    p = f"p = {p_value(found.p)}".replace("= <", "<")
    each = ", ".join(f"`{ORDERS[i]}` {average[i]:.2f}" for i in np.argsort(average))
    figure = f"{p} over {len(medians)} cells; average ranks {each}"
    return Answer(CONFIRMED if found.p < ALPHA else NOT_SEEN, figure)


def under_readings(folder: str) -> Answer:
    """Whether Dynamic-GDA is first in the thesis' table under other readings."""
    found = table_1.readings_of(read_rows(RESULTS / folder))
    first = [each for each in found if each.ranks.mean(0).argmin() == DYNAMIC]
    each = "; ".join(
        f"{one.title}: rank {one.ranks.mean(0)[DYNAMIC]:.2f} of 4" for one in found
    )
    return Answer(
        in_how_many(len(first), len(found), "the reading"),
        f"first under {len(first)} of {len(found)} readings ({each}). {table_1.robust(found)[0]}",
    )


def learns(folder: str, loss: str, name: str) -> Answer:
    """On how many sets a loss of the thesis learns under some order and reading."""
    best: dict[str, tuple[float, str]] = {task: (np.inf, "") for task in table_1.SETS}
    for each in table_1.readings_of(read_rows(RESULTS / folder)):
        for (own, task), medians in zip(table_1.CELLS, each.medians, strict=True):
            if own == loss:
                where = f"`{ORDERS[int(medians.argmin())]}`, {each.title}"
                best[task] = min(best[task], (float(medians.min()), where))
    works = [task for task, (value, _) in best.items() if value <= WORKS]
    each = "; ".join(
        f"`{task}` {number(value)} ({where})" for task, (value, where) in best.items()
    )
    what = f"`{name}`, lowest median of ten seeds under any order and reading"
    figure = f"{what}: {each}. At most {WORKS} counts, as in the sweep, there of sliced W1, which is never larger"
    return Answer(in_how_many(len(works), len(best), "the set"), figure)
