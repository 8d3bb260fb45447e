"""Gymnasium's contract, kept by every id: spaces, seeds, resets, rewards, what is shown and what is not."""

import multiprocessing
import pickle
import random
from copy import deepcopy
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from stable_baselines3.common import env_checker as sb3

import gan_env
from gan_env.data.datasets import PlaneData, ring
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import FAILURES, GANEnv, GANVectorEnv
from gan_env.envs.observations import FEATURES, Feature
from gan_env.envs.rewards import FAILURE_DECISIONS, REWARDS, WORST_TIMES, Outcome, Reward
from gan_env.metrics.scores import PlaneQuality, PlaneScore
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.random.streams import Purpose
from gan_env.tasks.task import TASKS, Task, make_task
from gan_env.types import Control

IDS = list(gan_env.ENV_IDS)
FAST = [name for name in ("circle", "digits", "dirac", "grid", "line", "ring", "spiral") if name in TASKS]
SMALL = {"episode_updates": 6, "batch_size": 32, "score": False}
# With a multiple of 32 a row keeps its bits whatever N: elsewhere vector units handle the odd end of a batch apart.
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]


def scored_quickly() -> Task:
    """The ring with few held-out points: an exact distance in a millisecond."""
    data = PlaneData(ring(), validation_size=40, test_size=48)
    return replace(TASKS["ring"](), data=data, quality=PlaneQuality(data, 0.33), score=PlaneScore(data))


SCORED = {"task": scored_quickly(), "score": True}


def single(env_id: str = IDS[0], **changes) -> GANEnv:
    return gym.make(env_id, **{**SMALL, **changes}).unwrapped


DECADES = {"d_lr_range": (0.1, 10.0), "g_lr_range": (0.1, 10.0)}
"""Ranges of a decade either way, where the default ones would make every GAN diverge."""


def vector(rows: int = 3, env_id: str = IDS[0], **changes) -> GANVectorEnv:
    return gym.make_vec(env_id, rows, vectorization_mode="vector_entry_point", **{**SMALL, **changes}).unwrapped


def plan(env, decisions: int, seed: int = 0) -> list:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(decisions)]


def poison(trainer, row: int) -> None:
    """Makes the row's next losses NaN."""
    trainer.d.flat[row] = torch.nan
    trainer.look()


def assert_same_infos(a: dict, b: dict) -> None:
    """The same keys present in the same rows, with the same values there; what is absent has no say."""
    present = {k for k in a if not k.startswith("_")}, {k for k in b if not k.startswith("_")}
    assert present[0] == present[1]
    for key in present[0]:
        np.testing.assert_array_equal(a[f"_{key}"], b[f"_{key}"])
        if isinstance(a[key], dict):
            assert_same_infos(a[key], b[key])
            continue
        for row in np.flatnonzero(a[f"_{key}"]):
            np.testing.assert_array_equal(a[key][row], b[key][row], err_msg=key)


# The checkers of others


@pytest.mark.parametrize("task", FAST)
@pytest.mark.parametrize("env_id", IDS)
def test_gymnasiums_and_sb3s_checkers_have_nothing_to_say(env_id, task):
    signed = task == "dirac"  # there the plain gap of two losses means nothing
    mode = "rgb_array" if env_id == IDS[0] else None
    env = gym.make(env_id, task=task, render_mode=mode, normalise=signed, **SMALL)
    check_env(env.unwrapped)
    sb3.check_env(env.unwrapped, warn=True)
    assert env.spec.max_episode_steps is None  # the env truncates itself


@pytest.mark.parametrize("env_id", IDS)
def test_the_spaces_of_a_batch_are_those_of_one_env_many_times(env_id):
    one, many = single(env_id), vector(3, env_id)
    assert many.single_action_space == one.action_space
    assert many.single_observation_space == one.observation_space
    assert many.action_space.shape[0] == many.observation_space.shape[0] == 3
    assert np.isfinite(one.observation_space.low).all() and np.isfinite(one.observation_space.high).all()
    assert len(one.feature_names) == one.observation_space.shape[0] == len(set(one.feature_names))


@pytest.mark.parametrize("env_id", IDS)
def test_each_named_coordinate_is_the_raw_number_of_that_name_within_bounds(env_id):
    env = single(env_id, features=tuple(gan_env.envs.observations.FEATURES))
    seen, info = env.reset(seed=1)
    for action in plan(env, 6):
        low, high = env.observation_space.low, env.observation_space.high
        for i, name in enumerate(env.feature_names):
            if name in info:
                assert seen[i] == np.float32(np.clip(info[name], low[i], high[i])), name
        seen, _, _, _, info = env.step(action)
    assert info["progress"] == 1 and info["update"] == 6
    last = {name: seen[i] for i, name in enumerate(env.feature_names) if name.startswith("last_")}
    assert len(last) == len(env.batch.codec.last_action_names)
    np.testing.assert_allclose(list(last.values()), env.batch.codec.position(env.batch.codec.decode(action[None]))[0])


