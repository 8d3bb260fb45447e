"""Hyper-parameters for rl-zoo3, one module an algorithm: `--gym-packages gan_env --conf-file agents.zoo.td3`.

Each has a dictionary `hyperparams` by environment id, as rl-zoo3 wants it. `benchmarks/zoo_search.py` chose them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GAME = {
    "task": "ring",
    "d_lr": 1e-3,  # at the task's own 2e-4 1,000 updates only lead astray, and the best agent stops the generator
    "g_lr": 1e-3,
    "d_lr_range": [0.1, 10.0],  # a decade either way, which they were chosen on
    "g_lr_range": [0.1, 10.0],
    "updates_per_step": 10,
    "episode_updates": 1_000,
    "reward": "quality_gain",
    "quality_every": 1,
    "score": False,  # rl-zoo3 has no use for it, and it costs 0.6 s an episode
}
"""What they were chosen on; `--env-kwargs` puts another game in its place."""


def entry(*, net_arch: Sequence[int], norm_reward: bool, **chosen: Any) -> dict[str, Any]:
    """Hyper-parameters, and what all entries have in common: the game, and a controller file at the end."""
    normalize = {"normalize": {"norm_obs": False, "norm_reward": True}} if norm_reward else {}
    return {
        "env_kwargs": GAME,
        "callback": "agents.SaveController",
        "n_timesteps": 5_000,
        "policy": "MlpPolicy",
        "policy_kwargs": {"net_arch": list(net_arch)},
        **normalize,
        **chosen,
    }


def off_policy(**chosen: Any) -> dict[str, Any]:
    """An entry of DDPG or TD3."""
    return entry(learning_starts=400, noise_type="normal", **chosen)


def on_policy(**chosen: Any) -> dict[str, Any]:
    """An entry of PPO: 16 GANs, as in the search."""
    return entry(n_envs=16, batch_size=80, **chosen)
