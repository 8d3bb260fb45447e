"""Discriminators that are trained through a regulariser: it dresses their logits, makes or penalises their weights.

Where `mlp_slopes` has the gradient written out, that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.losses.losses import Loss, Penalty
from gan_env.losses.penalties import Slope, SlopePenalty, slope_at
from gan_env.players.mlp import MLPPlayers
from gan_env.players.mlp_gradients import SlopeDressedPlayers, penalty_gradient
from gan_env.players.modules import AutogradPlayers
from gan_env.players.players import Asked, Buffers, Pair, Players, Rows


def as_trained(players: Players, loss: Loss, matrices: list[tuple[int, int, int]]) -> Players:
    """Discriminators as their own loss sees them; themselves where it changes nothing.

    `matrices` are where the weights lie that are matrices, see `regularisers.weight_matrices`.
    """
    reweigh, dress, coefficient = loss.reweigh, loss.dress, loss.coefficient
    if reweigh is not None:
        players = ReweighedPlayers(players, lambda flat: reweigh(flat, matrices))
    if dress is not None:
        players = dressed(players, lambda slope: dress(slope, coefficient))
    return players


def dressed(players: Players, dress: Callable[[Slope], Tensor]) -> Players:
    """The same copies with logits that are a function of theirs and of their slopes; their state stays theirs."""
    if isinstance(players, MLPPlayers) and players.straight:
        return SlopeDressedPlayers(players, dress)

    def stateful(flat: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        states = []

        def discriminator(samples: Tensor) -> Tensor:
            out, state = players.stateful(flat, samples)
            states.append(state)
            return out

        return dress(slope_at(discriminator, samples)), states[-1]

    return AutogradPlayers(players.flat, stateful, players.weights)


def penalised(
    players: Players,
    penalty: Penalty,
    flat: Float[Tensor, "n P"],
    seen: tuple[Tensor, Tensor, Tensor],
    scratch: Buffers,
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n P"]]:
    """A penalty and its gradient in the weights; `seen` is what it is called with: (real, fake, mix)."""
    if isinstance(penalty, SlopePenalty) and isinstance(players, MLPPlayers) and players.straight:
        return penalty_gradient(players, penalty, flat, seen, scratch)
    with torch.enable_grad():
        leaf = flat.detach().requires_grad_()
        value = penalty(lambda samples: players.functional(leaf, samples), *seen)
        (grad,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), grad


class ReweighedPlayers:
    """The same copies with other weights, made of theirs: run as they are run, and differentiated through the making.

    The regulariser is computed once for all that is asked of one pass.
    """

    def __init__(self, players: Players, reweigh: Callable[[Tensor], Tensor]):
        self.flat, self.weights = players.flat, players.weights
        self._players, self._reweigh = players, reweigh

    def over(self, flat: Float[Tensor, "M P"]) -> ReweighedPlayers:
        """See Players."""
        return ReweighedPlayers(self._players.over(flat), self._reweigh)

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """See Players."""
        made = _Made(flat, self._reweigh, buffers)
        out, tape = self._players.forward(made.held, inputs, buffers)
        return out, (made, tape)

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        made, inner = tape
        found, at_input = self._players.backward(inner, grad, buffers, asked)
        return None if found is None else made.gradient(found, asked.rows, self.weights), at_input

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """See Players."""
        return self._players.functional(self._reweigh(flat), inputs)

    def stateful(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> tuple[Tensor, Float[Tensor, "n S"]]:
        """See Players."""
        return self._players.stateful(self._reweigh(flat), inputs)

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> Pair:
        """See Players."""
        made = _Made(flat, self._reweigh, buffers)
        return _ReweighedPair(made, self._players.pair(made.held, real, fake, buffers), self.weights)


class _Made:
    """Weights made of others, kept for their gradient."""

    def __init__(self, flat: Float[Tensor, "n P"], reweigh: Callable[[Tensor], Tensor], buffers: Buffers):
        self._home = flat
        with torch.enable_grad():
            self._leaf = flat.detach().requires_grad_()
            self._made = reweigh(self._leaf)
        self.held = buffers.get("reweighed", flat.shape, flat).copy_(self._made.detach())

    def gradient(self, grad: Float[Tensor, "m P"], rows: Rows, weights: int) -> Float[Tensor, "m P"]:
        """From the gradient in the weights that were made to that in those that they were made of."""
        whole = grad
        if not isinstance(rows, slice):
            whole = torch.zeros_like(self.held)
            whole[rows] = grad
        (found,) = torch.autograd.grad(self._made, self._leaf, whole, retain_graph=True)
        if weights < self._home.shape[1]:  # what the pass made of the buffers is the row's
            self._home.data[rows, weights:] = self.held[rows, weights:]
        return found[rows]


class _ReweighedPair:
    """A pass on both batches, with gradients for the weights behind those that it ran with."""

    def __init__(self, made: _Made, pair: Pair, weights: int):
        self._made, self._pair, self._weights = made, pair, weights
        self.real_logits, self.fake_logits = pair.real_logits, pair.fake_logits

    def weight_gradient(
        self, real_slope: Tensor, fake_slope: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """See Pair."""
        found = self._pair.weight_gradient(real_slope, fake_slope, scratch, rows, inputs)
        return self._made.gradient(found, rows, self._weights)

    def input_gradient(self, side: str, slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        return self._pair.input_gradient(side, slope, scratch, rows)
