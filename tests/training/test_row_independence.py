"""A row never notices its neighbours: not their number, their seeds, their actions, their failures."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import gan_env
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import FAILURES, GANVectorEnv, make_trainer
from gan_env.losses.losses import LOSSES
from gan_env.training.trainer import Trainer
from gan_env.types import Control, Measurement

ROWS, DECISIONS = 64, 200
SMALL = {"episode_updates": 20, "score": False}


def vector(rows: int, env_id: str = "gan_env/LearningRate-v0", **settings) -> GANVectorEnv:
    return GANVectorEnv(rows, control=gan_env.ENV_IDS[env_id], **{**SMALL, **settings})


def actions(env: GANVectorEnv, decisions: int, seed: int = 0) -> list[np.ndarray]:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(decisions)]


def trained(trainer: Trainer, decisions: int = 20, seed: int = 0) -> Trainer:
    """The trainer after some decisions at random, a function of the row's seed alone."""
    rngs = [np.random.default_rng([seed, s]) for s in trainer.seed]
    for _ in range(decisions):
        who = torch.tensor([rng.integers(3) for rng in rngs])
        rate = torch.tensor([np.exp(rng.uniform(-1, 1)) for rng in rngs])
        trainer.advance(Control.of(trainer.n, update_g=who != 1, update_d=who != 0, d_multiplier=rate))
    return trainer


def started(seeds: list[int], *, chunk: int = 32, **settings) -> Trainer:
    trainer = make_trainer(EnvConfig(**settings), len(seeds))
    if chunk != 32:
        old = trainer
        trainer = Trainer(
            old.task,
            old.loss,
            old.n,
            d_lr=float(old.d_optimizer.lr[0]),
            g_lr=float(old.g_optimizer.lr[0]),
            d_optimizer=old.d_optimizer.spec,
            g_optimizer=old.g_optimizer.spec,
            batch_size=old.batch_size,
            order=old.order,
            dtype=old.dtype,
            chunk=chunk,
            engine=old.engine,
        )
    trainer.reset(np.array(seeds), np.zeros(len(seeds), np.int64))
    return trainer


def state(trainer: Trainer, row: int) -> list[torch.Tensor]:
    """Everything that training changes in a row: weights, moments, counters, what is seen."""
    held = [trainer.g.flat, trainer.d.flat, trainer.measurement.real_logits, trainer.measurement.fake_logits]
    for optimizer in (trainer.g_optimizer, trainer.d_optimizer):
        held += optimizer.state().values()
    counters = (trainer.updates, trainer.real_index, trainer.d_updates, trainer.g_updates)
    return [x[row].clone() for x in held] + [torch.tensor(c[row]) for c in counters]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x.nan_to_num(nan=7.0), y.nan_to_num(nan=7.0)) for x, y in zip(a, b, strict=True))


# Alone and in a crowd


@pytest.mark.parametrize(
    ("env_id", "dtype", "batch_size", "tolerance"),
    [*((env_id, "float32", 64, 0.0) for env_id in gan_env.ENV_IDS), ("gan_env/Joint-v0", "float64", 16, 1e-9)],
)
def test_a_row_of_64_is_the_single_env_of_the_same_seed(env_id, dtype, batch_size, tolerance, no_shape_checks):
    # In float32 to the bit: where a matrix product rounds by the number of rows, this test says so.
    settings = {"dtype": dtype, "batch_size": batch_size, "episode_updates": DECISIONS, "score": False}
    row, many = 38, vector(ROWS, env_id, **settings)  # a row of the second chunk
    alone = gym.make(env_id, **settings)
    plan = actions(many, DECISIONS)
    observations, infos = many.reset(seed=100)
    seen, info = alone.reset(seed=100 + row)
    for at, action in enumerate(plan):
        np.testing.assert_allclose(seen, observations[row], rtol=0, atol=tolerance)
        np.testing.assert_allclose(list(info.values()), [infos[k][row] for k in info], rtol=0, atol=tolerance)
        observations, rewards, terminated, truncated, infos = many.step(action)
        seen, reward, ended, cut, info = alone.step(action[row])
        assert abs(reward - rewards[row]) <= tolerance
        assert (ended, cut) == (terminated[row], truncated[row]) == (False, at == DECISIONS - 1)
    gap = (alone.unwrapped.trainer.g.flat[0] - many.trainer.g.flat[row]).abs().max()
    assert float(gap) <= tolerance


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize("task", ["ring", "digits"])
def test_a_crowded_trainer_gives_each_row_what_it_gets_alone(task, order):
    crowd = trained(started(list(range(9)), task=task, order=order))
    for row in (0, 4, 8):
        assert same(state(crowd, row), state(trained(started([row], task=task, order=order)), 0))


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize("loss", LOSSES)
def test_under_every_loss_a_row_gets_what_it_gets_alone_whoever_else_moves(loss, order):
    settings = {"task": "digits", "loss": loss, "order": order, "batch_size": 32}
    crowd = trained(started([0, 1, 2], **settings), 6)
    assert all(same(state(crowd, row), state(trained(started([row], **settings), 6), 0)) for row in range(3))


