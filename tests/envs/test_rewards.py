"""Rewards: FSCO's is one function wherever it is paid, and a failure pays by one rule."""

import numpy as np
import pytest
import torch

from agents import Steer
from gan_env import LOSSES, Control, Outcome, RewardContext
from gan_env.envs.rewards import FAILURE_DECISIONS, failure_reward, fsco_reward, losses_apart, make_reward

BCE = RewardContext(LOSSES["bce"], worst_quality=1.0, normalise=False)


def paid(g_losses: np.ndarray, d_losses: np.ndarray) -> np.ndarray:
    """What `loss_gap` pays N rows that have not failed for k updates."""
    rows = g_losses.shape[1]
    outcome = Outcome(g_losses, d_losses, None, None)
    return make_reward("loss_gap", BCE)(outcome, np.zeros(rows, bool), np.ones(rows))


def test_the_mean_gap_of_a_row_is_the_same_to_the_bit_beside_any_neighbours():
    g_losses, d_losses = np.random.default_rng(0).uniform(0, 3, (2, 37, 6))
    together = paid(g_losses, d_losses)
    assert together == pytest.approx(-np.abs(g_losses - d_losses).mean(0))
    for row in range(6):
        assert paid(g_losses[:, [row]], d_losses[:, [row]]) == together[row]


def test_fscos_reward_stays_in_its_bounds_whatever_the_losses():
    total = losses_apart(np.array([1.0, 40.0, np.inf, np.nan, 2.0]), np.array([1.0, 0.0, 1.0, 1.0, 3.5]))
    assert fsco_reward(total, 1).tolist() == [0.0, -10.0, -10.0, -10.0, -1.5]
    assert paid(total[None], np.zeros((1, 5))).tolist() == fsco_reward(total, 1).tolist()


def test_a_loop_of_ones_own_pays_what_the_environment_pays():
    rewards = []

    class Listens:
        def reset(self, row_seeds, game):
            pass

        def act(self, measurement):
            return Control.of(1)

        def learn(self, transition):
            rewards.append(float(transition.reward[0]))

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    players = [torch.nn.Linear(1, 1) for _ in range(2)]
    steer = Steer(Listens(), *(torch.optim.SGD(player.parameters(), 0.1) for player in players))
    logits = torch.tensor([[0.5, -1.0, 2.0]]).double()
    for scale in (1.0, 2.0):
        steer(scale * logits[0], -logits[0])
        steer.done()
    bce = LOSSES["bce"]
    g_loss = bce.generator(-logits).mean().item()
    d_loss = (bce.real(2 * logits).mean() + bce.fake(-logits).mean()).item() / 2
    assert rewards == pytest.approx([float(paid(np.array([[g_loss]]), np.array([[d_loss]]))[0])])


def test_a_failure_pays_the_low_bound_for_the_decisions_that_were_left_and_a_discounted_sum_no_more_than_100():
    left = np.array([1, 99, 100, 101, 30_000])
    assert failure_reward(-2.0, left).tolist() == [-2.0, -198.0, -200.0, -200.0, -200.0]
    assert failure_reward(-2.0, left, most=None).tolist() == [-2.0, -198.0, -200.0, -202.0, -60_000.0]
    assert failure_reward(0.5, left).tolist() == [0.0] * 5
    surviving = sum(0.99**t for t in range(100_000))
    assert surviving < FAILURE_DECISIONS + 1e-6
