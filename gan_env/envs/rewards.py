"""Rewards of decisions with declared finite bounds, and the reward of a failure."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

from gan_env.losses.losses import Loss
from gan_env.registry import Registry

FAILURE_DECISIONS = 100
"""Most remaining decisions that a failure is charged for: Σ γ^t ≤ 100 for every discount γ ≤ 0.99."""
LOSS_GAP_LOW = -10.0
"""Low bound of FSCO's reward."""
WORST_TIMES = 2.0
"""Rewards clip quality at this multiple of what an untrained generator gets, so that a start lies within the bounds
and a collapse below it is seen."""
LOG_TIMES = (1e-3, 10.0)
"""Rewards that take a logarithm clip quality between these multiples of what an untrained generator gets."""


@dataclass(frozen=True)
class Outcome:
    """Losses and qualities of N rows over a decision; arrays are float64.

    >>> two_updates_of_one_row = Outcome(np.array([[0.7], [0.8]]), np.array([[0.6], [0.5]]), None, None)
    >>> two_updates_of_one_row.g_losses.mean(0)
    array([0.75])
    """

    g_losses: np.ndarray
    """(k, N): L_G on the measurement after each of the k updates."""
    d_losses: np.ndarray
    """(k, N): L_D likewise, mean or sum by `d_loss_scale`."""
    quality_before: np.ndarray | None
    """(N,): distance to validation data before the decision; None unless the reward needs it."""
    quality_after: np.ndarray | None
    """(N,): the same after it. Between measurements the last value is kept."""
    last: np.ndarray | None = None
    """(N,) bool: rows whose episode reached its time limit with this decision; None where nobody tells."""


@dataclass(frozen=True)
class Reward:
    """A reward: `compute(outcome)` gives (N,), clipped to [low, high].

    >>> calm = Reward("calm", lambda outcome: -outcome.d_losses.mean(0), low=-10.0, high=0.0)
    >>> calm.low, calm.needs_quality
    (-10.0, False)
    """

    name: str
    compute: Callable[[Outcome], np.ndarray]
    low: float
    high: float
    needs_quality: bool = False
    sums: bool = False
    """Whether `low` bounds the sum of an episode's rewards, too, as it does where they telescope or where the last
    decision alone is paid. A failure then pays it once, not for each remaining decision."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"reward {self.name!r} needs finite bounds low < high, got [{self.low}, {self.high}]")

    @np.errstate(all="ignore")  # a row that has failed may hold infinities, and is paid otherwise below
    def __call__(self, outcome: Outcome, failed: np.ndarray, decisions_left: np.ndarray) -> np.ndarray:
        """Computes rewards (N,), finite. `failed` is (N,) bool; `decisions_left` includes the one that failed."""
        value = np.asarray(self.compute(outcome), np.float64)
        if value.shape != failed.shape:
            try:
                value = np.broadcast_to(value, failed.shape)
            except ValueError as error:
                raise ValueError(
                    f"reward {self.name!r} has shape {value.shape}; {len(failed)} rows need {failed.shape}"
                ) from error
        value = np.fmin(np.fmax(value, self.low), self.high)  # of NaN and low, low
        if not np.count_nonzero(failed):
            return value
        return np.where(failed, self.failure(decisions_left), value)

    def failure(self, decisions_left: int | np.ndarray, *, most: int | None = FAILURE_DECISIONS) -> np.ndarray:
        """Returns what a failure is paid, see `failure_reward`; the low bound alone if it bounds the sum."""
        return failure_reward(self.low, decisions_left, most=1 if self.sums else most)


def failure_reward(
    low: float | np.ndarray, decisions_left: int | np.ndarray, *, most: int | None = FAILURE_DECISIONS
) -> np.ndarray:
    """Returns the reward of a failure: the low bound for each remaining decision, at most `most` of them.

    Failing early then never beats surviving at the bound, at any discount γ ≤ 0.99. An undiscounted sum needs
    `most=None`. If the low bound is above 0, a failure pays nothing.

    >>> float(failure_reward(-2.0, 30)), float(failure_reward(-2.0, 5_000))
    (-60.0, -200.0)

    Args:
        low: Low bound of the reward, a number or (N,).
        decisions_left: Including the one that failed, a number or (N,).
        most: Most decisions that are counted.
    """
    return np.minimum(low, 0.0) * (decisions_left if most is None else np.minimum(decisions_left, most))


@dataclass(frozen=True)
class RewardContext:
    """Properties of the game that a reward may depend on when it is built.

    >>> from gan_env import LOSSES
    >>> make_reward("quality", RewardContext(LOSSES["bce"], worst_quality=3.0, normalise=False)).low
    -6.0
    """

    loss: Loss
    worst_quality: float
    normalise: bool


Losses = TypeVar("Losses", Tensor, np.ndarray)
REWARDS: Registry[Callable[[RewardContext], Reward]] = Registry("reward", "gan_env.rewards")


def losses_apart(g_loss: Losses, d_loss: Losses) -> Losses:
    """Returns |L_G − L_D|, elementwise, in the precision of the losses."""
    return (g_loss - d_loss).__abs__()


def fsco_reward(total: np.ndarray, updates: int) -> np.ndarray:
    """Returns FSCO's reward of a decision, −|L_G − L_D| averaged over its updates, clipped to [−10, 0].

    >>> fsco_reward(np.array([3.0, np.inf]), 2)
    array([ -1.5, -10. ])

    Args:
        total: Sum of `losses_apart` over the updates, (N,); NaN counts as the bound.
        updates: Number of updates of the decision.
    """
    return np.fmax(total / -updates, LOSS_GAP_LOW)


@REWARDS.register("loss_gap")
def loss_gap(context: RewardContext) -> Reward:
    """FSCO: r = −|L_G − L_D|, averaged over the decision's updates (arXiv 2504.15099, through its reviews).

    Raises ValueError for signed losses, where a gap of zero means nothing; with `normalise=True` the gap is divided
    by |L_G| + |L_D| and can be used with any.
    """
    if context.loss.signed and not context.normalise:
        raise ValueError(
            f"reward='loss_gap' compares losses, but loss={context.loss.name!r} is signed; "
            "set normalise (--normalise, or normalise=True in code) or use reward='quality'"
        )

    def compute(outcome: Outcome) -> np.ndarray:
        gap = losses_apart(outcome.g_losses, outcome.d_losses)
        if context.normalise:
            gap = gap / (np.abs(outcome.g_losses) + np.abs(outcome.d_losses) + 1e-8)
        # Update after update: numpy's own sum rounds otherwise where there is one row.
        return fsco_reward(functools.reduce(np.add, gap), len(gap))

    return Reward("loss_gap", compute, -1.0 if context.normalise else LOSS_GAP_LOW, 0.0)


@REWARDS.register("quality")
def quality(context: RewardContext) -> Reward:
    """Quality: r = −q, q the distance to validation data after the decision, by the task's cheap estimator."""
    worst = WORST_TIMES * context.worst_quality
    return Reward("quality", lambda o: -_known(o.quality_after), -worst, 0.0, needs_quality=True)