def test_the_chunk_size_changes_no_bit():
    seeds = list(range(11))
    whole = trained(started(seeds))
    for chunk in (1, 3, 8):
        parts = trained(started(seeds, chunk=chunk))
        assert all(same(state(whole, row), state(parts, row)) for row in range(11))


def test_seeds_in_another_order_give_the_same_rows_in_that_order():
    seeds = [5, 3, 99, 0, 2**40]
    a, b = trained(started(seeds)), trained(started(seeds[::-1]))
    for row in range(5):
        assert same(state(a, row), state(b, 4 - row))
    assert not same(state(a, 0), state(a, 1))


def test_an_env_given_a_list_of_seeds_gives_row_i_seed_i():
    a, b = vector(3), vector(3)
    a.reset(seed=[7, 8, 9]), b.reset(seed=7)
    for action in actions(a, 5):
        np.testing.assert_array_equal(a.step(action)[0], b.step(action)[0])
    assert a.trainer.seed.tolist() == [7, 8, 9]


def test_what_a_row_does_moves_nothing_of_its_neighbour():
    calm, wild = started([1, 2]), started([1, 2])
    for _ in range(20):
        calm.advance(Control.of(2))
        wild.advance(Control.of(2, d_multiplier=torch.tensor([1.0, 50.0]), update_g=torch.tensor([True, False])))
    assert same(state(calm, 0), state(wild, 0)) and not same(state(calm, 1), state(wild, 1))


# Rows that sit out


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_an_inactive_row_stays_as_it_was_to_the_bit(order):
    trainer = trained(started(list(range(5)), order=order), 5)
    before = [state(trainer, row) for row in range(5)]
    trainer.advance(Control.of(5), 3, np.array([True, False, True, False, False]))
    assert [same(state(trainer, row), before[row]) for row in range(5)] == [False, True, False, True, True]


def test_a_chunk_of_inactive_rows_stays_as_it_was_and_tells_its_last_losses():
    trainer = trained(started([0, 1, 2, 3], chunk=2), 5)
    before, losses = [state(trainer, row) for row in range(4)], trainer.measurement.g_loss
    trace = trainer.advance(Control.of(4), 2, np.array([True, True, False, False]))
    assert [same(state(trainer, row), before[row]) for row in range(4)] == [False, False, True, True]
    assert torch.equal(trace.losses[0, 1:, 2:], losses[2:].expand(2, 2))


