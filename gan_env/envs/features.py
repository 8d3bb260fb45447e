"""The registry of features; `observations.py` and `portable.py` register theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_env.registry import Registry


@dataclass(frozen=True)
class Feature:
    """One feature. Its value is clipped to [low, high]; a value that is not finite becomes 0.

    Examples:
        >>> from gan_env import Feature
        >>> gap = Feature("L_G − L_D", lambda moment: moment.g_loss - moment.d_loss, low=-5.0, high=5.0)

        `FEATURES.add("gap", gap)` then lets an environment observe it: `features=("g_loss", "gap")`.
    """

    meaning: str
    """Its formula: f is the discriminator's logit, x real, x̂ generated, E the mean over the batch."""
    compute: Callable[[Any], np.ndarray] | None
    """Computes (N,) from a `Moment`, or from a `PortableMemory` if it is portable. None for the package's own features,
    which are computed together."""
    low: float = -10.0
    high: float = 10.0
    portable: bool = False
    """Whether it is of `PORTABLE_FEATURES` or `GRADIENT_NOISE`; these are computed only where they are observed."""


FEATURES: Registry[Feature] = Registry("feature")
FEATURE_SETS: dict[str, tuple[str, ...]] = {}
"""Features that one name stands for."""


def named_features(features: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the features' names, with those of a set in place of its name.

    >>> named_features(("g_loss", "d_loss"))
    ('g_loss', 'd_loss')

    Args:
        features: Names of features and of `FEATURE_SETS`, or a single set's name.

    Raises:
        ValueError: If one is unknown.
    """
    if isinstance(features, str) and features not in FEATURE_SETS:
        sets = ", ".join(map(repr, FEATURE_SETS))
        raise ValueError(f"features={features!r} must be a sequence of names, e.g. ({features!r},), or a set: {sets}")
    given = (features,) if isinstance(features, str) else features
    names = tuple(one for name in given for one in FEATURE_SETS.get(name, (name,)))
    for name in names:
        FEATURES[name]
    return names
