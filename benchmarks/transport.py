"""Processor time and agreement of the exact W1: the compiled solver and POT's network simplex, 2,000 points.

    python benchmarks/transport.py              # each of the sets; about two minutes
    python benchmarks/transport.py --repeats 5

Compile the solver before: `python -m gan_env.native.library`. Times hold the cost matrix, but not POT's import.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from unittest import mock

import numpy as np
import torch
import tyro

import gan_env.tasks  # noqa: F401  registers the tasks
from gan_env.data.datasets import DISTRIBUTIONS, PlaneData
from gan_env.metrics.distances import wasserstein1
from gan_env.native import transport

POINTS = 2_000


def sets() -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Name, real points and generated ones: from good generators to those that fail in every known way."""
    rng = np.random.default_rng(0)
    real = {name: PlaneData(make()).test() for name, make in DISTRIBUTIONS.items()}
    fresh = {name: PlaneData(make()).fresh(1, POINTS)[0] for name, make in DISTRIBUTIONS.items()}
    ring, noise, place = real["ring"], torch.from_numpy(rng.normal(size=(POINTS, 2))).float(), rng.random(POINTS)
    for name in DISTRIBUTIONS:
        yield f"{name}: fresh data (floor)", real[name], fresh[name]
        yield f"{name}: untrained (a blob)", real[name], 0.01 * noise
    yield "ring: noisy data", ring, ring + 0.05 * noise
    yield "ring: points on a line", ring, torch.from_numpy(np.stack([place, place], 1) - 0.5).float()
    for distance in (1, 5, 100, 10_000):
        yield f"ring: {distance} away", ring, 0.1 * noise + torch.tensor([float(distance), 0])
    yield "ring: data moved by 5", ring, ring + torch.tensor([3.0, 4.0])
    yield "ring: ten times too wide", ring, 5 * noise
    yield "ring: one mode", ring, 0.05 * noise + torch.tensor([0.5, 0])
    for count in (1, 8, 50):
        yield f"ring: collapsed to {count} places", ring, fresh["ring"][rng.integers(0, count, POINTS)]
    yield "line: near it", real["line"], fresh["line"] + 1e-3 * noise
    many = torch.from_numpy(rng.normal(size=(2, POINTS, 64)))
    yield "64 dimensions", many[0], 1.1 * many[1]


def seconds(real: torch.Tensor, fake: torch.Tensor, repeats: int) -> tuple[float, list[float]]:
    """The distance and the times of each repeat."""
    times, distance = [], 0.0
    for _ in range(repeats):
        started = time.process_time()
        distance = wasserstein1(real, fake)
        times.append(time.process_time() - started)
    return distance, times


def main(repeats: int = 3) -> None:
    """Prints a table.

    Args:
        repeats: Timings of each set and solver.
    """
    torch.set_num_threads(1)
    if transport.solver() is None:
        raise SystemExit("the solver is not compiled: python -m gan_env.native.library")
    import ot  # noqa: F401  seconds

    print(f"{'':32}{'compiled':>18}{'POT':>18}")
    print(f"{'':32}{'median    least':>18}{'median    least':>18}  relative difference")
    slowest = 0.0
    for name, real, fake in sets():
        ours, fast = seconds(real, fake, repeats)
        with mock.patch.object(transport, "solver", lambda: None):
            theirs, slow = seconds(real, fake, repeats)
        slowest = max(slowest, statistics.median(fast))
        cells = "".join(f"{statistics.median(t):9.3f}{min(t):9.3f}" for t in (fast, slow))
        print(f"{name:32}{cells}  {abs(ours - theirs) / max(theirs, 1e-300):.0e}", flush=True)
    print(f"the compiled solver's slowest: {slowest:.2f} s")


if __name__ == "__main__":
    tyro.cli(main)
