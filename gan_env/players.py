"""N copies of one plain module, each with its own weights, run and differentiated together.

The weights of a row are one flat vector in the order of `module.parameters()`, so that an optimiser is a few
elementwise operations on (N, P). Rows share no weights, so the gradient of a sum over rows holds each row's own.

Two ways to run them, one interface: `MLPPlayers` for stacks of linear layers, written out so that a layer of all rows
is one batched product; `ModulePlayers` for any other module, through `torch.func`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

Rows = slice | Tensor
EVERY = slice(None)


class Buffers:
    """Tensors and views that are used again at every update.

    On CPU a fresh large tensor costs page faults, a third of an update; making the views of a narrow MLP's layers
    costs as much as its arithmetic.
    """

    def __init__(self) -> None:
        self._held: dict[object, Tensor] = {}
        self._views: dict[str, tuple[Tensor, Any]] = {}
        self._parts: dict[str, Buffers] = {}

    def part(self, name: str) -> Buffers:
        """Buffers of their own under a name."""
        return self._parts.setdefault(name, Buffers())

    def get(self, name: object, shape: tuple[int, ...] | torch.Size, like: Tensor) -> Tensor:
        """A contiguous tensor of `shape` with old contents; its first axis may shrink and grow from call to call."""
        held = self._held.get(name)
        if held is not None and held.shape == shape:
            return held
        if held is None or held.shape[0] < shape[0] or held.shape[1:] != shape[1:]:
            held = self._held[name] = like.new_empty(shape)
        return held[: shape[0]]

    def take(self, name: object, whole: Tensor, rows: Rows) -> Tensor:
        """The chosen rows of `whole`: itself for EVERY one, else a copy in a buffer."""
        if isinstance(rows, slice):
            return whole
        return torch.index_select(whole, 0, rows, out=self.get(name, (len(rows), *whole.shape[1:]), whole))

    def views(self, name: str, tensor: Tensor, make: Callable[[Tensor], Any]) -> Any:
        """`make(tensor)`, made once for as long as it is asked for the same tensor."""
        held = self._views.get(name)
        if held is None or held[0] is not tensor:
            held = self._views[name] = (tensor, make(tensor))
        return held[1]


@runtime_checkable
class Players(Protocol):
    """What the trainer needs of N copies of a module."""

    flat: Float[Tensor, "N P"]
    """All weights; row i in the order of `module.parameters()`, then its buffers of real numbers if it has any."""

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """Outputs (n, B, *out) of inputs (n, B, *in), and the tape that `backward` needs.

        The tape lives in `buffers` until the next forward pass with the same ones.
        """
        ...

    def backward(
        self, tape: Any, grad: Tensor, buffers: Buffers, *, weights: bool, inputs: bool, rows: Rows = EVERY
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients for the weights (m, P) and for the inputs (m, B, *in) of `grad` (m, B, *out), where asked for.

        `rows` are the m places within the tape's n rows that `grad` speaks of: EVERY one, or their numbers.
        Both results may live in `buffers` until the next backward pass with the same ones.
        """
        ...

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """Outputs that autograd can differentiate, twice too, in `flat` and `inputs`."""
        ...

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> Pair:
        """A discriminator's forward pass on real and generated samples (n, B, *shape)."""
        ...


