"""Older heuristics for balancing a GAN, as baselines. Each docstring gives rule, source and our choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_env.types import Control, GameFacts, Measurement

from .gap_aware import check_share, ideal_gap_unit, smooth_loss
from .scripted import Memory, check_positive, scripted


def _numbers(n: int, **start: float) -> Memory:
    return {key: torch.full((n,), value, dtype=torch.float64) for key, value in start.items()}


def _check_limits(name: str, low: float, high: float) -> None:
    check_positive(name, low=low, high=high)
    if not low <= 1 <= high:
        raise ValueError(f"{name}: low={low} must be at most 1 and high={high} at least 1")


@scripted("loss-rate-balance")
@dataclass(frozen=True, kw_only=True)
class LossRateBalance:
    """V2 if D's loss changed by more than `balance` × what G's loss did, relative to before; else V1.

    r = |loss − loss before| / |loss before|, from one decision to the next; the first decision is V2. If either
    change is NaN: V1.

    Source: Ouyang & Agam 2020, arXiv:2008.12463, read through two third-party notes. Ours: `balance` (λ) is not known
    and is 1; the denominator takes the absolute value, so that the signed losses of wgan, for which the rule was
    made, do not flip it.
    """

    balance: float = 1.0
    """λ: how much faster D's loss must change than G's before D moves."""

    def __post_init__(self):
        check_positive("loss-rate-balance", balance=self.balance)

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts without previous losses."""
        n = len(row_seeds)
        return _numbers(n, d_last=0.0, g_last=0.0) | {"begun": torch.zeros(n, dtype=torch.bool)}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns one player by the two relative changes."""
        d, g = seen.d_sum.double(), seen.g_loss.double()

        def change(loss: Tensor, last: Tensor) -> Tensor:
            return (loss - last).abs() / last.abs().clamp(min=1e-12)

        faster_d = change(d, memory["d_last"]) > self.balance * change(g, memory["g_last"])
        move_d = ~memory["begun"] | faster_d
        after = {"d_last": d, "g_last": g, "begun": torch.ones_like(memory["begun"])}
        return Control.of(len(seen), update_g=~move_d, update_d=move_d, device=d.device), after


@scripted("d-accuracy-gate")
@dataclass(frozen=True, kw_only=True)
class AccuracyGate:
    """D updates only while its batch accuracy is below 0.8, G only while it is above 0.5.

    Accuracy is the share of the 2B samples on the right side of `boundary`; a sample exactly on it counts half.

    Source: folklore. The thresholds are usual ones; the boundary is 0 where sigmoid(logit) is a probability, and has to
    be given for raw scores, which need not have one.
    """

    d_below: float = 0.8
    """Accuracy from which D waits."""
    g_above: float = 0.5
    """Accuracy up to which G waits."""
    boundary: float | None = None
    """Logit at which D is undecided; None: 0, only for losses whose logits are probabilities."""

    def __post_init__(self):
        if not 0 <= self.g_above < self.d_below <= 1:
            raise ValueError(
                f"d-accuracy-gate: g_above={self.g_above} must be below d_below={self.d_below}, both in [0, 1]; "
                "otherwise some accuracy lets nobody update"
            )

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Nothing to remember."""
        if self.boundary is None and not game.probability:
            raise ValueError(
                f"d-accuracy-gate: the loss {game.loss!r} gives raw scores, whose undecided point is unknown; "
                "set boundary, e.g. boundary=0 for hinge, 0.5 for lsgan with targets 0 and 1"
            )
        return {}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V1, V2 or V3 by the accuracy; V3 for NaN."""
        middle = self.boundary or 0.0
        right = torch.cat([seen.real_logits.double() - middle, middle - seen.fake_logits.double()], dim=-1)
        accuracy = ((right.sign() + 1) / 2).mean(-1)
        update_g, update_d = ~(accuracy <= self.g_above), ~(accuracy >= self.d_below)
        return Control.of(len(seen), update_g=update_g, update_d=update_d, device=accuracy.device), memory


@scripted("weaker-only")
@dataclass(frozen=True, kw_only=True)
class WeakerOnly:
    """Only the player whose loss got worse since the last batch updates; both, if both did or neither.

    Source: the abstract of the "infinitely repeated game" view of GANs. Ours: the first decision, both and neither
    are V3, since one of the two must update and nothing singles it out.
    """

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts with NaN as the previous losses: no comparison with NaN counts as worse."""
        return _numbers(len(row_seeds), d_last=math.nan, g_last=math.nan)

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V1, V2 or V3 by whose loss rose."""
        d, g = seen.d_sum.double(), seen.g_loss.double()
        d_worse, g_worse = d > memory["d_last"], g > memory["g_last"]
        alike = d_worse == g_worse
        control = Control.of(len(seen), update_g=g_worse | alike, update_d=d_worse | alike, device=d.device)
        return control, {"d_last": d, "g_last": g}


@scripted("began")
@dataclass(frozen=True, kw_only=True)
class Began:
    """V3 with D's rate steered by BEGAN's integrator: faster while fakes pass for real more easily than reals do.

    log u ← clip(log u + step × (γ ℓ(real) − ℓ(fake)), log low, log high), where ℓ is the loss of not passing for real:
    `d_loss_real` for real samples, `g_loss` for generated ones. A difference that is not finite is left out.

    Source: Berthelot, Schumm & Metz 2017, arXiv:1703.10717, whose k ← clip(k + λ (γ ℓ(x) − ℓ(G(z))), 0, 1) weighs D's
    loss on fakes; here the same integrator acts on D's log rate. Ours: γ = 1 instead of its 0.5, as these losses are
    then at rest at the equilibrium of bce, and the limits. Signed losses are refused: γ would change its meaning.
    """

    gamma: float = 1.0
    """Wanted ratio ℓ(fake) / ℓ(real)."""
    step: float = 1e-3
    """λ: change of the log multiplier per unit of loss."""
    low: float = 0.1
    """Least multiplier."""
    high: float = 10.0
    """Greatest multiplier."""

    def __post_init__(self):
        check_positive("began", gamma=self.gamma, step=self.step)
        _check_limits("began", self.low, self.high)

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts at the base rate."""
        if game.signed:
            raise ValueError(f"began balances losses that are never negative; {game.loss!r} is signed, use e.g. bce")
        return _numbers(len(row_seeds), log_rate=0.0)

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V3 with D at the integrated rate."""
        error = self.gamma * seen.d_loss_real.double() - seen.g_loss.double()
        error = torch.where(torch.isfinite(error), error, 0.0)
        log_rate = (memory["log_rate"] + self.step * error).clamp(math.log(self.low), math.log(self.high))
        return Control.of(len(seen), d_multiplier=log_rate.exp(), device=error.device), {"log_rate": log_rate}


@scripted("pi")
@dataclass(frozen=True, kw_only=True)
class PI:
    """V3 with D's rate set by a PI(D) controller on the gap between D's loss and the ideal loss V*.

    e = (V̂ − V*) / V*, with V̂ gap-aware's moving average of `d_sum`, and
    log u = clip(kp e + ki Σe + kd Δe, log low, log high). Where V* = 0 the gap itself is the error.

    Source: textbook control; all gains ours. kp = 5 is near the slope of gap-aware's rule above V* (log 2 at e = 0.1).
    So that a long lead of D does not wind up, the integral part is kept within the limits by itself.
    """

    kp: float = 5.0
    """Log multiplier per relative gap."""
    ki: float = 0.01
    """Log multiplier per relative gap and decision."""
    kd: float = 0.0
    """Log multiplier per change of the relative gap."""
    alpha: float = 0.95
    """Weight of the past in the moving average."""
    low: float = 0.1
    """Least multiplier."""
    high: float = 10.0
    """Greatest multiplier."""

    def __post_init__(self):
        check_share("pi", alpha=self.alpha)
        _check_limits("pi", self.low, self.high)
        for name in ("kp", "ki", "kd"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"pi: {name}={getattr(self, name)} must be a finite number >= 0")

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts at rest at V*."""
        ideal = game.ideal_d_loss
        unit = ideal_gap_unit(ideal)
        return _numbers(len(row_seeds), average=ideal, ideal=ideal, unit=unit, error=0.0, integral=0.0)

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V3 with D at the controlled rate."""
        limits = math.log(self.low), math.log(self.high)
        average = smooth_loss(memory["average"], seen.d_sum, self.alpha)
        error = (average - memory["ideal"]) / memory["unit"]
        integral = (memory["integral"] + self.ki * error).clamp(*limits)
        log_rate = (self.kp * error + integral + self.kd * (error - memory["error"])).clamp(*limits)
        after = memory | {"average": average, "error": error, "integral": integral}
        return Control.of(len(seen), d_multiplier=log_rate.exp(), device=error.device), after
