"""GAN training as a Gymnasium environment, batched from the first line. Importing registers the three ids.

All else, torch with it, is imported when it is first asked for, so that `gan-env --help` is there at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_env.config import EnvConfig
    from gan_env.env import GANEnv, GANVectorEnv
    from gan_env.records import Control, GameFacts, Measurement, Transition
    from gan_env.snapshot import Snapshot, SnapshotError
    from gan_env.task import Task

ENV_IDS = {
    "gan_env/LearningRate-v0": "learning-rate",
    "gan_env/UpdateChoice-v0": "update-choice",
    "gan_env/Joint-v0": "joint",
}
"""Each id, and the `control` that its actions encode."""

_ON_DEMAND = {
    "Control": "gan_env.records",
    "EnvConfig": "gan_env.config",
    "GANEnv": "gan_env.env",
    "GANVectorEnv": "gan_env.env",
    "GameFacts": "gan_env.records",
    "Measurement": "gan_env.records",
    "Snapshot": "gan_env.snapshot",
    "SnapshotError": "gan_env.snapshot",
    "Task": "gan_env.task",
    "Transition": "gan_env.records",
}


def __getattr__(name: str) -> Any:
    # Controllers in a user's own loop import this package too, and there Gymnasium need not be installed.
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)


try:
    import gymnasium as _gym
except ModuleNotFoundError as error:
    if error.name != "gymnasium":
        raise
else:
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
    "Snapshot",
    "SnapshotError",
    "Task",
    "Transition",
]
