"""Stable-Baselines3 on the native batch: four GANs train side by side, and one agent learns from all of them.

    pip install gan-env stable-baselines3
    python examples/rl/train_sb3.py

`gym.make(env_id)` goes in as it is, too; then one GAN trains at a time.
"""

import time

import gymnasium as gym
from judge import GAME, report
from stable_baselines3 import DDPG, PPO, TD3

import gan_env  # noqa: F401  (importing registers the ids)
from agents import SB3VecEnv

ROWS, STEPS = 4, 400


def train(env_id, algorithm, **options):
    env = SB3VecEnv(gym.make_vec(env_id, num_envs=ROWS, autoreset_mode="SameStep", **GAME))
    model = algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [64, 64]}, seed=0, device="cpu", **options)
    began = time.perf_counter()
    model.learn(STEPS)
    elapsed_s = time.perf_counter() - began
    report(env_id, algorithm.__name__, ROWS, STEPS, elapsed_s, lambda seen: model.predict(seen, deterministic=True)[0])


if __name__ == "__main__":
    # With several rows `train_freq` counts steps of the batch, and gradient_steps=-1 takes one for each transition.
    train("gan_env/LearningRate-v0", DDPG, learning_starts=100, train_freq=(1, "step"), gradient_steps=-1)
    train("gan_env/UpdateChoice-v0", PPO, n_steps=50, batch_size=50)
    train("gan_env/Joint-v0", TD3, learning_starts=100, train_freq=(1, "step"), gradient_steps=-1)