@pytest.mark.parametrize(
    ("compute", "named"),
    [(lambda m: 1 / 0, "ZeroDivisionError"), (lambda m: 0.0, r"shape \(\)"), (lambda m: "x", "could not convert")],
)
def test_a_feature_of_ones_own_that_cannot_be_computed_is_named(compute, named, monkeypatch):
    monkeypatch.setitem(FEATURES._parts, "mine", Feature("wrong", compute))
    env = vector(2)
    for _ in range(2):  # a second look does not pass for the first one's numbers
        with pytest.raises(ValueError, match=f"feature 'mine'.*{named}"):
            env.reset(seed=0)


def test_a_feature_of_ones_own_is_observed_within_its_bounds_and_shown(monkeypatch):
    own = Feature("twice the gap of the losses", lambda m: 2 * (m.g_loss - m.d_loss) + m.last_action[:, 0], -0.1, 0.1)
    monkeypatch.setitem(FEATURES._parts, "twice", own)
    portable = Feature("D's average", lambda memory: memory.means[:, 3, 0], portable=True)
    monkeypatch.setitem(FEATURES._parts, "average", portable)
    env = vector(3, features=("twice", "loss_gap", "average", "last_action"))
    env.reset(seed=0)
    assert env.feature_names == ("twice", "loss_gap", "average", "last_d_rate")
    for action in plan(env, 4):
        seen, *_, infos = env.step(action)
        twice = 2 * infos["loss_gap"] + seen[:, 3]
        assert infos["twice"] == pytest.approx(twice, abs=1e-6) and "average" not in infos
        assert seen[:, 0] == pytest.approx(np.clip(twice, -0.1, 0.1), abs=1e-6)
        assert seen[:, 2] == pytest.approx(2 * infos["d_loss"], abs=1e-6)


def test_the_moving_averages_are_those_of_the_decisions():
    env = single(features=("g_loss_ema", "d_loss_ema"))
    _, info = env.reset(seed=2)
    g, d = info["g_loss"], info["d_loss"]
    for action in plan(env, 5):
        seen, _, _, _, info = env.step(action)
        g, d = 0.9 * g + 0.1 * info["g_loss"], 0.9 * d + 0.1 * info["d_loss"]
        np.testing.assert_allclose(seen, [g, d], rtol=1e-6)


# Many at once: native, sync, async


