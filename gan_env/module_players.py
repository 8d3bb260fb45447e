"""N copies of any module, differentiated by autograd; and the choice between this way and `mlp_players`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gan_env.mlp_players import MLPPlayers, mlp_layers
from gan_env.players import EVERY, Buffers, Players, Rows, state_names


class SeparatePair:
    """One pass for each batch: for players whose samples notice each other (batch statistics)."""

    def __init__(self, players: Players, flat: Tensor, real: Tensor, fake: Tensor, buffers: Buffers):
        self._players = players
        self.real_logits, real_tape = players.forward(flat, real, buffers.part("real"))
        self.fake_logits, fake_tape = players.forward(flat, fake, buffers.part("fake"))
        self._tapes = {"real": real_tape, "fake": fake_tape}

    def weight_gradient(self, real_slope: Tensor, fake_slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        total = None
        for side, slope in (("real", real_slope), ("fake", fake_slope)):
            grad, _ = self._players.backward(
                self._tapes[side], slope[rows], scratch.part(side), weights=True, inputs=False, rows=rows
            )
            assert grad is not None
            total = grad if total is None else total.add_(grad)
        assert total is not None
        return total

    def input_gradient(self, side: str, slope: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        tape, part = self._tapes[side], scratch.part(f"through {side}")
        _, grad = self._players.backward(tape, slope, part, weights=False, inputs=True, rows=rows)
        assert grad is not None
        return grad


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
        self._template, self._out_shape, self.way = template, out_shape, way
        self._shapes = [(name, p.shape) for name, p in template.named_parameters()]
        self._weights = sum(p.numel() for p in template.parameters())
        self._counters = {name: b for name, b in template.named_buffers() if name not in names}
        self._state = [(name, dict(template.named_buffers())[name].shape) for name in names]
        self._sizes = [shape.numel() for _, shape in [*self._shapes, *self._state]]

    def _row(self, flat: Float[Tensor, " P"], inputs: Tensor) -> Tensor:
        return self._run(flat, inputs)[0]

    def _run(self, flat: Float[Tensor, " P"], inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs, and the buffers after this pass."""
        named = {name: counter.clone() for name, counter in self._counters.items()}
        # By one `split`, whose gradient is one concatenation; that of a slice fills a whole vector with zeros.
        for (name, shape), part in zip([*self._shapes, *self._state], flat.split(self._sizes), strict=True):
            named[name] = part.view(shape)
        for name, _ in self._state:
            named[name] = named[name].detach().clone()
        out = functional_call(self._template, named, (inputs,)).reshape(inputs.shape[0], *self._out_shape)
        return out, [named[name].detach().reshape(-1) for name, _ in self._state]

    def _stacked(self, flat: Float[Tensor, "n P"], inputs: Tensor) -> Tensor:
        if self.way == "vmap" and flat.shape[0] > 1:
            return vmap(self._row, randomness="error")(flat, inputs)
        made = [self._row(f, x) for f, x in zip(flat, inputs, strict=True)]
        return torch.stack(made) if len(made) > 1 else made[0].unsqueeze(0)

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
