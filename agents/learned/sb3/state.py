"""The state of a Stable-Baselines3 DDPG as tensors and plain values, so that it can be kept without pickle.

Not in it, since whoever loads it builds the model anew with the same settings: networks' shapes, schedules, the
environment, and the global generators, which `sb3.PrivateRandomness` keeps.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise

_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_COUNTERS = ("num_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining")


def model_state(model: DDPG) -> dict[str, Any]:
    """Returns networks, optimisers, replay buffer, counters, last observation, exploration and pending log values.

    Raises TypeError for action noise with a memory, which this does not carry.
    """
    noise, buffer = model.action_noise, model.replay_buffer
    noise = noise.base_noise if isinstance(noise, VectorizedActionNoise) else noise
    if not isinstance(noise, NormalActionNoise | None) or buffer is None or isinstance(model._last_obs, dict):
        raise TypeError(f"the state of {type(noise).__name__} or of dict observations cannot be kept")
    filled = buffer.buffer_size if buffer.full else buffer.pos
    logger = model.logger
    return {
        "policy": {name: value.clone() for name, value in model.policy.state_dict().items()},
        "optimizers": [_optimizer_state(o) for o in _optimizers(model)],
        "buffer": {name: torch.from_numpy(getattr(buffer, name)[:filled].copy()) for name in _BUFFER},
        "place": [buffer.pos, buffer.full],
        "counters": {name: getattr(model, name) for name in _COUNTERS},
        "last": [_tensor(model._last_obs), _tensor(model._last_episode_starts)],
        "episodes": None
        if model.ep_info_buffer is None
        else [{name: _plain(value) for name, value in info.items()} for info in model.ep_info_buffer],
        "exploration": model.action_space.np_random.bit_generator.state,
        "log": {
            "values": {name: _plain(value) for name, value in logger.name_to_value.items()},
            "counts": dict(logger.name_to_count),
            "excluded": {name: list(formats) for name, formats in logger.name_to_excluded.items()},
        },
    }


def load_model(model: DDPG, state: dict[str, Any]) -> None:
    """Restores a `model_state`, into a model built with the same settings.

    Raises AttributeError, KeyError, RuntimeError, TypeError or ValueError for anything else, before it is trained on.
    """
    buffer = model.replay_buffer
    assert buffer is not None
    model.policy.load_state_dict(state["policy"])
    for optimizer, held in zip(_optimizers(model), state["optimizers"], strict=True):
        _load_optimizer(optimizer, held)
    for name in _BUFFER:
        getattr(buffer, name)[: len(state["buffer"][name])] = state["buffer"][name].numpy()
    place, full = state["place"]
    buffer.pos, buffer.full = int(place), bool(full)
    if not 0 <= buffer.pos < buffer.buffer_size:
        raise ValueError(f"place {buffer.pos} lies outside a buffer of {buffer.buffer_size}")
    for name in _COUNTERS:
        setattr(model, name, type(getattr(model, name))(state["counters"][name]))
    model._last_obs, model._last_episode_starts = (_array(value) for value in state["last"])
    if state["episodes"] is not None:
        episodes = ({name: each[name] for name in ("r", "l", "t")} for each in state["episodes"])
        model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    model.action_space.np_random.bit_generator.state = state["exploration"]
    logger = model.logger
    logger.name_to_value.update(state["log"]["values"])
    logger.name_to_count.update(state["log"]["counts"])
    logger.name_to_excluded.update({name: tuple(formats) for name, formats in state["log"]["excluded"].items()})


def _optimizers(model: DDPG) -> list[torch.optim.Optimizer]:
    return [model.actor.optimizer, model.critic.optimizer]


def _optimizer_state(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """What the steps have left behind at each weight, in the weights' order; nothing before the first."""
    held = optimizer.state_dict()["state"]
    return [_copied(held[i]) for i in sorted(held)]


def _load_optimizer(optimizer: torch.optim.Optimizer, held: list[dict[str, Any]]) -> None:
    groups = optimizer.state_dict()["param_groups"]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for each, weight in zip(held, weights, strict=bool(held)):
        shape = tuple(weight.shape)
        if {n: tuple(v.shape) for n, v in each.items()} != {"step": (), "exp_avg": shape, "exp_avg_sq": shape}:
            raise ValueError(f"an optimiser's state is not that of a weight {shape}")
    optimizer.load_state_dict({"state": {i: _copied(each) for i, each in enumerate(held)}, "param_groups": groups})


def _copied(held: dict[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in held.items()}


def _plain(value: Any) -> Any:
    """Without NumPy's scalars, which a checkpoint cannot be read with where nothing may be unpickled."""
    return value.item() if isinstance(value, np.generic) else value


def _tensor(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array.copy())


def _array(tensor: torch.Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.clone().numpy()  # where torch put it: rounding depends on the place
