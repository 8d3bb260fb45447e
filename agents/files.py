"""A trained controller as one small file: safetensors with a JSON header, no pickle, nothing executed on loading."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gan_env.registry import unknown

from .policy import PolicyController, PolicySpec

FORMAT = "gan-env controller"
VERSION = 1
LARGEST_BYTES = 64 * 2**20
"""A controller is small; a file beyond this is refused unread."""


class ControllerFileError(ValueError):
    """The one error for a controller file that cannot be used: what is wrong with it, and the way out."""


def save_controller(controller: PolicyController, path: Path | str) -> None:
    """Writes the controller; the file appears whole or not at all."""
    path = Path(path)
    tensors = {}
    for i, (weight, bias) in enumerate(controller.layers):
        tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"] = weight.contiguous(), bias.contiguous()
    header = {"format": FORMAT, "version": VERSION, "name": controller.name, "spec": asdict(controller.spec)}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata={"gan_env": json.dumps(header)})
    partial.replace(path)


def load_controller(path: Path | str) -> PolicyController:
    """The controller in a file.

    Raises:
        ControllerFileError: If the file is missing, truncated, altered, of another kind or of an unknown version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ControllerFileError(f"{path}: larger than {LARGEST_BYTES} bytes, so no controller file of ours")
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("gan_env")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, UnicodeDecodeError) as error:
        raise ControllerFileError(f"{path}: cannot be read as a controller file ({error}); export it again") from error
    try:
        return _build(path, json.loads(text or "null"), tensors)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ControllerFileError):
            raise
        raise ControllerFileError(f"{path}: not a valid controller file ({error}); export it again") from error


def _build(path: Path, header: dict, tensors: dict[str, torch.Tensor]) -> PolicyController:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ControllerFileError(f"{path}: holds no {FORMAT}; export one with save_controller")
    if header["version"] != VERSION:
        raise ControllerFileError(
            f"{path}: version {header['version']!r} is unknown here, only {VERSION} is; update gan-env"
        )
    held = dict(header["spec"])
    known = set(PolicySpec.__dataclass_fields__)
    for name in held:
        if name not in known:
            raise unknown("controller field", name, sorted(known))
    for name in ("features", "d_lr_range", "g_lr_range"):
        held[name] = tuple(held[name])
    spec = PolicySpec(**held)
    count = len(tensors) // 2
    layers = [(tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]) for i in range(count)]
    return PolicyController(spec, layers, str(header["name"]))
