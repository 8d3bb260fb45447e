"""Fields of a row: the game, the controller, the result, and its provenance."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from gan_env.envs.config import EnvConfig
from gan_env.registry import plugins
from gan_env.training.annealing import Annealing

Row = dict[str, Any]
TIMES = ("wall_s", "control_s")
"""Fields that differ between repetitions of a run."""
ORIGIN = ("versions", "machine", "device", "threads", "engine")
"""Provenance of a row; where these fields differ, rounding may differ."""


def gap_is_normalised(config: EnvConfig) -> bool:
    """Returns whether the reward's loss gap is divided by the losses' size, because signed losses have no plain gap."""
    return config.normalise or config.gan_loss.signed


def game_facts(config: EnvConfig) -> Row:
    """Returns the fields that the rows of one game share, with the task's own values filled in."""
    task = config.build_task()
    reward = config.reward if isinstance(config.reward, str) else getattr(config.reward, "name", str(config.reward))
    return {
        "task": task.name,
        "loss": config.gan_loss.name,
        "d_lr": config.d_lr or task.d_lr,
        "g_lr": config.g_lr or task.g_lr,
        "optimizer": config.optimizer_spec.as_json(),
        "batch_size": config.batch_size or task.batch_size,
        "order": config.order,
        "updates": config.episode_updates or task.episode_updates,
        "updates_per_step": config.updates_per_step,
        "d_loss_scale": config.d_loss_scale,
        "reward": reward,
        "normalise": gap_is_normalised(config),
        "quality_every": config.quality_every,
        "dtype": str(config.torch_dtype).removeprefix("torch."),
        **({} if config.g_ema is None else {"g_ema": config.g_ema}),
        **({} if config.annealing is None else {"annealing": Annealing.of(config.annealing).as_json()}),
    }


def settled(config: EnvConfig) -> Row:
    """Returns the same without the task: games whose settings agree in these can share a batch."""
    return {name: value for name, value in game_facts(config).items() if name != "task"}


def group_id(config: EnvConfig, names: Sequence[str], seeds: Sequence[int], labels: Row) -> str:
    """Hashes everything that determines the rows of a game: the game, contestants, seeds and labels."""
    beside = {
        name: getattr(config, name)
        for name in ("features", "d_lr_range", "g_lr_range", "loss_bound", "weight_bound", "score")
    }
    # What embedded agents, the only ones here that read these, then have of their own; a group's hash always held it.
    beside |= {name: (0.1, 10.0) for name in ("d_lr_range", "g_lr_range") if beside[name] is None}
    return _digest(json.dumps([game_facts(config), beside, labels, list(names), list(seeds)], default=str))


def joint_id(ids: Sequence[str]) -> str:
    """Hashes a group from the games that share its batch, in order; a single game keeps its own hash."""
    return ids[0] if len(ids) == 1 else _digest(" ".join(ids))


def cell_key(game: str, name: str, seed: int) -> str:
    """Hashes a cell: its game's `group_id`, controller and seed."""
    return _digest(f"{game} {name} {seed}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def versions() -> dict[str, str]:
    """Returns the versions of everything that can change a result, including packages that offer parts."""
    found = {name: version(name) for name in ("torch", "numpy", "gymnasium", "stable-baselines3")}
    return {"python": platform.python_version(), **found, **plugins()}


def machine(device: torch.device) -> str:
    """Returns the class of machine within which rows repeat to the bit: instruction set, or GPU model."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
