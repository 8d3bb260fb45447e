"""Runs the rows' episodes: decisions, observations, rewards, and their end. Does not import Gymnasium.

The trainer computes updates; `vector_env.py` implements Gymnasium's contract.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gan_env.envs.actions import Codec
from gan_env.envs.config import EnvConfig
from gan_env.envs.failures import FAILURES, SCORE, failures
from gan_env.envs.observations import FeatureMemory
from gan_env.envs.rewards import Outcome, Reward
from gan_env.training.trace import Trace
from gan_env.training.trainer import Trainer
from gan_env.types import Control, host

FINITE = 1e9
"""Replaces infinity in the raw numbers of `info`, which contain neither NaN nor infinity."""


class Infos(NamedTuple):
    """Numbers of N rows under their names, converted to Gymnasium's `info` when somebody asks for it."""

    names: tuple[str, ...]
    """Names of `numbers`, then those of `counts`."""
    keys: tuple[str, ...]
    """These names, then the same with "_" before them."""
    numbers: np.ndarray
    """(K, N) float64, finite."""
    counts: np.ndarray
    """(M, N) int64."""
    rows: np.ndarray
    """(N,) bool: rows of which they are."""
    more: dict[str, tuple[np.ndarray, np.ndarray]]
    """Name to values (N,) of any type, and the rows, (N,) bool, that have one."""

    def arrays(self) -> dict[str, Any]:
        """Returns arrays (N,) by name, and under "_" + name the mask of the rows that have the value."""
        masks = [self.rows.copy()] * len(self.names)
        found: dict[str, Any] = dict(zip(self.keys, (*self.numbers, *self.counts, *masks), strict=True))
        for name, (value, present) in self.more.items():
            found[name], found["_" + name] = value, present
        return found

    def only(self) -> dict[str, Any]:
        """Returns the values of the only row as plain numbers and strings."""
        found: dict[str, Any] = dict(
            zip(self.names, self.numbers[:, 0].tolist() + self.counts[:, 0].tolist(), strict=True)
        )
        return found | {name: value.item() for name, (value, present) in self.more.items() if present[0]}


class Step(NamedTuple):
    """Result of a decision for N rows."""

    moved: np.ndarray
    """(N,) bool: rows that made the decision; the episodes of the others had ended."""
    reward: np.ndarray
    """(N,) float64, within the reward's bounds except for failures; 0 where the row did not move."""
    terminated: np.ndarray
    """(N,) bool: the training failed in this decision."""
    truncated: np.ndarray
    """(N,) bool: the episode reached its time limit in this decision."""
    infos: Infos
    """As `Episodes.infos`; where an episode ended, also "failure", "score" and, with `g_ema`, "score_ema"."""


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
        self._info_names = (*self.features.scalars, *_RAW)
        self._info_keys = (*self._info_names, *("_" + name for name in self._info_names))
        self._horizon = -(-trainer.episode_updates // config.updates_per_step)
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
        terminated, truncated, more = self._ends(trace, moves)
        self.decisions += moves
        self.features.push(self.trainer.measurement, control, self._codec.position(control), moves)
        if self.tracks_quality:
            self.quality_age[truncated] = self._config.quality_every  # an episode's last decision is always measured
            self._measure_quality(moves & ~terminated)
        reward = self._rewards(trace, before, terminated, truncated)
        np.copyto(reward, 0.0, where=self.done)
        infos = self.infos(moves, control)
        infos.more.update(more)
        self.done = self.done | terminated | truncated
        return Step(moves, reward, terminated, truncated, infos)

    def _ends(
        self, trace: Trace, moves: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Returns which of the rows that moved failed, which reached the end, and what `infos` says of both."""
        failure = failures(self.trainer, trace, moves, self._config)
        last = self.trainer.updates >= self.trainer.episode_updates
        if failure is None and not np.count_nonzero(last):  # as in most decisions
            return np.zeros(self.trainer.n, bool), last, {}
        terminated = np.zeros(self.trainer.n, bool) if failure is None else failure >= 0
        truncated = moves & ~terminated & last
        scores, more = self._scores(truncated), {}
        lost = truncated & ~np.isfinite(scores)
        if lost.any():
            failure = np.where(lost, SCORE, -1 if failure is None else failure)
            terminated, truncated = terminated | lost, truncated & ~lost
        if terminated.any():
            assert failure is not None
            more["failure"] = np.array([FAILURES[f] if f >= 0 else None for f in failure], object), terminated
        done = terminated | truncated
        if self._config.score and done.any():
            more["score"] = _finite(np.where(terminated, np.inf, scores)), done
            if self._config.g_ema is not None:
                averaged = self._scores(truncated, averaged=True)
                more["score_ema"] = _finite(np.where(terminated, np.inf, averaged)), done
        return terminated, truncated, more

    def observations(self) -> np.ndarray:
        """Returns observations of the coming batch, (N, F) float32, finite and within the features' bounds."""
        return self.features.observe(self.trainer.measurement)

    def infos(self, rows: np.ndarray, control: Control | None = None) -> Infos:
        """Returns raw numbers of the rows, under the same names at every step.

        Args:
            rows: (N,) bool: rows of which they are.
            control: Control whose learning rates are reported; the base rates without one.
        """
        trainer, scalars = self.trainer, len(self.features.scalars)
        numbers = np.empty((scalars + 4, trainer.n))
        numbers[:scalars] = self.features.raw(trainer.measurement)
        numbers[scalars : scalars + 2] = host(trainer.penalties)
        numbers[scalars + 2 :] = self.rates(control)
        counts = np.array([self._native, trainer.updates, trainer.d_updates, trainer.g_updates])
        more = {}
        if self.tracks_quality:
            more = {
                "quality": (self.quality.copy(), rows.copy()),
                "quality_age": (self.quality_age.copy(), rows.copy()),
            }
        return Infos(self._info_names, self._info_keys, _finite(numbers), counts, rows, more)

    def rates(self, control: Control | None = None) -> np.ndarray:
        """Computes learning rates of D and G, (2, N) float64: base × multiplier; the base without a control."""
        base = host(self.trainer.base_rates)
        if control is None:
            return base.copy()
        return base * np.array([host(control.d_multiplier), host(control.g_multiplier)])

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
        return self._reward(outcome, failed, self._horizon + 1 - self.decisions)

    def _scores(self, rows: np.ndarray, *, averaged: bool = False) -> np.ndarray:
        """Computes distances (N,) of the chosen rows, (N,) bool, to test data, 0 elsewhere; see `Trainer.score`."""
        found = np.zeros(self.trainer.n)
        for row in np.flatnonzero(rows) if self._config.score else ():
            found[row] = self.trainer.score(int(row), averaged=averaged)[0]
        return found


def _finite(values: np.ndarray) -> np.ndarray:
    """Replaces NaN by 0 and infinity by FINITE; returns finite values themselves."""
    if np.count_nonzero(np.isfinite(values)) == values.size:
        return values
    return np.nan_to_num(values, nan=0.0, posinf=FINITE, neginf=-FINITE)
