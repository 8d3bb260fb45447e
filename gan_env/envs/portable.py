"""Portable features: what a controller sees of any GAN, free of the loss' scale and of the networks' size.

The environment, controllers from files and `agents.Steer` compute them by one object, `PortableMemory`. Time is
counted in decisions. An average over a time constant τ is m ← m + max(1/τ, 1/n) (v − m) with v the value at the n-th
decision, so it begins as the mean of what was seen; a value that is not finite leaves it as it was.
"""

from __future__ import annotations

import math

import numpy as np

from gan_env.envs.features import FEATURE_SETS, FEATURES, Feature
from gan_env.types import Control, GameFacts, Measurement
from gan_env.weight_sample import SAMPLE

UNKNOWN_HORIZON = 1000
"""Decisions of a run whose length is unknown, for the time constants alone."""
SPANS = {"now": "1", "short": "H^(1/3)", "long": "H^(2/3)", "run": "H"}
"""Time constants in decisions, log-spaced from one decision to the horizon H."""
AUC, SEPARATION, G_LOSS, D_LOSS = range(4)
NOW, SHORT, LONG, RUN = range(4)
D, G = range(2)
_BOUNDS, _STEP_BOUNDS, _RATE_BOUNDS = (-5.0, 5.0), (-3.0, 3.0), (-4.0, 4.0)
RAMPS = (0, 25, 50, 75, 100)
"""Centres of the ramps of progress, in percent."""


