"""What the searches over absolute rates share: GANs at a grid of rates and shapes, judged by validation data.

One batch is every cell of the grid with one row seed of the split "tune". A rate is set anew every `STEP` updates.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.rules.gda import FLOOR, share_left
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.envs.failures import FAILURES, failures
from gan_env.io.files import write_whole
from gan_env.types import Control

STEP = 10
"""Updates that one multiplier holds for."""

Row = dict[str, Any]
Cell = tuple[str, float, float]
"""Shape of the schedule, D's rate and G's rate at its start."""


@dataclass(frozen=True)
class Game:
    """A game of a given length, with the task's own loss and optimiser."""

    task: str
    updates: int


def train(game: Game, cells: Sequence[Cell], seed: int) -> list[Row]:
    """Trains one GAN for each cell from the same seed; returns a row for each, with its distance to validation data.

    A GAN that fails counts as the worst distance of its task.
    """
    rows = len(cells)
    config = EnvConfig(
        task=game.task, d_lr=1.0, g_lr=1.0, episode_updates=game.updates, updates_per_step=STEP, score=False
    )
    trainer = make_trainer(config, rows)
    trainer.reset(np.full(rows, seed, np.int64), np.zeros(rows, np.int64))
    start = torch.tensor([cell[1:] for cell in cells], dtype=torch.float64)
    shapes = {shape: torch.tensor([cell[0] == shape for cell in cells]) for shape in {cell[0] for cell in cells}}
    failed, left = np.full(rows, -1), torch.ones(rows, dtype=torch.float64)
    for update in range(0, game.updates, STEP):
        done = torch.tensor(update / game.updates, dtype=torch.float64)
        for shape, chosen in shapes.items():
            left[chosen] = share_left(shape, done, FLOOR)
        control = Control.of(rows, d_multiplier=start[:, 0] * left, g_multiplier=start[:, 1] * left)
        trace = trainer.advance(control, STEP, failed < 0)
        failed = np.maximum(failed, failures(trainer, trace, failed < 0, config))
    return [
        {**asdict(game), "shape": cell[0], "d_lr": cell[1], "g_lr": cell[2], "seed": seed, "engine": trainer.engine}
        | {"failure": None if at < 0 else FAILURES[at], "quality": quality}
        for cell, at, quality in zip(cells, failed.tolist(), _qualities(trainer, failed), strict=True)
    ]


def _qualities(trainer: Any, failed: np.ndarray) -> list[float]:
    worst = float(trainer.task.quality.worst)
    found, alive = np.full(trainer.n, worst), np.flatnonzero(failed < 0)
    if len(alive):
        found[alive] = np.minimum(trainer.quality(alive.tolist()), worst)
    return found.tolist()


def load(file: Path) -> list[Row]:
    """Reads the rows of a file; none if it is not there."""
    if not file.exists():
        return []
    with gzip.open(file, "rt") as lines:
        return [json.loads(line) for line in lines]


def search(
    file: Path, games: Sequence[Game], cells: Sequence[Cell], seeds: Sequence[int], say: Callable[[str], object] = print
) -> list[Row]:
    """Trains what the file lacks, batch after batch, and returns all its rows."""
    rows = load(file)
    there = {(row["task"], row["updates"], row["seed"]) for row in rows}
    for game, seed in itertools.product(games, seeds):
        if (game.task, game.updates, seed) in there:
            continue
        rows += train(game, cells, seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_whole(file, gzip.compress(text.encode(), mtime=0))
        say(f"{game.task}, {game.updates} updates, seed {seed}: {len(cells)} GANs")
    return rows


def means(rows: Sequence[Row]) -> dict[tuple[Game, Cell], float]:
    """Returns the mean distance of each game's cells over seeds."""
    found: dict[tuple[Game, Cell], list[float]] = {}
    for row in rows:
        key = Game(row["task"], row["updates"]), (row["shape"], row["d_lr"], row["g_lr"])
        found.setdefault(key, []).append(row["quality"])
    return {key: float(np.mean(values)) for key, values in found.items()}
