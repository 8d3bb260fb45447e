"""Promises of every reward, checked on outcomes of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gan_env.envs.rewards import FAILURE_DECISIONS, Outcome, Reward, RewardContext, make_reward
from gan_env.losses.losses import get_loss
from gan_env.testing.promises import generators_left_alone, keep_all, require

ODD = (0.0, 1.0, -1.0, 1e-30, 1e12, -1e12, np.inf, -np.inf, np.nan)


def outcomes(updates: int, rows: int, seed: int = 0, odd: bool = False) -> Outcome:
    """Makes artificial outcomes, (k, N) losses and (N,) qualities; odd ones have zeros, huge numbers, inf and NaN."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return rng.choice(ODD, shape) if odd else rng.lognormal(0, 1, shape)

    return Outcome(drawn(updates, rows), drawn(updates, rows), drawn(rows), drawn(rows), rng.random(rows) < 0.5)


def earned(reward: Reward, outcome: Outcome) -> np.ndarray:
    """Computes the rewards of rows without failures."""
    rows = outcome.g_losses.shape[1]
    return reward(outcome, np.zeros(rows, bool), np.ones(rows, np.int64))


def bounds_are_finite_and_kept_whatever_happens(reward: Reward) -> None:
    """Also where losses or qualities are infinite or NaN."""
    require(np.isfinite([reward.low, reward.high]).all() and reward.low < reward.high, "its bounds are not finite")
    for seed in range(20):
        outcome = outcomes(4, 30, seed, odd=True)
        found = earned(reward, outcome if reward.needs_quality else _without_quality(outcome))
        require(found.shape == (30,), f"30 rows earned an array of shape {found.shape}")
        out = found[~((reward.low <= found) & (found <= reward.high))]
        require(not len(out), f"it paid {out[:3].tolist()}, outside its bounds [{reward.low}, {reward.high}]")


def a_failure_pays_the_low_bound_for_what_was_left(reward: Reward) -> None:
    """So that dying early never beats surviving at the bound; once if the bound is that of the episode's sum."""
    failed, left = np.array([True, True, False]), np.array([6, 1_000, 6])
    found = reward(outcomes(2, 3), failed, left)
    low = min(reward.low, 0.0)
    wanted = [low, low] if reward.sums else [low * 6, low * FAILURE_DECISIONS]
    require(found[:2].tolist() == wanted, f"failures earned {found[:2].tolist()}, not {wanted}")


def a_row_earns_the_same_in_any_company(reward: Reward) -> None:
    """Reduce over the k updates, never over the N rows."""
    crowd = outcomes(3, 5)
    alone = replace(crowd, **{name: array[..., 2:3] for name, array in vars(crowd).items()})
    found, wanted = earned(reward, crowd)[2], earned(reward, alone)[0]
    require(abs(found - wanted) <= 1e-12 * (1 + abs(wanted)), f"a row earned {wanted} alone and {found} beside others")


def every_number_of_updates_in_a_decision_will_do(reward: Reward) -> None:
    """Losses are (k, N) for any k of at least 1."""
    for updates in (1, 2, 50):
        found = earned(reward, outcomes(updates, 3))
        require(np.isfinite(found).all() and found.shape == (3,), f"{updates} updates earned {found.tolist()}")


def it_is_a_function_of_the_outcome_alone(reward: Reward) -> None:
    """Twice the same, nothing drawn, nothing changed."""
    outcome, again = outcomes(3, 4), outcomes(3, 4)
    with generators_left_alone():
        first, second = earned(reward, outcome), earned(reward, outcome)
    require(np.array_equal(first, second), f"the same outcome earned {first.tolist()}, then {second.tolist()}")
    for name, array in vars(again).items():
        require(np.array_equal(getattr(outcome, name), array), f"it changed {name} of the outcome")


def _without_quality(outcome: Outcome) -> Outcome:
    return replace(outcome, quality_before=None, quality_after=None)


PROMISES = (
    bounds_are_finite_and_kept_whatever_happens,
    a_failure_pays_the_low_bound_for_what_was_left,
    a_row_earns_the_same_in_any_company,
    every_number_of_updates_in_a_decision_will_do,
    it_is_a_function_of_the_outcome_alone,
)


def reward_of(reward: str | Reward | Callable[[RewardContext], Reward], loss: str = "bce") -> Reward:
    """Makes a reward from a name, a Reward or a callable, for a GAN with this loss and a worst quality of 1."""
    return make_reward(reward, RewardContext(get_loss(loss), 1.0, False))


def check_reward(reward: str | Reward | Callable[[RewardContext], Reward], loss: str = "bce") -> None:
    """Raises BrokenPromise unless a reward meets the requirements of the environment and the benchmark.

    Args:
        reward: A registered name, a `Reward`, or a callable that builds one from a `RewardContext`.
        loss: The GAN loss that it is built for.

    Raises:
        BrokenPromise: Naming the first promise that it breaks, and what was found.
        ValueError: If nobody registered the name, or there is no reward for this loss.
    """
    built = reward_of(reward, loss)
    keep_all(f"reward {built.name!r}", PROMISES, built)