@REWARDS.register("quality_gain")
def quality_gain(context: RewardContext) -> Reward:
    """Gain: r = q before − q after; its sum telescopes to the improvement within the bound."""
    worst = WORST_TIMES * context.worst_quality

    def compute(outcome: Outcome) -> np.ndarray:
        return np.minimum(_known(outcome.quality_before), worst) - np.minimum(_known(outcome.quality_after), worst)

    return Reward("quality_gain", compute, -worst, worst, needs_quality=True)


@REWARDS.register("log_quality")
def log_quality(context: RewardContext) -> Reward:
    """Log quality: r = log(w / q), q the distance after the decision, between w/1000 and 10 w; of order one anywhere.

    w is the task's own reference, `RewardContext.worst_quality`, so two episodes of a game are paid on one scale
    whatever their first weights were.
    """
    low, high = _log_bounds()
    return Reward("log_quality", lambda o: _log_ratio(context, _known(o.quality_after)), low, high, needs_quality=True)


@REWARDS.register("log_quality_gain")
def log_quality_gain(context: RewardContext) -> Reward:
    """Log gain: r = log(q before / q after), each between w/1000 and 10 w; its sum telescopes to the log ratio."""
    low, high = _log_bounds()

    def compute(outcome: Outcome) -> np.ndarray:
        before, after = _known(outcome.quality_before), _known(outcome.quality_after)
        return _log_ratio(context, after) - _log_ratio(context, before)

    return Reward("log_quality_gain", compute, low - high, high - low, needs_quality=True, sums=True)


@REWARDS.register("final_quality")
def final_quality(context: RewardContext) -> Reward:
    """Final quality: r = log(w / q) at the episode's last decision, q between w/1000 and 10 w; 0 before it."""
    low, high = _log_bounds()

    def compute(outcome: Outcome) -> np.ndarray:
        if outcome.last is None:
            raise ValueError("reward='final_quality' pays an episode's last decision; give Outcome(..., last=mask)")
        return np.where(outcome.last, _log_ratio(context, _known(outcome.quality_after)), 0.0)

    return Reward("final_quality", compute, low, high, needs_quality=True, sums=True)


def _log_bounds() -> tuple[float, float]:
    """Returns the least and the greatest of `_log_ratio`."""
    best, worst = LOG_TIMES
    return -math.log(worst), -math.log(best)


def _log_ratio(context: RewardContext, quality: np.ndarray) -> np.ndarray:
    """Returns log(w / q), q clipped; NaN counts as the worst, and an unbiased estimate below 0 as the best."""
    best, worst = LOG_TIMES
    return -np.log(np.fmax(np.fmin(quality / context.worst_quality, worst), best))


def _known(value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise ValueError("this reward reads quality; build it with needs_quality=True")
    return value


def make_reward(reward: str | Reward | Callable[[RewardContext], Reward], context: RewardContext) -> Reward:
    """Makes a reward from a name, a Reward, or a callable that builds one from the context.

    Raises ValueError for an unknown name, or a callable that returns no Reward.
    """
    built = REWARDS[reward](context) if isinstance(reward, str) else reward
    if callable(built) and not isinstance(built, Reward):
        built = built(context)
    if not isinstance(built, Reward):
        raise ValueError(f"reward={reward!r} is no Reward; give gan_env.envs.rewards.Reward(name, compute, low, high)")
    return built
