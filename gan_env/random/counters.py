"""Counter-based random numbers for many rows at once, computed on the device that uses them.

Philox 4×32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") in whole-tensor integer
arithmetic. On a CPU one generator per row is faster (`streams`); on a GPU it would be too slow. The two give different
numbers, so their results are never mixed: rows name their device.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Computes four words of 32 random bits per counter; words are int64 tensors in [0, 2³²) that broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # The products wrap modulo 2⁶⁴, which keeps the bits; the mask undoes the sign of the shift.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> 32 & _MASK) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32 & _MASK) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = k0 + _KEY_STEPS[0] & _MASK, k1 + _KEY_STEPS[1] & _MASK
    return c0, c1, c2, c3


class Draws:
    """Draws for m rows; those of row i are a function of `keys[i]`, `numbers[i]` and the order of the calls only."""

    def __init__(self, keys: Int64[Tensor, "m 2"], numbers: Int64[Tensor, " m"]):
        self._key = keys[:, :1], keys[:, 1:]
        self._number = (numbers & _MASK).unsqueeze(1)
        self._calls = 0

    def _words(self, count: int) -> tuple[Tensor, ...]:
        """Returns `count` times four words for each row, each (m, count)."""
        lanes = torch.arange(count, device=self._number.device).unsqueeze(0)
        call = torch.full_like(lanes[:, :1], self._calls)
        self._calls += 1
        return philox((lanes, self._number, call, torch.zeros_like(call)), self._key)

    def uniform(self, *shape: int) -> Float[Tensor, "m ..."]:
        """Draws numbers uniform in [0, 1), (m, *shape) float32 with 24 random bits each."""
        count = math.prod(shape)
        words = torch.stack(self._words(-(-count // 4)), -1).flatten(1)[:, :count]
        return ((words >> 8).float() * 2.0**-24).unflatten(1, shape)

    def normal(self, *shape: int) -> Float[Tensor, "m ..."]:
        """Draws standard normals, (m, *shape) float32, by the Box-Muller transform."""
        count = math.prod(shape)
        words = self._words(-(-count // 4))
        parts = []
        for first, second in ((words[0], words[1]), (words[2], words[3])):
            radius = (-2 * torch.log1p(-(first >> 8).float() * 2.0**-24)).sqrt()
            angle = (second >> 8).float() * (2 * math.pi * 2.0**-24)
            parts += [radius * angle.cos(), radius * angle.sin()]
        return torch.stack(parts, -1).flatten(1)[:, :count].unflatten(1, shape)
