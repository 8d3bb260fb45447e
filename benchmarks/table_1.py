"""Joins the rows of the suite `dynamic-gda-table-1-readings` to the thesis' 2-D table, one for each reading.

    gan-env bench --suite dynamic-gda-table-1-readings --jobs 2 --out benchmarks/results/dynamic-gda-table-1-readings
    python -m benchmarks.table_1                          # writes tables.md beside the rows
    python -m benchmarks.table_1 --published cells.csv    # with the thesis' cells: task,loss,controller,score

A reading is Adam's β₁ and what 30,000 iterations of an alternating order are: updates of either player, or rounds, with
30,000 updates of G. Sim-GDA and Dynamic-GDA have 30,000 updates either way, and RMSprop has no β₁.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from agents.benchmark.suites import BETAS, ORDERS, READINGS, THESIS_LOSSES
from agents.comparison.rows import Row
from agents.report.blocks import read_rows
from agents.report.cells import interval
from agents.report.numbers import number
from agents.report.published import THESIS_BEST, THESIS_RANKS, Cells, read_cells
from agents.report.rank_tests import block_ranks, critical_difference, friedman, nemenyi
from agents.report.statistics import Interval, bootstrap_bounds, median, t_bounds
from agents.report.tables import p_value
from gan_env.io.files import write_whole

SETS = ("ring", "circle", "spiral", "line")
COUNTS = ("updates", "rounds")
TITLES = {"sim-gda": "Sim-GDA", "alt-gda-1": "Alt-GDA 1", "alt-gda-5": "Alt-GDA 5", "dyn-gda": "Dynamic-GDA"}
ROUNDS = {"alt-gda-1": "rounds of 2", "alt-gda-5": "rounds of 6"}
"""Parts of the alternating orders where iterations are rounds."""
ALPHA = 0.05

Cell = tuple[str, str]
"""A loss, by the thesis' name, and a set."""
CELLS: tuple[Cell, ...] = tuple(itertools.product(THESIS_LOSSES, SETS))


@dataclass(frozen=True)
class Options:
    """What is read."""

    folder: Path = Path(__file__).parent / "results" / "dynamic-gda-table-1-readings"
    """Folder of the benchmark."""
    published: Path | None = None
    """CSV file of the thesis' cells, as `gan-env report --published` reads it."""


@dataclass(frozen=True)
class Reading:
    """The table under one reading."""

    beta: float
    count: str
    scores: dict[Cell, np.ndarray]
    """(orders, seeds) of each cell; a run that failed is infinite."""

    @property
    def title(self) -> str:
        """What tables call it."""
        return f"β₁ = {self.beta:g}, 30,000 {self.count}"

    @property
    def medians(self) -> np.ndarray:
        """Median over seeds, (cells, orders)."""
        return np.array([np.median(self.scores[cell], axis=1) for cell in CELLS])

    @property
    def ranks(self) -> np.ndarray:
        """Rank of each order, (cells, orders)."""
        return block_ranks(self.medians)


def readings_of(rows: Iterable[Row]) -> list[Reading]:
    """Joins the rows of the parts; raises ValueError if a cell lacks an order."""
    names = {READINGS.get(loss, loss): loss for loss in THESIS_LOSSES}
    found: dict[tuple[str, str, str, str], dict[int, float]] = {}
    for row in rows:
        score = row["score"] if row["status"] == "ok" else np.inf
        found.setdefault((row["part"], names[row["loss"]], row["task"], row["controller"]), {})[row["seed"]] = score

    def line(cell: Cell, order: str, beta: float, count: str) -> np.ndarray:
        counted = ROUNDS.get(order, "updates") if count == "rounds" else "updates"
        for by in (f"beta1={beta}", "rmsprop"):
            if (part := (f"{by}, {counted}", *cell, order)) in found:
                return np.array([found[part][seed] for seed in sorted(found[part])])
        raise ValueError(f"no rows of {order} for {cell}, {count}, beta1={beta}: run the suite to its end")

    return [
        Reading(beta, count, {cell: np.array([line(cell, order, beta, count) for order in ORDERS]) for cell in CELLS})
        for beta, count in itertools.product(BETAS, COUNTS)
    ]


