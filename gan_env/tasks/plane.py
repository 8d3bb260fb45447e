"""GANs of the plane: ring, circle, spiral, line and grid, the thesis' pair of 5 x 16 MLPs.

Source: J. C. DeOliveira 2023, MSc thesis, WPI (OpenReview DQt4xuo7Jg), section on synthetic data: latents N(0, I_10),
batch 128, rate 2e-4 for both players. The 5 x 5 grid is not in it.
"""

from __future__ import annotations

from functools import cache, partial

from gan_env.data.datasets import DISTRIBUTIONS, PlaneData
from gan_env.metrics.scores import PlaneQuality, PlaneScore
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.tasks.task import TASKS, Task

LATENT_SIZE = 10
HIDDEN = (16,) * 5

# Mean quality of 16 untrained generators, two digits; each makes nearly one point, not far from the origin.
WORST_QUALITY = {"ring": 0.33, "circle": 0.33, "spiral": 0.24, "line": 0.26, "grid": 0.32}


@cache  # the floor of its score takes seconds
def plane_task(name: str) -> Task:
    """Returns the task of a distribution in `datasets.DISTRIBUTIONS`; the same object at every call."""
    data = PlaneData(DISTRIBUTIONS[name]())
    return Task(
        name=name,
        kind="plane",
        generator=partial(mlp_generator, (LATENT_SIZE, *HIDDEN, 2), data.shape),
        discriminator=partial(mlp_discriminator, (2, *HIDDEN, 1), data.shape),
        latent_size=LATENT_SIZE,
        data=data,
        quality=PlaneQuality(data, WORST_QUALITY[name]),
        score=PlaneScore(data),
        batch_size=128,
        d_lr=2e-4,
        g_lr=2e-4,
    )


for _name in DISTRIBUTIONS:
    TASKS.add(_name, partial(plane_task, _name))