@pytest.mark.parametrize(("player", "other"), [("g", "d"), ("d", "g")])
def test_a_frozen_player_stays_as_it_was_to_the_bit_moments_included(player, other):
    trainer = trained(started([0, 1, 2]), 5)

    def held(name: str) -> list[torch.Tensor]:
        optimizer = getattr(trainer, f"{name}_optimizer")
        return [optimizer.flat.clone(), *(x.clone() for x in optimizer.state().values())]

    frozen, moving = held(player), held(other)
    trainer.advance(Control.of(3, **{f"update_{player}": False}))
    assert all(torch.equal(a, b) for a, b in zip(frozen, held(player), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(moving, held(other), strict=True))


def test_resetting_some_rows_leaves_the_others_to_the_bit():
    trainer = trained(started([0, 1, 2]), 5)
    before = [state(trainer, row) for row in range(3)]
    trainer.reset(np.array([1]), np.array([0]), np.array([1]))
    assert same(state(trainer, 0), before[0]) and same(state(trainer, 2), before[2])
    assert same(state(trainer, 1), state(started([1]), 0))


# Rows that diverge


@pytest.mark.parametrize("env_id", gan_env.ENV_IDS)
@pytest.mark.parametrize("player", ["g", "d"])
def test_a_row_driven_to_nan_ends_its_episode_and_nothing_else(env_id, player):
    sick, well = vector(4, env_id, autoreset_mode="Disabled"), vector(4, env_id, autoreset_mode="Disabled")
    others = [0, 1, 3]
    sick.reset(seed=3), well.reset(seed=3)
    plan = actions(sick, 4)
    sick.step(plan[0]), well.step(plan[0])
    getattr(sick.trainer, player).flat[2] = torch.nan
    sick.trainer.look()
    observations, rewards, terminated, truncated, infos = sick.step(plan[1])
    healthy = well.step(plan[1])
    assert terminated.tolist() == [False, False, True, False] and not truncated.any()
    assert infos["failure"][2] in FAILURES and infos["_failure"].tolist() == terminated.tolist()
    assert sick.observation_space.contains(observations) and np.isfinite(rewards).all()
    assert all(np.isfinite(value).all() for value in infos.values() if value.dtype.kind in "fi")
    assert rewards[2] == sick.reward.low * 19  # of 20 decisions the second failed
    for ours, theirs in zip((observations, rewards), healthy[:2], strict=True):
        np.testing.assert_array_equal(ours[others], theirs[others])
    assert all(same(state(sick.trainer, row), state(well.trainer, row)) for row in others)
    mask = np.arange(4) == 2
    for env in (sick, well):
        env.reset(seed=[None, None, 50, None], options={"reset_mask": mask})
    for action in plan[2:]:
        for ours, theirs in zip(sick.step(action)[:4], well.step(action)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)  # the sick row is well again, too


def test_a_row_past_a_declared_bound_ends_and_says_which():
    env = vector(3, autoreset_mode="Disabled", weight_bound=2.0)
    env.reset(seed=0)
    env.trainer.d.flat[1, 0] = 3.0
    env.trainer.look()
    _, _, terminated, _, infos = env.step(np.zeros((3, 1), np.float32))
    assert terminated.tolist() == [False, True, False]
    assert infos["failure"].tolist() == [None, "weights past their bound", None]
    env = vector(3, autoreset_mode="Disabled", loss_bound=5.0)
    env.reset(seed=0)
    env.trainer.d.flat[0, -1] = -40.0  # the last bias: every logit falls, and with it goes G's loss
    env.trainer.look()
    _, _, terminated, _, infos = env.step(np.zeros((3, 1), np.float32))
    assert terminated.tolist() == [True, False, False]
    assert infos["failure"].tolist() == ["loss past its bound", None, None]


@pytest.mark.parametrize(
    "settings",
    [{"loss": loss} for loss in LOSSES]
    + [{"dtype": "float64", "batch_size": 7}, {"task": "dirac", "loss": "wgan"}, {"task": "digits-domains"}],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_the_summary_that_the_engine_works_out_is_that_of_the_measurement_to_the_bit(settings):
    trainer = trained(started([3, 4, 5], chunk=2, engine="torch", **settings), decisions=3)
    trainer.g.flat[1, 0] = torch.nan  # a row that has failed, too
    trainer.look(np.array([1]))
    seen = trainer.measurement
    np.testing.assert_array_equal(seen.summary, Measurement(**seen.state()).summary)