def robust(readings: Sequence[Reading]) -> list[str]:
    """Says what holds under every reading: orders apart by Nemenyi's test, and cells with one winner."""
    apart = [
        f"`{ORDERS[i]}` before `{ORDERS[j]}`"
        for i, j in itertools.permutations(range(len(ORDERS)), 2)
        if all(each.ranks.mean(0)[i] < each.ranks.mean(0)[j] and _nemenyi(each)[i, j] < ALPHA for each in readings)
    ]
    lowest = np.array([each.medians.argmin(1) for each in readings])
    same = (lowest == lowest[0]).all(0)
    counts = ", ".join(f"`{name}` {int((lowest[0][same] == i).sum())}" for i, name in enumerate(ORDERS))
    return [
        f"By Nemenyi's test at {ALPHA}, under each of {len(readings)}: {', '.join(apart) or 'no pair of orders'}.",
        f"One order has the lowest median under every reading in {int(same.sum())} of {len(CELLS)} cells: {counts}.",
    ]


def _nemenyi(reading: Reading) -> np.ndarray:
    return nemenyi(reading.ranks.mean(0), len(CELLS))


def summary(readings: Sequence[Reading]) -> str:
    """Formats average ranks, Friedman's test and who is lowest, a line for each reading."""
    lines = [
        "| reading | " + " | ".join(TITLES[each] for each in ORDERS) + " | Dynamic-GDA lowest | Friedman's p | apart |",
        "|---" * (len(ORDERS) + 4) + "|",
        "| the thesis, one run a cell | " + " | ".join(f"{THESIS_RANKS[each]:.2f}" for each in ORDERS)
        + f" | {THESIS_BEST} of {len(CELLS)} | | |",
    ]  # fmt: skip
    for each in readings:
        found = t_bounds(each.ranks.T)
        ranks = (f"{v:.2f} [{lo:.2f}, {hi:.2f}]" for v, lo, hi in zip(*found, strict=True))
        own = int((each.ranks[:, ORDERS.index("dyn-gda")] == 1).sum())
        p = _nemenyi(each)
        apart = [
            f"{TITLES[ORDERS[i]]} / {TITLES[ORDERS[j]]}"
            for i, j in itertools.combinations(range(len(ORDERS)), 2)
            if p[i, j] < ALPHA
        ]
        lines.append(
            f"| {each.title} | {' | '.join(ranks)} | {own} of {len(CELLS)} | "
            f"{p_value(friedman(each.medians).p)} | {', '.join(apart) or 'none'} |"
        )
    return "\n".join(lines)


def cells(reading: Reading, published: Cells) -> str:
    """Formats the medians of a reading, each with its interval and, where it is published, the thesis' figure."""
    head = "| loss, set | " + " | ".join(TITLES[each] for each in ORDERS) + " |"
    lines = [head, "|---" * (len(ORDERS) + 1) + "|"]
    for loss, task in CELLS:
        scores = reading.scores[loss, task]
        lowest = int(np.median(scores, axis=1).argmin())
        shown = []
        for i, order in enumerate(ORDERS):
            text = _cell(scores[i])
            theirs = published.get((task, loss, order))
            text = f"**{text}**" if i == lowest else text
            shown.append(text if theirs is None else f"{text}, thesis {number(theirs)}")
        lines.append(f"| `{READINGS.get(loss, loss)}`, `{task}` | {' | '.join(shown)} |")
    return "\n".join(lines)


def _cell(scores: np.ndarray) -> str:
    alive = scores[np.isfinite(scores)]
    if len(alive) < len(scores):
        return f"{len(scores) - len(alive)} of {len(scores)} failed"
    return interval(Interval.of(bootstrap_bounds(median, scores), len(scores)))


def page(readings: Sequence[Reading], published: Cells) -> str:
    """Formats everything, what is robust first."""
    difference = critical_difference(len(ORDERS), len(CELLS))
    parts = [
        "# The thesis' 2-D table under four readings",
        *robust(readings),
        summary(readings),
        f"Average ranks over {len(CELLS)} cells of medians over seeds, with t intervals; Nemenyi's critical difference "
        f"is {difference:.2f} ranks.",
    ]
    for each in readings:
        parts += [f"## {each.title}", cells(each, published)]
    return "\n\n".join(parts) + "\n"


def main(options: Options) -> None:
    """Reads the rows and writes the page."""
    published = {} if options.published is None else read_cells(options.published)
    text = page(readings_of(read_rows(options.folder)), published)
    write_whole(options.folder / "tables.md", text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
