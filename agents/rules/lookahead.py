"""Look-ahead: estimates how much a controller of D's learning rate could gain. Not ranked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gan_env.training.snapshot import restore, snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control, GameFacts, Measurement, Transition

from ..base import shown_controller

CANDIDATES = (0.1, 10**-0.5, 1.0, 10**0.5, 10.0)
LONGEST_HORIZON, MOST_CANDIDATES = 10_000, 100
"""Each fork holds its batches for the whole horizon."""


class LookAhead:
    """Tries every candidate multiplier on copies of the GAN and keeps the one that leads to the best samples.

    Every `horizon` updates it forks each of its GANs once a candidate, trains the forks by V3 for `horizon` updates on
    the very batches to come, measures each fork's distance to *validation* data, and holds the best candidate for the
    next `horizon` updates; on a tie the one nearest to 1. It costs one further update a candidate and update, and looks
    into the future of its own run: a measure of head-room, which no rule that must decide beforehand competes with.
    It is greedy: what pays after `horizon` updates need not pay at the end.

    It needs the trainer: `controller.bind(env.unwrapped.trainer)` before `reset`; the benchmark does so itself.

    Source: ours.
    """

    name = "lookahead"

    def __init__(self, candidates: Sequence[float] = CANDIDATES, horizon: int = 100):
        if not candidates or not all(math.isfinite(c) and c > 0 for c in candidates):
            raise ValueError(f"lookahead: candidates={tuple(candidates)} must be finite numbers > 0, at least one")
        if isinstance(horizon, bool) or not isinstance(horizon, int) or not 1 <= horizon <= LONGEST_HORIZON:
            raise ValueError(f"lookahead: horizon={horizon!r} must be a whole number of 1 to {LONGEST_HORIZON}")
        if len(candidates) > MOST_CANDIDATES:
            raise ValueError(f"lookahead: {len(candidates)} candidates are too many; at most {MOST_CANDIDATES}")
        # Nearest to 1 first, so that a tie leaves the rate as it is.
        self.candidates, self.horizon = sorted(map(float, candidates), key=lambda c: abs(math.log(c))), horizon
        self._trainer: Trainer | None = None
        self._rows = np.zeros(0, np.int64)
        self._branch: Trainer | None = None
        self._due: Tensor | None = None
        """Update of each row at which it tries the candidates next, (N,)."""
        self._multiplier: Tensor | None = None

    def __repr__(self) -> str:
        return shown_controller(self.name, {"candidates": tuple(sorted(self.candidates)), "horizon": self.horizon})

    def bind(self, trainer: Trainer, rows: slice = slice(None)) -> None:
        """Sets the trainer and the controller's rows."""
        self._trainer, self._rows, self._branch = trainer, np.arange(trainer.n)[rows], None

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts N = len(row_seeds) runs afresh; raises ValueError unless it is bound to that many rows."""
        if self._trainer is None:
            raise ValueError(
                "lookahead forks GANs and needs their trainer; call bind(env.unwrapped.trainer) before reset"
            )
        if len(row_seeds) != len(self._rows):
            raise ValueError(f"lookahead is bound to {len(self._rows)} rows and was given {len(row_seeds)} row seeds")
        self._due, self._multiplier = None, None

    def act(self, measurement: Measurement) -> Control:
        """Returns the control for the coming update; tries the candidates again every `horizon` updates."""
        n = len(self._rows)
        if self._trainer is None or len(measurement) != n:
            raise ValueError(
                f"lookahead is bound to {n} rows and was shown {len(measurement)}; bind and reset it first"
            )
        now = measurement.update.cpu()
        due = torch.ones(n, dtype=torch.bool) if self._due is None else now >= self._due
        if due.any():
            best = torch.tensor(self.candidates, dtype=torch.float64)[self.try_out(self._trainer).argmin(1)]
            self._multiplier = best if self._multiplier is None else torch.where(due, best, self._multiplier)
            self._due = now + self.horizon if self._due is None else torch.where(due, now + self.horizon, self._due)
        assert self._multiplier is not None
        return Control.of(n, d_multiplier=self._multiplier, device=measurement.g_loss.device)

    def try_out(self, trainer: Trainer) -> Tensor:
        """Returns distances to validation data after `horizon` updates, (rows, candidates); infinite if undefined."""
        k = len(self.candidates)
        if self._branch is None:
            self._branch = trainer.empty_fork(len(self._rows) * k)
        branch = self._branch
        restore(branch, snapshot(trainer, np.repeat(self._rows, k).tolist()))
        multipliers = torch.tensor(self.candidates, dtype=torch.float64).repeat(len(self._rows))
        branch.advance(Control.of(branch.n, d_multiplier=multipliers, device=branch.device), self.horizon)
        distance = torch.from_numpy(branch.quality(range(branch.n)))  # infinite for a GAN that blew up
        return torch.nan_to_num(distance, nan=math.inf, posinf=math.inf).reshape(-1, k)

    def learn(self, transition: Transition) -> None:
        """Does nothing: look-ahead keeps no experience."""

    def state_dict(self) -> dict:
        """Returns the update of the next trial and the current multipliers; all else is in the trainer."""
        return {
            "due": None if self._due is None else self._due.clone(),
            "multiplier": None if self._multiplier is None else self._multiplier.clone(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`; the controller must be bound to a trainer as well."""
        self._due, self._multiplier = (None if state[k] is None else state[k].clone() for k in ("due", "multiplier"))


def make_lookahead(
    text: str | None = None, *, candidates: Sequence[float] = CANDIDATES, horizon: int = 100
) -> LookAhead:
    """Makes `lookahead`.

    Args:
        text: None, for it takes no argument.
        candidates: Multipliers on D's rate.
        horizon: Updates that each is tried for.
    """
    if text is not None:
        raise ValueError(f"lookahead takes no argument, got {text!r}; write 'lookahead'")
    return LookAhead(candidates, horizon)
