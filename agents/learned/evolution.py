"""Evolution strategies: ask for a generation of weight vectors, tell how good each was. Their state is what was told.

Vectors come in antithetic pairs, mean ± what was drawn, and ranks alone count, so the scale of the scores does not.
All draws come from the seed and the generation's number: a search that is told the same scores asks for the same
vectors, to the bit, and nothing else of it needs to be kept.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from gan_env.random.streams import Purpose, rng

CMA_MOST = 60
"""Most weights for which CMA-ES is used: its covariance matrix has their square."""
DRAW = 3
"""Index of the draws among those of `Purpose.CONTROLLER`."""


class Search(Protocol):
    """A search for the weights with the highest score."""

    @property
    def mean(self) -> np.ndarray:
        """Weights (n,) in the middle of the next generation."""
        ...

    @property
    def spread(self) -> float:
        """Standard deviation of the next generation, over all weights."""
        ...

    def ask(self) -> np.ndarray:
        """Returns the next generation, (population, n); the second half mirrors the first about `mean`."""
        ...

    def tell(self, scores: np.ndarray) -> None:
        """Takes the scores (population,) of what `ask` returned; higher is better."""
        ...


def make_search(start: np.ndarray, settings: dict[str, Any], seed: int) -> Search:
    """Makes CMA-ES for up to `CMA_MOST` weights, and OpenAI's evolution strategy beyond.

    Args:
        start: The first mean, (n,).
        settings: `population`, `sigma` and `learning_rate`, see `AgentConfig`.
        seed: Of all draws.

    Raises:
        ValueError: If CMA-ES is needed and the package cma is not installed.
    """
    return (CmaSearch if len(start) <= CMA_MOST else GradientSearch)(start, settings, seed)


class CmaSearch:
    """CMA-ES by the package cma, with mirrored samples.

    Of each pair the better one alone can count among the better half, since two selected mirror images cancel and
    would shrink the step size (Brockhoff et al. 2010, "Mirrored sampling and sequential selection for evolution
    strategies", pairwise selection).
    """

    def __init__(self, start: np.ndarray, settings: dict[str, Any], seed: int):
        try:
            import cma
        except ModuleNotFoundError as error:
            raise ValueError(
                f"algorithm='es' with {len(start)} weights needs the package cma: pip install 'gan-env[es]'; or use a "
                "policy with hidden layers, e.g. hidden=(16,)"
            ) from error
        self._seed, self._generation, self._half = seed, 0, settings["population"] // 2
        self._draw = rng(seed, 0, Purpose.CONTROLLER, DRAW)
        self._asked = np.zeros((0, len(start)))
        options = {
            "popsize": settings["population"],
            "randn": lambda *shape: self._draw.standard_normal(shape),
            "seed": np.nan,  # else it seeds NumPy's global generator
            "verbose": -9,
            "verb_log": 0,
        }
        self._search = cma.CMAEvolutionStrategy(start, settings["sigma"], options)

    @property
    def mean(self) -> np.ndarray:
        """See `Search`."""
        return np.array(self._search.mean)

    @property
    def spread(self) -> float:
        """See `Search`."""
        return float(np.sqrt(np.mean(np.square(self._search.stds))))

    def ask(self) -> np.ndarray:
        """See `Search`."""
        self._draw = rng(self._seed, self._generation, Purpose.CONTROLLER, DRAW)
        drawn = np.array(self._search.ask(self._half))
        self._asked = np.concatenate([drawn, 2 * self.mean - drawn])
        return self._asked

    def tell(self, scores: np.ndarray) -> None:
        """See `Search`."""
        pairs = np.asarray(scores).reshape(2, self._half)
        wins = np.stack([pairs[0] >= pairs[1], pairs[0] < pairs[1]]).ravel()
        order = np.lexsort((-np.asarray(scores), ~wins))  # winners first, each half by its score
        places = np.empty(len(order))
        places[order] = np.arange(len(order))
        self._search.tell(list(self._asked), places.tolist())
        self._generation += 1


class GradientSearch:
    """Follows the gradient of the expected rank by Adam, at a fixed standard deviation.

    Source: Salimans et al. 2017, arXiv 1703.03864, Algorithm 1 with mirrored sampling and rank shaping (section 2.1):
    ∇ = 1/(P σ) Σ u_i ε_i, u the centred ranks in [-1/2, 1/2].
    """

    BETAS = (0.9, 0.999)

    def __init__(self, start: np.ndarray, settings: dict[str, Any], seed: int):
        self.mean, self._seed, self._generation = np.array(start, np.float64), seed, 0
        self._half, self.spread, self._rate = settings["population"] // 2, settings["sigma"], settings["learning_rate"]
        self._first, self._second = np.zeros_like(self.mean), np.zeros_like(self.mean)

    def ask(self) -> np.ndarray:
        """See `Search`."""
        noise = self._noise()
        return np.concatenate([self.mean + self.spread * noise, self.mean - self.spread * noise])

    def tell(self, scores: np.ndarray) -> None:
        """See `Search`."""
        utility = centred_ranks(scores)
        difference = utility[: self._half] - utility[self._half :]
        gradient = (difference[:, None] * self._noise()).sum(0) / (len(utility) * self.spread)
        self._generation += 1
        for moment, value, beta in zip((self._first, self._second), (gradient, gradient**2), self.BETAS, strict=True):
            moment *= beta
            moment += (1 - beta) * value
        first, second = (
            moment / (1 - beta**self._generation)
            for moment, beta in zip((self._first, self._second), self.BETAS, strict=True)
        )
        self.mean = self.mean + self._rate * first / (np.sqrt(second) + 1e-8)

    def _noise(self) -> np.ndarray:
        """Draws the generation's ε, (population / 2, n)."""
        return rng(self._seed, self._generation, Purpose.CONTROLLER, DRAW).standard_normal((self._half, len(self.mean)))


def centred_ranks(scores: np.ndarray) -> np.ndarray:
    """Returns ranks scaled to [-1/2, 1/2]; equal scores share the mean of their ranks.

    >>> centred_ranks(np.array([3.0, 9.0, 3.0])).tolist()
    [-0.25, 0.5, -0.25]
    """
    from scipy.stats import rankdata

    return (rankdata(scores) - 1) / (len(scores) - 1) - 0.5


class PolicyShape:
    """Layers of a policy as one vector of weights.

    >>> PolicyShape(9, (), 1).weights
    10

    Args:
        features: Numbers that it sees.
        hidden: Widths of its hidden layers, tanh behind each; none for a linear policy.
        outputs: Numbers of its action, squashed by tanh, or choices.
    """

    def __init__(self, features: int, hidden: tuple[int, ...], outputs: int):
        sizes = (features, *hidden, outputs)
        self.layers = list(zip(sizes[1:], sizes, strict=False))
        """(out, in) of each layer."""
        self.weights: int = sum(out * (into + 1) for out, into in self.layers)

    def start(self, seed: int) -> np.ndarray:
        """Returns the first weights: hidden layers at random by their width, the last at zero, the neutral action."""
        draw, parts = rng(seed, 0, Purpose.CONTROLLER, DRAW + 1), []
        for out, into in self.layers[:-1]:
            parts += [draw.standard_normal(out * into) / np.sqrt(into), np.zeros(out)]
        out, into = self.layers[-1]
        return np.concatenate([*parts, np.zeros(out * (into + 1))])

    def split(self, vectors: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Splits vectors (P, n) into weights (P, out, in) and biases (P, out) of each layer, in float32."""
        found, at, vectors = [], 0, vectors.astype(np.float32)
        for out, into in self.layers:
            weight = vectors[:, at : at + out * into].reshape(-1, out, into)
            at += out * into
            found.append((weight, vectors[:, at : at + out]))
            at += out
        return found

    def outputs(self, layers: list[tuple[np.ndarray, np.ndarray]], seen: np.ndarray) -> np.ndarray:
        """Computes the last layer's numbers of P policies, each on its own K rows: (P, K, F) to (P, K, outputs)."""
        h = seen.astype(np.float32)
        for i, (weight, bias) in enumerate(layers):
            h = np.tanh(h) if i else h
            h = np.matmul(h, weight.transpose(0, 2, 1)) + bias[:, None]
        return h
