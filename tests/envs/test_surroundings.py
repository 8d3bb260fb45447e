"""What goes on around an environment, other threads and modes of torch, does not reach the GANs in it."""

from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from gan_env.envs.env import GANEnv, GANVectorEnv
from gan_env.tasks.task import Task

RATE, CHOICE, RATES = "gan_env/LearningRate-v0", "gan_env/UpdateChoice-v0", "gan_env/Rates-v0"
SMALL = {"episode_updates": 6, "batch_size": 32, "score": False}


def test_environments_in_threads_are_those_of_a_loop():
    def played(seed):
        env = gym.make(CHOICE, task="digits", **SMALL)
        env.reset(seed=seed)
        return [env.step(2)[0].tolist() for _ in range(3)]

    alone = [played(seed) for seed in range(6)]
    for _ in range(3):  # the threads would have to draw in turns by chance
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(played, range(6))) == alone


@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "autocast", "default device"],
)
@pytest.mark.parametrize("built_inside", [True, False])
def test_modes_of_torch_around_a_rollout_do_not_reach_the_gan(mode, built_inside, engine):
    def made():
        return gym.make_vec(RATES, num_envs=2, task="ring", engine=engine, **SMALL)

    def played(env):
        env.reset(seed=0)
        seen = [env.step(np.full((2, 2), 0.5, np.float32))[0] for _ in range(2)]
        branch = env.unwrapped.fork([1])
        branch.restore(env.unwrapped.snapshot([1]))
        return np.concatenate(
            [*seen, branch.step(np.zeros((1, 2)))[0], branch.sample(0, 4).numpy().reshape(1, -1)], None
        )

    expected, env = played(made()), made()
    with mode():
        np.testing.assert_array_equal(played(made() if built_inside else env), expected)
    np.testing.assert_array_equal(played(env), expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_a_task_of_ones_own_may_be_made_under_modes_of_torch(mode):
    def score():
        task = Task(
            generator=lambda: nn.Linear(4, 2),
            discriminator=lambda: nn.Linear(2, 1),
            data=torch.linspace(0, 1, 100).reshape(50, 2),
            latent_size=4,
        )
        env = gym.make(CHOICE, task=task, episode_updates=2)
        env.reset(seed=0)
        return [env.step(2) for _ in range(2)][-1][4]["score"]

    expected = score()
    with mode():
        assert score() == expected


@pytest.mark.parametrize("ask", ["generator", "discriminator", "sample"])
def test_no_player_is_handed_out_before_there_is_one(ask):
    for env in (GANEnv(**SMALL), GANVectorEnv(2, **SMALL)):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            getattr(env, ask)()
