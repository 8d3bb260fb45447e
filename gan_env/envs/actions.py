"""Codecs between actions and controls: `decode(action) → Control` and `encode(control) → action` or an error.

One codec per environment id. Nothing is clipped silently: `encode` raises for what an id cannot express. Gymnasium is
not imported, so that an exported policy can decode its actions in a user's own loop.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gan_env.registry import Registry
from gan_env.types import Control, host, on_host

G, D, BOTH = CHOICES = 0, 1, 2
"""Actions of `UpdateChoice-v0`: V1 generator, V2 discriminator, V3 both."""
_ZERO, _ONE, _MINUS_ONE = np.zeros(()), np.ones(()), -np.ones(())
"""Arrays without axes, for an operation on few rows takes twice as long with a plain number."""


D_RANGE, G_RANGE = (0.03, 1_000.0), (0.01, 300.0)
"""Least and greatest multipliers that an action can put on each player's rate, by default.

From every base rate of 1e-4 to 1e-2 they reach the best two rates of the plane's games and of `digits`, with a factor
of 3 to spare: see `benchmarks/rate_sweep.py`.
"""


class LogRange:
    """A multiplier as a number in [-1, 1]: 0 is ×1, -1 is ×low, +1 is ×high, log-scaled on either side.

    u = high^a for a ≥ 0 and low^(-a) for a < 0 (our choice), so 0 is neutral however uneven the range.

    Examples:
        >>> LogRange(0.1, 100.0).multiplier([-1, 0, 0.5]).round(6).tolist()
        [0.1, 1.0, 10.0]
    """

    def __init__(self, low: float, high: float):
        if not (0 < low < 1 < high < math.inf):
            raise ValueError(f"a multiplier range needs 0 < low < 1 < high, got ({low}, {high})")
        self.low: float = low
        self.high: float = high
        self._logs = np.array([math.log(low), math.log(high)])
        self._sizes = np.abs(self._logs)

    def multiplier(self, a: np.ndarray) -> np.ndarray:
        """Converts numbers in [-1, 1] to multipliers."""
        a = np.asarray(a, np.float64)
        return np.exp(np.abs(a) * self._on_its_side(a, self._logs))

    def position(self, multiplier: np.ndarray) -> np.ndarray:
        """Converts multipliers to numbers; the result is outside [-1, 1] for multipliers outside the range."""
        log = np.log(np.asarray(multiplier, np.float64))
        return log / self._on_its_side(log, self._sizes)

    def _on_its_side(self, number: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Picks for each number the low or the high end, on whose side of the neutral 0 it is."""
        return ends.take(number >= _ZERO)  # a third of the time of `where`


class _SideBySide(LogRange):
    """Ranges for arrays whose last axis has a number for each of them."""

    def __init__(self, *ranges: LogRange):
        self._logs = np.concatenate([each._logs for each in ranges])
        self._sizes = np.abs(self._logs)
        self._first = 2 * np.arange(len(ranges))

    def _on_its_side(self, number: np.ndarray, ends: np.ndarray) -> np.ndarray:
        return ends.take((number >= _ZERO) + self._first)


@runtime_checkable
class Codec(Protocol):
    """Converts between the actions of one environment id and controls, for N rows at once."""

    axes: int | None
    """Count of numbers in [-1, 1] in one row's action; None for a choice of 0, 1 or 2."""
    last_action_names: tuple[str, ...]
    """Names of the coordinates of `position`."""

    def decode(self, actions: np.ndarray) -> Control:
        """Decodes valid actions (N, axes), or choices (N,), to controls."""
        ...

    def encode(self, control: Control) -> np.ndarray:
        """Returns actions (N, axes), or choices (N,), that decode to this control; ValueError if there are none."""
        ...

    def position(self, control: Control) -> np.ndarray:
        """Projects any control to this id's axes, (N, len(last_action_names)), clipped to [-1, 1]."""
        ...


def _choice(control: Control) -> np.ndarray:
    """Returns G, D or BOTH for each row."""
    g, d = host(control.update_g), host(control.update_d)
    return np.where(g & d, BOTH, np.where(d, D, G))


def _refuse(what: str, rows: np.ndarray, way_out: str) -> None:
    if rows.any():
        raise ValueError(f"this environment's actions cannot express {what} (row {int(rows.argmax())}); {way_out}")


_STEP = "use step_control, which applies any control"


