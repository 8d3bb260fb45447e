"""Converts measurements to observations: named features, each finite and bounded, with one or more coordinates."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from gan_env.envs.features import FEATURES as FEATURES
from gan_env.envs.features import Feature as Feature
from gan_env.envs.features import named_features
from gan_env.envs.gradient_noise import GRADIENT_NOISE, MoveMemory
from gan_env.envs.portable import PORTABLE_FEATURES, PortableMemory
from gan_env.types import Control, GameFacts, Measurement, Summary, d_loss

EMA = 0.9
"""Decay of the moving averages per decision; FSCO's paper (arXiv:2504.15099) does not state its own."""


@dataclass(frozen=True)
class Moment:
    """Inputs of a feature of one's own: a measurement's numbers and the rows' memory, (N,) float64 each; read only."""

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
_add("g_loss", Feature("L_G = E ℓ_G(f(x̂)) on the coming batch", None))
_add(
    "d_loss",
    Feature(
        "L_D = (E ℓ_real(f(x)) + E ℓ_fake(f(x̂))) / 2 on the coming batch; not halved if `d_loss_scale` is sum", None
    ),
)
_add("loss_gap", Feature("L_G − L_D", None))
_add("g_loss_ema", Feature("m ← 0.9 m + 0.1 L_G at each decision, from the first L_G on", None))
_add("d_loss_ema", Feature("m ← 0.9 m + 0.1 L_D at each decision, from the first L_D on", None))
_add("real_accuracy", Feature("share of the real batch with f(x) > 0", None, 0, 1))
_add("fake_accuracy", Feature("share of the generated batch with f(x̂) < 0", None, 0, 1))
_add("real_logit", Feature("E f(x)", None))
_add("fake_logit", Feature("E f(x̂)", None))
_add("progress", Feature("updates so far / updates in the episode", None, 0, 1))
_add(
    LAST_ACTION,
    Feature(
        "the previous control on each axis of the action, 0 at the start; who updated: −1 G, 0 both, +1 D", None, -1, 1
    ),
)

