"""Two ways to search for a policy: CMA-ES, and the mean gradient of ranks; both are what they were told, to the bit."""

from __future__ import annotations

from typing import Protocol

import cma
import numpy as np
from policies import Form
from scipy.stats import rankdata

from agents.learned.evolution import centred_ranks


class Search(Protocol):
    """Asks for generations of θ and is told how they did."""

    @property
    def theta(self) -> np.ndarray:
        """What it has found so far, (n,)."""
        ...

    @property
    def spread(self) -> float:
        """Standard deviation of what it asks for."""
        ...

    def ask(self) -> np.ndarray:
        """Returns the policies of each game, (games, policies, n)."""
        ...

    def tell(self, scores: np.ndarray) -> None:
        """Takes their log distances, (games, policies); lower is better."""
        ...


class Cma:
    """CMA-ES by the package cma: all games have the same policies, and each policy counts by its mean rank.

    Args:
        start: The first mean, (n,).
        sigma: The first standard deviation.
        games, policies: In a generation.
        seed: Of all draws.
    """

    def __init__(self, start: np.ndarray, sigma: float, games: int, policies: int, seed: int):
        self._search = cma.CMAEvolutionStrategy(start, sigma, {"popsize": policies, "seed": seed, "verbose": -9})
        self._games, self._asked = games, np.zeros(0)

    @property
    def theta(self) -> np.ndarray:
        """See `Search`."""
        return self._search.mean

    @property
    def spread(self) -> float:
        """See `Search`."""
        return float(self._search.sigma)

    def ask(self) -> np.ndarray:
        """See `Search`."""
        self._asked = np.array(self._search.ask())
        return np.array([self._asked] * self._games)

    def tell(self, scores: np.ndarray) -> None:
        """See `Search`.

        Many mean ranks are equal but for rounding, so that another formula for them, such as `centred_ranks`, would
        lead a committed search elsewhere.
        """
        ranks = np.mean([(rankdata(each) - 1) / (len(each) - 1) for each in scores], 0)
        self._search.tell(list(self._asked), ranks.tolist())


class Gradient:
    """Follows the gradient of the rank within a game, with other policies in each game, and averages where it was.

    θ ← θ − RATE Σ u ε S / (games · policies), u the ranks in [−½, ½] and ε the normal draws, in units S of each
    number of θ; the second half of a game's draws mirrors the first. As the draws never shrink, later generations tell
    as much as earlier ones, and the mean over the last half of the generations is what was found (Salimans et al.
    2017, arXiv 1703.03864, Algorithm 1; Polyak and Juditsky 1992 for the average). `GradientSearch` of `agents`, which
    trains agents, has the same draws in every game and follows Adam.

    Args:
        form: What θ stands for.
        games, policies: In a generation.
        seed: Of all draws.
    """

    SIGMA, RATE = 0.1, 1.5

    def __init__(self, form: Form, games: int, policies: int, seed: int):
        self._units, self._shape, self._seed = form.units, (games, policies // 2, len(form.names)), seed
        self._path = [form.start]

    @property
    def theta(self) -> np.ndarray:
        """See `Search`."""
        return np.mean(self._path[len(self._path) // 2 :], 0)

    @property
    def spread(self) -> float:
        """See `Search`; in units of each number of θ."""
        return self.SIGMA

    def _noise(self) -> np.ndarray:
        half = np.random.default_rng([22, self._seed, len(self._path)]).standard_normal(self._shape)
        return np.concatenate([half, -half], 1)

    def ask(self) -> np.ndarray:
        """See `Search`."""
        return self._path[-1] + self.SIGMA * self._units * self._noise()

    def tell(self, scores: np.ndarray) -> None:
        """See `Search`."""
        ranks = np.array([centred_ranks(each) for each in scores])
        step = np.einsum("gp,gpn->n", ranks, self._noise()) / ranks.size
        self._path.append(self._path[-1] - self.RATE * self._units * step)
