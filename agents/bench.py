"""Runs controllers against each other: rows of one batch, so that rivals share weights, data order and latents.

A *group* is the controllers × seeds of one configuration. Every controller is asked before every update, on the
measurement of its own rows; one that decides less often holds its control itself.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_env.config import EnvConfig
from gan_env.env import FAILURES, failures, make_trainer
from gan_env.records import Control
from gan_env.rewards import Outcome, Reward, RewardContext, make_reward
from gan_env.streams import Purpose
from gan_env.trainer import Trainer

from .base import Controller, NeedsTrainer

SPLITS = {"tune": 1_000_000, "train-agent": 2_000_000, "evaluate": 3_000_000}
"""First row seed of each named split of seeds."""
SPLIT_SIZE = 1_000_000
TRACE_POINTS = 100
"""Points of a run that are kept for drawing."""


def split_seeds(split: str, count: int) -> list[int]:
    """The first `count` row seeds of a split."""
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is unknown; use one of {', '.join(SPLITS)}")
    if not 0 < count <= SPLIT_SIZE:
        raise ValueError(f"count={count} seeds were asked for; a split holds 1 to {SPLIT_SIZE}")
    return list(range(SPLITS[split], SPLITS[split] + count))


@dataclass(frozen=True)
class Entry:
    """A controller under the name that tables give it."""

    name: str
    controller: Controller


@dataclass
class GroupResult:
    """What a group gave: one row per controller and seed, and pictures' material."""

    rows: list[dict[str, Any]]
    samples: dict[str, Tensor] = field(default_factory=dict)
    """Samples of each controller's first row that did not fail, (64, *shape)."""


class _Running:
    """What adds up over a group's updates, per row of the batch."""

    def __init__(self, trainer: Trainer, config: EnvConfig, reward: Reward):
        rows = trainer.n
        self.reward, self.returns = reward, np.zeros(rows)
        self.failure, self.ended = np.full(rows, -1), np.full(rows, trainer.episode_updates)
        self.g_losses: list[np.ndarray] = []  # since the last decision, as are the next
        self.d_losses: list[np.ndarray] = []
        self.quality = _quality(trainer, np.zeros(rows), np.ones(rows, bool)) if reward.needs_quality else None
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
    progress: Callable[[int], object] = lambda updates: None,
) -> GroupResult:
    """Trains every (controller, seed) pair of a configuration side by side and scores each on test data.

    Args:
        config: The game. Controllers are asked before every update; `updates_per_step` is a decision of the return.
        entries: The rivals; their names must differ.
        seeds: Row seeds, the same for each.
        split: Name of the seeds' split, for the rows.
        progress: Called after each update of the whole batch with how many are done.

    Raises:
        ValueError: If a controller is not defined for the game, or a name stands twice.
    """
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise ValueError(f"a controller's name stands twice among {names}; rename one")
    trainer = make_trainer(config, len(entries) * len(seeds))
    normalise = config.normalise or config.gan_loss.signed  # a plain gap of losses that can be negative means nothing
    reward = make_reward(config.reward, RewardContext(config.gan_loss, trainer.task.quality.worst, normalise))
    count, updates = len(seeds), trainer.episode_updates
    spans = [slice(i * count, (i + 1) * count) for i in range(len(entries))]
    trainer.reset(np.tile(np.asarray(seeds, np.int64), len(entries)), np.zeros(trainer.n, np.int64))
    control_s = np.zeros(len(entries))
    for entry, span in zip(entries, spans, strict=True):
        if isinstance(entry.controller, NeedsTrainer):
            entry.controller.bind(trainer, span)
        entry.controller.reset(list(seeds), trainer.facts)
    running = _Running(trainer, config, reward)
    began = time.perf_counter()
    for update in range(1, updates + 1):
        parts = []
        for i, (entry, span) in enumerate(zip(entries, spans, strict=True)):
            start = time.perf_counter()
            parts.append(entry.controller.act(trainer.measurement.rows(span)))
            control_s[i] += time.perf_counter() - start
        control = Control.join(parts)
        _advance(trainer, config, control, running, update)
        running.push(update, trainer, control)
        progress(update)
    engine_s = (time.perf_counter() - began - control_s.sum()) / trainer.n
    return _collect(trainer, config, entries, seeds, split, running, engine_s, control_s / count)


