"""Sessions of the compiled kernel whose every input is written out, so that their bits can be compared anywhere."""

import ctypes
import hashlib
import struct
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.losses.losses import LOSSES, get_loss
from gan_env.native import library as lib
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.tasks.task import TASKS
from gan_env.training.native_engine import NativeEngine, State
from gan_env.types import Control

ROWS, BATCH, DECISIONS, UPDATES = 2, 21, 40, 25
SESSIONS: dict[str, dict[str, Any]] = {
    **{loss: {"loss": loss} for loss in LOSSES},
    **{
        f"{loss}, {dtype}, {order}, {optimizer}": {
            "loss": loss,
            "dtype": dtype,
            "order": order,
            "optimizer": {"name": optimizer},
        }
        for loss, dtype, order, optimizer in (
            ("bce", "float64", "alternating", "adam"),
            ("wgan-gp", "float64", "simultaneous", "adam"),
            ("sn", "float64", "alternating", "rmsprop"),
            ("gran", "float64", "simultaneous", "sgd"),
            ("bce", "float32", "alternating", "adam"),
            ("r1", "float32", "alternating", "rmsprop"),
            ("instance-noise", "float32", "simultaneous", "sgd"),
        )
    },
    "oadam": {"optimizer": "oadam"},
    "extra-adam, float64": {"optimizer": "extra-adam", "dtype": "float64"},
    "lookahead-minimax": {"optimizer": {"name": "lookahead-minimax", "lookahead_every": 3}},
    "annealed r3gan, float64, alternating": {
        "loss": "r3gan:10",
        "dtype": "float64",
        "order": "alternating",
        "optimizer": {"betas": (0.0, 0.9)},
        "episode_updates": 1_200,
        "annealing": {"coefficient": 1.0, "beta2": 0.99, "until": 0.5},
    },
}


def session(name: str, isa: str = "") -> tuple[NativeEngine, State]:
    """A kernel on rows whose weights NumPy drew, and the rows."""
    g, d = partial(mlp_generator, (3, 7, 5, 2), (2,)), partial(mlp_discriminator, (2, 9, 6, 1), (2,))
    task = replace(TASKS["grid"](), generator=g, discriminator=d, latent_size=3)
    usual: dict[str, Any] = {"device": "cpu", "engine": "native", "batch_size": BATCH, "d_lr": 2e-4, "g_lr": 2e-4}
    given: dict[str, Any] = {"task": task, **usual, **SESSIONS[name]}
    made = make_trainer(EnvConfig(**given), ROWS)
    made.reset(np.arange(ROWS), np.zeros(ROWS, np.int64))
    draw = np.random.Generator(np.random.Philox(7))
    for players in (made.g, made.d):
        players.flat.copy_(torch.from_numpy(draw.integers(-512, 513, players.flat.shape) / 1024))
    for optimizer in (made.g_optimizer, made.d_optimizer):
        optimizer.reset(torch.arange(ROWS))  # for slow weights are those
    for stream in (made.feed.reals, made.feed.latents, made.feed.probes):
        if stream is not None:
            stream.forget()
    state = State(**{field.name: getattr(made, field.name) for field in fields(State)})
    return NativeEngine(made.tasks, made.loss, made.order, BATCH, made.feed, state, isa=isa), state


def decisions():
    """V1, V2, V3, learning rates and reused real batches, at random for each row."""
    draw = np.random.Generator(np.random.Philox(8))
    for _ in range(DECISIONS):
        who, rate = draw.integers(3, size=ROWS), draw.integers(8, 24, size=ROWS) / 16
        flags = (torch.from_numpy(each) for each in (who != 1, who != 0, who == 0))
        g, d, reuse = flags
        g_rate, d_rate = torch.from_numpy(2 - rate), torch.from_numpy(rate)
        yield Control.of(ROWS, update_g=g, update_d=d, reuse_real=reuse, g_multiplier=g_rate, d_multiplier=d_rate)


def digest(name: str, isa: str = "") -> str:
    """The SHA-256 of what 1,000 updates leave: weights, moments, the last penalty, numbers and logits."""
    engine, state = session(name, isa)
    seen = None
    for control in decisions():
        seen = engine.advance(control, UPDATES, None)
    assert seen is not None
    left = [state.g.flat, state.d.flat, *state.g_optimizer.moments, *state.d_optimizer.moments, state.d_penalty]
    arrays = [*(each.numpy() for each in left), seen.numbers, *seen.logits]
    assert all(np.isfinite(each).all() for each in arrays)
    return hashlib.sha256(b"".join(each.tobytes() for each in arrays)).hexdigest()


