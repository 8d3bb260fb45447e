"""RLlib on a Ray cluster: env runners with a native batch each, and the learner in a process apart.

    pip install gan-env "ray[tune]" dm-tree ormsgpack lz4
    python examples/rl/rllib_cluster.py                      # two runners on this machine
    python examples/rl/rllib_cluster.py --kill               # and one of them dies on the way
    python examples/rl/rllib_cluster.py --address auto --runners 16 --rows 64

The last line is for many nodes: install the same on each, `ray start --head` on one, `ray start --address=HOST:6379` on
the others, and run it on the first. It prints the throughput beside that of a single process on this machine.
"""

import argparse
import os
import signal
import time

import gymnasium as gym
import ray
from judge import GAME
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env


class OwnSeeds(gym.vector.VectorWrapper):
    """RLlib gives runner w the seed s + w, and row i has its seed + i: without this two runners would share GANs."""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=None if seed is None else seed * self.num_envs, options=options)


def make(context):
    return OwnSeeds(gym.make_vec("gan_env:gan_env/LearningRate-v0", num_envs=context["num_envs"], **GAME))


def build(runners, rows, learners, decisions=50):
    """The algorithm; one round of it takes as many decisions of every row."""
    register_env("steered", make)
    return (
        PPOConfig()
        .environment("steered")
        .env_runners(
            num_env_runners=runners,
            num_envs_per_env_runner=rows,
            gym_env_vectorize_mode="vector_entry_point",
            rollout_fragment_length=decisions,
        )
        .learners(num_learners=learners)
        .fault_tolerance(restart_failed_env_runners=True, delay_between_env_runner_restarts_s=1.0)
        .training(train_batch_size_per_learner=max(runners, 1) * rows * decisions, minibatch_size=50, num_epochs=2)
        .rl_module(model_config={"fcnet_hiddens": [64]})
        .debugging(seed=0)
        .build_algo()
    )


def rate(algorithm, rounds):
    """Decisions of one row a second, learning included; the first round starts things up and does not count."""
    before = algorithm.train()["num_env_steps_sampled_lifetime"]
    began = time.perf_counter()
    for _ in range(rounds):
        after = algorithm.train()["num_env_steps_sampled_lifetime"]
    return (after - before) / (time.perf_counter() - began)


def kill_a_runner(algorithm):
    """Ends one runner's process as a lost machine would; gives its process id."""
    pid = algorithm.env_runner_group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)[0]
    os.kill(pid, signal.SIGKILL)
    return pid


def healed(algorithm, runners, most=60):
    """Trains until all runners are there again; gives the rounds that it took."""
    for done in range(1, most + 1):
        algorithm.train()
        time.sleep(1)
        if algorithm.env_runner_group.num_healthy_remote_workers() == runners:
            return done
    raise TimeoutError(f"still only {algorithm.env_runner_group.num_healthy_remote_workers()} of {runners} runners")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", help='of a running cluster, e.g. "auto"; by default one starts here')
    parser.add_argument("--runners", type=int, default=2)
    parser.add_argument("--rows", type=int, default=8, help="GANs side by side in each runner")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kill", action="store_true")
    given = parser.parse_args()
    here = {"num_cpus": given.runners + 2, "include_dashboard": False, "object_store_memory": 200 * 2**20}
    ray.init(given.address, log_to_driver=False, **({} if given.address else here))

    single = build(0, given.rows, learners=0)
    print(f"single process, {given.rows} rows: {rate(single, given.rounds):.0f} steps/s")
    single.stop()
    cluster = build(given.runners, given.rows, learners=1)
    shape = f"{given.runners} runners of {given.rows} rows, learner apart"
    print(f"{shape}: {rate(cluster, given.rounds):.0f} steps/s")
    if given.kill:
        pid = kill_a_runner(cluster)
        print(f"runner {pid} killed; after {healed(cluster, given.runners)} round(s) {given.runners} runners again")
    cluster.stop()
