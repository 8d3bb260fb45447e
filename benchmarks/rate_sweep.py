"""Where the best two rates of each fast game lie: absolute rates of D and G on a grid, constant and falling to 0.

    python -m benchmarks.rate_sweep            # what benchmarks/results/rate-sweep/ lacks: rows, pictures and a table

Row seeds are those of the split "tune", a distance is that to validation data. Games of photographs and shapes are left
out, for one of their cells takes as long as the whole sweep. In `dirac` no pair of rates trains: Sim-GDA leaves the
saddle at any of them, so what is least bad there is hardly to move.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from agents.benchmark.suites import RATES as BASE_RATES
from agents.comparison.seeds import split_seeds
from agents.report.html.figures import png_of
from benchmarks.rate_grid import Cell, Game, Row, means, search
from gan_env.envs.actions import D_RANGE, G_RANGE
from gan_env.io.files import write_whole
from gan_env.tasks.task import make_task

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SHAPES = ("constant", "linear")
PLANE = ("ring", "circle", "spiral", "line", "grid")
GAMES = (*(Game(task, 5_000) for task in PLANE), Game("digits", 1_000), Game("digits", 2_000), Game("dirac", 5_000))
CELLS: tuple[Cell, ...] = tuple(itertools.product(SHAPES, RATES, RATES))


@dataclass(frozen=True)
class Options:
    """How much is trained."""

    out: Path = Path(__file__).parent / "results" / "rate-sweep"
    """Folder of the rows, the pictures and the table."""
    seeds: int = 4
    """Row seeds of each cell."""


def reached() -> dict[str, tuple[float, float]]:
    """Returns the rates of each player that the default ranges of actions reach from every base rate."""
    low, high = min(BASE_RATES), max(BASE_RATES)
    return {"d": (D_RANGE[0] * high, D_RANGE[1] * low), "g": (G_RANGE[0] * high, G_RANGE[1] * low)}


def best(rows: Sequence[Row], game: Game, shape: str) -> tuple[float, float, float]:
    """Returns D's rate, G's rate and the mean distance of a game's best cell of a shape."""
    found = {cell: value for (own, cell), value in means(rows).items() if own == game and cell[0] == shape}
    cell = min(found, key=found.__getitem__)
    return cell[1], cell[2], found[cell]


def table(rows: Sequence[Row]) -> str:
    """Formats the best cell of each game and shape beside the task's own rates."""
    lines = ["Best two rates by mean distance to validation data, and the task's own rates (constant)", ""]
    lines.append(f"{'game':<8}{'updates':>8}  {'shape':<9}{'D':>8}{'G':>8}{'distance':>10}   own D, own G")
    for game, shape in itertools.product(GAMES, SHAPES):
        d, g, distance = best(rows, game, shape)
        task = make_task(game.task)
        own = f"{task.d_lr:g}, {task.g_lr:g}"
        lines.append(f"{game.task:<8}{game.updates:>8,}  {shape:<9}{d:>8g}{g:>8g}{distance:>10.3g}   {own}")
    return "\n".join(lines)


def draw(rows: Sequence[Row], game: Game) -> Figure:
    """Draws a heat map of a game's distances for each shape, with the best cell, the own rates and what is reached."""
    found = means(rows)
    grids = {shape: np.array([[found[game, (shape, d, g)] for d in RATES] for g in RATES]) for shape in SHAPES}
    lowest = min(float(grid.min()) for grid in grids.values())
    norm = LogNorm(max(lowest, 1e-6), max(float(grid.max()) for grid in grids.values()))
    figure = Figure(figsize=(4.2 * len(SHAPES), 3.9), layout="constrained")
    panels = figure.subplots(1, len(SHAPES), squeeze=False)[0]
    for axes, (shape, grid) in zip(panels, grids.items(), strict=True):
        axes.imshow(grid, origin="lower", norm=norm, cmap="viridis_r")
        _dress(axes, game, shape)
        for (y, x), value in np.ndenumerate(grid):
            text = f"{value:.0f}" if value >= 10 else f"{value:.2g}".removeprefix("0")
            axes.text(x, y, text, ha="center", va="center", fontsize=6, color="w" if norm(value) > 0.5 else "k")
        y, x = np.unravel_index(int(grid.argmin()), grid.shape)
        axes.plot(x, y, "o", mfc="none", mec="#D55E00", ms=17, mew=1.8, label="best")
    panels[0].legend(loc="lower left", fontsize=6, markerscale=0.5)
    figure.colorbar(
        ScalarMappable(norm, "viridis_r"), ax=list(panels), label="mean distance to validation data", shrink=0.8
    )
    return figure


def _dress(axes: Axes, game: Game, shape: str) -> None:
    """Labels the axes, and draws the task's own rates and the rates that are reached."""

    def place(rate: float) -> float:
        return float(np.interp(np.log(rate), np.log(RATES), np.arange(len(RATES))))

    task, box = make_task(game.task), reached()
    names = [f"{rate:g}" for rate in RATES]
    axes.set_xticks(range(len(RATES)), names, fontsize=6, rotation=45)
    axes.set_yticks(range(len(RATES)), names, fontsize=6)
    axes.set_xlabel("rate of D", fontsize=8)
    axes.set_ylabel("rate of G", fontsize=8)
    axes.set_title(f"{game.task}, {game.updates:,} updates, {shape}", fontsize=9)
    axes.plot(place(task.d_lr), place(task.g_lr), "x", color="w", mew=2, ms=9, label="the task's own rates")
    (left, right), (low, high) = (tuple(map(place, box[player])) for player in ("d", "g"))
    axes.add_patch(
        Rectangle((left, low), right - left, high - low, fill=False, ec="#D55E00", ls="--", lw=1.5,
                  label=f"reached from every base rate of {min(BASE_RATES):g} to {max(BASE_RATES):g}")
    )  # fmt: skip


def main(options: Options) -> None:
    """Trains what is missing, and writes pictures and table."""
    torch.set_num_threads(1)
    rows = search(options.out / "rows.jsonl.gz", GAMES, CELLS, split_seeds("tune", options.seeds))
    write_whole(options.out / "table.txt", table(rows) + "\n")
    print(table(rows))
    for game in GAMES:
        write_whole(options.out / f"{game.task}-{game.updates}.png", png_of(draw(rows, game), 64))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
