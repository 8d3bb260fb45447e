"""Losses and gradients of a decision's updates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.training.native_results import Seen
from gan_env.types import d_loss, on_host


@dataclass(frozen=True)
class Trace:
    """Results of a decision's k updates."""

    losses: Float[Tensor, "3 looks N"]
    """G's loss and D's losses on real and on generated samples: before the first update and after each, hence k + 1
    measurements, each on the batch that the following update uses."""
    gradient: Float[Tensor, "k N"]
    """Sum of both players' gradient entries in each update: non-finite if an entry is."""

    @cached_property
    def on_host(self) -> np.ndarray:
        """Returns the losses after each update, (3, k, N) float64."""
        return on_host(self.losses[:, 1:])

    @np.errstate(invalid="ignore")  # a row that has failed may hold infinities
    def d_losses(self, scale: str) -> np.ndarray:
        """Returns D's loss after each update, (k, N) float64: the "mean" of both sides or their "sum"."""
        return d_loss(self.on_host[1], self.on_host[2], scale)


class LazyTrace(Trace):
    """A trace of the kernel's results, whose tensors are made on first access."""

    @classmethod
    def of(cls, seen: Seen) -> LazyTrace:
        """Makes the trace of a decision."""
        made = object.__new__(cls)
        vars(made).update(_seen=seen, on_host=seen.losses[:, 1:].astype(np.float64))
        return made

    def __getattr__(self, name: str) -> Tensor:
        """Computes a field on first access; raises AttributeError for other names."""
        if name not in ("losses", "gradient"):
            raise AttributeError(name)
        made = vars(self)[name] = torch.from_numpy(getattr(vars(self)["_seen"], name))
        return made
