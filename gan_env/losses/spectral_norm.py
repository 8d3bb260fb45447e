"""Spectral normalisation of the discriminator as a pure function of its weights, and which weights it applies to."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gan_env.networks.parameters import parts

POWER_ITERATIONS = 8
"""Iterations from a fixed start at every update, so that the norm is a function of the weights; Miyato et al. keep a
running vector and do one iteration per step. On freshly drawn 16 × 16 layers the norm is 3 % too small on average."""


def largest_singular_value(weight: Float[Tensor, "n out in"]) -> Float[Tensor, " n"]:
    """Computes σ = uᵀ W v with u, v from power iteration, constant where σ is differentiated (Miyato et al., eq. 17).

    Uses sums instead of matrix products, whose rounding for a row depends on the number of rows.
    """
    with torch.no_grad():
        v = torch.ones_like(weight[:, :1])  # (n, 1, in); u is (n, out, 1)
        for _ in range(POWER_ITERATIONS):
            u = (weight * v).sum(2, keepdim=True)  # of any length: only the directions count
            v = _unit((weight * u).sum(1, keepdim=True), 2)
        u = _unit((weight * v).sum(2, keepdim=True), 1)
    return (u * weight * v).sum((1, 2))


def _unit(vector: Tensor, dim: int) -> Tensor:
    return vector / vector.square().sum(dim, keepdim=True).sqrt_().clamp_min_(1e-12)


def spectral_norm(flat: Float[Tensor, "n P"], matrices: list[tuple[int, int, int]]) -> Float[Tensor, "n P"]:
    """Spectral normalisation: divides every weight matrix by its largest singular value.

    `matrices` are (start in flat, rows, columns); a convolution's kernel is read as (out channels, the rest).
    """
    bounds = [at for start, out, inp in matrices for at in (start, start + out * inp)]
    pieces = list(flat.tensor_split(bounds, 1))  # every second one is a matrix
    alike: dict[tuple[int, int], list[int]] = {}
    for number, (_, out, inp) in enumerate(matrices):
        alike.setdefault((out, inp), []).append(2 * number + 1)
    for shape, places in alike.items():  # together: of small matrices each call costs more than its arithmetic
        stacked = torch.stack([pieces[place] for place in places], 1)
        sigma = largest_singular_value(stacked.flatten(0, 1).unflatten(1, shape)).view(-1, len(places), 1)
        for place, made in zip(places, (stacked / sigma).unbind(1), strict=True):
            pieces[place] = made
    return torch.cat(pieces, 1)


def weight_matrices(module: nn.Module) -> list[tuple[int, int, int]]:
    """Lists (start in the flat weights, rows, columns) of every weight that is a matrix or a kernel."""
    found, at = [], 0
    for _, part in parts(module):
        if isinstance(part, nn.Parameter) and part.dim() >= 2:
            found.append((at, part.shape[0], part[0].numel()))
        at += part.numel()
    return found


def zero_weights(module: nn.Module) -> list[str]:
    """Lists the names of the matrices and kernels that are zero: they have no direction, and 0 / σ is NaN."""
    return [
        name for name, part in parts(module) if isinstance(part, nn.Parameter) and part.dim() >= 2 and not part.any()
    ]


def derives_weights(module: nn.Module) -> bool:
    """Returns whether a layer's weight is computed from other parameters.

    By a parametrisation, by an old-style hook, or by a layer of one's own that says so (`derives_weight = True`), as
    those of StyleGAN2 with an equalised learning rate do.
    """
    hooks = (WeightNorm, SpectralNorm, BasePruningMethod)
    return any(
        is_parametrized(m)
        or getattr(m, "derives_weight", False)
        or any(isinstance(hook, hooks) for hook in m._forward_pre_hooks.values())
        for m in module.modules()
    )
