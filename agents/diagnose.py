"""What a log of GAN losses shows, by the measures that the controllers themselves go by.

The ideal loss V* is the GAN loss' own (`Loss.ideal_d_loss`), the gap that matters is gap-aware's (a tenth of V*), what
counts as diverged is the environment's. Where losses cannot tell, it says so: above all, they do not tell how good the
samples are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from gan_env.config import EnvConfig
from gan_env.losses import Loss
from gan_env.records import GameFacts, Measurement

from .gap_aware import GapAware, ideal_gap_unit
from .loss_logs import LEAST, LossLog

Sure = Literal["sure", "likely", "not sure"]
GONE = 0.1
"""Share of V* below which D's loss counts as gone to 0."""
GROWS = 2.0
"""Times by which swings in the last quarter exceed those in the first; twice that where they have no period."""
PERIODIC = 0.4
"""Share of a swing's power within a fifth of its strongest frequency; of noise it is a few hundredths."""
SWINGS = 0.05
"""Of the unit of gaps: smaller swings are left alone."""
ON_DIGITS = (
    "A low loss of D alone is no fault: on this package's digits fast discriminators (constant:3, constant:10) made "
    "the best samples and gap-aware, which slows D down, far worse ones than plain training. Look at samples; judge "
    "both ways before you keep one"
)


@dataclass(frozen=True)
class Symptom:
    """Something that the losses show."""

    name: str
    words: str
    """What it is, in a sentence."""
    sure: Sure
    evidence: dict[str, Any] = field(default_factory=dict)
    """Numbers, by what they are."""
    controllers: tuple[str, ...] = ()
    """What answers it, the first one first; none where we know of none."""
    answer: str = ""
    """What they do about it, or what to do instead."""
    doubt: str = ""
    """What the losses cannot tell."""


@dataclass(frozen=True)
class Diagnosis:
    """All that was found, gravest first."""

    log: LossLog
    loss: Loss
    d_scale: float
    """D's logged loss times this is the sum of both halves, which V* belongs to."""
    symptoms: tuple[Symptom, ...]
    gap_aware: dict[str, float] | None
    """Multipliers that gap-aware would have put on D's rate: "last" and "mean"; None where it has no say."""
    hints: tuple[str, ...] = ()
    """About how the log was read."""

    @property
    def controller(self) -> str | None:
        """The first that answers something."""
        return next((s.controllers[0] for s in self.symptoms if s.controllers), None)


def diagnose(log: LossLog, loss: Loss, d_loss: Literal["sum", "mean"] = "sum") -> Diagnosis:
    """What a log shows.

    Args:
        log: The losses.
        loss: The GAN loss that they are of.
        d_loss: Whether D's is the sum of its real and fake halves, as in PyTorch's tutorial, or their mean.

    Raises:
        ValueError: If the losses cannot be those of `loss`, for they are negative.
    """
    scale = 2.0 if d_loss == "mean" else 1.0
    d, g = scale * log.d, log.g
    _check_signs(log, loss)
    bad = ~(np.isfinite(d) & np.isfinite(g)) | (np.abs(d) > EnvConfig.loss_bound) | (np.abs(g) > EnvConfig.loss_bound)
    end = int(bad.argmax()) if bad.any() else len(d)
    symptoms = [_diverged(log, end)] if end < len(d) else []
    if end < LEAST:
        return Diagnosis(log, loss, scale, tuple(symptoms), None)
    update, d, g = log.update[:end], d[:end], g[:end]
    unit = ideal_gap_unit(loss.ideal_d_loss)
    rule = _critic if loss.ideal_d_loss < 1e-9 else _balance
    symptoms += [found for found in (_constant(d, g, unit), _swings(update, d, g, unit)) if found]
    if not any(s.name == "constant" for s in symptoms):
        symptoms.append(rule(update, d, g, loss))
    slower = _as_gap_aware(d, loss) if rule is _balance else None
    return Diagnosis(log, loss, scale, tuple(symptoms), slower, tuple(_hints(d, loss, d_loss)))


