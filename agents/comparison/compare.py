"""Runs controllers against each other: rows of one batch, so that rivals share weights, data order and latents.

A *group* is the rows of one batch: the controllers × seeds of one configuration, or of several that differ in their
task alone. Every controller is asked before every update, on the measurement of its own rows; one that decides less
often holds its control itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.envs.failures import FAILURES, SCORE
from gan_env.envs.rewards import Reward, RewardContext, make_reward
from gan_env.random.streams import Purpose
from gan_env.registry import unknown
from gan_env.rendering.draw import SHOWN
from gan_env.tasks.task import Task
from gan_env.training.trainer import Trainer
from gan_env.types import Control

from .controller_runner import WEATHER, Entry, Seat
from .rows import Row, cell_key, game_facts, gap_is_normalised, group_id, joint_id, machine, settled, versions
from .run_metrics import Tally, measure_quality

SPLITS = {"tune": 1_000_000, "train-agent": 2_000_000, "evaluate": 3_000_000}
"""First row seed of each named split of seeds."""
SPLIT_SIZE = 1_000_000


def split_seeds(split: str, count: int) -> list[int]:
    """The first `count` row seeds of a split."""
    if split not in SPLITS:
        raise unknown("split", split, list(SPLITS))
    if not 0 < count <= SPLIT_SIZE:
        raise ValueError(f"count={count} seeds were asked for; a split holds 1 to {SPLIT_SIZE}")
    return list(range(SPLITS[split], SPLITS[split] + count))


@dataclass
class GroupResult:
    """What a game gave: one row per controller and seed, and pictures' material."""

    rows: list[Row]
    samples: dict[str, Tensor] = field(default_factory=dict)
    """Samples of each controller's first row that did not fail, (64, *shape)."""
    moments: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    """Samples on the way, by update and controller: of its first row, (M, *shape), until that fails."""


@dataclass(frozen=True)
class Rivals:
    """A game and the controllers that meet in it."""

    config: EnvConfig
    """Controllers are asked before every update; `updates_per_step` is a decision of the return. With `score=False`
    test data are left alone and every score is None."""
    entries: Sequence[Entry]
    """Their names must differ."""
    labels: Row = field(default_factory=dict)
    """Further fields of every row, which count in the group's hash."""


def run_group(
    config: EnvConfig,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    split: str,
    *,
    labels: Row | None = None,
    refuse: bool = True,
    progress: Callable[[int], object] = lambda updates: None,
) -> GroupResult:
    """Trains every (controller, seed) pair of a configuration side by side and scores each on test data.

    Args:
        config: The game, see `Rivals`.
        entries: The rivals; their names must differ.
        seeds: Row seeds, the same for each.
        split: Name of the seeds' split, for the rows.
        labels: Further fields of every row, which count in the group's hash.
        refuse: Raise what a controller raises when it is started, instead of marking its rows.
        progress: Called after each update of the whole batch with how many are done.

    Raises:
        ValueError: As `run_side_by_side`.
    """
    games = [Rivals(config, entries, labels or {})]
    return run_side_by_side(games, seeds, split, refuse=refuse, progress=progress)[0]


