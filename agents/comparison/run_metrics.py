"""Accumulates the metrics of a batch: returns, failures, quality, and the curves of each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gan_env.envs.config import EnvConfig
from gan_env.envs.failures import failures
from gan_env.envs.rewards import Outcome, Reward
from gan_env.training.trainer import Trainer
from gan_env.types import Control

TRACE_POINTS = 100
"""Points of a run that are kept for drawing."""


def measure_quality(trainer: Trainer, held: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Measures validation distances for the rows (N,) bool; returns (N,), with `held` for the other rows."""
    measured, due = held.copy(), np.flatnonzero(rows)
    if len(due):
        measured[due] = trainer.quality(due.tolist())
    return measured


class RunMetrics:
    """Makes the updates of a batch and adds up each row's rewards, failure and curve.

    Args:
        trainer: At the start of its runs.
        config: The game; of several that share the batch, any one.
        rewards: Consecutive rows and their reward, all rows in order; all of one kind.
    """

    def __init__(self, trainer: Trainer, config: EnvConfig, rewards: Sequence[tuple[slice, Reward]]):
        rows = trainer.n
        self._trainer, self._config, self._rewards = trainer, config, rewards
        self.returns, self.failure = np.zeros(rows), np.full(rows, -1)
        """Sum of rewards; index into FAILURES, -1 where all is well."""
        self.ended = np.full(rows, trainer.episode_updates)
        """Updates after which the row failed, or the run's length."""
        self._update, self._failed_now = 0, np.zeros(rows, bool)
        self._g_losses: list[np.ndarray] = []  # since the last decision, as are the next
        self._d_losses: list[np.ndarray] = []
        needs_quality = any(reward.needs_quality for _, reward in rewards)
        self._quality = measure_quality(trainer, np.zeros(rows), np.ones(rows, bool)) if needs_quality else None
        self._last: Outcome | None = None
        self._points: list[tuple[int, np.ndarray]] = []  # update, (4, N): L_G, L_D, log D multiplier, share of V1
        self._log, self._v1, self._since = np.zeros(rows), np.zeros(rows), 0
        self._every = max(1, trainer.episode_updates // TRACE_POINTS)

    def advance(self, control: Control, update: int) -> None:
        """Makes update number `update` of every row that has not failed; at the end of a decision, adds its reward.

        A return is a sum without discount, so a failure pays the low bound for every decision that was left, however
        many: with fewer of them, diverging early could add up to more.
        """
        trainer, config, k = self._trainer, self._config, self._config.updates_per_step
        alive = self.failure < 0
        trace = trainer.advance(control, 1, alive)
        failed = failures(trainer, trace, alive, config)
        self._g_losses.append(trace.on_host[0, 0])
        self._d_losses.append(trace.d_losses(config.d_loss_scale)[0])
        self._update, self._failed_now = update, np.zeros(len(alive), bool) if failed is None else failed >= 0
        if failed is not None:
            left = (trainer.episode_updates - update) // k + 1
            self.failure = np.where(self._failed_now, failed, self.failure)
            self.ended = np.where(self._failed_now, update, self.ended)
            self.returns += np.where(self._failed_now, self._failure_pay(left, most=None), 0.0)
        before, decided = self._quality, update % k == 0 or update == trainer.episode_updates
        if decided and before is not None:
            if (update // k) % config.quality_every == 0 or update == trainer.episode_updates:
                self._quality = measure_quality(trainer, before, self.failure < 0)
        last = np.full(trainer.n, update == trainer.episode_updates)
        self._last = Outcome(self._g_losses[-1][None], self._d_losses[-1][None], before, self._quality, last)
        if decided:
            whole = Outcome(np.stack(self._g_losses), np.stack(self._d_losses), before, self._quality, last)
            self.returns += np.where(self.failure < 0, self._reward(whole), 0.0)
            self._g_losses.clear()
            self._d_losses.clear()
        self._trace(update, control)

    def update_rewards(self) -> np.ndarray:
        """Returns the rewards (N,) of the last update by itself, as an environment with a decision an update pays them.

        A row is paid for its failure once, and nothing after it.
        """
        assert self._last is not None
        left = self._trainer.episode_updates - self._update + 1
        failed = np.where(self._failed_now, self._failure_pay(left), 0.0)
        return np.where(self.failure < 0, self._reward(self._last), failed)

    def _failure_pay(self, decisions_left: int, **most: int | None) -> np.ndarray:
        """Returns what each row would be paid for a failure, (N,)."""
        paid = [np.full(span.stop - span.start, r.failure(decisions_left, **most)) for span, r in self._rewards]
        return np.concatenate(paid)

    def _reward(self, outcome: Outcome) -> np.ndarray:
        """Returns the rewards of rows that have not failed, (N,)."""
        paid = []
        for span, reward in self._rewards:
            before, after, last = (
                None if each is None else each[span]
                for each in (outcome.quality_before, outcome.quality_after, outcome.last)
            )
            own = Outcome(outcome.g_losses[:, span], outcome.d_losses[:, span], before, after, last)
            rows = span.stop - span.start
            paid.append(reward(own, np.zeros(rows, bool), np.zeros(rows)))
        return np.concatenate(paid)

    def _trace(self, update: int, control: Control) -> None:
        self._log += np.log(control.d_multiplier.cpu().numpy())
        self._v1 += (control.update_g & ~control.update_d).cpu().numpy()
        self._since += 1
        if update % self._every == 0:
            seen = self._trainer.measurement
            d_loss = seen.d_loss(self._config.d_loss_scale)
            losses = [seen.g_loss.cpu().double().numpy(), d_loss.cpu().double().numpy()]
            self._points.append((update, np.stack([*losses, self._log / self._since, self._v1 / self._since])))
            self._log, self._v1, self._since = np.zeros_like(self._log), np.zeros_like(self._v1), 0

    def trace(self, row: int) -> dict[str, list]:
        """Returns the row's points for drawing, lists by name; what is not finite is drawn as 0."""
        points = np.stack([p[:, row] for _, p in self._points], 1) if self._points else np.zeros((4, 0))
        rounded = np.round(np.nan_to_num(points, nan=0.0, posinf=0.0, neginf=0.0), 5).tolist()
        names = ("g_loss", "d_loss", "log_d_multiplier", "v1_share")
        return {"update": [update for update, _ in self._points], **dict(zip(names, rounded, strict=True))}
