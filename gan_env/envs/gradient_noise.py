"""How much of each player's moves is gone by the next, from the sample of weights that portable features read.

Let e be the direction Δw / ‖Δw‖ of a decision's move, u its average over τ = H^(1/3) decisions, H those of the run, and
c the sum of the squares of that average's weights. Then E ‖u‖² = s + (1 − s) c, where s is the share of a move that
persists: 1 where all moves are parallel, 0 where none has to do with another. The feature is 1 − s, estimated as
1 − (‖u‖² − c) / (1 − c). It does not depend on the loss' scale, on the rates or on the number of weights.

Moves on different batches have in common what is no noise, as have gradients, whose noise McCandlish et al. 2018,
arXiv:1812.06162, appendix A.1, estimate from batches of two sizes. Here the moves follow one another, so the turning of
the game itself counts as noise, too, and momentum as signal: the fewer updates a decision holds for, the lower the
figure. Moves in the place of gradients, their directions and the running average are ours.
"""

from __future__ import annotations

import numpy as np

from gan_env.envs.features import FEATURE_SETS, FEATURES, Feature
from gan_env.envs.portable import UNKNOWN_HORIZON
from gan_env.types import GameFacts, Measurement
from gan_env.weight_sample import SAMPLE

UNKNOWN = 0.5
"""The feature before a player's second move, and where nobody tells of its weights."""


class MoveMemory:
    """The average direction of both players' moves, of N rows; D first, G second.

    Args:
        rows: N.
        game: Facts about the game, of which the length of the run is read.
        updates_per_step: Updates that one decision holds for.
    """

    STATE = ("weights", "direction", "squares", "count")
    """Arrays that snapshots hold; rows lead."""

    def __init__(self, rows: int, game: GameFacts, updates_per_step: int):
        self._share = float(game.decisions(updates_per_step) or UNKNOWN_HORIZON) ** (-1 / 3)
        self.weights: np.ndarray = np.zeros((rows, 2, SAMPLE))
        """The sample at the last decision; zeros where it is unknown."""
        self.direction: np.ndarray = np.zeros((rows, 2, SAMPLE))
        """u."""
        self.squares: np.ndarray = np.ones((rows, 2))
        """c, 1 before the second move."""
        self.count: np.ndarray = np.zeros((rows, 2), np.int64)
        """Moves that were seen."""

    def start(self, rows: np.ndarray, seen: Measurement) -> None:
        """Takes the first measurement of an episode of the rows, (rows,) int."""
        self.direction[rows], self.squares[rows], self.count[rows] = 0, 1, 0
        self.weights[rows] = 0 if seen.players is None else seen.players.weights[rows]

    @np.errstate(all="ignore")  # a row that has failed may hold infinities
    def push(self, seen: Measurement, rows: np.ndarray) -> None:
        """Takes the measurement after a decision of the rows, (N,) bool; a player that rested keeps its average."""
        if seen.players is None:
            return
        moved = seen.players.weights - self.weights
        length = np.sqrt(np.einsum("nps,nps->np", moved, moved))
        counts = rows[:, None] & np.isfinite(length) & (length > 0) & self.weights.any(2)
        np.copyto(self.weights, seen.players.weights, where=rows[:, None, None])
        self.count += counts
        share = np.maximum(self._share, 1 / np.maximum(self.count, 1))
        step = share[..., None] * (moved / length[..., None] - self.direction)
        np.add(self.direction, step, out=self.direction, where=counts[..., None])
        np.copyto(self.squares, (1 - share) ** 2 * self.squares + share**2, where=counts)

    @np.errstate(all="ignore")
    def write(self, out: np.ndarray) -> None:
        """Writes `GRADIENT_NOISE`, unclipped, into `out`, (2, N)."""
        persists = np.einsum("nps,nps->np", self.direction, self.direction)
        out[:] = np.where(self.count > 1, 1 - (persists - self.squares) / (1 - self.squares), UNKNOWN).T


for _name in ("d", "g"):
    FEATURES.add(
        f"{_name}_noise",
        Feature(
            f"1 − (‖u‖² − c) / (1 − c), u the average over τ = H^(1/3) decisions of the direction of {_name.upper()}'s "
            "move, c the sum of its weights' squares: the share of a move that is gone by the next; 0.5 if unknown",
            None,
            0.0,
            1.0,
            portable=True,
        ),
    )
GRADIENT_NOISE = FEATURE_SETS["gradient_noise"] = ("d_noise", "g_noise")
"""Features beside `PORTABLE_FEATURES`, whose set and order committed policies hold."""
