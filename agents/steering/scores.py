"""Reads what a training loop hands to `Steer`: scores of any usual shape, and losses as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.losses.losses import Loss


@dataclass(frozen=True)
class Scores:
    """Scores of one batch: one flat tensor for each discriminator or scale."""

    outputs: tuple[Float[Tensor, "1 _"], ...]

    def reflected(self, total: float) -> Scores:
        """Replaces each score f by `total` - f."""
        return Scores(tuple(total - output for output in self.outputs))

    @property
    def logits(self) -> Float[Tensor, "1 B"]:
        """All scores in one row, those of smaller outputs repeated so that each output has the same share."""
        if len(self.outputs) == 1:
            return self.outputs[0]
        size = max(output.shape[-1] for output in self.outputs)
        return torch.cat([output[:, torch.arange(size) * output.shape[-1] // size] for output in self.outputs], -1)


def mean_terms(loss: Loss, real: Scores, fake: Scores) -> tuple[Tensor, Tensor, Tensor]:
    """Averages G's loss and D's two losses over all scores of each output, then over the outputs, (1,) each.

    Each output has the same weight. Raises ValueError if a loss of pairs is given scores without a partner.
    """
    if not loss.paired:
        terms = (loss.generator, fake), (loss.real, real), (loss.fake, fake)
        return tuple(torch.stack([of(o).mean(-1) for o in scores.outputs]).mean(0) for of, scores in terms)  # type: ignore[return-value]
    shapes = [[output.shape[-1] for output in scores.outputs] for scores in (real, fake)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"loss={loss.name!r} compares the scores by pairs, but real_logits hold {shapes[0]} and fake_logits "
            f"{shapes[1]}; give as many of both"
        )
    each = [loss.terms(r, f) for r, f in zip(real.outputs, fake.outputs, strict=True)]
    return tuple(torch.stack([term.mean(-1) for term in terms]).mean(0) for terms in zip(*each, strict=True))  # type: ignore[return-value]


def read_scores(name: str, given: Any) -> Scores:
    """Reads scores of one discriminator (a tensor) or of several (a list of tensors).

    Args:
        name: What errors call the argument.
        given: One score a sample, (B,) or (B, 1, ...); scores of patches, (B, 1, H, W), (B, H, W, 1), (B, 1, T) or
            (B, T, 1); or a list of these. In a list, (B, T) of differing T > 2 are patches, too.

    Raises:
        ValueError: If it is anything else, such as classes; the message names the way out.
    """
    if not isinstance(given, (list, tuple)):
        return Scores((_flat(name, given),))
    inner = [(f"{name}[{i}]", *_alone(each)) for i, each in enumerate(given)]
    if not inner:
        raise ValueError(f"{name} is empty; give a tensor of scores, or a list with one for each discriminator")
    tensors = [(place + suffix, each) for place, suffix, each in inner]
    if isinstance(given, tuple) and len(given) > 1 and any(_is_one_a_sample(each) for _, each in tensors):
        raise ValueError(
            f"{name} is a tuple; give the scores alone, e.g. {name}[0], or list({name}) if each of its "
            f"{len(given)} tensors holds scores that enter the loss"
        )
    lengths = [each.shape[1] for _, each in tensors if isinstance(each, Tensor) and each.ndim == 2]
    over_time = len(lengths) == len(tensors) and min(lengths) > 2 and len(set(lengths)) > 1  # as HiFi-GAN's scales
    flat = [_flat(place, each[:, None] if over_time else each) for place, each in tensors]
    dtype = torch.float64 if all(each.dtype == torch.float64 for each in flat) else torch.float32
    return Scores(tuple(each.to(dtype) for each in flat))


def read_number(name: str, value: Any) -> float | None:
    """Reads a loss that the loop gives; raises ValueError unless it is None, a number or a tensor with one number."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; give one number, the mean over the batch")
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}={value!r} must be a number or a tensor with one number")
    return float(value)


def _alone(given: Any) -> tuple[str, Any]:
    """Takes a tensor out of lists that hold nothing else, as pix2pixHD's; returns the index text and the tensor."""
    suffix = ""
    while isinstance(given, (list, tuple)) and len(given) == 1:
        given, suffix = given[0], suffix + "[0]"
    return suffix, given


def _is_one_a_sample(given: Any) -> bool:
    return isinstance(given, Tensor) and given.ndim > 0 and given.numel() == given.shape[0]


def _are_patches(shape: torch.Size) -> bool:
    """Whether every number of this shape is a score: the channel, first or last, has size 1."""
    if len(shape) < 3:
        return False
    last = shape[-1] == 1 and 1 not in shape[1:-1]
    return shape[1] == 1 or (last and (len(shape) > 3 or shape[1] > 2))


def _flat(name: str, logits: Any) -> Tensor:
    """Scores as (1, M) on the CPU, in single or double precision."""
    if isinstance(logits, (list, tuple)):
        raise ValueError(
            f"{name} holds {len(logits)} entries; give one tensor of scores for each discriminator. Where a "
            f"discriminator returns its features too, the scores are its last output, {name}[-1]"
        )
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = f"a tensor of {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"{name} is {got}; give D's scores before any sigmoid, as a tensor of floating-point numbers or a list of "
            "such tensors"
        )
    if logits.ndim == 0 or not logits.numel():
        raise ValueError(f"{name} has shape {tuple(logits.shape)}; give the scores themselves, not their mean")
    if not _is_one_a_sample(logits) and not _are_patches(logits.shape):
        raise ValueError(_advice(name, logits.shape))
    flat = logits.detach().reshape(1, -1).cpu()  # one transfer; controllers are cheap
    return flat if flat.dtype in (torch.float32, torch.float64) else flat.float()


def _advice(name: str, shape: torch.Size) -> str:
    few = f"{name} has shape {tuple(shape)}; give one score a sample, (B,) or (B, 1), or of each patch, (B, 1, H, W)"
    patches = f"if all numbers are scores that enter the loss, give {name}[:, None]"
    if shape[1] == 2:
        difference = "logits[:, 1] - logits[:, 0]"
        if len(shape) > 2:
            difference = f"({difference})[:, None]"
        return f"{few}. Of two classes give the difference, {difference} where class 1 is real; {patches}"
    return f"{few}. If these are classes or features, give the score of real against generated alone; {patches}"
