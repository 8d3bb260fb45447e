"""Controllers of GAN training: the same object drives the environment, the benchmark and a user's own loop."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registry import list_controllers, make_controller

if TYPE_CHECKING:
    from .policies.policy_files import ControllerFileError, load_controller, save_controller
    from .steer import Steer

_ON_DEMAND = {
    "ControllerFileError": ".policies.policy_files",
    "Steer": ".steer",
    "load_controller": ".policies.policy_files",
    "save_controller": ".policies.policy_files",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name], __name__), name)


__all__ = ["ControllerFileError", "Steer", "list_controllers", "load_controller", "make_controller", "save_controller"]
