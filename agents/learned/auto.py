"""`auto`: a schedule of both players' learning rates, found on thousands of GANs drawn at random."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from gan_env.types import Control, Measurement

from ..policies.policy import PolicyController
from ..policies.policy_files import load_controller

SHIPPED = Path(__file__).parent.parent / "weights" / "auto.safetensors"


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
