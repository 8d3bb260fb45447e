"""Imports torchvision, with a workaround for builds that do not match a CPU build of torch."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

_kept_alive: list[torch.library.Library] = []


@cache
def torchvision() -> ModuleType:
    """Returns the torchvision package, imported on first use.

    On import, its PyPI build needs two operators of a compiled library that cannot be loaded beside a CPU build of
    torch ("operator torchvision::nms does not exist"). If that library does not load, their schemas are declared here,
    so that the import succeeds; data sets and transforms use neither. Matching builds are left alone.

    Raises:
        ValueError: If torchvision is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ValueError("torchvision is not installed; pip install torchvision")
    for library in Path(spec.origin).parent.glob("_C*.*"):
        try:
            torch.ops.load_library(library)
        except OSError:
            mend = torch.library.Library("torchvision", "FRAGMENT")
            mend.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            mend.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _kept_alive.append(mend)
            break
    import torchvision as found

    return found