def sync(env_id: str, rows: int, mode: AutoresetMode, way: str = "sync", **changes):
    return gym.make_vec(
        env_id, rows, vectorization_mode=way, vector_kwargs={"autoreset_mode": mode}, **{**SMALL, **changes}
    )


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m.value)
@pytest.mark.parametrize("env_id", IDS)
def test_the_native_batch_is_the_sync_batch_to_the_bit(env_id, mode):
    # Rows end at different times: one of them by a failure.
    ours, theirs = vector(3, env_id, autoreset_mode=mode, **SCORED), sync(env_id, 3, mode, **SCORED)
    results = ours.reset(seed=5), theirs.reset(seed=5)
    ended = np.zeros(3, bool)
    for at, action in enumerate(plan(ours, 16)):
        for a, b in zip(*(r[:-1] for r in results), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype and a.shape == b.shape
        assert_same_infos(results[0][-1], results[1][-1])
        if mode == AutoresetMode.DISABLED and ended.any():
            results = [env.reset(options={"reset_mask": ended.copy()}) for env in (ours, theirs)]
            ended[:] = False
            continue
        if at == 2:
            poison(ours.trainer, 1)
            poison(theirs.envs[1].unwrapped.trainer, 0)
        results = ours.step(action), theirs.step(action)
        ended = results[0][2] | results[0][3]
        if at == 2:
            assert ended.tolist() == [False, True, False]
    episodes = [int(env.unwrapped.trainer.episode[0]) for env in theirs.envs]
    assert ours.trainer.episode.tolist() == episodes and min(episodes) >= 2


@pytest.mark.parametrize("mode", MODES, ids=lambda m: m.value)
def test_the_async_batch_is_the_native_batch_too(mode):
    ours, theirs = vector(2, autoreset_mode=mode), sync(IDS[0], 2, mode, "async")
    try:
        results = ours.reset(seed=5), theirs.reset(seed=5)
        for action in plan(ours, 5):
            for a, b in zip(*(r[:-1] for r in results), strict=True):
                np.testing.assert_array_equal(a, b)
            assert_same_infos(results[0][-1], results[1][-1])
            results = ours.step(action), theirs.step(action)
    finally:
        theirs.close()


@pytest.mark.parametrize("env_id", IDS)
def test_next_step_ignores_the_action_of_the_reset_step_and_pays_nothing(env_id):
    a, b = (vector(2, env_id, autoreset_mode="NextStep") for _ in range(2))
    a.reset(seed=0), b.reset(seed=0)
    steps = plan(a, 8)
    for action in steps[:6]:
        result = a.step(action), b.step(action)
    assert result[0][3].all()
    reset = a.step(steps[6]), b.step(steps[7])
    for one, other in zip(*(r[:-1] for r in reset), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (reset[0][1] == 0).all() and not reset[0][2].any() and not reset[0][3].any()
    assert a.trainer.updates.tolist() == [0, 0] and reset[0][4]["update"].tolist() == [0, 0]
    assert a.trainer.episode.tolist() == [1, 1]


def test_next_step_does_not_even_look_at_the_action_of_the_reset_step():
    env = vector(2, autoreset_mode="NextStep", episode_updates=1)
    env.reset(seed=0)
    env.step(np.zeros((2, 1), np.float32))
    env.step(np.full((2, 1), np.nan, np.float32))
    with pytest.raises(ValueError, match="NaN"):
        env.step(np.full((2, 1), np.nan, np.float32))


def test_same_step_hands_out_the_last_observation_and_info_and_starts_anew():
    a, b = vector(3, autoreset_mode="SameStep", **SCORED), vector(3, autoreset_mode="Disabled", **SCORED)
    a.reset(seed=0), b.reset(seed=0)
    for action in plan(a, 6):
        result, last = a.step(action), b.step(action)
    observations, rewards, terminated, truncated, infos = result
    assert truncated.all() and infos["_final_obs"].all() and infos["_final_info"].all()
    np.testing.assert_array_equal(np.stack(infos["final_obs"]), last[0])
    assert_same_infos(infos["final_info"], last[4])
    assert np.isfinite(infos["final_info"]["score"]).all() and "score" not in infos
    np.testing.assert_array_equal(rewards, last[1])
    fresh = vector(3, **SCORED)
    fresh.reset(seed=0)
    expected, expected_infos = fresh.reset()  # the second episode of the same seeds
    np.testing.assert_array_equal(observations, expected)
    assert infos["update"].tolist() == expected_infos["update"].tolist() == [0, 0, 0]


def test_disabled_resets_the_rows_of_the_mask_alone():
    env, other = vector(3, autoreset_mode="Disabled"), vector(3, autoreset_mode="Disabled")
    env.reset(seed=0), other.reset(seed=0)
    for action in plan(env, 3):
        before = env.step(action), other.step(action)
    mask = np.array([False, True, False])
    observations, infos = env.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(observations[~mask], before[0][0][~mask])
    assert env.trainer.updates.tolist() == [3, 0, 3] and env.trainer.episode.tolist() == [0, 1, 0]
    assert infos["_update"].tolist() == mask.tolist()
    for action in plan(env, 3, seed=1):
        a, b = env.step(action), other.step(action)
        np.testing.assert_array_equal(a[0][~mask], b[0][~mask])
        np.testing.assert_array_equal(a[1][~mask], b[1][~mask])
    assert a[3].tolist() == [True, False, True]
    with pytest.raises(gym.error.ResetNeeded, match="row 0 .*reset_mask"):
        env.step(action)


# Ends


def test_running_out_of_updates_truncates_and_does_not_terminate():
    env = single(episode_updates=6, updates_per_step=2)
    env.reset(seed=0)
    ends = [env.step(action)[2:4] for action in plan(env, 3)]
    assert ends == [(False, False), (False, False), (False, True)]


@pytest.mark.parametrize("env_id", IDS)
def test_a_failure_terminates_and_does_not_truncate_even_at_the_last_decision(env_id):
    for died in (1, 6):
        env = single(env_id)
        env.reset(seed=0)
        for at, action in enumerate(plan(env, died), 1):
            if at == died:
                poison(env.trainer, 0)
            seen, reward, terminated, truncated, info = env.step(action)
        assert (terminated, truncated) == (True, False)
        assert info["failure"] in FAILURES and "score" not in info
        assert env.observation_space.contains(seen) and reward == env.batch.reward.low * (7 - died)
        assert all(np.isfinite(value) for value in info.values() if not isinstance(value, str))
        with pytest.raises(gym.error.ResetNeeded):
            env.step(action)


# Seeds


def trajectory(env_id: str, seed: int = 3, env: GANEnv | None = None) -> list[bytes]:
    """Two episodes and a bit, the score included, as bytes."""
    env = env or single(env_id, **SCORED)
    told, (seen, info) = [], env.reset(seed=seed)
    for action in plan(env, 8):
        told.append(seen.tobytes() + repr(sorted(info.items())).encode())
        seen, reward, terminated, truncated, info = env.step(action)
        told.append(np.float64(reward).tobytes())
        if terminated or truncated:
            told.append(repr(sorted(info.items())).encode())
            seen, info = env.reset()
    return told


@pytest.mark.parametrize("env_id", IDS)
def test_the_same_seed_gives_the_same_bits_again_on_one_object_and_on_a_fresh_one(env_id):
    env = single(env_id, **SCORED)
    first = trajectory(env_id, env=env)
    assert trajectory(env_id, env=env) == first
    assert trajectory(env_id) == first
    assert trajectory(env_id, seed=4)[0] != first[0]


def test_the_same_seed_gives_the_same_bits_in_a_spawned_process():
    with multiprocessing.get_context("spawn").Pool(1, torch.set_num_threads, (1,)) as pool:
        assert pool.map(trajectory, IDS) == [trajectory(env_id) for env_id in IDS]


def test_an_unseeded_reset_goes_on_to_the_next_episode_of_the_same_seed():
    a, b = single(), single()
    firsts = []
    for env in (a, b):
        env.reset(seed=3)
        firsts.append([env.reset()[0].tobytes() for _ in range(3)])
    assert firsts[0] == firsts[1] and len(set(firsts[0])) == 3


def test_envs_that_were_never_seeded_differ():
    assert single().reset()[0].tobytes() != single().reset()[0].tobytes()
    seen, _ = vector(2).reset()
    assert seen[0].tobytes() != seen[1].tobytes()


@pytest.mark.parametrize("env_id", IDS)
def test_global_generators_are_as_they_were(env_id, no_shape_checks):  # beartype draws which item of a list to check
    def states():
        return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), random.getstate()

    before = states()
    env = gym.make(env_id, render_mode="rgb_array", **{**SMALL, **SCORED, "reward": "quality"})
    env.reset(seed=0)
    for action in plan(env, 6):
        env.step(action)
    env.render()
    env.unwrapped.generator(), env.unwrapped.sample(), env.reset()
    assert states() == before


def test_global_seeds_have_no_say():
    told = []
    for seed in (0, 1):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        told.append(trajectory(IDS[2]))
    assert told[0] == told[1]


# Learning rates


@pytest.mark.parametrize("a", [-1.0, -0.3, 0.0, 0.7, 1.0])
def test_adams_first_step_is_the_learning_rate_long(a):
    # Adam moves every weight by rate x g / (|g| + 1e-8) first, whatever the gradient g.
    env = single("gan_env/Joint-v0", dtype="float64", d_lr=1e-3, g_lr=3e-4, **DECADES)
    env.reset(seed=0)
    before = env.trainer.d.flat.clone(), env.trainer.g.flat.clone()
    _, _, _, _, info = env.step(np.array([a, -a, 0.0]))
    multiplier = 10.0**a  # x0.1 at -1, x1 at 0, x10 at +1
    for was, now, rate, said in (
        (before[0], env.trainer.d.flat, 1e-3 * multiplier, info["d_lr"]),
        (before[1], env.trainer.g.flat, 3e-4 / multiplier, info["g_lr"]),
    ):
        moved = (now - was).abs()
        assert said == pytest.approx(rate, rel=1e-12)
        assert float(moved.max()) == pytest.approx(rate, rel=1e-3)  # where the gradient is not tiny
        assert 0.9 * rate < float(moved.median()) <= float(moved.max()) <= rate * (1 + 1e-9)


def test_sgd_moves_a_weight_by_rate_times_gradient():
    moved = []
    for multiplier in (1.0, 0.25, 30.0):
        env = single(dtype="float64", optimizer="sgd", d_lr=1e-2, g_lr=1e-2)
        env.reset(seed=0)
        before = env.trainer.d.flat.clone()
        env.step_control(Control.of(1, d_multiplier=multiplier))
        moved.append((env.trainer.d.flat - before) / multiplier)
    assert float(moved[0].abs().max()) > 1e-4
    torch.testing.assert_close(moved[1], moved[0], rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(moved[2], moved[0], rtol=1e-9, atol=1e-14)


# Rewards


@pytest.mark.parametrize("scale", ["mean", "sum"])
def test_fscos_reward_is_minus_the_gap_of_the_losses_after_the_update(scale):
    env = single(d_loss_scale=scale)
    env.reset(seed=0)
    for action in plan(env, 6):
        _, reward, _, _, info = env.step(action)
        seen = env.measurement
        d = float(seen.d_loss_real + seen.d_loss_fake) / (2 if scale == "mean" else 1)
        assert reward == pytest.approx(-abs(float(seen.g_loss) - d), abs=1e-6)
        assert reward == pytest.approx(-abs(info["g_loss"] - info["d_loss"]), abs=1e-6)
        assert info["loss_gap"] == pytest.approx(info["g_loss"] - info["d_loss"], abs=1e-6)


@pytest.mark.parametrize("env_id", IDS)
def test_with_four_updates_a_decision_it_is_the_mean_over_them(env_id):
    slow, fast = single(env_id, episode_updates=24, updates_per_step=4), single(env_id, episode_updates=24)
    slow.reset(seed=1), fast.reset(seed=1)
    for action in plan(slow, 6):
        each = [fast.step(action)[1] for _ in range(4)]
        assert slow.step(action)[1] == pytest.approx(np.mean(each), abs=1e-12)
    assert torch.equal(slow.trainer.g.flat, fast.trainer.g.flat)


@effort(max_examples=200, deadline=None)
@given(
    low=st.floats(-50, 50),
    horizon=st.integers(1, 1_000),
    left=st.integers(1, 1_000),
    gamma=st.floats(0.0, 0.99),
)
def test_dying_early_never_beats_surviving_at_the_bound(low, horizon, left, gamma):
    left = min(left, horizon)
    reward = Reward("mine", lambda outcome: outcome.g_losses[0], low, low + 1)
    nothing = Outcome(np.zeros((1, 1)), np.zeros((1, 1)), None, None)
    dying = reward(nothing, np.array([True]), np.array([left]))[0]
    surviving = low * (gamma ** np.arange(left)).sum()
    assert dying <= surviving + 1e-9 * abs(surviving)
    assert abs(dying) <= abs(low) * FAILURE_DECISIONS


@pytest.mark.parametrize("name", REWARDS)
def test_a_row_that_dies_earns_less_than_one_that_survives_at_the_bound(name):
    env = single(reward=name)
    env.reset(seed=0)
    poison(env.trainer, 0)
    _, reward, terminated, _, _ = env.step(np.zeros(1))
    own = env.batch.reward
    assert terminated and reward == pytest.approx(own.low * (1 if own.sums else 6)) and reward < 0


@pytest.mark.parametrize("every", [1, 2, 6])
def test_the_gains_in_quality_sum_to_the_whole_improvement(every):
    env = single(reward="quality_gain", quality_every=every, d_lr=1e-2, g_lr=1e-2, **DECADES)
    _, first = env.reset(seed=0)
    total, ages = 0.0, [first["quality_age"]]
    for action in plan(env, 6):
        _, reward, _, _, info = env.step(action)
        total += reward
        ages.append(info["quality_age"])
    worst = WORST_TIMES * env.trainer.task.quality.worst
    assert total == pytest.approx(min(first["quality"], worst) - min(info["quality"], worst), abs=1e-12)
    assert ages == [i % every for i in range(7)]
    assert total != 0


@pytest.mark.parametrize("every", [1, 4])
def test_the_log_gains_sum_to_the_log_ratio_which_is_also_what_the_last_decision_alone_is_paid(every):
    earned = {}
    for name in ("log_quality", "log_quality_gain", "final_quality"):
        env = single(reward=name, quality_every=every, d_lr=1e-2, g_lr=1e-2, **DECADES)
        _, first = env.reset(seed=0)
        steps = [env.step(action) for action in plan(env, 6)]
        earned[name], last = [step[1] for step in steps], steps[-1][4]["quality"]
    worst = env.trainer.task.quality.worst
    assert sum(earned["log_quality_gain"]) == pytest.approx(np.log(first["quality"] / last), abs=1e-12)
    assert earned["final_quality"] == [0.0] * 5 + [pytest.approx(np.log(worst / last), abs=1e-12)]
    assert earned["log_quality"][-1] == earned["final_quality"][-1] != 0
    assert np.cumsum(earned["log_quality_gain"]) == pytest.approx(
        earned["log_quality"] - np.log(worst / first["quality"]), abs=1e-12
    )


def test_quality_is_minus_the_distance_to_validation_data():
    env = single(reward="quality", quality_every=1)
    env.reset(seed=0)
    for action in plan(env, 3):
        _, reward, _, _, info = env.step(action)
        assert reward == pytest.approx(-min(info["quality"], WORST_TIMES * env.trainer.task.quality.worst), abs=1e-12)
        assert info["quality_age"] == 0


def test_a_reward_of_ones_own_is_used_within_its_bounds():
    mine = Reward("mine", lambda outcome: 100 * outcome.g_losses[-1], -1.0, 2.0)
    env = single(reward=mine)
    env.reset(seed=0)
    assert env.step(np.zeros(1))[1] == 2.0


# What is not shown


@pytest.mark.parametrize("reward", list(REWARDS))
@pytest.mark.parametrize("task", ["ring", "digits"])
def test_nothing_touches_test_data_before_the_score(task, reward, monkeypatch):
    env = single(task=task, reward=reward, score=True, quality_every=1, render_mode="rgb_array")

    def touched(*_):
        raise AssertionError("test data were touched")

    monkeypatch.setattr(env.trainer.task.data, "test", touched)
    env.reset(seed=0)
    steps = plan(env, 6)
    for action in steps[:5]:
        env.step(action)
    env.render()
    with pytest.raises(AssertionError, match="touched"):  # the last step scores
        env.step(steps[5])


@pytest.mark.parametrize("task", [SCORED["task"], "digits"], ids=["ring", "digits"])
def test_the_score_is_the_tasks_own_of_the_generator_as_it_ended(task):
    env = single(task=task, score=True)
    env.reset(seed=0)
    for action in plan(env, 6):
        *_, info = env.step(action)
    score = env.trainer.task.score
    assert info["score"] == score(env.trainer.samples(score.samples, Purpose.SCORE)[0])
    assert info["score"] > score.floor()


@pytest.mark.parametrize("env_id", IDS)
def test_info_has_the_same_keys_at_every_step_and_never_nan(env_id):
    env = single(env_id, **SCORED, track_quality=True)
    _, info = env.reset(seed=0)
    keys = set(info)
    for at, action in enumerate(plan(env, 6), 1):
        *_, info = env.step(action)
        assert set(info) - {"score"} == keys and ("score" in info) == (at == 6)
        assert all(isinstance(value, (int, float)) and np.isfinite(value) for value in info.values())
    assert {"g_loss", "d_loss", "d_lr", "g_lr", "update", "d_updates", "g_updates", "quality"} <= keys


# Actions and controls


def test_what_an_action_means():
    plain = vector(1, "gan_env/Rates-v0").codec.decode(np.array([[1.0, 1.0]]))
    assert (plain.d_multiplier.item(), plain.g_multiplier.item()) == pytest.approx((1_000.0, 300.0))
    plain = vector(1, "gan_env/Rates-v0").codec.decode(np.array([[-1.0, -1.0]]))
    assert (plain.d_multiplier.item(), plain.g_multiplier.item()) == pytest.approx((0.03, 0.01))
    many = vector(1, **DECADES)
    rates = [many.codec.decode(np.array([[a]])).d_multiplier.item() for a in (-1.0, 0.0, 0.5, 1.0)]
    assert rates == pytest.approx([0.1, 1.0, 10**0.5, 10.0])
    uneven = vector(1, d_lr_range=(0.1, 2.0))
    rates = [uneven.codec.decode(np.array([[a]])).d_multiplier.item() for a in (-1.0, -0.5, 0.0, 1.0)]
    assert rates == pytest.approx([0.1, 10**-0.5, 1.0, 2.0])
    choices = vector(3, "gan_env/UpdateChoice-v0").codec.decode(np.array([0, 1, 2]))
    assert choices.update_g.tolist() == [True, False, True] and choices.update_d.tolist() == [False, True, True]
    rates = vector(3, "gan_env/Rates-v0", **DECADES).codec.decode(np.array([[1, -1], [0, 0], [-1, 1.0]]))
    assert rates.update_g.all() and rates.update_d.all()
    assert rates.d_multiplier.tolist() == pytest.approx([10, 1, 0.1])
    assert rates.g_multiplier.tolist() == pytest.approx([0.1, 1, 10])
    joint = vector(3, "gan_env/Joint-v0", **DECADES).codec.decode(np.array([[1, -1, -1], [0, 0, 0], [-1, 1, 1.0]]))
    assert joint.update_g.tolist() == [True, True, False] and joint.update_d.tolist() == [False, True, True]
    assert joint.d_multiplier.tolist() == pytest.approx([10, 1, 0.1])
    assert joint.g_multiplier.tolist() == pytest.approx([0.1, 1, 10])


@pytest.mark.parametrize("env_id", IDS)
def test_an_action_decodes_and_encodes_to_the_same_control(env_id):
    env = vector(50, env_id, d_lr_range=(0.1, 2.0))
    for action in plan(env, 3):
        control = env.codec.decode(action)
        again = env.encode(control)
        assert env.action_space.contains(again)
        decoded = env.codec.decode(again)
        for name in ("update_g", "update_d", "reuse_real"):
            assert torch.equal(getattr(decoded, name), getattr(control, name))
        for name in ("d_multiplier", "g_multiplier"):
            torch.testing.assert_close(getattr(decoded, name), getattr(control, name), rtol=1e-6, atol=0)
    one = single(env_id)
    assert one.action_space.contains(one.encode(Control.of(1)))


@pytest.mark.parametrize(
    ("env_id", "control", "named"),
    [
        ("gan_env/LearningRate-v0", {"update_d": False}, "one player alone"),
        ("gan_env/LearningRate-v0", {"g_multiplier": 0.5}, "g_multiplier"),
        ("gan_env/LearningRate-v0", {"reuse_real": True}, "reuse_real"),
        ("gan_env/LearningRate-v0", {"d_multiplier": 10.1}, "d_multiplier=10.1"),
        ("gan_env/UpdateChoice-v0", {"d_multiplier": 2.0}, "d_multiplier"),
        ("gan_env/UpdateChoice-v0", {"g_multiplier": 2.0}, "g_multiplier"),
        ("gan_env/UpdateChoice-v0", {"reuse_real": True}, "reuse_real"),
        ("gan_env/Joint-v0", {"d_multiplier": 0.09}, "d_multiplier=0.09"),
        ("gan_env/Joint-v0", {"g_multiplier": 11.0}, "g_multiplier=11"),
        ("gan_env/Joint-v0", {"reuse_real": True}, "reuse_real"),
    ],
)
def test_what_an_id_cannot_express_is_refused_by_name_but_step_control_applies_it(env_id, control, named):
    env = single(env_id, **DECADES)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=named):
        env.encode(Control.of(1, **control))
    env.step_control(Control.of(1, **control))
    assert env.trainer.updates.tolist() == [1]


def test_a_control_does_the_same_in_every_id():
    controls = [
        Control.of(1, update_d=False, reuse_real=True, g_multiplier=50.0),
        Control.of(1, update_g=False, d_multiplier=0.001),
        Control.of(1, d_multiplier=3.0, g_multiplier=0.3),
    ]
    ends = []
    for env_id in IDS:
        env = single(env_id)
        env.reset(seed=0)
        results = [env.step_control(control) for control in controls]
        info = results[-1][-1]
        assert (info["d_updates"], info["g_updates"], info["update"]) == (2, 2, 3)
        assert env.trainer.real_index.tolist() == [2]  # one batch served twice
        ends.append((env.trainer.g.flat.clone(), env.trainer.d.flat.clone(), [r[1] for r in results]))
    for end in ends[1:]:
        assert torch.equal(end[0], ends[0][0]) and torch.equal(end[1], ends[0][1]) and end[2] == ends[0][2]


@pytest.mark.parametrize("env_id", IDS)
def test_an_action_and_its_control_do_the_same(env_id):
    a, b = single(env_id), single(env_id)
    a.reset(seed=0), b.reset(seed=0)
    for action in plan(a, 6):
        one, other = a.step(action), b.step_control(b.batch.codec.decode(np.asarray(action)[None]))
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:] == other[1:]


