"""What a log of GAN losses shows, by the measures that the controllers themselves go by.

The ideal loss V* is the GAN loss' own (`Loss.ideal_d_loss`), the gap that matters is gap-aware's (a tenth of V*), what
counts as diverged is the environment's. Where losses cannot tell, it says so: above all, they do not tell how good the
samples are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch

from gan_env.envs.config import EnvConfig
from gan_env.losses.losses import Loss
from gan_env.types import GameFacts, Measurement

from ..rules.gap_aware import GapAware, ideal_gap_unit
from .loss_logs import LEAST, LossLog
from .oscillation import swing_of

Sure = Literal["sure", "likely", "not sure"]
GONE = 0.1
"""Share of V* below which D's loss counts as gone to 0."""
GROWS = 2.0
"""Times by which swings in the last quarter exceed those in the first; twice that where they have no period.

Without a period it takes 2 * LEAST rows: in quarters of five, noise itself differs by that much one time in twenty.
"""
PERIODIC = 0.4
"""Share of a swing's power within a fifth of its strongest frequency from which it is called an oscillation."""
NOISE = 0.01
"""Greatest probability that noise has so strong a period (`swings`); in 20 rows noise nearly always passes PERIODIC."""
SWINGS = 0.05
"""Of the unit of gaps: smaller swings are left alone."""
NEAR = 1.3
"""Times its ideal value, or one over that, within which G's loss counts as ideal."""
CLAMP = 100.0
"""Where `torch.nn.BCELoss` ends: it bounds logarithms by -100."""
GRAVE = {"diverged": 0, "oscillates, growing": 1, "D wins": 1, "critic runs away": 1, "oscillates": 2, "frozen": 2}
"""Symptoms from the gravest; the others follow. Of two in one place the surer comes first."""
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
        """The first that answers something that the losses do not leave open."""
        return next((s.controllers[0] for s in self.symptoms if s.controllers and s.sure != "not sure"), None)


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
    read = _reading(d, g, loss, d_loss)
    symptoms += [found for found in (_constant(d, g, loss, read), _swings(update, d, g, unit)) if found]
    if not any(s.name == "constant" for s in symptoms):
        symptoms.append(rule(update, d, g, loss, read))
    symptoms.sort(key=lambda s: (GRAVE.get(s.name, 3), get_args(Sure).index(s.sure)))
    slower = _as_gap_aware(d, loss) if rule is _balance and read != "not sure" else None
    return Diagnosis(log, loss, scale, tuple(symptoms), slower, tuple(_hints(d, g, read, d_loss)))


