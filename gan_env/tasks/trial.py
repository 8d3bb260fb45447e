"""Tries a user's module: finds its arguments, whether it takes labels, and whether its output can be used."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_env.tasks.condition import ConditionalGenerator, own_module
from gan_env.tasks.module_checks import Build, builder

LABEL_ARGUMENTS = ("y", "c", "label", "labels", "cond", "condition", "conditions", "classes", "class_labels", "target")
"""Usual names of an optional second argument that takes labels."""


@dataclass(frozen=True)
class Trial:
    """A user's module with fresh weights, and a builder of more."""

    role: str
    build: Build
    module: nn.Module
    latents: tuple[int, ...] | None = None
    """Shape of its latents, if known, because it comes from another task."""

    @classmethod
    def of(cls, build: Any, role: str, dtype: torch.dtype) -> Trial:
        """Builds a module; raises ValueError as `module_checks.builder`."""
        made, module = builder(build, role)
        latents = module.latents if isinstance(module, ConditionalGenerator) else None
        if own_module(module) is not module:
            made = partial(_unwrapped, made)
        return cls(role, made, own_module(module).to(dtype), latents)

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which the module is tried."""
        return next(p.dtype for p in self.module.parameters())

    def arguments(self) -> list[inspect.Parameter]:
        """Positional arguments of its `forward`."""
        try:
            taken = inspect.signature(self.module.forward).parameters.values()
        except (TypeError, ValueError):  # compiled code tells nothing
            return []
        return [each for each in taken if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]

    @property
    def needs_labels(self) -> bool:
        """Whether it cannot be called with one argument."""
        return sum(each.default is each.empty for each in self.arguments()) > 1

    @property
    def offers_labels(self) -> bool:
        """Whether an optional second argument has a usual name for labels."""
        return len(self.arguments()) > 1 and self.arguments()[1].name.lower() in LABEL_ARGUMENTS


def takes_labels(generator: Trial, discriminator: Trial, asked: bool | None, labels: Tensor | None, why: str) -> bool:
    """Decides whether the two players are a conditional GAN.

    Args:
        generator: The generator.
        discriminator: The discriminator.
        asked: The user's setting; None leaves it to the modules.
        labels: Labels of the data; None if there are none.
        why: Why there are none, if known.

    Raises:
        ValueError: If one player takes labels and the other does not, or the data have none.
    """
    pair = (generator, discriminator)
    needed = [trial.needs_labels for trial in pair]
    if asked is False or not (asked or any(needed)):
        return False
    for trial, needs in zip(pair, needed, strict=True):
        if not (needs or len(trial.arguments()) > 1):
            other = pair[1] if trial is pair[0] else pair[0]
            first = "latents" if trial.role == "generator" else "samples"
            raise ValueError(
                f"{trial.role} takes {first} alone, {other.role} takes labels too; both need the second argument y in "
                f"forward({first}, y), or neither"
            )
    if labels is None:
        trial = pair[0] if needed[0] or not needed[1] else pair[1]
        name = trial.arguments()[1].name
        raise ValueError(
            f"{trial.role} takes {name!r} as a second argument, but the data hold no labels{why and f' ({why})'}: give "
            "a pair (samples, labels) or a data set of such pairs, or wrap the module so that it takes one tensor"
        )
    return True


def one_tensor(made: Any, role: str) -> Tensor:
    """Returns a module's output; raises ValueError unless it is one differentiable tensor."""
    if not isinstance(made, Tensor):
        held = f" of {len(made)}" if isinstance(made, (tuple, list)) else ""
        advice = "return that alone"
        if role == "discriminator" and held and all(isinstance(each, Tensor) for each in made):
            advice = (
                "return the scores alone; scores of several scales side by side: "
                "torch.cat([s.flatten(1) for s in scores], 1)[:, None]"
            )
        raise ValueError(f"{role} gives a {type(made).__name__}{held}, not one tensor; {advice}")
    if not made.is_floating_point():
        raise ValueError(f"{role} gives {made.dtype}; a gradient needs floating-point numbers")
    return made


def _unwrapped(build: Build) -> nn.Module:
    return own_module(build())