# Pictures and players


@pytest.mark.parametrize("task", ["ring", "digits", "dirac"])
def test_rendering_gives_a_picture_after_reset_after_a_step_and_after_a_failure(task):
    env = single(task=task, render_mode="rgb_array", reward="quality")
    env.reset(seed=0)
    frames = [env.render()]
    env.step(np.zeros(1))
    frames.append(env.render())
    env.trainer.g.flat[0] = torch.nan
    env.trainer.look()
    env.step(np.zeros(1))
    frames.append(env.render())
    for frame in frames:
        assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.std() > 1
    assert not np.array_equal(frames[0], frames[1])
    assert len(vector(2, render_mode="rgb_array").render_mode) > 0
    assert single().render() is None


def test_a_batch_renders_one_picture_a_row():
    env = vector(2, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.zeros((2, 1)))
    frames = env.render()
    assert len(frames) == 2 and not np.array_equal(*frames)


@pytest.mark.parametrize("task", ["ring", "digits"])
def test_the_players_handed_out_are_plain_modules_that_do_what_the_trainer_does(task):
    env = vector(3, task=task, dtype="float64")
    env.reset(seed=0)
    env.step(np.zeros((3, 1)))
    for row in range(3):
        g, d = env.generator(row), env.discriminator(row)
        assert isinstance(g, torch.nn.Module) and type(g) is type(env.trainer.task.generator())
        latents = torch.linspace(-1, 1, 5 * env.trainer.task.latent_size, dtype=torch.float64).view(5, -1)
        fake = env.trainer.g.functional(env.trainer.g.flat[row : row + 1], latents[None])
        torch.testing.assert_close(g(latents).detach(), fake[0], rtol=0, atol=1e-12)
        logits = env.trainer.d.functional(env.trainer.d.flat[row : row + 1], fake)
        torch.testing.assert_close(d(fake[0]).detach().flatten(), logits[0], rtol=0, atol=1e-12)


