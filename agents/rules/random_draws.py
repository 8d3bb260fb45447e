"""Random numbers for controllers: a function of row seed and decision index, never of a global generator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_env.random.streams import Purpose, rng

BLOCK = 256  # part of every result: changing it changes the numbers


@lru_cache(maxsize=4096)  # 8 MB at most; spares keying a generator for every single number
def _block(seed: int, number: int) -> np.ndarray:
    return rng(seed, 0, Purpose.CONTROLLER, number).random(BLOCK)


def uniform(seed: Int64[Tensor, " N"], index: Int64[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Draws one number in [0, 1) per row, float64: number `index` of the stream of the row's seed."""
    drawn = [_block(s, i // BLOCK)[i % BLOCK] for s, i in zip(seed.tolist(), index.tolist(), strict=True)]
    return torch.tensor(drawn, dtype=torch.float64, device=seed.device)
