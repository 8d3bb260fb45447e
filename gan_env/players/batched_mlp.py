"""N plain MLPs with explicit gradients: one batched product per layer for all rows, forward and backward."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan_env.networks.parameters import parts, weight_count
from gan_env.players.players import EVERY, Asked, Buffers, Rows

ACTIVATIONS: dict[type, Callable[[nn.Module, Tensor], Tensor]] = {
    nn.ReLU: lambda m, h: torch.relu_(h),
    nn.LeakyReLU: lambda m, h: nn.functional.leaky_relu_(h, m.negative_slope),  # type: ignore[arg-type]
    nn.Tanh: lambda m, h: torch.tanh_(h),
}
_aten = torch.ops.aten
# (module, gradient, activation's *output* because forward overwrites the input, where to write) → gradient before it.
ACTIVATION_BACKWARD: dict[type, Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda m, g, after, out: _aten.threshold_backward.grad_input(g, after, 0.0, grad_input=out),
    nn.LeakyReLU: lambda m, g, after, out: _aten.leaky_relu_backward.grad_input(
        g, after, m.negative_slope, True, grad_input=out
    ),
    nn.Tanh: lambda m, g, after, out: _aten.tanh_backward.grad_input(g, after, grad_input=out),
}


def mlp_layers(module: nn.Module) -> list[tuple[nn.Linear, nn.Module | None]] | None:
    """Returns the linear layers of a plain MLP, each with the activation after it; None for any other module.

    A plain MLP is an `nn.Sequential` of [Flatten(1)], Linear, ReLU | LeakyReLU(slope ≥ 0) | Tanh,
    [Unflatten(1, ...)], whose layers have a trained, untied weight and perhaps a bias each and no other state, and
    no hooks.
    """
    if type(module) is not nn.Sequential or not (_holds_plain_layers(module) and _is_called_plainly(module)):
        return None
    chain = list(module)
    if chain and type(chain[0]) is nn.Flatten and chain[0].start_dim == 1 and chain[0].end_dim == -1:
        chain = chain[1:]
    if chain and type(chain[-1]) is nn.Unflatten and chain[-1].dim == 1:
        chain = chain[:-1]
    layers: list[tuple[nn.Linear, nn.Module | None]] = []
    for part in chain:
        if type(part) is nn.Linear:
            layers.append((part, None))
        elif type(part) in ACTIVATIONS and layers and layers[-1][1] is None:
            if type(part) is nn.LeakyReLU and part.negative_slope < 0:
                return None
            layers[-1] = (layers[-1][0], part)
        else:
            return None
    return layers or None


def _holds_plain_layers(module: nn.Sequential) -> bool:
    """Returns whether the only state is the linear layers' weights and biases, in order, untied and trained."""
    linear = [(name, part) for name, part in module._modules.items() if isinstance(part, nn.Linear)]
    expected = [f"{name}.{kind}" for name, part in linear for kind in ("weight", "bias")[: 1 + (part.bias is not None)]]
    held = parts(module)  # the names of fixed parameters and of buffers come behind, those of tied ones once
    return [name for name, _ in held] == expected and weight_count(module) == sum(part.numel() for _, part in held)


