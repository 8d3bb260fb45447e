"""A trainer's rows in the kernel: which games it covers, and a decision of all rows in one call."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gan_env.datasets import ArrayData, GaussianMixture, PlaneData
from gan_env.losses import LOSSES, Loss
from gan_env.mlp_players import MLPPlayers
from gan_env.native import library as lib
from gan_env.optimizers import RowOptimizer
from gan_env.streams import BlockStream, Purpose

if TYPE_CHECKING:
    from gan_env.trainer import Trainer

_ACTIVATIONS = {type(None): 0, nn.ReLU: 1, nn.LeakyReLU: 2, nn.Tanh: 3}
_LOSSES = {"bce": 0, "wgan": 1, "hinge": 2, "lsgan": 3}
"""Those whose three functions the kernel has; others share them."""
_PENALTIES = {"wgan-gp": 1, "js-reg": 2, "r1": 3, "r2": 4}
_OPTIMIZERS = {"adam": 0, "rmsprop": 1, "sgd": 2}
_FED, _NORMALS, _UNIFORMS, _MIXTURE = range(4)
_POINTS, _FLOATS, _BYTES = range(3)
_MOVE_D, _MOVE_G, _MOVES, _REUSE_REAL, _KNOWN = 1, 2, 4, 8, 16
_MOST_LAYERS = 64


def _functions(loss: Loss) -> tuple[object, ...]:
    return (loss.real, loss.fake, loss.generator, loss.real_slope, loss.fake_slope, loss.generator_slope)


def not_covered(trainer: Trainer) -> str | None:
    """Why the kernel cannot train this trainer's rows, in words that end a sentence; None if it can."""
    loss, task = trainer.loss, trainer.task
    if lib.library() is None:
        return "the compiled kernel is not installed"
    if trainer.device.type != "cpu":
        return f"it runs on processors, not on device {trainer.device}"
    if trainer.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 or float64, not in {trainer.dtype}"
    if task.game is not None:
        return f"task {task.name!r} has a game of its own"
    for name, players in (("generator", trainer.g), ("discriminator", trainer.d)):
        if not isinstance(players, MLPPlayers):
            return f"the {name} is no plain MLP"
        if len(players.sizes) > _MOST_LAYERS:
            return f"the {name} has more than {_MOST_LAYERS} layers"
    if _loss_kind(loss) is None:
        return f"loss {loss.name!r} has functions of its own"
    if loss.diversity is not None:
        return f"loss {loss.name!r} has a term of diversity"
    if loss.penalty is not None and _penalty_kind(loss) is None:
        return f"loss {loss.name!r} has a penalty of its own"
    if (loss.dress is not None and loss.dress is not LOSSES["gran"].dress) or (
        loss.reweigh is not None and loss.reweigh is not LOSSES["sn"].reweigh
    ):
        return f"loss {loss.name!r} dresses the discriminator in its own way"
    if sum((loss.penalty is not None, loss.dress is not None, loss.reweigh is not None, loss.noisy)) > 1:
        return f"loss {loss.name!r} has more than one regulariser"
    assert isinstance(trainer.d, MLPPlayers)
    if (loss.penalty is not None or loss.dress is not None) and not trainer.d.straight:
        return f"loss {loss.name!r} differentiates slopes of a discriminator with tanh"
    for each in trainer.tasks:
        if type(each.data) not in (PlaneData, ArrayData):
            return f"data of type {type(each.data).__name__} make their batches themselves"
    return None


def _loss_kind(loss: Loss) -> int | None:
    kinds = (kind for name, kind in _LOSSES.items() if _functions(LOSSES[name]) == _functions(loss))
    return next(kinds, None)


def _penalty_kind(loss: Loss) -> int | None:
    return next((kind for name, kind in _PENALTIES.items() if LOSSES[name].penalty is loss.penalty), None)


