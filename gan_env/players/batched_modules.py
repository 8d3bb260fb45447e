"""N copies of any module, differentiated by autograd; and the choice between them and `players.batched_mlp`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gan_env.networks.parameters import parts, weight_count
from gan_env.players.batched_mlp import MLPPlayers, mlp_layers
from gan_env.players.players import Asked, Buffers, Rows

Stateful = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps (flat (n, P), inputs) to outputs and the buffers after the pass (n, S); see `Players.stateful`."""


class Tape(NamedTuple):
    """A forward pass, stored for its gradients."""

    leaf: Float[Tensor, "n P"]
    inputs: Tensor
    out: Tensor
    home: Float[Tensor, "n P"]
    """The rows that the pass belongs to."""
    state: Float[Tensor, "n S"]
    """Their buffers after it."""


class SeparatePair:
    """One pass for each batch, real then fake: for players whose samples interact, or that have state."""

    def __init__(self, players: AutogradPlayers, flat: Tensor, real: Tensor, fake: Tensor, buffers: Buffers):
        self._players = players
        self.real_logits, real_tape = players.forward(flat, real, buffers.part("real"))
        self.fake_logits, fake_tape = players.forward(flat, fake, buffers.part("fake"), state=real_tape.state)
        self._tapes = {"real": real_tape, "fake": fake_tape}

    def weight_gradient(
        self, real_gradient: Tensor, fake_gradient: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """See Pair."""
        total = None
        for side, gradient in (
            ("real", real_gradient),
            ("fake", fake_gradient),
        ):  # in order: the last pass' state stays
            asked = Asked(weights=True, inputs=False, rows=rows, last=side not in inputs)
            grad, _ = self._players.backward(self._tapes[side], gradient[rows], scratch.part(side), asked)
            assert grad is not None
            total = grad if total is None else total.add_(grad)
        assert total is not None
        return total

    def input_gradient(self, side: str, gradient: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """See Pair."""
        tape, part = self._tapes[side], scratch.part(f"through {side}")
        _, grad = self._players.backward(tape, gradient, part, Asked(weights=False, inputs=True, rows=rows, last=True))
        assert grad is not None
        return grad


class AutogradPlayers:
    """N copies of a differentiable function of stacked weights and inputs.

    A forward pass reads the buffers at the end of a row. Their new values are stored on the tape and are committed when
    the weight gradient is computed, once per update, so that repeated forward passes, sampling and inactive rows change
    nothing.
    """

    def __init__(self, flat: Float[Tensor, "N P"], stateful: Stateful, weights: int):
        self.flat, self.stateful, self.weights = flat, stateful, weights

    def over(self, flat: Float[Tensor, "M P"]) -> AutogradPlayers:
        """See Players."""
        made = copy.copy(self)
        made.flat = flat
        return made

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """See Players."""
        return self.stateful(flat, inputs)[0]

    def forward(
        self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers, *, state: Tensor | None = None
    ) -> tuple[Tensor, Tape]:
        """See Players; `state` (n, S) replaces the rows' own buffers, for a pass that follows another."""
        with torch.enable_grad():
            leaf = flat.detach()
            if state is not None and state.shape[1]:
                leaf = torch.cat([leaf[:, : -state.shape[1]], state], 1)
            leaf, inputs = leaf.requires_grad_(), inputs.detach().requires_grad_()
            try:
                out, after = self.stateful(leaf, inputs)
            except (ValueError, RuntimeError) as error:
                if not _is_about_the_batch(error):
                    raise
                size = f"batch_size={inputs.shape[1]} does not go through this GAN's modules"
                raise ValueError(f"{size}: {error}; choose another, or layers that bear it") from error
        return out.detach(), Tape(leaf, inputs, out, flat, after)

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """See Players."""
        leaf, x, out, home, state = tape
        weights, inputs, rows, last = asked
        if not isinstance(rows, slice):
            full = torch.zeros_like(out)
            full[rows] = grad
            grad = full
        wanted = ([leaf] if weights else []) + ([x] if inputs else [])
        found = [g[rows] for g in torch.autograd.grad(out, wanted, grad, retain_graph=not last)]
        if weights and state.shape[1]:
            # By way of `.data`: autograd must not take it for a change of the weights, which lie in the same tensor.
            home.data[rows, -state.shape[1] :] = state[rows]
        return (found[0] if weights else None), (found[-1] if inputs else None)

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> SeparatePair:
        """See Players."""
        return SeparatePair(self, flat, real, fake, buffers)


class ModulePlayers(AutogradPlayers):
    """N copies of any module, by `vmap` over stacked weights or one row after another (`loop`).

    Each row has its own buffers (running statistics, vectors of spectral norm, batch counts) and fixed parameters,
    stored after its weights.
    """

    def __init__(self, template: nn.Module, flat: Float[Tensor, "N P"], out_shape: tuple[int, ...], way: str):
        if way not in ("vmap", "loop"):
            raise ValueError(f"way={way!r} is unknown; use 'vmap' or 'loop'")
        names = [name for name, _ in template.named_buffers()]
        if names and way == "vmap":
            raise ValueError(
                f"{type(template).__name__} keeps state outside its weights ({', '.join(names[:3])}) and cannot be run "
                "by vmap; use way='loop', or normalisation with track_running_stats=False"
            )
        super().__init__(flat, self._stacked, weight_count(template))
        self._template, self._out_shape, self.way = template, out_shape, way
        self._parts = [(name, part.shape, part.dtype) for name, part in parts(template)]
        self._sizes = [shape.numel() for _, shape, _ in self._parts]
        self._trained = sum(p.requires_grad for p in template.parameters())
        self._buffers = names

    def _row(self, flat: Float[Tensor, " P"], inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Computes one row's outputs, and its buffers after this pass."""
        named = {}
        # By one `split`, whose gradient is one concatenation; that of a slice fills a whole vector with zeros.
        for i, (numbers, (name, shape, dtype)) in enumerate(zip(flat.split(self._sizes), self._parts, strict=True)):
            part = numbers.view(shape)
            named[name] = part if i < self._trained else part.detach().to(dtype, copy=True)
        out = functional_call(self._template, named, (inputs,))
        # Of a discriminator whatever scores a sample gets, one behind the other: the loss averages over all.
        out = out.reshape(-1, *self._out_shape)
        after = [named[name].detach().reshape(-1).to(flat.dtype) for name in self._buffers]
        return out, torch.cat(after) if after else flat.new_empty(0)

    def _stacked(self, flat: Float[Tensor, "n P"], inputs: Tensor) -> tuple[Tensor, Tensor]:
        if self.way == "vmap" and flat.shape[0] > 1:
            return vmap(self._row, randomness="error")(flat, inputs)
        made = [self._row(f, x) for f, x in zip(flat, inputs, strict=True)]
        out, state = [row[0] for row in made], [row[1] for row in made]
        return (torch.stack(out) if len(out) > 1 else out[0].unsqueeze(0)), torch.stack(state)


def _is_about_the_batch(error: Exception) -> bool:
    """Whether layers refuse a number of samples: BatchNorm's of one, minibatch statistics that want groups."""
    return any(
        part in str(error) for part in ("more than 1 value per channel", "more than 1 spatial", "for input of size")
    )


def make_players(
    template: nn.Module, flat: Float[Tensor, "N P"], out_shape: tuple[int, ...], way: str = "auto"
) -> MLPPlayers | ModulePlayers:
    """Makes the players of a module: "mlp" if it is a plain MLP, else "loop"; or the way that is named.

    Raises ValueError if the module does not fit the named way.
    """
    if way == "auto":
        way = "mlp" if mlp_layers(template) is not None else "loop"
        names = [name for name, _ in template.named_buffers()]
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
