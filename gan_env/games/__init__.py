"""What is trained: importing this package registers every task in `gan_env.task.TASKS`."""

from gan_env.games import digits, plane

__all__ = ["digits", "plane"]