def pairs_ranked(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Returns P(f(x) > f(x̂)), the share of all pairs in which the real sample scores higher; ties count half.

    It is the area under D's ROC curve, computed from ranks in O(B log B) (Mann and Whitney 1947). Scores are compared
    in single precision without its last bit. NaN of a row spoils that row alone.

    >>> pairs_ranked(np.array([[1.0, 2.0]]), np.array([[0.0, 1.0, 1.5]]))
    array([0.75])

    Args:
        real: Logits (N, B).
        fake: Logits (N, F).
    """
    size, reals = real.shape[1] + fake.shape[1], real.shape[1]
    scores = np.empty((len(real), size), np.float32)
    np.add(real, 0.0, out=scores[:, :reals], casting="same_kind")  # -0.0 becomes 0.0
    np.add(fake, 0.0, out=scores[:, reals:], casting="same_kind")
    keys = scores.view(np.int32)
    keys ^= (keys >> 31) & 0x7FFFFFFF  # ordered as the numbers are
    keys &= -2
    won, tied = _won(keys, slice(None, reals))
    if tied.any():  # sorting put a tie's real scores last; now its generated ones
        lost, _ = _won(keys[tied], slice(reals, None))
        won[tied] += reals * (size - reals) - lost
        won[tied] /= 2
    return won / (reals * (size - reals))


def _clipped(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return np.minimum(np.maximum(values, bounds[0]), bounds[1])  # a third of the time of np.clip


def _log_rates(rates: np.ndarray) -> np.ndarray:
    return _clipped(3 + np.log10(rates), _RATE_BOUNDS)


def _won(keys: np.ndarray, chosen: slice) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pairs (N,) in which a chosen key is above another one or equal; tells which rows have equal ones."""
    marked = keys.copy()
    marked[:, chosen] |= 1  # the last bit tells whose it is
    count = marked[:, chosen].shape[1]
    marked.sort(1)
    ranks = (marked & 1).astype(np.float64) @ np.arange(1.0, marked.shape[1] + 1)
    return ranks - count * (count + 1) / 2, ((marked[:, 1:] ^ marked[:, :-1]) == 1).any(1)


def separation(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Returns asinh((E f(x) − E f(x̂)) / s), s² the mean of both sides' variances, (N,), at most 5 in size.

    Scores times a number give the same. Where no score differs from another it is 0.

    Args:
        real: Logits (N, B).
        fake: Logits (N, F).
    """
    means, variances = [], []
    for scores in (real, fake):
        mean = np.add.reduce(scores, 1, keepdims=True) / scores.shape[1]  # a third of the time of `mean`
        off = scores - mean
        means.append(mean[:, 0].astype(np.float64))
        variances.append(np.einsum("nb,nb->n", off, off).astype(np.float64) / scores.shape[1])
    gap = means[0] - means[1]
    found = np.arcsinh(gap / np.sqrt((variances[0] + variances[1]) / 2))
    found[gap == 0] = 0
    return _clipped(found, _BOUNDS)


class PortableMemory:
    """What portable features are computed from: averages of N rows, a sample of the weights, the last control.

    Args:
        rows: N.
        game: Facts about the game; a run of unknown length has neutral features for it.
        updates_per_step: Updates that one decision holds for.
    """

    STATE = ("means", "variances", "count", "log_steps", "log_rates", "log_multipliers", "weights")
    """Arrays that snapshots hold; rows lead."""

    def __init__(self, rows: int, game: GameFacts, updates_per_step: int):
        self.game: GameFacts = game
        self._updates = updates_per_step
        horizon = game.decisions(updates_per_step) or UNKNOWN_HORIZON
        self._shares = 1 / float(horizon) ** (np.arange(len(SPANS)) / (len(SPANS) - 1))
        self._neutral = np.array([0.5, 0.0, 0.0, game.ideal_d_loss])[:, None]
        self.means: np.ndarray = np.zeros((rows, 4, len(SPANS))) + self._neutral
        """Averages of AUC, separation, L_G and the sum of D's losses over each time constant."""
        self.variances: np.ndarray = np.zeros((rows, 4, len(SPANS)))
        """Likewise of their squared distance from that average."""
        self.count: np.ndarray = np.zeros(rows, np.int64)
        """n: decisions that were finite."""
        self.log_steps: np.ndarray = np.zeros((rows, 2))
        """Of D and G: 3 + log₁₀ of the relative update size; 0 where it is unknown."""
        self.log_rates: np.ndarray = np.zeros((rows, 2))
        """Of D and G: 3 + log₁₀ of the base learning rate; 0 where it is unknown."""
        self.log_multipliers: np.ndarray = np.zeros((rows, 2))
        """Of D and G: log₁₀ of the last decision's multiplier."""
        self.weights: np.ndarray = np.zeros((rows, 2, SAMPLE))
        """Of D and G: a sample of the weights at the last decision; zeros where they are unknown."""
        self.progress: np.ndarray = np.zeros(rows)

    def start(self, rows: np.ndarray, seen: Measurement) -> None:
        """Takes the first measurement of an episode of the rows, (rows,) int."""
        self.means[rows], self.variances[rows], self.count[rows] = self._neutral, 0, 0
        self.log_multipliers[rows] = self.log_rates[rows] = self.weights[rows] = 0
        mask = np.zeros(len(self.count), bool)
        mask[rows] = True
        self._take(seen, mask)
        self.log_steps[rows] = 0  # nothing has moved yet

    def push(self, seen: Measurement, control: Control, rows: np.ndarray) -> None:
        """Takes the measurement after a decision of the rows, (N,) bool, and the control that it was."""
        multipliers = np.array([control.d_multiplier.cpu().numpy(), control.g_multiplier.cpu().numpy()]).T
        np.copyto(self.log_multipliers, np.log10(multipliers), where=rows[:, None])
        self._take(seen, rows)

    @np.errstate(all="ignore")  # a row that has failed may hold infinities
    def _take(self, seen: Measurement, rows: np.ndarray) -> None:
        real, fake = seen.logits_on_host
        numbers = seen.summary
        d_loss = numbers.d_loss_real + numbers.d_loss_fake
        values = np.array([pairs_ranked(real, fake), separation(real, fake), numbers.g_loss, d_loss]).T
        finite = rows & np.isfinite(values.sum(1) + numbers.real_logit + numbers.fake_logit)
        if not finite.all():
            values[~finite] = 0
        self.count += finite
        share = np.maximum(self._shares, 1 / np.maximum(self.count, 1)[:, None]) * finite[:, None]
        off = values[:, :, None] - self.means
        step = share[:, None] * off
        self.means += step
        self.variances += step * off
        self.variances *= 1 - share[:, None]
        if seen.players is not None:
            self._take_players(*seen.players, rows)
        elif self.game.d_lr and self.game.g_lr:
            rates = _log_rates(np.array([self.game.d_lr, self.game.g_lr]))
            np.copyto(self.log_rates, rates, where=rows[:, None])

    def _take_players(self, weights: np.ndarray, rates: np.ndarray, rows: np.ndarray) -> None:
        moved = weights - self.weights
        squares = np.einsum("nps,nps->np", moved, moved) / np.einsum("nps,nps->np", weights, weights)
        steps = _clipped(np.log10(squares) / 2 + (3 - math.log10(self._updates)), _STEP_BOUNDS)
        steps[steps != steps] = 0  # no weights are known, or they are not finite
        np.copyto(self.log_steps, steps, where=rows[:, None])
        np.copyto(self.log_rates, _log_rates(rates), where=rows[:, None])
        np.copyto(self.weights, weights, where=rows[:, None, None])

    @np.errstate(all="ignore")
    def table(self, names: tuple[str, ...], seen: Measurement) -> list[np.ndarray]:
        """Computes the named features (N,) each, unclipped; what is unknown is neutral, or NaN where that is 0."""
        self.progress = seen.progress_on_host
        return [FEATURES[name].compute(self) for name in names]

    def level(self, loss: int, span: int) -> np.ndarray:
        """Returns by how many long-term standard deviations a loss' average over `span` is above its long one, (N,)."""
        return (self.means[:, loss, span] - self.means[:, loss, LONG]) / np.sqrt(self.variances[:, loss, LONG])

    def volatility(self, loss: int) -> np.ndarray:
        """Returns log₁₀ of a loss' short-term standard deviation over its long-term one, (N,)."""
        return np.log10(self.variances[:, loss, SHORT] / self.variances[:, loss, LONG]) / 2

    def d_loss_ratio(self) -> np.ndarray:
        """Returns log₂ of the sum of D's losses over V*, (N,); 0 where losses are signed or V* is not above 0."""
        if self.game.signed or not self.game.ideal_d_loss > 0:
            return np.zeros(len(self.count))
        return np.log2(self.means[:, D_LOSS, NOW] / self.game.ideal_d_loss)

    def log_horizon(self) -> np.ndarray:
        """Returns log₁₀ of the run's updates over 1,000, (N,); 0 where they are unknown."""
        return np.full(len(self.count), math.log10(self.game.episode_updates or 1000) - 3)


def _register(name: str, meaning: str, compute, low: float, high: float) -> None:
    FEATURES.add(name, Feature(meaning, compute, low, high, portable=True))
    FEATURE_SETS["portable"] = (*FEATURE_SETS.get("portable", ()), name)


for _at, (_span, _constant) in enumerate(SPANS.items()):
    _register(
        f"auc_{_span}",
        f"average over τ = {_constant} decisions of P(f(x) > f(x̂)), ties half; 0.5 before the first",
        lambda m, at=_at: m.means[:, AUC, at],
        0,
        1,
    )
for _at, (_span, _constant) in enumerate(SPANS.items()):
    _register(
        f"separation_{_span}",
        f"average over τ = {_constant} decisions of asinh((E f(x) − E f(x̂)) / s), s² = (Var f(x) + Var f(x̂)) / 2",
        lambda m, at=_at: m.means[:, SEPARATION, at],
        *_BOUNDS,
    )
for _name, _loss in (("g", G_LOSS), ("d", D_LOSS)):
    _letter = f"L_{_name.upper()}"
    _register(
        f"{_name}_loss_level",
        f"({_letter} − m) / σ, m and σ² the average and the variance of {_letter} over τ = H^(2/3); 0 where σ is 0",
        lambda m, loss=_loss: m.level(loss, NOW),
        *_BOUNDS,
    )
    _register(
        f"{_name}_loss_trend",
        f"(average of {_letter} over τ = H^(1/3) − m) / σ, m and σ as in `{_name}_loss_level`; 0 where σ is 0",
        lambda m, loss=_loss: m.level(loss, SHORT),
        *_BOUNDS,
    )
    _register(
        f"{_name}_loss_volatility",
        f"log₁₀(σ over τ = H^(1/3) / σ over τ = H^(2/3)), standard deviations of {_letter}; 0 where the latter is 0",
        lambda m, loss=_loss: m.volatility(loss),
        -2,
        2,
    )
_register(
    "d_loss_ratio",
    "log₂((E ℓ_real(f(x)) + E ℓ_fake(f(x̂))) / V*), V* the best D's for equal distributions; 0 if signed or V* = 0",
    lambda m: m.d_loss_ratio(),
    -3,
    3,
)
for _name, _player in (("d", D), ("g", G)):
    _letter = _name.upper()
    _register(
        f"{_name}_step",
        f"3 + log₁₀(rms Δw / rms w) per update, w a sample of {_letter}'s weights, Δw the decision's; 0 if unknown",
        lambda m, player=_player: m.log_steps[:, player],
        *_STEP_BOUNDS,
    )
    _register(
        f"{_name}_log_rate",
        f"3 + log₁₀ of {_letter}'s base learning rate; 0 if unknown",
        lambda m, player=_player: m.log_rates[:, player],
        *_RATE_BOUNDS,
    )
    _register(
        f"{_name}_log_multiplier",
        f"log₁₀ of the last decision's multiplier on {_letter}'s rate, 0 at the start",
        lambda m, player=_player: m.log_multipliers[:, player],
        -3,
        3,
    )
_register("log_horizon", "log₁₀(updates in the episode / 1,000); 0 if unknown", lambda m: m.log_horizon(), -3, 3)
for _percent in RAMPS:
    _register(
        f"ramp_{_percent}",
        f"tanh(8 (p − {_percent / 100:g})), p the progress; as at the start if the run's length is unknown",
        lambda m, centre=_percent / 100: np.tanh(8 * (m.progress - centre)),
        -1,
        1,
    )

PORTABLE_FEATURES = FEATURE_SETS["portable"]
"""Features that mean the same for every loss, network, batch size and horizon."""
