"""Converts measurements to observations: named features, each finite and bounded, with one or more coordinates."""

from __future__ import annotations

import numpy as np
import torch

from gan_env.envs.features import FEATURES as FEATURES
from gan_env.envs.features import Feature as Feature
from gan_env.envs.features import named_features
from gan_env.envs.portable import PortableMemory
from gan_env.types import Control, GameFacts, Measurement, Summary, d_loss

EMA = 0.9
"""Decay of the moving averages per decision; FSCO's paper (arXiv:2504.15099) does not state its own."""


class Moment:
    """Inputs of features, to be read only: a measurement's numbers and the rows' memory, (N,) float64 each.

    Numbers of one kind stand in one array: with few rows, an operation on all of them costs as much as on one.

    Args:
        rows: N.
        axes: A, axes of the action.
    """

    def __init__(self, rows: int, axes: int):
        self.numbers: np.ndarray = np.zeros((len(Summary._fields), rows))
        """The measurement's, in the order of `Summary`."""
        self.losses: np.ndarray = np.zeros((2, rows))
        """L_G and L_D."""
        self.averages: np.ndarray = np.zeros((2, rows))
        """Their moving averages."""
        self.progress: np.ndarray = np.zeros(rows)
        self.last_action: np.ndarray = np.zeros((rows, axes))
        """(N, A): the previous control on the id's axes, 0 at the start."""

    @property
    def g_loss(self) -> np.ndarray:
        """The generator's loss."""
        return self.losses[0]

    @property
    def d_loss(self) -> np.ndarray:
        """`d_mean` or `d_sum`, by the configuration."""
        return self.losses[1]

    @property
    def g_loss_ema(self) -> np.ndarray:
        """Moving average of `g_loss`."""
        return self.averages[0]

    @property
    def d_loss_ema(self) -> np.ndarray:
        """Moving average of `d_loss`."""
        return self.averages[1]

    @property
    def real_logit(self) -> np.ndarray:
        """Mean over the real batch."""
        return self.numbers[3]

    @property
    def fake_logit(self) -> np.ndarray:
        """Mean over the generated batch."""
        return self.numbers[4]

    @property
    def real_accuracy(self) -> np.ndarray:
        """Share of the real batch."""
        return self.numbers[5]

    @property
    def fake_accuracy(self) -> np.ndarray:
        """Share of the generated batch."""
        return self.numbers[6]


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
        self._portable_names = tuple(name for name in names if FEATURES[name].portable)
        self.portable: PortableMemory | None = (
            PortableMemory(rows, game or GameFacts(), updates_per_step) if self._portable_names else None
        )
        places = (*self.scalars, *axes, *self._portable_names)
        self._computes = [FEATURES[name].compute for name in self.scalars]
        self._columns = [places.index(name) for name in self.names]
        self._low, self._high = self.low[:, None].astype(np.float64), self.high[:, None].astype(np.float64)
        self.d_loss_scale = d_loss_scale
        self._moment = Moment(rows, len(axes))
        self._read: Measurement | None = None
        self._table: np.ndarray | None = None

    @property
    def averages(self) -> np.ndarray:
        """Moving averages of L_G and L_D, (2, N)."""
        return self._moment.averages

    def start(self, rows: np.ndarray, seen: Measurement) -> None:
        """Takes the rows' first measurement of an episode, with which averages begin."""
        moment = self._look(seen)
        moment.averages[:, rows] = moment.losses[:, rows]
        moment.last_action[rows] = 0
        if self.portable is not None:
            self.portable.start(rows, seen)
        self._table = None

    def push(self, seen: Measurement, control: Control, last_action: np.ndarray, rows: np.ndarray) -> None:
        """Takes the measurement after a decision, for the rows (N,) bool that made one.

        Args:
            seen: The measurement.
            control: The decision.
            last_action: The same on the axes of the feature `last_action`, (N, A).
            rows: (N,) bool.
        """
        moment = self._look(seen)
        if self.portable is not None:
            self.portable.push(seen, control, rows)
        np.copyto(moment.averages, EMA * moment.averages + (1 - EMA) * moment.losses, where=rows)
        np.copyto(moment.last_action, last_action, where=rows[:, None])
        self._table = None

    def state(self) -> dict[str, np.ndarray]:
        """Returns the arrays that observations depend on besides the measurement, not copies; rows lead."""
        held = {name: getattr(self._moment, name) for name in ("g_loss_ema", "d_loss_ema", "last_action")}
        if self.portable is not None:
            held |= {f"portable.{name}": getattr(self.portable, name) for name in PortableMemory.STATE}
        return held

    def forget(self) -> None:
        """Drops cached features, because the averages or actions were changed from outside."""
        self._table = None

    def _look(self, seen: Measurement) -> Moment:
        """Returns the inputs of features, with the numbers of this measurement."""
        moment = self._moment
        if self._read is not seen:
            self._read, self._table = seen, None
            numbers = moment.numbers = seen.numbers_on_host
            moment.progress = seen.progress_on_host
            moment.losses[0] = numbers[0]
            moment.losses[1] = d_loss(numbers[1], numbers[2], self.d_loss_scale)
        return moment

    def table(self, seen: Measurement) -> np.ndarray:
        """Returns every feature unclipped and possibly non-finite: (scalars, axes and portable ones, N), float64."""
        moment = self._look(seen)
        if self._table is None:
            with np.errstate(invalid="ignore"):  # a row that has failed may hold infinities
                rows = [compute(moment) for compute in self._computes]
            portable = () if self.portable is None else self.portable.table(self._portable_names, seen)
            self._table = np.array([*rows, *moment.last_action.T, *portable])
        return self._table

    def observe(self, seen: Measurement) -> np.ndarray:
        """Returns observations (N, F), finite and within bounds.

        They are row-major, in memory allocated by torch: torch's products round differently for another memory order
        or alignment (NumPy's arrays may start at other multiples of 16 bytes), and an agent's run would not repeat to
        the bit.
        """
        chosen = self.table(seen).take(self._columns, 0)
        if np.count_nonzero(unclear := np.isnan(chosen)):
            chosen[unclear] = 0.0  # a copy, for the columns were picked by number
        observation = torch.empty(chosen.shape[::-1], dtype=torch.float32, device="cpu").numpy()
        np.minimum(np.maximum(chosen, self._low), self._high, out=observation.T, casting="same_kind")
        return observation
