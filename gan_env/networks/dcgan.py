"""Convolutional players for pictures and voxel grids, after the DCGAN paper.

Batch normalisation keeps no running statistics, so that training is a function of weights and batch only. Activations
work in place: a hook that keeps the output of the layer before one sees it after the activation.

Source: Radford, Metz & Chintala 2016, arXiv:1511.06434, section 3 and figure 1; initialisation N(0, 0.02), section 4.
Voxels: Wu et al. 2016, arXiv:1610.07584, the same pattern in three dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, fold

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class ChannelsLast(nn.Module):
    """Converts pictures to the channels-last memory format, which convolutions keep and which is faster on a CPU."""

    def forward(self, maps: Tensor) -> Tensor:
        """Returns the same numbers; leaves voxels and tensors on a GPU as they are."""
        if maps.dim() != 4 or maps.is_cuda:
            return maps
        if maps.shape[1] == 1:  # either layout fits one channel; only the strides tell a convolution which is meant
            return maps.squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=torch.channels_last)


class ToGrey(nn.ConvTranspose2d):
    """`ConvTranspose2d(C, 1, 4, 2, 1)` as one matrix product and a sum over overlapping patches.

    For one output channel torch's own takes twice the time on a CPU; for three channels this one would.

    Args:
        channels: C.
    """

    def __init__(self, channels: int, bias: bool = True):
        super().__init__(channels, 1, 4, 2, 1, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Upsamples maps (B, C, S, S) to pictures (B, 1, 2S, 2S); raises ValueError if another size is requested."""
        if output_size is not None:
            raise ValueError("output_size cannot be chosen: pictures have twice the side of their maps")
        if input.is_cuda:
            return conv_transpose2d(input, self.weight, self.bias, 2, 1)
        patches, side = input.flatten(2).transpose(1, 2) @ self.weight.flatten(1), 2 * input.shape[-1]
        picture = fold(patches.transpose(1, 2), (side, side), 4, padding=1, stride=2)
        bias = self.bias  # by a name of its own, which TorchScript can tell from None
        return picture if bias is None else picture + bias


def _levels(size: int) -> tuple[int, int]:
    """Returns the side of the smallest map and the doublings up to `size`: 28 = 7 x 2 x 2, 64 = 4 x 2 x 2 x 2 x 2."""
    start, doublings = size, 0
    while start > 7 and start % 2 == 0:
        start, doublings = start // 2, doublings + 1
    if doublings < 1 or not 4 <= start <= 7:
        raise ValueError(f"size={size} has no DCGAN; use 28, 32, 64, 128 or another 4...7 times a power of two")
    return start, doublings


def _initialised(net: nn.Sequential) -> nn.Sequential:
    for module in net:
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return net


def dcgan_generator(latent_size: int, shape: tuple[int, ...], channels: int = 32) -> nn.Sequential:
    """Builds a generator from latents (B, latent_size) to samples (B, *shape) in [-1, 1].

    Args:
        latent_size: Dimension of the latents.
        shape: (colours, side, side) for pictures, (1, side, side, side) for voxels.
        channels: Maps at the largest hidden resolution; each halving of the resolution doubles them.

    Raises:
        ValueError: If the side is not a small number times a power of two.
    """
    dims, (start, doublings) = len(shape) - 1, _levels(shape[-1])
    widths = [channels * 2**i for i in range(doublings - 1, -1, -1)]
    net = nn.Sequential(
        nn.Unflatten(1, (latent_size, *(1,) * dims)),
        UP[dims](latent_size, widths[0], start, bias=False),
        ChannelsLast(),
        NORM[dims](widths[0], track_running_stats=False),
        nn.ReLU(inplace=True),
    )
    for before, after in zip(widths, widths[1:], strict=False):
        net.extend(
            [
                UP[dims](before, after, 4, 2, 1, bias=False),
                NORM[dims](after, track_running_stats=False),
                nn.ReLU(inplace=True),
            ]
        )
    grey = len(shape) == 3 and shape[0] == 1
    net.extend([ToGrey(widths[-1]) if grey else UP[dims](widths[-1], shape[0], 4, 2, 1), nn.Tanh()])
    return _initialised(net)


def dcgan_discriminator(shape: tuple[int, ...], channels: int = 32, *, slope: float = 0.2) -> nn.Sequential:
    """Builds a discriminator from samples (B, *shape) to logits (B, 1); arguments and errors as `dcgan_generator`."""
    dims, (start, doublings) = len(shape) - 1, _levels(shape[-1])
    widths = [channels * 2**i for i in range(doublings)]
    net = nn.Sequential(ChannelsLast(), CONV[dims](shape[0], widths[0], 4, 2, 1), nn.LeakyReLU(slope, inplace=True))
    for before, after in zip(widths, widths[1:], strict=False):
        net.extend(
            [
                CONV[dims](before, after, 4, 2, 1, bias=False),
                NORM[dims](after, track_running_stats=False),
                nn.LeakyReLU(slope, inplace=True),
            ]
        )
    net.extend([CONV[dims](widths[-1], 1, start), nn.Flatten(1)])
    return _initialised(net)
