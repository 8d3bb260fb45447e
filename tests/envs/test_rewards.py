"""Rewards: FSCO's is one function wherever it is paid, and a failure pays by one rule."""

import numpy as np
import pytest
import torch

from agents import Steer
from gan_env import LOSSES, Control, Outcome, RewardContext
from gan_env.envs.rewards import FAILURE_DECISIONS, REWARDS, failure_reward, fsco_reward, losses_apart, make_reward
from gan_env.envs.vector_env import GANVectorEnv

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


def log_rewards(quality: list[float]) -> dict[str, list[float]]:
    """What the logarithmic rewards pay for a distance of 1 before the decision and these after it, where w is 2."""
    after = np.array(quality)
    outcome = Outcome(np.zeros((1, len(after))), np.zeros((1, len(after))), np.ones_like(after), after, after > 0.1)
    context = RewardContext(LOSSES["bce"], worst_quality=2.0, normalise=False)
    nobody = np.zeros(len(after), bool)
    names = ("log_quality", "log_quality_gain", "final_quality")
    return {name: make_reward(name, context)(outcome, nobody, np.ones_like(after)).tolist() for name in names}


def test_log_rewards_are_the_logarithm_of_how_many_times_nearer_the_samples_came():
    paid = log_rewards([2.0, 0.5, 4.0, 0.05])
    assert paid["log_quality"] == pytest.approx(np.log([1, 4, 0.5, 40]).tolist())
    assert paid["log_quality_gain"] == pytest.approx(np.log([0.5, 2, 0.25, 20]).tolist())
    assert paid["final_quality"] == pytest.approx([*np.log([1, 4, 0.5]), 0.0])


def test_log_rewards_clip_the_distance_so_that_gains_still_telescope():
    paid = log_rewards([0.0, -1e-3, 1e-9, 1e9, np.inf, np.nan])
    best, worst = np.log(1000), -np.log(10)
    assert paid["log_quality"] == pytest.approx([best] * 3 + [worst] * 3)
    assert paid["log_quality_gain"] == pytest.approx([best - np.log(2)] * 3 + [worst - np.log(2)] * 3)


def test_a_failure_pays_once_where_the_bound_is_that_of_the_episodes_sum_and_never_beats_surviving():
    rng = np.random.default_rng(0)
    reward = make_reward("log_quality_gain", BCE)
    for _ in range(100):
        walk = np.exp(rng.normal(0, 5, 9))
        nobody, left = np.zeros(8, bool), np.arange(8, 0, -1)
        survived = reward(Outcome(np.zeros((1, 8)), np.zeros((1, 8)), walk[:-1], walk[1:]), nobody, left)
        for died in range(8):
            assert survived[:died].sum() + reward.failure(left[died]) <= survived.sum() + 1e-9


FAST_GAMES = ["ring", "circle", "spiral", "line", "grid", "dirac"]
FAST_GAMES += [pytest.param(name, marks=pytest.mark.slow) for name in ("digits", "digits-domains")]
ROWS, DECISIONS = 6, 12
SPREAD = (0.05, 2.0)
"""Standard deviation of what a critic has to tell apart: a decision's pay over all decisions and controllers where that
pay is a level, an episode's over controllers where it is a sum."""


def spread(task: str, reward: str) -> float:
    """Spread of a reward over controllers that hold two random multipliers."""
    # At base rates of .1 and 2e-3 the default ranges end episodes of these at once.
    decades = (
        {"d_lr_range": (0.1, 10.0), "g_lr_range": (0.1, 10.0)} if task in ("dirac", "digits", "digits-domains") else {}
    )
    env = GANVectorEnv(
        ROWS,
        **decades,
        control="rates",
        task=task,
        reward=reward,
        updates_per_step=10,
        episode_updates=10 * DECISIONS,
        quality_every=1,
        score=False,
        autoreset_mode="Disabled",
    )
    env.reset(seed=0)
    held = np.random.default_rng(1).uniform(-1, 1, (ROWS, 2)).astype(np.float32)
    paid = np.array([env.step(held)[1] for _ in range(DECISIONS)])
    return float(paid.sum(0).std() if env.reward.sums else paid.std())


@pytest.mark.parametrize("task", FAST_GAMES)
def test_log_rewards_are_of_order_one_on_every_fast_game(task):
    for name in REWARDS:
        if name.startswith("log_") or name == "final_quality":
            assert SPREAD[0] <= spread(task, name) <= SPREAD[1], name
