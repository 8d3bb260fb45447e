"""Style-based players after StyleGAN2, at a size for small pictures.

Source: Karras et al. 2020, arXiv:1912.04958: a mapping network, convolutions whose weights the style modulates and
demodulates (eq. 1 and 3), a generator that sums pictures of all resolutions (skips) and a residual discriminator
(section 4.1) that ends in the standard deviation over the batch (Karras et al. 2018, arXiv:1710.10196, section 3).
Weights are N(0, 1) and are scaled by their fan-in in use (equalised learning rate, ibid., section 4.1), the mapping
network's by a hundredth. Left out: noise inputs, so that a picture is a function of its latents alone, style mixing and
the path length penalty. Pictures are doubled bilinearly and halved by means of 2 × 2, in place of FIR filters;
D halves its maps behind the activation, not before it. The deviation is over the whole batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from gan_env.networks.r3gan import START, Doubled, Halved, stages

MAPPING_RATE = 0.01
"""Factor on the mapping network's learning rate."""
STYLE = 64
"""Numbers of a style, and widths of the mapping network and of D's last layer."""


def activated(x: Tensor) -> Tensor:
    """Applies a leaky ReLU that keeps the mean square of N(0, 1) at about 1."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


class EqualLinear(nn.Module):
    """A linear layer whose weights are N(0, 1), divided by the square root of its inputs in use.

    Args:
        inputs, outputs: Sizes.
        rate: Factor on its learning rate: weights begin at 1/rate and are multiplied by it.
        bias: First value of its bias.
    """

    derives_weight = True
    """What is used is the weight times a scale, so that spectral norm would not bound the layer."""

    def __init__(self, inputs: int, outputs: int, *, rate: float = 1.0, bias: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate, self.scale = rate, rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, outputs)."""
        return linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution that keeps the side, whose weights are N(0, 1), scaled by their fan-in in use."""

    derives_weight = True
    """As in `EqualLinear`."""

    def __init__(self, inputs: int, outputs: int, size: int, *, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding = 1 / math.sqrt(inputs * size**2), size // 2

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, S, S) to (B, outputs, S, S)."""
        return conv2d(maps, self.weight * self.scale, self.bias, padding=self.padding)


class Modulated(nn.Module):
    """A convolution whose weights each sample's style scales, map by map.

    w'_oik = s_i w_oik, and with demodulation divided by √(Σ_ik w'_oik² + 1e-8) (eq. 1 and 3). Maps are scaled before
    and behind one convolution of all samples instead, which gives the same numbers.

    Args:
        inputs, outputs: Maps.
        size: Side of the kernel.
        demodulate: Whether to divide by the norm.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, demodulate: bool = True):
        super().__init__()
        self.style = EqualLinear(STYLE, inputs, bias=1.0)
        self.conv = EqualConv(inputs, outputs, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.demodulate = demodulate

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """Maps (B, inputs, S, S) and styles (B, STYLE) to (B, outputs, S, S)."""
        scales = self.style(style)
        out = self.conv(maps * scales[:, :, None, None])
        if self.demodulate:
            squares = (self.conv.weight * self.conv.scale).square().sum((2, 3))
            out = out * torch.rsqrt(scales.square() @ squares.T + 1e-8)[:, :, None, None]
        return out + self.bias[:, None, None]


class StyleGenerator(nn.Module):
    """Latents (B, latent_size) to pictures (B, *shape); see `stylegan2_generator`."""

    def __init__(self, latent_size: int, shape: tuple[int, ...], channels: int, mapping: int):
        super().__init__()
        widths = stages(shape[-1], channels)
        sizes = [latent_size, *(STYLE,) * mapping]
        self.mapping = nn.ModuleList(
            EqualLinear(a, b, rate=MAPPING_RATE) for a, b in zip(sizes, sizes[1:], strict=False)
        )
        self.constant = nn.Parameter(torch.randn(widths[0], START, START))
        self.first = nn.ModuleList(Modulated(a, b, 3) for a, b in zip([widths[0], *widths[:-1]], widths, strict=True))
        self.second = nn.ModuleList(Modulated(width, width, 3) for width in widths[1:])
        self.pictures = nn.ModuleList(Modulated(width, shape[0], 1, demodulate=False) for width in widths)
        self.doubled = Doubled()

    def forward(self, latents: Tensor) -> Tensor:
        """See the class."""
        style = latents * torch.rsqrt(latents.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            style = activated(layer(style))
        maps = activated(self.first[0](self.constant.expand(len(latents), -1, -1, -1), style))
        picture = self.pictures[0](maps, style)
        for first, second, to_picture in zip(self.first[1:], self.second, self.pictures[1:], strict=True):
            maps = activated(second(activated(first(self.doubled(maps), style)), style))
            picture = self.doubled(picture) + to_picture(maps, style)
        return picture


class ResidualDown(nn.Module):
    """Two convolutions, halved, and a skip by one of 1 × 1; their sum over √2."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.second = EqualConv(inputs, inputs, 3), EqualConv(inputs, outputs, 3)
        self.skip, self.halved = EqualConv(inputs, outputs, 1, bias=False), Halved()

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, 2S, 2S) to (B, outputs, S, S)."""
        deep = self.halved(activated(self.second(activated(self.first(maps)))))
        return (deep + self.skip(self.halved(maps))) / math.sqrt(2)


class BatchDeviation(nn.Module):
    """Appends a map that holds the standard deviation over the batch, averaged over maps and places."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, S, S) to (B, C + 1, S, S)."""
        deviation = (maps.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([maps, deviation.expand(len(maps), 1, *maps.shape[2:])], 1)


class Activated(nn.Module):
    """`activated` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns a tensor of the same shape."""
        return activated(x)


def stylegan2_generator(
    latent_size: int, shape: tuple[int, ...], channels: int = 8, mapping: int = 4
) -> StyleGenerator:
    """Builds a generator from latents (B, latent_size) to pictures (B, *shape), not bounded.

    Args:
        latent_size: Dimension of the latents.
        shape: (colours, side, side).
        channels: Maps at the full resolution; each halving of the resolution doubles them, but for the last.
        mapping: Layers of the mapping network.

    Raises:
        ValueError: If the side is not 4 times a power of two, or below 8.
    """
    return StyleGenerator(latent_size, shape, channels, mapping)


def stylegan2_discriminator(shape: tuple[int, ...], channels: int = 8) -> nn.Sequential:
    """Builds a discriminator from pictures (B, *shape) to logits (B, 1); arguments as `stylegan2_generator`."""
    widths = stages(shape[-1], channels)[::-1]
    last = widths[-1]
    return nn.Sequential(
        EqualConv(shape[0], widths[0], 1),
        Activated(),
        *(ResidualDown(a, b) for a, b in zip(widths, widths[1:], strict=False)),
        BatchDeviation(),
        EqualConv(last + 1, last, 3),
        Activated(),
        nn.Flatten(1),
        EqualLinear(last * START**2, STYLE),
        Activated(),
        EqualLinear(STYLE, 1),
    )
