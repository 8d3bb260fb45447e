"""Runs the checks of the conformance kit; each check is a function named after the property that it verifies."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.training.trainer import Trainer
from gan_env.types import Control


class BrokenPromise(AssertionError):
    """Raised if a part does not meet a requirement of its kind."""


def require(kept: object, found: str) -> None:
    """Raises BrokenPromise with the result, unless the condition is true."""
    if not kept:
        raise BrokenPromise(found)


def keep_all(part: str, promises: Iterable[Callable[[Any], None]], subject: Any) -> None:
    """Runs one check after another; raises BrokenPromise for the first that fails, with the part's name."""
    for promise in promises:
        try:
            promise(subject)
        except Exception as error:  # a part's own exception breaks the promise, too
            said = str(error) if isinstance(error, BrokenPromise) else f"{type(error).__name__}: {error}"
            raise BrokenPromise(f"{part} breaks {promise.__name__.replace('_', ' ')!r}: {said}") from error


@contextmanager
def generators_left_alone() -> Iterator[None]:
    """Raises BrokenPromise if the state of a global random generator has changed at the end of the block."""
    before = _generators()
    yield
    for name, old, new in zip(("torch", "numpy", "random"), before, _generators(), strict=True):
        require(old == new, f"it drew from the global generator of {name}; draw from the row's own seed")


def under_other_generators(*runs: Callable[[], Any]) -> list[Any]:
    """Runs each function under another state of the global generators, restores these, and returns the results."""
    torch_state, numpy_state, state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    found = []
    for seed, run in enumerate(runs):
        for start in (torch.manual_seed, np.random.seed, random.seed):
            start(seed)
        with generators_left_alone():
            found.append(run())
    torch.set_rng_state(torch_state)
    np.random.set_state(numpy_state)
    random.setstate(state)
    return found


def _generators() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()


def trained(seeds: list[int], updates: int = 0, **settings: Any) -> Trainer:
    """Returns a trainer in double precision on the CPU, one row per seed, after some updates of both players."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*keeps state outside its weights")  # slow, not wrong
        made = make_trainer(EnvConfig(dtype="float64", device="cpu", **settings), len(seeds))
    made.reset(np.array(seeds), np.zeros(len(seeds), np.int64))
    if updates:
        made.advance(Control.of(len(seeds)), updates)
    return made


def trains_from_the_seed_alone(updates: int, **settings: Any) -> None:
    """Raises BrokenPromise unless training is finite, moves both players, and depends only on the row's seed.

    It must not depend on other rows, nor on global generators, which dropout or noise inside a player would use.
    """
    start = trained([7], **settings)
    alone, crowd = under_other_generators(
        lambda: trained([7], updates, **settings), lambda: trained([3, 7], updates, **settings)
    )
    for name in ("g", "d"):
        weights, before = getattr(alone, name).flat, getattr(start, name).flat
        require(torch.isfinite(weights).all(), f"weights of {name} are not finite after {updates} updates")
        require((weights != before).any(), f"no weight of {name} moved in {updates} updates")
        gap = float((getattr(crowd, name).flat[1] - weights[0]).abs().max())
        close = gap <= 1e-9 * (1 + float(weights.abs().max()))
        require(close, f"weights of {name} are {gap:.2g} off beside another row, or with other global generators")
