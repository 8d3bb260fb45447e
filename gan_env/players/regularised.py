"""Discriminators with gradient normalisation, spectral norm or a gradient penalty.

For piecewise linear MLPs `batched_mlp_gradients` implements the gradients explicitly; all others use autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.losses.losses import Loss, Penalty
from gan_env.losses.penalties import InputGradient, InputGradientPenalty, input_gradient_at
from gan_env.players.batched_mlp import MLPPlayers
from gan_env.players.batched_mlp_gradients import GradientNormalisedPlayers, penalty_gradient
from gan_env.players.batched_modules import AutogradPlayers
from gan_env.players.players import Asked, Buffers, Pair, Players, Rows


def as_trained(players: Players, loss: Loss, matrices: list[tuple[int, int, int]]) -> Players:
    """Wraps discriminators in the regulariser of their loss; returns them as they are if there is none.

    `matrices` are the places of the weight matrices, see `spectral_norm.weight_matrices`.
    """
    reparametrise, normalise, coefficient = loss.reparametrise, loss.normalise, loss.coefficient
    if reparametrise is not None:
        players = ReparametrisedPlayers(players, lambda flat: reparametrise(flat, matrices))
    if normalise is not None:
        players = gradient_normalised(players, lambda at: normalise(at, coefficient))
    return players


def gradient_normalised(players: Players, normalise: Callable[[InputGradient], Tensor]) -> Players:
    """Replaces the logits by a function of logits and input gradients; buffers stay those of `players`."""
    if isinstance(players, MLPPlayers) and players.piecewise_linear:
        return GradientNormalisedPlayers(players, normalise)

    def stateful(flat: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        states = []

        def discriminator(samples: Tensor) -> Tensor:
            out, state = players.stateful(flat, samples)
            states.append(state)
            return out

        return normalise(input_gradient_at(discriminator, samples)), states[-1]

    return AutogradPlayers(players.flat, stateful, players.weights)


def penalised(
    players: Players,
    penalty: Penalty,
    flat: Float[Tensor, "n P"],
    seen: tuple[Tensor, Tensor, Tensor],
    scratch: Buffers,
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n P"]]:
    """Computes a penalty (n,) and its weight gradient (n, P); `seen` is (real, fake, mix)."""
    if isinstance(penalty, InputGradientPenalty) and isinstance(players, MLPPlayers) and players.piecewise_linear:
        return penalty_gradient(players, penalty, flat, seen, scratch)
    with torch.enable_grad():
        leaf = flat.detach().requires_grad_()
        value = penalty(lambda samples: players.functional(leaf, samples), *seen)
        (grad,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), grad


class ReparametrisedPlayers:
    """Players that run on a differentiable function of their weights, and are differentiated through it.

    The function is evaluated once per pass, for all of its gradients.
    """

    def __init__(self, players: Players, reparametrise: Callable[[Tensor], Tensor]):
        self.flat, self.weights = players.flat, players.weights
        self._players, self._reparametrise = players, reparametrise

    def over(self, flat: Float[Tensor, "M P"]) -> ReparametrisedPlayers:
        """See Players."""
        return ReparametrisedPlayers(self._players.over(flat), self._reparametrise)

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """See Players."""
        made = _Made(flat, self._reparametrise, buffers)
        out, tape = self._players.forward(made.held, inputs, buffers)
        return out, (made, tape)

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        made, inner = tape
        found, at_input = self._players.backward(inner, grad, buffers, asked)
        return None if found is None else made.gradient(found, asked.rows, self.weights), at_input

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """See Players."""
        return self._players.functional(self._reparametrise(flat), inputs)

    def stateful(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> tuple[Tensor, Float[Tensor, "n S"]]:
        """See Players."""
        return self._players.stateful(self._reparametrise(flat), inputs)

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> Pair:
        """See Players."""
        made = _Made(flat, self._reparametrise, buffers)
        return _ReparametrisedPair(made, self._players.pair(made.held, real, fake, buffers), self.weights)


class _Made:
    """Weights computed from others, stored for their gradient."""

    def __init__(self, flat: Float[Tensor, "n P"], reparametrise: Callable[[Tensor], Tensor], buffers: Buffers):
        self._home = flat
        with torch.enable_grad():
            self._leaf = flat.detach().requires_grad_()
            self._made = reparametrise(self._leaf)
        self.held = buffers.get("reparametrised", flat.shape, flat).copy_(self._made.detach())

    def gradient(self, grad: Float[Tensor, "m P"], rows: Rows, weights: int) -> Float[Tensor, "m P"]:
        """Converts the gradient in the computed weights to that in the original weights."""
        whole = grad
        if not isinstance(rows, slice):
            whole = torch.zeros_like(self.held)
            whole[rows] = grad
        (found,) = torch.autograd.grad(self._made, self._leaf, whole, retain_graph=True)
        if weights < self._home.shape[1]:  # what the pass made of the buffers is the row's
            self._home.data[rows, weights:] = self.held[rows, weights:]
        return found[rows]


class _ReparametrisedPair:
    """A pass on both batches, with gradients for the original weights."""

    def __init__(self, made: _Made, pair: Pair, weights: int):
        self._made, self._pair, self._weights = made, pair, weights
        self.real_logits, self.fake_logits = pair.real_logits, pair.fake_logits

    def weight_gradient(
        self, real_gradient: Tensor, fake_gradient: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """See Pair."""
        found = self._pair.weight_gradient(real_gradient, fake_gradient, scratch, rows, inputs)
        return self._made.gradient(found, rows, self._weights)

    def input_gradient(self, side: str, gradient: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        return self._pair.input_gradient(side, gradient, scratch, rows)
