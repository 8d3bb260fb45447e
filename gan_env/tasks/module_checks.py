"""Checks that a user's module can be copied, re-initialised, run on given weights and trained."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import UninitializedParameter

from gan_env.random.streams import seeded

Build = Callable[[], nn.Module]

EXTENT_TRIES = 8
"""Random weights that a module's bounds are read from; a sum of a few numbers has one sign in many of them."""
FAILS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError, AttributeError)
"""Exceptions that a module may raise on unsuitable inputs."""


def fresh(build: Callable[[], Any], seed: int = 0) -> Any:
    """Calls the builder with torch's generator seeded, and restores the generator's state."""
    with seeded(seed):
        return build()


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def builder(build: Any, role: str) -> tuple[Build, nn.Module]:
    """Returns a builder whose modules share no weights (frozen shared parts are copied), and its first module.

    Raises:
        ValueError: If it builds no module, or one whose weights cannot be copied, re-initialised and trained.
    """
    if isinstance(build, nn.Module):
        raise ValueError(
            f"{role} is a module; give the class or function that builds one, for every row and episode starts from "
            f"fresh weights: {role}=lambda: {type(build).__name__}(...)"
        )
    if not callable(build):
        raise ValueError(f"{role}={build!r} must be a class or function that builds a torch.nn.Module")
    made = cast(Build, build)
    _require_no_arguments(made, role)
    module, again = fresh(made), fresh(made)
    if not isinstance(module, nn.Module):
        raise ValueError(f"{role}() gave a {type(module).__name__}, not a torch.nn.Module")
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        raise ValueError(
            f"{role} is a {type(module).__name__}, which cannot run on a row's weights; give the module inside it"
        )
    shared = {id(p) for p in (*again.parameters(), *again.buffers())}
    for name, p in module.named_parameters():
        if id(p) in shared and p.requires_grad:
            raise ValueError(
                f"{role}() gives the same weights at every call ({name}); every row and episode needs its own: build "
                "the layers inside the function, or freeze what is to be shared: requires_grad_(False)"
            )
        if isinstance(p, UninitializedParameter):
            raise ValueError(
                f"{role} holds a lazy layer, whose weights are not there before it has run; give it its sizes"
            )
        if p._backward_hooks:
            raise ValueError(
                f"{role}'s {name} has a gradient hook, which the copies of a row cannot run; do it in forward()"
            )
    if not any(p.requires_grad for p in module.parameters()):
        raise ValueError(f"{role} has no weights to train")
    held = (*module.parameters(), *module.buffers())
    if any(id(p) in shared for p in held):
        return partial(_copied, made), copy.deepcopy(module)
    return made, module


