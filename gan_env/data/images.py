"""Pictures as data of a game: read from their source, split once, kept as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gan_env.data.datasets import SPLIT_SEED, ArrayData
from gan_env.data.picture_files import LIMIT, Folder, Format, Pictures
from gan_env.data.sources import SOURCES

FEWEST = 20
"""Pictures that a folder holds at least."""


@dataclass(frozen=True, kw_only=True)
class PictureSplit:
    """Some of a set's pictures, with their classes where they have any."""

    pixels: UInt8[Tensor, "M C H W"]
    labels: Int64[Tensor, " M"] | None


def held_out(count: int) -> int:
    """Pictures in the validation split, and as many in the test split: a seventh, 1,000 at most."""
    return min(1_000, count // 7)


def split(pictures: Pictures) -> dict[str, PictureSplit]:
    """The splits "train", "validation" and "test"; a set without a test split of its makers is shuffled first.

    Held-out pictures are the last ones, taken in turns; training pictures the first, `LIMIT` at most.
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
    """The splits of a set in `SOURCES`, or of "folder"; read once.

    Args:
        name: Of the set.
        where: A folder or file; None for the place where the set is looked for. A folder's may end in options, see
            `picture_files.Folder`.
        side: Pixels along an edge, where the options name no size.
    """
    if name == "folder":
        asked = Folder.parse(where or "")
        size = Format(asked.height or side, asked.width or side, asked.grey)
        return split(Pictures(asked.read(size, least=FEWEST).pixels))
    return split(SOURCES[name].read(None if where is None else Path(where).expanduser(), side))


@cache
def picture_data(name: str, where: str | None, side: int) -> ArrayData:
    """The same as data of a game."""
    parts = picture_splits(name, where, side)
    return ArrayData(
        parts["train"].pixels, parts["validation"].pixels, parts["test"].pixels, test_labels=parts["test"].labels
    )
