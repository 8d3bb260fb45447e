"""The Dirac-GAN under fixed orders and the oracle: distance from the saddle, beside what is known in closed form.

    python -m benchmarks.dirac              # rows and table into benchmarks/results/dirac, picture into docs/pictures
    python -m benchmarks.dirac --draw       # the picture and the table of the committed rows

Sim-GDA, Alt-GDA with n_d = 1 to 10 and the oracle play the game of the task `dirac` (rate 0.1, float64) from the same
starts, with the linear (Wasserstein) and with the bce loss. The game is two numbers, so it is written out here; a test
plays it with the registered controllers on the trainer, too. With the linear loss, whose update is a matrix:

- Sim-GDA multiplies the distance by √(1 + η²) at every update;
- a round of Alt-GDA conserves ηn_d θ² − η²n_d θψ + ηψ², positive while η < 2/√n_d, so that the distance at the end of a
  round stays within the root of that form's condition number, either way;
- the oracle never goes farther than √(1 + η²) times the start.

A second experiment starts the oracle where both weights are multiples of a part of η, and anywhere.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.site_pictures import save
from gan_env.io.files import write_whole

ROOT = Path(__file__).parents[1]
ETA = 0.1
LOSSES = {"wgan-unclipped": "Wasserstein", "bce": "bce"}
ORDERS = ("sim-gda", *(f"alt-gda-{n}" for n in range(1, 11)), "dirac-oracle")
AT = tuple(sorted({round(10 ** (x / 12)) for x in range(12 * 4 + 6)} | {0, 30_000}))
"""Updates after which the distance is kept."""
PARTS = {"multiples of η": 1, "multiples of η / 3": 3, "any": 0}
"""Where the oracle starts: both weights multiples of η over this number; 0: drawn from N(0, 1)."""
NOWHERE = 1e-300
"""Stands for a distance of exactly 0 on a logarithmic axis."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is run."""

    out: Path = ROOT / "benchmarks" / "results" / "dirac"
    """Folder of the rows and the table."""
    picture: Path = ROOT / "docs" / "pictures" / "dirac.png"
    """The picture."""
    starts: int = 40
    """Starts of each order."""
    draw: bool = False
    """Draw the committed rows, without a run."""


def play(loss: str, order: str, starts: np.ndarray, at: Sequence[int]) -> np.ndarray:
    """Plays one order from every start.

    Args:
        loss: The game's loss, of `LOSSES`.
        order: One of `ORDERS`.
        starts: θ and ψ, (S, 2).
        at: Updates after which the distance is kept, in order.

    Returns:
        The distance from the saddle, (S, len(at)).
    """
    theta, psi = starts.T.copy()
    n_d = int(order.rpartition("-")[2]) if order.startswith("alt-gda") else 0
    found = np.zeros((len(starts), len(at)))
    for update in range(at[-1] + 1):
        if update in at:
            found[:, at.index(update)] = np.hypot(theta, psi)
        g_step, d_step = steps(loss, theta, psi)
        if order == "dirac-oracle":
            moves_g = psi * theta < 0
        else:
            moves_g = np.full(len(starts), order == "sim-gda" or update % (n_d + 1) == n_d)
        moves_d = ~moves_g | (order == "sim-gda")
        theta, psi = theta + moves_g * g_step, psi + moves_d * d_step
    return found


