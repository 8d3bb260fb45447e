"""Records an engine's work once and replays it: on a GPU as CUDA graphs, which launch a whole update at once.

A recording refers to fixed memory addresses: inputs of an update are copied to their recorded places, and results are
read from theirs. This works for plain MLPs only, whose passes use fixed buffers (`players.Buffers`), unlike autograd's.

Source: PyTorch's documentation, "CUDA semantics: CUDA Graphs": warm-up on a side stream, capture, replay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_env.players.batched_mlp import JointPair, MLPPlayers
from gan_env.training.chunks import Chunk, Judged, Moves
from gan_env.training.update import Engine

WARM_UPS = 3
"""Calls before a capture: libraries initialise themselves in the first ones, which a capture does not allow."""

Work = Callable[[], Sequence[Tensor]]
"""Runs arithmetic on tensors, and returns those that it newly allocates at every call."""
Replay = Callable[[], object]
Record = Callable[[Work], Replay]
"""Makes a recording; may run the work several times. A replay has the results of the recorded call."""


def cuda_graphs(device: torch.device) -> Record:
    """Returns a function that records CUDA graphs on one GPU."""

    def record(work: Work) -> Replay:
        with torch.cuda.device(device):
            aside, here = _stream(torch.cuda.current_device()), torch.cuda.current_stream()
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    work()
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=aside):
                work()

        def replay() -> None:
            with torch.cuda.device(device):
                graph.replay()

        return replay

    return record


@functools.cache
def _stream(card: int) -> torch.cuda.Stream:
    """Returns one stream per GPU for all recordings, because libraries keep a workspace for each stream."""
    return torch.cuda.Stream(card)


class Recording:
    """Tensors that the recordings of one chunk share."""

    def __init__(self, rows: Tensor):
        self.places: dict[str, Tensor] = {}
        """Where what is drawn for the chunk is when it is recorded and replayed."""
        self.d_multiplier, self.g_multiplier = (rows.new_ones(len(rows), dtype=torch.float64) for _ in range(2))
        self.gradient = rows.new_zeros(len(rows))
        self.see: Replay | None = None
        self.left: tuple[Tensor, Any, Judged]
        """What the recorded look left: what G made, its tape, and D's verdict."""
        self.updates: dict[tuple[bool, ...], Replay] = {}
        """By who moves."""

    def bring(self, chunk: Chunk) -> None:
        """Copies the chunk's draws to their recorded places."""
        for name in ("inputs", "real", "probe", "turn"):
            drawn, place = vars(chunk).get(name), self.places.get(name)
            if drawn is None or drawn is place:
                continue
            if place is None:
                place = self.places[name] = drawn.clone()  # for the stream that it is of goes on
            else:
                place.copy_(drawn)
            setattr(chunk, name, place)


class RecordedEngine(Engine):
    """An engine that replays the update if all rows of a chunk do the same, and computes it otherwise.

    Args:
        engine: Engine of plain MLPs.
        record: Makes recordings.

    Raises:
        ValueError: If the players are not plain MLPs, or the game is not a plain GAN.
    """

    def __init__(self, engine: Engine, record: Record):
        vars(self).update(vars(engine))
        if self.game is not None or not all(isinstance(players, MLPPlayers) for players in (self.g, self.d)):
            raise ValueError("cuda_graphs=True records plain MLPs of a plain GAN alone; leave it out for this task")
        self._record = record

    def see(self, chunk: Chunk) -> None:
        """See Engine."""
        held = chunk.recording = chunk.recording or Recording(self.g.flat)
        held.bring(chunk)
        if held.see is None:

            def look() -> Sequence[Tensor]:
                Engine.see(self, chunk)
                return chunk.seen.pair.real_logits, chunk.seen.pair.fake_logits, chunk.seen.numbers

            held.see = self._record(look)
            held.left = chunk.out, chunk.g_tape, chunk.seen
        held.see()
        chunk.out, chunk.g_tape, chunk.seen = held.left
        chunk.fake = chunk.out
        assert isinstance(chunk.seen.pair, JointPair)
        chunk.seen.pair.renew()

    def update(self, chunk: Chunk, moves: Moves, d_multiplier: Tensor, g_multiplier: Tensor, gradient: Tensor) -> None:
        """See Engine."""
        held, who = chunk.recording, (moves.d, moves.g_early, moves.g_late)
        held.bring(chunk)
        if not all(each is None or isinstance(each, slice) for each in who):
            super().update(chunk, moves, d_multiplier, g_multiplier, gradient)
            return
        held.d_multiplier.copy_(d_multiplier)
        held.g_multiplier.copy_(g_multiplier)
        name = tuple(each is not None for each in who)
        if name not in held.updates:
            held.updates[name] = self._recorded(chunk, held, moves)
        held.updates[name]()
        gradient[chunk.rows] += held.gradient[chunk.rows]

    def _recorded(self, chunk: Chunk, held: Recording, moves: Moves) -> Replay:
        """Records an update, and restores everything that it changed."""
        optimizers = self.g_optimizer, self.d_optimizer
        changed = [self.g.flat, self.d.flat, self.g_penalty, self.d_penalty]
        changed += [tensor for optimizer in optimizers for tensor in optimizer.state().values()]
        before = [tensor.clone() for tensor in changed]

        def work() -> Sequence[Tensor]:
            held.gradient.zero_()
            Engine.update(self, chunk, moves, held.d_multiplier, held.g_multiplier, held.gradient)
            return ()

        try:
            return self._record(work)
        finally:  # also where a recording fails
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
