"""One random stream per row: every draw is a function of row seed, episode, purpose and index only.

A draw never depends on the number of rows, on neighbours, on earlier actions or on any global generator. Draws come
in blocks of a constant number of batches, because keying a generator costs as much as dozens of numbers; a block is
made when the first of its batches is needed, and its state is its number.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from gan_env.random.counters import Draws


class Purpose(IntEnum):
    """Purpose of a draw. The numbers enter every result: never renumber."""

    GENERATOR_WEIGHTS = 0
    DISCRIMINATOR_WEIGHTS = 1
    REAL = 2
    LATENTS = 3
    PENALTY = 4
    QUALITY = 5
    SCORE = 6
    SAMPLE = 7
    CONTROLLER = 8


_one_at_a_time = threading.RLock()
"""torch has one CPU generator per process: two threads that seed it in turns would draw each other's numbers."""
if hasattr(os, "register_at_fork"):  # a process forked off while another thread holds the lock gets a free one
    os.register_at_fork(
        before=_one_at_a_time.acquire, after_in_parent=_one_at_a_time.release, after_in_child=_one_at_a_time.release
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's CPU generator inside the block, and restores its previous state afterwards.

    One thread at a time is inside; others wait.
    """
    with _one_at_a_time, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every other device, too
        precision = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)  # weights drawn in double precision would be other weights
        try:
            yield
        finally:
            torch.set_default_dtype(precision)


def key(seed: int, episode: int, purpose: Purpose, index: int) -> int:
    """Returns a 128-bit key that is unique to (seed, episode, purpose, index) in practice."""
    words = np.array([seed, episode, purpose, index], dtype=np.int64)
    return int.from_bytes(hashlib.blake2b(words.tobytes(), digest_size=16).digest(), "little")


def rng(seed: int, episode: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Makes a fresh counter-based generator (Philox) for one draw."""
    return np.random.Generator(np.random.Philox(key=key(seed, episode, purpose, index)))


Draw = Callable[[np.random.Generator], np.ndarray]
"""Draws one row's block from its generator, (block, *batch shape)."""
DeviceDraw = Callable[[Draws], Tensor]
"""Draws the blocks of m rows at once, (m, block, *batch shape)."""


class BlockStream:
    """Batches of one purpose for N rows, addressed by index.

    Args:
        rows: N.
        block: Batches in one block.
        purpose: Purpose of the draws.
        draws: Functions that draw a block of one row on the CPU.
        device_draws: Functions that draw the blocks of many rows on a GPU; where one is None, blocks for a GPU are
            drawn on the CPU, too.
        device: Device of the batches.
        which: Index of each row's draw function, int64 (N,), read when a block is drawn; by default the first.
    """

    def __init__(
        self,
        rows: int,
        block: int,
        purpose: Purpose,
        draws: Sequence[Draw],
        device_draws: Sequence[DeviceDraw | None] = (),
        device: torch.device | str = "cpu",
        which: np.ndarray | None = None,
    ):
        self.block, self.purpose, self._draws = block, purpose, draws
        self.device = torch.device(device)
        self._device_draws = [each for each in device_draws if each is not None and self.device.type == "cuda"]
        if len(self._device_draws) < len(draws):
            self._device_draws = []
        self._which = np.zeros(rows, np.int64) if which is None else which
        self.held = np.full(rows, -1)
        """(N,) int64: which block each row holds, -1 for none."""
        self.codes: Tensor | None = None
        """The blocks, (N, block, *batch shape); None before the first is drawn."""
        self._rows = rows

    def forget(self, rows: np.ndarray | slice = slice(None)) -> None:
        """Drops the cached blocks of the rows, because their seed or episode changed."""
        self.held[rows] = -1

    def at(self, rows: slice, index: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> Tensor:
        """Returns batch `index[i]` of each row of the slice, (n, *batch shape); may share memory with this stream.

        `index`, `seed` and `episode` are int64 (n,), one entry per row of the slice.
        """
        self.hold(rows, index, seed, episode)
        assert self.codes is not None
        place = index % self.block
        codes = self.codes[rows]
        if (place == place[0]).all():
            return codes[:, place[0]]
        places = torch.from_numpy(place).to(codes.device)
        return codes[torch.arange(len(place), device=codes.device), places]

    def hold(self, rows: slice, index: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> None:
        """Draws the blocks of those batches unless they are cached; the arguments are those of `at`."""
        number = index // self.block
        due = np.flatnonzero(self.held[rows] != number)
        if len(due):
            places = due + (rows.start or 0)
            self._draw_blocks(places, seed[due], episode[due], number[due])
            self.held[places] = number[due]

    def _draw_blocks(self, places: np.ndarray, seed: np.ndarray, episode: np.ndarray, number: np.ndarray) -> None:
        """Draws block `number[i]` of each row `places[i]` into `codes`."""
        which = self._which[places]
        if not self._device_draws:
            rows = zip(*(each.tolist() for each in (places, which, seed, episode, number)), strict=True)
            for place, kind, s, e, n in rows:
                drawn = torch.from_numpy(self._draws[kind](rng(s, e, self.purpose, n)))
                self._room(drawn.unsqueeze(0))[place] = drawn
            return
        keys = [key(s, e, self.purpose, -1) for s, e in zip(seed.tolist(), episode.tolist(), strict=True)]
        words = torch.tensor([[k & 0xFFFFFFFF, k >> 32 & 0xFFFFFFFF] for k in keys], device=self.device)
        counts = torch.from_numpy(number).to(self.device)
        for kind in np.unique(which):
            same = np.flatnonzero(which == kind)
            among = torch.from_numpy(same).to(self.device)
            drawn = self._device_draws[kind](Draws(words[among], counts[among]))
            self._room(drawn)[torch.from_numpy(places[same]).to(self.device)] = drawn

    def _room(self, drawn: Tensor) -> Tensor:
        """Allocates the cache of the rows' blocks, shaped like the first block that is drawn."""
        if self.codes is None:
            self.codes = torch.empty(self._rows, *drawn.shape[1:], dtype=drawn.dtype, device=self.device)
        return self.codes


def normal_block(batches: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Returns a draw of standard normals in float32, (batches, *shape): the same numbers in any training precision."""
    return lambda generator: generator.standard_normal((batches, *shape), dtype=np.float32)


def uniform_block(batches: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Returns a draw of numbers uniform in [0, 1) in float32, (batches, *shape)."""
    return lambda generator: generator.random((batches, *shape), dtype=np.float32)
