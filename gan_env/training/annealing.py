"""Moves a loss' coefficient and Adam's β₂ along half a cosine while a row trains, as R3GAN does.

Every value is a function of the row's updates, so a snapshot needs none of them. Both engines read the same table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.losses.losses import Loss
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.registry import unknown

DIGITS = 12
"""Decimals of the cosine, so that its table is the same on machines whose C libraries differ in the last bit."""


@dataclass(frozen=True, kw_only=True)
class Annealing:
    """Where the loss' coefficient and Adam's β₂ go over the first updates of an episode, and when they arrive.

    Both begin at what the loss and the optimiser say: γ₀ and β₂,₀. With X = `until` × the updates of an episode, the
    coefficient at a row's update t, counted from 0, is c γ₀ + (1 − c) γ₁ with c = (1 + cos(π min(t, X) / X)) / 2, and
    β₂ likewise. Bias corrections use the β₂ of the update, as torch's Adam does where a loop changes it.

    Source: Huang et al. 2024 (R3GAN), arXiv:2501.05441, with the numbers of its published code: γ to a tenth and β₂
    from 0.9 to 0.99, along with the learning rate to a quarter, which is a controller's: `cosine-decay(floor=0.25)`.

    Examples:
        >>> from gan_env import Annealing, GANEnv
        >>> env = GANEnv(task="ring", loss="r1", annealing=Annealing(coefficient=0.01, beta2=0.99, until=0.5))
        >>> env.unwrapped.batch.config.annealing
        Annealing(coefficient=0.01, beta2=0.99, until=0.5)
    """

    coefficient: float | None = None
    """γ₁: of a penalty its weight, of `instance-noise` the standard deviation; None: it stays."""
    beta2: float | None = None
    """β₂,₁ of both players' Adam or its kin, in [0, 1); None: it stays."""
    until: float = 1.0
    """Share of the episode's updates over which they move, in (0, 1]; they stay afterwards."""

    def __post_init__(self) -> None:
        if self.coefficient is None and self.beta2 is None:
            raise ValueError("annealing moves nothing; set coefficient, beta2 or both, e.g. {'beta2': 0.99}")
        if self.coefficient is not None and not (_is_number(self.coefficient) and 0 <= self.coefficient < math.inf):
            raise ValueError(f"annealing coefficient={self.coefficient!r} must be a finite number >= 0, e.g. 0.1")
        if self.beta2 is not None and not (_is_number(self.beta2) and 0 <= self.beta2 < 1):
            raise ValueError(f"annealing beta2={self.beta2!r} must be a number in [0, 1), e.g. 0.99")
        if not (_is_number(self.until) and 0 < self.until <= 1):
            raise ValueError(f"annealing until={self.until!r} must be a share of the episode in (0, 1], e.g. 0.5")

    @classmethod
    def of(cls, value: Annealing | dict[str, Any]) -> Annealing:
        """Makes one from a dict of fields, or returns one as it is; raises ValueError for anything else."""
        if isinstance(value, Annealing):
            return value
        known = [field.name for field in fields(cls)]
        if not isinstance(value, dict):
            raise ValueError(f"annealing={value!r} must be a dict with {', '.join(known)}, or an Annealing")
        for name in value:
            if name not in known:
                raise unknown("annealing argument", name, known)
        return cls(**value)

    def as_json(self) -> dict[str, float]:
        """Returns what was set, as rows and hashes hold it."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def coefficients(self, loss: Loss) -> tuple[float, float] | None:
        """Returns the loss' first and last coefficient, None if it stays; ValueError if it has none that could move."""
        if self.coefficient is None:
            return None
        if loss.penalty is None and not loss.noisy:
            raise ValueError(
                f"annealing coefficient={self.coefficient!r} needs a loss with a penalty or noise, and {loss.name!r} "
                "has none; leave it out, or choose one such as 'r3gan' or 'r1'"
            )
        return loss.coefficient, self.coefficient

    def beta2s(self, optimizer: OptimizerSpec) -> tuple[float, float] | None:
        """Returns the optimiser's first and last β₂, None if it stays; ValueError if it has none."""
        if self.beta2 is None:
            return None
        if not optimizer.is_adam:
            raise ValueError(
                f"annealing beta2={self.beta2!r} needs Adam or its kin, and optimizer {optimizer.name!r} has no β₂; "
                "leave it out, or set optimizer='adam'"
            )
        return optimizer.betas[1], self.beta2

    def table(self, first: float, last: float, episode_updates: int) -> Float[np.ndarray, " X+1"]:
        """Computes the values at updates 0 to X, which is at least 1; that of X holds for all later ones. Read-only."""
        return _cosine(first, last, max(round(self.until * episode_updates), 1))


@lru_cache
def _cosine(first: float, last: float, count: int) -> np.ndarray:
    shares = np.array([round((1 + math.cos(math.pi * t / count)) / 2, DIGITS) for t in range(count + 1)])
    made = shares * first + (1 - shares) * last
    made.flags.writeable = False
    return made


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class Annealed:
    """The annealed values of N rows.

    Args:
        annealing: What moves.
        loss: The GAN loss, whose coefficient is the first.
        optimizers: Of G and of D, whose β₂ are the first.
        episode_updates: Length of the run.
        like: (N, P), of whose device and precision they are.

    Raises:
        ValueError: If the loss or an optimiser has nothing that could move, or the length of the run is unknown.
    """

    def __init__(
        self,
        annealing: Annealing,
        loss: Loss,
        optimizers: Sequence[OptimizerSpec],
        episode_updates: int,
        like: Float[Tensor, "N P"],
    ):
        if not episode_updates:
            raise ValueError("annealing must know when the run ends; set episode_updates (it is 0, unknown)")
        moves = {"coefficient": annealing.coefficients(loss)}
        moves |= {f"{p}_beta2": annealing.beta2s(spec) for p, spec in zip("gd", optimizers, strict=True)}
        self.tables: dict[str, np.ndarray] = {
            name: annealing.table(*ends, episode_updates) for name, ends in moves.items() if ends is not None
        }
        """By "coefficient", "g_beta2" and "d_beta2", those that move: (X + 1,) float64."""
        self.now: dict[str, Tensor] = {
            name: torch.full(
                (len(like),), table[0], device=like.device, dtype=like.dtype if name == "coefficient" else torch.float64
            )
            for name, table in self.tables.items()
        }
        """By the same names, each row's value at its coming update, (N,): coefficients in the players' precision, β₂ in
        float64. Written in place, so that a recording of an update may read it."""

    def set_to(self, rows: slice, updates: np.ndarray) -> None:
        """Sets the values of the rows, which have had so many updates, (n,) int64."""
        for name, table in self.tables.items():
            self.now[name][rows] = torch.from_numpy(table[np.minimum(updates, len(table) - 1)]).to(self.now[name])
