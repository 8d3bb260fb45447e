"""Earlier name of `gan_env.data.images`, kept for scripts that import `picture_data` from here."""

from gan_env.data.images import picture_data

__all__ = ["picture_data"]
