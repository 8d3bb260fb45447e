"""Makes the models of Stable-Baselines3 that `gan-env train` trains, with our settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from torch import nn, optim

MODELS: dict[str, type[BaseAlgorithm]] = {"ddpg": DDPG, "td3": TD3, "sac": SAC, "ppo": PPO, "dqn": DQN}
EXPLORED = 0.2
"""Share of a training of DQN in which its exploration falls to its last value."""


class _ActorsRate(TD3):
    """Gives the actor a learning rate of its own, where SB3 has one for both networks."""

    actor_learning_rate = 0.0

    def _update_learning_rate(self, optimizers: list[optim.Optimizer] | optim.Optimizer) -> None:
        super()._update_learning_rate(optimizers)
        for group in self.actor.optimizer.param_groups:
            group["lr"] = self.actor_learning_rate


class _DDPG(_ActorsRate, DDPG):
    """DDPG whose actor has a learning rate of its own."""


OWN_RATE: dict[str, type[_ActorsRate]] = {"ddpg": _DDPG, "td3": _ActorsRate}


def make_model(algorithm: str, settings: Mapping[str, Any], env: Any, seed: int, **more: Any) -> BaseAlgorithm:
    """Makes a model; call inside a `PrivateRandomness`, for it seeds the global generators.

    Args:
        algorithm: A name of `MODELS`.
        settings: All of the algorithm's, see `AgentConfig.of`.
        env: A VecEnv, or whatever has the two spaces.
        seed: Of the first weights and all draws.
        **more: Further arguments of SB3's class.
    """
    common = {
        "learning_rate": settings["learning_rate"],
        "gamma": settings["gamma"],
        "policy_kwargs": {"net_arch": list(settings["hidden"])},
        "seed": seed % 2**32,
        "device": "cpu",
    }
    if algorithm == "ppo":
        own = _on_policy(settings, getattr(env, "num_envs", 1))
    else:
        held = ("buffer_size", "learning_starts", "batch_size", "tau")
        own = {name: settings[name] for name in held} | {"train_freq": (1, "step")}
        if "noise" in settings:
            size = env.action_space.shape[0]
            own["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, settings["noise"]))
        if algorithm == "dqn":
            own |= {
                "target_update_interval": getattr(env, "num_envs", 1),  # at every step, softly, as the others
                "exploration_fraction": EXPLORED,
                "exploration_final_eps": settings["exploration"],
            }
    own_rate = settings.get("actor_learning_rate")
    kind = MODELS[algorithm] if own_rate is None else OWN_RATE[algorithm]
    model = kind("MlpPolicy", env, **common, **own, **more)  # type: ignore[arg-type]
    if isinstance(model, _ActorsRate) and own_rate is not None:
        model.actor_learning_rate = own_rate
    if isinstance(model, TD3) and settings.get("last_layer") is not None:
        _start_in_the_middle(model, settings["last_layer"])
    return model


@torch.no_grad()
def _start_in_the_middle(model: TD3, width: float) -> None:
    """Draws the last layers as the paper of DDPG does (arXiv 1509.02971, section 7), and the targets with them."""
    for network in (model.actor.mu, *model.critic.q_networks):
        last = [layer for layer in network.children() if isinstance(layer, nn.Linear)][-1]
        last.weight.uniform_(-width, width)
        last.bias.uniform_(-width, width)
    model.actor_target.load_state_dict(model.actor.state_dict())
    model.critic_target.load_state_dict(model.critic.state_dict())


def _on_policy(settings: Mapping[str, Any], rows: int) -> dict[str, Any]:
    return {
        "n_steps": settings["n_steps"],
        "batch_size": minibatch(settings, rows),
        "n_epochs": settings["n_epochs"],
        "ent_coef": settings["entropy"],
    }


def minibatch(settings: Mapping[str, Any], rows: int) -> int:
    """Returns the transitions in one of PPO's gradient steps; raises ValueError unless they divide a rollout.

    >>> minibatch({"batch_size": None, "n_steps": 50}, 16)
    80
    """
    steps = settings["n_steps"]
    if settings["batch_size"] is None:
        return rows * (steps // 10 if steps % 10 == 0 else steps)
    if steps * rows % settings["batch_size"]:
        raise ValueError(
            f"batch_size={settings['batch_size']} does not divide n_steps × num_envs = {steps * rows} decisions; "
            "leave it out, or change one of them"
        )
    return settings["batch_size"]
