"""Tasks: what is trained and how it is judged. Importing this package registers them in `gan_env.tasks.task.TASKS`."""

from gan_env.tasks import digits, dirac, domains, images, plane, voxels

__all__ = ["digits", "dirac", "domains", "images", "plane", "voxels"]
