"""GANs of the plane: ring, circle, spiral, line and grid, the thesis' pair of 5 x 16 MLPs.

Source: J. C. DeOliveira 2023, MSc thesis, WPI (OpenReview DQt4xuo7Jg), section on synthetic data: latents N(0, I_10),
batch 128, rate 2e-4 for both players. The 5 x 5 grid is not in it, so its base rates are those of our own sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import nn

from gan_env.data.datasets import DISTRIBUTIONS, PlaneData
from gan_env.metrics.scores import PlaneQuality, PlaneScore
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.random.streams import seeded
from gan_env.tasks.task import TASKS, Task, described

LATENT_SIZE = 10
HIDDEN = (16,) * 5

WORST_QUALITY = {"ring": 0.33, "circle": 0.33, "spiral": 0.24, "line": 0.26, "grid": 0.32}
"""Mean quality of 16 untrained generators, two digits, as `untrained` measures it: part of committed results."""

TUNED = {
    "ring": {"d_lr": 1e-3, "g_lr": 1e-3},
    "circle": {"d_lr": 1e-3, "g_lr": 3e-4},
    "spiral": {"d_lr": 3e-2, "g_lr": 1e-3},
    "line": {"d_lr": 3e-3, "g_lr": 3e-4},
    "grid": {"d_lr": 1e-3, "g_lr": 3e-4},
}
"""The best constant rates of a sweep over half decades, four seeds a cell; neighbours are often as good."""
BASE_RATES = {"grid": TUNED["grid"]}
"""Base rates of the distributions that no source has; the others keep the thesis'."""
THESIS = {"d_lr": 2e-4, "g_lr": 2e-4}


def untrained(data: PlaneData, generator: Callable[[], nn.Module], count: int = 16) -> float:
    """Returns the mean quality of untrained generators; each makes nearly one point, not far from the origin."""
    judge = PlaneQuality(data, math.inf)
    with seeded(0), torch.no_grad():
        fake = torch.stack([generator()(torch.randn(judge.samples, LATENT_SIZE)) for _ in range(count)])
        return float(judge(fake).mean())


@cache  # the floor of its score takes seconds
def plane_task(name: str) -> Task:
    """Returns the task of a distribution in `datasets.DISTRIBUTIONS`; the same object at every call."""
    data, rates = PlaneData(DISTRIBUTIONS[name]()), BASE_RATES.get(name, THESIS)
    generator = partial(mlp_generator, (LATENT_SIZE, *HIDDEN, 2), data.shape)
    worst = WORST_QUALITY[name] if name in WORST_QUALITY else untrained(data, generator)
    return Task(
        name=name,
        kind="plane",
        generator=generator,
        discriminator=partial(mlp_discriminator, (2, *HIDDEN, 1), data.shape),
        latent_size=LATENT_SIZE,
        data=data,
        quality=PlaneQuality(data, worst),
        score=PlaneScore(data),
        batch_size=128,
        d_lr=rates["d_lr"],
        g_lr=rates["g_lr"],
        tuned=TUNED.get(name),
    )


SUMMARIES = {
    "ring": "Eight Gaussians on a circle.",
    "circle": "Points on a circle.",
    "spiral": "Points on a spiral.",
    "line": "Points on a line.",
    "grid": "Twenty-five Gaussians on a square grid.",
}
for _name in DISTRIBUTIONS:
    TASKS.add(_name, described(partial(plane_task, _name), f"{SUMMARIES[_name]} Plane, two MLPs of 5 × 16."))
