"""Files that are whole or not there, tensors in checksummed files without pickle, folders with one worker at a time."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

PARTIAL = ".partial"
"""Ends the name of a file that is being written; after a crash such a file is worth nothing."""
LOCK = ".lock"
"""The file in a folder that whoever works there holds locked; it stays behind and means nothing by itself."""


def write_whole(path: Path | str, content: bytes | str) -> None:
    """Writes a file that appears whole or not at all, after a power cut too.

    Raises OSError, on one line and naming the file, if it cannot be written; what was there before is then unchanged.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OSError(
            f"{path}: cannot be written ({error.strerror or error}); what was there is unchanged, make room or name "
            "another place"
        ) from error
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes the new name of a file last; where folders cannot be synced, the file's contents are safe anyway."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partials(folder: Path) -> None:
    """Removes what a crash left half written in a folder; call it with the folder locked."""
    for left in folder.glob(f".*{PARTIAL}"):
        left.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Works in a folder alone for as long as the block runs; the lock goes when the process does, however it ends.

    Raises OSError if somebody else works there, or the folder cannot be written to.
    """
    try:
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise OSError(f"{folder}: cannot be written to ({error.strerror}); name another folder") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise OSError(
                f"{folder}: another process works there; wait for it, stop it, or name another folder"
            ) from error
        yield


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# -- tensors and JSON in one file ---------------------------------------------------------------------------------


def write_tensors(path: Path | str, kind: str, version: int, content: dict, tensors: dict[str, Tensor]) -> None:
    """Tensors and JSON content as one safetensors file with a checksum; raises OSError as `write_whole`."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format": kind, "version": version, **content}, sort_keys=True)
    write_whole(path, _ordered(save(tensors, {"gan_env": text, "blake2b": digest(text, tensors)})))


def _ordered(content: bytes) -> bytes:
    """A safetensors file with its header in order: the library's own is in another one each time."""
    behind = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:behind]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[behind:]


def read_tensors(
    path: Path | str,
    kind: str,
    version: int,
    *,
    error: type[ValueError],
    remedy: str,
    largest: int | None = None,
) -> tuple[dict, dict[str, Tensor]]:
    """Content and tensors of a file that `write_tensors` wrote. Nothing in it is executed.

    Args:
        path: The file.
        kind: What it should hold.
        version: The only version of it that is known here.
        error: What is raised, on one line, for a file that is missing, truncated, altered, of another kind or of an
            unknown version.
        remedy: What to do then, for the message.
        largest: Bytes; a file beyond this is refused unread.
    """
    path = Path(path)
    try:
        if largest is not None and path.stat().st_size > largest:
            raise OSError(f"it is larger than {largest} bytes")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as stumbled:  # whatever the reader stumbles over in bytes that anybody may have written
        why = " ".join(str(stumbled).split())
        raise error(f"{path}: cannot be read as a {kind} ({why}); {remedy}") from stumbled
    text = metadata.get("gan_env")
    if text is None:
        raise error(f"{path}: holds no {kind}; write one with this package")
    if metadata.get("blake2b") != digest(text, tensors):
        raise error(f"{path}: was altered after it was written; {remedy}")
    try:
        content = json.loads(text)
    except (RecursionError, ValueError) as stumbled:
        raise error(f"{path}: its header is no JSON ({stumbled}); {remedy}") from stumbled
    if not isinstance(content, dict) or content.get("format") != kind:
        raise error(f"{path}: holds no {kind}; write one with this package")
    if content.get("version") != version:
        raise error(f"{path}: version {content.get('version')!r} is unknown here, only {version} is; update gan-env")
    # Copied, since products of tensors that start anywhere in a file are summed in another order.
    return content, {name: tensor.clone() for name, tensor in tensors.items()}


def digest(text: str, tensors: dict[str, Tensor]) -> str:
    """Checksum over the header and every tensor's name, type, shape and bytes."""
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


_TENSOR, _ARRAY = "tensor:", "array:"


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """A tree of dicts, lists, plain values, tensors and arrays as (JSON, tensors) for `write_tensors`.

    Tensors and arrays are copied. Tuples come back as lists. Raises TypeError for a value of any other type, and for
    text that looks like the mark of a tensor.
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise TypeError(f"{path or 'the state'} has keys that are no text: {list(value)[:3]}")
            return {key: walk(held, f"{path}/{key}" if path else key) for key, held in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(held, f"{path}/{i}") for i, held in enumerate(value)]
        if isinstance(value, (Tensor, np.ndarray)):
            mark, tensor = (_TENSOR, value) if isinstance(value, Tensor) else (_ARRAY, torch.from_numpy(value))
            tensors[path] = tensor.detach().cpu().clone()
            return mark + path
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str) and value.startswith((_TENSOR, _ARRAY)):
            raise TypeError(f"{path}={value!r} looks like the mark of a tensor")
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise TypeError(f"{path} is a {type(value).__name__}, which a file of tensors and JSON cannot hold")
        return value

    return walk(tree, ""), tensors


def unpack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """What `pack` was given; raises KeyError if a tensor is missing."""
    if isinstance(tree, dict):
        return {key: unpack(held, tensors) for key, held in tree.items()}
    if isinstance(tree, list):
        return [unpack(held, tensors) for held in tree]
    if isinstance(tree, str) and tree.startswith(_TENSOR):
        return tensors[tree.removeprefix(_TENSOR)].clone()
    if isinstance(tree, str) and tree.startswith(_ARRAY):
        return tensors[tree.removeprefix(_ARRAY)].numpy().copy()
    return tree
