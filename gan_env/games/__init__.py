"""What is trained: importing this package registers every task in `gan_env.task.TASKS`."""

from gan_env.games import digits, dirac, images, plane, voxels

__all__ = ["digits", "dirac", "images", "plane", "voxels"]
