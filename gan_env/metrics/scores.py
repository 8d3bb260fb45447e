"""Judges generated samples: a cheap quality on validation data, an exact score on test data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gan_env.data.datasets import ArrayData, GaussianMixture, PlaneData
from gan_env.metrics import distances


def _worst_where_undefined(
    distance: Float64[Tensor, " N"], fake: Float[Tensor, "N ..."], worst: float
) -> Float64[Tensor, " N"]:
    # The samples are asked too: a ReLU turns -inf into 0, so that features can be finite where pixels are not.
    defined = torch.isfinite(fake).flatten(1).all(dim=1) & torch.isfinite(distance)
    return torch.where(defined, distance, worst)


def _require_count(got: int, samples: int) -> None:
    if got != samples:
        raise ValueError(f"{samples} generated samples are needed, got {got}")


class PlaneQuality:
    """Sliced W1 to the validation points over 16 directions, all rows at once, in data units."""

    name = "sliced_w1"

    def __init__(self, data: PlaneData, worst: float, *, directions: int = 16):
        self.data, self.worst, self.directions = data, worst, directions
        self.samples = data.validation_size

    @cached_property
    def _real(self) -> Float[Tensor, "K M"]:
        return distances.sorted_projections(self.data.validation(), self.directions)

    def __call__(self, fake: Float[Tensor, "N M 2"]) -> Float64[Tensor, " N"]:
        """Computes distances; `worst` for a row with a non-finite sample. Raises ValueError if the count is wrong."""
        _require_count(fake.shape[1], self.samples)
        return _worst_where_undefined(distances.sliced_wasserstein1(self._real, fake), fake, self.worst)


class PlaneScore:
    """Exact W1 to the test points, in data units."""

    name = "w1"
    floor_draws = 8
    """Fresh draws over which the floor is averaged; a single one varies by a fifth."""

    def __init__(self, data: PlaneData):
        self.data = data
        self.samples = data.test_size
        self._floor: float | None = None

    def __call__(self, fake: Float[Tensor, "M 2"]) -> float:
        """Computes the W1 of `samples` generated points; raises ValueError for NaN, infinity or a wrong count."""
        _require_count(len(fake), self.samples)
        return distances.wasserstein1(self.data.test(), fake)

    def floor(self) -> float:
        """Returns the mean W1 of independent real draws: what a perfect generator would get."""
        if self._floor is None:
            fresh = self.data.fresh(self.floor_draws, self.samples)
            self._floor = sum(self(draw) for draw in fresh) / self.floor_draws
        return self._floor

    def details(self, fake: Float[Tensor, "M 2"]) -> dict[str, float]:
        """Returns `modes_hit` and `share_good` if there are modes, else nothing; see `distances.mode_coverage`."""
        mixture = self.data.distribution
        if not isinstance(mixture, GaussianMixture):
            return {}
        centres = torch.from_numpy(mixture.centres).to(fake.device)
        modes_hit, share_good = distances.mode_coverage(fake, centres, mixture.std)
        return {"modes_hit": float(modes_hit), "share_good": share_good}


@runtime_checkable
class Classifier(Protocol):
    """A trained, frozen network that judges images."""

    name: str
    """Name of the data that it was trained on."""
    classes: int

    def features(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Returns the activations of the last hidden layer."""
        ...

    def labels(self, images: Float[Tensor, "B C H W"]) -> Tensor:
        """Returns the likeliest class of each image, int64, (B,)."""
        ...


Loader = Callable[[torch.device], Classifier]
"""Loads the classifier to a device on first use, and returns the same one afterwards."""


class FrechetQuality:
    """Frechet distance of a classifier's features to the validation images, all rows at once, in squared features.

    `worst` may be a function that measures it; it is called on first use.
    """

    name = "frechet"

    def __init__(self, data: ArrayData, classifier: Loader, worst: float | Callable[[], float], *, samples: int):
        self.data, self.classifier, self._worst, self.samples = data, classifier, worst, samples

    @cached_property
    def worst(self) -> float:
        """See Quality."""
        return self._worst() if callable(self._worst) else self._worst

    def distance(self, fake: Float[Tensor, "N M C H W"]) -> Float64[Tensor, " N"]:
        """Computes distances, NaN where they are undefined."""
        features = self.classifier(fake.device).features(fake.flatten(0, 1)).unflatten(0, fake.shape[:2])
        mean, cov = (real.to(fake.device) for real in self._real)
        return distances.frechet_distance(mean, cov, *distances.moments(features))

    @cached_property
    def _real(self) -> tuple[Float64[Tensor, " F"], Float64[Tensor, "F F"]]:
        images = self.data.validation()
        return distances.moments(self.classifier(images.device).features(images))

    def __call__(self, fake: Float[Tensor, "N M C H W"]) -> Float64[Tensor, " N"]:
        """Computes distances; `worst` for a row with a non-finite sample. Raises ValueError if the count is wrong."""
        _require_count(fake.shape[1], self.samples)
        return _worst_where_undefined(self.distance(fake), fake, self.worst)


class FrechetScore:
    """Frechet distance of a classifier's features to the test images, in squared features."""

    name = "frechet"

    def __init__(self, data: ArrayData, classifier: Loader):
        self.data, self.classifier = data, classifier
        self.samples = data.test_size

    def __call__(self, fake: Float[Tensor, "M C H W"]) -> float:
        """Computes the distance of `samples` generated images; raises ValueError for a bad value or count."""
        _require_count(len(fake), self.samples)
        distances.require_finite(fake)
        features = self.classifier(fake.device).features
        real_mean, real_cov = distances.moments(features(self.data.test().to(fake.device)))
        return float(distances.frechet_distance(real_mean, real_cov, *distances.moments(features(fake))))

    def floor(self) -> float:
        """Returns the distance of as many validation images: fresh real samples that no player saw."""
        return self(self.data.validation()[: self.samples])

    def details(self, fake: Float[Tensor, "M C H W"]) -> dict[str, float | str]:
        """Returns the network, the sample count, `kid`, and for labelled data `classes_hit` and `class_distance`.

        See `distances.kernel_distance` and `distances.class_coverage`.
        """
        distances.require_finite(fake)
        classifier = self.classifier(fake.device)
        real = classifier.features(self.data.test().to(fake.device))
        found: dict[str, float | str] = {
            "network": classifier.name,
            "samples": float(len(fake)),
            "kid": distances.kernel_distance(real, classifier.features(fake)),
        }
        if self.data.test_labels is not None:
            labels = classifier.labels(fake).cpu()
            hit, distance = distances.class_coverage(labels, self.data.test_labels, classifier.classes)
            found |= {"classes_hit": float(hit), "class_distance": distance}
        return found