def run_side_by_side(
    games: Sequence[Rivals],
    seeds: Sequence[int],
    split: str,
    *,
    refuse: bool = True,
    keep: Callable[[Row, nn.Module], object] | None = None,
    moments: Collection[int] = (),
    progress: Callable[[int], object] = lambda updates: None,
) -> list[GroupResult]:
    """Trains every (game, controller, seed) as rows of one batch and scores each on test data; a result a game.

    A controller that raises while it runs loses its own rows alone (status "error"). One that learns (`base.Learns`) is
    told after each update what came of it, with the reward of that update.

    Args:
        games: Games that differ in their task alone, whose tasks can share a batch, each with its rivals.
        seeds: Row seeds, the same for each.
        split: Name of the seeds' split, for the rows.
        refuse: Raise what a controller raises when it is started, instead of marking its rows.
        keep: Called with each row that has a score and its generator.
        moments: Updates after which samples of each controller's first row are kept; changes no row.
        progress: Called after each update of the whole batch with how many are done.

    Raises:
        ValueError: If games cannot share a batch, if a controller is not defined for its game (see `refuse`), if a name
            or a seed stands twice, or if the split is unknown.
    """
    split_seeds(split, 1)  # raises for an unknown one
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds={list(seeds)} must name at least one row seed, and none twice")
    for game in games:
        names = [entry.name for entry in game.entries]
        if len(set(names)) != len(names):
            raise ValueError(f"a controller's name stands twice among {names}; rename one")
    controllers = [entry.controller for game in games for entry in game.entries]
    if not games or not all(game.entries for game in games):
        raise ValueError("games: name at least one, each with at least one rival")
    if len({id(each) for each in controllers}) != len(controllers):
        raise ValueError("one controller object stands for two rivals, but keeps one memory; make one for each")
    trainer, spans = _batch(games, seeds)
    ids = [_id(game, seeds, split) for game in games]
    rewards = [_reward(game.config, trainer.task_of(span.start)) for game, span in zip(games, spans, strict=True)]
    seats = [
        [Seat(entry, trainer, seeds, span.start + i * len(seeds), refuse) for i, entry in enumerate(game.entries)]
        for game, span in zip(games, spans, strict=True)
    ]
    every = [seat for own in seats for seat in own]
    tally = Tally(trainer, games[0].config, list(zip(spans, rewards, strict=True)))
    pictured: list[dict[int, dict[str, Tensor]]] = [{} for _ in games]
    began, aside_s = time.perf_counter(), 0.0
    for update in _updates(trainer, every, tally):
        if update in moments:
            paused = time.perf_counter()
            for own, kept in zip(seats, pictured, strict=True):
                kept[update] = _pictured(trainer, own, tally.failure < 0)
            aside_s += time.perf_counter() - paused
        progress(update)
    aside_s += sum(seat.control_s for seat in every)
    engine_s = (time.perf_counter() - began - aside_s) / trainer.n
    results = []
    for game, own_id, own, reward, kept in zip(games, ids, seats, rewards, pictured, strict=True):
        shared = _shared(trainer, game.config, trainer.task_of(own[0].span.start))
        shared |= {"group": joint_id(ids), "return_name": reward.name, **game.labels, "split": split}
        found = _collect(trainer, game.config, own, tally, shared | {"wall_s": engine_s}, own_id)
        found.moments = kept
        results.append(found)
    if keep is not None:
        for at, row in enumerate(row for found in results for row in found.rows):
            if row["score"] is not None:
                keep(row, trainer.generator(at))
    for game, span, found in zip(games, spans, results, strict=True):  # last of all, for it starts the trainer anew
        untrained = _untrained_scores(trainer, seeds, span.start) if game.config.score else {}
        for row in found.rows:
            row["untrained_score"] = untrained.get(row["seed"])
    return results


def _batch(games: Sequence[Rivals], seeds: Sequence[int]) -> tuple[Trainer, list[slice]]:
    """A trainer with a row for every (game, controller, seed), at the start, and each game's rows."""
    first, tasks, spans = games[0].config, [], []
    for game in games:
        if EnvConfig.of(game.config, task=first.task) != first or settled(game.config) != settled(first):
            raise ValueError("games that share a batch must differ in their task alone")
        rows = len(game.entries) * len(seeds)
        spans.append(slice(len(tasks), len(tasks) + rows))
        tasks += [game.config.build_task()] * rows
    trainer = make_trainer(first, len(tasks), tasks)
    trainer.reset(np.resize(np.asarray(seeds, np.int64), trainer.n), np.zeros(trainer.n, np.int64))
    return trainer, spans


def _id(game: Rivals, seeds: Sequence[int], split: str) -> str:
    """Hash of a game and its rivals, as they stand among their rows."""
    return group_id(game.config, [entry.name for entry in game.entries], seeds, {**game.labels, "split": split})


def _reward(config: EnvConfig, task: Task) -> Reward:
    return make_reward(config.reward, RewardContext(config.gan_loss, task.quality.worst, gap_is_normalised(config)))


def _updates(trainer: Trainer, seats: Sequence[Seat], tally: Tally) -> Iterator[int]:
    """Trains all rows under their controllers; gives the number of updates made after each."""
    last, learners = trainer.episode_updates, [i for i, seat in enumerate(seats) if seat.learns]
    for update in range(1, last + 1):
        parts = [seat.act(trainer.measurement) for seat in seats]
        tally.advance(Control.join(parts), update)
        if learners:
            earned, ended = tally.earned(), tally.failure >= 0
            for i in learners:
                seats[i].learn(parts[i], trainer.measurement, earned, ended, update == last)
        yield update


