"""Converts a module's parameters and buffers to one vector, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def parts(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Lists the tensors of a row's vector in order: trained parameters, fixed ones (`requires_grad=False`), buffers.

    Tied tensors occur once. Integer buffers are stored as floating-point numbers.
    """
    parameters = list(module.named_parameters())
    return [
        *((name, p) for name, p in parameters if p.requires_grad),
        *((name, p) for name, p in parameters if not p.requires_grad),
        *module.named_buffers(),
    ]


def weight_count(module: nn.Module) -> int:
    """Counts the trained numbers of a row's vector, which come first."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def flatten(module: nn.Module) -> Float[Tensor, " P"]:
    """Returns the module's parameters and buffers as one vector, see `parts`."""
    dtype = next(p.dtype for p in module.parameters())
    return torch.cat([part.detach().reshape(-1).to(dtype) for _, part in parts(module)])


def unflatten(module: nn.Module, flat: Float[Tensor, " P"]) -> nn.Module:
    """Writes such a vector into the module and returns it."""
    held = [part for _, part in parts(module)]
    with torch.no_grad():
        for part, numbers in zip(held, flat.split([part.numel() for part in held]), strict=True):
            part.copy_(numbers.view_as(part))
    return module
