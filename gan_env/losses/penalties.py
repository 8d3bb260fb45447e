"""Gradient penalties of the discriminator, and gradient normalisation: functions of ∇f, the logit's input gradient.

Each is defined once, as a function of logits and squared gradient norms. Autograd differentiates it through any
discriminator (double backward); `players.batched_mlp_gradients` implements the gradient explicitly for plain MLPs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Discriminator = Callable[[Tensor], Tensor]
"""Maps samples (n, B, *shape) to logits (n, B), twice differentiable."""
TINY = 1e-24
"""Lower bound of squared norms before the root, whose derivative is unbounded at 0."""


class InputGradient(NamedTuple):
    """The logits of a batch of each row, and the squared norm of the logit's gradient in each sample."""

    logits: Float[Tensor, "n B"]
    squared_norm: Float[Tensor, "n B"]
    """‖∇f‖², the gradient with respect to each sample."""


def input_gradient_at(discriminator: Discriminator, samples: Tensor) -> InputGradient:
    """Differentiates the logits in the samples by autograd; the result is differentiable in the weights.

    If a sample has several logits (patches), f is their mean.
    """
    if not samples.requires_grad:
        samples = samples.detach().requires_grad_()
    logits = discriminator(samples)
    if logits.shape[1] != samples.shape[1]:
        logits = logits.unflatten(1, (samples.shape[1], -1)).mean(-1)
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return InputGradient(logits, gradient.flatten(2).square().sum(-1))


Points = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""Maps (real, fake, mix (n, B) in [0, 1)) to the batches, each (n, B, *shape), on which a penalty is evaluated."""


class InputGradientPenalty:
    """A penalty on ∇f: called as `losses.Penalty`, (discriminator, real, fake, mix) to one number a row, (n,).

    Args:
        points: Selects the batches on which the penalty is evaluated.
        value: Computes the penalty (n,) from the `InputGradient` of each batch; its docstring becomes the penalty's.
    """

    def __init__(self, points: Points, value: Callable[..., Float[Tensor, " n"]]):
        self.points, self.value = points, value
        self.__doc__ = value.__doc__

    def __call__(self, discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor) -> Float[Tensor, " n"]:
        """Computes the penalty, unweighted, differentiable in D's weights."""
        return self.value(*(input_gradient_at(discriminator, batch) for batch in self.points(real, fake, mix)))


def _on(points: Points) -> Callable[[Callable[..., Tensor]], InputGradientPenalty]:
    return lambda value: InputGradientPenalty(points, value)


def _between(real: Tensor, fake: Tensor, mix: Tensor) -> tuple[Tensor, ...]:
    return (fake + mix.reshape(*mix.shape, *[1] * (real.dim() - 2)) * (real - fake),)


@_on(_between)
def gradient_penalty(between: InputGradient) -> Float[Tensor, " n"]:
    """E (‖∇f(x̃)‖ − 1)², x̃ between a fake (mix 0) and a real (mix 1) point. Gulrajani et al. 2017, eq. 3."""
    return (between.squared_norm.clamp_min(TINY).sqrt() - 1).square().mean(-1)


@_on(lambda real, fake, mix: (real, fake))
def js_penalty(real: InputGradient, fake: InputGradient) -> Float[Tensor, " n"]:
    """½ {E (1 − σ(f))² ‖∇f‖² over real + E σ(f)² ‖∇f‖² over fake}. Roth et al. 2017, arXiv:1705.09367, eq. 21."""
    on_real = (torch.sigmoid(-real.logits).square() * real.squared_norm).mean(-1)
    return (on_real + (torch.sigmoid(fake.logits).square() * fake.squared_norm).mean(-1)) / 2


@_on(lambda real, fake, mix: (real,))
def r1_penalty(real: InputGradient) -> Float[Tensor, " n"]:
    """½ E ‖∇f‖² over real data. Mescheder et al. 2018, arXiv:1801.04406, eq. 9."""
    return real.squared_norm.mean(-1) / 2


@_on(lambda real, fake, mix: (fake,))
def r2_penalty(fake: InputGradient) -> Float[Tensor, " n"]:
    """½ E ‖∇f‖² over generated data. Mescheder et al. 2018, arXiv:1801.04406, eq. 10."""
    return fake.squared_norm.mean(-1) / 2


@_on(lambda real, fake, mix: (real, fake))
def r1_r2_penalty(real: InputGradient, fake: InputGradient) -> Float[Tensor, " n"]:
    """½ {E ‖∇f‖² over real data + E ‖∇f‖² over generated data}. Huang et al. 2024, arXiv:2501.05441, section 2."""
    return (real.squared_norm.mean(-1) + fake.squared_norm.mean(-1)) / 2


@dataclass(frozen=True)
class GradientNormalisation:
    """K f ‖∇f‖ / (‖∇f‖² + ε), the gradient taken in the samples. GraN-GAN, Bhaskara et al. 2022, arXiv:2111.03162."""

    eps: float = 0.1
    """ε; the thesis does not state it, this is the original code's value as far as known."""

    def __call__(self, at: InputGradient, coefficient: float) -> Float[Tensor, "n B"]:
        """Computes the normalised logits; `coefficient` is K."""
        return coefficient * at.logits * at.squared_norm.clamp_min(TINY).sqrt() / (at.squared_norm + self.eps)


def bounded_normalisation(at: InputGradient, coefficient: float) -> Float[Tensor, "n B"]:
    """K f / (‖∇f‖ + |f|), which lies between −K and K. Wu et al. 2021, arXiv:2109.02235, with K = 1."""
    return coefficient * at.logits / (at.squared_norm.clamp_min(TINY).sqrt() + at.logits.abs())
