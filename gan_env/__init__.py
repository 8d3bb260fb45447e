"""GAN training as a Gymnasium environment, batched from the first line. Importing registers the three ids."""

import gymnasium as _gym

import gan_env.games  # noqa: F401  (importing registers the tasks)
from gan_env.config import EnvConfig
from gan_env.env import GANEnv, GANVectorEnv
from gan_env.records import Control, GameFacts, Measurement, Transition
from gan_env.task import Task

ENV_IDS = {
    "gan_env/LearningRate-v0": "learning-rate",
    "gan_env/UpdateChoice-v0": "update-choice",
    "gan_env/Joint-v0": "joint",
}
"""Each id, and the `control` that its actions encode."""

for _id, _control in ENV_IDS.items():
    if _id not in _gym.registry:  # importing twice is harmless
        _gym.register(
            _id,
            entry_point="gan_env.env:GANEnv",
            vector_entry_point="gan_env.env:GANVectorEnv",
            kwargs={"control": _control},
        )

__all__ = [
    "ENV_IDS",
    "Control",
    "EnvConfig",
    "GANEnv",
    "GANVectorEnv",
    "GameFacts",
    "Measurement",
    "Task",
    "Transition",
]