def _pictured(trainer: Trainer, seats: Sequence[Seat], well: np.ndarray) -> dict[str, Tensor]:
    """Samples of each controller's first row, where that has not failed."""
    count = SHOWN.get(trainer.task.kind, 256)
    first = {seat.entry.name: seat.span.start for seat in seats if well[seat.span.start] and not seat.error}
    return {name: trainer.samples(count, Purpose.SAMPLE, rows=[row])[0].cpu() for name, row in first.items()}


def _untrained_scores(trainer: Trainer, seeds: Sequence[int], start: int) -> dict[int, float | None]:
    """Each seed's score before the first update, None where its samples cannot be judged; takes the trainer back there.

    `start` is the first of a game's rows, in whose order the seeds are. A failed run counts as no better than that. A
    seed is judged once a task: the same weights, the same test data.
    """
    known = trainer.task_of(start).untrained_scores
    keys = {int(seed): (int(seed), str(trainer.device), str(trainer.dtype)) for seed in seeds}
    if not all(key in known for key in keys.values()):
        trainer.reset(np.resize(np.asarray(seeds, np.int64), trainer.n), np.zeros(trainer.n, np.int64))
        for row, key in enumerate(keys.values(), start):
            if key not in known:
                try:
                    score = trainer.score(row)[0]
                except WEATHER:
                    raise
                except Exception:  # it cannot be judged, as `_outcome` says of the runs
                    score = math.nan
                known[key] = score if math.isfinite(score) else None
    return {seed: known[key] for seed, key in keys.items()}


def _shared(trainer: Trainer, config: EnvConfig, task: Task) -> Row:
    """The fields that all rows of a game have in common."""
    return game_facts(config) | {
        "score_name": task.score.name,
        "floor": task.score.floor() if config.score else None,
        "quality_name": task.quality.name,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "engine": trainer.engine,
        "machine": machine(trainer.device),
        "versions": versions(),
    }


def _collect(
    trainer: Trainer, config: EnvConfig, seats: Sequence[Seat], tally: Tally, shared: Row, game: str
) -> GroupResult:
    """The rows of a game that has run, scored; `game` is its hash."""
    result, mine = GroupResult([]), np.zeros(trainer.n, bool)
    mine[seats[0].span.start : seats[-1].span.stop] = True
    quality = measure_quality(trainer, np.full(trainer.n, np.nan), mine & (tally.failure < 0))
    for seat in seats:
        name, control_s = seat.entry.name, float(seat.control_s / seat.count)
        for row in range(seat.span.start, seat.span.stop):
            found, fake = _outcome(trainer, config, row, int(tally.failure[row]), seat.error)
            ok = found["status"] == "ok"
            if ok and fake is not None:
                result.samples.setdefault(name, fake[:64])
            result.rows.append(
                {
                    **shared,
                    "controller": name,
                    "runs_as": seat.entry.runs_as or name,
                    "replay_of": getattr(seat.controller, "recorded", None),
                    "seed": int(trainer.seed[row]),
                    **found,
                    "ended": int(tally.ended[row]),
                    "quality": float(quality[row]) if ok and np.isfinite(quality[row]) else None,
                    "return": float(tally.returns[row]) if found["status"] != "error" else None,
                    "d_updates": int(trainer.d_updates[row]),
                    "g_updates": int(trainer.g_updates[row]),
                    "wall_s": shared["wall_s"] + control_s,
                    "control_s": control_s,
                    "key": cell_key(game, name, int(trainer.seed[row])),
                    "trace": tally.trace(row),
                }
            )
    return result


def _outcome(
    trainer: Trainer, config: EnvConfig, row: int, failure: int, error: str
) -> tuple[dict[str, Any], Tensor | None]:
    """Status, failure, score and details of a row, and the samples that it was scored by."""
    lost: dict[str, Any] = {"status": "error", "failure": error, "score": None, "details": {}}
    if error:
        return lost, None
    if failure >= 0:
        return {**lost, "status": "diverged", "failure": FAILURES[failure]}, None
    held = {**lost, "status": "ok", "failure": None}
    if not config.score:
        return held, None
    try:
        score, fake = trainer.score(row)
        if not math.isfinite(score):
            return {**lost, "status": "diverged", "failure": FAILURES[SCORE]}, None
        return {**held, "score": score, "details": trainer.task_of(row).score.details(fake)}, fake
    except WEATHER:
        raise
    except Exception as problem:  # samples that cannot be judged cost this row its score, and no other row
        return {**lost, "failure": f"{type(problem).__name__}: {problem}"}, None
