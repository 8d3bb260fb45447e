"""GAN training as a Gymnasium environment, batched from the first line. Importing registers the four ids.

Everything else, including torch, is imported on first access, so that `gan-env --help` prints at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_env.envs.actions import LogRange
    from gan_env.envs.config import EnvConfig
    from gan_env.envs.env import GANEnv, GANVectorEnv
    from gan_env.envs.observations import FEATURES, Feature
    from gan_env.envs.rewards import REWARDS, Outcome, Reward, RewardContext
    from gan_env.losses.losses import LOSSES, Loss, get_loss
    from gan_env.networks.mlp import mlp_discriminator, mlp_generator
    from gan_env.optimizer_spec import OptimizerSpec
    from gan_env.tasks.reference_scores import marks
    from gan_env.tasks.task import TASKS, Data, Quality, Score, Task, Wiring, make_task
    from gan_env.training.annealing import Annealing
    from gan_env.training.snapshot import Snapshot, SnapshotError
    from gan_env.types import Control, GameFacts, Measurement, Transition

ENV_IDS = {
    "gan_env/LearningRate-v0": "learning-rate",
    "gan_env/UpdateChoice-v0": "update-choice",
    "gan_env/Rates-v0": "rates",
    "gan_env/Joint-v0": "joint",
}
"""Each id, and the `control` that its actions encode."""

_ON_DEMAND = {
    "Annealing": "gan_env.training.annealing",
    "Control": "gan_env.types",
    "Data": "gan_env.tasks.task",
    "EnvConfig": "gan_env.envs.config",
    "FEATURES": "gan_env.envs.observations",
    "Feature": "gan_env.envs.observations",
    "GANEnv": "gan_env.envs.env",
    "GANVectorEnv": "gan_env.envs.env",
    "GameFacts": "gan_env.types",
    "LOSSES": "gan_env.losses.losses",
    "LogRange": "gan_env.envs.actions",
    "Loss": "gan_env.losses.losses",
    "Measurement": "gan_env.types",
    "OptimizerSpec": "gan_env.optimizer_spec",
    "Outcome": "gan_env.envs.rewards",
    "Quality": "gan_env.tasks.task",
    "REWARDS": "gan_env.envs.rewards",
    "Reward": "gan_env.envs.rewards",
    "RewardContext": "gan_env.envs.rewards",
    "Score": "gan_env.tasks.task",
    "Snapshot": "gan_env.training.snapshot",
    "SnapshotError": "gan_env.training.snapshot",
    "TASKS": "gan_env.tasks.task",
    "Task": "gan_env.tasks.task",
    "Transition": "gan_env.types",
    "Wiring": "gan_env.tasks.task",
    "get_loss": "gan_env.losses.losses",
    "make_task": "gan_env.tasks.task",
    "marks": "gan_env.tasks.reference_scores",
    "mlp_discriminator": "gan_env.networks.mlp",
    "mlp_generator": "gan_env.networks.mlp",
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
                entry_point="gan_env.envs.env:GANEnv",
                vector_entry_point="gan_env.envs.env:GANVectorEnv",
                kwargs={"control": _control},
            )

__all__ = [
    "Annealing",
    "Control",
    "Data",
    "ENV_IDS",
    "EnvConfig",
    "FEATURES",
    "Feature",
    "GANEnv",
    "GANVectorEnv",
    "GameFacts",
    "LOSSES",
    "LogRange",
    "Loss",
    "Measurement",
    "OptimizerSpec",
    "Outcome",
    "Quality",
    "REWARDS",
    "Reward",
    "RewardContext",
    "Score",
    "Snapshot",
    "SnapshotError",
    "TASKS",
    "Task",
    "Transition",
    "Wiring",
    "get_loss",
    "make_task",
    "marks",
    "mlp_discriminator",
    "mlp_generator",
]
