"""Sweeps readings of `wgan` and `gran` on tune seeds, in two rounds: see PROTOCOL.md.

    python -m benchmarks.readings.sweep            # what benchmarks/results/readings/ lacks: rows, then the table

A round of a loss is a benchmark's folder, so that `kill -9` loses at most the group that is running, the same command
goes on, and `gan-env verify` repeats its groups. A reading is a part of it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from agents.benchmark import running
from agents.benchmark.bench_config import BenchConfig, Part
from agents.benchmark.executors import local_executor
from agents.benchmark.folder import Folder, open_folder
from agents.benchmark.suites import ORDERS
from agents.comparison.rows import Row
from gan_env.envs.config import EnvConfig
from gan_env.io.files import write_whole
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.tasks.task import make_task

SETS = ("ring", "circle", "spiral", "line")
JUDGED = ("sim-gda", "alt-gda-5")
"""Orders whose distances rank a reading."""
WORKS = 0.07
"""Sliced W1 to validation data at or below which a reading works on a set."""


@dataclass(frozen=True)
class Reading:
    """One way to fill what the thesis leaves open."""

    loss: str
    rate: float
    optimizer: OptimizerSpec

    @property
    def name(self) -> str:
        """What rows and tables call it."""
        spec = self.optimizer
        shown = f"rmsprop({spec.alpha:g})" if spec.name == "rmsprop" else f"adam{spec.betas[0]:g}-{spec.betas[1]:g}"
        return f"{self.loss} {self.rate:g} {shown}"

    @property
    def consistent(self) -> bool:
        """Whether it keeps all that the thesis states."""
        stem, *numbers = self.loss.split(":")
        stated = self.optimizer.name == "rmsprop" if stem == "wgan" else float(numbers[0]) == 0.83
        return stated and self.rate == 2e-4


def _adam(*betas: float) -> OptimizerSpec:
    return OptimizerSpec(betas=(betas[0], betas[1]))


RMSPROP = tuple(OptimizerSpec(name="rmsprop", alpha=alpha) for alpha in (0.99, 0.9))
ADAMS = tuple(_adam(beta, 0.999) for beta in (0.0, 0.5, 0.9))
WGAN = [
    Reading(f"wgan:{clip:g}", rate, optimizer)
    for clip in (0.01, 0.03, 0.1, 0.3, 1.0)
    for rate in (2e-4, 1e-3)
    for optimizer in (*RMSPROP, _adam(0.0, 0.9), _adam(0.5, 0.999))
]
GRAN = [
    *(Reading(f"gran:0.83:{eps:g}", 2e-4, adam) for eps in (1e-3, 1e-2, 0.1, 1.0, 10.0) for adam in ADAMS),
    *(Reading(f"gran:{k:g}:{eps:g}", 2e-4, adam) for k in (5.0, 25.0) for eps in (1e-3, 0.1, 10.0) for adam in ADAMS),
    *(Reading(f"gran:{k:g}:{eps:g}", 1e-3, ADAMS[1]) for k in (0.83, 5.0, 25.0) for eps in (1e-3, 0.1, 10.0)),
]
GN = [
    *(Reading(f"gn:{k:g}", 2e-4, adam) for k in (0.83, 3.0, 10.0) for adam in ADAMS),
    *(Reading(f"gn:{k:g}", 1e-3, ADAMS[1]) for k in (0.83, 3.0, 10.0)),
]
"""The bounded normalisation of another paper, in gran's place."""
READINGS = {"wgan": WGAN, "gran": GRAN, "gn": GN}
DEFAULT = {
    "wgan": Reading("wgan:0.01", 2e-4, RMSPROP[0]),
    "gran": Reading("gran:0.83:0.1", 2e-4, ADAMS[1]),
    "gn": Reading("gn:0.83", 2e-4, ADAMS[1]),
}
"""The readings of the first table; of gn, the same K and β₁."""


@dataclass(frozen=True)
class Round:
    """How much is trained of each reading."""

    updates: int
    seeds: int
    orders: tuple[str, ...]
    sets: tuple[str, ...] = SETS


ROUNDS = (Round(5_000, 2, JUDGED, ("ring", "spiral")), Round(30_000, 1, ORDERS))


@dataclass(frozen=True)
class Options:
    """What is run."""

    out: Path = Path(__file__).parents[1] / "results" / "readings"
    """Folder of the rounds' folders."""
    losses: tuple[str, ...] = ("wgan", "gran", "gn")
    """Which losses."""
    rounds: int = len(ROUNDS)
    """How many rounds."""


