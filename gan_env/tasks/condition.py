"""Conditional GANs in the engine's form: each label is appended as numbers to its latent and to its sample.

The engine differentiates, penalises and interpolates whole samples and does not know about labels. A real sample and
the generated one at the same place of the batch share their label, so that points between the two have it, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Condition:
    """Describes the label that both players are given with a sample."""

    shape: tuple[int, ...]
    """Shape of one label: () for a class."""
    dtype: torch.dtype
    """Type in which the players are given labels: int64 or float32."""
    classes: tuple[int, ...] = ()
    """Numbers of the classes, if labels are classes."""

    @classmethod
    def of(cls, labels: Tensor) -> Condition:
        """Makes the description of labels (count, *shape)."""
        single = labels.dim() == 1 and labels.dtype == torch.int64
        return cls(tuple(labels.shape[1:]), labels.dtype, tuple(labels.unique().tolist()) if single else ())

    @property
    def size(self) -> int:
        """Count of numbers of one label."""
        return math.prod(self.shape)

    def join(self, values: Float[Tensor, "*lead V"], labels: Tensor) -> Float[Tensor, "*lead W"]:
        """Appends labels (*lead, *shape) to flat values."""
        return torch.cat([values, labels.reshape(*values.shape[:-1], self.size).to(values.dtype)], -1)

    def labels_of(self, joined: Float[Tensor, "B W"]) -> Tensor:
        """Extracts the labels (B, *shape); no gradient flows through them."""
        numbers = joined[:, -self.size :].detach()
        numbers = numbers.round().long() if self.dtype == torch.int64 else numbers
        return numbers.reshape(-1, *self.shape)

    def values_of(self, joined: Float[Tensor, "*lead W"]) -> Float[Tensor, "*lead V"]:
        """Extracts the flat values."""
        return joined[..., : -self.size]

    def examples(self, labels: Tensor, count: int) -> Tensor:
        """Selects labels to try a module on, including the lowest and the highest class."""
        if self.classes:
            labels = torch.tensor([self.classes[0], self.classes[-1]])
        return labels[torch.arange(count) % len(labels)]


class ConditionalGenerator(nn.Module):
    """Wraps a generator `player(latents, labels)`: maps latents with labels (B, Z + L) to flat samples with the labels.

    Args:
        player: The user's own module.
        latents: Shape of the latents that it takes.
        condition: Description of the labels.
    """

    def __init__(self, player: nn.Module, latents: tuple[int, ...], condition: Condition):
        super().__init__()
        self.player, self.latents, self._condition = player, latents, condition

    def forward(self, joined: Float[Tensor, "B W"]) -> Float[Tensor, "B V"]:
        """Returns flat samples, each followed by its label."""
        latents = self._condition.values_of(joined).reshape(-1, *self.latents)
        labels = self._condition.labels_of(joined)
        return self._condition.join(
            self.player(latents, labels).flatten(1), joined[:, -self._condition.size :].detach()
        )


class ScoringForm(nn.Module):
    """Wraps a discriminator `player(samples)` or `player(samples, labels)`; returns logits as a vector (B * patches,).

    The loss averages over all logits, so that it averages over patches as over samples.

    Args:
        player: The user's own module.
        shape: Shape of a sample.
        condition: Description of the labels, which are appended to flat samples; None if it takes only samples.
    """

    def __init__(self, player: nn.Module, shape: tuple[int, ...], condition: Condition | None):
        super().__init__()
        self.player, self._shape, self._condition = player, shape, condition

    def forward(self, samples: Tensor) -> Float[Tensor, " S"]:
        """Returns all logits of the batch, sample after sample."""
        if self._condition is None:
            return self.player(samples).flatten()
        flat, labels = self._condition.values_of(samples), self._condition.labels_of(samples)
        return self.player(flat.reshape(-1, *self._shape), labels).flatten()


def own_module(module: nn.Module) -> nn.Module:
    """Returns the user's own module from its wrapper."""
    return module.player if isinstance(module, (ConditionalGenerator, ScoringForm)) else module