def recording(name: str) -> bytes:
    """The session as `replay.cpp` reads it, before its first update."""
    engine, state = session(name)
    pieces: list[bytes] = []
    pointers: list[tuple[int, int, int]] = []

    def put(value: bytes) -> int:
        pieces.append(value)
        return len(pieces) - 1

    def point(where: int, offset: int, target: int) -> int:
        pointers.append((where, offset, target))
        return target

    def at(where: int, offset: int, array: Any) -> int:
        plain = array.numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
        return point(where, offset, put(plain.tobytes()))

    losses = get_loss(SESSIONS[name].get("loss", "bce"))
    game = engine._game(losses, SESSIONS[name].get("order", "simultaneous"))
    rows = engine._rows
    put(bytes(game))
    put(bytes(rows))
    for player in ("g", "d"):
        described = getattr(game, player)
        layers = put(ctypes.string_at(described.layer, described.count * ctypes.sizeof(lib.Layer)))
        point(0, getattr(lib.Game, player).offset + lib.Player.layer.offset, layers)
    tables = {} if state.annealed is None else state.annealed.tables
    places = {"coefficient": lib.Game.coefficients.offset}
    places |= {f"{p}_beta2": getattr(lib.Game, f"{p}_optimizer").offset + lib.Optimizer.beta2s.offset for p in "gd"}
    for table, values in tables.items():
        at(0, places[table], values)
    results = []
    for player in ("g", "d"):
        players, optimizer = getattr(state, player), getattr(state, f"{player}_optimizer")
        results.append(at(1, getattr(lib.Rows, f"{player}_flat").offset, players.flat))
        at(1, getattr(lib.Rows, f"{player}_steps").offset, optimizer.steps)
        at(1, getattr(lib.Rows, f"{player}_lr").offset, optimizer.lr)
    for player in ("g", "d"):
        for i, moment in enumerate(getattr(state, f"{player}_optimizer").moments):
            results.append(at(1, getattr(lib.Rows, f"{player}_moment").offset + 8 * i, moment))
    for field in ("seed", "episode", "which", "updates", "real_index", "g_updates", "d_updates"):
        at(1, getattr(lib.Rows, field).offset, getattr(state, field))
    results.append(at(1, lib.Rows.d_penalty.offset, state.d_penalty))
    for field in ("real", "latent", "probe"):
        stream, offset = getattr(rows, field), getattr(lib.Rows, field).offset
        if stream.held:
            point(1, offset + lib.Stream.codes.offset, put(bytes(4 * ROWS * stream.length * stream.width)))
            at(1, offset + lib.Stream.held.offset, np.full(ROWS, -1))
    data = put(bytes(rows.data[0]))
    point(1, lib.Rows.data.offset, data)
    point(data, lib.Data.centres.offset, put(ctypes.string_at(rows.data[0].centres, 16 * rows.data[0].modes)))

    size, looks, calls = (8 if game.doubles else 4), UPDATES + 1, []
    last: list[int] = []
    for number, control in enumerate(decisions()):
        asked = put(bytes(lib.Decision(updates=UPDATES)))
        calls.append(asked)
        for field in ("update_g", "update_d", "reuse_real", "g_multiplier", "d_multiplier"):
            at(asked, getattr(lib.Decision, field).offset, getattr(control, field))
        at(asked, lib.Decision.known.offset, np.full(ROWS, number > 0))
        at(asked, lib.Decision.looks.offset, np.zeros(ROWS, np.int64))
        room = {"losses": 3 * looks * ROWS * size, "gradient": UPDATES * ROWS * size, "numbers": 7 * ROWS * size}
        room |= {"real_logits": ROWS * BATCH * size, "fake_logits": ROWS * BATCH * size}
        room |= {"vitals": 4 * ROWS * 8, "worst": 32}
        made = {
            field: point(asked, getattr(lib.Decision, field).offset, put(bytes(count))) for field, count in room.items()
        }
        last = [made[field] for field in ("numbers", "real_logits", "fake_logits")]
    out = [struct.pack("<q", len(pieces)), *(struct.pack("<q", len(each)) + each for each in pieces)]
    out.append(struct.pack(f"<{1 + 3 * len(pointers)}q", len(pointers), *(n for each in pointers for n in each)))
    for listed in (calls, results + last):
        out.append(struct.pack(f"<{1 + len(listed)}q", len(listed), *listed))
    return b"".join(out)
