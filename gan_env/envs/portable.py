"""Portable features: what a controller sees of any GAN, free of the loss' scale and of the networks' size.

The environment, controllers from files and `agents.Steer` compute them by one object, `PortableMemory`. Time is
counted in decisions. An average over a time constant τ is m ← m + max(1/τ, 1/n) (v − m) with v the value at the n-th
decision, so it begins as the mean of what was seen; a value that is not finite leaves it as it was.
"""

from __future__ import annotations

import math

import numpy as np

from gan_env.envs.features import FEATURE_SETS, FEATURES, Feature
from gan_env.types import Control, GameFacts, Measurement, host
from gan_env.weight_sample import SAMPLE

UNKNOWN_HORIZON = 1000
"""Decisions of a run whose length is unknown, for the time constants alone."""
SPANS = {"now": "1", "short": "H^(1/3)", "long": "H^(2/3)", "run": "H"}
"""Time constants in decisions, log-spaced from one decision to the horizon H."""
AUC, SEPARATION, G_LOSS, D_LOSS = range(4)
NOW, SHORT, LONG, RUN = range(4)
_BOUNDS, _STEP_BOUNDS, _RATE_BOUNDS = (-5.0, 5.0), (-3.0, 3.0), (-4.0, 4.0)
RAMPS = (0, 25, 50, 75, 100)
"""Centres of the ramps of progress, in percent."""
_CENTRES = np.array(RAMPS)[:, None] / 100


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
    scores = np.concatenate([real, fake], 1, dtype=np.float32, casting="same_kind")
    scores += 0.0  # -0.0 becomes 0.0
    keys = scores.view(np.int32)
    keys ^= (keys >> 31) & 0x7FFFFFFF  # ordered as the numbers are
    keys &= -2
    whose = np.arange(size) < reals
    won, ties = _won(keys, whose)
    if np.count_nonzero(ties):  # sorting put a tie's real scores last; now its generated ones
        tied = ties.any(1)
        lost, _ = _won(keys[tied], ~whose)
        won[tied] += reals * (size - reals) - lost
        won[tied] /= 2
    return won / (reals * (size - reals))


