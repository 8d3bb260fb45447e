"""A user's own data and measure of quality brought into the engine's form; for the modules see `from_modules`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gan_env.data.datasets import FLOOR_SEED, SPLIT_SEED, ArrayData

LEAST_SAMPLES = 20
QUALITY_SAMPLES = 400
DIRECTIONS = 64

Distance = Callable[[Tensor, Tensor], float]
"""A measure of quality: `distance(real, fake)` of samples (M, *shape) each; at least 0, lower is better."""


# -- data ---------------------------------------------------------------------------------------------------------


def as_data(data: Any) -> ArrayData:
    """Samples of any kind, split into training, validation and test samples by a fixed shuffle.

    Args:
        data: A tensor or array (count, *shape), a `Dataset` with a length (of samples, or of tuples that begin with
            one), or the path of a folder of pictures, read at 64 x 64. Bytes 0...255 become -1...1; other numbers
            are taken as they are. A seventh is held out for validation and a seventh for the test, 1,000 at most.

    Raises:
        ValueError: If it is none of these, holds fewer than 20 samples (a folder: 100), or a number that is not finite.
    """
    if isinstance(data, (str, Path)):
        from gan_env.data.images import picture_data

        return picture_data("folder", str(data), 64)
    samples = _stacked(data)
    if len(samples) < LEAST_SAMPLES or samples.dim() < 2:
        raise ValueError(
            f"data hold {len(samples)} samples in a shape of {tuple(samples.shape)}; at least {LEAST_SAMPLES} are "
            "needed, as (count, *shape of one)"
        )
    if samples.is_complex():
        raise ValueError("data hold complex numbers; give their real and imaginary parts as two channels")
    if samples.dtype != torch.uint8:
        samples = samples.float()
        bad = int((~torch.isfinite(samples)).flatten(1).any(1).sum())
        if bad:
            raise ValueError(f"data: {bad} of {len(samples)} samples hold NaN or infinity; leave them out")
    held = min(1_000, max(len(samples) // 7, 5))
    samples = samples[torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(samples)))]
    return ArrayData(samples[2 * held :], samples[:held], samples[held : 2 * held])


def _stacked(data: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data.detach().cpu()
    if isinstance(data, np.ndarray):
        if data.dtype.kind not in "biufc":
            raise ValueError(f"data hold values of type {data.dtype}; numbers are needed")
        return torch.from_numpy(np.ascontiguousarray(data))
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise ValueError(
            f"data={type(data).__name__} is not known; give a tensor or array (count, *shape), a Dataset with a length"
            ", a folder of pictures, or an object like gan_env.tasks.task.Data"
        )
    found = []
    for i in range(len(data)):
        item = data[i]
        item = item[0] if isinstance(item, (tuple, list)) else item
        if not isinstance(item, (Tensor, np.ndarray)):
            raise ValueError(
                f"sample {i} of the data set is a {type(item).__name__}, not a tensor; give the data set a transform, "
                "e.g. torchvision.transforms.ToTensor()"
            )
        found.append(torch.as_tensor(item))
        if found[0].shape != found[-1].shape:
            raise ValueError(
                f"sample {i} has shape {tuple(found[-1].shape)}, sample 0 {tuple(found[0].shape)}; they must agree"
            )
    return torch.stack(found) if found else torch.empty(0)


# -- quality ------------------------------------------------------------------------------------------------------


def sliced_distance(real: Float[Tensor, "M ..."], fake: Float[Tensor, "K ..."]) -> float:
    """Mean W1 of the samples' projections on 64 fixed directions, in data units; for sets of any two sizes."""
    x, y = (samples.detach().cpu().flatten(1).double() for samples in (real, fake))
    directions = torch.from_numpy(np.random.default_rng(FLOOR_SEED).standard_normal((x.shape[1], DIRECTIONS)))
    directions = directions / directions.norm(dim=0)
    places = (torch.arange(1_000, dtype=torch.float64) + 0.5) / 1_000
    ours, theirs = (torch.quantile(samples @ directions, places, dim=0) for samples in (x, y))
    return float((ours - theirs).abs().mean())


def judges(data: Any, quality: Any, score: Any, untrained: Callable[[int], Tensor]) -> tuple[Any, Any]:
    """A `Quality` and a `Score` from what the user gave: a distance, either of the two, or None.

    `untrained(count)` are samples of a fresh generator.

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
    return (
        quality if own else CallableQuality(data, distance, untrained),
        CallableScore(data, distance) if score is None else score,
    )


def _spread(samples: Tensor, count: int) -> Tensor:
    """So many of the samples, evenly from first to last: a split may be sorted."""
    return samples[torch.linspace(0, len(samples) - 1, count).round().long()]


def _number(distance: Distance, name: str, real: Tensor, fake: Tensor) -> float:
    """The distance as one number, which may be NaN; raises ValueError if it is none, or below 0."""
    found = distance(real, fake)
    try:
        value = float(found)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"quality {name} gives {str(found)[:40]!r}; one number is needed") from error
    if value < 0:
        raise ValueError(
            f"quality {name} gives {value:g}; a distance is needed, 0 where real and fake agree: of a likeness s of "
            "at most 1, say, 1 - s"
        )
    return value


class CallableQuality:
    """A distance of one row's samples to as many of the validation split, row after row."""

    def __init__(self, data: Any, distance: Distance, untrained: Callable[[int], Tensor]):
        self.data, self.distance, self._untrained = data, distance, untrained
        self.name = getattr(distance, "__name__", type(distance).__name__)
        self.samples = min(QUALITY_SAMPLES, len(data.validation()))

    def _distance(self, fake: Float[Tensor, "M ..."]) -> float:
        return _number(self.distance, self.name, _spread(self.data.validation(), self.samples), fake)

    @cached_property
    def worst(self) -> float:
        """What an untrained generator gets."""
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
        """Distances; `worst` for a row whose distance or samples are not finite."""
        found = torch.full((len(fake),), self.worst, dtype=torch.float64)
        for row, samples in enumerate(fake.detach()):
            if torch.isfinite(samples).all():
                value = self._distance(samples.cpu().float())
                found[row] = value if np.isfinite(value) else self.worst
        return found.to(fake.device)


class CallableScore:
    """The same distance to the test split, for one generator."""

    def __init__(self, data: Any, distance: Distance):
        self.data, self.distance = data, distance
        self.name = getattr(distance, "__name__", type(distance).__name__)
        self.samples = len(data.test())

    def __call__(self, fake: Float[Tensor, "M ..."]) -> float:
        """The distance; raises ValueError if a sample is not finite, or the count is wrong."""
        from gan_env.metrics import distances

        if len(fake) != self.samples:
            raise ValueError(f"{self.samples} generated samples are needed, got {len(fake)}")
        distances.require_finite(fake)
        return _number(self.distance, self.name, self.data.test(), fake.detach().cpu().float())

    def floor(self) -> float:
        """The distance for validation samples; of as many as the smaller of the two splits holds."""
        count = min(self.samples, len(self.data.validation()))
        test, validation = (_spread(split, count) for split in (self.data.test(), self.data.validation()))
        return _number(self.distance, self.name, test, validation)

    def details(self, fake: Tensor) -> dict[str, float]:
        """The count of samples."""
        return {"samples": float(len(fake))}
