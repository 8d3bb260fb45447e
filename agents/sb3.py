"""Earlier name of `agents.learned.sb3.vec_env`, kept for scripts that import `SB3VecEnv` from here."""

from .learned.sb3.vec_env import SB3VecEnv

__all__ = ["SB3VecEnv"]