def _require_no_arguments(build: Build, role: str) -> None:
    """Raises ValueError if the builder cannot be called without arguments."""
    try:
        taken = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # compiled code tells nothing
        return
    needed = [p.name for p in taken if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        name = getattr(build, "__name__", type(build).__name__)
        given = ", ".join(f"{each}=..." for each in needed)
        raise ValueError(
            f"{role}={name} needs {', '.join(map(repr, needed))}, which nobody gives it; fix them: "
            f"{role}=lambda: {name}({given})"
        )


@torch.no_grad()
def start_remarks(build: Build, role: str) -> list[str]:
    """Returns a warning if the builder's modules always start from the same trained weights."""
    one, other = ([p for p in fresh(build, seed).parameters() if p.requires_grad] for seed in (0, 1))
    if all(torch.equal(p, q) for p, q in zip(one, other, strict=True)):
        return [
            f"{role}() gives the same first weights at every call: rows and episodes differ in data and latents alone; "
            "leave torch.manual_seed() and constant initialisation out of it, if that is not meant"
        ]
    return []


def _copied(build: Build) -> nn.Module:
    """Copies the parts that the builder shares between modules, so that training does not modify the user's."""
    return copy.deepcopy(build())


_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Returns the attributes of a module and its parts other than weights and buffers, in a comparable form."""
    found = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name not in _OWN:
                plain = isinstance(value, (bool, int, float, str, list, tuple, dict, set, type(None), np.ndarray))
                held = value.tolist() if isinstance(value, Tensor) else repr(value) if plain else id(value)
                found[f"{path}.{name}".lstrip(".")] = held
    return found


def look_over(module: nn.Module, inputs: Tensor, role: str) -> list[str]:
    """Runs the module twice; returns warnings about state or global randomness that its rows would share.

    An attribute that both passes leave equal, such as a stored activation, does not count as state.

    Raises:
        ValueError: If it changes its input, or gives no gradient.
    """
    left, drew = [], False
    buffers = {name: held.clone() for name, held in module.named_buffers()}
    for _ in range(2):
        for name, held in module.named_buffers():  # these are each row's own: what follows from them is no memory
            held.copy_(buffers[name])
        given = inputs.clone()
        with seeded(0):
            before = torch.get_rng_state()
            module(given)
            drew = not torch.equal(before, torch.get_rng_state())
        if not torch.equal(given, inputs):
            raise ValueError(
                f"{role} changes its input in place, which other passes still need; begin forward() with a copy: "
                "x = x.clone()"
            )
        left.append(_attributes(module))
    _require_gradients(module, inputs, role)
    remarks = []
    changed = [name for name, value in left[1].items() if left[0].get(name, left) != value]
    if changed:
        remarks.append(
            f"{role} remembers {changed[0].removeprefix('player.')} from pass to pass, outside its buffers: all rows "
            "share it and depend on one another; register_buffer() gives each row its own"
        )
    if drew:
        noisy = [type(m).__name__ for m in module.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
        remarks.append(
            f"{role} {'holds ' + noisy[0] + ', which ' if noisy else ''}draws from torch's global generator: its "
            "results depend on more than the row's seed"
        )
    return remarks


def _require_gradients(module: nn.Module, inputs: Tensor, role: str) -> None:
    """Raises ValueError unless the module runs on given weights and is differentiable in them and its inputs."""
    weights: dict[str, Tensor] = {name: p for name, p in module.named_parameters() if p.requires_grad}
    given = inputs[:2].clone().requires_grad_()  # two are enough for layers that normalise over the batch
    with torch.enable_grad(), seeded(0):
        try:
            out = functional_call(module, weights, (given,))
        except FAILS as error:
            raise ValueError(
                f"{role} cannot be run on the weights of a row ({first_line(error)}); give a plain torch.nn.Module"
            ) from error
        sought = [*weights.values(), *([given] if role == "discriminator" else [])]
        found = torch.autograd.grad(out.sum(), sought, allow_unused=True) if out.requires_grad else [None]
    if all(each is None for each in found[: len(weights)]):
        raise ValueError(
            f"{role} gives no gradient to its weights: something in forward() cuts it off (detach(), no_grad(), argmax)"
        )
    if role == "discriminator" and found[-1] is None:
        raise ValueError(
            "discriminator gives no gradient to its samples, by which the generator learns: something in forward() "
            "cuts it off (detach(), no_grad(), round())"
        )


def extent(build: Build, inputs: Tensor, dtype: torch.dtype) -> tuple[float, float] | None:
    """Returns bounds of a module's outputs for any weights; None if there are none.

    (-1, 1) for a tanh, (0, 1) for a sigmoid, (0, inf) for a ReLU or softplus, (-inf, 0) for a logsigmoid.
    """
    least, greatest = np.inf, -np.inf
    for seed in range(EXTENT_TRIES):
        with seeded(seed):
            module = build().to(dtype)
            for p in module.parameters():
                if p.requires_grad:
                    p.normal_()
            made = module(inputs)
        least, greatest = min(least, float(made.min())), max(greatest, float(made.max()))
        if not (-1 <= least and greatest <= 1 or 0 <= least or greatest <= 0):  # NaN, too
            return None
    if least == greatest:
        return None
    low = 0.0 if least >= 0 else -1.0 if least >= -1 else -np.inf
    high = 1.0 if 0 < greatest <= 1 else np.inf if greatest > 0 else 0.0
    return low, high
