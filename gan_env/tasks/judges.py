"""Builds a quality and a score from any distance between two sets of samples; class by class for conditional GANs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gan_env.data.datasets import FLOOR_SEED
from gan_env.metrics.distances import require_finite

QUALITY_SAMPLES = 400
DIRECTIONS = 64
CLASSES_NAMED = 50
"""Most classes whose distances are reported one by one."""

Distance = Callable[..., float]
"""A measure of quality: `distance(real, fake)` of samples (M, *shape) each; at least 0, lower is better."""


def sliced_distance(real: Float[Tensor, "M ..."], fake: Float[Tensor, "K ..."]) -> float:
    """Computes the mean W1 of projections on 64 fixed directions, in data units; for sets of any two sizes."""
    x, y = (samples.detach().cpu().flatten(1).double() for samples in (real, fake))
    directions = torch.from_numpy(np.random.default_rng(FLOOR_SEED).standard_normal((x.shape[1], DIRECTIONS)))
    directions = directions / directions.norm(dim=0)
    places = (torch.arange(1_000, dtype=torch.float64) + 0.5) / 1_000
    ours, theirs = (torch.quantile(samples @ directions, places, dim=0) for samples in (x, y))
    return float((ours - theirs).abs().mean())


def spread(samples: Tensor, count: int) -> Tensor:
    """Selects `count` samples, evenly spaced from first to last, because a split may be sorted."""
    return samples[torch.linspace(0, len(samples) - 1, count).round().long()]


def judges(data: Any, quality: Any, score: Any, untrained: Callable[[int], Tensor], *, labelled: bool) -> tuple:
    """Makes a `Quality` and a `Score` from the user's arguments: a distance, either of the two, or None.

    Args:
        data: The three splits.
        quality: A distance `quality(real, fake)`, or, of a conditional GAN, also
            `quality(real, fake, real_labels, fake_labels)`; a `Quality`; or None for a sliced W1.
        score: A `Score`, or None for the same distance.
        untrained: `untrained(count)` gives samples of a fresh generator.
        labelled: Whether the data's labels are given to the players.

    Raises:
        ValueError: If one is none of these.
    """
    own = callable(quality) and hasattr(quality, "samples")  # a Quality; its `worst` may be costly: it is not asked for
    if not (quality is None or callable(quality)):
        raise ValueError(f"quality={quality!r} must be a function quality(real, fake), or an object like a Quality")
    lacks = [name for name in ("__call__", "name", "samples", "floor", "details") if not hasattr(score, name)]
    if score is not None and lacks:
        raise ValueError(
            f"score={score!r} has no {lacks[0]}; give an object like gan_env.tasks.task.Score, or quality= alone"
        )
    distance = sliced_distance if quality is None or own else cast(Distance, quality)
    if not labelled:
        judge = Judge(distance)
    else:
        judge = LabelledJudge(distance) if _arguments(distance) >= 4 else ClassJudge(distance)
    return (
        quality if own else CallableQuality(data, judge, untrained),
        CallableScore(data, judge) if score is None else score,
    )


def _arguments(function: Callable[..., Any]) -> int:
    """Counts positional arguments without a default; returns 2 if the signature is unknown."""
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional and each.default is each.empty for each in taken)


class Judge:
    """A user's distance, whose result is checked: one number, at least 0 or NaN."""

    def __init__(self, distance: Distance):
        self.distance = distance
        self.name = getattr(distance, "__name__", type(distance).__name__)

    def __call__(self, real: Tensor, fake: Tensor, real_labels: Tensor | None, fake_labels: Tensor | None) -> float:
        """Computes the distance of two sets of samples, with labels if there are any."""
        return self.number(real, fake)

    def details(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> dict[str, float]:
        """Returns further measures of the same samples."""
        return {}

    def number(self, *sets: Tensor) -> float:
        """Calls the user's function; raises ValueError if the result is no number, or below 0."""
        found = self.distance(*(each.clone() for each in sets))  # a user's function may work in place
        try:
            value = float(found.detach() if isinstance(found, Tensor) else found)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"quality {self.name} gives {str(found)[:40]!r}; one number is needed") from error
        if value < 0:
            raise ValueError(
                f"quality {self.name} gives {value:g}; a distance is needed, 0 where real and fake agree: of a "
                "likeness s of at most 1, say, 1 - s"
            )
        return value


