"""A module's parameters and buffers as one vector, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def parts(module: nn.Module) -> list[tuple[str, Tensor]]:
    """What a row's vector holds, in its order: trained parameters, fixed ones (`requires_grad=False`), buffers.

    Each once, whatever ties it. Buffers of whole numbers lie there as numbers, too.
    """
    parameters = list(module.named_parameters())
    return [
        *((name, p) for name, p in parameters if p.requires_grad),
        *((name, p) for name, p in parameters if not p.requires_grad),
        *module.named_buffers(),
    ]


def weight_count(module: nn.Module) -> int:
    """Numbers of a row's vector that are trained: its first ones."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def flatten(module: nn.Module) -> Float[Tensor, " P"]:
    """The module's parameters and buffers as one vector, see `parts`."""
    dtype = next(p.dtype for p in module.parameters())
    return torch.cat([part.detach().reshape(-1).to(dtype) for _, part in parts(module)])


def unflatten(module: nn.Module, flat: Float[Tensor, " P"]) -> nn.Module:
    """Writes such a vector into the module and returns it."""
    held = [part for _, part in parts(module)]
    with torch.no_grad():
        for part, numbers in zip(held, flat.split([part.numel() for part in held]), strict=True):
            part.copy_(numbers.view_as(part))
    return module