def _clipped(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return np.minimum(np.maximum(values, bounds[0]), bounds[1])  # a third of the time of np.clip


def _log_rates(rates: np.ndarray) -> np.ndarray:
    return _clipped(3 + np.log10(rates), _RATE_BOUNDS)


def _won(keys: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pairs (N,) in which a chosen key is above another one or equal; tells which neighbours are equal."""
    marked = keys | chosen  # the last bit tells whose it is
    marked.sort(1)
    ranks = (marked & 1) @ np.arange(1.0, len(chosen) + 1)
    count = np.count_nonzero(chosen)
    return ranks - count * (count + 1) / 2, (marked[:, 1:] ^ marked[:, :-1]) == 1


def separation(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Returns asinh((E f(x) − E f(x̂)) / s), s² the mean of both sides' variances, (N,), at most 5 in size.

    Scores times a number give the same. Where no score differs from another it is 0.

    Args:
        real: Logits (N, B).
        fake: Logits (N, F).
    """
    if real.shape == fake.shape:
        means, variances = _mean_and_variance(np.array([real, fake]))
    else:
        means, variances = np.swapaxes([_mean_and_variance(real), _mean_and_variance(fake)], 0, 1)
    gap = means[0] - means[1]
    found = np.arcsinh(gap / np.sqrt((variances[0] + variances[1]) / 2))
    np.copyto(found, 0.0, where=gap == 0)
    return _clipped(found, _BOUNDS)


def _mean_and_variance(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and variance over the last axis, computed in the scores' own precision."""
    mean = np.add.reduce(scores, -1, keepdims=True) / scores.shape[-1]  # a third of the time of `mean`
    off = scores - mean
    variance = np.einsum("...b,...b->...", off, off).astype(np.float64) / scores.shape[-1]
    return mean[..., 0].astype(np.float64), variance


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
        multipliers = np.array([host(control.d_multiplier), host(control.g_multiplier)]).T
        np.copyto(self.log_multipliers, np.log10(multipliers), where=rows[:, None])
        self._take(seen, rows)

    @np.errstate(all="ignore")  # a row that has failed may hold infinities
    def _take(self, seen: Measurement, rows: np.ndarray) -> None:
        real, fake = seen.logits_on_host
        g_loss, d_real, d_fake, real_logit, fake_logit = seen.numbers_on_host[:5]
        of_scores = pairs_ranked(real, fake), separation(real, fake)
        table = np.array([*of_scores, g_loss, d_real + d_fake, real_logit, fake_logit])
        finite, values = rows & np.isfinite(np.add.reduce(table, 0)), table[:4].T
        if np.count_nonzero(finite) < len(finite):
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
        np.copyto(steps, 0.0, where=steps != steps)  # no weights are known, or they are not finite
        np.copyto(self.log_steps, steps, where=rows[:, None])
        np.copyto(self.log_rates, _log_rates(rates), where=rows[:, None])
        np.copyto(self.weights, weights, where=rows[:, None, None])

    @np.errstate(all="ignore")
    def write(self, table: np.ndarray, seen: Measurement) -> None:
        """Computes `PORTABLE_FEATURES` unclipped into a table, (features, N).

        What is unknown is neutral, or NaN where that is 0.
        """
        means, variances = self.means.transpose(1, 2, 0), self.variances.transpose(1, 2, 0)
        averages, of_losses, ratio, of_players, horizon, ramps = (table[part] for part in _PARTS)
        averages.reshape(G_LOSS, len(SPANS), -1)[:] = means[:G_LOSS]
        means, variances, of_losses = means[G_LOSS:], variances[G_LOSS:], of_losses.reshape(2, 3, -1)
        of_losses[:, :2] = (means[:, :LONG] - means[:, LONG, None]) / np.sqrt(variances[:, LONG, None])
        of_losses[:, 2] = np.log10(variances[:, SHORT] / variances[:, LONG]) / 2
        ratio[:] = self._d_loss_ratio()
        of_players.reshape(2, 3, -1).swapaxes(0, 1)[:] = self.log_steps.T, self.log_rates.T, self.log_multipliers.T
        horizon[:] = math.log10(self.game.episode_updates or 1000) - 3
        np.tanh(8 * (seen.progress_on_host - _CENTRES), out=ramps)

    def _d_loss_ratio(self) -> np.ndarray | float:
        if self.game.signed or not self.game.ideal_d_loss > 0:
            return 0.0
        return np.log2(self.means[:, D_LOSS, NOW] / self.game.ideal_d_loss)


def _register(name: str, meaning: str, low: float, high: float) -> None:
    """Adds a feature, in the order of the rows that `PortableMemory.write` computes."""
    FEATURES.add(name, Feature(meaning, None, low, high, portable=True))
    FEATURE_SETS["portable"] = (*FEATURE_SETS.get("portable", ()), name)


for _span, _constant in SPANS.items():
    _register(
        f"auc_{_span}",
        f"average over τ = {_constant} decisions of P(f(x) > f(x̂)), ties half; 0.5 before the first",
        0,
        1,
    )
for _span, _constant in SPANS.items():
    _register(
        f"separation_{_span}",
        f"average over τ = {_constant} decisions of asinh((E f(x) − E f(x̂)) / s), s² = (Var f(x) + Var f(x̂)) / 2",
        *_BOUNDS,
    )
for _name in ("g", "d"):
    _letter = f"L_{_name.upper()}"
    _register(
        f"{_name}_loss_level",
        f"({_letter} − m) / σ, m and σ² the average and the variance of {_letter} over τ = H^(2/3); 0 where σ is 0",
        *_BOUNDS,
    )
    _register(
        f"{_name}_loss_trend",
        f"(average of {_letter} over τ = H^(1/3) − m) / σ, m and σ as in `{_name}_loss_level`; 0 where σ is 0",
        *_BOUNDS,
    )
    _register(
        f"{_name}_loss_volatility",
        f"log₁₀(σ over τ = H^(1/3) / σ over τ = H^(2/3)), standard deviations of {_letter}; 0 where the latter is 0",
        -2,
        2,
    )
_register(
    "d_loss_ratio",
    "log₂((E ℓ_real(f(x)) + E ℓ_fake(f(x̂))) / V*), V* the best D's for equal distributions; 0 if signed or V* = 0",
    -3,
    3,
)
for _name in ("d", "g"):
    _letter = _name.upper()
    _register(
        f"{_name}_step",
        f"3 + log₁₀(rms Δw / rms w) per update, w a sample of {_letter}'s weights, Δw the decision's; 0 if unknown",
        *_STEP_BOUNDS,
    )
    _register(
        f"{_name}_log_rate",
        f"3 + log₁₀ of {_letter}'s base learning rate; 0 if unknown",
        *_RATE_BOUNDS,
    )
    _register(
        f"{_name}_log_multiplier",
        f"log₁₀ of the last decision's multiplier on {_letter}'s rate, 0 at the start",
        -3,
        3,
    )
_register("log_horizon", "log₁₀(updates in the episode / 1,000); 0 if unknown", -3, 3)
for _percent in RAMPS:
    _register(
        f"ramp_{_percent}",
        f"tanh(8 (p − {_percent / 100:g})), p the progress; as at the start if the run's length is unknown",
        -1,
        1,
    )

PORTABLE_FEATURES = FEATURE_SETS["portable"]
"""Features that mean the same for every loss, network, batch size and horizon."""
_ENDS = np.cumsum([0, G_LOSS * len(SPANS), 2 * 3, 1, 2 * 3, 1, len(RAMPS)]).tolist()
_PARTS = tuple(map(slice, _ENDS, _ENDS[1:]))
"""Rows of averages, of the two losses' features, of the ratio, of the two players' features, the horizon, the ramps."""
assert _ENDS[-1] == len(PORTABLE_FEATURES)
