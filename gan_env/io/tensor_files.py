"""Stores tensors and JSON in one checksummed safetensors file, without pickle; converts nested states to that form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from gan_env.io.files import parsed_json, write_whole


def write_tensors(path: Path | str, kind: str, version: int, content: dict, tensors: dict[str, Tensor]) -> None:
    """Writes tensors and JSON content as one safetensors file with a checksum; raises OSError as `write_whole`."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format": kind, "version": version, **content}, sort_keys=True)
    write_whole(path, _ordered(save(tensors, {"gan_env": text, "blake2b": digest(text, tensors)})))


def _ordered(content: bytes) -> bytes:
    """Sorts the header of a safetensors file: the library's own order differs from call to call."""
    behind = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(parsed_json(content[8:behind]), sort_keys=True).encode()
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
    """Reads content and tensors of a file that `write_tensors` wrote. Nothing in it is executed.

    Args:
        path: The file.
        kind: Expected kind of content.
        version: The only supported version of that kind.
        error: Exception class; raised with a one-line message for a file that is missing, truncated, altered, of
            another kind or of an unknown version.
        remedy: Way out, for the message.
        largest: Most bytes; larger files are refused unread.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")  # a pipe would be waited for
        if largest is not None and path.stat().st_size > largest:
            raise OSError(f"it is larger than {largest} bytes")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except MemoryError:
        raise
    except Exception as stumbled:  # whatever the reader stumbles over in bytes that anybody may have written
        why = " ".join(str(stumbled).split())
        raise error(f"{path}: cannot be read as a {kind} ({why}); {remedy}") from stumbled
    text = metadata.get("gan_env")
    if text is None:
        raise error(f"{path}: holds no {kind}; write one with this package")
    if metadata.get("blake2b") != digest(text, tensors):
        raise error(f"{path}: was altered after it was written; {remedy}")
    try:
        content = parsed_json(text)
    except ValueError as stumbled:
        raise error(f"{path}: its header is no JSON ({stumbled}); {remedy}") from stumbled
    if not isinstance(content, dict) or content.get("format") != kind:
        raise error(f"{path}: holds no {kind}; write one with this package")
    if content.get("version") != version:
        raise error(f"{path}: version {content.get('version')!r} is unknown here, only {version} is; update gan-env")
    # Copied, since products of tensors that start anywhere in a file are summed in another order.
    return content, {name: tensor.clone() for name, tensor in tensors.items()}


def digest(text: str, tensors: dict[str, Tensor]) -> str:
    """Computes a checksum over the header and every tensor's name, type, shape and bytes."""
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.as_strided((tensor.numel(),), (1,))  # the stride of a single number may be anything
        found.update(flat.view(torch.uint8).numpy().data)  # NumPy does not know every type
    return found.hexdigest()


_TENSOR, _ARRAY = "tensor:", "array:"


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Splits a tree of dicts, lists, plain values, tensors and arrays into (JSON, tensors) for `write_tensors`.

    Tensors and arrays are copied. Tuples come back as lists. Raises TypeError for a value of any other type, and for
    text that looks like the placeholder of a tensor.
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
    """Restores the tree that `pack` was given; raises KeyError if a tensor is missing."""
    if isinstance(tree, dict):
        return {key: unpack(held, tensors) for key, held in tree.items()}
    if isinstance(tree, list):
        return [unpack(held, tensors) for held in tree]
    if isinstance(tree, str) and tree.startswith(_TENSOR):
        return tensors[tree.removeprefix(_TENSOR)].clone()
    if isinstance(tree, str) and tree.startswith(_ARRAY):
        return tensors[tree.removeprefix(_ARRAY)].numpy().copy()
    return tree