def lines(controller: str, loss: Loss, d_loss: Literal["sum", "mean"] = "sum") -> list[str]:
    """What to drop into a training loop: an import, a line before the loop, two in each iteration.

    D's loss is handed over, too, unless it would hold a penalty, so that `Steer` can tell scores of the wrong kind.
    """
    scores = "D's scores before its sigmoid; after one: .logit(1e-6)" if loss.probability else "D's scores"
    given = "" if loss.penalty else f", d_loss={'d_loss' if d_loss == 'sum' else '2 * d_loss'}"
    acts = "" if controller == "gap-aware" else "  # then step D if d.update_d, G if d.update_g"
    return [
        "from agents.steer import Steer",
        f'steer = Steer("{controller}", opt_g, opt_d, loss="{loss.name}")  # before the loop',
        f"# in each iteration, before a player steps; {scores}",
        f"d = steer(real_logits, fake_logits{given}){acts}",
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


def _constant(d: np.ndarray, g: np.ndarray, loss: Loss, read: Sure) -> Symptom | None:
    unit, half = ideal_gap_unit(loss.ideal_d_loss), len(d) // 2
    spread = {"D's loss": float(np.ptp(d[half:])), "G's loss": float(np.ptp(g[half:]))}
    if spread["D's loss"] > 1e-5 * unit or spread["G's loss"] > 1e-5 * unit:
        return None
    evidence = {"D's loss": d[-1], "G's loss": g[-1], "range over the last half": max(spread.values())}
    check = "check gradients before any controller"
    if loss.probability and max(d[-1], g[-1]) >= CLAMP * (1 - 1e-6):
        check += (
            f". BCELoss ends at {CLAMP:g}, where D's sigmoid is saturated and passes no gradient: start again without "
            "the sigmoid and with BCEWithLogitsLoss"
        )
    if read != "not sure" and d[-1] < loss.ideal_d_loss - 0.1 * unit:  # who says one thing of all cannot go below it
        return Symptom(
            "frozen", "Both losses stand still, though D tells samples apart.", "likely", evidence, (),
            f"A saturated sigmoid, players that are not being updated, or one batch again and again; {check}",
            "Losses do not tell which",
        )  # fmt: skip
    return Symptom(
        "constant",
        "Both losses stand still: D says the same about every sample.",
        "likely",
        evidence,
        (),
        "A dead discriminator (saturated sigmoid, dead ReLUs, weights clipped to nothing) or players that are not "
        f"being updated; {check}",
        "An equilibrium would look the same, but batches make its losses move a little",
    )


def _swings(update: np.ndarray, d: np.ndarray, g: np.ndarray, unit: float) -> Symptom | None:
    """Swings of the player that swings most."""
    found = {"D": swing_of(d), "G": swing_of(g)}
    who = max(found, key=lambda name: found[name].amplitude[-1])
    swing, quarters = found[who], found[who].amplitude
    if quarters[-1] < SWINGS * unit:
        return None
    growth = quarters[-1] / max(quarters[0], 1e-12)
    periodic = swing.share > PERIODIC and swing.chance < NOISE
    grows = growth > (GROWS if periodic else 2 * GROWS) and quarters[3] > 1.1 * max(quarters[1:3])
    if not periodic and (not grows or len(d) < 2 * LEAST):
        return None
    step = float(np.median(np.diff(update)))
    evidence: dict[str, Any] = {f"amplitude of {who}'s loss by quarter of the log": [float(q) for q in quarters]}
    evidence |= {"growth": growth}
    if periodic:
        evidence |= {"period in updates": swing.period * step, "share of the power near that period": swing.share}
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


def _balance(update: np.ndarray, d: np.ndarray, g: np.ndarray, loss: Loss, read: Sure) -> Symptom:
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
            "D leads", "D is ahead: its loss lies below the ideal by more than a tenth.", read, evidence,
            ("gap-aware", "dyn-gda"), "gap-aware slows D down, to a tenth of its rate at a tenth below the ideal",
            ON_DIGITS,
        )  # fmt: skip
    if level > ideal + tenth:
        return Symptom(
            "D lags", "D is behind: its loss lies above what a D that cannot tell at all would have.", read, evidence,
            ("gap-aware", "alt-gda-5"), "gap-aware doubles D's rate at such a gap; alt-gda-5 gives D five updates to "
            "one of G", "A loss that holds penalties, or smoothed labels, lies higher by itself: diagnose it without",
        )  # fmt: skip
    return Symptom(
        "within the gap", "D's loss lies within a tenth of the ideal: balanced, as gap-aware measures it.", "sure",
        evidence, (), "Nothing in the losses for a controller to mend",
        "Losses do not show whether G makes good samples or all modes, and an untrained D looks balanced, too",
    )  # fmt: skip


def _critic(update: np.ndarray, d: np.ndarray, g: np.ndarray, loss: Loss, read: Sure) -> Symptom:
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


def _reading(d: np.ndarray, g: np.ndarray, loss: Loss, d_loss: str) -> Sure:
    """How sure it is that D's loss is what `d_loss` says, and not the other: with that both losses would be ideal."""
    last = slice(len(d) * 3 // 4, None)
    ideal = loss.ideal_d_loss * (0.5 if d_loss == "sum" else 2.0)
    if ideal < 1e-9 or abs(float(np.mean(d[last])) - ideal) >= 0.1 * ideal:
        return "sure"
    scores = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    ideal_g = float(loss.generator(scores[(loss.real(scores) + loss.fake(scores)).argmin()]))
    if loss.signed or ideal_g < 1e-9:
        return "likely"  # G's loss has no scale that it could be held to
    times = max(float(np.mean(g[last])), 1e-9) / ideal_g
    away = max(times, 1 / times)
    return "not sure" if away < NEAR else "likely" if away < 2 else "sure"


def _hints(d: np.ndarray, g: np.ndarray, read: Sure, d_loss: str) -> list[str]:
    if read == "sure":
        return []
    last = slice(len(d) * 3 // 4, None)
    logged = float(np.mean(d[last])) / (2 if d_loss == "mean" else 1)
    wanted = "mean" if d_loss == "sum" else "sum"
    rest = f", and G's of about {float(np.mean(g[last])):.3g} is near its own" if read == "not sure" else ""
    return [
        f"D's loss of about {logged:.3g} would be the ideal one, were it the {wanted} of its real and fake halves{rest}"
        f"; if it is, say so: --d-loss {wanted}"
    ]