def _player(players: MLPPlayers) -> tuple[lib.Player, object]:
    layers, at = (lib.Layer * len(players.sizes))(), 0
    for layer, (out, inp), biased, activation in zip(
        layers, players.sizes, players._biased, players.activations, strict=True
    ):
        layer.outputs, layer.inputs, layer.weight = out, inp, at
        at += out * inp
        layer.bias = at if biased else -1
        at += out * biased
        layer.activation = _ACTIVATIONS[type(activation)]
        layer.slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else 0.0
    return lib.Player(len(layers), at, layers), layers


def _optimizer(optimizer: RowOptimizer) -> lib.Optimizer:
    spec = optimizer.spec
    return lib.Optimizer(_OPTIMIZERS[spec.name], *spec.betas, spec.alpha, spec.momentum, spec.eps)


def _pointer(value: Tensor | np.ndarray) -> int:
    return value.data_ptr() if isinstance(value, Tensor) else value.ctypes.data


class Kernel:
    """The rows of a trainer that the kernel covers, see `not_covered`.

    Args:
        trainer: Whose weights, moments, counters and streams are read and written in place.
        threads: Among which rows are shared out; changes speed alone.
        isa: The instruction set, for tests; by default the fastest that runs here. Changes speed alone.
    """

    def __init__(self, trainer: Trainer, threads: int = 1, isa: str = ""):
        made = lib.library()
        assert made is not None
        self._library, self._threads, self._trainer = made, threads, trainer
        self._dtype, self._n = trainer.dtype, trainer.n
        game, layers = self._game()
        self._session = made.gan_session(ctypes.byref(game), isa.encode())
        if not self._session:
            raise ValueError(f"isa={isa!r} is none of {', '.join(lib.instruction_sets())}")
        self._kept: list[object] = [layers]  # what the structs point to
        self._streams: list[tuple[BlockStream, lib.Stream, np.ndarray]] = []
        self._rows = self._make_rows()
        self._looks, self._fresh = np.zeros(self._n, np.int64), np.zeros(self._n, bool)

    def __del__(self) -> None:
        if getattr(self, "_session", None):
            self._library.gan_session_free(self._session)

    def _game(self) -> tuple[lib.Game, object]:
        trainer, loss = self._trainer, self._trainer.loss
        assert isinstance(trainer.g, MLPPlayers) and isinstance(trainer.d, MLPPlayers)
        (g, g_layers), (d, d_layers) = _player(trainer.g), _player(trainer.d)
        game = lib.Game(
            doubles=trainer.dtype == torch.float64,
            batch=trainer.batch_size,
            latents=g_layers[0].inputs,  # type: ignore[index]
            features=d_layers[0].inputs,  # type: ignore[index]
            g=g,
            d=d,
            loss=_loss_kind(loss),
            penalty=_penalty_kind(loss) or 0,
            gradient_normalised=loss.dress is not None,
            spectral_norm=loss.reweigh is not None,
            noisy=loss.noisy,
            clipped=loss.clipped,
            alternating=trainer.order == "alternating",
            coefficient=loss.coefficient,
            g_optimizer=_optimizer(trainer.g_optimizer),
            d_optimizer=_optimizer(trainer.d_optimizer),
        )
        return game, (g_layers, d_layers)

    def _make_rows(self) -> lib.Rows:
        trainer = self._trainer
        rows = lib.Rows(count=self._n)
        for name, players, optimizer in (
            ("g", trainer.g, trainer.g_optimizer),
            ("d", trainer.d, trainer.d_optimizer),
        ):
            held = {"flat": players.flat, "steps": optimizer.steps, "lr": optimizer.lr}
            for field, value in held.items():
                setattr(rows, f"{name}_{field}", _pointer(value))
            for i, moment in enumerate(optimizer.moments):
                getattr(rows, f"{name}_moment")[i] = _pointer(moment)
        for name in ("seed", "episode", "which", "updates", "real_index", "g_updates", "d_updates", "d_penalty"):
            setattr(rows, name, _pointer(getattr(trainer, name)))
        rows.data = self._data()
        feed, loss = trainer.feed, trainer.loss
        plain = all(isinstance(task.data, PlaneData) for task in trainer.tasks)
        mixtures = plain and all(isinstance(task.data.distribution, GaussianMixture) for task in trainer.tasks)  # type: ignore[attr-defined]
        size, features = trainer.batch_size, int(np.prod(trainer.task.data.shape))
        self._stream(rows.real, feed.reals, _MIXTURE if mixtures else _FED, size * features if plain else size, trainer.real_index)
        drawn = _NORMALS if trainer.task.latents == "normal" else _FED
        self._stream(rows.latent, feed.latents, drawn, size * trainer.task.latent_size, trainer.updates)
        if loss.noisy or loss.penalty is not None:
            kind, width = (_NORMALS, 2 * size * features) if loss.noisy else (_UNIFORMS, size)
            self._stream(rows.probe, feed.probes, kind, width, trainer.updates)
        return rows

    def _data(self) -> ctypes.Array[lib.Data]:
        found = (lib.Data * len(self._trainer.tasks))()
        for each, task in zip(found, self._trainer.tasks, strict=True):
            data = task.data
            if isinstance(data, PlaneData):
                each.form = _POINTS
                if isinstance(data.distribution, GaussianMixture):
                    centres = np.ascontiguousarray(data.distribution.centres, np.float64)
                    self._kept.append(centres)
                    each.centres, each.modes, each.std = _pointer(centres), len(centres), data.distribution.std
                continue
            assert isinstance(data, ArrayData)
            table = data._train if data._train.dtype == torch.uint8 else data._train.float()
            table = table.contiguous()
            self._kept.append(table)
            each.form = _BYTES if table.dtype == torch.uint8 else _FLOATS
            each.table = _pointer(table)
        return found

    def _stream(self, into: lib.Stream, stream: BlockStream, draw: int, width: int, index: np.ndarray) -> None:
        into.draw, into.purpose, into.length, into.width = draw, int(stream.purpose), stream.block, width
        into.held = _pointer(stream._held)
        if draw != _FED and stream._codes is None:
            stream._codes = torch.empty(self._n, stream.block, width)
        into.codes = None if stream._codes is None else _pointer(stream._codes)
        if draw == _FED:
            self._streams.append((stream, into, index))

    def forget(self, rows: np.ndarray | None = None) -> None:
        """Says that weights or counters of the rows (all by default) were changed."""
        self._fresh[slice(None) if rows is None else rows] = False

    def run(self, who: np.ndarray, g_multiplier: Tensor, d_multiplier: Tensor, updates: int, fake: Tensor | None = None):
        n, size, dtype = self._n, self._trainer.batch_size, self._dtype
        losses, gradient = torch.empty(3, updates + 1, n, dtype=dtype), torch.zeros(updates, n, dtype=dtype)
        numbers, real, other = torch.empty(7, n, dtype=dtype), torch.empty(n, size, dtype=dtype), torch.empty(n, size, dtype=dtype)
        who = who | (self._fresh * np.uint8(_KNOWN))
        self._looks[:] = 0
        asked = lib.Decision(
            updates, _pointer(who), _pointer(g_multiplier), _pointer(d_multiplier), _pointer(self._looks),
            _pointer(losses), _pointer(gradient), _pointer(numbers), _pointer(real), _pointer(other),
            None if fake is None else _pointer(fake),
        )
        self._fresh[:] = False
        while waiting := self._library.gan_run(self._session, ctypes.byref(self._rows), ctypes.byref(asked), self._threads):
            if waiting < 0:
                raise MemoryError("no memory for the kernel")
            self._feed(updates)
        self._fresh[:] = True
        return losses, gradient, numbers, real, other

    def _feed(self, updates: int) -> None:
        trainer = self._trainer
        for row in np.flatnonzero(self._looks <= updates).tolist():
            one = slice(row, row + 1)
            for stream, into, index in self._streams:
                stream.at(one, index[one], trainer.seed[one], trainer.episode[one])
                into.codes = _pointer(stream._codes)
