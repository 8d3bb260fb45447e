"""Solves the linear assignment problem exactly by the compiled solver; see `transport.cpp`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from gan_env.native.library import library


class Assignment(NamedTuple):
    """An assignment with the dual potentials that certify it: row + column <= cost, up to rounding, for every pair."""

    columns: Int32[np.ndarray, " n"]
    """The column of each row."""
    row_potentials: Float64[np.ndarray, " n"]
    column_potentials: Float64[np.ndarray, " n"]


Solver = Callable[[Float64[np.ndarray, "n n"]], Assignment]


def bind(loaded: ctypes.CDLL) -> Solver:
    """Wraps the solver of a loaded library as a function of a cost matrix."""
    assign_exactly = loaded.assign_exactly
    assign_exactly.argtypes = [ctypes.c_int32, *[ctypes.c_void_p] * 4]
    assign_exactly.restype = ctypes.c_int32

    def solve(cost: Float64[np.ndarray, "n n"]) -> Assignment:
        """Finds the assignment of least total cost; raises ValueError if a cost is NaN or infinite."""
        n = len(cost)
        cost = np.ascontiguousarray(cost, dtype=np.float64)
        if cost.shape != (n, n) or n == 0:
            raise ValueError(f"the cost matrix must be square and not empty, got shape {cost.shape}")
        found = Assignment(np.empty(n, np.int32), np.empty(n), np.empty(n))
        if assign_exactly(n, cost.ctypes.data, *(array.ctypes.data for array in found)):
            raise ValueError("the cost matrix holds NaN or infinity; no assignment is cheapest")
        return found

    return solve


@cache
def solver() -> Solver | None:
    """Returns the compiled solver, or None if the native library was not compiled."""
    compiled = library()
    return None if compiled is None else bind(compiled)
