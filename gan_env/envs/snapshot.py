"""Snapshots of environments: adds to the trainer's state what an environment keeps per row, and compares settings."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gan_env.envs.config import EnvConfig
from gan_env.envs.episodes import Episodes
from gan_env.envs.rewards import Reward
from gan_env.io.tensor_files import digest
from gan_env.rendering.draw import COLUMNS, History
from gan_env.training.annealing import Annealing
from gan_env.training.snapshot import Rows, Snapshot, SnapshotError, check, chosen, copied, held, look_again, put
from gan_env.training.trainer import Trainer

_OWN = ("done", "decisions", "quality", "quality_age")
_POINTS, _LENGTH = "history.points", "history.length"


@runtime_checkable
class Batch(Protocol):
    """Interface of a vector environment for snapshots; `vector_env` imports this module."""

    trainer: Trainer
    episodes: Episodes
    history: History | None
    settings: dict[str, Any]

    @property
    def resets_at_once(self) -> bool:
        """Whether a row that ended restarts within the same step."""
        ...


def settings(config: EnvConfig, control: str, trainer: Trainer, reward: Reward) -> dict[str, Any]:
    """Returns all settings of an environment, including those that come from the task, as JSON values."""
    speed_alone = ("cuda_graphs", "num_threads")
    found = {field.name: getattr(config, field.name) for field in fields(config) if field.name not in speed_alone}
    found |= {
        "control": control,
        "task": _own_task(trainer) if config.task is trainer.task else config.task,
        "loss": f"{trainer.loss.name}:{trainer.loss.coefficient}",
        "d_lr": config.d_lr or trainer.task.d_lr,
        "g_lr": config.g_lr or trainer.task.g_lr,
        "optimizer": trainer.d_optimizer.spec.as_json(),
        "annealing": None if config.annealing is None else Annealing.of(config.annealing).as_json(),
        "batch_size": trainer.batch_size,
        "episode_updates": trainer.episode_updates,
        "reward": [reward.name, reward.low, reward.high],
        "dtype": str(trainer.dtype).removeprefix("torch."),
        "device": trainer.device.type,  # cards draw other numbers than processors
        "engine": trainer.engine,  # they round in different ways
    }
    return json.loads(json.dumps(found, default=lambda value: value.item() if hasattr(value, "item") else str(value)))


def _own_task(trainer: Trainer) -> str:
    """Identifies a user's own task by its name and a hash of its modules and held-out data, because names repeat."""
    modules = "".join(str(module) for module in trainer.templates.values())
    return f"{trainer.task.name} {digest(modules, {'validation': trainer.task.data.validation()})[:8]}"


def take(env: Batch, index: Tensor, *, at_once: bool = False) -> Snapshot:
    """Takes the chosen rows of an environment; copying is optional if they are read at once."""
    rows = dict((chosen if at_once else copied)(_held(env), index))
    if env.history is not None:
        points, length = env.history.padded(index.tolist())
        rows |= {_POINTS: torch.from_numpy(points), _LENGTH: torch.from_numpy(length)}
    return Snapshot(env.settings, rows, generator_state(env))


def put_back(env: Batch, snapshot: Snapshot, index: Tensor) -> None:
    """Restores a snapshot into the chosen rows; raises SnapshotError, and changes nothing, if it does not fit.

    A history for pictures is restored if both sides have one; otherwise it is cleared.
    """
    if not isinstance(snapshot, Snapshot):
        raise SnapshotError(f"snapshot={type(snapshot).__name__} is no Snapshot; take one with env.snapshot()")
    _check_settings(snapshot.settings, env.settings)
    state = {name: value for name, value in snapshot.rows.items() if name not in (_POINTS, _LENGTH)}
    check(_held(env), state, index)
    _check_rows(env, state)
    _check_history(snapshot.rows, len(index))
    write(env, snapshot.rows, index)


def write(env: Batch, rows: Rows, index: Tensor) -> None:
    """Writes checked rows into the chosen ones."""
    put(_held(env), rows, index)
    env.episodes.features.forget()
    if env.history is not None:
        points, length = (rows[name].numpy() if name in rows else None for name in (_POINTS, _LENGTH))
        env.history.load(index.tolist(), points, length)
    look_again(env.trainer, index)


def generator_state(env: Any) -> dict[str, Any] | None:
    """Returns seed and state of `np_random`, None if it was never used."""
    generator = env._np_random
    return None if generator is None else {"seed": env._np_random_seed, "state": generator.bit_generator.state}


def generator_from(state: dict[str, Any] | None) -> tuple[np.random.Generator | None, int | None]:
    """Restores `np_random` and its seed; raises SnapshotError for an invalid state."""
    if state is None:
        return None, None
    bits = np.random.PCG64(0)
    try:
        bits.state = state["state"]
        seed = None if state["seed"] is None else int(state["seed"])
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise SnapshotError(f"the snapshot's np_random is no generator's state ({error}); take it again") from error
    return np.random.Generator(bits), seed


def _held(env: Batch) -> Rows:
    """Returns every tensor of the environment with a leading row axis, not copies."""
    rows, episodes = held(env.trainer), env.episodes
    rows |= {f"features.{name}": torch.from_numpy(array) for name, array in episodes.features.state().items()}
    return rows | {f"env.{name}": torch.from_numpy(getattr(episodes, name)) for name in _OWN}


def _check_settings(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    theirs = {
        "engine": "torch",
        "g_ema": None,
        "annealing": None,
    } | theirs  # of a snapshot that was taken when there was no other
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in theirs or name not in ours or theirs[name] != ours[name]:
            raise SnapshotError(
                f"the snapshot was taken with {name}={theirs.get(name)!r}, this environment has "
                f"{name}={ours.get(name)!r}; restore it into one made with the same settings"
            )


def _check_rows(env: Batch, state: Rows) -> None:
    """Raises SnapshotError for numbers that no environment can have."""
    if bool((state["updates"] > env.trainer.episode_updates).any()):
        raise SnapshotError("the snapshot's updates lie behind the end of the episode; take it again")
    if bool((state["env.decisions"] > state["updates"]).any()):
        raise SnapshotError("the snapshot's env.decisions are more than its updates; take it again")
    if not bool(state["env.quality"].isfinite().all()):
        raise SnapshotError("the snapshot's env.quality is not finite; take it again")
    if bool(state["env.done"].any()) and env.resets_at_once:
        raise SnapshotError(
            "the snapshot has a row that ended its episode, which autoreset_mode='SameStep' would never start again; "
            "restore it into an environment of another mode"
        )


def _check_history(rows: Rows, count: int) -> None:
    points, length = rows.get(_POINTS), rows.get(_LENGTH)
    if points is None and length is None:
        return
    if points is not None and length is not None:
        fits = points.ndim == 3 and points.shape[::2] == (count, len(COLUMNS)) and points.dtype == torch.float64
        fits = fits and length.shape == (count,) and length.dtype == torch.int64
        if fits and bool(((length >= 0) & (length <= points.shape[1])).all()):
            return
    raise SnapshotError(f"the snapshot's {_POINTS} do not belong to {count} rows; take it again")
