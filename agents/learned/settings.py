"""Settings of the learners of `gan-env train`: what each has, its default, and which values are possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

from gan_env.argument_checks import at_least, is_positive
from gan_env.registry import unknown

_OFF_POLICY = {
    "learning_rate": 1e-3, "gamma": 0.99, "hidden": (64, 64), "batch_size": 64, "buffer_size": 100_000,
    "learning_starts": 200, "tau": 0.005, "gradient_steps": 1,
}  # fmt: skip
DEFAULTS: dict[str, dict[str, Any]] = {
    "ddpg": {**_OFF_POLICY, "noise": 0.1, "actor_learning_rate": None, "last_layer": None},
    "td3": {**_OFF_POLICY, "noise": 0.1, "actor_learning_rate": None, "last_layer": None},
    "sac": _OFF_POLICY,
    "dqn": {**_OFF_POLICY, "exploration": 0.05},
    # Of the search in benchmarks/zoo_search.py, on ring.
    "ppo": {
        "learning_rate": 3e-4, "gamma": 0.8, "hidden": (64, 64), "batch_size": None, "n_steps": 50, "n_epochs": 10,
        "entropy": 0.003,
    },
    "es": {"learning_rate": 0.05, "hidden": (), "population": 16, "seeds": 8, "sigma": 0.05},
}  # fmt: skip
"""Settings of each algorithm with their defaults; a setting that is not among them is refused."""
CHOOSES, NUMBERS = ("dqn", "ppo", "es"), ("ddpg", "td3", "sac", "ppo", "es")
"""Algorithms for actions that are a choice (`update-choice`), and for those that are numbers."""
OFF_POLICY = ("ddpg", "td3", "sac", "dqn")
"""Algorithms that learn from a replay buffer."""

_LEAST = {
    "buffer_size": 1, "batch_size": 1, "gradient_steps": 1, "learning_starts": 0, "n_steps": 2, "n_epochs": 1,
    "seeds": 1, "updates_per_step": 1,
}  # fmt: skip
_MOST = {
    "learning_rate": 1, "tau": 1, "gamma": 1, "noise": 10, "entropy": 10, "exploration": 1, "sigma": 10,
    "actor_learning_rate": 1, "last_layer": 1,
}  # fmt: skip
_MOST_COUNT = {
    "buffer_size": 10**7, "batch_size": 10**5, "gradient_steps": 1_000, "n_steps": 10**5, "n_epochs": 1_000,
    "seeds": 10**4, "population": 10**4,
}  # fmt: skip
_WIDEST, _MOST_LAYERS = 2_048, 8
"""A folder or a controller's name from somebody else may ask for anything; these take a gigabyte."""
_ABOVE_ZERO = ("learning_rate", "tau", "sigma", "actor_learning_rate", "last_layer")


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """Settings of a learner; None is the algorithm's own default, see `DEFAULTS`.

    >>> AgentConfig(gamma=0.9).of("td3")["gamma"], AgentConfig().of("ppo")["n_steps"]
    (0.9, 50)
    """

    learning_rate: float | None = None
    """Of Adam, 0.001 by default; ppo: 0.0003; es, beyond 60 parameters: 0.05."""
    buffer_size: int | None = None
    """Transitions kept (ddpg, td3, sac, dqn); by default 100,000."""
    learning_starts: int | None = None
    """Decisions at random before the first gradient step (ddpg, td3, sac, dqn); by default 200. Of an embedded run a
    tenth where that is less."""
    batch_size: int | None = None
    """Transitions in one gradient step, 64 by default; ppo: a tenth of what it learns from at once."""
    tau: float | None = None
    """Soft target update θ' ← τθ + (1 − τ)θ' (ddpg, td3, sac, dqn); by default 0.005."""
    gamma: float | None = None
    """Discount per decision, 0.99 by default; ppo: 0.8; es has none."""
    noise: float | None = None
    """Standard deviation of the exploration noise on the action (ddpg, td3); by default 0.1."""
    actor_learning_rate: float | None = None
    """Of the actor's Adam, if not `learning_rate` (ddpg, td3); the paper of DDPG has a tenth of the critic's."""
    last_layer: float | None = None
    """First weights of the last layers of actor and critic are uniform within ± this (ddpg, td3), so that an untrained
    actor stands in the middle of its ranges; 0.003 in the paper of DDPG. By default torch's own, which are larger."""
    gradient_steps: int | None = None
    """Gradient steps for each decision of one GAN (ddpg, td3, sac, dqn); by default 1."""
    exploration: float | None = None
    """Share of decisions at random after the first fifth of the training (dqn); by default 0.05."""
    n_steps: int | None = None
    """Decisions of each GAN between two improvements of the policy (ppo); by default 50."""
    n_epochs: int | None = None
    """Passes over them (ppo); by default 10."""
    entropy: float | None = None
    """Weight of the entropy bonus (ppo); by default 0.003."""
    population: int | None = None
    """Policies in one generation, in antithetic pairs (es); by default 16."""
    seeds: int | None = None
    """GANs that each of them trains, the same for all (es); by default 8."""
    sigma: float | None = None
    """Standard deviation of the first generation's weights (es); 0.05 by default, for larger ones reach the bounds of
    the ranges at once, where GANs fail or stand still."""
    hidden: tuple[int, ...] | None = None
    """Hidden layers of the actor, and of the critic; (64, 64) by default, and none for es, whose policy is linear."""

    def __post_init__(self) -> None:
        check_settings({f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None})

    def of(self, algorithm: str) -> dict[str, Any]:
        """Returns the algorithm's settings; raises ValueError for one that it does not have, naming who has it."""
        if algorithm not in DEFAULTS:
            raise unknown("algorithm", algorithm, list(DEFAULTS))
        own = DEFAULTS[algorithm]
        for f in fields(self):
            if getattr(self, f.name) is not None and f.name not in own:
                owners = ", ".join(name for name, theirs in DEFAULTS.items() if f.name in theirs)
                raise ValueError(
                    f"{f.name}={getattr(self, f.name)!r} is no setting of algorithm={algorithm!r}; leave it out, or "
                    f"use {owners}"
                )
        given = {name: value for name in own if (value := getattr(self, name)) is not None}
        if algorithm != "es" and given.get("hidden") == ():
            raise ValueError("hidden=() is a linear policy, which es alone has; give widths, e.g. (64, 64)")
        return {**own, **given}


