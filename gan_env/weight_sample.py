"""A small sample of a network's weights, from which the size of its updates is estimated at any size of the network."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

SAMPLE = 128
"""Weights of a player that are looked at; the root mean square over them is within about 10 % of that over all."""
_GOLDEN = (5**0.5 - 1) / 2


def sample_places(count: int) -> Int64[np.ndarray, " K"]:
    """Returns the places of `SAMPLE` weights among `count` in a fixed order, spread evenly over all of them.

    Multiples of the golden ratio modulo 1, so that no layer's width is met in step, as it would be by a fixed stride.
    Places repeat where there are fewer weights. A layer has as many as its share of the weights.
    """
    return (np.arange(1, SAMPLE + 1) * _GOLDEN % 1 * count).astype(np.int64)
