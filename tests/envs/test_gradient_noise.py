"""The share of each player's moves that is gone by the next: its formula, its expectation, and in training."""

import numpy as np
import pytest
import torch

from agents.learned.auto import SHIPPED
from agents.policies.policy import PolicyController
from agents.policies.policy_files import load_controller
from gan_env.envs.features import FEATURE_SETS
from gan_env.envs.gradient_noise import GRADIENT_NOISE, MoveMemory
from gan_env.envs.portable import PORTABLE_FEATURES
from gan_env.envs.vector_env import GANVectorEnv
from gan_env.types import GameFacts, Measurement, PlayersSeen
from gan_env.weight_sample import SAMPLE


def seen(weights: np.ndarray | None) -> Measurement:
    """A measurement of N rows whose players have these samples of weights, (N, 2, SAMPLE)."""
    rows = 1 if weights is None else len(weights)
    blank, none = torch.zeros(rows, 4), torch.zeros(rows)
    measured = Measurement(
        real_logits=blank, fake_logits=blank, g_loss=none, d_loss_real=none, d_loss_fake=none,
        update=torch.zeros(rows, dtype=torch.int64), progress=torch.zeros(rows, dtype=torch.float64),
    )  # fmt: skip
    return measured if weights is None else measured.telling(lambda: PlayersSeen(weights, np.full((rows, 2), 1e-3)))


def written(memory: MoveMemory) -> np.ndarray:
    """The features (2, N)."""
    out = np.empty(memory.squares.shape[::-1])
    memory.write(out)
    return out


def found(moves: np.ndarray, horizon: int = 1_000) -> np.ndarray:
    """The features (2, N) after moves (decisions, N, 2, SAMPLE) from weights of ones."""
    rows = moves.shape[1]
    memory, everyone = MoveMemory(rows, GameFacts(episode_updates=horizon), 1), np.ones(rows, bool)
    weights = np.ones(moves.shape[1:])
    memory.start(np.arange(rows), seen(weights.copy()))
    for move in moves:
        weights += move
        memory.push(seen(weights.copy()), everyone)
    return written(memory)


def test_it_is_the_formula_written_for_one_player_at_a_time():
    moves = np.random.default_rng(0).normal(0.2, 1, (25, 3, 2, SAMPLE))
    moves[4:7, 1, 0] = 0  # D of row 1 rests: its average stays
    tau = 27 ** (1 / 3)
    for row, player in ((0, 0), (1, 0), (1, 1), (2, 1)):
        shares: list[float] = []
        directions = []
        for move in moves[:, row, player]:
            if not move.any():
                continue
            directions.append(move / sum(x**2 for x in move) ** 0.5)
            a = max(1 / tau, 1 / len(directions))
            shares = [(1 - a) * share for share in shares] + [a]
        u = sum(share * direction for share, direction in zip(shares, directions, strict=True))
        c = sum(share**2 for share in shares)
        assert found(moves, 27)[player, row] == pytest.approx(1 - (u @ u - c) / (1 - c), abs=1e-9)


def test_it_is_0_of_parallel_moves_1_of_unrelated_ones_and_half_of_an_even_mixture_whatever_their_sizes():
    rng = np.random.default_rng(1)
    rows = 40
    sizes = 10.0 ** rng.uniform(-6, 0, (60, rows, 2, 1))  # rates that a controller changes
    signal, noise = rng.normal(size=(1, rows, 2, SAMPLE)), rng.normal(size=(60, rows, 2, SAMPLE))
    for mixture, wanted in ((signal + 0 * noise, 0.0), (noise, 1.0), (signal + noise, 0.5)):
        assert found(1e-3 * sizes * mixture).mean() == pytest.approx(wanted, abs=0.02)


def test_what_is_unknown_is_a_half_and_what_is_not_finite_changes_nothing():
    memory = MoveMemory(1, GameFacts(), 10)
    memory.start(np.array([0]), seen(None))
    memory.push(seen(None), np.array([True]))
    assert written(memory).tolist() == [[0.5], [0.5]]
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(1, 2, SAMPLE))
    memory.start(np.array([0]), seen(weights))
    memory.push(seen(weights + 1), np.array([True]))
    assert written(memory).tolist() == [[0.5], [0.5]]  # one move has nothing to be compared with
    memory.push(seen(weights + 1 + rng.normal(size=weights.shape)), np.array([True]))
    before = written(memory)
    memory.push(seen(np.full_like(weights, np.nan)), np.array([True]))
    memory.push(seen(weights), np.array([True]))
    assert np.array_equal(written(memory), before) and not (before == 0.5).any()


@pytest.mark.parametrize("k", [5, 20])
def test_the_batch_hardly_moves_it_in_training(k):
    told = []
    for batch in (32, 256):
        env = GANVectorEnv(
            8, task="ring", control="rates", features=("gradient_noise",), reward="log_quality", batch_size=batch,
            updates_per_step=k, episode_updates=400, score=False, autoreset_mode="Disabled",
        )  # fmt: skip
        env.reset(seed=0)
        told.append(np.mean([env.step(np.zeros((8, 2)))[0] for _ in range(400 // k)], (0, 1)))
    assert np.abs(told[0] - told[1]).max() < 0.15
    assert all(0.05 < value < 0.95 for value in np.ravel(told))


def test_a_fork_of_an_environment_and_a_restored_snapshot_tell_the_same():
    settings = {"task": "ring", "control": "rates", "features": ("gradient_noise", "g_loss"), "reward": "log_quality"}
    envs = [GANVectorEnv(2, **settings, episode_updates=40, score=False, autoreset_mode="Disabled") for _ in range(2)]
    for env in envs:
        env.reset(seed=1)
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (12, 2, 2))
    for action in actions[:6]:
        envs[0].step(action)
    envs[1].restore(envs[0].snapshot())
    for action in actions[6:]:
        one, other = (env.step(action)[0] for env in envs)
        assert np.array_equal(one, other) and envs[0].observation_space.contains(one)


def test_the_portable_set_of_committed_policies_is_as_it_was():
    assert FEATURE_SETS["gradient_noise"] == GRADIENT_NOISE and not set(GRADIENT_NOISE) & set(PORTABLE_FEATURES)
    held = load_controller(SHIPPED)
    assert isinstance(held, PolicyController) and set(held.spec.features) <= set(PORTABLE_FEATURES)
    assert len(PORTABLE_FEATURES) == 27
