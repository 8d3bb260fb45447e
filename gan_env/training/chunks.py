"""State of a chunk of consecutive rows: the coming batch, D's forward pass on it, and who will move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.players.players import EVERY, Buffers, Pair


def _places(mask: np.ndarray, device: torch.device) -> slice | Tensor | None:
    """Returns the places where `mask` is true: EVERY, their indices, or None for no row."""
    if mask.all():
        return EVERY
    return torch.from_numpy(np.flatnonzero(mask)).to(device) if mask.any() else None


class Moves:
    """Rows of a chunk that update D, G at D's old weights, or G after D has stepped; places, EVERY or None."""

    def __init__(self, update_d: np.ndarray, update_g: np.ndarray, order: str, device: torch.device):
        late = update_d & update_g if order == "alternating" else np.zeros_like(update_d)
        early = update_g & ~late
        self.d, self.g_early, self.g_late = (_places(mask, device) for mask in (update_d, early, late))


@dataclass(frozen=True)
class Judged:
    """D's unregularised forward pass on the coming real and generated batch."""

    pair: Pair
    numbers: Float[Tensor, "7 n"]
    """The numbers of a `types.Summary`, in its order, which begins with the losses of a `Trace`."""


class Chunk:
    """Some consecutive rows, with the forward pass on their coming batch."""

    def __init__(self, rows: slice, g_flat: Tensor, d_flat: Tensor):
        self.rows, self.g_flat, self.d_flat = rows, g_flat, d_flat
        self.g_buffers, self.d_buffers, self.late_buffers = Buffers(), Buffers(), Buffers()
        self.codes: Tensor
        self.inputs: Tensor
        """What G makes the coming batch of: latents, but for a task with a `Wiring` of its own."""
        self.real: Tensor
        self.fake: Tensor
        self.probe: Tensor
        """What the loss draws for the coming update, where it draws at all."""
        self.turn: Tensor
        """(n,) bool: whether the diversity term of the coming update counts, where there is one."""
        self.strength: Tensor
        """(n,): weight of D's loss in G's, where a `Wiring` has one."""
        self.out: Tensor
        """What G made: the generated batch itself, but for a task with a `Wiring` of its own."""
        self.g_tape: Any = None
        self.seen: Judged
        """D's clean forward pass on the coming batch."""
        self.recording: Any = None
        """How to do it all again, see `recording`."""
        self.stale = True
        """Whether weights or counters were changed since the coming batch was looked at."""

    def forget(self) -> None:
        """Releases the last passes, so that the next ones reuse their memory, which is still in cache."""
        self.g_tape = None
        self.__dict__.pop("seen", None)

    def whole(self, places: slice | Tensor) -> slice | Tensor:
        """Converts places within the chunk to rows of the whole batch."""
        return self.rows if isinstance(places, slice) else places + self.rows.start
