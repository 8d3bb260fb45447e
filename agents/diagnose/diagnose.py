"""Diagnoses a log of GAN losses by the thresholds that the controllers use.

The ideal loss V* is that of the GAN loss (`Loss.ideal_d_loss`), the relevant gap is gap-aware's (a tenth of V*), and
divergence is defined as in the environment. The diagnosis states what losses cannot show, above all sample quality.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch

from gan_env.envs.config import EnvConfig
from gan_env.losses.losses import Loss
from gan_env.types import Measurement

from ..rules.gap_aware import GapAware, ideal_gap_unit
from .loss_logs import LEAST, LossLog
from .quality import quality_symptoms, scores_at_the_end
from .reading import DLoss, Reading, reading_of
from .symptoms import GRAVE, Sure, Symptom, balance, constant, critic, diverged, swings

GAP_AWARE_ROWS = 2_000
"""Last rows of a log that gap-aware is replayed on; it forgets what is a hundred rows away."""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, most severe first."""

    log: LossLog
    loss: Loss
    reading: Reading
    """Interpretation of D's logged loss."""
    symptoms: tuple[Symptom, ...]
    gap_aware: dict[str, float] | None
    """Multipliers that gap-aware would have put on D's rate in the last `GAP_AWARE_ROWS` rows: "last" and "mean"; None
    where it is not defined."""
    hints: tuple[str, ...] = ()
    """Remarks on how the log was read."""

    @property
    def controller(self) -> str | None:
        """The first controller that addresses a certain symptom."""
        return next((s.controllers[0] for s in self.symptoms if s.controllers and s.sure != "not sure"), None)


def diagnose(log: LossLog, loss: Loss, d_loss: DLoss | None = None) -> Diagnosis:
    """Diagnoses a log.

    Args:
        log: The losses.
        loss: The GAN loss.
        d_loss: Whether D's is the sum of its real and fake halves, as in PyTorch's tutorial, or their mean; None takes
            what the log's columns show, else the sum, and lowers the certainty of what hangs on it.

    Raises:
        ValueError: If the losses cannot be those of `loss`, for they are negative.
    """
    _check_signs(log, loss)
    bad = ~(np.isfinite(log.d) & np.isfinite(log.g))
    bad |= (np.abs(log.d) > EnvConfig.loss_bound) | (np.abs(log.g) > EnvConfig.loss_bound)
    end = int(bad.argmax()) if bad.any() else len(log.d)
    symptoms = [diverged(log, end)] if end < len(log.d) else []
    symptoms += quality_symptoms(log.quality)
    if end < LEAST:
        return Diagnosis(log, loss, Reading(d_loss or "sum", "not sure", ()), tuple(symptoms), None, log.notes)
    update, g = log.update[:end], log.g[:end]
    reading = reading_of(log, log.d[:end], g, loss, d_loss)
    d, read = reading.scale * log.d[:end], reading.sure
    unit = ideal_gap_unit(loss.ideal_d_loss)
    rule = critic if loss.ideal_d_loss < 1e-9 else balance
    symptoms += [found for found in (constant(d, g, loss, read), swings(update, d, g, unit)) if found]
    if not any(s.name == "constant" for s in symptoms):
        found = rule(update, d, g, loss, read)
        symptoms.append(replace(found, evidence=found.evidence | scores_at_the_end(log.quality)))
    symptoms.sort(key=lambda s: (GRAVE.get(s.name, 3), get_args(Sure).index(s.sure)))
    slower = _as_gap_aware(d, loss) if rule is balance and read != "not sure" else None
    return Diagnosis(log, loss, reading, tuple(symptoms), slower, (*log.notes, *reading.hints))


def lines(controller: str, loss: Loss, d_loss: DLoss = "sum") -> list[str]:
    """Returns the lines to add to a training loop: an import, a line before the loop, two in each iteration.

    D's loss is handed over, too, unless it would hold a penalty, so that `Steer` can tell scores of the wrong kind.
    """
    scores = ["# scores of D before its sigmoid; after one: .logit(1e-6)"] if loss.probability else []
    given = "" if loss.penalty else f", d_loss={'d_loss' if d_loss == 'sum' else '2 * d_loss'}"
    acts = "" if controller == "gap-aware" else "  # then step D if d.update_d, G if d.update_g"
    return [
        "from agents import Steer",
        f'steer = Steer("{controller}", opt_g, opt_d, loss="{loss.name}")  # before the loop',
        "# in each iteration, before a player steps",
        *scores,
        f"d = steer(real_logits, fake_logits{given}){acts}",
        "steer.done()  # at its end",
    ]


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
    """Computes the multipliers that gap-aware would have put on D's rate, given this log."""
    rule, ones = GapAware(), torch.zeros(1, 1)
    memory = rule.start([0], loss.game_facts())
    found = []
    for value in d[-GAP_AWARE_ROWS:]:
        half = torch.tensor([value / 2], dtype=torch.float64)
        seen = Measurement(
            real_logits=ones, fake_logits=ones, g_loss=half, d_loss_real=half, d_loss_fake=half,
            update=torch.zeros(1, dtype=torch.int64), progress=torch.zeros(1, dtype=torch.float64),
        )  # fmt: skip
        control, memory = rule.decide(seen, memory)
        found.append(float(control.d_multiplier))
    return {"last": found[-1], "mean": float(np.exp(np.mean(np.log(found))))}
