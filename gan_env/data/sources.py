"""Reads the known sets of pictures: slices that ship with the package, system packages, torchvision.

Everything is read as uint8, (count, colours, side, side); nothing is downloaded unless `fetch` is called.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_env.data.picture_files import LIMIT, Format, Pictures, fitted, read_picture

SHIPPED = Path(__file__).parent / "assets"


def data_root() -> Path:
    """Returns the folder of torchvision's data sets: the environment variable GAN_ENV_DATA, or a folder in the home."""
    return Path(os.environ.get("GAN_ENV_DATA") or Path.home() / ".cache" / "gan_env" / "data")


def shipped(name: str) -> dict[str, np.ndarray]:
    """Loads the arrays of a slice that ships with the package.

    Raises:
        ValueError: If the package was installed without it.
    """
    file = SHIPPED / f"{name}.npz"
    if not file.is_file():
        raise ValueError(f"{file} is missing; install gan-env again, or rebuild it: gan_env/data/assets/README.md")
    with np.load(file) as arrays:
        return dict(arrays)


def npz(**arrays: np.ndarray) -> bytes:
    """Packs arrays as the bytes of a compressed .npz file."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # pyright: ignore[reportArgumentType]  (of its own flags)
    return content.getvalue()


# -- one reader for each set --------------------------------------------------------------------------------------


def fashion(path: Path | None, side: int) -> Pictures:
    """Reads Fashion-MNIST: the shipped 7,000, or the four idx files of all 70,000 in a folder."""
    if path is None:
        arrays = shipped("fashion")
        return Pictures(arrays["pixels"][:, None], arrays["labels"].astype(np.int64), ordered=True)
    pixels = [_idx(path, f"{part}-images-idx3-ubyte") for part in ("train", "t10k")]
    labels = [_idx(path, f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")]
    return Pictures(np.concatenate(pixels)[:, None], np.concatenate(labels).astype(np.int64), ordered=True)


def _idx(path: Path, name: str) -> np.ndarray:
    """Reads an array in the idx format, plain or gzipped."""
    for file, opener in ((path / f"{name}.gz", gzip.open), (path / name, open)):
        if file.is_file():
            try:
                with opener(file, "rb") as stream:
                    raw = stream.read()
                shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
                return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
            except (OSError, EOFError, ValueError, IndexError) as error:
                raise ValueError(f"{file} is damaged ({error}); fetch it again") from error
    raise ValueError(f"{path} lacks {name}.gz; it must be the folder of Fashion-MNIST's four idx files")


def mnist(path: Path | None, side: int) -> Pictures:
    """Reads MNIST: the shipped 5,000, or torchvision's 70,000 below a folder."""
    if path is None:
        arrays = shipped("mnist")
        return Pictures(arrays["pixels"][:, None], arrays["labels"].astype(np.int64))
    sets = [_torchvision("MNIST", path, train=train) for train in (True, False)]
    pixels = np.concatenate([np.asarray(each.data) for each in sets])[:, None]
    return Pictures(pixels, np.concatenate([np.asarray(each.targets) for each in sets]).astype(np.int64), ordered=True)


def cifar10(path: Path | None, side: int) -> Pictures:
    """Reads CIFAR-10's 60,000 through torchvision."""
    sets = [_torchvision("CIFAR10", path, train=train) for train in (True, False)]
    pixels = np.concatenate([each.data for each in sets]).transpose(0, 3, 1, 2)
    return Pictures(pixels, np.concatenate([each.targets for each in sets]).astype(np.int64), ordered=True)


def celeba(path: Path | None, side: int) -> Pictures:
    """Reads the central squares of the first `LIMIT` faces of CelebA through torchvision."""
    faces = _torchvision("CelebA", path, split="train")
    base = Path(faces.root) / faces.base_folder / "img_align_celeba"
    files = [base / name for name in faces.filename[:LIMIT]]
    from tqdm import tqdm

    shown = tqdm(files, desc="reading CelebA", disable=None)  # None: shown on terminals only
    return Pictures(np.stack([read_picture(file, Format.square(side)) for file in shown]))


def fetch_torchvision(name: str) -> None:
    """Downloads a torchvision data set to `data_root()`; raises OSError if the download fails."""
    from gan_env.data.torchvision_guard import torchvision

    data_root().mkdir(parents=True, exist_ok=True)
    try:
        getattr(torchvision().datasets, name)(str(data_root()), download=True)
    except (RuntimeError, ImportError) as error:  # ImportError: CelebA needs gdown
        raise OSError(f"{name} could not be downloaded to {data_root()}: {str(error).splitlines()[0]}") from error


def _torchvision(name: str, path: Path | None, **which: object) -> Any:
    from gan_env.data.torchvision_guard import torchvision

    root = path or data_root()
    try:
        return getattr(torchvision().datasets, name)(str(root), download=False, **which)
    except RuntimeError as error:
        task = name.lower()
        raise ValueError(
            f"{name} is not below {root}, or not whole. Where there is a network: gan-env data {task} --fetch. Or name "
            f"the folder that holds torchvision's copy: {task}:PATH, or the variable GAN_ENV_DATA"
        ) from error