def lines(controller: str, loss: Loss) -> list[str]:
    """What to drop into a training loop: an import, a line before the loop, two in each iteration."""
    acts = "" if controller == "gap-aware" else "; then step D if d.update_d, G if d.update_g"
    return [
        "from agents.loop import Steer",
        f'steer = Steer("{controller}", opt_g, opt_d, loss="{loss.name}")  # before the loop',
        f"d = steer(real_logits, fake_logits)  # in each iteration, before a player steps{acts}",
        "steer.done()  # at its end",
    ]


# -- symptoms -----------------------------------------------------------------------------------------------------


def _diverged(log: LossLog, k: int) -> Symptom:
    name = "D" if not abs(log.d[k]) <= EnvConfig.loss_bound else "G"
    before = slice(max(0, k - max(3, k // 10)), k)
    evidence = {"update": log.update[k], "D's loss": log.d[k], "G's loss": log.g[k]}
    if k:
        evidence |= {
            "largest |D's loss| shortly before": np.abs(log.d[before]).max(),
            "largest |G's loss| shortly before": np.abs(log.g[before]).max(),
        }
    return Symptom(
        "diverged",
        f"Training diverged at update {log.update[k]:g}: {name}'s loss is not finite or past {EnvConfig.loss_bound:g}.",
        "sure",
        evidence,
        (),
        "No controller here is made for this: lower both base learning rates first (a half, a tenth); if losses were "
        "small until then, look for a division or a logarithm of 0 and for half precision",
        "Which of these it is, losses cannot tell; what else stands here is of the time before",
    )


def _constant(d: np.ndarray, g: np.ndarray, unit: float) -> Symptom | None:
    half = len(d) // 2
    spread = {"D's loss": float(np.ptp(d[half:])), "G's loss": float(np.ptp(g[half:]))}
    if spread["D's loss"] > 1e-5 * unit or spread["G's loss"] > 1e-5 * unit:
        return None
    return Symptom(
        "constant",
        "Both losses stand still: D says the same about every sample.",
        "likely",
        {"D's loss": d[-1], "G's loss": g[-1], "range over the last half": max(spread.values())},
        (),
        "A dead discriminator (saturated sigmoid, dead ReLUs, weights clipped to nothing) or players that are not "
        "being updated; check gradients before any controller",
        "An equilibrium would look the same, but batches make its losses move a little",
    )


def _swings(update: np.ndarray, d: np.ndarray, g: np.ndarray, unit: float) -> Symptom | None:
    """Swings of the player that swings most."""
    found = {"D": _swing(d), "G": _swing(g)}
    who = max(found, key=lambda name: found[name]["amplitude"][-1])
    swing = found[who]
    quarters, period, share = swing["amplitude"], swing["period"], swing["share"]
    if quarters[-1] < SWINGS * unit:
        return None
    growth = quarters[-1] / max(quarters[0], 1e-12)
    periodic = share > PERIODIC
    grows = growth > (GROWS if periodic else 2 * GROWS) and quarters[3] > 1.1 * max(quarters[1:3])
    if not grows and not periodic:
        return None
    step = float(np.median(np.diff(update)))
    evidence: dict[str, Any] = {f"amplitude of {who}'s loss by quarter of the log": [float(q) for q in quarters]}
    evidence |= {"growth": growth}
    if periodic:
        evidence |= {"period in updates": period * step, "share of the power near that period": share}
    how = "oscillate" if periodic else "swing"
    return Symptom(
        "oscillates, growing" if grows else "oscillates",
        f"The losses {how} with growing amplitude." if grows else "The losses oscillate, but not more and more.",
        "sure" if grows and periodic else "likely",
        evidence,
        ("dyn-gda", "alt-gda-1"),
        "Players that move at once spiral outwards (on the Dirac-GAN by sqrt(1 + lr^2) an update, at any rate), "
        "players that take turns go round in place. dyn-gda lets one move at a time, chosen by D's scores; alt-gda-1 "
        "takes turns, and is a change for the better only if both move at once now",
        ("" if periodic else "Without a period this may be training that gets under way. ")
        + ("" if grows else "It may be nothing but data that come in cycles. ")
        + "On the ring, eight seeds did not tell dyn-gda from plain training",
    )


def _swing(values: np.ndarray) -> dict[str, Any]:
    """Amplitude (root of twice the variance) in each quarter, and the strongest period in rows, without the trend."""
    t = np.linspace(-1, 1, len(values))
    rest = values - np.polynomial.Polynomial.fit(t, values, 3)(t)
    power = np.abs(np.fft.rfft(rest * np.hanning(len(rest)))) ** 2
    power[:4] = 0.0  # slower than a quarter of the log: a trend
    peak = int(power.argmax())
    near = slice(int(np.floor(0.8 * peak)), int(np.ceil(1.2 * peak)) + 1)
    period = len(values) / max(peak, 1)
    # What grows by orders of magnitude bends any fit at its small end; a mean over a period leaves nothing of it.
    window = min(max(round(period), 3), len(values) // 4)
    padded = np.pad(values, (window // 2, window - 1 - window // 2), mode="reflect")
    rest = values - np.convolve(padded, np.full(window, 1 / window), "valid")
    return {
        "amplitude": np.array([np.sqrt(2) * part.std() for part in np.array_split(rest, 4)]),
        "period": period,
        "share": float(power[near].sum() / max(power.sum(), 1e-300)),
    }


def _balance(update: np.ndarray, d: np.ndarray, g: np.ndarray, loss: Loss) -> Symptom:
    """Where D's loss lies against V* in the last quarter."""
    ideal, last = loss.ideal_d_loss, len(d) * 3 // 4
    level, tenth = float(np.mean(d[last:])), 0.1 * ideal_gap_unit(ideal)
    evidence = {
        "D's loss in the last quarter": level,
        "ideal": ideal,
        "share of the ideal": level / ideal,
        "G's loss, first and last quarter": [float(np.mean(g[: max(len(g) // 4, 1)])), float(np.mean(g[last:]))],
    }
    if level < GONE * ideal:
        below = d < GONE * ideal
        since = len(d) - int((~below[::-1]).argmax()) if not below.all() else 0
        evidence |= {"below a tenth of it since update": float(update[min(since, len(d) - 1)])}
        return Symptom(
            "D wins", "D's loss goes to 0: D wins.", "sure", evidence, ("gap-aware", "d-accuracy-gate", "dyn-gda"),
            "gap-aware slows D to a tenth of its rate at such a gap; d-accuracy-gate leaves D's updates out while it "
            "is right too often", ON_DIGITS,
        )  # fmt: skip
    if level < ideal - tenth:
        return Symptom(
            "D leads", "D is ahead: its loss lies below the ideal by more than a tenth.", "sure", evidence,
            ("gap-aware", "dyn-gda"), "gap-aware slows D down, to a tenth of its rate at a tenth below the ideal",
            ON_DIGITS,
        )  # fmt: skip
    if level > ideal + tenth:
        return Symptom(
            "D lags", "D is behind: its loss lies above what a D that cannot tell at all would have.", "sure", evidence,
            ("gap-aware", "alt-gda-5"), "gap-aware doubles D's rate at such a gap; alt-gda-5 gives D five updates to "
            "one of G", "A loss that holds penalties, or smoothed labels, lies higher by itself: diagnose it without",
        )  # fmt: skip
    return Symptom(
        "within the gap", "D's loss lies within a tenth of the ideal: balanced, as gap-aware measures it.", "sure",
        evidence, (), "Nothing in the losses for a controller to mend",
        "Losses do not show whether G makes good samples or all modes, and an untrained D looks balanced, too",
    )  # fmt: skip


def _critic(update: np.ndarray, d: np.ndarray, g: np.ndarray, loss: Loss) -> Symptom:
    """A critic's loss is minus its estimate of the distance between real and generated samples."""
    quarter = max(len(d) // 4, 1)
    early, late = -float(np.mean(d[quarter : 2 * quarter])), -float(np.mean(d[-quarter:]))
    evidence = {"critic's estimate, second quarter": early, "last quarter": late}
    scale = "The scale of a critic is arbitrary, so only changes mean something"
    if late <= 0:
        return Symptom(
            "critic lags", "The critic rates generated samples above real ones.", "sure", evidence, ("alt-gda-5",),
            "alt-gda-5 gives the critic five updates to one of G, as Arjovsky et al. 2017 do", scale,
        )  # fmt: skip
    if early > 0 and late > GROWS * early:
        return Symptom(
            "critic runs away", "The critic's estimate keeps growing: G falls behind, or nothing bounds the critic.",
            "likely", evidence, ("gap-aware",), "gap-aware slows the critic; but see first that it is clipped or has "
            "its penalty", f"{scale}; a gap of 0.1 for gap-aware where the ideal is 0 is our own choice",
        )  # fmt: skip
    return Symptom(
        "critic ahead", "The critic leads and its estimate does not run away: as it should be for this loss.", "likely",
        evidence, (), "Nothing in the losses for a controller to mend", scale + ", and losses do not show modes",
    )  # fmt: skip


# -- readings -----------------------------------------------------------------------------------------------------


def _check_signs(log: LossLog, loss: Loss) -> None:
    for who, values, may in (("D", log.d, loss.ideal_d_loss < 1e-9), ("G", log.g, loss.signed)):
        negative = np.flatnonzero(values < -1e-6)
        if len(negative) and not may:
            raise ValueError(
                f"{log.source}: {who}'s loss is negative in {len(negative)} rows (first {values[negative[0]]:g} at "
                f"update {log.update[negative[0]]:g}), which {loss.name}'s cannot be; name yours, e.g. --loss wgan-gp"
            )


def _as_gap_aware(d: np.ndarray, loss: Loss) -> dict[str, float]:
    """What gap-aware, given this log, would have done to D's rate."""
    rule, ones = GapAware(), torch.zeros(1, 1)
    memory = rule.start([0], GameFacts(loss=loss.name, ideal_d_loss=loss.ideal_d_loss, signed=loss.signed))
    found = []
    for value in d:
        half = torch.tensor([value / 2], dtype=torch.float64)
        seen = Measurement(
            real_logits=ones, fake_logits=ones, g_loss=half, d_loss_real=half, d_loss_fake=half,
            update=torch.zeros(1, dtype=torch.int64), progress=torch.zeros(1, dtype=torch.float64),
        )  # fmt: skip
        control, memory = rule.decide(seen, memory)
        found.append(float(control.d_multiplier))
    return {"last": found[-1], "mean": float(np.exp(np.mean(np.log(found))))}


def _hints(d: np.ndarray, loss: Loss, d_loss: str) -> list[str]:
    ideal, level = loss.ideal_d_loss, float(np.mean(d[len(d) * 3 // 4 :]))
    other: dict[str, Callable[[], bool]] = {
        "sum": lambda: abs(level - ideal / 2) < 0.1 * ideal / 2,
        "mean": lambda: abs(level - 2 * ideal) < 0.1 * 2 * ideal,
    }
    if ideal > 1e-9 and other[d_loss]():
        wanted = "mean" if d_loss == "sum" else "sum"
        logged = level / (2 if d_loss == "mean" else 1)
        return [
            f"D's loss of about {logged:.3g} would be the ideal one, were it the {wanted} of its real and fake halves; "
            f"if it is, say so: --d-loss {wanted}"
        ]
    return []
