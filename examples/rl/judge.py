"""What the scripts of this folder share: a small game, and the line that says how fast an agent learned, and what."""

import gymnasium as gym
import numpy as np
import torch

torch.set_num_threads(1)  # networks this small gain nothing from more

GAME = {"task": "ring", "updates_per_step": 2, "episode_updates": 100, "score": False}


def report(env_id, algorithm, rows, steps, elapsed_s, act):
    """Runs one episode that no agent has seen under `act`, observation to action, and prints a line.

    A step is one decision for one GAN. The score is the exact distance of its samples to test data, lower is better.
    """
    env = gym.make(env_id, **{**GAME, "score": True})
    seen, info = env.reset(seed=3_000_000)
    over = False
    while not over:
        action = np.asarray(act(seen)).reshape(env.action_space.shape).astype(env.action_space.dtype)
        seen, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    batch = f"native batch of {rows}" if rows > 1 else "single"
    found = f"{steps} steps | {steps / elapsed_s:.0f} steps/s | score {info['score']:.3f}"
    print(" | ".join([env_id.removeprefix("gan_env/"), algorithm, batch, found]))
