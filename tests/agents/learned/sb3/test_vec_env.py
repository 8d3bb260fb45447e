"""Stable-Baselines3 on the environments: its algorithms, the adapter, the guard around its global randomness."""

import random

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3

import gan_env  # noqa: F401  (importing registers the ids)
from agents.learned.fsco import FscoConfig, make_fsco
from agents.learned.sb3.vec_env import PrivateRandomness, SB3VecEnv
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANEnv, GANVectorEnv, make_trainer
from gan_env.envs.rewards import Reward
from gan_env.types import GameFacts

SHORT = {"task": "ring", "batch_size": 8, "episode_updates": 10, "score": False}


def globals_now():
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def assert_globals_are(before):
    """NumPy's and torch's: the shape checker that these tests run under draws from Python's own generator itself."""
    after = globals_now()
    assert torch.equal(before[2], after[2])
    assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))


@pytest.mark.parametrize("algorithm", [DDPG, TD3, SAC, PPO])
@pytest.mark.parametrize("name", ["LearningRate", "Joint"])
def test_continuous_algorithms_train_500_steps(algorithm, name):
    env = gym.make(f"gan_env/{name}-v0", **SHORT)
    more = {"n_steps": 125} if algorithm is PPO else {"learning_starts": 450}
    model = algorithm("MlpPolicy", env, batch_size=25, policy_kwargs={"net_arch": [8]}, device="cpu", **more)
    model.learn(500)
    assert model.num_timesteps == 500
    action, _ = model.predict(env.observation_space.sample())
    assert env.action_space.contains(action)


@pytest.mark.parametrize("algorithm", [DQN, PPO])
def test_discrete_algorithms_train_500_steps(algorithm):
    env = gym.make("gan_env/UpdateChoice-v0", **SHORT)
    more = {"n_steps": 125} if algorithm is PPO else {"learning_starts": 450}
    model = algorithm("MlpPolicy", env, batch_size=25, policy_kwargs={"net_arch": [8]}, device="cpu", **more)
    model.learn(500)
    assert model.num_timesteps == 500


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gym.make("gan_env/LearningRate-v0", **SHORT), "a single environment goes into SB3 as it is"),
        (lambda: GANEnv(**SHORT), "a single environment goes into SB3 as it is"),
        (lambda: RecordEpisodeStatistics(GANVectorEnv(2, **SHORT)), "unwrapped, and put SB3's own wrappers"),
        (lambda: 3, r"not int; give gym.make_vec\(..., autoreset_mode='SameStep'\)"),
    ],
)
def test_the_adapter_refuses_what_is_no_native_batch_and_says_what_to_give(make, said):
    with pytest.raises(ValueError, match=said):
        SB3VecEnv(make())


def test_the_adapter_takes_what_its_errors_ask_for():
    made = gym.make_vec("gan_env/LearningRate-v0", num_envs=2, autoreset_mode="SameStep", **SHORT)
    assert SB3VecEnv(made).num_envs == 2


def test_ddpg_trains_on_the_native_batch_through_the_adapter():
    env = SB3VecEnv(GANVectorEnv(4, autoreset_mode="SameStep", **SHORT))
    model = DDPG(
        "MlpPolicy", env, learning_starts=100, batch_size=16, gradient_steps=4, policy_kwargs={"net_arch": [8]}
    )
    model.learn(500)
    assert model.num_timesteps == 500
    assert len(model.ep_info_buffer) > 0 and all(info["l"] == 10 for info in model.ep_info_buffer)


def test_the_adapter_hands_on_truncation_and_the_last_observation():
    native = GANVectorEnv(3, autoreset_mode="SameStep", **{**SHORT, "episode_updates": 2})
    twin = GANVectorEnv(3, autoreset_mode="Disabled", **{**SHORT, "episode_updates": 2})
    env = SB3VecEnv(native)
    env.seed(7)
    actions = np.full((3, 1), 0.3, np.float32)
    assert np.array_equal(env.reset(), twin.reset(seed=7)[0])
    env.step(actions)
    observations, rewards, done, infos = env.step(actions)
    twin.step(actions)
    last, expected, terminated, truncated, _ = twin.step(actions)
    assert done.all() and truncated.all() and not terminated.any()
    np.testing.assert_array_equal(rewards, expected.astype(np.float32))
    for row in range(3):
        assert infos[row]["TimeLimit.truncated"] is True
        np.testing.assert_array_equal(infos[row]["terminal_observation"], last[row])
        assert infos[row]["episode"]["l"] == 2
    assert not np.array_equal(observations, last)


def test_a_failure_is_not_passed_on_as_a_truncation():
    env = SB3VecEnv(GANVectorEnv(2, autoreset_mode="SameStep", **SHORT))
    env.reset()
    env.env.trainer.g.flat[1] = float("nan")
    env.env.trainer.look()
    _, _, done, infos = env.step(np.zeros((2, 1), np.float32))
    assert done.tolist() == [False, True]
    assert infos[1]["TimeLimit.truncated"] is False and infos[1]["failure"] == "non-finite weights"


def test_the_adapter_wants_same_step_autoreset():
    with pytest.raises(ValueError, match="SameStep"):
        SB3VecEnv(GANVectorEnv(2, **SHORT))


def test_the_guard_gives_back_the_callers_randomness_and_goes_on_with_its_own():
    before = globals_now()
    guard = PrivateRandomness(3)
    with guard():
        first = random.random(), np.random.rand(), torch.rand(1).item()
    with guard():
        second = random.random(), np.random.rand(), torch.rand(1).item()
    assert_globals_are(before)
    assert random.getstate() == before[0]
    other = PrivateRandomness(3)
    with other():
        assert first == (random.random(), np.random.rand(), torch.rand(1).item())
    resumed = PrivateRandomness(99)
    resumed.state = other.state
    with resumed():
        assert second == (random.random(), np.random.rand(), torch.rand(1).item())


