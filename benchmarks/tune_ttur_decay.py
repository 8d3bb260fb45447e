"""Chooses the constants of `ttur-decay`, once for all games: the first rates and shape that do best over these games.

    python -m benchmarks.tune_ttur_decay       # what benchmarks/results/ttur-decay/ lacks: rows and a table

A candidate's distance in a game is its mean to validation data over row seeds of the split "tune". It is divided by the
least of any candidate in that game, for the units differ; the candidate with the least geometric mean over games wins.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from agents.comparison.seeds import split_seeds
from benchmarks.rate_grid import Cell, Game, Row, means, search
from gan_env.io.files import write_whole

D_RATES = (1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2)
G_RATES = (3e-4, 5e-4, 1e-3, 2e-3, 3e-3)
SHAPES = ("linear", "cosine")
GAMES = (*(Game(task, 5_000) for task in ("ring", "circle", "spiral", "line", "grid")), Game("digits", 2_000))
CELLS: tuple[Cell, ...] = tuple(itertools.product(SHAPES, D_RATES, G_RATES))


@dataclass(frozen=True)
class Options:
    """How much is trained."""

    out: Path = Path(__file__).parent / "results" / "ttur-decay"
    """Folder of the rows and the table."""
    seeds: int = 3
    """Row seeds of each candidate in each game."""


def relative(rows: Sequence[Row]) -> dict[Cell, dict[Game, float]]:
    """Returns each candidate's mean distance in each game as a multiple of the least there."""
    found = means(rows)
    least = {game: min(found[game, cell] for cell in CELLS) for game in GAMES}
    return {cell: {game: found[game, cell] / least[game] for game in GAMES} for cell in CELLS}


def overall(games: dict[Game, float]) -> float:
    """Returns the geometric mean over games."""
    return float(np.exp(np.mean(np.log(list(games.values())))))


def best(rows: Sequence[Row]) -> list[Cell]:
    """Orders the candidates, the winner first."""
    found = relative(rows)
    return sorted(found, key=lambda cell: overall(found[cell]))


def table(rows: Sequence[Row], most: int = 12) -> str:
    """Formats the best candidates, the winner first."""
    found = relative(rows)
    lines = ["Mean distance to validation data as a multiple of the best candidate's in each game; geometric mean", ""]
    lines.append(f"{'shape':<8}{'D':>8}{'G':>8}{'overall':>9}" + "".join(f"{game.task:>8}" for game in GAMES))
    for cell in best(rows)[:most]:
        cells = "".join(f"{found[cell][game]:>8.2f}" for game in GAMES)
        lines.append(f"{cell[0]:<8}{cell[1]:>8g}{cell[2]:>8g}{overall(found[cell]):>9.3f}{cells}")
    return "\n".join(lines)


def main(options: Options) -> None:
    """Trains what is missing, and prints and writes the table."""
    torch.set_num_threads(1)
    rows = search(options.out / "rows.jsonl.gz", GAMES, CELLS, split_seeds("tune", options.seeds))
    write_whole(options.out / "table.txt", table(rows) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
