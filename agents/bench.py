"""Runs controllers against each other: rows of one batch, so that rivals share weights, data order and latents.

A *group* is the controllers × seeds of one configuration. Every controller is asked before every update, on the
measurement of its own rows; one that decides less often holds its control itself.
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

from gan_env.config import EnvConfig
from gan_env.env import make_trainer
from gan_env.failures import FAILURES, SCORE, failures
from gan_env.records import Control
from gan_env.registry import unknown
from gan_env.render import SHOWN
from gan_env.rewards import Outcome, Reward, RewardContext, make_reward
from gan_env.streams import Purpose
from gan_env.trainer import Trainer

from .rows import Row, cell_key, game_facts, gap_is_normalised, group_id, machine, versions
from .seats import WEATHER, Entry, Seat

SPLITS = {"tune": 1_000_000, "train-agent": 2_000_000, "evaluate": 3_000_000}
"""First row seed of each named split of seeds."""
SPLIT_SIZE = 1_000_000
TRACE_POINTS = 100
"""Points of a run that are kept for drawing."""


def split_seeds(split: str, count: int) -> list[int]:
    """The first `count` row seeds of a split."""
    if split not in SPLITS:
        raise unknown("split", split, list(SPLITS))
    if not 0 < count <= SPLIT_SIZE:
        raise ValueError(f"count={count} seeds were asked for; a split holds 1 to {SPLIT_SIZE}")
    return list(range(SPLITS[split], SPLITS[split] + count))


@dataclass
class GroupResult:
    """What a group gave: one row per controller and seed, and pictures' material."""

    rows: list[Row]
    samples: dict[str, Tensor] = field(default_factory=dict)
    """Samples of each controller's first row that did not fail, (64, *shape)."""
    moments: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    """Samples on the way, by update and controller: of its first row, (M, *shape), until that fails."""


