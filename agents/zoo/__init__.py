"""Hyper-parameters for rl-zoo3, one module an algorithm: `--gym-packages gan_env --conf-file agents.zoo.td3`.

Each has a dictionary `hyperparams` by environment id, as rl-zoo3 wants it. `benchmarks/zoo_search.py` chose them.
"""

from __future__ import annotations

from typing import Any

GAME = {
    "task": "ring",
    "updates_per_step": 10,
    "episode_updates": 1_000,
    "reward": "quality_gain",
    "quality_every": 1,
    "score": False,  # rl-zoo3 has no use for it, and it costs 0.6 s an episode
}
"""What they were chosen on; `--env-kwargs` puts another game in its place."""


def entry(**chosen: Any) -> dict[str, Any]:
    """Hyper-parameters and what all entries have in common: the game, and a controller file at the end."""
    return {"env_kwargs": GAME, "callback": "agents.sb3_export.SaveController", "policy": "MlpPolicy", **chosen}
