"""sb3-contrib on the native batch: TQC, QR-DQN and TRPO.

pip install gan-env sb3-contrib
python examples/rl/train_sb3_contrib.py
"""

import time

import gymnasium as gym
from judge import GAME, report
from sb3_contrib import QRDQN, TQC, TRPO

import gan_env  # noqa: F401  (importing registers the ids)
from agents.sb3 import SB3VecEnv

ROWS, STEPS = 4, 400


def train(env_id, algorithm, **options):
    env = SB3VecEnv(gym.make_vec(env_id, num_envs=ROWS, autoreset_mode="SameStep", **GAME))
    model = algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [64, 64]}, seed=0, device="cpu", **options)
    began = time.perf_counter()
    model.learn(STEPS)
    elapsed_s = time.perf_counter() - began
    report(env_id, algorithm.__name__, ROWS, STEPS, elapsed_s, lambda seen: model.predict(seen, deterministic=True)[0])


if __name__ == "__main__":
    train("gan_env/LearningRate-v0", TQC, learning_starts=100)
    train("gan_env/UpdateChoice-v0", QRDQN, learning_starts=100)
    train("gan_env/Joint-v0", TRPO, n_steps=50, batch_size=50)
