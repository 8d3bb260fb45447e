"""GANs of pictures: Fashion-MNIST, MNIST, CIFAR-10, CelebA, emoji and any folder, as DCGANs or the thesis' MLPs.

A name may be followed by where the pictures are: `fashion:PATH`, `mnist:PATH`, `cifar10:PATH`, `celeba:PATH`,
`emoji64:FONTFILE`, and must be for `folder:PATH@SIDE`. What ships with the package needs no path.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from gan_env.data.datasets import ArrayData
from gan_env.data.images import picture_data
from gan_env.metrics.scores import Classifier, FrechetQuality, FrechetScore
from gan_env.networks.dcgan import dcgan_discriminator, dcgan_generator
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.random.streams import seeded
from gan_env.tasks.task import TASKS, Task

LATENT_SIZE = 100
CHANNELS = {28: 32, 32: 32, 64: 32, 128: 16}
BATCH_SIZE = {28: 64, 32: 64, 64: 64, 128: 32}
HIDDEN = (1024,) * 5
QUALITY_SAMPLES = 400
SIDES = (28, 32, 64, 128)


def classifier(family: str, device: torch.device) -> Classifier:
    """A shipped feature network."""
    from gan_env.metrics import (
        classifiers,  # on call, so that `python -m gan_env.metrics.classifiers` runs it only once
    )

    return classifiers.load(family, device)


def untrained(generator: Callable[[], nn.Module], latent_size: int, quality: Callable[[], FrechetQuality]) -> float:
    """Distance of an untrained generator's samples: about where a reward's scale should end."""
    with seeded(0), torch.no_grad():
        judge = quality()
        fake = generator()(torch.randn(judge.samples, latent_size))
        return float(judge.distance(fake[None])[0])


def image_task(name: str, data: ArrayData, family: str, *, channels: int | None = None, mlp: bool = False) -> Task:
    """The task of pictures in [-1, 1].

    Args:
        name: Of the task.
        data: The pictures.
        family: The feature network that judges them.
        channels: Maps at the DCGAN's largest hidden resolution; by the pictures' size if None.
        mlp: The thesis' MLPs of five layers of 1024, instead of a DCGAN.
    """
    shape, side = data.shape, data.shape[-1]
    inputs = shape[0] * side**2
    width = channels or CHANNELS[side]
    generator = (
        partial(mlp_generator, (LATENT_SIZE, *HIDDEN, inputs), shape, bounded=True)
        if mlp
        else partial(dcgan_generator, LATENT_SIZE, shape, width)
    )
    discriminator = (
        partial(mlp_discriminator, (inputs, *HIDDEN, 1), shape) if mlp else partial(dcgan_discriminator, shape, width)
    )
    judge = partial(classifier, family)
    samples = min(QUALITY_SAMPLES, len(data.validation()))
    quality = FrechetQuality(data, judge, lambda: untrained(generator, LATENT_SIZE, lambda: quality), samples=samples)
    return Task(
        name=name,
        kind="image",
        generator=generator,
        discriminator=discriminator,
        latent_size=LATENT_SIZE,
        data=data,
        quality=quality,
        score=FrechetScore(data, judge),
        batch_size=min(BATCH_SIZE[side], len(data)),
        d_lr=2e-4,
        g_lr=2e-4,
        episode_updates=2_500,
    )


NAMED: dict[str, tuple[str, int, str, bool]] = {
    "fashion": ("fashion", 28, "fashion", False),
    "fashion-mlp": ("fashion", 28, "fashion", True),
    "mnist": ("mnist", 28, "mnist", False),
    "mnist-mlp": ("mnist", 28, "mnist", True),
    "emoji32": ("emoji", 32, "emoji32", False),
    "emoji64": ("emoji", 64, "emoji64", False),
    "emoji128": ("emoji", 128, "emoji64", False),
    "cifar10": ("cifar10", 32, "emoji32", False),
    "celeba": ("celeba", 64, "emoji64", False),
}
"""Task to (source, side, feature network, whether MLPs). Where nothing ships, a network of another set judges: it says
so in every row (`network`)."""


def _named(name: str, where: str | None = None) -> Task:
    source, side, family, mlp = NAMED[name]
    full = name if where is None else f"{name}:{where}"
    return image_task(full, picture_data(source, where, side), family, mlp=mlp)


for _name in NAMED:
    TASKS.add(_name, partial(_named, _name))


@TASKS.register("folder")
def folder(path: str) -> Task:
    """Any folder of pictures: `folder:PATH@SIDE`, with SIDE 32, 64 (also if left out) or 128."""
    where, at, side = path.rpartition("@")
    if not at or not side.isdigit():
        where, side = path, "64"
    if not where:
        raise ValueError(f"folder:{path} names no folder; write folder:PATH@{side}")
    if int(side) not in SIDES:
        raise ValueError(f"folder:{path}: side {side} is not one of {', '.join(map(str, SIDES))}")
    family = "emoji32" if int(side) <= 32 else "emoji64"
    return image_task(f"folder:{where}@{side}", picture_data("folder", where, int(side)), family)