def check_settings(values: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the setting, for a value that no learner can have."""
    for name, value in values.items():
        if name in _LEAST:
            at_least(name, value, _LEAST[name])
            _at_most(name, value)
        elif name == "population":
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 4 or value % 2:
                raise ValueError(
                    f"population={value!r} must be an even number of at least 4, for policies come in pairs"
                )
            _at_most(name, value)
        elif name == "hidden":
            if not isinstance(value, (tuple, list)) or not all(isinstance(w, int) and w > 0 for w in value):
                raise ValueError(f"hidden={value!r} must be widths of at least 1, e.g. (64, 64)")
            if len(value) > _MOST_LAYERS or max(value, default=0) > _WIDEST:
                raise ValueError(f"hidden={value!r:.80} must be at most {_MOST_LAYERS} widths of at most {_WIDEST}")
        elif name in _MOST and not ((value == 0 or is_positive(value)) and value <= _MOST[name]):
            raise ValueError(f"{name}={value!r} must lie in 0 to {_MOST[name]}")
        elif name in _ABOVE_ZERO and value == 0:
            raise ValueError(f"{name}={value!r} must be above 0, and at most {_MOST[name]}")


def _at_most(name: str, value: Any) -> None:
    if value > _MOST_COUNT.get(name, value):
        raise ValueError(f"{name}={value!r} must be at most {_MOST_COUNT[name]}")