class _Running:
    """What adds up over a group's updates, per row of the batch."""

    def __init__(self, trainer: Trainer, config: EnvConfig, reward: Reward):
        rows = trainer.n
        self.reward, self.returns = reward, np.zeros(rows)
        self.failure, self.ended = np.full(rows, -1), np.full(rows, trainer.episode_updates)
        self.g_losses: list[np.ndarray] = []  # since the last decision, as are the next
        self.d_losses: list[np.ndarray] = []
        self.earned = np.zeros(rows)
        """What the last update earned by itself."""
        self.quality = measure_quality(trainer, np.zeros(rows), np.ones(rows, bool)) if reward.needs_quality else None
        self.points: list[tuple[int, np.ndarray]] = []  # update, (4, N): L_G, L_D, log D multiplier, share of V1
        self._log, self._v1, self._since = np.zeros(rows), np.zeros(rows), 0
        self._every, self._scale = max(1, trainer.episode_updates // TRACE_POINTS), config.d_loss_scale

    def trace(self, row: int) -> dict[str, list]:
        """The row's points, for drawing; what is not finite is drawn as 0."""
        points = np.stack([p[:, row] for _, p in self.points], 1) if self.points else np.zeros((4, 0))
        rounded = np.round(np.nan_to_num(points, nan=0.0, posinf=0.0, neginf=0.0), 5).tolist()
        names = ("g_loss", "d_loss", "log_d_multiplier", "v1_share")
        return {"update": [update for update, _ in self.points], **dict(zip(names, rounded, strict=True))}

    def push(self, update: int, trainer: Trainer, control: Control) -> None:
        self._log += np.log(control.d_multiplier.cpu().numpy())
        self._v1 += (control.update_g & ~control.update_d).cpu().numpy()
        self._since += 1
        if update % self._every == 0:
            seen = trainer.measurement
            losses = [seen.g_loss.cpu().double().numpy(), seen.d_loss(self._scale).cpu().double().numpy()]
            self.points.append((update, np.stack([*losses, self._log / self._since, self._v1 / self._since])))
            self._log, self._v1, self._since = np.zeros_like(self._log), np.zeros_like(self._v1), 0


def run_group(
    config: EnvConfig,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    split: str,
    *,
    labels: Row | None = None,
    refuse: bool = True,
    keep: Callable[[Row, nn.Module], object] | None = None,
    moments: Collection[int] = (),
    progress: Callable[[int], object] = lambda updates: None,
) -> GroupResult:
    """Trains every (controller, seed) pair of a configuration side by side and scores each on test data.

    A controller that raises while it runs loses its own rows alone (status "error"). One that learns (`base.Learns`) is
    told after each update what came of it, with the reward of that update.

    Args:
        config: The game. Controllers are asked before every update; `updates_per_step` is a decision of the return.
            With `score=False` test data are left alone and every score is None.
        entries: The rivals; their names must differ.
        seeds: Row seeds, the same for each.
        split: Name of the seeds' split, for the rows.
        labels: Further fields of every row, which count in the group's hash.
        refuse: Raise what a controller raises when it is started, instead of marking its rows.
        keep: Called with each row that has a score and its generator.
        moments: Updates after which samples of each controller's first row are kept; changes no row.
        progress: Called after each update of the whole batch with how many are done.

    Raises:
        ValueError: If a controller is not defined for the game (see `refuse`), if a name or a seed stands twice, or if
            the split is unknown.
    """
    split_seeds(split, 1)  # raises for an unknown one
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds={list(seeds)} must name at least one row seed, and none twice")
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError(f"a controller's name stands twice among {names}; rename one")
    labels = {**(labels or {}), "split": split}
    trainer = make_trainer(config, len(entries) * len(seeds))
    context = RewardContext(config.gan_loss, trainer.task.quality.worst, gap_is_normalised(config))
    reward = make_reward(config.reward, context)
    trainer.reset(np.tile(np.asarray(seeds, np.int64), len(entries)), np.zeros(trainer.n, np.int64))
    seats = [Seat(entry, trainer, seeds, i * len(seeds), refuse) for i, entry in enumerate(entries)]
    running = _Running(trainer, config, reward)
    pictured: dict[int, dict[str, Tensor]] = {}
    began = time.perf_counter()
    for update in _updates(trainer, config, seats, running):
        if update in moments:
            pictured[update] = _pictured(trainer, seats, running.failure < 0)
        progress(update)
    engine_s = (time.perf_counter() - began - sum(seat.control_s for seat in seats)) / trainer.n
    shared = _shared(trainer, config, group_id(config, names, seeds, labels)) | labels
    result = _collect(trainer, config, seats, shared, running, engine_s)
    result.moments = pictured
    for at, row in enumerate(result.rows):
        if keep is not None and row["score"] is not None:
            keep(row, trainer.generator(at))
    untrained = _untrained_scores(trainer, seeds) if config.score else {}
    for row in result.rows:
        row["untrained_score"] = untrained.get(row["seed"])
    return result


def _updates(trainer: Trainer, config: EnvConfig, seats: Sequence[Seat], running: _Running) -> Iterator[int]:
    """Trains all rows under their controllers; gives the number of updates made after each."""
    last = trainer.episode_updates
    for update in range(1, last + 1):
        parts = [seat.act(trainer.measurement) for seat in seats]
        control = Control.join(parts)
        _advance(trainer, config, control, running, update)
        for seat, part in zip(seats, parts, strict=True):
            seat.learn(part, trainer.measurement, running.earned, running.failure >= 0, update == last)
        running.push(update, trainer, control)
        yield update


def _pictured(trainer: Trainer, seats: Sequence[Seat], well: np.ndarray) -> dict[str, Tensor]:
    """Samples of each controller's first row, where that has not failed."""
    count = SHOWN.get(trainer.task.kind, 256)
    first = {seat.entry.name: seat.span.start for seat in seats if well[seat.span.start] and not seat.error}
    return {name: trainer.samples(count, Purpose.SAMPLE, rows=[row])[0].cpu() for name, row in first.items()}


def _untrained_scores(trainer: Trainer, seeds: Sequence[int]) -> dict[int, float | None]:
    """Each seed's score before the first update, None where its samples cannot be judged; takes the trainer back there.

    A failed run counts as no better than that. A seed is judged once a task: the same weights, the same test data.
    """
    known = trainer.task.untrained_scores
    keys = {int(seed): (int(seed), str(trainer.device), str(trainer.dtype)) for seed in seeds}
    if not all(key in known for key in keys.values()):
        trainer.reset(np.resize(np.asarray(seeds, np.int64), trainer.n), np.zeros(trainer.n, np.int64))
        for row, key in enumerate(keys.values()):
            if key not in known:
                try:
                    score = trainer.score(row)[0]
                except WEATHER:
                    raise
                except Exception:  # it cannot be judged, as `_outcome` says of the runs
                    score = math.nan
                known[key] = score if math.isfinite(score) else None
    return {seed: known[key] for seed, key in keys.items()}


def _shared(trainer: Trainer, config: EnvConfig, group: str) -> Row:
    """The fields that all rows of a group have in common."""
    return game_facts(config) | {
        "score_name": trainer.task.score.name,
        "floor": trainer.task.score.floor() if config.score else None,
        "quality_name": trainer.task.quality.name,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "machine": machine(trainer.device),
        "group": group,
        "versions": versions(),
    }


def measure_quality(trainer: Trainer, held: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Validation distances, (N,): measured for the rows (N,) bool, held for the others."""
    measured, due = held.copy(), np.flatnonzero(rows)
    if len(due):
        measured[due] = trainer.quality(due.tolist())
    return measured


def _advance(trainer: Trainer, config: EnvConfig, control: Control, running: _Running, update: int) -> None:
    """One update of every row that has not failed; at the end of a decision, its reward.

    A failure pays the low bound for every decision that was left, so that diverging early never adds up to more.
    """
    alive, k, reward = running.failure < 0, config.updates_per_step, running.reward
    trace = trainer.advance(control, 1, alive)
    failed = failures(trainer, trace, alive, config)
    running.g_losses.append(trace.on_host[0, 0])
    running.d_losses.append(trace.d_losses(config.d_loss_scale)[0])
    running.failure = np.where(failed >= 0, failed, running.failure)
    running.ended = np.where(failed >= 0, update, running.ended)
    left = (trainer.episode_updates - update) // k + 1
    running.returns += np.where(failed >= 0, min(reward.low, 0.0) * left, 0.0)
    before, decided = running.quality, update % k == 0 or update == trainer.episode_updates
    if decided and before is not None:
        if (update // k) % config.quality_every == 0 or update == trainer.episode_updates:
            running.quality = measure_quality(trainer, before, running.failure < 0)
    nobody, zeros = np.zeros(trainer.n, bool), np.zeros(trainer.n)
    last = Outcome(running.g_losses[-1][None], running.d_losses[-1][None], before, running.quality)
    running.earned = np.where(running.failure < 0, reward(last, nobody, zeros), min(reward.low, 0.0))
    if decided:
        whole = Outcome(np.stack(running.g_losses), np.stack(running.d_losses), before, running.quality)
        running.returns += np.where(running.failure < 0, reward(whole, nobody, zeros), 0.0)
        running.g_losses.clear()
        running.d_losses.clear()


def _collect(
    trainer: Trainer, config: EnvConfig, seats: Sequence[Seat], shared: Row, running: _Running, engine_s: float
) -> GroupResult:
    """The rows of a group that has run, scored."""
    result = GroupResult([])
    quality = measure_quality(trainer, np.full(trainer.n, np.nan), running.failure < 0)
    for seat in seats:
        name, wall_s = seat.entry.name, float(engine_s + seat.control_s / seat.count)
        for row in range(seat.span.start, seat.span.stop):
            found, fake = _outcome(trainer, config, row, int(running.failure[row]), seat.error)
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
                    "ended": int(running.ended[row]),
                    "quality": float(quality[row]) if ok and np.isfinite(quality[row]) else None,
                    "return": float(running.returns[row]) if found["status"] != "error" else None,
                    "return_name": running.reward.name,
                    "d_updates": int(trainer.d_updates[row]),
                    "g_updates": int(trainer.g_updates[row]),
                    "wall_s": wall_s,
                    "control_s": float(seat.control_s / seat.count),
                    "key": cell_key(shared["group"], name, int(trainer.seed[row])),
                    "trace": running.trace(row),
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
        return {**held, "score": score, "details": trainer.task.score.details(fake)}, fake
    except WEATHER:
        raise
    except Exception as problem:  # samples that cannot be judged cost this row its score, and no other row
        return {**lost, "failure": f"{type(problem).__name__}: {problem}"}, None