FONTS = (
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",
)


def emoji(path: Path | None, side: int) -> Pictures:
    """Reads Noto's colour emoji: the shipped 64-pixel slice, or all pictures of the font file.

    Raises:
        ValueError: If more than 64 pixels are requested and there is no font file.
    """
    if path is None and side <= 64:
        pixels = atlas()
        cell = 64 // side
        blocks = pixels.reshape(len(pixels), 3, side, cell, side, cell)
        return Pictures(blocks.mean((3, 5)).round().astype(np.uint8) if cell > 1 else pixels)
    font = path or next((Path(file) for file in FONTS if Path(file).is_file()), None)
    if font is None:
        raise ValueError(
            f"emoji{side} is read from NotoColorEmoji.ttf, which is in none of {', '.join(FONTS)}; install it (Debian: "
            f"apt-get install fonts-noto-color-emoji), or name the file: emoji{side}:PATH"
        )
    return Pictures(distinct(font_pictures(font, side)))


def atlas() -> np.ndarray:
    """Reads the shipped emoji, (count, 3, 64, 64), from the tiles of one lossless picture, line by line."""
    from PIL import Image

    with Image.open(SHIPPED / "emoji64.webp") as sheet:
        pixels, count = np.asarray(sheet.convert("RGB")), int((SHIPPED / "emoji64.count").read_text())
    lines, columns = pixels.shape[0] // 64, pixels.shape[1] // 64
    tiles = pixels.reshape(lines, 64, columns, 64, 3).transpose(0, 2, 4, 1, 3)
    return tiles.reshape(-1, 3, 64, 64)[:count]


def font_pictures(font: Path, side: int) -> np.ndarray:
    """Reads every bitmap of a colour font (CBDT table), (count, 3, side, side), in the order of the font.

    Raises:
        ValueError: If the file is no such font, or fontTools is missing.
    """
    try:
        from fontTools.ttLib import TTFont, TTLibError
    except ImportError as error:
        raise ValueError("reading a font needs fontTools; pip install fonttools") from error
    from PIL import Image

    try:
        bitmaps = TTFont(font)["CBDT"].strikeData[0]  # type: ignore[index]
    except (TTLibError, KeyError, OSError) as error:
        raise ValueError(f"{font} is no font with colour bitmaps ({error}); NotoColorEmoji.ttf is one") from error
    found = []
    for glyph in bitmaps.values():
        with Image.open(io.BytesIO(glyph.imageData)) as bitmap:
            edge = max(bitmap.size)  # 136 x 128: nothing may be cut off
            square = Image.new("RGBA", (edge, edge), (255, 255, 255, 255))
            square.alpha_composite(bitmap.convert("RGBA"), ((edge - bitmap.width) // 2, (edge - bitmap.height) // 2))
            found.append(fitted(square, Format.square(side)))
    return np.stack(found)


def distinct(pixels: np.ndarray, *, alike: float = 0.97) -> np.ndarray:
    """Drops near duplicates (skin tones, left and right), so that held-out pictures do not occur in training.

    A picture is dropped if its 16 x 16 grey version correlates by `alike` or more with an earlier one that is kept.
    """
    side = pixels.shape[-1]
    grey = pixels.mean(1, dtype=np.float32).reshape(-1, 16, side // 16, 16, side // 16).mean((2, 4))
    grey = grey.reshape(len(pixels), -1)
    grey -= grey.mean(1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True) + 1e-6
    likeness = grey @ grey.T
    kept: list[int] = []
    for i in range(len(pixels)):
        if not kept or likeness[i, kept].max() < alike:
            kept.append(i)
    return pixels[kept]


# -- the list, and what a person asks of it -----------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A set of pictures, and how to get it if it is missing."""

    read: Callable[[Path | None, int], Pictures]
    """Reads it at a resolution, from a path or (None) from its default place."""
    about: str
    """What ships, and where the rest is expected."""
    torchvision: str = ""
    """Name of torchvision's class, if `fetch` can download it."""


SOURCES: dict[str, Source] = {
    "fashion": Source(
        fashion,
        "Fashion-MNIST: 7,000 of the 70,000 pictures ship with gan-env. All of them: Debian package "
        "dataset-fashion-mnist, then fashion:/usr/share/datasets/fashion-mnist",
    ),
    "mnist": Source(mnist, "MNIST: 5,000 of the 70,000 digits ship with gan-env. All of them: mnist:PATH", "MNIST"),
    "cifar10": Source(cifar10, "CIFAR-10: nothing ships; read through torchvision", "CIFAR10"),
    "celeba": Source(celeba, f"CelebA: nothing ships; the first {LIMIT:,} faces, through torchvision", "CelebA"),
    "emoji": Source(
        emoji,
        "Noto colour emoji without near doubles: a slice of 64 x 64 pixels ships with gan-env. emoji128, and all at "
        "64: Debian package fonts-noto-color-emoji and fontTools, then emoji64:FONTFILE",
    ),
}
