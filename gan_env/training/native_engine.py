"""Trains rows by the compiled kernel: a decision of all rows in one call."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_env.data.datasets import ArrayData, GaussianMixture, PlaneData
from gan_env.losses.losses import Loss
from gan_env.losses.penalties import GradientNormalisation
from gan_env.native import library as lib
from gan_env.players.batched_mlp import MLPPlayers
from gan_env.players.players import Players
from gan_env.random.streams import BlockStream
from gan_env.tasks.task import Task
from gan_env.training.annealing import Annealed
from gan_env.training.batches import Feed
from gan_env.training.native_coverage import NUMBERS, loss_kind, normalisation_kind, penalty_kind
from gan_env.training.native_results import Places, Seen
from gan_env.training.optimizers import RowOptimizer
from gan_env.types import Control

_ACTIVATIONS = {type(None): 0, nn.ReLU: 1, nn.LeakyReLU: 2, nn.Tanh: 3}
_OPTIMIZERS = {"adam": 0, "rmsprop": 1, "sgd": 2, "oadam": 3, "extra-adam": 4, "lookahead-minimax": 5}
_CONTROL = {name: torch.bool for name in ("update_g", "update_d", "reuse_real")}
_CONTROL |= {name: torch.float64 for name in ("g_multiplier", "d_multiplier")}
"""Fields of a control that the kernel reads, as what."""
_INVALID = -2
"""What `gan_run` returns for an invalid control."""
_FED, _NORMALS, _UNIFORMS, _MIXTURE = range(4)
_POINTS, _FLOATS, _BYTES = range(3)


def _player(players: Players) -> lib.Player:
    assert isinstance(players, MLPPlayers)
    layers, at = (lib.Layer * len(players.sizes))(), 0
    described = zip(layers, players.sizes, players.biased, players.activations, strict=True)
    for layer, (outputs, inputs), biased, activation in described:
        layer.outputs, layer.inputs, layer.weight = outputs, inputs, at
        at += outputs * inputs
        layer.bias = at if biased else -1
        at += outputs * biased
        layer.activation = _ACTIVATIONS[type(activation)]
        layer.slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else 0.0
    return lib.Player(len(layers), at, layers)


def _optimizer(optimizer: RowOptimizer) -> lib.Optimizer:
    spec = optimizer.spec
    settings = spec.alpha, spec.momentum, spec.eps, spec.lookahead_every, spec.lookahead_share
    return lib.Optimizer(_OPTIMIZERS[spec.name], *spec.betas, *settings)


def _pointer(value: Tensor | np.ndarray) -> int:
    return value.data_ptr() if isinstance(value, Tensor) else value.ctypes.data


@dataclass(frozen=True)
class State:
    """Tensors and counters of the trainer that the kernel reads and writes in place, see `Trainer`."""

    g: Players
    d: Players
    g_optimizer: RowOptimizer
    d_optimizer: RowOptimizer
    d_penalty: Tensor
    annealed: Annealed | None
    seed: np.ndarray
    episode: np.ndarray
    which: np.ndarray
    updates: np.ndarray
    real_index: np.ndarray
    g_updates: np.ndarray
    d_updates: np.ndarray


class NativeEngine:
    """Runs the kernel on the rows of a trainer.

    Args:
        tasks: Distinct tasks of the rows.
        loss: The GAN loss.
        order: "simultaneous" or "alternating".
        batch_size: B.
        feed: Source of the draws.
        state: Tensors that it reads and writes.
        threads: Threads among which rows are divided; changes speed only.
        isa: An instruction set of `library.instruction_sets`, by default the fastest; changes speed only.

    Raises:
        ValueError: If this machine or the library does not have the instruction set.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        loss: Loss,
        order: str,
        batch_size: int,
        feed: Feed,
        state: State,
        *,
        threads: int = 1,
        isa: str = "",
    ):
        made = lib.library()
        assert made is not None, "see native_coverage.py"
        self._library, self._threads, self._session = made, threads, None
        self._tasks, self._state, self._batch_size = tasks, state, batch_size
        flat = state.g.flat
        self._n, self._dtype = len(flat), NUMBERS[flat.dtype]
        game = self._game(loss, order)
        self._session = made.gan_session(ctypes.byref(game), isa.encode())
        if not self._session:
            raise ValueError(f"isa={isa!r} is none of {', '.join(lib.instruction_sets())}")
        self._kept: list[object] = []
        """What the structs point to."""
        self._fed: list[tuple[BlockStream, lib.Stream, np.ndarray]] = []
        """Streams whose blocks the kernel does not draw itself, and the counters that address them."""
        self._samples: Tensor | None = None
        self._rows = self._make_rows(feed, loss)
        self._looks, self._known = np.zeros(self._n, np.int64), np.zeros(self._n, bool)
        self._decision = lib.Decision(looks=_pointer(self._looks), known=_pointer(self._known))
        self._places: Places | None = None
        self._given: dict[str, Tensor] = {}
        """Fields of the last control, as the kernel reads them."""

    def __del__(self) -> None:
        if self._session:
            self._library.gan_session_free(self._session)

    # -- what it is told once -------------------------------------------------------------------------------------

    def _game(self, loss: Loss, order: str) -> lib.Game:
        state = self._state
        g, d = _player(state.g), _player(state.d)
        game = lib.Game(
            doubles=self._dtype == np.float64,
            batch=self._batch_size,
            latents=g.layer[0].inputs,
            features=d.layer[0].inputs,
            g=g,
            d=d,
            loss=loss_kind(loss),
            penalty=penalty_kind(loss) or 0,
            gradient_normalised=normalisation_kind(loss) or 0,
            spectral_norm=loss.reparametrise is not None,
            noisy=loss.noisy,
            clipped=loss.clipped,
            alternating=order == "alternating",
            coefficient=loss.coefficient,
            gran_eps=loss.normalise.eps if isinstance(loss.normalise, GradientNormalisation) else 0.0,
            g_optimizer=_optimizer(state.g_optimizer),
            d_optimizer=_optimizer(state.d_optimizer),
        )
        tables = {} if state.annealed is None else state.annealed.tables  # which the state keeps
        for name, table in tables.items():
            game.annealed = len(table)
            if name == "coefficient":
                game.coefficients = _pointer(table)
            else:
                getattr(game, name.replace("beta2", "optimizer")).beta2s = _pointer(table)
        return game

    def _make_rows(self, feed: Feed, loss: Loss) -> lib.Rows:
        state, rows = self._state, lib.Rows(count=self._n)
        for name in ("g", "d"):
            players, optimizer = getattr(state, name), getattr(state, f"{name}_optimizer")
            for field, value in (("flat", players.flat), ("steps", optimizer.steps), ("lr", optimizer.lr)):
                setattr(rows, f"{name}_{field}", _pointer(value))
            for i, moment in enumerate(optimizer.moments):
                getattr(rows, f"{name}_moment")[i] = _pointer(moment)
        for name in ("seed", "episode", "which", "updates", "real_index", "g_updates", "d_updates", "d_penalty"):
            setattr(rows, name, _pointer(getattr(state, name)))
        data = (lib.Data * len(self._tasks))()
        for described, each in zip(data, self._tasks, strict=True):
            self._describe(described, each.data)
        rows.data = data
        task, size = self._tasks[0], self._batch_size
        self._real_stream(rows.real, feed.reals, math.prod(task.data.shape))
        latents = _NORMALS if task.latents == "normal" else _FED
        self._stream(rows.latent, feed.latents, latents, (size, task.latent_size), state.updates)
        if loss.noisy:
            self._stream(rows.probe, feed.probes, _NORMALS, (2, size, *task.data.shape), state.updates)
        elif loss.penalty is not None:
            self._stream(rows.probe, feed.probes, _UNIFORMS, (size,), state.updates)
        return rows

    def _describe(self, into: lib.Data, data: Any) -> None:
        """Describes the source of a task's real samples."""
        into.form = _POINTS
        if type(data) is ArrayData:
            table = data.samples.contiguous()
            into.form = _BYTES if table.dtype == torch.uint8 else _FLOATS
            table = table if into.form == _BYTES else table.float()
            into.table = _pointer(table)
            self._kept.append(table)
        elif type(data) is PlaneData and isinstance(data.distribution, GaussianMixture):
            centres = np.ascontiguousarray(data.distribution.centres, np.float64)
            into.centres, into.modes, into.std = _pointer(centres), len(centres), data.distribution.std
            self._kept.append(centres)

    def _real_stream(self, into: lib.Stream, stream: BlockStream, features: int) -> None:
        size, data = self._batch_size, [task.data for task in self._tasks]
        if all(type(each) is PlaneData for each in data):
            mixtures = all(isinstance(each.distribution, GaussianMixture) for each in data)  # type: ignore[attr-defined]
            self._stream(into, stream, _MIXTURE if mixtures else _FED, (size, features), self._state.real_index)
        elif all(type(each) is ArrayData for each in data):
            self._stream(into, stream, _FED, (size,), self._state.real_index)
        else:  # each batch is made by the data themselves
            held = np.full(self._n, -1)
            self._samples = torch.empty(self._n, size, features)
            self._kept.append(held)
            into.draw, into.length, into.width = _FED, 1, size * features
            into.codes, into.held = _pointer(self._samples), _pointer(held)
            self._fed.append((stream, into, self._state.real_index))
            self._held = held

    def _stream(
        self, into: lib.Stream, stream: BlockStream, draw: int, shape: tuple[int, ...], index: np.ndarray
    ) -> None:
        into.draw, into.purpose, into.length, into.width = draw, int(stream.purpose), stream.block, math.prod(shape)
        into.held = _pointer(stream.held)
        if draw == _FED:
            self._fed.append((stream, into, index))
        elif stream.codes is None:
            stream.codes = torch.empty(self._n, stream.block, *shape)
        into.codes = None if stream.codes is None else _pointer(stream.codes)
        self._kept.append(stream)

    # -- a decision -----------------------------------------------------------------------------------------------

    def forget(self, rows: np.ndarray | None = None) -> None:
        """Marks the kernel's cache of the rows (all by default) stale: weights, counters or draws changed."""
        self._known[slice(None) if rows is None else rows] = False
        if self._samples is not None:
            self._held[slice(None) if rows is None else rows] = -1

    def look(self, fake: Tensor | None = None) -> Seen:
        """Measures the coming batch; writes G's samples to `fake`, (N, B, *shape)."""
        asked = self._decision
        asked.fake = None if fake is None else _pointer(fake)
        seen = self._run(0)
        asked.fake = None
        return seen

    def advance(self, control: Control, updates: int, active: np.ndarray | None) -> Seen:
        """Makes `updates` updates of every active row under one control, and measures the next batch after each.

        Raises:
            ValueError: If it is not a control for N rows.
        """
        asked, given = self._decision, self._given
        for name, dtype in _CONTROL.items():
            value = getattr(control, name)
            if given.get(name) is not value:  # most decisions share most fields with the last one
                if value.shape != (self._n,):
                    control.check(self._n)
                given[name] = _plain(value, dtype)
                setattr(asked, name, _pointer(given[name]))
        asked.active = None if active is None else active.__array_interface__["data"][0]  # faster than `ctypes.data`
        return self._run(updates, control)

    def _run(self, updates: int, control: Control | None = None) -> Seen:
        asked = self._decision
        if self._places is None or self._places.updates != updates:
            self._places = Places(self._n, self._batch_size, updates, self._dtype)
            self._places.address(asked)
            asked.updates = updates
        try:
            while waiting := self._library.gan_run(self._session, self._rows, asked, self._threads):
                if waiting == _INVALID:
                    assert control is not None, "only a decision has a control"
                    control.check(self._n)  # names the row
                    raise ValueError("the kernel refused the control")
                if waiting < 0:
                    raise MemoryError("the kernel found no memory to work in")
                self._supply(updates)
        except BaseException:
            self._looks[:] = 0
            self.forget()
            raise
        return self._places.seen()

    def _supply(self, updates: int) -> None:
        """Draws the blocks that rows need next."""
        state = self._state
        for row in np.flatnonzero(self._looks <= updates).tolist():
            one = slice(row, row + 1)
            for stream, into, index in self._fed:
                at = one, index[one], state.seed[one], state.episode[one]
                if self._samples is not None and index is state.real_index:
                    data = self._tasks[state.which[row]].data
                    self._samples[row] = data.batch(stream.at(*at))[0].flatten(1)
                    self._held[row] = index[row]
                else:
                    stream.hold(*at)
                    assert stream.codes is not None
                    into.codes = _pointer(stream.codes)


def _plain(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Converts the tensor for C."""
    if value.dtype == dtype and value.is_contiguous() and value.is_cpu:
        return value
    return value.to("cpu", dtype).contiguous()