def config_of(readings: Sequence[Reading], stage: Round) -> BenchConfig:
    """Makes the benchmark of a round: a part for each reading, without a score."""
    return BenchConfig(
        parts=tuple(
            Part(
                name=each.name,
                tasks=stage.sets,
                losses=(each.loss,),
                controllers=stage.orders,
                d_lr=(each.rate,),
                g_lr="same",
                updates=stage.updates,
                seeds=stage.seeds,
                split="tune",
                game=EnvConfig(optimizer=each.optimizer, score=False),
            )
            for each in readings
        )
    )


def run_round(folder: Path, config: BenchConfig) -> list[Row]:
    """Runs what the round lacks, and packs its rows; returns them."""
    work = open_folder(folder, config)
    if work.left:
        done = running.run(work, local_executor(1))
        if not done.complete:
            raise RuntimeError(f"{folder}: {done.failures}")
    rows = selected(work)
    plain = folder / "selection.jsonl"
    if plain.exists():
        write_whole(folder / "selection.jsonl.gz", gzip.compress(plain.read_bytes(), mtime=0))
        plain.unlink()
    return rows


def selected(work: Folder) -> list[Row]:
    """Returns the rows on tune seeds, in the plan's order."""
    return [row for group in work.groups for row in work.selection.rows[group.id]]


def cells(rows: Sequence[Row]) -> dict[str, dict[tuple[str, str], float]]:
    """Returns the mean distance over seeds of each reading, by set and order; failed runs count as untrained ones."""
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    for row in rows:
        worst = float(make_task(row["task"]).quality.worst)
        distance = min(row["quality"], worst) if row["status"] == "ok" else worst
        found.setdefault(row["part"], {}).setdefault((row["task"], row["controller"]), []).append(distance)
    return {part: {at: float(np.mean(each)) for at, each in own.items()} for part, own in found.items()}


def overall(own: Mapping[tuple[str, str], float]) -> float:
    """Returns a reading's geometric mean over the sets that it ran on and the judged orders."""
    return float(np.exp(np.mean([np.log(value) for (_, order), value in own.items() if order in JUDGED])))


def ranked(rows: Sequence[Row], readings: Sequence[Reading]) -> list[Reading]:
    """Orders readings, the best first."""
    found = {part: overall(own) for part, own in cells(rows).items()}
    return sorted(readings, key=lambda each: found[each.name])


def next_readings(loss: str, order: Sequence[Reading]) -> list[Reading]:
    """Returns the readings of the last round: the best consistent one, the best of all, and today's default."""
    consistent = next(each for each in order if each.consistent)
    return list(dict.fromkeys([consistent, order[0], DEFAULT[loss]]))


def works_on(own: Mapping[tuple[str, str], float], orders: Sequence[str]) -> list[str]:
    """Lists the sets on which a reading works under some order."""
    sets = dict.fromkeys(each for each, _ in own)
    return [each for each in sets if min(own[each, order] for order in orders) <= WORKS]


def table(rows: Sequence[Row], readings: Sequence[Reading], stage: Round) -> str:
    """Formats a round, the best reading first."""
    found = cells(rows)
    names = "".join(f"{each:>25}" for each in stage.sets)
    head = f"{'reading':<38}{'stated':>7}{'overall':>9}  {names}  works on"
    lines = [
        f"{stage.updates:,} updates, {stage.seeds} tune seeds; mean sliced W1 to validation data under "
        f"{', '.join(stage.orders)}",
        "",
        head,
    ]
    for each in ranked(rows, readings):
        own = found[each.name]
        values = ("  " + " ".join(f"{own[one, order]:.3f}"[1:] for order in stage.orders) for one in stage.sets)
        shown = "".join(f"{value:>25}" for value in values)
        lines.append(
            f"{each.name:<38}{'yes' if each.consistent else 'no':>7}{overall(own):>9.4f}  {shown}  "
            + ", ".join(works_on(own, stage.orders))
        )
    return "\n".join(lines)


def main(options: Options) -> None:
    """Runs what is missing, and writes the table of each round."""
    torch.set_num_threads(1)
    for loss in options.losses:
        readings = READINGS[loss]
        for number, stage in enumerate(ROUNDS[: options.rounds], start=1):
            folder = options.out / f"{loss}-{number}"
            rows = run_round(folder, config_of(readings, stage))
            text = table(rows, readings, stage)
            write_whole(folder / "table.txt", text + "\n")
            print(f"{folder.name}: {text}\n", flush=True)
            if number < len(ROUNDS):
                readings = next_readings(loss, ranked(rows, readings))
                write_whole(folder / "next.json", json.dumps([each.name for each in readings], indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
