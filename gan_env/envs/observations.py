"""Converts measurements to observations: named features, each finite and bounded, with one or more coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gan_env.envs.features import FEATURES as FEATURES
from gan_env.envs.features import Feature as Feature
from gan_env.envs.features import named_features
from gan_env.envs.gradient_noise import GRADIENT_NOISE, MoveMemory
from gan_env.envs.portable import PORTABLE_FEATURES, PortableMemory
from gan_env.types import Control, GameFacts, Measurement, d_loss

EMA = 0.9
"""Decay of the moving averages per decision; FSCO's paper (arXiv:2504.15099) does not state its own."""


@dataclass(frozen=True)
class Moment:
    """Inputs of features: a measurement's numbers and the rows' memory, (N,) float64 each."""

    g_loss: np.ndarray
    d_loss: np.ndarray
    """`d_mean` or `d_sum`, by the configuration."""
    real_logit: np.ndarray
    fake_logit: np.ndarray
    """Means over the batch."""
    real_accuracy: np.ndarray
    fake_accuracy: np.ndarray
    """Shares of the batch."""
    progress: np.ndarray
    g_loss_ema: np.ndarray
    d_loss_ema: np.ndarray
    last_action: np.ndarray
    """(N, A): the previous control on the id's axes, 0 at the start."""


LAST_ACTION = "last_action"
"""Feature with one coordinate per axis of the action: `last_d_rate`, `last_g_rate`, `last_choice`."""

_add = FEATURES.add
_add("g_loss", Feature("L_G = E ℓ_G(f(x̂)) on the coming batch", lambda m: m.g_loss))
_add(
    "d_loss",
    Feature(
        "L_D = (E ℓ_real(f(x)) + E ℓ_fake(f(x̂))) / 2 on the coming batch; not halved if `d_loss_scale` is sum",
        lambda m: m.d_loss,
    ),
)
_add("loss_gap", Feature("L_G − L_D", lambda m: m.g_loss - m.d_loss))
_add("g_loss_ema", Feature("m ← 0.9 m + 0.1 L_G at each decision, from the first L_G on", lambda m: m.g_loss_ema))
_add("d_loss_ema", Feature("m ← 0.9 m + 0.1 L_D at each decision, from the first L_D on", lambda m: m.d_loss_ema))
_add("real_accuracy", Feature("share of the real batch with f(x) > 0", lambda m: m.real_accuracy, 0, 1))
_add("fake_accuracy", Feature("share of the generated batch with f(x̂) < 0", lambda m: m.fake_accuracy, 0, 1))
_add("real_logit", Feature("E f(x)", lambda m: m.real_logit))
_add("fake_logit", Feature("E f(x̂)", lambda m: m.fake_logit))
_add("progress", Feature("updates so far / updates in the episode", lambda m: m.progress, 0, 1))
_add(
    LAST_ACTION,
    Feature(
        "the previous control on each axis of the action, 0 at the start; who updated: −1 G, 0 both, +1 D",
        lambda m: m.last_action,
        -1,
        1,
    ),
)

DEFAULT_FEATURES = (
    "g_loss",
    "d_loss",
    "loss_gap",
    "g_loss_ema",
    "d_loss_ema",
    "real_accuracy",
    "fake_accuracy",
    "last_action",
    "progress",
)
"""Our reading of what FSCO's agent observes; its paper (arXiv:2504.15099) does not state it."""
MINIMAL_FEATURES = ("g_loss", "d_loss")
"""The smallest state from which FSCO's reward can be computed."""


