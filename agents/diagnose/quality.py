"""Diagnoses columns of quality: whether samples still improve, and whether they become alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .loss_logs import Quality
from .symptoms import Symptom

FEW = 5
"""Fewest measurements for a course."""
CLEAR = 4.0
"""Standard deviations of the difference of two averages from which it is one."""
NOTABLE = 0.1
"""Share of the best value below which a change is left alone, however clear it is."""


class Course(NamedTuple):
    """Course of a quality measure over training."""

    best: float
    """As logged, averaged over a few neighbouring measurements where there are many."""
    at: float
    """Update of the best."""
    first: float
    last: float
    worse: bool
    """Whether the last is worse than the best by more than noise and by more than a tenth."""
    better: bool
    """Whether the last is better than half-way through, by more than noise and by more than a tenth."""


def course_of(quality: Quality) -> Course | None:
    """Computes the course of a measure with a direction; None if it was measured fewer than `FEW` times."""
    finite = np.isfinite(quality.values)
    update, values = quality.update[finite], quality.values[finite]
    if not quality.measure.better or len(values) < FEW:
        return None
    cost = values if quality.measure.better == "low" else -values
    width = max(1, len(cost) // 5)
    smooth = np.convolve(cost, np.full(width, 1 / width), "valid")
    place = len(smooth) - 1 - int(smooth[::-1].argmin())
    # What is left of a parabola's neighbours is noise: second differences, whose variance is six times that of a value.
    noise = float(np.median(np.abs(np.diff(cost, 2)))) / (0.6745 * np.sqrt(6))
    least = max(CLEAR * noise * np.sqrt(2 / width), NOTABLE * abs(float(smooth[place])))
    sign = 1.0 if quality.measure.better == "low" else -1.0
    return Course(
        best=sign * float(smooth[place]),
        at=float(update[min(place + width // 2, len(update) - 1)]),
        first=sign * float(smooth[0]),
        last=sign * float(smooth[-1]),
        worse=float(smooth[-1] - smooth[place]) > least,
        better=float(smooth[len(smooth) // 2] - smooth[-1]) > least,
    )


def quality_symptoms(qualities: tuple[Quality, ...]) -> list[Symptom]:
    """Returns symptoms of mode collapse, and when to stop, if a column measures them."""
    found = []
    for quality in qualities:
        course = course_of(quality)
        if course is None:
            continue
        evidence = {
            f"{quality.column}, first": course.first, "best": course.best, "best at update": course.at,
            "last": course.last,
        }  # fmt: skip
        if course.worse and quality.measure.of_modes:
            found.append(Symptom(
                "mode collapse", f"Samples have become alike: {quality.measure.name} is worse than it was.", "likely",
                evidence, (), f"Go back to the weights of update {course.at:g}. Then a D that moves more often "
                "(alt-gda-5, constant:3), a penalty on its slope, or the loss bce+diversity; no controller here is "
                "proven against it", "A measure of few samples is noisy; look at the samples",
            ))  # fmt: skip
        elif course.worse:
            found.append(Symptom(
                "past its best", f"Samples get worse: {quality.measure.name} was best at update {course.at:g}.",
                "likely", evidence, (), f"Stop there: keep the weights of update {course.at:g}, and lower the rates if "
                "you train on", "Why they get worse (collapse, divergence, a D that has learned the training set by "
                "heart), this measure does not tell",
            ))  # fmt: skip
        elif course.better and not quality.measure.of_modes:
            found.append(Symptom(
                "still improving", f"Samples still get better, by {quality.measure.name}.", "likely", evidence, (),
                "Train on, whatever the losses look like", "",
            ))  # fmt: skip
    return found


def scores_at_the_end(qualities: tuple[Quality, ...]) -> dict[str, float]:
    """Returns D's accuracies and logits in the last quarter, as evidence beside its loss."""
    return {
        f"{quality.column} in the last quarter": float(np.nanmean(quality.values[len(quality.values) * 3 // 4 :]))
        for quality in qualities
        if not quality.measure.better and np.isfinite(quality.values[len(quality.values) * 3 // 4 :]).any()
    }