def embedded_run(seeds, decisions=60, **options):
    trainer = make_trainer(EnvConfig(task="ring", batch_size=32, episode_updates=decisions), len(seeds))
    trainer.reset(np.array(seeds), np.zeros(len(seeds), np.int64))
    agent = make_fsco(hidden=(8,), learning_starts=5, batch_size=8, buffer_size=500, **options)
    agent.reset(seeds, trainer.facts)
    multipliers = []
    for _ in range(decisions):
        control = agent.act(trainer.measurement)
        multipliers.append(control.d_multiplier.clone())
        trainer.advance(control)
    return agent, torch.stack(multipliers)


def test_embedded_agents_are_their_rows_own_and_leave_global_randomness_alone():
    before = globals_now()
    _, together = embedded_run([4, 9])
    assert_globals_are(before)
    np.random.seed(1)
    _, alone = embedded_run([9])
    torch.testing.assert_close(together[:, 1], alone[:, 0], atol=0, rtol=0)
    assert together.std(0).min() > 0.05  # it explores


def test_an_embedded_agent_learns_the_reward_of_the_measurements_that_it_saw():
    trainer = make_trainer(EnvConfig(task="ring", batch_size=8, episode_updates=40), 1)
    trainer.reset(np.array([2]), np.array([0]))
    agent = make_fsco(hidden=(8,), learning_starts=100, updates_per_step=2)
    agent.reset([2], trainer.facts)
    gaps = []
    for _ in range(21):
        gaps.append(float((trainer.measurement.g_loss - trainer.measurement.d_mean).abs()))
        trainer.advance(agent.act(trainer.measurement))
    buffer = agent._agents[0]._model.replay_buffer
    expected = [-(gaps[i] + gaps[i + 1]) / 2 for i in range(1, 20, 2)]
    np.testing.assert_allclose(buffer.rewards[:10, 0], expected, rtol=1e-6)
    assert buffer.pos == 10 and not buffer.dones[:10].any()


def test_a_saved_embedded_agent_goes_on_bit_for_bit():
    agent, _ = embedded_run([4, 9], decisions=30)
    trainer = make_trainer(EnvConfig(task="ring", batch_size=8, episode_updates=60), 2)
    trainer.reset(np.array([4, 9]), np.zeros(2, np.int64))
    twin = make_fsco(hidden=(8,), learning_starts=5, batch_size=8, buffer_size=500)
    twin.load_state_dict(agent.state_dict())
    for _ in range(20):
        ours, its = agent.act(trainer.measurement), twin.act(trainer.measurement)
        assert torch.equal(ours.d_multiplier, its.d_multiplier)
        trainer.advance(ours)


def test_fsco_refuses_losses_that_can_be_negative():
    with pytest.raises(ValueError, match="can be negative"):
        make_fsco().reset([1], GameFacts(loss="wgan", signed=True))


def test_ddpg_learns_to_copy_what_it_sees():
    """SB3's own kind of learning test, on our adapter: the reward is minus the action's distance from +0.5."""
    aim = Reward("aim", lambda o: np.zeros(1), -1.0, 0.0)
    env = GANVectorEnv(8, autoreset_mode="SameStep", reward=aim, **SHORT)
    step_control = env.step_control

    def rewarded(control):
        observations, _, terminated, truncated, infos = step_control(control)
        reward = -np.abs(env.codec.position(control)[:, 0] - 0.5)
        return observations, reward, terminated, truncated, infos

    env.step_control = rewarded
    guard = PrivateRandomness(0)
    with guard():
        from agents.learned.fsco import make_ddpg

        vec = SB3VecEnv(env)
        model = make_ddpg(FscoConfig(hidden=(16,), gamma=0.3, learning_starts=800), vec, 0, gradient_steps=8)
        model.learn(3_200)
        actions, _ = model.predict(vec.reset(), deterministic=True)
    assert np.abs(actions - 0.5).max() < 0.2


# SB3's way to call a method of one row


def test_a_method_is_asked_for_the_rows_that_are_named_as_in_sb3s_own_vec_envs():
    from stable_baselines3.common.vec_env import DummyVecEnv

    batch = GANVectorEnv(3, autoreset_mode="SameStep", render_mode="rgb_array", **SHORT)
    ours = SB3VecEnv(batch)
    singles = DummyVecEnv([lambda: GANEnv(render_mode="rgb_array", **SHORT)] * 3)
    for env in (ours, singles):
        env.seed(0)
        env.reset()
    for indices, rows in ((None, [0, 1, 2]), ([2], [2]), (1, [1]), ([2, 0], [2, 0])):
        for method, options in (("sample", {"count": 4}), ("generator", {})):
            mine, theirs = (env.env_method(method, indices=indices, **options) for env in (ours, singles))
            assert len(mine) == len(theirs) == len(rows)
            for a, b in zip(mine, theirs, strict=True):
                a, b = ((a, b) if method == "sample" else (next(a.parameters()), next(b.parameters())))  # fmt: skip
                torch.testing.assert_close(a, b)
        assert [image.shape for image in ours.env_method("render", indices=indices)] == [(320, 960, 3)] * len(rows)
    assert torch.equal(ours.env_method("sample", row=1, count=2, indices=[1])[0], batch.sample(1, 2))
    first, second = ours.env_method("snapshot", indices=[0, 1])  # asked of all rows at once
    assert first is second