def _refuse_reuse(control: Control) -> None:
    _refuse("reuse_real", control.reuse_real.cpu().numpy(), _STEP)


def _within(position: np.ndarray) -> np.ndarray:
    """Clips to [-1, 1], in half the time of `clip`, which counts where a decision is a single update."""
    return np.minimum(np.maximum(position, _MINUS_ONE), _ONE)


def _position(name: str, scale: LogRange, multiplier: Tensor) -> np.ndarray:
    """Returns positions in [-1, 1]; raises ValueError for multipliers outside the range."""
    a = scale.position(on_host(multiplier))
    outside = np.abs(a) > 1 + 1e-9
    row = int(outside.argmax())
    _refuse(
        f"{name}={float(multiplier[row]):.6g}, outside ({scale.low:g}, {scale.high:g})",
        outside,
        f"widen the range or {_STEP}",
    )
    return _within(a)


@lru_cache
def _neutral(rows: int) -> dict[str, Tensor]:
    """Caches the fields of a control that leaves everything as it is; controls are never changed in place."""
    yes, no = torch.ones(rows, dtype=torch.bool), torch.zeros(rows, dtype=torch.bool)
    one = torch.ones(rows, dtype=torch.float64)
    return {"update_g": yes, "update_d": yes, "d_multiplier": one, "g_multiplier": one, "reuse_real": no}


class LearningRateCodec:
    """`LearningRate-v0`: one number for the discriminator's learning rate; both players update."""

    axes = 1
    last_action_names = ("last_d_rate",)

    def __init__(self, d_range: LogRange, g_range: LogRange):
        self._d = d_range

    def decode(self, actions: np.ndarray) -> Control:
        """See Codec."""
        d = torch.from_numpy(self._d.multiplier(actions[:, 0]))
        return Control(**{**_neutral(len(actions)), "d_multiplier": d})

    def encode(self, control: Control) -> np.ndarray:
        """See Codec."""
        _refuse("an update of one player alone", _choice(control) != BOTH, _STEP)
        _refuse("g_multiplier other than 1", on_host(control.g_multiplier) != 1, _STEP)
        _refuse_reuse(control)
        return _position("d_multiplier", self._d, control.d_multiplier)[:, None].astype(np.float32)

    def position(self, control: Control) -> np.ndarray:
        """See Codec."""
        return _within(self._d.position(host(control.d_multiplier)))[:, None]


class UpdateChoiceCodec:
    """`UpdateChoice-v0`: 0 = V1 generator, 1 = V2 discriminator, 2 = V3 both; base learning rates."""

    axes = None
    last_action_names = ("last_choice",)

    def __init__(self, d_range: LogRange, g_range: LogRange):
        self._ranges = d_range, g_range  # not used: a choice leaves both rates at their base

    def decode(self, actions: np.ndarray) -> Control:
        """See Codec."""
        choice = torch.from_numpy(np.asarray(actions, np.int64))
        return Control(**{**_neutral(len(actions)), "update_g": choice != D, "update_d": choice != G})

    def encode(self, control: Control) -> np.ndarray:
        """See Codec."""
        for name in ("d_multiplier", "g_multiplier"):
            _refuse(f"{name} other than 1", on_host(getattr(control, name)) != 1, _STEP)
        _refuse_reuse(control)
        return _choice(control).astype(np.int64)

    def position(self, control: Control) -> np.ndarray:
        """Returns -1 generator, 0 both, +1 discriminator, the order of the joint id's axis."""
        return np.array([-1.0, 1.0, 0.0])[_choice(control)][:, None]


class RatesCodec:
    """`Rates-v0`: one number for each player's learning rate; both players update."""

    axes = 2
    last_action_names = ("last_d_rate", "last_g_rate")

    def __init__(self, d_range: LogRange, g_range: LogRange):
        self._ranges = (("d_multiplier", d_range), ("g_multiplier", g_range))
        self._both = _SideBySide(d_range, g_range)

    def decode(self, actions: np.ndarray) -> Control:
        """See Codec."""
        return Control(**{**_neutral(len(actions)), **self.multipliers(actions)})

    def encode(self, control: Control) -> np.ndarray:
        """See Codec."""
        _refuse("an update of one player alone", _choice(control) != BOTH, _STEP)
        _refuse_reuse(control)
        return self.positions(control).astype(np.float32)

    def position(self, control: Control) -> np.ndarray:
        """See Codec."""
        rates = np.array([host(getattr(control, name)) for name, _ in self._ranges])
        return _within(self._both.position(rates.T))

    def multipliers(self, actions: np.ndarray) -> dict[str, Tensor]:
        """Returns D's and G's multiplier, float64 (N,) each, of the first two numbers of actions (N, 2 or more)."""
        d, g = map(torch.from_numpy, self._both.multiplier(actions[:, :2]).T.copy())
        return {"d_multiplier": d, "g_multiplier": g}

    def positions(self, control: Control) -> np.ndarray:
        """Returns positions (N, 2) of a control's multipliers; raises ValueError for multipliers outside a range."""
        return np.stack([_position(name, scale, getattr(control, name)) for name, scale in self._ranges], -1)