def steps(loss: str, theta: np.ndarray, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a step of G adds to θ and a step of D to ψ: minus η times the gradient of the player's own loss."""
    if loss == "wgan-unclipped":
        return ETA * psi, -ETA * theta
    score = psi * theta  # of the generated sample; the real one's is 0
    return ETA * psi / (1 + np.exp(score)), -ETA * theta / (1 + np.exp(-score))


def starts_of(part: int, count: int, seed: int = 0) -> np.ndarray:
    """Draws starts, (count, 2): multiples of η / part up to 2 without 0, or from N(0, 1)."""
    rng = np.random.default_rng(seed)
    if not part:
        return rng.standard_normal((count, 2))
    return rng.integers(1, round(2 / ETA) * part + 1, (count, 2)) * rng.choice([-1, 1], (count, 2)) * (ETA / part)


def shown(value: float) -> float:
    """Rounds to three significant digits."""
    return float(f"{value:.3g}")


def run(options: Options) -> list[Row]:
    """Plays everything; returns a row for each start."""
    rows: list[Row] = []
    starts = starts_of(0, options.starts)
    for loss in LOSSES:
        for order in ORDERS:
            found = play(loss, order, starts, AT)
            rows += [
                {"loss": loss, "controller": order, "from": "any", "start": start.tolist(), "at": list(AT)}
                | {"distance": [shown(value) for value in line]}
                for start, line in zip(starts, found, strict=True)
            ]
        for name, part in PARTS.items():
            own = starts_of(part, 10 * options.starts, seed=1)
            found = play(loss, "dirac-oracle", own, (0, 5_000))
            rows += [
                {"loss": loss, "controller": "dirac-oracle", "from": f"{name}, 5,000 updates", "start": start.tolist()}
                | {"at": [0, 5_000], "distance": [shown(value) for value in line]}
                for start, line in zip(own, found, strict=True)
            ]
    return rows


def lines_of(rows: Sequence[Row], loss: str, order: str, where: str = "any") -> np.ndarray:
    """Returns the distances of an order as multiples of its start's, (S, len(at))."""
    own = [
        row["distance"]
        for row in rows
        if (row["loss"], row["controller"], row["from"]) == (loss, order, where)
    ]  # fmt: skip
    found = np.array(own, np.float64)
    return np.maximum(found, NOWHERE) / found[:, :1]


def stalled(rows: Sequence[Row], loss: str, name: str) -> np.ndarray:
    """Returns the oracle's distances after 5,000 updates from starts of a kind, (S,)."""
    where = f"{name}, 5,000 updates"
    return np.array([r["distance"][-1] for r in rows if r["loss"] == loss and r["from"] == where])


def band(n_d: int) -> float:
    """Returns how many times farther or nearer than its start a round of Alt-GDA can end, with the linear loss."""
    form = np.array([[ETA * n_d, -(ETA**2) * n_d / 2], [-(ETA**2) * n_d / 2, ETA]])
    low, high = np.linalg.eigvalsh(form)
    return math.sqrt(high / low)


def table(rows: Sequence[Row]) -> str:
    """Formats the distance after 1,000, 5,000 and 30,000 updates, and from which starts the oracle stalls."""
    lines = [f"Distance from the saddle as a multiple of the start's, η = {ETA}: median [10 %, 90 %] over starts", ""]
    places = [AT.index(min(AT, key=lambda at: abs(at - wanted))) for wanted in (1_000, 5_000, 30_000)]
    for loss, title in LOSSES.items():
        lines.append(f"{title:<14}" + "".join(f"{f'{AT[place]:,} updates':>30}" for place in places))
        for order in ORDERS:
            found = lines_of(rows, loss, order)[:, places]
            cells = "".join(f"{_three(found[:, i]):>30}" for i in range(len(places)))
            lines.append(f"{order:<14}{cells}")
        lines.append("")
    lines.append("The oracle after 5,000 updates, by where it starts: share farther than η / 10, median distance")
    for loss, title in LOSSES.items():
        for name in PARTS:
            own = stalled(rows, loss, name)
            lines.append(f"{title:<14}{name:<20}{(own > ETA / 10).mean():>7.0%}  {np.median(own):.1e}")
    lines += ["", "Bounds of the linear loss: Sim-GDA × √(1 + η²) at every update; a round of Alt-GDA ends within"]
    lines.append(", ".join(f"{band(n):.3f} (n_d = {n})" for n in range(1, 11)))
    lines.append(f"times its start, either way; the oracle at most {math.hypot(1, ETA):.6f} times its start")
    return "\n".join(lines)


def _three(values: np.ndarray) -> str:
    low, middle, high = np.percentile(np.log10(values), (10, 50, 90))
    return f"{10**middle:.2g} [{10**low:.1g}, {10**high:.1g}]" if low > -299 else "0"


def draw(rows: Sequence[Row]) -> Figure:
    """Draws both losses over updates with the bounds, and where the oracle stalls."""
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, loss in zip(panels, LOSSES, strict=False):
        _curves(axes, rows, loss)
    _stalls(panels[2], rows)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


COLOURS = {"sim-gda": "#000000", "alt-gda-1": "#56B4E9", "alt-gda-5": "#0072B2", "alt-gda-10": "#009E73"}


def _curves(axes: Axes, rows: Sequence[Row], loss: str) -> None:
    at = np.maximum(np.array(AT, float), 0.8)
    for order in ORDERS[:-1]:
        middle = np.median(lines_of(rows, loss, order), 0)
        label = {"sim-gda": "Sim-GDA"}.get(order, f"Alt-GDA, n_d = {order.rpartition('-')[2]}")
        axes.plot(at, middle, color=COLOURS.get(order, "#bbbbbb"), linewidth=1.5 if order in COLOURS else 0.7,
                  label=label if order in COLOURS else None)  # fmt: skip
    found = lines_of(rows, loss, "dirac-oracle")
    low, middle, high = np.percentile(found, (10, 50, 90), axis=0)
    axes.fill_between(at, low, high, color="#D55E00", alpha=0.15, linewidth=0)
    axes.plot(at, middle, color="#D55E00", linewidth=1.8, label="oracle, median and 10 to 90 %")
    if loss != "bce":
        axes.plot(at, (1 + ETA**2) ** (np.array(AT) / 2), ":", color="k", linewidth=2.2, label="Sim: (1 + η²)^(t/2)")
        for n_d, colour in ((1, "#56B4E9"), (10, "#009E73")):
            axes.axhspan(1 / band(n_d), band(n_d), color=colour, alpha=0.25, linewidth=0,
                         label=f"bound of n_d = {n_d}")  # fmt: skip
        axes.axhline(math.hypot(1, ETA), ls="--", color="#D55E00", linewidth=1, label="the oracle's bound")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e-24, 1e6)
    axes.set_xlim(0.8, AT[-1])
    axes.set_title(f"{LOSSES[loss]} loss", fontsize=10)
    axes.set_xlabel("update", fontsize=8)
    axes.set_ylabel("distance from the saddle, start = 1", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e5e5", linewidth=0.5)


def _stalls(axes: Axes, rows: Sequence[Row]) -> None:
    for name, colour in zip(PARTS, ("#D55E00", "#E69F00", "#0072B2"), strict=True):
        for loss, style in zip(LOSSES, ("-", "--"), strict=True):
            own = np.sort(np.maximum(stalled(rows, loss, name), 1e-24))
            label = f"{name}, {LOSSES[loss]}"
            axes.step(own, np.arange(1, len(own) + 1) / len(own), style, color=colour, linewidth=1.3, label=label)
    axes.axvline(ETA, color="k", linewidth=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xlim(1e-24, 3)
    axes.set_ylim(0, 1.55)  # room for the legend
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_title("oracle, 5,000 updates, by start", fontsize=10)
    axes.set_xlabel("distance from the saddle (dotted: η)", fontsize=8)
    axes.set_ylabel("share of starts at most so far", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e5e5", linewidth=0.5)
    axes.legend(fontsize=7, loc="upper left", frameon=False)


def main(options: Options) -> None:
    """Runs, unless only to draw, and writes rows, table and picture."""
    file = options.out / "rows.jsonl.gz"
    if not options.draw:
        text = "".join(json.dumps(row) + "\n" for row in run(options))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, gzip.compress(text.encode(), mtime=0))
    with gzip.open(file, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    write_whole(options.out / "table.txt", table(rows) + "\n")
    print(table(rows))
    save(draw(rows), options.picture)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