_ROWS = ("d_loss", *Summary._fields, "loss_gap", "progress", "d_loss_ema", "g_loss_ema")
"""First rows of a `FeatureMemory`'s table; those that are computed together stand side by side."""
_D_LOSS, _G_LOSS, _D_REAL, _D_FAKE, _GAP, _PROGRESS = map(
    _ROWS.index, ("d_loss", "g_loss", "d_loss_real", "d_loss_fake", "loss_gap", "progress")
)
_LOSSES, _NUMBERS, _AVERAGES = slice(0, 2), slice(1, 1 + len(Summary._fields)), slice(len(_ROWS) - 2, len(_ROWS))

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
        self.scalars: tuple[str, ...] = tuple(
            name for name in FEATURES if name != LAST_ACTION and not FEATURES[name].portable
        )
        """Names of the features that `info` shows, whichever are observed."""
        self.portable: PortableMemory | None = (
            PortableMemory(rows, game or GameFacts(), updates_per_step)
            if any(FEATURES[name].portable and name not in GRADIENT_NOISE for name in names)
            else None
        )
        noise = any(name in GRADIENT_NOISE for name in names)
        self.moves: MoveMemory | None = MoveMemory(rows, game or GameFacts(), updates_per_step) if noise else None
        self._own = {
            name: feature
            for name in FEATURES
            if (feature := FEATURES[name]).compute is not None and (name in names or not feature.portable)
        }
        of_portable, of_moves = (PORTABLE_FEATURES if self.portable else ()), (GRADIENT_NOISE if noise else ())
        places = (*_ROWS, *axes, *of_portable, *of_moves, *self._own)
        self._table = np.zeros((len(places), rows))
        """Every feature, unclipped and possibly non-finite. With few rows, an operation on all costs as one on one."""
        ends = np.cumsum([len(_ROWS), len(axes), len(of_portable), len(of_moves)]).tolist()
        self._axes, self._of_portable, self._of_moves, self._of_own = map(slice, ends, [*ends[1:], None])
        self._observed = [places.index(name) for name in self.names]
        self._shown = [places.index(name) for name in self.scalars]
        self._blank = torch.empty(rows, len(self.names), dtype=torch.float32, device="cpu")
        self._low, self._high = self.low[:, None].astype(np.float64), self.high[:, None].astype(np.float64)
        self.d_loss_scale = d_loss_scale
        self.last_action: np.ndarray = np.zeros((rows, len(axes)))
        self._read: Measurement | None = None
        """The measurement whose numbers are in the table."""
        self._complete = False
        """Whether all that follows from it and from the decisions is there, too."""

    def start(self, rows: np.ndarray, seen: Measurement) -> None:
        """Takes the rows' first measurement of an episode, with which averages begin."""
        self._look(seen)
        self.averages[:, rows] = self._table[_LOSSES, rows]
        self.last_action[rows] = 0
        if self.portable is not None:
            self.portable.start(rows, seen)
        if self.moves is not None:
            self.moves.start(rows, seen)
        self._complete = False

    def push(self, seen: Measurement, control: Control, last_action: np.ndarray, rows: np.ndarray) -> None:
        """Takes the measurement after a decision, for the rows (N,) bool that made one.

        Args:
            seen: The measurement.
            control: The decision.
            last_action: The same on the axes of the feature `last_action`, (N, A).
            rows: (N,) bool.
        """
        self._look(seen)
        if self.portable is not None:
            self.portable.push(seen, control, rows)
        if self.moves is not None:
            self.moves.push(seen, rows)
        averages = self.averages
        np.copyto(averages, EMA * averages + (1 - EMA) * self._table[_LOSSES], where=rows)
        np.copyto(self.last_action, last_action, where=rows[:, None])
        self._complete = False

    @property
    def averages(self) -> np.ndarray:
        """Moving averages of L_D and L_G, (2, N), not copies."""
        return self._table[_AVERAGES]

    def state(self) -> dict[str, np.ndarray]:
        """Returns the arrays that observations depend on besides the measurement, not copies; rows lead."""
        d_loss_ema, g_loss_ema = self.averages
        held = {"g_loss_ema": g_loss_ema, "d_loss_ema": d_loss_ema, LAST_ACTION: self.last_action}
        if self.portable is not None:
            held |= {f"portable.{name}": getattr(self.portable, name) for name in PortableMemory.STATE}
        if self.moves is not None:
            held |= {f"moves.{name}": getattr(self.moves, name) for name in MoveMemory.STATE}
        return held

    def forget(self) -> None:
        """Drops what was computed from the averages or actions, because they were changed from outside."""
        self._complete = False

    def _look(self, seen: Measurement) -> None:
        """Puts the numbers of a measurement into the table, unless they are there."""
        if self._read is not seen:
            self._read, self._complete = seen, False
            self._take(seen)

    @np.errstate(invalid="ignore")  # a row that has failed may hold infinities
    def _take(self, seen: Measurement) -> None:
        table = self._table
        table[_NUMBERS], table[_PROGRESS] = seen.numbers_on_host, seen.progress_on_host
        table[_D_LOSS] = d_loss(table[_D_REAL], table[_D_FAKE], self.d_loss_scale)
        np.subtract(table[_G_LOSS], table[_D_LOSS], out=table[_GAP])

    def _completed(self, seen: Measurement) -> np.ndarray:
        """Returns the table, up to date with a measurement and with the decisions before it."""
        self._look(seen)
        if not self._complete:
            self._table[self._axes] = self.last_action.T
            if self.portable is not None:
                self.portable.write(self._table[self._of_portable], seen)
            if self.moves is not None:
                self.moves.write(self._table[self._of_moves])
            if self._own:
                self._table[self._of_own] = self._computed()
            self._complete = True
        return self._table

    @np.errstate(all="ignore")  # likewise
    def _computed(self) -> list[np.ndarray]:
        """Computes the features of one's own."""
        numbers = {f.name: self._table[_ROWS.index(f.name)] for f in fields(Moment) if f.name in _ROWS}
        moment = Moment(**numbers, last_action=self.last_action)
        rows = self._table.shape[1]
        return [
            _value(name, each, self.portable if each.portable else moment, rows) for name, each in self._own.items()
        ]

    def raw(self, seen: Measurement) -> np.ndarray:
        """Returns the features named by `scalars`, unclipped and possibly non-finite: (scalars, N), float64."""
        return self._completed(seen).take(self._shown, 0)

    def observe(self, seen: Measurement) -> np.ndarray:
        """Returns observations (N, F), finite and within bounds.

        They are row-major, in memory allocated by torch: torch's products round differently for another memory order
        or alignment (NumPy's arrays may start at other multiples of 16 bytes), and an agent's run would not repeat to
        the bit.
        """
        chosen = self._completed(seen).take(self._observed, 0)
        if np.count_nonzero(unclear := np.isnan(chosen)):
            chosen[unclear] = 0.0
        observation = torch.empty_like(self._blank).numpy()
        np.minimum(np.maximum(chosen, self._low), self._high, out=observation.T, casting="same_kind")
        return observation


def _value(name: str, feature: Feature, of: Moment | PortableMemory | None, rows: int) -> np.ndarray:
    """Computes a feature of one's own, (N,) float64; raises ValueError, naming it, if it cannot be computed."""
    assert feature.compute is not None
    try:
        found = np.asarray(feature.compute(of), np.float64)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"feature {name!r} cannot be computed ({why}); mend its function") from error
    if found.shape != (rows,):
        raise ValueError(
            f"feature {name!r} has shape {found.shape}; its function must return ({rows},), a number a row"
        )
    return found
