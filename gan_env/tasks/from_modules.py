"""Wraps a user's generator and discriminator for the engine; reports what does not fit before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_env.random.streams import seeded
from gan_env.tasks.condition import Condition, ConditionalGenerator, ScoringForm
from gan_env.tasks.module_checks import FAILS, Build, extent, first_line, fresh, look_over
from gan_env.tasks.trial import Trial, one_tensor

PROBES = 8
"""Number of samples that a module is tried on."""

# -- the generator ------------------------------------------------------------------------------------------------


def _shaped(shape: tuple[int, ...], module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].reshape(-1, *shape), *inputs[1:])


def _with_latents(build: Build, shape: tuple[int, ...]) -> nn.Module:
    module = build()
    module.register_forward_pre_hook(partial(_shaped, shape))
    return module


def _conditional(build: Build, latents: tuple[int, ...], condition: Condition) -> nn.Module:
    return ConditionalGenerator(build(), latents, condition)


@torch.no_grad()
def tried_latents(
    trial: Trial, latent_size: int | tuple[int, ...], labels: Tensor | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Finds the shape of latents that a generator takes; returns it and the shape of the samples that it makes.

    An int that the module does not take flat is also tried as (size, 1, 1) and (size, 1, 1, 1), for convolutions.

    Args:
        trial: The generator.
        latent_size: Size or shape that the user gave.
        labels: Labels (PROBES,) to call it with; None for an unconditional one.

    Raises:
        ValueError: If the module takes none of them.
    """
    size = math.prod(latent_size) if isinstance(latent_size, tuple) else latent_size
    if trial.latents is not None and math.prod(trial.latents) == size:
        latent_size = trial.latents
    tried = [latent_size] if isinstance(latent_size, tuple) else [(size,), (size, 1, 1), (size, 1, 1, 1)]
    told = () if labels is None else (labels if labels.dtype == torch.int64 else labels.to(trial.dtype),)
    errors = []
    for latents in tried:
        try:
            made = trial.module(torch.zeros(PROBES, *latents, dtype=trial.dtype), *told)
        except TypeError as error:
            raise ValueError(
                f"generator does not take {'one tensor of latents' if labels is None else 'latents and labels'}: "
                f"{error}; wrap it so that it does"
            ) from error
        except FAILS as error:
            errors.append(first_line(error))
            continue
        return latents, tuple(one_tensor(made, "generator").shape[1:])
    beside = "" if labels is None else f" and {_described(labels)}"
    raise ValueError(
        f"generator does not take latents of shape (B, {', '.join(map(str, tried[0]))}){beside}: {errors[0]}; "
        f"{'set latent_size' if labels is None else _advice(labels)}"
    )


def _advice(labels: Tensor) -> str:
    """Says what to try where a module does not take the labels."""
    if labels.dim() == 2 and labels.shape[1] == 1:
        return "set latent_size, or give labels (count,): labels[:, 0]"
    if labels.dim() == 1 and labels.is_floating_point() and bool((labels == labels.round()).all()):
        return "set latent_size, or give classes as whole numbers: labels.long()"
    return "set latent_size, or see how it uses the labels"


def _described(labels: Tensor) -> str:
    """Describes the labels that a module was tried with."""
    shape = ", ".join(map(str, ("B", *labels.shape[1:])))
    classes = f" from {int(labels.min())} to {int(labels.max())}" if labels.dtype == torch.int64 else ""
    return f"labels ({shape}{',' if labels.dim() == 1 else ''}) {str(labels.dtype).removeprefix('torch.')}{classes}"


