"""What controllers need that set rates in absolute terms: rates of Adam mean something else to other optimisers."""

from __future__ import annotations

import warnings

from gan_env.types import GameFacts

UNSCALED = {"sgd", "asgd", "adagrad", "adadelta", "rprop", "lbfgs", "muon"}
"""Optimisers whose steps at a given rate are of another size than Adam's and RMSprop's."""


def warn_of_optimizer(name: str, game: GameFacts) -> None:
    """Warns if a controller that sets rates of Adam is to set those of an optimiser to which they mean something else.

    Args:
        name: The controller's name.
        game: Facts about the game; an unknown optimiser passes without a word.
    """
    if unscaled := sorted({*game.d_optimizer.split("+"), *game.g_optimizer.split("+")} & UNSCALED):
        named = " and ".join(unscaled)
        warnings.warn(
            f"{name} sets rates in absolute terms, found for Adam; at these rates the steps of {named} are of another "
            "size. Use Adam or RMSprop, or a controller that multiplies your own rates, such as linear-decay",
            stacklevel=3,
        )
