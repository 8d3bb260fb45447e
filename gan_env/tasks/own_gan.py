"""Converts a user's modules, data and distance to the fields of a task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gan_env.tasks import from_modules
from gan_env.tasks.condition import Condition
from gan_env.tasks.from_data import OwnData, range_remark
from gan_env.tasks.judges import held_labels, judges, spread
from gan_env.tasks.module_checks import start_remarks
from gan_env.tasks.protocols import Data
from gan_env.tasks.trial import Trial, takes_labels


@dataclass(frozen=True, kw_only=True)
class OwnGAN:
    """Players and data that fit each other."""

    generator: Callable[[], nn.Module]
    """Builds modules of flat latents, followed by labels in a conditional GAN, see `condition`."""
    discriminator: Callable[[], nn.Module]
    data: Data
    latent_size: int
    condition: Condition | None
    remarks: tuple[str, ...]
    """Warnings for the user."""

    def untrained(self, count: int) -> Tensor:
        """Returns samples of a fresh generator; for a conditional GAN with the validation split's labels."""
        labels = None if self.condition is None else held_labels(self.data, 1)
        labels = None if labels is None else spread(labels, count)
        return from_modules.untrained_samples(
            self.generator, self.latent_size, self.data.shape, self.condition, count, labels
        )

    def judges(self, quality: Any, score: Any) -> tuple[Any, Any]:
        """Makes a `Quality` and a `Score`, see `judges.judges`."""
        return judges(self.data, quality, score, self.untrained, labelled=self.condition is not None)


def fitted(
    generator: Any,
    discriminator: Any,
    data: Any,
    *,
    latent_size: int | tuple[int, ...],
    conditional: bool | None,
    dtype: torch.dtype,
) -> OwnGAN:
    """Tries both modules on the data and returns them wrapped for the engine.

    Args:
        generator: Builds the user's generator.
        discriminator: Builds the user's discriminator.
        data: As `OwnData` takes them.
        latent_size: Dimension or shape of the latents.
        conditional: Whether the players take labels; None leaves it to their `forward`.
        dtype: Precision of training.

    Raises:
        ValueError: If an argument does not fit the others; the message names it.
    """
    own, remarks = OwnData(data), []
    g, d = (Trial.of(*each, dtype) for each in ((generator, "generator"), (discriminator, "discriminator")))
    if conditional is None and g.latents is not None:  # it was one in another task
        conditional = True
    labelled = takes_labels(g, d, conditional, own.labels, own.why_no_labels)
    if conditional is None and not labelled and own.labels is not None and g.offers_labels and d.offers_labels:
        remarks.append(
            "the data hold labels, which the players take but do not need: they train without; conditional=True gives "
            "labels to both, conditional=False ends this warning"
        )
    example = _examples(own.labels) if labelled else None
    latents, made = from_modules.tried_latents(g, latent_size, example)
    if own.shape is not None:
        from_modules.require_shape(made, own.shape)
    split = own.split(made, labelled=labelled)
    from_modules.require_shape(made, split.shape)  # a folder's options may name another size
    condition, labels = None, None
    if labelled:
        labels = held_labels(split, 0)
        assert labels is not None
        condition = Condition.of(labels)
        labels = condition.examples(labels, from_modules.PROBES)
        from_modules.tried_latents(g, latents, labels)  # the greatest class, too
    build_g = from_modules.fitted_generator(g, latents, condition, labels, remarks)
    build_d = from_modules.fitted_discriminator(d, split.shape, condition, labels, remarks)
    size = math.prod(latents)
    if condition is not None:
        remarks += _unjudged(split)
    if not isinstance(data, Data):
        remarks += [*start_remarks(build_g, "generator"), *start_remarks(build_d, "discriminator")]
        bounds = from_modules.generator_extent(build_g, size, condition, labels, dtype)
        remarks += [remark] if (remark := range_remark(split, bounds)) else []
    return OwnGAN(
        generator=build_g,
        discriminator=build_d,
        data=split,
        latent_size=size,
        condition=condition,
        remarks=tuple(remarks),
    )


def _unjudged(split: Data) -> list[str]:
    """Returns a warning if a class is too rare to be held out."""
    train, _, test = (held_labels(split, part) for part in range(3))
    if train is None or test is None or train.dim() > 1 or train.dtype != torch.int64:
        return []
    missing = sorted(set(train.tolist()) - set(test.tolist()))
    if not missing:
        return []
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return [
        f"classes {', '.join(map(str, missing[:5]))}{more} have too few samples to hold one out: they are trained, but "
        "not judged"
    ]


def _examples(labels: Tensor | None) -> Tensor | None:
    """Returns the first labels, as many as a module is tried on."""
    if labels is None:
        return None
    return labels[torch.arange(from_modules.PROBES) % len(labels)]
