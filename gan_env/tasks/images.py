"""GANs of pictures: Fashion-MNIST, MNIST, CIFAR-10, CelebA, emoji and any folder, as DCGANs or the thesis' MLPs.

A name may be followed by the place of the pictures: `fashion:PATH`, `mnist:PATH`, `cifar10:PATH`, `celeba:PATH`,
`emoji64:FONTFILE`; `folder:PATH@64` requires it. Data that ship with the package need no path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from gan_env.data.datasets import ArrayData
from gan_env.data.images import picture_data
from gan_env.data.picture_files import Folder
from gan_env.metrics.scores import Classifier, FrechetQuality, FrechetScore
from gan_env.networks.dcgan import dcgan_discriminator, dcgan_generator
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.random.streams import seeded
from gan_env.tasks.task import TASKS, Task, described

LATENT_SIZE = 100
HIDDEN = (1024,) * 5
QUALITY_SAMPLES = 400
FEATURES_FROM = 100
"""Fewest pictures for which a folder is judged by features; from fewer, a covariance is too uncertain."""


def classifier(family: str, device: torch.device) -> Classifier:
    """Loads a shipped feature network; one for colours takes grey pictures as three equal channels."""
    # On call, so that `python -m gan_env.metrics.classifiers` runs it only once.
    from gan_env.metrics import classifiers

    return classifiers.load(family, device)


def untrained(generator: Callable[[], nn.Module], latent_size: int, quality: Callable[[], FrechetQuality]) -> float:
    """Computes the distance of an untrained generator's samples, about the end of a reward's scale."""
    with seeded(0), torch.no_grad():
        judge = quality()
        fake = generator()(torch.randn(judge.samples, latent_size))
        return float(judge.distance(fake[None])[0])


def image_task(
    name: str, data: ArrayData, family: str | None, *, channels: int | None = None, mlp: bool = False
) -> Task:
    """Builds the task of square pictures in [-1, 1].

    Args:
        name: Name of the task.
        data: The pictures.
        family: The feature network that judges them; None for a sliced W1 of their pixels.
        channels: Maps at the DCGAN's largest hidden resolution; None chooses it by the pictures' size.
        mlp: The thesis' MLPs of five layers of 1024, instead of a DCGAN.
    """
    shape, side = data.shape, data.shape[-1]
    inputs = shape[0] * side**2
    large = side > 64
    width = channels or (16 if large else 32)
    generator = (
        partial(mlp_generator, (LATENT_SIZE, *HIDDEN, inputs), shape, bounded=True)
        if mlp
        else partial(dcgan_generator, LATENT_SIZE, shape, width)
    )
    discriminator = (
        partial(mlp_discriminator, (inputs, *HIDDEN, 1), shape) if mlp else partial(dcgan_discriminator, shape, width)
    )
    quality, score = None, None
    if family is not None:
        judge = partial(classifier, family)
        samples = min(QUALITY_SAMPLES, len(data.validation()))
        features = FrechetQuality(
            data, judge, lambda: untrained(generator, LATENT_SIZE, lambda: features), samples=samples
        )
        quality, score = features, FrechetScore(data, judge)
    return Task(
        name=name,
        kind="image",
        generator=generator,
        discriminator=discriminator,
        latent_size=LATENT_SIZE,
        data=data,
        quality=quality,
        score=score,
        batch_size=min(32 if large else 64, len(data)),
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
"""Maps tasks to (source, side, feature network, whether MLPs). Where no network of the set ships, that of another set
judges, and every row names it (`network`)."""


def _named(name: str, where: str | None = None) -> Task:
    source, side, family, mlp = NAMED[name]
    full = name if where is None else f"{name}:{where}"
    return image_task(full, picture_data(source, where, side), family, mlp=mlp)


TITLES = {"fashion": "Fashion-MNIST", "mnist": "MNIST", "cifar10": "CIFAR-10", "celeba": "CelebA"}
for _name, (_source, _side, _, _mlp) in NAMED.items():
    _players = "the thesis' MLPs" if _mlp else "DCGAN"
    TASKS.add(
        _name,
        described(partial(_named, _name), f"{TITLES.get(_source, _source)}, {_side} × {_side} pixels; {_players}."),
    )


@TASKS.register("folder")
def folder(path: str) -> Task:
    """Any folder of pictures, `folder:PATH@64`, `folder:PATH@48,grey,skip-broken`.

    The side is 64 if left out; a DCGAN takes 4 to 7 times a power of two. Fewer than 100 pictures are judged by a
    sliced W1 of their pixels, because the feature statistics of so few are too uncertain.
    """
    asked = Folder.parse(path)
    if path.startswith("@"):
        raise ValueError(f"folder:{path} names no folder; write folder:PATH{path}")
    if asked.width != asked.height:
        raise ValueError(
            f"folder:{path} asks for {asked.width} x {asked.height}, but its DCGAN makes squares; give a side, or "
            "bring your own networks: Task(generator=..., discriminator=..., data=PATH)"
        )
    if asked.width is None:
        asked = replace(asked, width=64, height=64)
    data = picture_data("folder", str(asked), 64)
    few = len(data) + data.test_size + len(data.validation()) < FEATURES_FROM
    family = None if few else "emoji32" if data.shape[-1] <= 32 else "emoji64"
    return image_task(f"folder:{asked}", data, family)