@runtime_checkable
class Pair(Protocol):
    """A discriminator's forward pass on two batches, kept for its gradients; lives in the buffers it was made with."""

    real_logits: Float[Tensor, "n B"]
    fake_logits: Float[Tensor, "n B"]

    def weight_gradient(self, real_slope: Tensor, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """Gradient for the weights (m, P) of logits' slopes (n, B), for the m chosen rows."""
        ...

    def fake_gradient(self, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """Gradient for the generated samples (m, B, *shape) of slopes (m, B), for the m chosen rows."""
        ...


class SeparatePair:
    """One pass for each batch: for players whose samples notice each other (batch statistics)."""

    def __init__(self, players: Players, flat: Tensor, real: Tensor, fake: Tensor, buffers: Buffers):
        self._players = players
        self.real_logits, self._real_tape = players.forward(flat, real, buffers.part("real"))
        self.fake_logits, self._fake_tape = players.forward(flat, fake, buffers.part("fake"))

    def weight_gradient(self, real_slope: Tensor, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        total = None
        for side, tape, slope in (("real", self._real_tape, real_slope), ("fake", self._fake_tape, fake_slope)):
            grad, _ = self._players.backward(
                tape, slope[rows], scratch.part(side), weights=True, inputs=False, rows=rows
            )
            assert grad is not None
            total = grad if total is None else total.add_(grad)
        assert total is not None
        return total

    def fake_gradient(self, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        tape, part = self._fake_tape, scratch.part("through")
        _, grad = self._players.backward(tape, fake_slope, part, weights=False, inputs=True, rows=rows)
        assert grad is not None
        return grad


class JointPair:
    """Both batches side by side in one pass of plain MLPs, whose samples do not notice each other: half the calls."""

    def __init__(self, players: MLPPlayers, flat: Tensor, real: Tensor, fake: Tensor, buffers: Buffers):
        self._players, self._batch, self._in_shape = players, real.shape[1], real.shape[2:]
        features = real.flatten(2).shape[2]
        both = buffers.get("both", (real.shape[0], features, 2 * self._batch), flat)
        both[:, :, : self._batch] = real.flatten(2).transpose(1, 2)
        both[:, :, self._batch :] = fake.flatten(2).transpose(1, 2)
        logits, self._tape = players.run(flat, both, buffers)
        logits = logits.squeeze(1)
        self.real_logits, self.fake_logits = logits[:, : self._batch], logits[:, self._batch :]

    def weight_gradient(self, real_slope: Tensor, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        slopes = torch.cat([real_slope[rows], fake_slope[rows]], 1).unsqueeze(1)
        grad, _ = self._players.run_back(
            self._tape, slopes, scratch.part("weights"), weights=True, inputs=False, rows=rows
        )
        assert grad is not None
        return grad

    def fake_gradient(self, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        flat, held, layers = self._tape
        tape = flat, [h[:, :, self._batch :] for h in held], layers
        slope, part = fake_slope.unsqueeze(1), scratch.part("through")
        _, grad = self._players.run_back(tape, slope, part, weights=False, inputs=True, rows=rows)
        assert grad is not None
        return grad.transpose(1, 2).unflatten(-1, self._in_shape)


def state_names(module: nn.Module) -> list[str]:
    """Buffers that hold real numbers, such as running statistics: state besides the weights."""
    return [name for name, buffer in module.named_buffers() if buffer.is_floating_point()]


def flatten(module: nn.Module) -> Float[Tensor, " P"]:
    """The module's weights as one vector, then its buffers of real numbers: they are state of the row, too."""
    buffers = dict(module.named_buffers())
    parts = [*module.parameters(), *(buffers[name] for name in state_names(module))]
    return torch.cat([part.detach().reshape(-1) for part in parts])


def unflatten(module: nn.Module, flat: Float[Tensor, " P"]) -> nn.Module:
    """Writes a vector of weights and buffers into the module and returns it."""
    at, buffers = 0, dict(module.named_buffers())
    with torch.no_grad():
        for part in [*module.parameters(), *(buffers[name] for name in state_names(module))]:
            part.copy_(flat[at : at + part.numel()].view_as(part))
            at += part.numel()
    return module


_ACTIVATIONS: dict[type, Callable[[nn.Module, Tensor], Tensor]] = {
    nn.ReLU: lambda m, h: torch.relu_(h),
    nn.LeakyReLU: lambda m, h: nn.functional.leaky_relu_(h, m.negative_slope),  # type: ignore[arg-type]
    nn.Tanh: lambda m, h: torch.tanh_(h),
}
_aten = torch.ops.aten
# (module, gradient, activation's *output* because forward overwrites the input, where to write) → gradient before it.
_SLOPES: dict[type, Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda m, g, after, out: _aten.threshold_backward.grad_input(g, after, 0.0, grad_input=out),
    nn.LeakyReLU: lambda m, g, after, out: _aten.leaky_relu_backward.grad_input(
        g, after, m.negative_slope, True, grad_input=out
    ),
    nn.Tanh: lambda m, g, after, out: _aten.tanh_backward.grad_input(g, after, grad_input=out),
}


def mlp_layers(module: nn.Module) -> list[tuple[nn.Linear, nn.Module | None]] | None:
    """The linear layers of a plain MLP, each with the activation behind it; None if the module is anything else.

    A plain MLP is an `nn.Sequential` of [Flatten(1)], Linear, ReLU | LeakyReLU(slope ≥ 0) | Tanh,
    [Unflatten(1, ...)].
    """
    if type(module) is not nn.Sequential:
        return None
    parts = list(module)
    if parts and type(parts[0]) is nn.Flatten and parts[0].start_dim == 1 and parts[0].end_dim == -1:
        parts = parts[1:]
    if parts and type(parts[-1]) is nn.Unflatten and parts[-1].dim == 1:
        parts = parts[:-1]
    layers: list[tuple[nn.Linear, nn.Module | None]] = []
    for part in parts:
        if type(part) is nn.Linear:
            layers.append((part, None))
        elif type(part) in _ACTIVATIONS and layers and layers[-1][1] is None:
            if type(part) is nn.LeakyReLU and part.negative_slope < 0:
                return None
            layers[-1] = (layers[-1][0], part)
        else:
            return None
    return layers or None


class MLPPlayers:
    """N plain MLPs. Inside, tensors are (rows, features, batch): 3 to 13 times as fast on narrow layers."""

    def __init__(self, template: nn.Module, flat: Float[Tensor, "N P"], out_shape: tuple[int, ...]):
        layers = mlp_layers(template)
        if layers is None:
            raise ValueError(f"{type(template).__name__} is not a plain MLP; use way='loop' or 'vmap'")
        self.flat, self._out_shape = flat, out_shape
        self._activations = [activation for _, activation in layers]
        self._sizes = [(linear.out_features, linear.in_features) for linear, _ in layers]
        self._biased = [linear.bias is not None for linear, _ in layers]

    def _layers(self, flat: Float[Tensor, "n P"]) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """Weights (n, out, in), their transposes and biases (n, out, 1) or None of each layer, as views."""
        found, at = [], 0
        for (out, inp), biased in zip(self._sizes, self._biased, strict=True):
            weight = flat[:, at : at + out * inp].unflatten(1, (out, inp))
            at += out * inp
            found.append((weight, weight.transpose(1, 2), flat[:, at : at + out].unsqueeze(-1) if biased else None))
            at += out if biased else 0
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

    def backward(
        self, tape: Any, grad: Tensor, buffers: Buffers, *, weights: bool, inputs: bool, rows: Rows = EVERY
    ) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        inner, in_shape = tape
        g = grad.unsqueeze(1) if self._out_shape == () else grad.flatten(2).transpose(1, 2)
        out, g = self.run_back(inner, g, buffers, weights=weights, inputs=inputs, rows=rows)
        return out, None if g is None else g.transpose(1, 2).unflatten(-1, in_shape)

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> JointPair:
        """See Players."""
        return JointPair(self, flat, real, fake, buffers)

    def run(self, flat: Float[Tensor, "n P"], h: Float[Tensor, "n F B"], buffers: Buffers) -> tuple[Tensor, Any]:
        """Outputs (n, out, B) of inputs feature by feature, and the tape that `run_back` needs."""
        n, _, batch = h.shape
        held, layers = [h], buffers.views("layers", flat, self._layers)
        for i, (weight, _, bias) in enumerate(layers):
            shape = (n, self._sizes[i][0], batch)
            # Logits are handed out, so they are no buffer.
            fresh = self._out_shape == () and i + 1 == len(self._sizes)
            out = flat.new_empty(shape) if fresh else buffers.get(i, shape, flat)
            h = torch.bmm(weight, h, out=out) if bias is None else torch.baddbmm(bias, weight, h, out=out)
            activation = self._activations[i]
            if activation is not None:
                _ACTIVATIONS[type(activation)](activation, h)
            held.append(h)
        return h, (flat, held, layers)

    def run_back(
        self, tape: Any, g: Float[Tensor, "m out B"], buffers: Buffers, *, weights: bool, inputs: bool, rows: Rows
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients for the weights (m, P) and for the inputs (m, F, B), where asked for."""
        flat, held, layers = tape
        if not isinstance(rows, slice):
            flat = buffers.take("flat", flat, rows)
            layers = buffers.views("layers", flat, self._layers)
        n, _, batch = g.shape
        out = buffers.get("gradient", flat.shape, flat) if weights else None
        slopes = None if out is None else buffers.views("gradient", out, self._layers)
        last = len(self._sizes) - 1
        for i in range(last, -1, -1):
            activation = self._activations[i]
            if activation is not None:
                after = buffers.take(("held", i), held[i + 1], rows)
                into = g if i < last else buffers.get("slope", after.shape, g)  # the caller's `g` is not ours
                g = _SLOPES[type(activation)](activation, g, after, into)
            if slopes is not None:
                before = buffers.take(("held", i - 1), held[i], rows)
                compact = buffers.get(("weight", self._sizes[i]), (n, *self._sizes[i]), flat)
                # By way of a compact tensor: a product written into the strided rows of `out` takes twice as long.
                slopes[i][0].copy_(torch.bmm(g, before.transpose(1, 2), out=compact))
                if slopes[i][2] is not None:
                    torch.sum(g, -1, keepdim=True, out=slopes[i][2])
            if i > 0 or inputs:
                width = self._sizes[i][1]
                g = torch.bmm(layers[i][1], g, out=buffers.get(("input", width, i % 2), (n, width, batch), flat))
        return out, g if inputs else None

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """See Players."""
        h = inputs.flatten(2).transpose(1, 2)
        for (weight, _, bias), activation in zip(self._layers(flat), self._activations, strict=True):
            h = torch.bmm(weight, h) if bias is None else torch.baddbmm(bias, weight, h)
            if activation is not None:
                h = _ACTIVATIONS[type(activation)](activation, h)
        return self._shaped(h)


class AutogradPlayers:
    """N copies of whatever a differentiable function of stacked weights and inputs computes."""

    def __init__(self, flat: Float[Tensor, "N P"], functional: Callable[[Tensor, Tensor], Tensor]):
        self.flat, self.functional = flat, functional

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """See Players."""
        with torch.enable_grad():
            flat, inputs = flat.detach().requires_grad_(), inputs.detach().requires_grad_()
            out = self.functional(flat, inputs)
        return out.detach(), (flat, inputs, out)

    def backward(
        self, tape: Any, grad: Tensor, buffers: Buffers, *, weights: bool, inputs: bool, rows: Rows = EVERY
    ) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        flat, x, out = tape
        if not isinstance(rows, slice):
            full = torch.zeros_like(out)
            full[rows] = grad
            grad = full
        wanted = ([flat] if weights else []) + ([x] if inputs else [])
        found = [g[rows] for g in torch.autograd.grad(out, wanted, grad, retain_graph=True)]
        return (found[0] if weights else None), (found[-1] if inputs else None)

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> SeparatePair:
        """See Players."""
        return SeparatePair(self, flat, real, fake, buffers)


class ModulePlayers(AutogradPlayers):
    """N copies of any module, by `vmap` over stacked weights or row after row (`loop`).

    Buffers that hold real numbers (running statistics, a spectral norm's vectors) belong to the row, behind its
    weights. A forward pass reads them; what it would change is kept on the tape and becomes the row's when its weights
    are asked for their gradient, once an update: so looking again, sampling and rows that rest change nothing.
    """

    def __init__(self, template: nn.Module, flat: Float[Tensor, "N P"], out_shape: tuple[int, ...], way: str):
        if way not in ("vmap", "loop"):
            raise ValueError(f"way={way!r} is unknown; use 'vmap' or 'loop'")
        names = state_names(template)
        if names and way == "vmap":
            raise ValueError(
                f"{type(template).__name__} keeps state outside its weights ({', '.join(names[:3])}) and cannot be run "
                "by vmap; use way='loop', or normalisation with track_running_stats=False"
            )
        super().__init__(flat, self._stacked)
        self._template, self._out_shape, self._way = template, out_shape, way
        self._shapes = [(name, p.shape) for name, p in template.named_parameters()]
        self._weights = sum(p.numel() for p in template.parameters())
        self._counters = {name: b for name, b in template.named_buffers() if name not in names}
        self._state = [(name, dict(template.named_buffers())[name].shape) for name in names]

    def _row(self, flat: Float[Tensor, " P"], inputs: Tensor) -> Tensor:
        return self._run(flat, inputs)[0]

    def _run(self, flat: Float[Tensor, " P"], inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs, and the buffers after this pass."""
        named, at = {name: counter.clone() for name, counter in self._counters.items()}, 0
        for name, shape in self._shapes:
            named[name] = flat[at : at + shape.numel()].view(shape)
            at += shape.numel()
        for name, shape in self._state:
            named[name] = flat[at : at + shape.numel()].detach().view(shape).clone()
            at += shape.numel()
        out = functional_call(self._template, named, (inputs,)).reshape(inputs.shape[0], *self._out_shape)
        return out, [named[name].detach().reshape(-1) for name, _ in self._state]

    def _stacked(self, flat: Float[Tensor, "n P"], inputs: Tensor) -> Tensor:
        if self._way == "vmap" and flat.shape[0] > 1:
            return vmap(self._row, randomness="error")(flat, inputs)
        return torch.stack([self._row(f, x) for f, x in zip(flat, inputs, strict=True)])

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """See Players."""
        if not self._state:
            return super().forward(flat, inputs, buffers)
        with torch.enable_grad():
            flat, inputs = flat.detach().requires_grad_(), inputs.detach().requires_grad_()
            runs = [self._run(f, x) for f, x in zip(flat, inputs, strict=True)]
            out = torch.stack([run[0] for run in runs])
        after = torch.stack([torch.cat(run[1]) for run in runs])
        return out.detach(), (flat, inputs, out, after - flat.detach()[:, self._weights :])

    def backward(
        self, tape: Any, grad: Tensor, buffers: Buffers, *, weights: bool, inputs: bool, rows: Rows = EVERY
    ) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        found = super().backward(tape[:3], grad, buffers, weights=weights, inputs=inputs, rows=rows)
        if self._state and weights:
            # By way of `.data`: autograd must not take it for a change of the weights, which lie in the same tensor.
            # The change is added, so that a discriminator's passes on real and on generated samples both count.
            tape[0].data[rows, self._weights :] += tape[3][rows]
        return found


def make_players(
    template: nn.Module, flat: Float[Tensor, "N P"], out_shape: tuple[int, ...], way: str = "auto"
) -> MLPPlayers | ModulePlayers:
    """The way that suits the module: "mlp" where it is a plain MLP, else "loop"; or the way that is named.

    Raises ValueError if the module does not fit the named way.
    """
    if way == "auto":
        way = "mlp" if mlp_layers(template) is not None else "loop"
        names = state_names(template)
        if names:
            warnings.warn(
                f"{type(template).__name__} keeps state outside its weights ({', '.join(names[:2])}"
                f"{', ...' if len(names) > 2 else ''}): its copies run one after another, each with its own state; "
                "normalisation with track_running_stats=False has none",
                stacklevel=2,
            )
    if way == "mlp":
        return MLPPlayers(template, flat, out_shape)
    return ModulePlayers(template, flat, out_shape, way)
