"""Conditional GANs in the engine's form: each label travels as numbers behind its latent and behind its sample.

The engine differentiates, penalises and interpolates whole samples and knows nothing of labels. A real sample and the
generated one beside it in the batch share their label, so that points between the two have it, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Condition:
    """The label of a sample that both players are given."""

    shape: tuple[int, ...]
    """Of one label: () for a class."""
    dtype: torch.dtype
    """int64 or float32, as the players are given them."""
    classes: tuple[int, ...] = ()
    """Numbers of the classes, where labels are classes."""

    @classmethod
    def of(cls, labels: Tensor) -> Condition:
        """Describes labels (count, *shape)."""
        single = labels.dim() == 1 and labels.dtype == torch.int64
        return cls(tuple(labels.shape[1:]), labels.dtype, tuple(labels.unique().tolist()) if single else ())

    @property
    def size(self) -> int:
        """Numbers of one label."""
        return math.prod(self.shape)

    def join(self, values: Float[Tensor, "*lead V"], labels: Tensor) -> Float[Tensor, "*lead W"]:
        """Puts labels (*lead, *shape) behind flat values."""
        return torch.cat([values, labels.reshape(*values.shape[:-1], self.size).to(values.dtype)], -1)

    def labels_of(self, joined: Float[Tensor, "B W"]) -> Tensor:
        """Reads the labels (B, *shape) back; no gradient goes through them."""
        numbers = joined[:, -self.size :].detach()
        numbers = numbers.round().long() if self.dtype == torch.int64 else numbers
        return numbers.reshape(-1, *self.shape)

    def values_of(self, joined: Float[Tensor, "*lead W"]) -> Float[Tensor, "*lead V"]:
        """Reads the flat values back."""
        return joined[..., : -self.size]

    def examples(self, labels: Tensor, count: int) -> Tensor:
        """Picks labels to try a module on, the least and the greatest class among them."""
        if self.classes:
            labels = torch.tensor([self.classes[0], self.classes[-1]])
        return labels[torch.arange(count) % len(labels)]


class ConditionalGenerator(nn.Module):
    """A generator `player(latents, labels)`: latents with labels (B, Z + L) to flat samples with the labels.

    Args:
        player: The user's own module.
        latents: Shape of the latents that it takes.
        condition: Its labels.
    """

    def __init__(self, player: nn.Module, latents: tuple[int, ...], condition: Condition):
        super().__init__()
        self.player, self.latents, self._condition = player, latents, condition

    def forward(self, joined: Float[Tensor, "B W"]) -> Float[Tensor, "B V"]:
        """Flat samples, each with its label behind it."""
        latents = self._condition.values_of(joined).reshape(-1, *self.latents)
        labels = self._condition.labels_of(joined)
        return self._condition.join(
            self.player(latents, labels).flatten(1), joined[:, -self._condition.size :].detach()
        )


class ScoringForm(nn.Module):
    """A discriminator `player(samples)` or `player(samples, labels)`, whose scores come as one vector (B * patches,).

    The loss averages over whatever scores there are, so that it averages over patches as over samples.

    Args:
        player: The user's own module.
        shape: Of a sample.
        condition: Its labels, which lie behind flat samples; None if it takes samples alone, as they are.
    """

    def __init__(self, player: nn.Module, shape: tuple[int, ...], condition: Condition | None):
        super().__init__()
        self.player, self._shape, self._condition = player, shape, condition

    def forward(self, samples: Tensor) -> Float[Tensor, " S"]:
        """All scores of the batch, sample after sample."""
        if self._condition is None:
            return self.player(samples).flatten()
        flat, labels = self._condition.values_of(samples), self._condition.labels_of(samples)
        return self.player(flat.reshape(-1, *self._shape), labels).flatten()


def own_module(module: nn.Module) -> nn.Module:
    """Returns the user's own module inside the engine's form of it."""
    return module.player if isinstance(module, (ConditionalGenerator, ScoringForm)) else module