def test_what_is_done_to_the_players_handed_out_does_not_touch_the_env():
    env, other = single(), single()
    env.reset(seed=0), other.reset(seed=0)
    for module in (env.generator(), env.discriminator()):
        for p in module.parameters():
            p.data.zero_()
    env.sample(count=8).zero_()
    measurement = env.measurement
    before = measurement.state()
    for action in plan(env, 3):
        np.testing.assert_array_equal(env.step(action)[0], other.step(action)[0])
    assert all(torch.equal(value, before[name]) for name, value in measurement.state().items())  # an old one stays


def test_what_the_caller_does_to_what_was_handed_out_does_not_touch_the_env():
    env, other = vector(2), vector(2)
    results = env.reset(seed=0), other.reset(seed=0)
    for action in plan(env, 5):
        np.testing.assert_array_equal(results[0][0], results[1][0])
        results[0][0][:] = 7
        for value in results[0][-1].values():
            value[:] = 0
        if len(results[0]) == 5:
            for value in results[0][1:4]:
                value[:] = 0
        results = env.step(action), other.step(action)
    np.testing.assert_array_equal(results[0][3], results[1][3])


def test_later_steps_do_not_touch_what_was_handed_out(engine):
    env = vector(2, engine=engine, features="portable")
    results = [env.reset(seed=0), *map(env.step, plan(env, 4))]
    kept = deepcopy(results)
    for action in plan(env, 3):
        env.step(action)
    for result, held in zip(results, kept, strict=True):
        for value, before in zip(result[:-1], held[:-1], strict=True):
            np.testing.assert_array_equal(value, before)
        assert result[-1].keys() == held[-1].keys()
        for name, value in result[-1].items():
            np.testing.assert_array_equal(value, held[-1][name])


