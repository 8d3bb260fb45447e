"""Earlier name of `agents.steer`, kept for loops that import `Steer` from here."""

from .steer import Steer

__all__ = ["Steer"]