def _is_called_plainly(module: nn.Module) -> bool:
    """Returns whether no hook and no replaced `forward` changes what a part computes (old spectral norm is a hook)."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return not any("forward" in vars(m) or any(getattr(m, kind) for kind in kinds) for m in module.modules())


class MLPPlayers:
    """N plain MLPs. Internal tensors are (rows, features, batch), which is 3 to 13 times as fast on narrow layers."""

    way = "mlp"

    def __init__(self, template: nn.Module, flat: Float[Tensor, "N P"], out_shape: tuple[int, ...]):
        layers = mlp_layers(template)
        if layers is None:
            raise ValueError(f"{type(template).__name__} is not a plain MLP; use way='loop' or 'vmap'")
        self.flat, self.weights, self._out_shape = flat, flat.shape[1], out_shape
        self.activations = [activation for _, activation in layers]
        self.sizes = [(linear.out_features, linear.in_features) for linear, _ in layers]
        self.biased = [linear.bias is not None for linear, _ in layers]
        self.piecewise_linear = all(a is None or type(a) is not nn.Tanh for a in self.activations)
        """Whether every activation is piecewise linear, so that input gradients do not depend on the inputs."""
        self._split = [p.numel() for linear, _ in layers for p in (linear.weight, linear.bias) if p is not None]

    def over(self, flat: Float[Tensor, "M P"]) -> MLPPlayers:
        """See Players."""
        made = copy.copy(self)
        made.flat = flat
        return made

    def layers_of(self, flat: Float[Tensor, "n P"]) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """Returns weights (n, out, in), their transposes and biases (n, out, 1) or None of each layer, as views."""
        # One split: autograd would make a slice's gradient by adding it to zeros as large as all of `flat`.
        pieces, found = iter(flat.split(self._split, 1)), []
        for (out, inp), biased in zip(self.sizes, self.biased, strict=True):
            weight = next(pieces).unflatten(1, (out, inp))
            found.append((weight, weight.transpose(1, 2), next(pieces).unsqueeze(-1) if biased else None))
        return found

    def _shaped(self, h: Float[Tensor, "n F B"]) -> Tensor:
        out = h.transpose(1, 2)
        return out.squeeze(-1) if self._out_shape == () else out.unflatten(-1, self._out_shape)

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """See Players."""
        h = inputs.flatten(2).transpose(1, 2)
        if not h.is_contiguous():  # its weight gradient would take five times as long
            h = buffers.get("inputs", h.shape, h).copy_(h)
        out, tape = self.run(flat, h, buffers)
        return self._shaped(out), (tape, inputs.shape[2:])

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        inner, in_shape = tape
        g = grad.unsqueeze(1) if self._out_shape == () else grad.flatten(2).transpose(1, 2)
        out, g = self.run_back(inner, g, buffers, asked)
        return out, None if g is None else g.transpose(1, 2).unflatten(-1, in_shape)

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> JointPair:
        """See Players."""
        return JointPair(self, flat, real, fake, buffers)

    def run(self, flat: Float[Tensor, "n P"], h: Float[Tensor, "n F B"], buffers: Buffers) -> tuple[Tensor, Any]:
        """Computes outputs (n, out, B) of feature-major inputs, and the tape that `run_back` needs."""
        n, _, batch = h.shape
        held, layers = [h], buffers.views("layers", flat, self.layers_of)
        for i, (weight, _, bias) in enumerate(layers):
            shape = (n, self.sizes[i][0], batch)
            # Logits are handed out, so they are no buffer.
            fresh = self._out_shape == () and i + 1 == len(self.sizes)
            out = flat.new_empty(shape) if fresh else buffers.get(i, shape, flat)
            h = torch.bmm(weight, h, out=out) if bias is None else torch.baddbmm(bias, weight, h, out=out)
            activation = self.activations[i]
            if activation is not None:
                ACTIVATIONS[type(activation)](activation, h)
            held.append(h)
        return h, (flat, held, layers)

    def run_back(
        self,
        tape: Any,
        g: Float[Tensor, "m out B"],
        buffers: Buffers,
        asked: Asked,
        scale: Float[Tensor, "m 1 B"] | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Computes the requested gradients: for the weights (m, P) and for the inputs (m, F, B).

        `scale` multiplies each sample's contribution to the gradient for the weights, not that for the inputs.
        """
        flat, held, layers = tape
        rows = asked.rows
        if not isinstance(rows, slice):
            flat = buffers.take("flat", flat, rows)
            layers = buffers.views("layers", flat, self.layers_of)
        n, _, batch = g.shape
        out = buffers.get("gradient", flat.shape, flat) if asked.weights else None
        gradients = None if out is None else buffers.views("gradient", out, self.layers_of)
        last = len(self.sizes) - 1
        for i in range(last, -1, -1):
            activation = self.activations[i]
            if activation is not None:
                after = buffers.take(("held", i), held[i + 1], rows)
                into = g if i < last else buffers.get("activation", after.shape, g)  # the caller's `g` is not ours
                g = ACTIVATION_BACKWARD[type(activation)](activation, g, after, into)
            passed = g
            if i > 0 or asked.inputs:
                width = self.sizes[i][1]
                passed = torch.bmm(layers[i][1], g, out=buffers.get(("input", width, i % 2), (n, width, batch), flat))
            if gradients is not None:
                if scale is not None:  # in place, but for what the caller gave
                    g = torch.mul(g, scale, out=g if i < last or activation is not None else torch.empty_like(g))
                before = buffers.take(("held", i - 1), held[i], rows)
                self.product(g, before, gradients[i][0], buffers)
                if gradients[i][2] is not None:
                    torch.sum(g, -1, keepdim=True, out=gradients[i][2])
            g = passed
        return out, g if asked.inputs else None

    @staticmethod
    def product(
        g: Float[Tensor, "m out B"],
        before: Float[Tensor, "m inp B"],
        into: Float[Tensor, "m out inp"],
        buffers: Buffers,
    ) -> None:
        """Writes a layer's weight gradient, the product of the gradient at its output and its input."""
        if len(g) == 1:
            torch.bmm(g, before.transpose(1, 2), out=into)
        else:  # a product written into the strided rows of a whole gradient takes twice as long as this
            compact = buffers.get(("weight", into.shape[1:]), into.shape, into)
            into.copy_(torch.bmm(g, before.transpose(1, 2), out=compact))

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """See Players."""
        h = inputs.flatten(2).transpose(1, 2)
        for (weight, transposed, bias), activation in zip(self.layers_of(flat), self.activations, strict=True):
            if weight.shape[1] == 1:  # by a sum: autograd's product of one row alone is rounded in another way
                h = (transposed * h).sum(1, keepdim=True) + (0.0 if bias is None else bias)
            else:
                h = torch.bmm(weight, h) if bias is None else torch.baddbmm(bias, weight, h)
            if activation is not None:
                h = ACTIVATIONS[type(activation)](activation, h)
        return self._shaped(h)

    def stateful(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> tuple[Tensor, Float[Tensor, "n 0"]]:
        """See Players; an MLP has no buffers."""
        return self.functional(flat, inputs), flat.new_empty(len(flat), 0)


class JointPair:
    """Both batches concatenated in one pass, which halves the calls: samples of plain MLPs are independent."""

    def __init__(self, players: MLPPlayers, flat: Tensor, real: Tensor, fake: Tensor, buffers: Buffers):
        self._players, self._batch, self._in_shape = players, real.shape[1], real.shape[2:]
        features = real.flatten(2).shape[2]
        both = buffers.get("both", (real.shape[0], features, 2 * self._batch), flat)
        both[:, :, : self._batch] = real.flatten(2).transpose(1, 2)
        both[:, :, self._batch :] = fake.flatten(2).transpose(1, 2)
        logits, self._tape = players.run(flat, both, buffers)
        logits = logits.squeeze(1)
        self.real_logits, self.fake_logits = logits[:, : self._batch], logits[:, self._batch :]
        self.renew()

    def renew(self) -> None:
        """Clears cached results, because another pass has been run in the same buffers."""
        self._at_input: Tensor | None = None  # what D's step has found out about G's, see `weight_gradient`
        self._known: Rows = EVERY

    def weight_gradient(
        self, real_gradient: Tensor, fake_gradient: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """See Pair.

        A logit is a scalar, so every gradient is the derivative of the logit times a factor per sample: one backward
        pass through D is enough for both players.
        """
        factors = torch.cat([real_gradient[rows], fake_gradient[rows]], 1).unsqueeze(1)
        grad, self._at_input = self._players.run_back(
            self._tape,
            torch.ones_like(factors),
            scratch,
            Asked(weights=True, inputs=bool(inputs), rows=rows),
            scale=factors,
        )
        self._known = rows
        assert grad is not None
        return grad

    def input_gradient(self, side: str, gradient: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        half = slice(self._batch) if side == "real" else slice(self._batch, None)
        at_input = self._from_weights(half, scratch.part(side), rows)
        return (at_input * gradient.unsqueeze(1)).transpose(1, 2).unflatten(-1, self._in_shape)

    def _from_weights(self, half: slice, scratch: Buffers, rows: Rows) -> Tensor:
        """Returns the gradient of one side's logits for its samples, (m, F, B); reuses D's backward pass where it ran.

        The choice for a row never depends on its neighbours, because the two ways may round differently.
        """
        if self._at_input is None:
            return self._way_back(half, scratch, rows)
        known = self._at_input[:, :, half]
        if isinstance(self._known, slice):
            return known[rows]
        asked = torch.arange(len(self.real_logits), device=known.device) if isinstance(rows, slice) else rows
        place = torch.searchsorted(self._known, asked).clamp_(max=len(self._known) - 1)
        found = self._known[place] == asked
        at_input = known[place]
        if not found.all():
            at_input[~found] = self._way_back(half, scratch, asked[~found])
        return at_input

    def _way_back(self, half: slice, scratch: Buffers, rows: Rows) -> Tensor:
        flat, held, layers = self._tape
        tape = flat, [h[:, :, half] for h in held], layers
        ones = torch.ones_like(self.real_logits[rows]).unsqueeze(1)
        _, at_input = self._players.run_back(tape, ones, scratch, Asked(weights=False, inputs=True, rows=rows))
        assert at_input is not None
        return at_input
