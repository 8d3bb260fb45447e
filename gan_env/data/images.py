"""Pictures as data of a task: reads them from their source, splits them once, stores them as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gan_env.data.datasets import SPLIT_SEED, ArrayData
from gan_env.data.picture_files import LIMIT, Folder, Format, Pictures
from gan_env.data.sources import SOURCES
from gan_env.io.files import expanded

FEWEST = 20
"""Fewest pictures that a folder must contain."""


@dataclass(frozen=True, kw_only=True)
class PictureSplit:
    """One split of a set of pictures, with classes if there are any."""

    pixels: UInt8[Tensor, "M C H W"]
    labels: Int64[Tensor, " M"] | None


def held_out(count: int) -> int:
    """Returns the size of the validation split and of the test split: a seventh each, 1,000 at most."""
    return min(1_000, count // 7)


def split(pictures: Pictures) -> dict[str, PictureSplit]:
    """Makes the splits "train", "validation" and "test"; shuffles a set without an official test split first.

    The last pictures are held out, alternately for validation and test; the first, `LIMIT` at most, are for training.
    """
    count = len(pictures.pixels)
    held = held_out(count)
    order = np.arange(count) if pictures.ordered else np.random.default_rng(SPLIT_SEED).permutation(count)
    first, last = order[: count - 2 * held][:LIMIT], order[count - 2 * held :]

    def part(indices: np.ndarray) -> PictureSplit:
        labels = None if pictures.labels is None else torch.from_numpy(pictures.labels[indices])
        return PictureSplit(pixels=torch.from_numpy(np.ascontiguousarray(pictures.pixels[indices])), labels=labels)

    return {"train": part(first), "validation": part(last[::2]), "test": part(last[1::2])}


@cache
def picture_splits(name: str, where: str | None, side: int) -> dict[str, PictureSplit]:
    """Returns the splits of a set in `SOURCES`, or of "folder"; read once.

    Args:
        name: Name of the set.
        where: A folder or file; None for the default place of the set. A folder's path may end in options, see
            `picture_files.Folder`.
        side: Pixels along an edge, unless the options name a size.
    """
    if name == "folder":
        asked = Folder.parse(where or "")
        size = Format(asked.height or side, asked.width or side, asked.grey)
        return split(Pictures(asked.read(size, least=FEWEST).pixels))
    return split(SOURCES[name].read(None if where is None else expanded(where), side))


@cache
def picture_data(name: str, where: str | None, side: int) -> ArrayData:
    """Returns the splits as `ArrayData`; the arguments are those of `picture_splits`."""
    parts = picture_splits(name, where, side)
    return ArrayData(
        parts["train"].pixels, parts["validation"].pixels, parts["test"].pixels, test_labels=parts["test"].labels
    )