class FeatureMemory:
    """Converts measurements of N rows to observations, (N, F) float32; keeps moving averages and last actions.

    Args:
        names: The features, in order.
        axes: Names of the coordinates of `last_action`.
        d_loss_scale: Which loss of D features read, "mean" or "sum".
        rows: N.
        game: Facts about the game, for portable features; by default a GAN of which nothing is known.
        updates_per_step: Updates that one decision holds for, likewise.

    Raises:
        ValueError: If there are no features, or one of them is unknown.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        axes: tuple[str, ...],
        d_loss_scale: str,
        rows: int,
        game: GameFacts | None = None,
        updates_per_step: int = 1,
    ):
        names = named_features(names)
        if not names:
            raise ValueError(f"features=() is empty; name at least one of: {', '.join(FEATURES)}")
        if d_loss_scale not in ("mean", "sum"):
            raise ValueError(f"d_loss_scale={d_loss_scale!r} is unknown; use 'mean' or 'sum'")
        features = [FEATURES[name] for name in names]
        self.names: tuple[str, ...] = tuple(a for name in names for a in (axes if name == LAST_ACTION else (name,)))
        widths = [len(axes) if name == LAST_ACTION else 1 for name in names]
        self.low: np.ndarray = np.repeat([f.low for f in features], widths).astype(np.float32)
        self.high: np.ndarray = np.repeat([f.high for f in features], widths).astype(np.float32)
        # Every feature but portable ones is computed once per measurement: observations take some, `info` shows all.
        self.scalars: tuple[str, ...] = tuple(
            name for name in FEATURES if name != LAST_ACTION and not FEATURES[name].portable
        )
        self._portable_names = tuple(name for name in names if name in PORTABLE_FEATURES)
        self.portable: PortableMemory | None = (
            PortableMemory(rows, game or GameFacts(), updates_per_step) if self._portable_names else None
        )
        noise = any(name in GRADIENT_NOISE for name in names)
        self.moves: MoveMemory | None = MoveMemory(rows, game or GameFacts(), updates_per_step) if noise else None
        places = (*self.scalars, *axes, *self._portable_names, *(GRADIENT_NOISE if noise else ()))
        self._computes = [FEATURES[name].compute for name in self.scalars]
        self._columns = [places.index(name) for name in self.names]
        self._read: tuple[Measurement, Moment] | None = None
        self._table: np.ndarray | None = None
        self.d_loss_scale = d_loss_scale
        self.g_loss_ema: np.ndarray = np.zeros(rows)
        self.d_loss_ema: np.ndarray = np.zeros(rows)
        self.last_action: np.ndarray = np.zeros((rows, len(axes)))

    def start(self, rows: np.ndarray, seen: Measurement) -> None:
        """Takes the rows' first measurement of an episode, with which averages begin."""
        moment = self._moment(seen)
        self.g_loss_ema[rows], self.d_loss_ema[rows] = moment.g_loss[rows], moment.d_loss[rows]
        self.last_action[rows] = 0
        if self.portable is not None:
            self.portable.start(rows, seen)
        if self.moves is not None:
            self.moves.start(rows, seen)
        self._table = None

    def push(self, seen: Measurement, control: Control, last_action: np.ndarray, rows: np.ndarray) -> None:
        """Takes the measurement after a decision, for the rows (N,) bool that made one.

        Args:
            seen: The measurement.
            control: The decision.
            last_action: The same on the axes of the feature `last_action`, (N, A).
            rows: (N,) bool.
        """
        moment = self._moment(seen)
        if self.portable is not None:
            self.portable.push(seen, control, rows)
        if self.moves is not None:
            self.moves.push(seen, rows)
        everyone = np.logical_and.reduce(rows)
        for average, value in ((self.g_loss_ema, moment.g_loss), (self.d_loss_ema, moment.d_loss)):
            new = EMA * average
            new += (1 - EMA) * value
            np.copyto(average, new, where=True if everyone else rows)
        np.copyto(self.last_action, last_action, where=True if everyone else rows[:, None])
        self._table = None

    def state(self) -> dict[str, np.ndarray]:
        """Returns the arrays that observations depend on besides the measurement, not copies; rows lead."""
        held = {name: getattr(self, name) for name in ("g_loss_ema", "d_loss_ema", "last_action")}
        if self.portable is not None:
            held |= {f"portable.{name}": getattr(self.portable, name) for name in PortableMemory.STATE}
        if self.moves is not None:
            held |= {f"moves.{name}": getattr(self.moves, name) for name in MoveMemory.STATE}
        return held

    def forget(self) -> None:
        """Drops cached features, because the averages or actions were changed from outside."""
        self._table = None

    def _moment(self, seen: Measurement) -> Moment:
        """Returns the inputs of features, with the rows' memory as it will be when they are read."""
        if self._read is None or self._read[0] is not seen:
            numbers = seen.summary
            self._read = (
                seen,
                Moment(
                    g_loss=numbers.g_loss,
                    d_loss=d_loss(numbers.d_loss_real, numbers.d_loss_fake, self.d_loss_scale),
                    real_logit=numbers.real_logit,
                    fake_logit=numbers.fake_logit,
                    real_accuracy=numbers.real_accuracy,
                    fake_accuracy=numbers.fake_accuracy,
                    progress=seen.progress_on_host,
                    g_loss_ema=self.g_loss_ema,
                    d_loss_ema=self.d_loss_ema,
                    last_action=self.last_action,
                ),
            )
            self._table = None
        return self._read[1]

    def table(self, seen: Measurement) -> np.ndarray:
        """Returns every feature unclipped and possibly non-finite: (N, scalars then axes), float64."""
        moment = self._moment(seen)
        if self._table is None:
            with np.errstate(invalid="ignore"):  # a row that has failed may hold infinities
                rows = [compute(moment) for compute in self._computes]
            portable = [] if self.portable is None else self.portable.table(self._portable_names, seen)
            noise = () if self.moves is None else self.moves.table()
            self._table = np.array([*rows, *self.last_action.T, *portable, *noise]).T
        return self._table

    def observe(self, seen: Measurement) -> np.ndarray:
        """Returns observations (N, F), finite and within bounds.

        They are row-major, in memory allocated by torch: torch's products round differently for another memory order
        or alignment (NumPy's arrays may start at other multiples of 16 bytes), and an agent's run would not repeat to
        the bit.
        """
        chosen = self.table(seen).take(self._columns, 1)
        if np.logical_or.reduce(unclear := np.isnan(chosen), None):
            chosen[unclear] = 0.0  # a copy, for the columns were picked by number
        observation = torch.empty(chosen.shape, dtype=torch.float32, device="cpu").numpy()
        return np.minimum(np.maximum(chosen, self.low), self.high, out=observation, casting="same_kind")
