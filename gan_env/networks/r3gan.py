"""Residual players without normalisation, after R3GAN, at a size for small pictures.

Source: Huang et al. 2024, arXiv:2501.05441, section 4 and figure 4 (configuration E): a trunk of residual blocks of
1 × 1, grouped 3 × 3 and 1 × 1 convolutions, leaky ReLUs with biases, initial weights after Zhang et al. 2019,
arXiv:1901.09321 (the last layer of a block at zero, the others by the number of blocks). G begins at a learned 4 × 4
basis that the latents weigh, D ends in one. Pictures are doubled bilinearly and halved by means of 2 × 2 here, by FIR
filters of [1, 2, 1] there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""By which weights before a leaky ReLU are larger, so that it keeps the variance (He et al. 2015)."""
START = 4
"""Side of the smallest map."""
EXPANSION = 2
GROUP = 16
"""Maps of one group of the 3 × 3 convolutions."""


def stages(side: int, channels: int) -> list[int]:
    """Returns the maps at each resolution from 4 × 4 up: `channels` at the largest, twice as many for each halving.

    The two smallest resolutions have as many as each other.

    >>> stages(32, 32)
    [128, 128, 64, 32]

    Raises:
        ValueError: If the side is not 4 times a power of two, or below 8.
    """
    doublings = int(math.log2(max(side, 1) / START)) if side >= START else 0
    if doublings < 1 or START * 2**doublings != side:
        raise ValueError(f"size={side} has no such players; use 8, 16, 32, 64 or another 4 times a power of two")
    widths = [channels * 2**i for i in range(doublings - 1, -1, -1)]
    return [widths[0], *widths]


def _scaled(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    return layer


class BiasedActivation(nn.Module):
    """Adds a bias to each map, then applies a leaky ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Returns maps of the same shape."""
        return nn.functional.leaky_relu(maps + self.bias[:, None, None], SLOPE)


class ResidualBlock(nn.Module):
    """x + f(x), with f zero at the start.

    Args:
        channels: Maps of x.
        blocks: Blocks of the whole trunk, L: the first layers of f begin smaller by L^(-1/4).
    """

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        wide, gain = channels * EXPANSION, GAIN * blocks**-0.25
        groups = max(1, wide // GROUP)
        self.branch = nn.Sequential(
            _scaled(nn.Conv2d(channels, wide, 1, bias=False), gain),
            BiasedActivation(wide),
            _scaled(nn.Conv2d(wide, wide, 3, padding=1, groups=groups, bias=False), gain),
            BiasedActivation(wide),
            _scaled(nn.Conv2d(wide, channels, 1, bias=False), 0.0),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Returns maps of the same shape."""
        return maps + self.branch(maps)


class Doubled(nn.Module):
    """Doubles the side bilinearly."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, S, S) to (B, C, 2S, 2S)."""
        return interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


class Basis(nn.Module):
    """The first maps of a generator: a learned basis whose maps the latents weigh."""

    def __init__(self, latent_size: int, channels: int):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, START, START))
        self.weigh = _scaled(nn.Linear(latent_size, channels, bias=False))

    def forward(self, latents: Tensor) -> Tensor:
        """Maps latents (B, L) to (B, C, 4, 4)."""
        return self.weigh(latents)[:, :, None, None] * self.maps


def _trunk(channels: int, count: int, of: int) -> list[nn.Module]:
    return [ResidualBlock(channels, of) for _ in range(count)]


def r3gan_generator(latent_size: int, shape: tuple[int, ...], channels: int = 8, blocks: int = 1) -> nn.Sequential:
    """Builds a generator from latents (B, latent_size) to pictures (B, *shape), not bounded.

    Args:
        latent_size: Dimension of the latents.
        shape: (colours, side, side).
        channels: Maps at the full resolution; each halving of the resolution doubles them, but for the last.
        blocks: Residual blocks at each resolution.

    Raises:
        ValueError: If the side is not 4 times a power of two, or below 8.
    """
    widths = stages(shape[-1], channels)
    total = blocks * len(widths)
    net: list[nn.Module] = [Basis(latent_size, widths[0]), *_trunk(widths[0], blocks, total)]
    for before, after in zip(widths, widths[1:], strict=False):
        if before != after:
            net.append(_scaled(nn.Conv2d(before, after, 1, bias=False)))
        net += [Doubled(), *_trunk(after, blocks, total)]
    return nn.Sequential(*net, _scaled(nn.Conv2d(widths[-1], shape[0], 1, bias=False)))


class Halved(nn.Module):
    """Halves the side by means of 2 × 2."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, 2S, 2S) to (B, C, S, S)."""
        return avg_pool2d(maps, 2)


def r3gan_discriminator(shape: tuple[int, ...], channels: int = 8, blocks: int = 1) -> nn.Sequential:
    """Builds a discriminator from pictures (B, *shape) to logits (B, 1); arguments and errors as `r3gan_generator`."""
    widths = stages(shape[-1], channels)[::-1]
    total = blocks * len(widths)
    net: list[nn.Module] = [_scaled(nn.Conv2d(shape[0], widths[0], 1, bias=False))]
    for before, after in zip(widths, widths[1:], strict=False):
        net += [*_trunk(before, blocks, total), Halved()]
        if before != after:
            net.append(_scaled(nn.Conv2d(before, after, 1, bias=False)))
    last = widths[-1]
    return nn.Sequential(
        *net,
        *_trunk(last, blocks, total),
        _scaled(nn.Conv2d(last, last, START, groups=last, bias=False)),
        nn.Flatten(1),
        _scaled(nn.Linear(last, 1, bias=False)),
    )
