"""Shields our computations from modes of torch that the caller has switched on around the call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")
AUTOCAST = ("cpu", "cuda")
"""Devices that we train on, each with an autocast of its own."""


class _Shields(threading.local):
    """Whether this thread is inside a shield, within which nothing needs to be looked at again."""

    up = False


_shields = _Shields()


def shielded(function: Callable[P, T]) -> Callable[P, T]:
    """Makes a function compute the same inside `inference_mode`, `autocast` or another default device as outside.

    RL loops wrap whole rollouts in them for the policy's sake; a GAN that trains inside would get no gradients, or
    16-bit ones. (`no_grad` needs no shield: updates switch gradients on themselves.)
    """

    @wraps(function)
    def shield(*args: P.args, **kwargs: P.kwargs) -> T:
        if _shields.up:
            return function(*args, **kwargs)
        cast = [device for device in AUTOCAST if torch.is_autocast_enabled(device)]
        elsewhere = not torch.empty(0).is_cpu  # get_default_device() is slow
        _shields.up = True
        try:
            if not (cast or elsewhere or torch.is_inference_mode_enabled()):
                return function(*args, **kwargs)
            with ExitStack() as modes:
                if elsewhere:
                    modes.enter_context(torch.device("cpu"))
                for device in cast:
                    modes.enter_context(torch.autocast(device, enabled=False))
                modes.enter_context(torch.inference_mode(False))
                return function(*args, **kwargs)
        finally:
            _shields.up = False

    return shield
