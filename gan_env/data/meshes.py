"""3-D shapes as voxel grids: furniture that ships with the package, or any folder of meshes."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from gan_env.data.datasets import SPLIT_SEED, ArrayData
from gan_env.data.sources import data_root, npz, shipped
from gan_env.io.files import expanded, write_whole

SIDE = 32
SUFFIXES = (".obj", ".ply", ".stl")
LEAST = 40
"""Fewest meshes of a task: 30 for training and 5 in each held-out split."""


def surface_points(triangles: np.ndarray, step: float = 0.5) -> np.ndarray:
    """Returns points (P, 3) on triangles (F, 3, 3), at most `step` apart along an edge."""
    edges = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max(1)
    levels = np.maximum(np.ceil(edges / step), 1).astype(int)
    found = []
    for level in np.unique(levels):
        i, j = np.meshgrid(np.arange(level + 1), np.arange(level + 1), indexing="ij")
        inside = i + j <= level
        weights = np.stack([i[inside], j[inside], level - i[inside] - j[inside]], axis=1) / level
        found.append(np.einsum("pk,fkd->fpd", weights, triangles[levels == level]).reshape(-1, 3))
    return np.concatenate(found)


def voxelised(triangles: np.ndarray) -> np.ndarray:
    """Voxelises triangles (F, 3, 3) to (32, 32, 32) bool; their longest side spans the grid, closed shapes are solid.

    Samples points on the triangles; trimesh's own subdivision takes some ten times as long.
    """
    from scipy.ndimage import binary_fill_holes  # on call: importing the package stays light

    low, high = triangles.min((0, 1)), triangles.max((0, 1))
    if not np.isfinite([low, high]).all() or not (high - low).max() > 0:
        raise ValueError("it has no extent")
    middle = (SIDE - 1) / 2
    placed = (triangles - (low + high) / 2) * ((SIDE - 1) / (high - low).max()) + middle
    # The little more keeps a face that lies between two layers of cells in one of them, whatever rounding does.
    cells = np.floor(surface_points(placed) + 0.5 + 1e-6).astype(int).clip(0, SIDE - 1)
    grid = np.zeros((SIDE,) * 3, bool)
    grid[tuple(cells.T)] = True

    return np.asarray(binary_fill_holes(grid))


def read_mesh(stream: str | IO[bytes], kind: str, name: str) -> np.ndarray:
    """Returns the voxels of one mesh file; raises ValueError with its name if it is none, or if trimesh is missing."""
    try:
        import trimesh
    except ImportError as error:
        raise ValueError("reading meshes needs trimesh; pip install 'gan-env[meshes]'") from error
    try:
        mesh: Any = trimesh.load(stream, file_type=kind, force="mesh", process=False, skip_materials=True)
        triangles = np.asarray(mesh.triangles)
        if not len(triangles):
            raise ValueError("it holds no triangles")
        return voxelised(triangles)
    except MemoryError:
        raise
    except Exception as error:  # trimesh raises whatever its parsers stumble over
        raise ValueError(f"{name} cannot be read as a mesh ({error}); mend it or take it away") from error


def sh3f_grids(library: Path) -> Iterator[np.ndarray]:
    """Returns the voxels of every OBJ file in a Sweet Home 3D furniture library."""
    with zipfile.ZipFile(library) as opened:
        for name in sorted(opened.namelist()):
            if name.lower().endswith(".obj"):
                yield read_mesh(io.BytesIO(opened.read(name)), "obj", f"{library.name}:{name}")


def mesh_files(where: str) -> list[Path]:
    """Lists mesh files below a folder, or matches of a pattern (`3DBiCar/data/*/tpose/m.obj`), in order of path.

    Raises:
        ValueError: If there are fewer than `LEAST`.
    """
    from tqdm import tqdm

    path = expanded(where)
    if path.is_dir():
        found = path.rglob("*")
    else:
        steady = next((parent for parent in path.parents if parent.is_dir()), Path())
        found = steady.glob(str(path.relative_to(steady)))
    seen = tqdm(found, desc=f"looking for meshes in {where}", unit=" files", disable=None, delay=2, leave=False)
    files = sorted(file for file in seen if file.suffix.lower() in SUFFIXES and file.is_file())
    if len(files) < LEAST:
        raise ValueError(f"{where} holds {len(files)} meshes ({', '.join(SUFFIXES)}); at least {LEAST} are needed")
    return files


def mesh_grids(where: str) -> np.ndarray:
    """Returns the voxels of a folder's meshes, (count, 32, 32, 32) bool; read once and cached below `data_root()`.

    Raises:
        ValueError: If there are too few meshes, or naming the one that cannot be read.
    """
    from tqdm import tqdm

    files = mesh_files(where)
    state = hashlib.blake2b(digest_size=12)
    for file in files:
        stat = file.stat()
        state.update(f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    kept = data_root() / "voxels" / f"{state.hexdigest()}.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            return unpacked(arrays["bits"])
    grids = np.stack(
        [
            read_mesh(str(file), file.suffix[1:].lower(), str(file))
            for file in tqdm(files, desc="voxelising", disable=None)
        ]
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_whole(kept, npz(bits=np.packbits(grids.reshape(len(grids), -1), axis=1)))
    return grids


def unpacked(bits: np.ndarray) -> np.ndarray:
    """Unpacks bits to (count, 32, 32, 32) bool."""
    return np.unpackbits(bits, axis=1).reshape(-1, SIDE, SIDE, SIDE).astype(bool)


@cache
def shape_data(where: str | None) -> ArrayData:
    """Returns voxel grids (1, 32, 32, 32), -1 empty and 1 full: the shipped furniture, or the meshes of a folder.

    A seventh of the shapes is the validation split, a seventh the test split.
    """
    grids = unpacked(shipped("furniture")["bits"]) if where is None else mesh_grids(where)
    shuffled = grids[np.random.default_rng(SPLIT_SEED).permutation(len(grids))]
    full = torch.from_numpy(shuffled[:, None].astype(np.uint8) * 255)
    held = len(full) // 7
    return ArrayData(full[2 * held :], full[:held], full[held : 2 * held])
