"""Controllers of GAN training: the same object drives the environment, the benchmark and a user's own loop."""

from .registry import list_controllers, make_controller

__all__ = ["list_controllers", "make_controller"]
