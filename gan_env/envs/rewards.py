"""Rewards: what a decision earned, with finite bounds that are declared and kept.

A failure pays the low bound once for each decision that was left, 100 at most: dying early then never beats
surviving at the bound, at any discount γ ≤ 0.99, for Σ γ^t ≤ min(decisions left, 100). Where the low bound is above
0, it pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gan_env.losses.losses import Loss
from gan_env.registry import Registry

FAILURE_DECISIONS = 100
WORST_TIMES = 2.0
"""Rewards clip quality at this multiple of what an untrained generator gets, so that a start lies within the bounds
and a collapse below it is seen."""


@dataclass(frozen=True)
class Outcome:
    """What a decision did to N rows; arrays are float64."""

    g_losses: np.ndarray
    """(k, N): L_G on the measurement after each of the k updates."""
    d_losses: np.ndarray
    """(k, N): L_D likewise, mean or sum by `d_loss_scale`."""
    quality_before: np.ndarray | None
    """(N,): distance to validation data before the decision; None if the reward did not ask for it."""
    quality_after: np.ndarray | None
    """(N,): the same after it. The last value is held between measurements."""


@dataclass(frozen=True)
class Reward:
    """A reward: `compute(outcome)` gives (N,), clipped to [low, high]."""

    name: str
    compute: Callable[[Outcome], np.ndarray]
    low: float
    high: float
    needs_quality: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"reward {self.name!r} needs finite bounds low < high, got [{self.low}, {self.high}]")

    def __call__(self, outcome: Outcome, failed: np.ndarray, decisions_left: np.ndarray) -> np.ndarray:
        """Rewards (N,), finite. `failed` is (N,) bool; `decisions_left` counts the one that failed."""
        with np.errstate(all="ignore"):  # a row that has failed may hold infinities, and is paid otherwise below
            value = np.asarray(self.compute(outcome), np.float64)
        value = value if value.shape == failed.shape else np.broadcast_to(value, failed.shape)
        value = np.fmin(np.fmax(value, self.low), self.high)  # of NaN and low, low
        if not failed.any():
            return value
        return np.where(failed, min(self.low, 0.0) * np.minimum(decisions_left, FAILURE_DECISIONS), value)


@dataclass(frozen=True)
class RewardContext:
    """What a reward may depend on when it is built."""

    loss: Loss
    worst_quality: float
    normalise: bool


REWARDS: Registry[Callable[[RewardContext], Reward]] = Registry("reward", "gan_env.rewards")


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
        gap = np.abs(outcome.g_losses - outcome.d_losses)
        if context.normalise:
            gap = gap / (np.abs(outcome.g_losses) + np.abs(outcome.d_losses) + 1e-8)
        return -gap[0] if len(gap) == 1 else -gap.mean(0)

    return Reward("loss_gap", compute, -1.0 if context.normalise else -10.0, 0.0)


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


def _known(value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise ValueError("this reward reads quality; build it with needs_quality=True")
    return value


def make_reward(reward: str | Reward | Callable[[RewardContext], Reward], context: RewardContext) -> Reward:
    """A reward by name, a Reward as it is, or what a callable builds from the context.

    Raises ValueError for an unknown name, or a callable that gives no Reward.
    """
    built = REWARDS[reward](context) if isinstance(reward, str) else reward
    if callable(built) and not isinstance(built, Reward):
        built = built(context)
    if not isinstance(built, Reward):
        raise ValueError(f"reward={reward!r} is no Reward; give gan_env.envs.rewards.Reward(name, compute, low, high)")
    return built