def test_samples_are_the_same_until_the_generator_moves_on():
    env = single()
    env.reset(seed=0)
    first = env.sample(count=16)
    assert first.shape == (16, 2) and torch.equal(env.sample(count=16), first)
    env.step(np.zeros(1))
    assert not torch.equal(env.sample(count=16), first)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("task", ["ring", "digits"])
def test_an_env_pickled_in_mid_episode_goes_on_to_the_bit(env_id, task):
    env = vector(2, env_id, task=task, reward="quality", quality_every=2)
    env.reset(seed=0)
    steps = plan(env, 9)  # over the end of an episode
    for action in steps[:3]:
        env.step(action)
    copy = pickle.loads(pickle.dumps(env))
    for action in steps[3:]:
        ours, theirs = env.step(action), copy.step(action)
        for a, b in zip(ours[:-1], theirs[:-1], strict=True):
            np.testing.assert_array_equal(a, b)
        assert_same_infos(ours[-1], theirs[-1])
    assert torch.equal(env.trainer.g.flat, copy.trainer.g.flat)


def test_observations_lie_where_an_agents_arithmetic_is_the_same_every_time():
    # A row-major array at a multiple of 64 bytes; in any other place torch rounds products in another way.
    env = vector(3)
    for seen in (env.reset(seed=0)[0], env.step(np.zeros((3, 1)))[0]):
        assert seen.flags.c_contiguous and seen.ctypes.data % 64 == 0


