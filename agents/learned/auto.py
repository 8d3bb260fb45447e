"""`auto`: a schedule of both players' learning rates, found on thousands of GANs drawn at random."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gan_env.types import Control, GameFacts, Measurement

from ..absolute_rates import warn_of_optimizer
from ..policies.policy import PolicyController
from ..policies.policy_files import load_controller

SHIPPED = Path(__file__).parent.parent / "weights" / "auto.safetensors"
BASE_RATES = (1e-7, 10.0)
"""Base rates that it can turn into its own; beyond them a feature of the rate is cut off."""


class Auto(PolicyController):
    """Sets both players' rates in absolute terms, whatever the base rates: no rate needs to be searched for.

    It is a linear policy on the portable features that do not depend on losses or scores: horizon, progress, base rates
    and the size of the weights. See `docs/controllers/auto.md` for what it does and where it fails.
    Rates are those of Adam or RMSprop. A run whose length it does not know keeps the rates of its start.
    """

    @cached_property
    def _linear(self) -> tuple[np.ndarray, np.ndarray]:
        weight, bias = (part.double().numpy() for part in self.layers[0])
        return weight, bias

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """Computes actions (N, 2) in [-1, 1], float64; a row's are the same alone and beside others, to the bit."""
        weight, bias = self._linear
        products = observations.astype(np.float64)[:, None] * weight  # torch's product rounds by the number of rows
        return np.minimum(np.maximum(np.add.reduce(products, 2) + bias, -1.0), 1.0)  # in half the time of `clip`

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts runs afresh; warns if it is not told how long they are, or if the optimiser is not Adam's kind.

        Raises:
            ValueError: If a base rate is outside of `BASE_RATES`, where multipliers cannot make it an absolute one.
        """
        for name, rate in (("d_lr", game.d_lr), ("g_lr", game.g_lr)):
            if rate and not BASE_RATES[0] <= rate <= BASE_RATES[1]:
                raise ValueError(
                    f"{self.name} multiplies base rates by at most 1e4, and {name}={rate:g} is outside of "
                    f"{BASE_RATES[0]:g} to {BASE_RATES[1]:g}; give any base rate in that range, it sets its own"
                )
        if not game.episode_updates:
            warnings.warn(
                f"{self.name} is not told how long the run is: it assumes 1,000 updates, its rates do not fall towards "
                "the end, and the run ends worse; give episode_updates",
                stacklevel=2,
            )
        warn_of_optimizer(self.name, game)
        super().reset(row_seeds, game)

    def act(self, measurement: Measurement) -> Control:
        """Returns the control for the coming update; raises ValueError if the base rates are not told."""
        if not measurement.tells_players and not (self.game.d_lr and self.game.g_lr):
            raise ValueError(
                "auto sets rates in absolute terms and must know the base rates; drive it by an environment, by "
                "agents.compare or by agents.Steer, which tell them"
            )
        return super().act(measurement)


def make_auto() -> Auto:
    """Rates of both players that need no search: a schedule by the horizon, the time and the size of the weights."""
    made = load_controller(SHIPPED)
    return Auto(made.spec, made.layers, "auto")
