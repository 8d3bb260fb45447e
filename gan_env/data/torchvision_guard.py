"""The one door to torchvision, which beside a CPU build of torch may need a mend before it can be imported."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

_kept_alive: list[torch.library.Library] = []


@cache
def torchvision() -> ModuleType:
    """The torchvision package, imported on first use.

    Its PyPI build asks at import for two operators of a compiled library that cannot be loaded beside a CPU build of
    torch ("operator torchvision::nms does not exist"). Where that library does not load, their schemas are declared,
    so that the import succeeds; data sets and transforms use neither. Matched installs are left alone.

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
