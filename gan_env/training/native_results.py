"""Results of the compiled kernel: the memory that it writes into, and what is read from it on first access."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from gan_env.native import library as lib
from gan_env.types import Measurement


class Places:
    """The block of memory that the kernel writes the results of decisions into, and the place of each in it.

    Args:
        rows: N.
        batch_size: B.
        updates: k.
        dtype: Precision of the game.
    """

    def __init__(self, rows: int, batch_size: int, updates: int, dtype: Any):
        looks, size = updates + 1, np.dtype(dtype).itemsize
        parts = {  # name of its field in `Decision`: shape, bytes of a number
            "vitals": ((4, rows), 8),
            "worst": ((4,), 8),
            "losses": ((3, looks, rows), size),
            "gradient": ((updates, rows), size),
            "numbers": ((7, rows), size),
            "real_logits": ((rows, batch_size), size),
            "fake_logits": ((rows, batch_size), size),
        }
        self.updates: int = updates
        self.dtype: Any = dtype
        self.shape: dict[str, tuple[int, ...]] = {name: shape for name, (shape, _) in parts.items()}
        sizes = [math.prod(shape) * each for shape, each in parts.values()]
        self.start: dict[str, int] = dict(zip(parts, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        """First byte of each part."""
        self._block = np.empty(sum(sizes), np.uint8)

    def address(self, asked: lib.Decision) -> None:
        """Sets where the kernel writes."""
        base = self._block.ctypes.data
        for name, start in self.start.items():
            setattr(asked, name, base + start)

    def seen(self) -> Seen:
        """Returns what the kernel wrote last, copied."""
        return Seen(self, self._block.copy())


class Seen:
    """Results of a decision of k updates; arrays are views of one block, of the game's precision unless stated."""

    def __init__(self, places: Places, block: np.ndarray):
        self._places, self._block = places, block

    def _part(self, name: str, dtype: Any = None) -> np.ndarray:
        places = self._places
        return np.ndarray(places.shape[name], dtype or places.dtype, self._block, places.start[name])

    @property
    def vitals(self) -> np.ndarray:
        """Numbers (4, N) of each row behind the last update, float64.

        The largest absolute weight, NaN where one is not finite; 0, or NaN where a moment is not finite; 1 where D says
        one thing of every sample; 1 where G makes one sample alone.
        """
        return self._part("vitals", np.float64)

    @property
    def worst(self) -> np.ndarray:
        """Numbers (4,) of all rows, float64.

        The largest absolute weight, the largest absolute loss; 0, or NaN where a gradient, a moment or a logit is not
        finite; how many players are constant.
        """
        return self._part("worst", np.float64)

    @property
    def losses(self) -> np.ndarray:
        """Losses (3, k + 1, N), see `Trace`."""
        return self._part("losses")

    @property
    def gradient(self) -> np.ndarray:
        """Gradient sums (k, N), see `Trace`."""
        return self._part("gradient")

    @property
    def numbers(self) -> np.ndarray:
        """Numbers (7, N) of the last measurement, in the order of `Summary`."""
        return self._part("numbers")

    @property
    def logits(self) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, B) of the real and of the generated batch of the last measurement."""
        return self._part("real_logits"), self._part("fake_logits")


class LazyMeasurement(Measurement):
    """A measurement whose tensors are made on first access, because an environment reads only the summary."""

    @classmethod
    def of(cls, seen: Seen, make: Callable[[], dict[str, Tensor]], progress_on_host: np.ndarray) -> LazyMeasurement:
        """Makes a measurement with these numbers, whose fields are computed by `make`."""
        made = object.__new__(cls)
        vars(made).update(_seen=seen, _make=make, progress_on_host=progress_on_host)
        return made

    @property
    def numbers_on_host(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Measurement`."""
        return vars(self)["_seen"].numbers.astype(np.float64)

    @property
    def logits_on_host(self) -> tuple[np.ndarray, np.ndarray]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Measurement`."""
        return vars(self)["_seen"].logits

    def __getattr__(self, name: str) -> Any:
        """Computes a field on first access; raises AttributeError for other names."""
        if name not in Measurement.__dataclass_fields__ or "_make" not in vars(self):
            raise AttributeError(name)
        vars(self).update(vars(self)["_make"]())
        return vars(self)[name]
