"""Where the best two rates of each fast game lie: absolute rates of D and G on a grid, constant and falling to 0.

    python benchmarks/rate_sweep.py            # what benchmarks/results/rate-sweep/ lacks: rows, pictures and a table

Row seeds are those of the split "tune", a distance is that to validation data. Pictures of shapes and photographs are
left out, for one of their cells takes as long as the whole sweep.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rate_grid import Cell, Game, search

from agents.comparison.seeds import split_seeds

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SHAPES = ("constant", "linear")
GAMES = (
    *(Game(task, 5_000) for task in ("ring", "circle", "spiral", "line", "grid")),
    Game("digits", 1_000),
    Game("digits", 2_000),
    Game("dirac", 5_000),
)
CELLS: tuple[Cell, ...] = tuple(itertools.product(SHAPES, RATES, RATES))


@dataclass(frozen=True)
class Options:
    """How much is trained."""

    out: Path = Path(__file__).parent / "results" / "rate-sweep"
    """Folder of the rows and pictures."""
    seeds: int = 4
    """Row seeds of each cell."""


def main(options: Options) -> None:
    """Trains what is missing."""
    torch.set_num_threads(1)
    search(options.out / "rows.jsonl.gz", GAMES, CELLS, split_seeds("tune", options.seeds))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
