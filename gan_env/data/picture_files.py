"""Reads pictures from files: any format, depth and size, as bytes of one size."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gan_env.io.files import expanded

if TYPE_CHECKING:
    from PIL.Image import Image

LIMIT = 20_000
"""Most pictures read from a set: as many as a GAN of this size sees in an hour, and as fit easily into memory."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
OTHER_FILES = 200_000
"""Most folders and files other than pictures that a search passes."""
DARK = 32
"""A warning is given if no picture of a set has a pixel as bright as this, of 255."""
NAMED = 20
"""Most broken files that one message names."""
T = TypeVar("T")


@dataclass(frozen=True)
class Pictures:
    """Pictures in the order in which they are split, held-out ones last."""

    pixels: np.ndarray
    """(count, colours, height, width), uint8."""
    labels: np.ndarray | None = None
    """(count,), int64; None if there are none."""
    ordered: bool = False
    """Whether the last pictures are the official test split; otherwise pictures are shuffled before they are split."""


@dataclass(frozen=True)
class Format:
    """Size and colours to which every picture of a set is converted."""

    height: int
    width: int
    grey: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(colours, height, width)."""
        return (1 if self.grey else 3, self.height, self.width)

    @classmethod
    def square(cls, side: int) -> Format:
        """Colour pictures of side x side."""
        return cls(side, side)


@dataclass(frozen=True)
class Folder:
    """A folder of pictures and how to read it: `PATH@64`, `PATH@64x48,grey,skip-broken`."""

    where: str
    """The path as the user wrote it."""
    width: int | None = None
    """None, as the height, if the text leaves it open."""
    height: int | None = None
    grey: bool = False
    skip_broken: bool = False

    @property
    def path(self) -> Path:
        """The folder itself."""
        return expanded(self.where)

    def __str__(self) -> str:
        """Formats the text that `parse` reads."""
        sides = "" if self.width is None else str(self.width)
        sides += f"x{self.height}" if self.height != self.width else ""
        options = ",".join(part for part in (sides, "grey" * self.grey, "skip-broken" * self.skip_broken) if part)
        return f"{self.where}@{options}" if options else self.where

    @classmethod
    def parse(cls, text: str) -> Folder:
        """Parses a path with the options after its last @: a side or WIDTHxHEIGHT, grey, skip-broken, joined by commas.

        Raises:
            ValueError: If an option is unknown; the message names it.
        """
        where, at, tail = text.rpartition("@")
        if not at or not where or "/" in tail or expanded(text).is_dir():
            return cls(text)
        found: dict[str, int | bool] = {}
        for option in tail.lower().split(","):
            sides = option.split("x")
            if len(sides) <= 2 and all(side.isdecimal() and 0 < int(side) <= 4096 for side in sides):
                found |= {"width": int(sides[0]), "height": int(sides[-1])}
            elif option in ("grey", "gray"):
                found["grey"] = True
            elif option == "skip-broken":
                found["skip_broken"] = True
            else:
                raise ValueError(
                    f"folder {text}: {option!r} behind the @ is unknown; use a side (64), WIDTHxHEIGHT (64x48), "
                    "grey or skip-broken, with commas between"
                )
        return cls(where, **found)  # type: ignore[arg-type]

    def require_folder(self) -> None:
        """Raises ValueError if there is no such folder."""
        if self.path.is_file():
            raise ValueError(
                f"{self.path} is a file; name a folder of pictures, or read it first, e.g. data=numpy.load(path, "
                "mmap_mode='r')"
            )
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is no folder; write folder:PATH@64 with the folder that holds the pictures")

    def read(self, size: Format, *, least: int, own: bool = False) -> Pictures:
        """Reads every picture below the folder in the order of the paths, `LIMIT` at most; folder names are the labels.

        Args:
            size: Format to which each is converted.
            least: Fewest pictures that are needed.
            own: Whether the message about a broken file refers to `data=` instead of a task's name.

        Raises:
            ValueError: If the folder is missing, holds fewer than `least` pictures or too many other files, or naming
                the files that cannot be read as pictures.
        """
        self.require_folder()
        found = picture_files(self.path, skip_unreadable=self.skip_broken)
        files = list(_shown(found, f"looking for pictures below {self.path}"))
        kept, pixels, broken = [], [], []
        for file in _shown(files, f"reading {self.path.name}", len(files)):
            try:
                pixels.append(read_picture(file, size))
                kept.append(file)
            except ValueError as error:
                broken.append((file, error.__cause__ or error))
        if broken and not self.skip_broken:
            names = ", ".join(
                f"{file.relative_to(self.path)} ({_one_line(why).replace(repr(str(file)), '').strip()})"
                for file, why in broken[:NAMED]
            )
            more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
            option = str(replace(self, skip_broken=True))
            option = f'data="{option}"' if own else f"folder:{option}"
            raise ValueError(
                f"{len(broken)} of {len(files)} files in {self.path} cannot be read as pictures: {names}{more}; "
                f"mend them or take them away, or leave them out: {option}"
            )
        if len(pixels) < least:
            left_out = f", {len(broken)} broken ones left out" if broken else ""
            raise ValueError(
                f"{self.path} holds {len(pixels)} pictures ({', '.join(SUFFIXES[:4])}, ...{left_out}); at least "
                f"{least} are needed"
            )
        stacked = np.stack(pixels)
        if stacked.max() < DARK:
            warnings.warn(
                f"the pictures of {self.path} are nearly black, {stacked.max()} of 255 at most: if they hold 12 bits "
                "in files of 16, stretch them to 16 bits",
                stacklevel=2,
            )
        folders = [str(file.parent) for file in kept]
        classes = {name: index for index, name in enumerate(sorted(set(folders)))}
        labels = np.array([classes[name] for name in folders], np.int64) if len(classes) > 1 else None
        return Pictures(stacked, labels)


def picture_files(root: Path, *, skip_unreadable: bool = False) -> Iterator[Path]:
    """Yields the picture files below a folder in the order of their paths, `LIMIT` at most.

    Skips hidden files and folders, files that macOS adds (`._x.png`, `__MACOSX`), and links to folders.

    Raises:
        ValueError: If a folder cannot be listed, or more than `OTHER_FILES` other files and folders lie there.
    """
    waiting, found, others = [root], 0, 0
    while waiting:
        path = waiting.pop()
        if path is not root and not path.is_dir():
            yield path
            found += 1
            if found == LIMIT:
                return
            continue
        try:
            with os.scandir(path) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            if skip_unreadable:
                continue
            raise ValueError(f"folder {path} cannot be read ({error.strerror}); name another") from error
        below = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_dir(follow_symlinks=False) or (_is_picture(entry.name) and entry.is_file()):
                below.append(Path(entry.path))
            if not _is_picture(entry.name):
                others += 1
        if others > OTHER_FILES:
            raise ValueError(
                f"{root} holds more than {OTHER_FILES:,} files and folders besides {found} pictures; name the folder "
                "that holds the pictures"
            )
        waiting.extend(reversed(below))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def read_picture(file: Path, size: Format) -> np.ndarray:
    """Reads one file as (colours, height, width), uint8; raises ValueError where it cannot be read as a picture."""
    from PIL import Image

    try:
        with Image.open(file) as picture:
            return fitted(picture, size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} cannot be read as a picture ({_one_line(error)}); mend it or take it away") from error


def fitted(picture: Image, size: Format) -> np.ndarray:
    """Converts a picture to (colours, height, width): crops the largest central part of that aspect, averages it down.

    The camera's rotation is applied; transparent parts become white.
    """
    from PIL import Image

    rgb = _on_white(eight_bit(picture))
    scale = min(rgb.width / size.width, rgb.height / size.height)
    width, height = round(size.width * scale), round(size.height * scale)
    left, top = (rgb.width - width) // 2, (rgb.height - height) // 2
    how = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BICUBIC
    resized = rgb.resize((size.width, size.height), how, box=(left, top, left + width, top + height))
    if size.grey:
        return np.asarray(resized.convert("L"))[None]
    return np.asarray(resized).transpose(2, 0, 1)


def whole(picture: Image) -> np.ndarray:
    """Converts a picture to (1 or 3, height, width), uint8, of its own size; grey ones have one channel.

    Raises:
        ValueError: As `eight_bit`.
    """
    picture = eight_bit(picture)
    if picture.mode in ("1", "L", "LA"):
        return np.asarray(_on_white(picture).convert("L"))[None]
    return np.asarray(_on_white(picture)).transpose(2, 0, 1)


def _on_white(picture: Image) -> Image:
    from PIL import Image

    rgba = (picture.convert("RGB") if picture.mode == "CMYK" else picture).convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    white.alpha_composite(rgba)
    return white.convert("RGB")


def eight_bit(picture: Image) -> Image:
    """Applies the camera's rotation, and scales pictures of 16 bits or of floats from 0 to 1 to bytes.

    Raises:
        ValueError: For values of an unknown scale: floats outside 0 to 1, or 32-bit integers of more than 16 bits.
    """
    from PIL import Image, ImageOps

    depth, encoding = picture.mode, picture.format
    picture = ImageOps.exif_transpose(picture)
    if not (depth.startswith("I") or depth == "F"):
        return picture
    values = np.asarray(picture, np.float64)
    least, greatest = float(values.min()), float(values.max())
    if depth == "F":
        top, fits, what = 1.0, 0 <= least <= greatest <= 1, "32-bit floats; these are read from 0 to 1"
    else:
        # PIL hands 16-bit PNGs and PGMs out as 32-bit integers in some versions.
        short = depth.startswith("I;16") or (encoding in ("PNG", "PPM") and 0 <= least <= greatest <= 65_535)
        top, fits, what = 65_535.0, short, "32-bit integers of unknown scale"
    if not fits:
        raise ValueError(f"it holds values from {least:g} to {greatest:g} as {what}: save it with 8 or 16 bits")
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))


def _one_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _shown(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Yields the items and shows a progress line on terminals, once it takes longer than a second."""
    from tqdm import tqdm

    return tqdm(items, desc=what, total=total, unit=" files", disable=None, delay=1, leave=False)
