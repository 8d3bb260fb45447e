"""Runs the rows' episodes: decisions, observations, rewards, and their end. Does not import Gymnasium.

The trainer computes updates; `vector_env.py` implements Gymnasium's contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_env.envs.actions import Codec
from gan_env.envs.config import EnvConfig
from gan_env.envs.failures import FAILURES, SCORE, failures
from gan_env.envs.observations import FeatureMemory
from gan_env.envs.rewards import Outcome, Reward
from gan_env.training.trainer import Trace, Trainer
from gan_env.types import Control

FINITE = 1e9
"""Replaces infinity in the raw numbers of `info`, which contain neither NaN nor infinity."""


@dataclass(frozen=True)
class Step:
    """Result of a decision for N rows."""

    moved: np.ndarray
    """(N,) bool: rows that made the decision; the episodes of the others had ended."""
    reward: np.ndarray
    """(N,) float64, within the reward's bounds except for failures; 0 where the row did not move."""
    terminated: np.ndarray
    """(N,) bool: the training failed in this decision."""
    truncated: np.ndarray
    """(N,) bool: the episode reached its time limit in this decision."""
    infos: dict[str, Any]
    """As `Episodes.infos`; where an episode ended, also "failure" and "score"."""


_RAW = ("d_penalty", "g_penalty", "d_lr", "g_lr", "native", "update", "d_updates", "g_updates")
"""Numbers in `infos` other than features, in order."""