def _quality(trainer: Trainer, held: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Validation distances, (N,): measured for the rows (N,) bool, held for the others."""
    measured, quality = held.copy(), trainer.task.quality
    due = np.flatnonzero(rows)
    if len(due):
        measured[due] = quality(trainer.samples(quality.samples, Purpose.QUALITY, rows=due.tolist())).cpu().numpy()
    return measured


def _advance(trainer: Trainer, config: EnvConfig, control: Control, running: _Running, update: int) -> None:
    """One update of every row that has not failed; at the end of a decision, its reward.

    A failure pays the low bound for every decision that was left, so that diverging early never adds up to more.
    """
    alive, k, reward = running.failure < 0, config.updates_per_step, running.reward
    trace = trainer.advance(control, 1, alive)
    failed = failures(trainer, trace, alive, config)
    d = trace.d_loss_real + trace.d_loss_fake
    d = d / 2 if config.d_loss_scale == "mean" else d
    running.g_losses.append(trace.g_loss[0].cpu().double().numpy())
    running.d_losses.append(d[0].cpu().double().numpy())
    running.failure = np.where(failed >= 0, failed, running.failure)
    running.ended = np.where(failed >= 0, update, running.ended)
    left = (trainer.episode_updates - update) // k + 1
    running.returns += np.where(failed >= 0, min(reward.low, 0.0) * left, 0.0)
    if update % k == 0 or update == trainer.episode_updates:
        decision, last = update // k, update == trainer.episode_updates
        before = running.quality
        if before is not None and (decision % config.quality_every == 0 or last):
            running.quality = _quality(trainer, before, running.failure < 0)
        outcome = Outcome(np.stack(running.g_losses), np.stack(running.d_losses), before, running.quality)
        earned = reward(outcome, np.zeros(trainer.n, bool), np.zeros(trainer.n))
        running.returns += np.where(running.failure < 0, earned, 0.0)
        running.g_losses.clear()
        running.d_losses.clear()


def _collect(
    trainer: Trainer,
    config: EnvConfig,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    split: str,
    running: _Running,
    engine_s: float,
    control_s: np.ndarray,
) -> GroupResult:
    task, score = trainer.task, trainer.task.score
    group = {
        "task": task.name,
        "loss": trainer.loss.name,
        "d_lr": config.d_lr or task.d_lr,
        "g_lr": config.g_lr or task.g_lr,
        "optimizer": vars(config.optimizer_spec),
        "batch_size": trainer.batch_size,
        "order": config.order,
        "updates": trainer.episode_updates,
        "updates_per_step": config.updates_per_step,
        "d_loss_scale": config.d_loss_scale,
        "reward": running.reward.name,
        "normalise": config.normalise,
        "quality_every": config.quality_every,
        "dtype": str(trainer.dtype).removeprefix("torch."),
        "split": split,
    }
    text = json.dumps([group, [e.name for e in entries], list(seeds)], sort_keys=True, default=str)
    group |= {
        "score_name": score.name,
        "floor": score.floor(),
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "group": hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
        "versions": versions(),
    }
    result = GroupResult([])
    for i, entry in enumerate(entries):
        for j, seed in enumerate(seeds):
            row = i * len(seeds) + j
            failed = running.failure[row] >= 0
            found, fake = None, None
            if not failed:
                found, fake = trainer.score(row)
                result.samples.setdefault(entry.name, fake[:64])
            key = hashlib.blake2b(f"{group['group']} {entry.name} {seed}".encode(), digest_size=8).hexdigest()
            result.rows.append(
                {
                    **group,
                    "controller": entry.name,
                    "seed": int(seed),
                    "status": "diverged" if failed else "ok",
                    "failure": FAILURES[running.failure[row]] if failed else None,
                    "ended": int(running.ended[row]),
                    "score": found,
                    "details": {} if fake is None else score.details(fake),
                    "return": float(running.returns[row]),
                    "return_name": running.reward.name,
                    "d_updates": int(trainer.d_updates[row]),
                    "g_updates": int(trainer.g_updates[row]),
                    "wall_s": float(engine_s + control_s[i]),
                    "control_s": float(control_s[i]),
                    "key": key,
                    "trace": running.trace(row),
                }
            )
    return result


def versions() -> dict[str, str]:
    """Versions of what can change a result."""
    found = {name: version(name) for name in ("torch", "numpy", "gymnasium", "stable-baselines3")}
    return {"python": platform.python_version(), **found}
