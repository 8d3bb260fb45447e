"""Promises of RLlib on a cluster: runners play the games of one process, each its own; a dead one is replaced."""

import gc
import importlib
import os
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("ray.rllib")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings
EXAMPLES = Path(__file__).parents[2] / "examples" / "rl"
RUNNERS, ROWS = 2, 4


@pytest.fixture(scope="module")
def cluster():
    """The script as a module, and the algorithm that it builds, on two runners."""
    import ray

    sys.path.insert(0, str(EXAMPLES))
    module = importlib.import_module("rllib_cluster")
    ray.cloudpickle.register_pickle_by_value(module)  # the workers cannot import it
    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False)
    algorithm = module.build(RUNNERS, ROWS, learners=1, decisions=10)
    yield module, algorithm
    algorithm.stop()
    ray.shutdown()
    sys.path.remove(str(EXAMPLES))
    with warnings.catch_warnings(action="ignore"):  # that Ray's processes are still about to end
        gc.collect()


def test_rows_of_the_runners_are_those_of_one_process_with_their_seeds_and_actions(cluster):
    module, algorithm = cluster
    steps = module.GAME["episode_updates"] // module.GAME["updates_per_step"] + 10  # into the second episode
    sampled = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.sample(num_timesteps=steps * ROWS, random_actions=True, force_reset=True),
        local_env_runner=False,
    )
    env = gym.make_vec(
        "gan_env:gan_env/LearningRate-v0", num_envs=RUNNERS * ROWS, autoreset_mode="SameStep", **module.GAME
    )
    # Runner w has the seed w, which OwnSeeds makes the rows w * ROWS and on: seeds 4 to 11 without a gap.
    seen, _ = env.reset(seed=ROWS)
    first = {tuple(episode.get_observations(0)): episode for episodes in sampled for episode in episodes}
    played = [[first[tuple(row)]] for row in seen]  # found by what it saw first, and each exactly once
    assert len({id(each[0]) for each in played}) == RUNNERS * ROWS
    for step in range(steps):
        episodes = [each[-1] for each in played]
        at = step % (steps - 10)
        result = env.step(np.stack([episode.get_actions(at) for episode in episodes]))
        np.testing.assert_array_equal(result[1].astype(np.float32), [np.float32(e.get_rewards(at)) for e in episodes])
        last = result[4].get("final_obs", result[0])
        np.testing.assert_array_equal(np.stack(last), [e.get_observations(at + 1) for e in episodes])
        if result[3].all():
            played = [[first[tuple(row)]] for row in result[0]]


def test_a_killed_runner_is_replaced_and_training_goes_on(cluster):
    module, algorithm = cluster
    before = algorithm.train()["num_env_steps_sampled_lifetime"]
    dead = module.kill_a_runner(algorithm)
    module.healed(algorithm, RUNNERS)
    pids = algorithm.env_runner_group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)
    assert len(pids) == RUNNERS and dead not in pids
    after = algorithm.train()["num_env_steps_sampled_lifetime"]
    assert after - before >= RUNNERS * ROWS * 10
