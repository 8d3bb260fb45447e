"""What is trained: importing this package registers every task in `gan_env.task.TASKS`."""

from gan_env.games import digits, dirac, domains, images, plane, voxels

__all__ = ["digits", "dirac", "domains", "images", "plane", "voxels"]
