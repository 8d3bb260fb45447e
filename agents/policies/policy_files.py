"""Saves and loads a trained controller as safetensors with a JSON header: no pickle, no code executed on loading."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from gan_env.envs.actions import CHOICES
from gan_env.envs.observations import FeatureMemory
from gan_env.io.tensor_files import read_tensors, write_tensors
from gan_env.registry import unknown

from .policy import ACTIVATIONS, OUTPUTS, PolicyController, PolicySpec

FORMAT = "gan-env controller"
VERSION = 1
LARGEST_BYTES = 64 * 2**20
"""Larger files are refused unread; controllers are small."""


class ControllerFileError(ValueError):
    """Raised for a controller file that cannot be used; the message names the reason and the way out."""


def save_controller(controller: PolicyController, path: Path | str) -> None:
    """Writes the controller; the file appears whole or not at all.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from agents import load_controller, make_controller, save_controller
        >>> with TemporaryDirectory() as folder:
        ...     save_controller(make_controller("auto"), f"{folder}/mine.safetensors")
        ...     load_controller(f"{folder}/mine.safetensors").name
        'auto'

    Raises ControllerFileError, before anything is written, for a controller that `load_controller` would refuse.
    """
    content, tensors = _content(controller, f"{path}: ")
    write_tensors(path, FORMAT, VERSION, content, tensors)


def check_controller(controller: PolicyController) -> None:
    """Raises ControllerFileError for a controller that `load_controller` would refuse."""
    _content(controller, "")


def _content(controller: PolicyController, where: str) -> tuple[dict, dict[str, Tensor]]:
    tensors = {}
    for i, (weight, bias) in enumerate(controller.layers):
        tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"] = weight, bias
    content = {"name": controller.name, "spec": asdict(controller.spec)}
    try:
        _build(json.loads(json.dumps(content)), tensors)
    except (TypeError, ValueError) as error:
        raise ControllerFileError(f"{where}this controller cannot be written ({error})") from error
    return content, tensors


def load_controller(path: Path | str) -> PolicyController:
    """Loads the controller in a file. Nothing in it is executed.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from agents import load_controller, make_controller, save_controller
        >>> with TemporaryDirectory() as folder:
        ...     save_controller(make_controller("auto"), f"{folder}/mine.safetensors")
        ...     load_controller(f"{folder}/mine.safetensors").spec.control
        'rates'

    Raises:
        ControllerFileError: If the file is missing, truncated, altered, of another kind or of an unknown version.
    """
    content, tensors = read_checked(path, FORMAT, VERSION)
    try:
        return _build(content, tensors)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ControllerFileError(f"{path}: not a valid controller file ({error}); export it again") from error


def read_checked(path: Path | str, kind: str, version: int) -> tuple[dict, dict[str, Tensor]]:
    """Reads content and tensors of a file that `write_tensors` wrote; raises ControllerFileError for any other."""
    return read_tensors(path, kind, version, error=ControllerFileError, remedy="export it again", largest=LARGEST_BYTES)


def _build(content: dict, tensors: dict[str, Tensor]) -> PolicyController:
    held = dict(content["spec"])
    known = set(PolicySpec.__dataclass_fields__)
    for name in held:
        if name not in known:
            raise unknown("controller field", name, sorted(known))
    for name in ("features", "d_lr_range", "g_lr_range"):
        held[name] = tuple(held[name])
    spec = PolicySpec(**held)
    if spec.d_loss_scale not in ("mean", "sum"):
        raise unknown("d_loss_scale", spec.d_loss_scale, ["mean", "sum"])
    if spec.activation not in ACTIVATIONS:
        raise unknown("activation", spec.activation, sorted(ACTIVATIONS))
    if spec.output not in OUTPUTS:
        raise unknown("output", spec.output, sorted(OUTPUTS))
    if not isinstance(spec.updates_per_step, int) or spec.updates_per_step < 1:
        raise ValueError(f"updates_per_step={spec.updates_per_step!r} must be a whole number of at least 1")
    return PolicyController(spec, _layers(spec, tensors), str(content["name"]))


def _layers(spec: PolicySpec, tensors: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Returns the layers; raises ValueError unless their shapes lead from the features to the action."""
    codec = spec.codec()
    names = FeatureMemory(spec.features, codec.last_action_names, spec.d_loss_scale, 1).names
    wanted = {f"layer{i}.{part}" for i in range(len(tensors) // 2) for part in ("weight", "bias")}
    if not tensors or set(tensors) != wanted:
        raise ValueError(f"holds the tensors {sorted(tensors)}, not a weight and a bias for each layer")
    layers = [(tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]) for i in range(len(tensors) // 2)]
    width = len(names)
    for i, (weight, bias) in enumerate(layers):
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {i} takes {width} numbers but has weight {tuple(weight.shape)} and bias {tuple(bias.shape)}"
            )
        if weight.dtype != torch.float32 or bias.dtype != torch.float32:
            raise ValueError(f"layer {i} is {weight.dtype}, not torch.float32")
        if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise ValueError(f"layer {i} holds a number that is not finite")
        width = weight.shape[0]
    chooses = codec.axes is None
    if chooses != (spec.output == "argmax"):
        raise ValueError(f"output={spec.output!r} makes no action of {spec.control!r}")
    if width != (wanted := len(CHOICES) if chooses else codec.axes):
        raise ValueError(f"the last layer gives {width} numbers; an action of {spec.control!r} needs {wanted}")
    return layers
