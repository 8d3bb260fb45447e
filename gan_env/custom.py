"""A user's own GAN as a task: any two modules, any data, any measure of quality, brought into the engine's form."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from gan_env.datasets import FLOOR_SEED, SPLIT_SEED, ArrayData

LEAST_SAMPLES = 20
QUALITY_SAMPLES = 400
DIRECTIONS = 64

Distance = Callable[[Tensor, Tensor], float]
"""A measure of quality: `distance(real, fake)` of samples (M, *shape) each; lower is better."""


# -- data ---------------------------------------------------------------------------------------------------------


def as_data(data: Any) -> ArrayData:
    """Samples of any kind, split into training, validation and test samples by a fixed shuffle.

    Args:
        data: A tensor or array (count, *shape), a `Dataset` with a length (of samples, or of tuples that begin with
            one), or the path of a folder of pictures, read at 64 x 64. Bytes 0...255 become -1...1; other numbers
            are taken as they are. A seventh is held out for validation and a seventh for the test, 1,000 at most.

    Raises:
        ValueError: If it is none of these, holds fewer than 20 samples, or a number that is not finite.
    """
    if isinstance(data, (str, Path)):
        from gan_env.pictures import picture_data

        return picture_data("folder", str(data), 64)
    samples = _stacked(data)
    if len(samples) < LEAST_SAMPLES or samples.dim() < 2:
        raise ValueError(
            f"data hold {len(samples)} samples in a shape of {tuple(samples.shape)}; at least {LEAST_SAMPLES} are "
            "needed, as (count, *shape of one)"
        )
    if samples.dtype != torch.uint8:
        samples = samples.float()
        bad = int((~torch.isfinite(samples)).flatten(1).any(1).sum())
        if bad:
            raise ValueError(f"{bad} of {len(samples)} samples hold NaN or infinity")
    held = min(1_000, max(len(samples) // 7, 5))
    samples = samples[torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(samples)))]
    return ArrayData(samples[2 * held :], samples[:held], samples[held : 2 * held])


def _stacked(data: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data.detach().cpu()
    if isinstance(data, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(data))
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise ValueError(
            f"data={type(data).__name__} is not known; give a tensor or array (count, *shape), a Dataset with a length"
            ", a folder of pictures, or an object like gan_env.task.Data"
        )
    found = []
    for i in range(len(data)):
        item = data[i]
        item = item[0] if isinstance(item, (tuple, list)) else item
        if not isinstance(item, (Tensor, np.ndarray)):
            raise ValueError(
                f"sample {i} of the data set is a {type(item).__name__}, not a tensor; give the data set a transform, "
                "e.g. torchvision.transforms.ToTensor()"
            )
        found.append(torch.as_tensor(item))
        if found[0].shape != found[-1].shape:
            raise ValueError(
                f"sample {i} has shape {tuple(found[-1].shape)}, sample 0 {tuple(found[0].shape)}; they must agree"
            )
    return torch.stack(found) if found else torch.empty(0)


# -- quality ------------------------------------------------------------------------------------------------------


def sliced_distance(real: Float[Tensor, "M ..."], fake: Float[Tensor, "K ..."]) -> float:
    """Mean W1 of the samples' projections on 64 fixed directions, in data units; for sets of any two sizes."""
    x, y = (samples.detach().cpu().flatten(1).double() for samples in (real, fake))
    directions = torch.from_numpy(np.random.default_rng(FLOOR_SEED).standard_normal((x.shape[1], DIRECTIONS)))
    directions = directions / directions.norm(dim=0)
    places = (torch.arange(1_000, dtype=torch.float64) + 0.5) / 1_000
    ours, theirs = (torch.quantile(samples @ directions, places, dim=0) for samples in (x, y))
    return float((ours - theirs).abs().mean())


class CallableQuality:
    """A distance of one row's samples to the validation split, row after row."""

    def __init__(self, data: Any, distance: Distance, untrained: Callable[[int], Tensor]):
        self.data, self.distance, self._untrained = data, distance, untrained
        self.name = getattr(distance, "__name__", type(distance).__name__)
        self.samples = min(QUALITY_SAMPLES, len(data.validation()))

    @cached_property
    def worst(self) -> float:
        """What an untrained generator gets."""
        found = float(self.distance(self.data.validation(), self._untrained(self.samples)))
        if not np.isfinite(found):
            raise ValueError(
                f"quality {self.name} of an untrained generator is {found}; a finite number is needed, lower is better"
            )
        return max(found, 1e-9)

    def __call__(self, fake: Float[Tensor, "N M ..."]) -> Float64[Tensor, " N"]:
        """Distances; `worst` for a row whose distance or samples are not finite."""
        found = torch.full((len(fake),), self.worst, dtype=torch.float64)
        for row, samples in enumerate(fake.detach()):
            if torch.isfinite(samples).all():
                value = float(self.distance(self.data.validation(), samples.cpu().float()))
                found[row] = value if np.isfinite(value) else self.worst
        return found.to(fake.device)