class JointCodec:
    """`Joint-v0`: discriminator rate, generator rate, who updates (thirds of the axis: G, both, D)."""

    axes = 3
    last_action_names = (*RatesCodec.last_action_names, *UpdateChoiceCodec.last_action_names)

    def __init__(self, d_range: LogRange, g_range: LogRange):
        self._rates, self._who = RatesCodec(d_range, g_range), UpdateChoiceCodec(d_range, g_range)

    def decode(self, actions: np.ndarray) -> Control:
        """See Codec."""
        who = torch.from_numpy(np.asarray(actions[:, 2]))
        moves = {"update_g": who <= 1 / 3, "update_d": who >= -1 / 3}
        return Control(**{**_neutral(len(actions)), **moves, **self._rates.multipliers(actions)})

    def encode(self, control: Control) -> np.ndarray:
        """See Codec."""
        _refuse_reuse(control)
        return np.hstack([self._rates.positions(control), self._who.position(control)]).astype(np.float32)

    def position(self, control: Control) -> np.ndarray:
        """See Codec."""
        return np.hstack([self._rates.position(control), self._who.position(control)])


CODECS: Registry[type] = Registry("control")
CODECS.add("learning-rate", LearningRateCodec)
CODECS.add("update-choice", UpdateChoiceCodec)
CODECS.add("rates", RatesCodec)
CODECS.add("joint", JointCodec)


def as_array(action: object) -> np.ndarray:
    """Converts anything array-like to an array; raises ValueError for lists of unequal length."""
    try:
        return np.asarray(action)
    except ValueError as error:
        raise ValueError(f"action {action!r} is no array: {error}") from error


def check_actions(
    axes: int | None, actions: object, rows: int, ignored: np.ndarray | None = None, *, alone: bool = False
) -> np.ndarray:
    """Converts actions of N rows to an array; raises ValueError for a wrong shape or type, NaN, or out of bounds.

    Actions of the rows `ignored`, (N,) bool, are replaced by 0. `alone` marks the action of a single environment;
    errors then do not mention rows.
    """
    array = as_array(actions)
    shape = (rows,) if axes is None else (rows, axes)
    if array.shape != shape and alone:
        raise ValueError(f"action has shape {array.shape[1:]}; this environment needs {shape[1:]}")
    if array.shape != shape:
        raise ValueError(f"action has shape {array.shape}; {rows} row(s) need {shape}")
    if array.dtype.kind not in ("iu" if axes is None else "fiu"):
        needed = "whole numbers" if axes is None else "numbers"
        given = " ".join(str(array[0] if alone else array).split())
        raise ValueError(f"action {given:.80} has type {array.dtype}; this environment needs {needed}")
    if ignored is not None and np.count_nonzero(ignored):  # a fifth of the time of `any`
        array = np.where(ignored if axes is None else ignored[:, None], 0, array)
    if axes is None:
        outside = (array < 0) | (array > 2)
        if outside.any():
            row = int(outside.argmax())
            whose = "" if alone else f" of row {row}"
            raise ValueError(f"action {array[row]}{whose} is not one of 0 (generator), 1 (discriminator), 2 (both)")
        return array.astype(np.int64)
    array = array.astype(np.float64)
    inside = np.abs(array) <= _ONE  # NaN is not
    if np.count_nonzero(inside) < inside.size:
        holds_nan = np.any(np.isnan(array), axis=1)
        row = int((holds_nan if holds_nan.any() else ~np.all(inside, axis=1)).argmax())
        whose = "" if alone else f" of row {row}"
        if holds_nan[row]:
            raise ValueError(f"action {array[row]}{whose} holds NaN")
        raise ValueError(f"action {array[row]}{whose} lies outside [-1, 1]; clip it or rescale the policy")
    return array