class LabelledJudge(Judge):
    """A user's distance that reads labels itself: `distance(real, fake, real_labels, fake_labels)`."""

    def __call__(self, real: Tensor, fake: Tensor, real_labels: Tensor | None, fake_labels: Tensor | None) -> float:
        """See `Judge`."""
        assert real_labels is not None and fake_labels is not None
        return self.number(real, fake, real_labels, fake_labels)

    def details(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> dict[str, float]:
        """Returns no further measures, because only the user's function interprets the labels."""
        return {}


class ClassJudge(Judge):
    """The mean over classes, by their shares of the real samples, of the distance within each.

    So a generator that ignores labels differs from one that uses them, even if all samples together look alike. Labels
    that are not classes are ignored: then it is the distance of all samples.
    """

    def __call__(self, real: Tensor, fake: Tensor, real_labels: Tensor | None, fake_labels: Tensor | None) -> float:
        """See `Judge`."""
        within = self.within(real, fake, real_labels, fake_labels)
        if not within:
            return self.number(real, fake)
        total = sum(share for _, share in within.values())
        return sum(distance * share for distance, share in within.values()) / total

    def within(
        self, real: Tensor, fake: Tensor, real_labels: Tensor | None, fake_labels: Tensor | None
    ) -> dict[int, tuple[float, int]]:
        """Returns, for each class in both sets, the distance and the real samples; nothing without classes."""
        if real_labels is None or fake_labels is None or real_labels.dim() > 1 or real_labels.dtype != torch.int64:
            return {}
        found = {}
        for label in sorted(set(real_labels.tolist()) & set(fake_labels.tolist())):
            ours, theirs = real[real_labels == label], fake[fake_labels == label]
            found[label] = self.number(ours, theirs), len(ours)
        return found

    def details(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> dict[str, float]:
        """Returns the distance of all samples regardless of labels, "overall", and within each class, "class 3"."""
        within = list(self.within(real, fake, labels, labels).items())[:CLASSES_NAMED]
        found = {f"class {label}": distance for label, (distance, _) in within}
        return {"overall": self.number(real, fake), **found}


def held_labels(data: Any, part: int) -> Tensor | None:
    """Returns the labels of a split that the players are given: 1 validation, 2 test; None if there are none."""
    labels = getattr(data, "labels", None)
    return None if labels is None else labels[part]


class CallableQuality:
    """The distance of each row's samples to as many of the validation split, row by row.

    Samples of a conditional GAN are made with the labels of those validation samples, in their order.
    """

    def __init__(self, data: Any, judge: Judge, untrained: Callable[[int], Tensor]):
        self.data, self.judge, self._untrained = data, judge, untrained
        self.name = judge.name
        self.samples = min(QUALITY_SAMPLES, len(data.validation()))

    def _distance(self, fake: Float[Tensor, "M ..."]) -> float:
        labels = held_labels(self.data, 1)
        labels = None if labels is None else spread(labels, self.samples)
        return self.judge(spread(self.data.validation(), self.samples), fake, labels, labels)

    @cached_property
    def worst(self) -> float:
        """The distance of an untrained generator."""
        fake = self._untrained(self.samples)
        if not torch.isfinite(fake).all():
            raise ValueError(
                "generator gives NaN or infinity before its first update; mend its forward() or its weights"
            )
        found = self._distance(fake)
        if not np.isfinite(found):
            raise ValueError(
                f"quality {self.name} of an untrained generator is {found}; a finite number is needed, lower is better"
            )
        return max(found, 1e-9)

    def __call__(self, fake: Float[Tensor, "N M ..."]) -> Float64[Tensor, " N"]:
        """Computes distances; `worst` for a row whose distance or samples are not finite."""
        found = torch.full((len(fake),), self.worst, dtype=torch.float64)
        for row, samples in enumerate(fake.detach()):
            if torch.isfinite(samples).all():
                value = self._distance(samples.cpu().float())
                found[row] = value if np.isfinite(value) else self.worst
        return found.to(fake.device)


class CallableScore:
    """The distance of one generator's samples to the test split."""

    def __init__(self, data: Any, judge: Judge):
        self.data, self.judge = data, judge
        self.name = judge.name
        self.samples = len(data.test())

    def _of(self, fake: Tensor) -> Tensor:
        if len(fake) != self.samples:
            raise ValueError(f"{self.samples} generated samples are needed, got {len(fake)}")
        require_finite(fake)
        return fake.detach().cpu().float()

    def __call__(self, fake: Float[Tensor, "M ..."]) -> float:
        """Computes the distance; raises ValueError if a sample is not finite, or the count is wrong."""
        labels = held_labels(self.data, 2)
        return self.judge(self.data.test(), self._of(fake), labels, labels)

    def floor(self) -> float:
        """Returns the distance of validation samples to test samples, as many as the smaller split has."""
        count = min(self.samples, len(self.data.validation()))
        test, validation = (spread(split, count) for split in (self.data.test(), self.data.validation()))
        labels = [held_labels(self.data, part) for part in (2, 1)]
        of_test, of_validation = (None if each is None else spread(each, count) for each in labels)
        return self.judge(test, validation, of_test, of_validation)

    def details(self, fake: Tensor) -> dict[str, float]:
        """Returns the count of samples; for a conditional GAN also the distances of all and of each class."""
        told = self.judge.details(self.data.test(), self._of(fake), held_labels(self.data, 2))
        return {"samples": float(len(fake)), **told}