def require_shape(made: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raises ValueError, with a hint if possible, if the generator's samples are not of the data's shape."""
    if made == shape:
        return
    hint = ""
    if len(made) == 3 and shape == (*made[1:], made[0]):
        hint = "; the data have their channels last: data.permute(0, 3, 1, 2)"
    elif made == (1, *shape):
        hint = "; the data lack their channel: data[:, None]"
    elif math.prod(made) == math.prod(shape):
        hint = "; the counts agree: end in nn.Unflatten, or reshape the data"
    elif len(made) == len(shape) == 3 and made[1:] == shape[1:] and {made[0], shape[0]} == {1, 3}:
        hint = (
            "; the data are grey: let the players take one channel, or give data.expand(-1, 3, -1, -1)"
            if shape[0] == 1
            else "; the data have colours: let the players take three channels"
        )
    raise ValueError(f"generator makes samples of shape {made}; the data's are {shape}{hint}")


@torch.no_grad()
def fitted_generator(
    trial: Trial, latents: tuple[int, ...], condition: Condition | None, labels: Tensor | None, remarks: list[str]
) -> Build:
    """Returns a builder of generators that take flat latents, followed by labels in a conditional GAN.

    Args:
        trial: The generator.
        latents: Shape of the latents that it takes.
        condition: Its labels; None for an unconditional one.
        labels: Labels (PROBES, ...) to try it with.
        remarks: Takes what should be said of it.
    """
    with seeded(0):
        probes = torch.randn(PROBES, *latents).to(trial.dtype)
    if condition is None or labels is None:
        remarks += look_over(trial.module, probes, "generator")
        return trial.build if len(latents) == 1 else partial(_with_latents, trial.build, latents)
    remarks += look_over(
        ConditionalGenerator(trial.module, latents, condition), condition.join(probes.flatten(1), labels), "generator"
    )
    return partial(_conditional, trial.build, latents, condition)


@torch.no_grad()
def untrained_samples(
    build: Build, latent_size: int, shape: Sequence[int], condition: Condition | None, count: int, labels: Any
) -> Tensor:
    """Returns samples (count, *shape) of a fresh generator, always the same; `labels` (count, ...) or None."""
    with seeded(0):
        module = build()
        inputs = torch.randn(count, latent_size)
        if condition is not None:
            inputs = condition.join(inputs, labels)
        made = module.to(torch.float32)(inputs)
    return made if condition is None else condition.values_of(made).unflatten(1, tuple(shape))


@torch.no_grad()
def generator_extent(build: Build, latent_size: int, condition: Condition | None, labels: Any, dtype: torch.dtype):
    """Returns the bounds of a generator's samples, see `module_checks.extent`."""
    with seeded(0):
        inputs = torch.randn(PROBES, latent_size, dtype=dtype)
    if condition is None:
        return extent(build, inputs, dtype)
    return extent(lambda: _Values(build(), condition), condition.join(inputs, labels), dtype)


class _Values(nn.Module):
    """Samples of a conditional generator without the labels."""

    def __init__(self, module: nn.Module, condition: Condition):
        super().__init__()
        self.module, self._condition = module, condition

    def forward(self, inputs: Tensor) -> Tensor:
        return self._condition.values_of(self.module(inputs))


# -- the discriminator --------------------------------------------------------------------------------------------


def _scoring(build: Build, shape: tuple[int, ...], condition: Condition | None) -> nn.Module:
    return ScoringForm(build(), shape, condition)


@torch.no_grad()
def fitted_discriminator(
    trial: Trial, shape: tuple[int, ...], condition: Condition | None, labels: Tensor | None, remarks: list[str]
) -> Build:
    """Returns a builder of wrapped discriminators; removes a sigmoid at the end, with a remark.

    Args:
        trial: The discriminator.
        shape: Of a sample.
        condition: Its labels; None for an unconditional one.
        labels: Labels (PROBES, ...) to try it with.
        remarks: Takes what should be said of it.

    Raises:
        ValueError: If the module does not take samples of the data's shape, returns neither one logit nor a map of
            logits per sample, or computes probabilities otherwise than by an `nn.Sigmoid` at its end.
    """
    with seeded(0):
        probes = torch.randn(PROBES, *shape).to(trial.dtype)
    told = () if condition is None or labels is None else (labels,)
    try:
        logits = trial.module(10 * probes, *told)
    except FAILS as error:
        beside = f" and {_described(told[0])}" if told else ""
        raise ValueError(
            f"discriminator does not take samples of the data's shape {shape}{beside}: {first_line(error)}"
        ) from error
    patches = _require_scores(one_tensor(logits, "discriminator"))
    build, inputs = trial.build, probes
    if condition is not None and labels is not None:
        inputs = condition.join(probes.flatten(1), labels)
    if patches or condition is not None:
        build = partial(_scoring, trial.build, shape, condition)
    module = trial.module if build is trial.build else fresh(build).to(trial.dtype)
    remarks += look_over(module, inputs, "discriminator")
    for name, part in module.named_modules(remove_duplicate=False):
        without = partial(_without, build, name)
        if isinstance(part, nn.Sigmoid) and _is_sigmoid_of(build, without, inputs):
            remarks.append("the discriminator ends in a sigmoid, which is left out: losses here take logits")
            return without
    bounds = extent(build, _loud(inputs, condition), trial.dtype)
    if _is_share(logits) and bounds == (0.0, 1.0):
        raise ValueError(
            "discriminator gives probabilities, its outputs stay between 0 and 1; losses here take logits: return what "
            "goes into the sigmoid"
        )
    if bounds is not None:
        low, high = bounds
        one_side = "at 0 or above" if low == 0 else "at 0 or below"
        stay = f"between {low:g} and {high:g}" if math.isfinite(high - low) else one_side
        remarks.append(
            f"the discriminator's scores stay {stay}: losses here take logits, which lie on both sides of 0 without "
            "bounds; leave its last activation out"
        )
    return build


def _loud(inputs: Tensor, condition: Condition | None) -> Tensor:
    """Scales inputs by ten, and leaves labels as they are."""
    if condition is None:
        return 10 * inputs
    return torch.cat([10 * condition.values_of(inputs), inputs[:, -condition.size :]], 1)


def _require_scores(logits: Tensor) -> bool:
    """Returns whether the output is a map of logits per sample instead of one; raises ValueError if it is neither."""
    each = tuple(logits.shape[1:])
    if logits.numel() == PROBES:
        return False
    if logits.dim() == 0 or len(logits) != PROBES:
        raise ValueError(f"discriminator gives {tuple(logits.shape)} for {PROBES} samples; one logit each is needed")
    if len(each) > 1 and (each[0] == 1 or each[-1] == 1):
        return True
    advice = "one logit is needed, or a map of them with one channel: (1, H, W), (T, 1)"
    if each == (2,):
        advice += "; of two classes, return their difference: l[:, 1] - l[:, 0]"
    raise ValueError(f"discriminator gives {each} for a sample; {advice}")


def _without(build: Build, name: str) -> nn.Module:
    module = build()
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return module


def _is_sigmoid_of(whole: Build, without: Build, probes: Tensor) -> bool:
    """Returns whether the removed module was the last step, so that it only applied a sigmoid to the outputs."""
    outputs = []
    for build in (whole, without):
        with seeded(0):  # drawn weights and dropout alike
            outputs.append(build().to(probes.dtype)(probes).flatten())
    return torch.allclose(outputs[0], torch.sigmoid(outputs[1]), rtol=0, atol=1e-5)


def _is_share(outputs: Tensor) -> bool:
    return bool(((outputs >= 0) & (outputs <= 1)).all())