class CallableScore:
    """The same distance to the test split, for one generator."""

    def __init__(self, data: Any, distance: Distance):
        self.data, self.distance = data, distance
        self.name = getattr(distance, "__name__", type(distance).__name__)
        self.samples = len(data.test())

    def __call__(self, fake: Float[Tensor, "M ..."]) -> float:
        """The distance; raises ValueError if a sample is not finite, or the count is wrong."""
        from gan_env import metrics

        if len(fake) != self.samples:
            raise ValueError(f"{self.samples} generated samples are needed, got {len(fake)}")
        metrics.require_finite(fake)
        return float(self.distance(self.data.test(), fake.detach().cpu().float()))

    def floor(self) -> float:
        """The distance for the validation samples."""
        return float(self.distance(self.data.test(), self.data.validation()))

    def details(self, fake: Tensor) -> dict[str, float]:
        """The count of samples."""
        return {"samples": float(len(fake))}


# -- players ------------------------------------------------------------------------------------------------------


def _shaped(shape: tuple[int, ...], module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].reshape(-1, *shape), *inputs[1:])


def _with_latents(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> nn.Module:
    module = build()
    module.register_forward_pre_hook(partial(_shaped, shape))
    return module


def _without_sigmoid(build: Callable[[], nn.Module]) -> nn.Module:
    module = build()
    name = [n for n, m in module.named_modules() if not list(m.children())][-1]
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return module


def _built(build: Callable[[], nn.Module], role: str) -> nn.Module:
    if isinstance(build, nn.Module):
        raise ValueError(
            f"{role} is a module; give the class or function that builds one, for every row and episode starts from "
            f"fresh weights: {role}=lambda: {type(build).__name__}(...)"
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        module = build()
    if not isinstance(module, nn.Module):
        raise ValueError(f"{role}() gave a {type(module).__name__}, not a torch.nn.Module")
    noisy = [type(m).__name__ for m in module.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
    if noisy:
        warnings.warn(
            f"{role} holds {noisy[0]}, which draws from torch's global generator: its results depend on more than the "
            "row's seed",
            stacklevel=5,
        )
    return module


@torch.no_grad()
def fitted_generator(
    build: Callable[[], nn.Module], latent_size: int | tuple[int, ...], shape: tuple[int, ...]
) -> Callable[[], nn.Module]:
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
        except (RuntimeError, ValueError) as error:
            errors.append(str(error).splitlines()[0])
            continue
        if made.shape[1:] != shape:
            raise ValueError(f"generator makes samples of shape {tuple(made.shape[1:])}; the data's are {shape}")
        return build if latents == (size,) else partial(_with_latents, build, latents)
    raise ValueError(f"generator does not take latents of shape (B, {tried[0][0]}): {errors[0]}; set latent_size")


@torch.no_grad()
def fitted_discriminator(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Callable[[], nn.Module]:
    """A builder of discriminators that give one logit a sample; a sigmoid at the end is left out, with a warning.

    Raises:
        ValueError: If the module does not take samples of the data's shape, or gives more than one number for each.
    """
    module = _built(build, "discriminator")
    try:
        logits = module(torch.zeros(2, *shape))
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"discriminator does not take samples of the data's shape {shape}: {reason}") from error
    if logits.numel() != 2:
        raise ValueError(f"discriminator gives {tuple(logits.shape[1:])} for a sample; one logit is needed")
    leaves = [m for m in module.modules() if not list(m.children())]
    if leaves and leaves[-1] is not module and isinstance(leaves[-1], nn.Sigmoid):
        warnings.warn("the discriminator ends in a sigmoid, which is left out: losses here take logits", stacklevel=4)
        return partial(_without_sigmoid, build)
    return build


@torch.no_grad()
def untrained_samples(build: Callable[[], nn.Module], latent_size: int, count: int) -> Tensor:
    """Samples of a generator with fresh weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build()(torch.randn(count, latent_size))
