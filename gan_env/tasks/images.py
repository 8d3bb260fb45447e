"""GANs of pictures: Fashion-MNIST, MNIST, CIFAR-10, CelebA, emoji and any folder, of several kinds of networks.

A name may be followed by the place of the pictures: `fashion:PATH`, `mnist:PATH`, `cifar10:PATH`, `celeba:PATH`,
`emoji64:FONTFILE`; `folder:PATH@64` requires it. Data that ship with the package need no path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from gan_env.data.datasets import ArrayData
from gan_env.data.images import picture_data
from gan_env.data.picture_files import Folder
from gan_env.metrics.scores import Classifier, FrechetQuality, FrechetScore
from gan_env.networks.dcgan import dcgan_discriminator, dcgan_generator
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.networks.r3gan import r3gan_discriminator, r3gan_generator
from gan_env.networks.stylegan2 import stylegan2_discriminator, stylegan2_generator
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.random.streams import seeded
from gan_env.tasks.task import TASKS, Task, described

LATENT_SIZE = 100
QUALITY_SAMPLES = 400
MODERN_LATENTS, MODERN_CHANNELS = 64, 8
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


@dataclass(frozen=True)
class Kind:
    """Networks of pictures, with the settings of a run that go with them."""

    about: str
    players: Callable[[tuple[int, ...], int | None], tuple[Callable[[], nn.Module], Callable[[], nn.Module]]]
    """Maps the pictures' shape, and the width if it is chosen, to builders of G and D."""
    latent_size: int = LATENT_SIZE
    batch_size: int = 64
    rate: float = 2e-4
    loss: str = "bce"
    optimizer: OptimizerSpec | None = None


def _dcgan(shape: tuple[int, ...], channels: int | None):
    width = channels or (16 if shape[-1] > 64 else 32)
    return partial(dcgan_generator, LATENT_SIZE, shape, width), partial(dcgan_discriminator, shape, width)


def _mlp(shape: tuple[int, ...], width: int | None):
    inputs, hidden = shape[0] * shape[-1] ** 2, (width or 1024,) * 5
    generator = partial(mlp_generator, (LATENT_SIZE, *hidden, inputs), shape, bounded=True)
    return generator, partial(mlp_discriminator, (inputs, *hidden, 1), shape)


def _modern(make_g: Callable[..., nn.Module], make_d: Callable[..., nn.Module]):
    def players(shape: tuple[int, ...], channels: int | None):
        width = channels or MODERN_CHANNELS
        return partial(make_g, MODERN_LATENTS, shape, width), partial(make_d, shape, width)

    return players


PLAYERS: dict[str, Kind] = {
    "dcgan": Kind("DCGAN", _dcgan),
    "mlp": Kind("the thesis' MLPs", _mlp),
    "mlp-small": Kind("the thesis' MLPs, a quarter as wide", lambda shape, width: _mlp(shape, width or 256)),
    # γ, rates and Adam's β are those of the published configurations for CIFAR-10, of the same size.
    "stylegan2": Kind(
        "small StyleGAN2-like networks",
        _modern(stylegan2_generator, stylegan2_discriminator),
        MODERN_LATENTS,
        32,
        2.5e-3,
        "r1:0.01",
        OptimizerSpec(betas=(0.0, 0.99)),
    ),
    "r3gan": Kind(
        "small R3GAN-like networks",
        _modern(r3gan_generator, r3gan_discriminator),
        MODERN_LATENTS,
        32,
        2e-4,
        "r3gan:0.05",
        OptimizerSpec(betas=(0.0, 0.99)),
    ),
}


def image_task(
    name: str, data: ArrayData, family: str | None, *, channels: int | None = None, players: str = "dcgan"
) -> Task:
    """Builds the task of square pictures in [-1, 1].

    Args:
        name: Name of the task.
        data: The pictures.
        family: The feature network that judges them; None for a sliced W1 of their pixels.
        channels: Maps at the largest hidden resolution, or the width of MLPs; None chooses it by networks and size.
        players: Kind of networks, see `PLAYERS`.
    """
    shape, kind = data.shape, PLAYERS[players]
    generator, discriminator = kind.players(shape, channels)
    quality, score = None, None
    if family is not None:
        judge = partial(classifier, family)
        samples = min(QUALITY_SAMPLES, len(data.validation()))
        features = FrechetQuality(
            data, judge, lambda: untrained(generator, kind.latent_size, lambda: features), samples=samples
        )
        quality, score = features, FrechetScore(data, judge)
    return Task(
        name=name,
        kind="image",
        generator=generator,
        discriminator=discriminator,
        latent_size=kind.latent_size,
        data=data,
        quality=quality,
        score=score,
        batch_size=min(32 if shape[-1] > 64 else kind.batch_size, len(data)),
        d_lr=kind.rate,
        g_lr=kind.rate,
        episode_updates=2_500,
        loss=kind.loss,
        optimizer=kind.optimizer,
    )


NAMED: dict[str, tuple[str, int, str, str]] = {
    "fashion": ("fashion", 28, "fashion", "dcgan"),
    "fashion-mlp": ("fashion", 28, "fashion", "mlp"),
    "fashion-mlp-small": ("fashion", 28, "fashion", "mlp-small"),
    "mnist": ("mnist", 28, "mnist", "dcgan"),
    "mnist-mlp": ("mnist", 28, "mnist", "mlp"),
    "emoji32": ("emoji", 32, "emoji32", "dcgan"),
    "emoji32-stylegan2": ("emoji", 32, "emoji32", "stylegan2"),
    "emoji32-r3gan": ("emoji", 32, "emoji32", "r3gan"),
    "emoji64": ("emoji", 64, "emoji64", "dcgan"),
    "emoji128": ("emoji", 128, "emoji64", "dcgan"),
    "cifar10": ("cifar10", 32, "emoji32", "dcgan"),
    "celeba": ("celeba", 64, "emoji64", "dcgan"),
}
"""Maps tasks to (source, side, feature network, kind of networks). Where no network of the set ships, that of another
set judges, and every row names it (`network`)."""


def _named(name: str, where: str | None = None) -> Task:
    source, side, family, players = NAMED[name]
    full = name if where is None else f"{name}:{where}"
    return image_task(full, picture_data(source, where, side), family, players=players)


TITLES = {"fashion": "Fashion-MNIST", "mnist": "MNIST", "cifar10": "CIFAR-10", "celeba": "CelebA"}
for _name, (_source, _side, _, _players) in NAMED.items():
    TASKS.add(
        _name,
        described(
            partial(_named, _name),
            f"{TITLES.get(_source, _source)}, {_side} × {_side} pixels; {PLAYERS[_players].about}.",
        ),
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