def test_observations_are_float32_whatever_torch_makes_by_default():
    env = GANVectorEnv(2, **(SMALL | {"device": "cpu"}))
    held = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        seen = [env.reset(seed=0)[0], env.step(np.zeros((2, 1), np.float32))[0]]
    finally:
        torch.set_default_dtype(held)
    assert all(each.dtype == np.float32 and env.observation_space.contains(each) for each in seen)


def test_a_bound_that_no_number_reaches_is_none():
    env = GANVectorEnv(2, **(SMALL | {"weight_bound": 1e300, "loss_bound": 1e300}))
    env.reset(seed=0)
    assert not env.step(np.zeros((2, 1), np.float32))[2].any()


# What RL libraries ask of a spec


@pytest.mark.parametrize("make", [gym.make, lambda *args, **kwargs: gym.make_vec(*args, num_envs=2, **kwargs)])
def test_a_spec_with_a_registered_task_is_written_as_json_and_read_back(make):
    for task in ("ring", make_task("ring"), make_task("digits")):
        env = make(IDS[0], task=task, **SMALL)
        read = EnvSpec.from_json(env.spec.to_json())
        assert read.kwargs["task"] == getattr(task, "name", task) and env.spec.kwargs["task"] == read.kwargs["task"]
        assert (
            gym.make(env.spec.id, **SMALL, task=read.kwargs["task"]).unwrapped.trainer.task.name == read.kwargs["task"]
        )
    changed = replace(make_task("ring"), d_lr=1e-3)  # has no name to be built by
    assert make(IDS[0], task=changed, **SMALL).spec.kwargs["task"].d_lr == 1e-3


