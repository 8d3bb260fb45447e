"""Interface of N copies of one plain module, each with its own weights, run and differentiated together.

The weights of a row are one flat vector in the order of `parts`, so that an optimiser is a few elementwise operations
on (N, P). Rows share no weights, so the gradient of a sum over rows holds each row's own.

The trainer uses this interface only. There are two implementations: `players.batched_mlp` for stacks of linear layers,
`players.batched_modules` for any other module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Rows = slice | Tensor
EVERY = slice(None)


class Buffers:
    """Tensors and views that are reused at every update.

    On CPU a fresh large tensor costs page faults, a third of an update; making the views of a narrow MLP's layers
    costs as much as its arithmetic.
    """

    def __init__(self) -> None:
        self._held: dict[object, Tensor] = {}
        self._views: dict[str, tuple[Tensor, Any]] = {}
        self._parts: dict[str, Buffers] = {}

    def part(self, name: str) -> Buffers:
        """Returns separate buffers under a name."""
        return self._parts.setdefault(name, Buffers())

    def get(self, name: object, shape: tuple[int, ...] | torch.Size, like: Tensor) -> Tensor:
        """Returns a contiguous tensor of `shape` with old contents; its first axis may differ from call to call."""
        held = self._held.get(name)
        if held is not None and held.shape == shape:
            return held
        if held is None or held.shape[0] < shape[0] or held.shape[1:] != shape[1:]:
            held = self._held[name] = like.new_empty(shape)
        return held[: shape[0]]

    def take(self, name: object, whole: Tensor, rows: Rows) -> Tensor:
        """Returns the chosen rows of `whole`: itself for EVERY one, else a copy in a buffer."""
        if isinstance(rows, slice):
            return whole
        return torch.index_select(whole, 0, rows, out=self.get(name, (len(rows), *whole.shape[1:]), whole))

    def views(self, name: str, tensor: Tensor, make: Callable[[Tensor], Any]) -> Any:
        """Returns `make(tensor)`, cached while the tensor is the same."""
        held = self._views.get(name)
        if held is None or held[0] is not tensor:
            held = self._views[name] = (tensor, make(tensor))
        return held[1]


class Asked(NamedTuple):
    """Which gradients of a forward pass are requested."""

    weights: bool
    """Whether gradients for the weights are requested."""
    inputs: bool
    """Whether gradients for the inputs are requested."""
    rows: Rows = EVERY
    """The m requested rows among the tape's n rows: EVERY one, or their indices."""
    last: bool = False
    """Whether this is the last request, so that the tape's memory can be reused by the backward pass."""


@runtime_checkable
class Players(Protocol):
    """Interface that the trainer needs of N copies of a module."""

    flat: Float[Tensor, "N P"]
    """Weights, fixed parameters and buffers of each row, in the order of `parts`."""
    weights: int
    """Count of trained numbers of a row; the others follow them and have gradient 0."""

    def over(self, flat: Float[Tensor, "M P"]) -> Players:
        """Returns the same players on other weights, which may have another number of rows."""
        ...

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """Computes outputs (n, B, *out) of inputs (n, B, *in), and the tape that `backward` needs.

        The tape is valid until the next forward pass with the same `buffers`.
        """
        ...

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """Computes the requested gradients for weights (m, P) and inputs (m, B, *in) from `grad` (m, B, *out).

        Both results are valid until the next backward pass with the same `buffers`.
        """
        ...

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """Computes outputs that autograd can differentiate, also twice, in `flat` and `inputs`."""
        ...

    def stateful(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> tuple[Tensor, Float[Tensor, "n S"]]:
        """Computes the same, and the new values of the module's S buffers, the last S numbers of a row."""
        ...

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> Pair:
        """Runs a discriminator's forward pass on real and generated samples (n, B, *shape)."""
        ...


@runtime_checkable
class Pair(Protocol):
    """A discriminator's forward pass on two batches, stored in its buffers for its gradients."""

    real_logits: Float[Tensor, "n B"]
    fake_logits: Float[Tensor, "n B"]

    def weight_gradient(
        self, real_gradient: Tensor, fake_gradient: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """Computes the gradient for the weights (m, P) from that in the logits (n, B), for the m chosen rows.

        `inputs` are the sides whose `input_gradient` will be requested afterwards, once, before the next pass.
        """
        ...

    def input_gradient(self, side: str, gradient: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """Computes the gradient for one side's samples (m, B, *shape), "real" or "fake", from that in logits (m, B)."""
        ...
