"""Handwritten digits of 8 x 8 pixels with a pair of MLPs: the smallest task on real images."""

from __future__ import annotations

from functools import partial

import torch

from gan_env.data.datasets import digits_data
from gan_env.metrics.scores import Classifier, FrechetQuality, FrechetScore
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.tasks.task import TASKS, Task

LATENT_SIZE = 16
WORST_QUALITY = 710.0
"""Mean quality of 16 untrained generators, to two digits; a generator of one real digit only gets about half."""


def classifier(device: torch.device) -> Classifier:
    """Loads the shipped digits classifier."""
    from gan_env.metrics import (
        classifiers,  # on call, so that `python -m gan_env.metrics.classifiers` runs it only once
    )

    return classifiers.load("digits", device)


@TASKS.register("digits")
def digits() -> Task:
    """Handwritten digits of 8 × 8 pixels, which ship with scikit-learn; MLPs."""
    data = digits_data()
    score = FrechetScore(data, classifier)
    return Task(
        name="digits",
        kind="image",
        generator=partial(mlp_generator, (LATENT_SIZE, 64, 64, 64), data.shape, bounded=True),
        discriminator=partial(mlp_discriminator, (64, 64, 64, 1), data.shape),
        latent_size=LATENT_SIZE,
        data=data,
        quality=FrechetQuality(data, classifier, WORST_QUALITY, samples=score.samples),
        score=score,
        batch_size=64,
        # Median Frechet score of six plain runs after 2,000 updates: 117 at 1e-3, 55 at 1.5e-3, 32 here. With D ten
        # times as fast it is 14, with D ten times as slow 338: room above plain training and below it. The rates of the
        # sweep, `tuned`, are not the base: committed rows, agents and pages of this game are all at this one.
        d_lr=2e-3,
        g_lr=2e-3,
        episode_updates=2_000,
        tuned={"d_lr": 3e-2, "g_lr": 3e-3},
    )
