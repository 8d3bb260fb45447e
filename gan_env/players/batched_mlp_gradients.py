"""Input gradients of plain MLPs, and explicit weight gradients of any function of them.

Autograd would differentiate the backward pass once more (double backward). With piecewise linear activations the input
gradient is a product of weight matrices and the activations' derivatives, which are constant between kinks: its weight
gradient takes one more forward pass, and it does not depend on the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.losses.penalties import InputGradient, InputGradientPenalty, input_gradient_at
from gan_env.players.batched_mlp import ACTIVATION_BACKWARD, MLPPlayers
from gan_env.players.players import EVERY, Asked, Buffers, Rows


class InputGradientPass:
    """Forward and backward pass of piecewise linear MLPs with one output; its tensors are in the given buffers."""

    def __init__(self, players: MLPPlayers, flat: Float[Tensor, "n P"], samples: Tensor, buffers: Buffers):
        self._players, self._in_shape = players, samples.shape[2:]
        h = samples.flatten(2).transpose(1, 2)
        h = buffers.get("samples", h.shape, h).copy_(h)
        out, (self._flat, self._held, self._layers) = players.run(flat, h, buffers)
        g, self._behind = torch.ones_like(out), []  # (n, width, M): derivative of the logit behind each layer
        for i in reversed(range(len(players.sizes))):
            activation = players.activations[i]
            if activation is not None:
                g = ACTIVATION_BACKWARD[type(activation)](activation, g, self._held[i + 1], g)
            self._behind.insert(0, g)
            into = buffers.get(("input gradient", i), (len(flat), players.sizes[i][1], h.shape[2]), flat)
            g = torch.bmm(self._layers[i][1], g, out=into)
        self._at_input = g
        self.gradient = InputGradient(out.squeeze(1), g.square().sum(1))

    def weight_gradient(
        self,
        at_logits: Float[Tensor, "m M"] | None,
        at_squared: Float[Tensor, "m M"],
        scratch: Buffers,
        rows: Rows = EVERY,
    ) -> Float[Tensor, "m P"]:
        """Returns the weight gradient of a function of logits and squared gradient norms, from its two derivatives.

        `rows` selects m rows; `at_logits` is None for a function that does not read the logits.
        """
        players, layers = self._players, self._layers
        flat = scratch.take("flat", self._flat, rows)
        if not isinstance(rows, slice):
            layers = scratch.views("layers", flat, players.layers_of)
        out = scratch.get("gradient", flat.shape, flat)
        found = scratch.views("gradient", out, players.layers_of)
        # Derivative of the function in the gradient of the logit at a layer's inputs.
        answer = self._at_input[rows] * (2 * at_squared).unsqueeze(1)
        for i, activation in enumerate(players.activations):
            behind = scratch.take(("behind", i), self._behind[i], rows)
            before = answer
            if at_logits is not None:
                held = scratch.take(("held", i), self._held[i], rows)
                into = scratch.get(("before", i), answer.shape, answer)
                before = torch.addcmul(answer, held, at_logits.unsqueeze(1), out=into)
            players.product(behind, before, found[i][0], scratch)
            if found[i][2] is not None:
                if at_logits is None:
                    found[i][2].zero_()  # an input gradient does not depend on a bias
                else:
                    torch.sum(behind * at_logits.unsqueeze(1), -1, keepdim=True, out=found[i][2])
            if i + 1 < len(players.sizes):
                into = scratch.get(("answer", i), (len(flat), players.sizes[i][0], answer.shape[2]), flat)
                answer = torch.bmm(layers[i][0], answer, out=into)
                if activation is not None:
                    held = scratch.take(("held", i + 1), self._held[i + 1], rows)
                    answer = ACTIVATION_BACKWARD[type(activation)](activation, answer, held, answer)
        return out

    def input_gradient(self, at_logits: Float[Tensor, "m M"], rows: Rows, part: slice = EVERY) -> Tensor:
        """Returns the gradient of the same function for a part of the samples, (m, M', *shape)."""
        return (
            (self._at_input[rows][:, :, part] * at_logits[:, part].unsqueeze(1))
            .transpose(1, 2)
            .unflatten(-1, self._in_shape)
        )


def penalty_gradient(
    players: MLPPlayers,
    penalty: InputGradientPenalty,
    flat: Float[Tensor, "n P"],
    seen: tuple[Tensor, Tensor, Tensor],
    buffers: Buffers,
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n P"]]:
    """Computes a penalty of piecewise linear MLPs and its weight gradient; `seen` is (real, fake, mix)."""
    batches = penalty.points(*seen)
    found = InputGradientPass(players, flat, batches[0] if len(batches) == 1 else torch.cat(batches, 1), buffers)
    with torch.enable_grad():
        leaves = [part.detach().requires_grad_() for part in found.gradient]
        split = [part.split([batch.shape[1] for batch in batches], 1) for part in leaves]
        value = penalty.value(*map(InputGradient, *split))
        at_logits, at_squared = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    return value.detach(), found.weight_gradient(at_logits, at_squared, buffers.part("weights"))


class GradientNormalisedPlayers:
    """Piecewise linear MLPs whose logits are replaced by a function of logits and input gradients."""

    def __init__(self, players: MLPPlayers, normalise: Callable[[InputGradient], Tensor]):
        self.flat, self.weights, self._players, self._normalise = players.flat, players.weights, players, normalise

    def over(self, flat: Float[Tensor, "M P"]) -> GradientNormalisedPlayers:
        """See Players."""
        return GradientNormalisedPlayers(self._players.over(flat), self._normalise)

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """See Players."""
        return self._normalise(input_gradient_at(lambda samples: self._players.functional(flat, samples), inputs))

    def stateful(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> tuple[Tensor, Float[Tensor, "n 0"]]:
        """See Players; an MLP has no buffers."""
        return self.functional(flat, inputs), flat.new_empty(len(flat), 0)

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """See Players."""
        made = _Normalised(InputGradientPass(self._players, flat, inputs, buffers), self._normalise)
        return made.logits, made

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        weights, inputs, rows, _ = asked
        at_logits, at_squared = tape.derivatives(grad, rows)
        return (
            tape.passed.weight_gradient(at_logits, at_squared, buffers, rows) if weights else None,
            tape.passed.input_gradient(at_logits, rows) if inputs else None,
        )

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> _NormalisedPair:
        """See Players."""
        both = InputGradientPass(self._players, flat, torch.cat([real, fake], 1), buffers)
        return _NormalisedPair(_Normalised(both, self._normalise), real.shape[1])


class _Normalised:
    """Normalised logits of a pass, and their derivatives in the plain ones."""

    def __init__(self, passed: InputGradientPass, normalise: Callable[[InputGradient], Tensor]):
        self.passed = passed
        with torch.enable_grad():
            self._leaves = [part.detach().requires_grad_() for part in passed.gradient]
            self._made = normalise(InputGradient(*self._leaves))
        self.logits = self._made.detach()

    def derivatives(self, grad: Float[Tensor, "m M"], rows: Rows) -> tuple[Tensor, Tensor]:
        """Carries a gradient in the normalised logits to the plain logits and squared norms, (m, M) each."""
        whole = grad
        if not isinstance(rows, slice):
            whole = torch.zeros_like(self.logits)
            whole[rows] = grad
        at_logits, at_squared = torch.autograd.grad(self._made, self._leaves, whole, retain_graph=True)
        return at_logits[rows], at_squared[rows]


class _NormalisedPair:
    """Both batches concatenated in one pass."""

    def __init__(self, made: _Normalised, batch: int):
        self._made, self._batch = made, batch
        self.real_logits, self.fake_logits = made.logits[:, :batch], made.logits[:, batch:]

    def weight_gradient(
        self, real_gradient: Tensor, fake_gradient: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """See Pair."""
        found = self._made.derivatives(torch.cat([real_gradient, fake_gradient], 1)[rows], rows)
        return self._made.passed.weight_gradient(*found, scratch, rows)

    def input_gradient(self, side: str, gradient: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        half = slice(self._batch) if side == "real" else slice(self._batch, None)
        whole = gradient.new_zeros(len(gradient), self._made.logits.shape[1])
        whole[:, half] = gradient
        at_logits, _ = self._made.derivatives(whole, rows)
        return self._made.passed.input_gradient(at_logits, rows, half)
