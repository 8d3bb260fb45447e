"""Policies as few numbers: which linear controllers of portable features the search chooses among."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from games import RANGE, UPDATES_PER_STEP

from agents.policies.policy import PolicyController, PolicySpec
from gan_env.envs.portable import PORTABLE_FEATURES, RAMPS

PLAYERS = ("d", "g")
DECADES = math.log10(RANGE[1])
FEEDBACK = {
    "auc": ("auc_short", "auc_long"),
    "separation": ("separation_short", "separation_long"),
    "losses": ("d_loss_ratio", "d_loss_trend", "g_loss_trend", "g_loss_volatility"),
    "steps": ("d_step", "g_step"),
}
"""Groups of features that tell how the run goes; everything else is known before it starts, or is time."""
CENTRE = {"auc_short": 0.5, "auc_long": 0.5}
"""Values from which a coefficient counts, other than 0."""
SPREADS = {"size": 0.4, "log_horizon": 0.2, "auc": 0.15, "separation": 0.6, "d_loss_ratio": 0.6, "d_loss_trend": 0.4}
SPREADS |= {"g_loss_trend": 0.4, "g_loss_volatility": 0.4}
"""Terms, by their beginning, to their standard deviation over 60 drawn games under the start; 1 for all others."""


@dataclass(frozen=True)
class Form:
    """What a vector of numbers θ stands for: log₁₀ of a player's rate = Σ θ · (feature − centre), for D and for G.

    >>> form = Form()
    >>> len(form.names), form.start[:2].round(2).tolist()
    (16, [-3.3, -3.8])
    """

    feedback: tuple[str, ...] = ()
    """Groups of FEEDBACK."""
    sizes: bool = True
    """Whether rates may depend on the size of the weights."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of one player; `size` is log₁₀ of the relative step that a rate of 1 would make."""
        read = [name for group in self.feedback for name in FEEDBACK[group]]
        return ("rate", *(["size"] if self.sizes else []), "log_horizon", *(f"ramp_{c}" for c in RAMPS), *read)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers of θ."""
        return tuple(f"{player}:{term}" for term in self.terms for player in PLAYERS)

    @property
    def start(self) -> np.ndarray:
        """θ from which a search begins: D at 3e-3 and G at 1e-3, falling towards the end."""
        known = {"d:rate": math.log10(3e-3) - 0.8, "g:rate": -3.8}
        known |= {f"{player}:ramp_75": -0.3 for player in PLAYERS} | {f"{player}:ramp_100": -0.5 for player in PLAYERS}
        return np.array([known.get(name, 0.0) for name in self.names])

    @property
    def units(self) -> np.ndarray:
        """By how much each number of θ moves for a player's log₁₀ of its rate to move by about 1."""
        terms = [name.partition(":")[2] for name in self.names]
        found = (next((by for start, by in SPREADS.items() if term.startswith(start)), 1.0) for term in terms)
        return 1 / np.array(list(found))

    def grown(self, theta: np.ndarray, other: Form) -> np.ndarray:
        """Returns another form's θ with the same policy, where that has the terms."""
        known = dict(zip(self.names, theta, strict=True))
        return np.array([known.get(name, 0.0) for name in other.names])

    def layer(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns weight (2, F) and bias (2,) of the linear layer whose clipped outputs are the action."""
        weight, bias = np.zeros((2, len(PORTABLE_FEATURES))), np.zeros(2)
        at = {name: i for i, name in enumerate(PORTABLE_FEATURES)}
        for row, player in enumerate(PLAYERS):
            weight[row, at[f"{player}_log_rate"]] -= 1.0  # absolute rates, whatever the base
            bias[row] += 3.0
        for name, value in zip(self.names, theta, strict=True):
            player, _, term = name.partition(":")
            row = PLAYERS.index(player)
            if term == "rate":
                bias[row] += value
            elif term == "size":
                weight[row, at[f"{player}_step"]] += value
                for each in ("log_rate", "log_multiplier"):
                    weight[row, at[f"{player}_{each}"]] -= value
            else:
                weight[row, at[term]] += value
                bias[row] -= value * CENTRE.get(term, 0.0)
        return weight / DECADES, bias / DECADES

    def controller(self, theta: np.ndarray, name: str, provenance: dict[str, object]) -> PolicyController:
        """Makes the controller of θ."""
        weight, bias = self.layer(theta)
        spec = PolicySpec(
            control="rates",
            features=("portable",),
            d_lr_range=RANGE,
            g_lr_range=RANGE,
            updates_per_step=UPDATES_PER_STEP,
            signed_losses=True,
            output="clip",
        )
        layers = [(torch.from_numpy(weight).float(), torch.from_numpy(bias).float())]
        return PolicyController(replace(spec, provenance=provenance), layers, name)


FORMS = {
    "schedule": Form(),
    "feedback": Form(tuple(FEEDBACK)),
    "no-sizes": Form(sizes=False),
    **{f"no-{left}": Form(tuple(group for group in FEEDBACK if group != left)) for left in FEEDBACK},
}
"""Rung (b), rung (c), and what is left out in an ablation."""