@pytest.mark.parametrize("make", [gym.make, lambda *args, **kwargs: gym.make_vec(*args, num_envs=2, **kwargs)])
def test_a_spec_with_a_config_is_written_as_json_and_builds_the_same_environment(make):
    config = EnvConfig(
        task="ring", episode_updates=6, batch_size=8, features=("g_loss", "progress"), d_lr_range=(0.1, 10.0),
        optimizer=OptimizerSpec(betas=(0.5, 0.9)), reward="quality", score=False,
    )  # fmt: skip
    env = make(IDS[0], config=config)
    read = EnvSpec.from_json(env.spec.to_json())
    again = make(read.id, **{name: value for name, value in read.kwargs.items() if name != "num_envs"})
    action = np.full(env.action_space.shape, 0.5, np.float32)
    for each in (env, again):
        each.reset(seed=0)
    for _ in range(3):
        (seen, reward), (seen_again, reward_again) = (each.step(action)[:2] for each in (env, again))
        assert np.array_equal(seen, seen_again) and np.array_equal(reward, reward_again)


def test_torchrls_own_environment_finds_the_ids():
    torchrl = pytest.importorskip("torchrl.envs")
    env = torchrl.GymEnv(IDS[0], task="ring", episode_updates=6, score=False)
    assert env.rollout(3)["next", "reward"].shape == (3, 1)
    with pytest.raises(TypeError, match="did you mean 'task'"):
        torchrl.GymEnv(IDS[0], taks="ring")
