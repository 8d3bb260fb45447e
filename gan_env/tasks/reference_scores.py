"""Two reference scores: that of a Gaussian fitted to the training data, and the floor.

A GAN that does not beat the Gaussian has learned no more than a mean and a covariance.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from gan_env.data.datasets import FLOOR_SEED, ArrayData
from gan_env.tasks.task import Score, Task

COMPONENTS = 100
"""Number of principal components in which the Gaussian is fitted."""
FITTED = 5_000
"""Most training samples that it is fitted to."""

_known: WeakKeyDictionary[Score, dict[str, float]] = WeakKeyDictionary()


def gaussian_samples(train: Tensor, count: int, *, components: int = COMPONENTS) -> Tensor:
    """Draws from a Gaussian fitted to samples in the space of their principal components, clipped to [-1, 1].

    Args:
        train: Samples (M, *shape) in [-1, 1].
        count: Draws; the same at every call.
        components: Principal components, at most.

    Returns:
        (count, *shape), float32.
    """
    flat = train[:FITTED].flatten(1).double()
    mean = flat.mean(0)
    centred = flat - mean
    # The smaller of the two Gram matrices has the same spectrum.
    if flat.shape[0] < flat.shape[1]:
        values, vectors = torch.linalg.eigh(centred @ centred.T / (len(flat) - 1))
    else:
        values, vectors = torch.linalg.eigh(centred.T @ centred / (len(flat) - 1))
    kept = min(components, len(flat) - 1, flat.shape[1])
    values, vectors = values[-kept:].clamp(min=0), vectors[:, -kept:]
    if flat.shape[0] < flat.shape[1]:
        vectors = centred.T @ vectors
        vectors = vectors / vectors.norm(dim=0).clamp(min=1e-12)
    normals = torch.from_numpy(np.random.default_rng(FLOOR_SEED).standard_normal((count, kept)))
    drawn = mean + (normals * values.sqrt()) @ vectors.T
    return drawn.clamp(-1, 1).float().unflatten(1, train.shape[1:])


def marks(task: Task) -> dict[str, float]:
    """Returns the reference scores "gaussian" and "floor", in the units of the task's score; cached per task object.

    The floor is the score of real samples of the validation split. Tasks with endless data have a floor only.

    Examples:
        >>> from gan_env import make_task
        >>> sorted(marks(make_task("ring")))
        ['floor']
    """
    if task.score not in _known:
        found = {"floor": task.score.floor()}
        if isinstance(task.data, ArrayData):
            found["gaussian"] = task.score(gaussian_samples(task.data.train(), task.score.samples))
        _known[task.score] = found
    return _known[task.score]