class Episodes:
    """The episodes of a trainer's N rows; a row whose episode ended stays unchanged until `start` is called for it.

    Args:
        trainer: The trainer; its `seed` and `episode` determine the episode that `start` starts.
        config: The settings.
        codec: Converts controls to the axes of the feature `last_action`.
        reward: Reward of decisions.

    Raises:
        ValueError: If there are no features, or one of them is unknown.
    """

    done: np.ndarray
    """(N,) bool: the episode has ended."""
    decisions: np.ndarray
    """(N,) int64: decisions since the episode began."""
    quality: np.ndarray
    """(N,) float64, at most FINITE: the last measured distance to validation data, if it is tracked."""
    quality_age: np.ndarray
    """(N,) int64: decisions since that measurement."""

    def __init__(self, trainer: Trainer, config: EnvConfig, codec: Codec, reward: Reward):
        self.trainer: Trainer = trainer
        self._config, self._codec, self._reward = config, codec, reward
        self.features: FeatureMemory = FeatureMemory(
            config.features,
            codec.last_action_names,
            config.d_loss_scale,
            trainer.n,
            trainer.facts,
            config.updates_per_step,
        )
        self.tracks_quality: bool = reward.needs_quality or config.track_quality
        self._native = np.full(trainer.n, int(trainer.engine == "native"))
        self.done = np.zeros(trainer.n, bool)
        self.decisions = np.zeros(trainer.n, np.int64)
        self.quality, self.quality_age = np.zeros(trainer.n), np.zeros(trainer.n, np.int64)

    def start(self, rows: np.ndarray) -> None:
        """Starts the episode given by the trainer's `seed` and `episode` for each of the rows, (rows,) int."""
        self.trainer.reset(self.trainer.seed[rows], self.trainer.episode[rows], rows)
        self.features.start(rows, self.trainer.measurement)
        self.done[rows], self.decisions[rows] = False, 0
        if self.tracks_quality:
            self.quality_age[rows] = self._config.quality_every  # measured at once
            mask = np.zeros(self.trainer.n, bool)
            mask[rows] = True
            self._measure_quality(mask, ageing=0)

    def decide(self, control: Control) -> Step:
        """Makes one decision of every row that is in an episode; the others stay unchanged to the bit.

        Raises ValueError if it is not a control for N rows.
        """
        moves = ~self.done
        before = self.quality.copy() if self.tracks_quality else self.quality
        trace = self.trainer.advance(control, self._config.updates_per_step, moves)
        seen = self.trainer.measurement
        failure = failures(self.trainer, trace, moves, self._config)
        terminated = failure >= 0
        truncated = moves & ~terminated & (self.trainer.updates >= self.trainer.episode_updates)
        scores = np.zeros(self.trainer.n)
        if truncated.any():
            scores = self._scores(truncated)
            lost = truncated & ~np.isfinite(scores)
            failure[lost], terminated, truncated = SCORE, terminated | lost, truncated & ~lost
        self.decisions += moves
        self.features.push(seen, control, self._codec.position(control), moves)
        if self.tracks_quality:
            self.quality_age[truncated] = self._config.quality_every  # an episode's last decision is always measured
            self._measure_quality(moves & ~terminated)
        reward = self._rewards(trace, before, terminated, truncated)
        reward[~moves] = 0.0
        self.done = terminated | truncated
        infos = self.infos(moves, control)
        if terminated.any():
            infos["failure"] = np.array([FAILURES[f] if f >= 0 else None for f in failure], object)
            infos["_failure"] = terminated
        if self._config.score and self.done.any():
            infos["score"], infos["_score"] = _finite(np.where(terminated, np.inf, scores)), self.done.copy()
        return Step(moves, reward, terminated, truncated, infos)

    def observations(self) -> np.ndarray:
        """Returns observations of the coming batch, (N, F) float32, finite and within the features' bounds."""
        return self.features.observe(self.trainer.measurement)

    def infos(self, rows: np.ndarray, control: Control | None = None) -> dict[str, Any]:
        """Returns raw numbers of the rows, under the same keys at every step.

        Args:
            rows: (N,) bool: mask of present rows, stored under "_update" for "update" and so on.
            control: Control whose learning rates are reported; the base rates without one.

        Returns:
            Arrays (N,), the numbers finite.
        """
        trainer, scalars = self.trainer, self.features.scalars
        raw = self.features.table(trainer.measurement).T[: len(scalars)]
        penalties = trainer.d_penalty.cpu().numpy(), trainer.g_penalty.cpu().numpy()
        # In one piece, for after an update every call of numpy finds its code out of the processor's cache.
        numbers = _finite(np.array([*raw, *penalties, *self.rates(control)]))
        counts = np.array([self._native, trainer.updates, trainer.d_updates, trainer.g_updates])
        infos: dict[str, Any] = dict(zip((*scalars, *_RAW), (*numbers, *counts), strict=True))
        if self.tracks_quality:
            infos |= {"quality": self.quality.copy(), "quality_age": self.quality_age.copy()}
        return infos | dict.fromkeys(["_" + name for name in infos], rows.copy())

    def rates(self, control: Control | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Computes learning rates of D and G, (N,) float64 each: base × multiplier; the base without a control."""
        d, g = self.trainer.d_optimizer.lr.cpu().numpy(), self.trainer.g_optimizer.lr.cpu().numpy()
        if control is None:
            return d.copy(), g.copy()
        return d * control.d_multiplier.cpu().numpy(), g * control.g_multiplier.cpu().numpy()

    def _measure_quality(self, rows: np.ndarray, ageing: int = 1) -> None:
        """Measures the quality of those rows, (N,) bool, for which it is due."""
        self.quality_age[rows] += ageing
        due = np.flatnonzero(rows & (self.quality_age >= self._config.quality_every))
        if len(due):
            self.quality[due] = _finite(self.trainer.quality(due.tolist()))
            self.quality_age[due] = 0

    def _rewards(self, trace: Trace, quality_before: np.ndarray, failed: np.ndarray, last: np.ndarray) -> np.ndarray:
        outcome = Outcome(
            g_losses=trace.on_host[0],
            d_losses=trace.d_losses(self._config.d_loss_scale),
            quality_before=quality_before if self._reward.needs_quality else None,
            quality_after=self.quality if self._reward.needs_quality else None,
            last=last,
        )
        horizon = -(-self.trainer.episode_updates // self._config.updates_per_step)
        return self._reward(outcome, failed, horizon - self.decisions + 1)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        """Computes distances (N,) of the chosen rows, (N,) bool, to test data, 0 elsewhere."""
        found = np.zeros(self.trainer.n)
        for row in np.flatnonzero(rows) if self._config.score else ():
            found[row] = self.trainer.score(int(row))[0]
        return found


def _finite(values: np.ndarray) -> np.ndarray:
    """Replaces NaN by 0 and infinity by FINITE; returns finite values themselves."""
    return values if np.isfinite(values).all() else np.nan_to_num(values, nan=0.0, posinf=FINITE, neginf=-FINITE)
