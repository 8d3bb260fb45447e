"""N copies of one plain module, each with its own weights, run and differentiated together.

The weights of a row are one flat vector in the order of `parts`, so that an optimiser is a few elementwise operations
on (N, P). Rows share no weights, so the gradient of a sum over rows holds each row's own.

The interface that the trainer runs them by, and what its two ways share: `mlp_players` for stacks of linear layers,
`module_players` for any other module.
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


class Asked(NamedTuple):
    """What is asked of a forward pass' tape."""

    weights: bool
    """Gradients for the weights."""
    inputs: bool
    """Gradients for the inputs."""
    rows: Rows = EVERY
    """The m places within the tape's n rows that are spoken of: EVERY one, or their numbers."""
    last: bool = False
    """Whether nothing more will be asked of the tape, whose memory can then serve the way back."""


@runtime_checkable
class Players(Protocol):
    """What the trainer needs of N copies of a module."""

    flat: Float[Tensor, "N P"]
    """Everything that a row holds, in the order of `parts`."""
    weights: int
    """How many numbers of a row are trained; the others follow and have gradient 0."""

    def over(self, flat: Float[Tensor, "M P"]) -> Players:
        """The same on other weights, of as many rows as these have."""
        ...

    def forward(self, flat: Float[Tensor, "n P"], inputs: Tensor, buffers: Buffers) -> tuple[Tensor, Any]:
        """Outputs (n, B, *out) of inputs (n, B, *in), and the tape that `backward` needs.

        The tape lives in `buffers` until the next forward pass with the same ones.
        """
        ...

    def backward(self, tape: Any, grad: Tensor, buffers: Buffers, asked: Asked) -> tuple[Tensor | None, Tensor | None]:
        """Gradients for the weights (m, P) and for the inputs (m, B, *in) of `grad` (m, B, *out), where asked for.

        Both results may live in `buffers` until the next backward pass with the same ones.
        """
        ...

    def functional(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> Tensor:
        """Outputs that autograd can differentiate, twice too, in `flat` and `inputs`."""
        ...

    def stateful(self, flat: Float[Tensor, "n P"], inputs: Tensor, /) -> tuple[Tensor, Float[Tensor, "n S"]]:
        """The same, and the module's S buffers after this pass: what the last S numbers of a row would become."""
        ...

    def pair(self, flat: Float[Tensor, "n P"], real: Tensor, fake: Tensor, buffers: Buffers) -> Pair:
        """A discriminator's forward pass on real and generated samples (n, B, *shape)."""
        ...


@runtime_checkable
class Pair(Protocol):
    """A discriminator's forward pass on two batches, kept for its gradients; lives in the buffers it was made with."""

    real_logits: Float[Tensor, "n B"]
    fake_logits: Float[Tensor, "n B"]

    def weight_gradient(
        self, real_gradient: Tensor, fake_gradient: Tensor, scratch: Buffers, rows: Rows, inputs: Sequence[str]
    ) -> Tensor:
        """Gradient for the weights (m, P) from the gradient in the logits (n, B), for the m chosen rows.

        `inputs` are the sides whose `input_gradient` will be asked for afterwards, once, before the next pass.
        """
        ...

    def input_gradient(self, side: str, gradient: Tensor, scratch: Buffers, rows: Rows) -> Tensor:
        """Gradient for the samples (m, B, *shape) of one side, "real" or "fake", from that in m rows' logits (m, B)."""
        ...
