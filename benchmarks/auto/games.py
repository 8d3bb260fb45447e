"""Draws GANs at random: data, networks, loss, rates, optimiser, batch size, length. What `auto` is trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from gan_env import EnvConfig, Task, make_task
from gan_env.envs.portable import PORTABLE_FEATURES
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.optimizer_spec import OptimizerSpec

SAMPLES = 7_000
"""Points of a drawn distribution; a seventh is validation data."""
UPDATES_PER_STEP = 10
RANGE = (1e-4, 1e4)
"""Multipliers of both rates: a policy gives absolute rates, whatever the base."""
LOSSES = {"bce": 4, "hinge": 1, "lsgan": 1, "r1": 1, "instance-noise": 1}
"""Name to weight in the draw."""
ACTIVATIONS = {"relu": nn.ReLU, "leaky relu": partial(nn.LeakyReLU, 0.2), "tanh": nn.Tanh}


@dataclass(frozen=True)
class Networks:
    """A pair of MLPs: sizes of their layers, activation, and a factor on the initial weights."""

    g: tuple[int, ...]
    d: tuple[int, ...]
    activation: str
    scale: float

    def generator(self) -> nn.Module:
        """Builds G."""
        return self._made(mlp_generator(self.g, (self.g[-1],)))

    def discriminator(self) -> nn.Module:
        """Builds D."""
        return self._made(mlp_discriminator(self.d, (self.d[0],)))

    def _made(self, plain: nn.Module) -> nn.Module:
        layers = [layer for layer in plain.modules() if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer in layers:
                layer.weight *= self.scale
        act = ACTIVATIONS[self.activation]
        stack: list[nn.Module] = []
        for layer in layers:
            stack += [layer, act()]
        return nn.Sequential(*stack[:-1])


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _rotation(rng: np.random.Generator, dims: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((dims, dims)))
    return q * np.sign(np.diag(r))


def mixture(rng: np.random.Generator) -> np.ndarray:
    """Draws points of a Gaussian mixture, half of the time of the plane, otherwise in 3 to 16 dimensions."""
    dims = 2 if rng.random() < 0.5 else int(rng.integers(3, 17))
    modes = round(_log_uniform(rng, 1, 25))
    centres = rng.standard_normal((modes, dims))
    std = _log_uniform(rng, 0.01, 0.3) * rng.uniform(0.5, 2.0, modes)
    which = rng.choice(modes, SAMPLES, p=rng.dirichlet(np.full(modes, 5.0)))
    return centres[which] + std[which, None] * rng.standard_normal((SAMPLES, dims))


def spiral(rng: np.random.Generator) -> np.ndarray:
    """Draws points along an Archimedean spiral of 1 to 3 turns, rotated and scaled by axis."""
    t = np.sqrt(rng.random(SAMPLES))
    angle = 2 * np.pi * rng.uniform(1, 3) * t
    points = np.stack([t * np.cos(angle), t * np.sin(angle)], 1)
    points += _log_uniform(rng, 0.01, 0.05) * rng.standard_normal(points.shape)
    return (points * rng.uniform(0.7, 1.4, 2)) @ _rotation(rng, 2)


def lattice(rng: np.random.Generator) -> np.ndarray:
    """Draws points of a lattice of 2 to 5 modes a side, sheared, rotated and scaled."""
    side = rng.integers(2, 6, 2)
    at = np.stack([rng.integers(0, n, SAMPLES) / max(n - 1, 1) * 2 - 1 for n in side], 1)
    shear = np.eye(2) + np.triu(rng.uniform(-0.5, 0.5, (2, 2)), 1)
    return at @ shear @ _rotation(rng, 2) + _log_uniform(rng, 0.01, 0.1) * rng.standard_normal(at.shape)


def _five_modes(_: np.random.Generator) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((5, 2))[rng.integers(0, 5, SAMPLES)] + 0.05 * rng.standard_normal((SAMPLES, 2))


FAMILIES = {"mixture": (mixture, 0.6), "spiral": (spiral, 0.15), "lattice": (lattice, 0.15), "digits": (None, 0.1)}
"""Name to how its points are drawn, and its share."""


def draw(seed: int, longest: int = 3_000, one_dataset: bool = False) -> tuple[str, EnvConfig]:
    """Draws a game, a function of its arguments alone; returns what it is and its settings.

    Args:
        seed: Number of the game.
        longest: Most updates.
        one_dataset: Takes the same five modes of the plane in every game, an ablation; all else is drawn.
    """
    rng = np.random.default_rng([20, seed])
    family = str(rng.choice(list(FAMILIES), p=[share for _, share in FAMILIES.values()]))
    family, points = ("five modes", _five_modes) if one_dataset else (family, FAMILIES[family][0])
    data = make_task("digits").data if points is None else _scaled(rng, points(rng)).astype(np.float32)
    features = 64 if points is None else data.shape[1]
    widths = [round(_log_uniform(rng, 8, 32))] * int(rng.integers(1, 6))
    latents = int(rng.integers(2, 17))
    loss = str(rng.choice(list(LOSSES), p=np.array(list(LOSSES.values())) / sum(LOSSES.values())))
    smooth = loss != "r1"  # its penalty is written out for piecewise linear networks
    networks = Networks(
        g=(latents, *widths, features),
        d=(features, *widths, 1),
        activation=str(rng.choice(list(ACTIVATIONS)[: 3 if smooth else 2])),
        scale=_log_uniform(rng, 0.5, 2.0),
    )
    task = Task(
        name=family,
        generator=networks.generator,
        discriminator=networks.discriminator,
        data=_flat(data) if points is None else data,
        latent_size=latents,
    )
    updates = max(1, round(_log_uniform(rng, 500, longest) / UPDATES_PER_STEP)) * UPDATES_PER_STEP
    config = EnvConfig(
        task=task,
        loss=loss,
        d_lr=_log_uniform(rng, 1e-5, 1e-2),
        g_lr=_log_uniform(rng, 1e-5, 1e-2),
        optimizer=OptimizerSpec(betas=(float(rng.choice([0.0, 0.5, 0.9])), 0.999)),
        batch_size=int(rng.choice([32, 64, 128])),
        order=str(rng.choice(["simultaneous", "alternating"])),  # pyright: ignore[reportArgumentType]
        updates_per_step=UPDATES_PER_STEP,
        episode_updates=updates,
        reward="quality",
        quality_every=10**9,
        features=PORTABLE_FEATURES,
        d_lr_range=RANGE,
        g_lr_range=RANGE,
        score=False,
    )
    nets = f"{len(widths)} × {widths[0]} {networks.activation}"
    what = f"{family} in {features} dimensions, {nets}, {loss}, {updates} updates"
    return what, config


def _scaled(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    return points / points.std() * _log_uniform(rng, 0.3, 1.5)


def _flat(data) -> np.ndarray:
    """Returns the training and validation samples as rows of numbers in [-1, 1]."""
    samples = torch.cat([data.samples, data.validation()]).float().flatten(1)
    low, high = samples.min(), samples.max()
    return ((samples - low) / (high - low) * 2 - 1).numpy()
