"""Splits a user's data into training, validation and test samples, with labels if the GAN takes them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_env.data.datasets import SPLIT_SEED, ArrayData
from gan_env.data.picture_files import Folder, Format
from gan_env.data.samples import Samples, read_samples, single
from gan_env.tasks.protocols import Data

LEAST_SAMPLES = 20


class OwnData:
    """A user's data before the split; whether labels are used depends on the players.

    Args:
        data: A `Data`, which makes its own splits; the path of a folder of pictures, with options after an @ (see
            `picture_files.Folder`); or anything that `data.samples.read_samples` accepts.

    Raises:
        ValueError: If it is none of these, has fewer than 20 samples, or contains a non-finite number.
    """

    def __init__(self, data: Any):
        self._ready: Data | None = data if isinstance(data, Data) else None
        self._folder: Folder | None = None
        self._samples = Samples(torch.empty(0))
        if isinstance(data, (str, Path)):
            self._folder = Folder.parse(str(data))
            self._folder.require_folder()
        elif self._ready is None:
            self._samples = _checked(read_samples(data))

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one sample; None for a folder, whose pictures are read in the generator's shape."""
        if self._ready is not None:
            return self._ready.shape
        return None if self._folder is not None else tuple(self._samples.values.shape[1:])

    @cached_property
    def labels(self) -> Tensor | None:
        """Labels as examples, (count, ...); for a folder, those of two classes. None if there are none."""
        if self._ready is not None:
            found = getattr(self._ready, "labels", None)
            return None if found is None else found[0]
        return torch.tensor([0, 1]) if self._folder is not None else self._samples.labels

    @property
    def why_no_labels(self) -> str:
        """Why labels cannot be read, if items have other fields beside the sample."""
        return self._samples.why_no_labels

    def split(self, made: tuple[int, ...], *, labelled: bool) -> Data:
        """Returns the three splits, by a fixed shuffle; with labels, each class is split in the same proportions.

        A seventh is held out for validation and a seventh for the test, 1,000 at most.

        Args:
            made: Shape of the generator's samples, in which a folder's pictures are read.
            labelled: Whether the players take labels.

        Raises:
            ValueError: As `Folder.read`.
        """
        if self._ready is not None:
            return self._ready
        samples = self._samples if self._folder is None else self._read(self._folder, made, labelled)
        values, labels = samples.values, samples.labels if labelled else None
        held = min(1_000, max(len(values) // 7, 5))
        order = np.random.default_rng(SPLIT_SEED).permutation(len(values))
        if labels is None:
            values = values[torch.from_numpy(order)]
            return ArrayData(values[2 * held :], values[:held], values[held : 2 * held])
        order = torch.from_numpy(_evenly(order, labels.numpy()))
        test, validation, train = order[:held], order[held : 2 * held], order[2 * held :]
        return ArrayData(
            *(values[part] for part in (train, validation, test)),
            test_labels=labels[test] if labels.dim() == 1 and labels.dtype == torch.int64 else None,
            labels=(labels[train], labels[validation], labels[test]),
        )

    @staticmethod
    def _read(folder: Folder, made: tuple[int, ...], labelled: bool) -> Samples:
        if len(made) != 3 or made[0] not in (1, 3):
            raise ValueError(
                f"generator makes samples of shape {made}; a folder's pictures are (3, height, width), or (1, height, "
                "width) in grey"
            )
        size = Format(folder.height or made[1], folder.width or made[2], folder.grey or made[0] == 1)
        pictures = folder.read(size, least=LEAST_SAMPLES, own=True)
        labels = None if pictures.labels is None else torch.from_numpy(pictures.labels)
        if labelled and labels is None:
            raise ValueError(
                f"the players take labels, but all pictures of {folder.path} lie in one folder; sort them into "
                "a folder a class"
            )
        return Samples(torch.from_numpy(pictures.pixels), labels)


def _checked(samples: Samples) -> Samples:
    """Converts samples to bytes or float32; raises ValueError if no GAN can be trained on them."""
    values = samples.values
    if len(values) < LEAST_SAMPLES or values.dim() < 2 or not values[0].numel():
        hint = "; of single numbers, give data[:, None]" if values.dim() == 1 else ""
        raise ValueError(
            f"data hold {len(values)} samples in a shape of {tuple(values.shape)}; at least {LEAST_SAMPLES} are "
            f"needed, as (count, *shape of one){hint}"
        )
    if values.is_complex():
        raise ValueError("data hold complex numbers; give their real and imaginary parts as two channels")
    if values.dtype != torch.uint8:
        if values.dtype != torch.bfloat16:  # NumPy has none, and nothing is lost
            values = torch.from_numpy(single(values.numpy(), "data"))
        values = values.float()
        gaps = (~torch.isfinite(values)).flatten(1)
        if bad := int(gaps.any(1).sum()):
            named = [repr(name) for name, gap in zip(samples.columns, gaps.any(0).tolist(), strict=False) if gap]
            where = f" in {', '.join(named[:5])}{', ...' if named[5:] else ''}" if named else ""
            raise ValueError(
                f"data: {bad} of {len(values)} samples hold NaN or infinity{where}; leave them out"
                + (" or fill them" if named else "")
            )
    return replace(samples, values=values)


def _evenly(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Reorders shuffled samples so that every contiguous part has about the same class shares."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return order
    _, classes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    rank = np.empty(len(order))
    rank[by_class] = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return order[np.argsort(rank, kind="stable")]


def _one_sided(least: float, greatest: float, low: float, high: float) -> str:
    """Returns a warning if the data go below or above what the generator's last layer can make."""
    if least >= low - 1e-3 and greatest <= high + 1e-3:
        return ""
    side = f"below {low:g}" if least < low - 1e-3 else f"above {high:g}"
    return (
        f"data lie in {least:.4g} to {greatest:.4g}, the generator's samples never {side}: leave its last activation "
        "out, or shift the data"
    )


def range_remark(data: Data, bounds: tuple[float, float] | None) -> str:
    """Returns a warning if the data have values beyond the bounds of the generator's last layer.

    Args:
        data: The three splits.
        bounds: The generator's, (-1, 1) or (0, 1); None if it has none.
    """
    if bounds is None or not isinstance(data, ArrayData):
        return ""
    values = data.train()
    least, greatest = float(values.min()), float(values.max())
    low, high = bounds
    if math.isinf(low) or math.isinf(high) or high == 0:
        return _one_sided(least, greatest, low, high)
    ends, other = ("tanh", "sigmoid") if low < 0 else ("sigmoid", "tanh")
    told = f"data lie in {least:.4g} to {greatest:.4g}, the generator's samples in {low:g} to {high:g} ({ends})"
    if low < 0 <= least and not data.of_bytes:
        if greatest <= 1:
            return f"{told}: give 2 * data - 1, or end in a {other}"
        return f"{told}: give data / {'127.5' if greatest <= 255 else f'{greatest / 2:.4g}'} - 1"
    if low == 0 and -1 <= least < 0 and greatest <= 1:
        return f"{told}: end in a {other}, or give (data + 1) / 2"
    if least < low - 1e-3 or greatest > high + 1e-3:
        return f"{told}: scale the data to these bounds, or leave the last activation out"
    return ""
