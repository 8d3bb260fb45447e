"""Symptoms in the players' losses: each function detects one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gan_env.envs.config import EnvConfig
from gan_env.losses.losses import Loss

from ..rules.gap_aware import ideal_gap_unit
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
CLAMP = 100.0
"""Where `torch.nn.BCELoss` ends: it bounds logarithms by -100."""
GRAVE = {
    "diverged": 0, "mode collapse": 1, "oscillates, growing": 1, "D wins": 1, "critic runs away": 1, "oscillates": 2,
    "frozen": 2, "past its best": 2,
}  # fmt: skip
"""Symptoms from the gravest; the others follow. Of two in one place the surer comes first."""
ON_DIGITS = (
    "A low loss of D alone is no fault: on this package's digits fast discriminators (constant:3, constant:10) made "
    "the best samples and gap-aware, which slows D down, far worse ones than plain training. Look at samples; judge "
    "both ways before you keep one"
)


@dataclass(frozen=True)
class Symptom:
    """A symptom in the losses."""

    name: str
    words: str
    """Description, in a sentence."""
    sure: Sure
    evidence: dict[str, Any] = field(default_factory=dict)
    """Numbers by name."""
    controllers: tuple[str, ...] = ()
    """Controllers that act on it, the most suitable first; empty if none is known."""
    answer: str = ""
    """What they do, or what to do instead."""
    doubt: str = ""
    """What the losses cannot show."""


def diverged(log: LossLog, k: int) -> Symptom:
    """Detects losses that are non-finite, or past the environment's bound, from row k on."""
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


def constant(d: np.ndarray, g: np.ndarray, loss: Loss, read: Sure) -> Symptom | None:
    """Detects constant losses."""
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


def swings(update: np.ndarray, d: np.ndarray, g: np.ndarray, unit: float) -> Symptom | None:
    """Detects oscillation, in the player that oscillates most."""
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


def balance(update: np.ndarray, d: np.ndarray, g: np.ndarray, loss: Loss, read: Sure) -> Symptom:
    """Compares D's loss in the last quarter with V*.

    That D leads or lags is never sure: losses alone do not tell a fault from a GAN that is well. That D wins is where
    either reading of its loss says so, or the reading is sure.
    """
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
        wins: Sure = "sure" if read == "sure" or 2 * level < GONE * ideal else "likely"
        return Symptom(
            "D wins", "D's loss goes to 0: D wins.", wins, evidence, ("gap-aware", "d-accuracy-gate", "dyn-gda"),
            "gap-aware slows D to a tenth of its rate at such a gap; d-accuracy-gate leaves D's updates out while it "
            "is right too often", ON_DIGITS,
        )  # fmt: skip
    at_most: Sure = "not sure" if read == "not sure" else "likely"
    if level < ideal - tenth:
        return Symptom(
            "D leads", "D is ahead: its loss lies below the ideal by more than a tenth.", at_most, evidence,
            ("gap-aware", "dyn-gda"), "gap-aware slows D down, to a tenth of its rate at a tenth below the ideal",
            ON_DIGITS,
        )  # fmt: skip
    if level > ideal + tenth:
        return Symptom(
            "D lags", "D is behind: its loss lies above what a D that cannot tell at all would have.",
            at_most, evidence,
            ("gap-aware", "alt-gda-5"), "gap-aware doubles D's rate at such a gap; alt-gda-5 gives D five updates to "
            "one of G", "A loss that holds penalties, or smoothed labels, lies higher by itself: diagnose it without",
        )  # fmt: skip
    return Symptom(
        "within the gap", "D's loss lies within a tenth of the ideal: balanced, as gap-aware measures it.",
        read if 2 * _standard_error(d[last:]) < tenth else at_most, evidence, (),
        "Nothing in the losses for a controller to mend", "Losses do not show whether G makes good samples or all "
        "modes, and an untrained D looks balanced, too",
    )  # fmt: skip


def critic(update: np.ndarray, d: np.ndarray, g: np.ndarray, loss: Loss, read: Sure) -> Symptom:
    """Reads a critic's loss as minus its estimate of the distance between real and generated samples."""
    quarter = max(len(d) // 4, 1)
    early, late = -float(np.mean(d[quarter : 2 * quarter])), -float(np.mean(d[-quarter:]))
    evidence = {"critic's estimate, second quarter": early, "last quarter": late}
    scale = "The scale of a critic is arbitrary, so only changes mean something"
    if late <= 0:
        return Symptom(
            "critic lags", "The critic rates generated samples above real ones.", "likely", evidence, ("alt-gda-5",),
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


def _standard_error(values: np.ndarray) -> float:
    """Computes the standard error of the mean of an autocorrelated series."""
    rest = values - values.mean()
    alike = float((rest[1:] * rest[:-1]).sum() / max((rest**2).sum(), 1e-300))
    alike = min(max(alike, 0.0), 0.99)
    return float(values.std() / np.sqrt(max(len(values), 1)) * np.sqrt((1 + alike) / (1 - alike)))
