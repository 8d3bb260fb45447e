"""The state of a Stable-Baselines3 model as tensors and plain values, so that it can be kept without pickle.

Not in it, since whoever loads it builds the model anew with the same settings: networks' shapes, schedules, the
environment, and the global generators, which `sb3.PrivateRandomness` keeps. A model that learns from its own last
decisions (PPO) has no other memory where a rollout begins, and is kept there alone.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

_BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_COUNTERS = ("num_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining")
_EXPLORATION = ("_n_calls", "exploration_rate")
"""Further counters of DQN."""


def model_state(model: BaseAlgorithm) -> dict[str, Any]:
    """Returns networks, optimisers, replay buffer, counters, last observation, exploration and pending log values.

    Raises TypeError for action noise with a memory, which this does not carry.
    """
    noise = getattr(model, "action_noise", None)
    noise = noise.base_noise if isinstance(noise, VectorizedActionNoise) else noise
    if not isinstance(noise, NormalActionNoise | None) or isinstance(model._last_obs, dict):
        raise TypeError(f"the state of {type(noise).__name__} or of dict observations cannot be kept")
    logger = model.logger
    return {
        "policy": {name: value.clone() for name, value in model.policy.state_dict().items()},
        "optimizers": [_optimizer_state(o) for o in _optimizers(model)],
        **_buffer_state(model),
        "counters": {name: _plain(getattr(model, name)) for name in _counters(model)},
        **({} if (learned := _entropy(model)) is None else {"entropy": learned.detach().clone()}),
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


def load_model(model: BaseAlgorithm, state: dict[str, Any]) -> None:
    """Restores a `model_state`, into a model built with the same settings.

    Raises AttributeError, KeyError, RuntimeError, TypeError or ValueError for anything else, before it is trained on.
    """
    model.policy.load_state_dict(state["policy"])
    for optimizer, held in zip(_optimizers(model), state["optimizers"], strict=True):
        _load_optimizer(optimizer, held)
    if (buffer := _buffer(model)) is not None:
        _load_buffer(buffer, state)
    if (learned := _entropy(model)) is not None:
        with torch.no_grad():
            learned.copy_(state["entropy"])
    for name in _counters(model):
        setattr(model, name, type(getattr(model, name))(state["counters"][name]))
    model._last_obs, model._last_episode_starts = _last_seen(model, state["last"])
    if model.get_vec_normalize_env() is not None:
        model._last_original_obs = model._last_obs  # the same, for returns alone are normalised
    if state["episodes"] is not None:
        episodes = [{name: _number(each[name]) for name in ("r", "l", "t")} for each in state["episodes"]]
        model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
        model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    model.action_space.np_random.bit_generator.state = state["exploration"]
    logger = model.logger
    logger.name_to_value.update({name: _number(value) for name, value in state["log"]["values"].items()})
    logger.name_to_count.update({name: _number(value) for name, value in state["log"]["counts"].items()})
    logger.name_to_excluded.update({name: tuple(formats) for name, formats in state["log"]["excluded"].items()})


def _buffer(model: BaseAlgorithm) -> ReplayBuffer | None:
    return model.replay_buffer if isinstance(model, OffPolicyAlgorithm) else None


def _buffer_state(model: BaseAlgorithm) -> dict[str, Any]:
    if (buffer := _buffer(model)) is None:
        return {}
    filled = buffer.buffer_size if buffer.full else buffer.pos
    return {
        "buffer": {name: torch.from_numpy(getattr(buffer, name)[:filled].copy()) for name in _BUFFER},
        "place": [buffer.pos, buffer.full],
    }


def _load_buffer(buffer: ReplayBuffer, state: dict[str, Any]) -> None:
    for name in _BUFFER:
        getattr(buffer, name)[: len(state["buffer"][name])] = state["buffer"][name].numpy()
    place, full = state["place"]
    buffer.pos, buffer.full = int(place), bool(full)
    if not 0 <= buffer.pos < buffer.buffer_size:
        raise ValueError(f"place {buffer.pos} lies outside a buffer of {buffer.buffer_size}")


def _last_seen(model: BaseAlgorithm, held: list[torch.Tensor | None]) -> tuple[Any, Any]:
    """Returns the last observations and whether episodes began there; raises ValueError for those of other rows."""
    seen, begun = (_array(value) for value in held)
    shape = (model.n_envs, *(model.observation_space.shape or ()))
    if (seen is not None and seen.shape != shape) or (begun is not None and begun.shape != shape[:1]):
        raise ValueError(f"the last observations are not those of {model.n_envs} rows")
    if (seen is None or begun is None) and model.num_timesteps:
        raise ValueError("the last observations are missing")
    return seen, begun


def _number(value: Any) -> int | float:
    if not isinstance(value, (int, float)):
        raise ValueError(f"{value!r:.40} is no number")
    return value


def _entropy(model: BaseAlgorithm) -> torch.Tensor | None:
    """SAC's logarithm of the entropy's weight, which it learns."""
    return model.log_ent_coef if isinstance(model, SAC) else None


def _counters(model: BaseAlgorithm) -> tuple[str, ...]:
    return (*_COUNTERS, *_EXPLORATION) if isinstance(model, DQN) else _COUNTERS


def _optimizers(model: BaseAlgorithm) -> list[torch.optim.Optimizer]:
    if not hasattr(model, "actor"):
        return [model.policy.optimizer]
    own = [model.actor.optimizer, model.critic.optimizer]  # type: ignore[attr-defined]
    return [*own, model.ent_coef_optimizer] if isinstance(model, SAC) and model.ent_coef_optimizer else own


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
