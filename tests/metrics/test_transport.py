"""Exact W1: the compiled solver against POT and SciPy, its certificate, and the way without it."""

import ctypes
import math
import shutil

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from gan_env.metrics import distances
from gan_env.native import transport
from gan_env.native.library import compile_library

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the solver with")


@pytest.fixture(scope="module")
def solve(tmp_path_factory):
    file = compile_library(tmp_path_factory.mktemp("native"))
    return transport.bind(ctypes.CDLL(str(file)))


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def clouds(name: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of n points each, of a kind that solvers find hard."""
    x, y, t, s = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), rng.random(n), rng.random(n)
    lattice = rng.integers(0, 5, (2, n, 2)).astype(float)
    places = y[rng.integers(0, min(8, n), n)]
    return {
        "near": (x, y),
        "moved": (x, x[::-1] + [3, 4]),
        "far": (x, 0.1 * y + [1e4, 0]),
        "a blob in the middle": (x / np.linalg.norm(x, axis=1, keepdims=True), 1e-6 * y),
        "on one line": (np.stack([t, t], 1), np.stack([s / 2, s / 2], 1)),
        "near one line": (np.stack([t, 1e-9 * t**2], 1), np.stack([s, 1e-9 * s], 1)),
        "on a circle": tuple(np.stack([np.cos(6.3 * a), np.sin(6.3 * a)], 1) for a in (t, s)),
        "collapsed": (x, places),
        "collapsed to a point": (x, np.ones((n, 2))),
        "nearly collapsed": (x, places + 1e-12 * y),
        "both collapsed": (places, x[rng.integers(0, min(5, n), n)]),
        "all on one point": (np.ones((n, 2)), np.ones((n, 2))),
        "the same": (x, x[::-1]),
        "ties": (lattice[0], lattice[1]),
        "one far point": (x, np.concatenate([y[:-1], [[1e8, 0]]])),
        "tiny": (1e-8 * x, 1e-8 * y),
        "huge": (1e8 * x, 1e8 * y),
        "heavy tails": (x, rng.standard_cauchy((n, 2))),
        "64 dimensions": (rng.normal(size=(n, 64)), 1.1 * rng.normal(size=(n, 64))),
    }[name]


KINDS = [
    "near", "moved", "far", "a blob in the middle", "on one line", "near one line", "on a circle", "collapsed",
    "collapsed to a point", "nearly collapsed", "both collapsed", "all on one point", "the same", "ties",
    "one far point", "tiny", "huge", "heavy tails", "64 dimensions",
]  # fmt: skip


def certify(cost: np.ndarray, found: transport.Assignment) -> float:
    """The mean cost of an assignment, once its potentials have shown that none is cheaper."""
    n, size = len(cost), float(cost.max())
    assert sorted(found.columns) == list(range(n))
    slack = cost - found.row_potentials[:, None] - found.column_potentials
    assert slack.min() >= -1e-14 * size
    total = math.fsum(cost[np.arange(n), found.columns])
    gap = total - math.fsum(found.row_potentials) - math.fsum(found.column_potentials)
    assert abs(gap) <= 1e-13 * n * size
    return total / n


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 7, 150])
def test_the_solver_finds_the_cheapest_assignment_and_certifies_it(solve, kind, n):
    for seed in range(3):
        cost = cdist(*clouds(kind, n, draws(seed)))
        i, j = linear_sum_assignment(cost)
        assert certify(cost, solve(cost)) == pytest.approx(cost[i, j].mean(), rel=1e-12, abs=1e-15 * cost.max())


@needs_compiler
def test_the_solver_takes_any_costs(solve):
    for seed in range(30):
        rng = draws(seed)
        n = int(rng.integers(1, 80))
        cost = [rng.normal(size=(n, n)), rng.integers(-3, 4, (n, n)).astype(float), rng.random((n, n)) ** 8][seed % 3]
        i, j = linear_sum_assignment(cost)
        found = solve(cost)
        assert sorted(found.columns) == list(range(n))
        assert cost[np.arange(n), found.columns].sum() == pytest.approx(cost[i, j].sum(), rel=1e-11, abs=1e-12)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_solver_certifies_two_thousand_points(solve, kind):
    certify(cost := cdist(*clouds(kind, 2000, draws())), solve(cost))


@needs_compiler
def test_the_solver_repeats_to_the_bit_and_keeps_its_input(solve):
    cost = cdist(*clouds("near", 200, draws()))
    before = cost.copy()
    for a, b in zip(solve(cost), solve(np.asfortranarray(cost)), strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(cost, before)


@needs_compiler
def test_the_solver_refuses_what_has_no_cheapest_assignment(solve):
    for bad in (np.nan, np.inf):
        cost = np.ones((3, 3))
        cost[1, 2] = bad
        with pytest.raises(ValueError, match="NaN or infinity"):
            solve(cost)
    for shape in ((2, 3), (0, 0)):
        with pytest.raises(ValueError, match="square"):
            solve(np.ones(shape))


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_w1_with_and_without_the_compiled_solver_is_the_same(solve, kind, monkeypatch):
    real, fake = (torch.from_numpy(np.ascontiguousarray(points)) for points in clouds(kind, 120, draws(4)))
    monkeypatch.setattr(transport, "solver", lambda: solve)
    compiled = distances.wasserstein1(real, fake)
    monkeypatch.setattr(transport, "solver", lambda: None)
    assert compiled == pytest.approx(distances.wasserstein1(real, fake), rel=1e-9, abs=0)
    if kind in ("near", "a blob in the middle", "collapsed", "64 dimensions"):  # one matching is cheapest
        import ot

        weights = np.full(120, 1 / 120)
        assert compiled == ot.emd2(weights, weights, ot.dist(real.numpy(), fake.numpy(), metric="euclidean"))


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_w1_of_points_on_a_line_is_that_of_their_positions(dimensions):
    rng = draws()
    place, direction = rng.integers(-1000, 1000, (2, 50)) / 64, rng.integers(1, 5, dimensions).astype(float)
    real, fake = (torch.from_numpy(p[:, None] * direction + 1) for p in place)
    i, j = linear_sum_assignment(cost := cdist(real, fake))
    assert distances.positions_on_line(np.concatenate([real, fake])) is not None
    assert distances.wasserstein1(real, fake) == pytest.approx(cost[i, j].mean(), rel=1e-12)
    real[0, 0] += 1e-9
    assert dimensions == 1 or distances.positions_on_line(np.concatenate([real, fake])) is None


def test_w1_far_from_zero_keeps_its_digits():
    real, fake = (0.1 * points for points in clouds("near", 60, draws()))
    near = distances.wasserstein1(torch.from_numpy(real), torch.from_numpy(fake))
    moved = distances.wasserstein1(torch.from_numpy(real + 2.0**17), torch.from_numpy(fake + 2.0**17))
    assert moved == pytest.approx(near, rel=1e-9)


def test_w1_refuses_no_points_and_lengths_that_overflow():
    with pytest.raises(ValueError, match="at least one point"):
        distances.wasserstein1(torch.zeros(0, 2), torch.zeros(0, 2))
    with pytest.raises(OverflowError, match="overflow"):
        distances.wasserstein1(torch.eye(3).double() * 1e200, torch.ones(3, 3).double())
