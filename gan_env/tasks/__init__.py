"""What is trained: importing this package registers every task in `gan_env.tasks.task.TASKS`."""

from gan_env.tasks import digits, dirac, domains, images, plane, voxels

__all__ = ["digits", "dirac", "domains", "images", "plane", "voxels"]
