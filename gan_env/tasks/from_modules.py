"""A user's generator and discriminator brought into the engine's form; what does not fit is said before training."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from gan_env.random.streams import seeded

PROBES = 8
"""Samples that a module is tried on."""

Build = Callable[[], nn.Module]


def _fresh(build: Callable[[], Any]) -> Any:
    with seeded(0):
        return build()


def _built(build: Any, role: str) -> nn.Module:
    """A module of the builder; raises ValueError where its weights cannot be copied, drawn afresh and trained."""
    if isinstance(build, nn.Module):
        raise ValueError(
            f"{role} is a module; give the class or function that builds one, for every row and episode starts from "
            f"fresh weights: {role}=lambda: {type(build).__name__}(...)"
        )
    if not callable(build):
        raise ValueError(f"{role}={build!r} must be a class or function that builds a torch.nn.Module")
    module, again = _fresh(build), _fresh(build)
    if not isinstance(module, nn.Module):
        raise ValueError(f"{role}() gave a {type(module).__name__}, not a torch.nn.Module")
    weights = dict(module.named_parameters())
    if {id(p) for p in weights.values()} & {id(p) for p in again.parameters()}:
        raise ValueError(
            f"{role}() gives the same weights at every call; every row and episode needs its own: build the layers "
            "inside the function"
        )
    if any(isinstance(p, UninitializedParameter) for p in weights.values()):
        raise ValueError(f"{role} holds a lazy layer, whose weights are not there before it has run; give it its sizes")
    if not any(p.requires_grad for p in weights.values()):
        raise ValueError(f"{role} has no weights to train")
    for name, p in weights.items():
        if p._backward_hooks:
            raise ValueError(
                f"{role}'s {name} has a gradient hook, which the copies of a row cannot run; do it in forward()"
            )
    return module


_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What a module and its parts hold beside weights and buffers, in a form that can be compared later."""
    found = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name not in _OWN:
                plain = isinstance(value, (bool, int, float, str, list, tuple, dict, set, type(None), np.ndarray))
                held = value.tolist() if isinstance(value, Tensor) else repr(value) if plain else id(value)
                found[f"{path}.{name}".lstrip(".")] = held
    return found


def _look_over(module: nn.Module, inputs: Tensor, role: str) -> None:
    """Runs a module that fits twice and says what its rows could not each have for themselves.

    What both passes leave alike is no memory: a stored activation, say.
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
    changed = [name for name, value in left[1].items() if left[0].get(name, left) != value]
    if changed:
        warnings.warn(
            f"{role} remembers {changed[0]} from pass to pass, outside its buffers: all rows share it and depend on "
            "one another; register_buffer() gives each row its own",
            stacklevel=5,
        )
    if drew:
        noisy = [type(m).__name__ for m in module.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
        warnings.warn(
            f"{role} {'holds ' + noisy[0] + ', which ' if noisy else ''}draws from torch's global generator: its "
            "results depend on more than the row's seed",
            stacklevel=5,
        )


def _tensor(made: Any, role: str) -> Tensor:
    if not isinstance(made, Tensor):
        raise ValueError(f"{role} gives a {type(made).__name__}, not one tensor; give a module that returns that alone")
    return made


# -- the generator ------------------------------------------------------------------------------------------------


def _shaped(shape: tuple[int, ...], module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].reshape(-1, *shape), *inputs[1:])


def _with_latents(build: Build, shape: tuple[int, ...]) -> nn.Module:
    module = build()
    module.register_forward_pre_hook(partial(_shaped, shape))
    return module


@torch.no_grad()
def fitted_generator(build: Build, latent_size: int | tuple[int, ...], shape: tuple[int, ...]) -> Build:
    """A builder of generators that take flat latents, whatever shape of latents the user's take.

    An int that the module does not take flat is tried as (size, 1, 1) and (size, 1, 1, 1), as convolutions like it.

    Raises:
        ValueError: If the module takes none of them, or makes samples of another shape than the data's.
    """
    module, size = _built(build, "generator"), int(np.prod(latent_size))
    tried = [latent_size] if isinstance(latent_size, tuple) else [(size,), (size, 1, 1), (size, 1, 1, 1)]
    errors = []
    for latents in tried:
        try:
            made = module(torch.zeros(2, *latents))
        except TypeError as error:
            raise ValueError(
                f"generator does not take one tensor of latents: {error}; wrap it so that it does"
            ) from error
        except (RuntimeError, ValueError) as error:
            errors.append(str(error).splitlines()[0])
            continue
        made = _tensor(made, "generator")
        if made.shape[1:] != shape:
            raise ValueError(f"generator makes samples of shape {tuple(made.shape[1:])}; the data's are {shape}")
        with seeded(0):
            probes = torch.randn(PROBES, *latents)
        _look_over(module, probes, "generator")
        return build if latents == (size,) else partial(_with_latents, build, latents)
    raise ValueError(f"generator does not take latents of shape (B, {tried[0][0]}): {errors[0]}; set latent_size")


@torch.no_grad()
def untrained_samples(build: Build, latent_size: int, count: int) -> Tensor:
    """Samples of a generator with fresh weights, always the same."""
    with seeded(0):
        return build()(torch.randn(count, latent_size))


# -- the discriminator --------------------------------------------------------------------------------------------


@torch.no_grad()
def fitted_discriminator(build: Build, shape: tuple[int, ...]) -> Build:
    """A builder of discriminators that give one logit a sample; a sigmoid at the end is left out, with a warning.

    Raises:
        ValueError: If the module does not take samples of the data's shape, gives more than one number for each, or
            gives probabilities by another way than an `nn.Sigmoid` at its end.
    """
    module = _built(build, "discriminator")
    with seeded(0):
        probes = torch.randn(PROBES, *shape)
    try:
        logits = module(10 * probes)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"discriminator does not take samples of the data's shape {shape}: {reason}") from error
    logits = _tensor(logits, "discriminator")
    if logits.numel() != PROBES:
        raise ValueError(f"discriminator gives {tuple(logits.shape[1:])} for a sample; one logit is needed")
    _look_over(module, probes, "discriminator")
    for name, part in module.named_modules(remove_duplicate=False):
        without = partial(_without, build, name)
        if isinstance(part, nn.Sigmoid) and _is_sigmoid_of(build, without, probes):
            warnings.warn(
                "the discriminator ends in a sigmoid, which is left out: losses here take logits", stacklevel=4
            )
            return without
    if _is_share(logits) and _always_shares(build, 10 * probes):
        raise ValueError(
            "discriminator gives probabilities, its outputs stay between 0 and 1; losses here take logits: return what "
            "goes into the sigmoid"
        )
    return build


def _without(build: Build, name: str) -> nn.Module:
    module = build()
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return module


def _is_sigmoid_of(whole: Build, without: Build, probes: Tensor) -> bool:
    """Whether the part that is left out was the last step: all that it did was a sigmoid of the outputs."""
    outputs = []
    for build in (whole, without):
        with seeded(0):  # drawn weights and dropout alike
            outputs.append(build()(probes).flatten())
    return torch.allclose(outputs[0], torch.sigmoid(outputs[1]), rtol=0, atol=1e-5)


def _is_share(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _always_shares(build: Build, probes: Tensor) -> bool:
    """Whether outputs stay in [0, 1] for whatever weights; logits may be there by chance."""
    for seed in range(4):
        with seeded(seed):
            module = build()
            for p in module.parameters():
                p.normal_()
            if not _is_share(module(probes)):
                return False
    return True
