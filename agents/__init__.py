"""Controllers of GAN training: the same object drives the environment, the benchmark and a user's own loop.

Names are imported on first access, because most of them need more than torch and NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base import CONTROLLERS, Controller, Learns, NeedsTrainer
from .registry import list_controllers, make_controller

if TYPE_CHECKING:
    from .comparison.compare import compare
    from .comparison.contestants import Contestant
    from .comparison.result import ComparisonResult
    from .comparison.seeds import split_seeds
    from .learned.sb3.vec_env import SB3VecEnv
    from .policies.policy_files import ControllerFileError, load_controller, save_controller
    from .rules.replay import Recorder
    from .rules.scripted import Argument, ScriptedFactory, scripted
    from .steer import Decision, Steer
    from .training.sb3_export import SaveController

_ON_DEMAND = {
    "Argument": ".rules.scripted",
    "ComparisonResult": ".comparison.result",
    "Contestant": ".comparison.contestants",
    "ControllerFileError": ".policies.policy_files",
    "Decision": ".steer",
    "Recorder": ".rules.replay",
    "SB3VecEnv": ".learned.sb3.vec_env",
    "SaveController": ".training.sb3_export",
    "ScriptedFactory": ".rules.scripted",
    "Steer": ".steer",
    "compare": ".comparison.compare",
    "load_controller": ".policies.policy_files",
    "save_controller": ".policies.policy_files",
    "scripted": ".rules.scripted",
    "split_seeds": ".comparison.seeds",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name], __name__), name)


__all__ = [
    "CONTROLLERS",
    "Argument",
    "ComparisonResult",
    "Contestant",
    "Controller",
    "ControllerFileError",
    "Decision",
    "Learns",
    "NeedsTrainer",
    "Recorder",
    "SB3VecEnv",
    "SaveController",
    "ScriptedFactory",
    "Steer",
    "compare",
    "list_controllers",
    "load_controller",
    "make_controller",
    "save_controller",
    "scripted",
    "split_seeds",
]
