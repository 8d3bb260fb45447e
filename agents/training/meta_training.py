"""Meta mode: trains a DDPG agent on many short GAN runs side by side; its whole state can be saved and restored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import TensorBoardOutputFormat, configure

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.io.progress import progress_bar

from ..comparison.rows import versions
from ..comparison.seeds import SPLITS
from ..learned.fsco import make_ddpg
from ..learned.sb3.actor import actor_of
from ..learned.sb3.state import load_model, model_state
from ..learned.sb3.vec_env import PrivateRandomness, SB3VecEnv
from ..policies.policy import PolicyController
from .checkpoints import Checkpoints, Stop, TrainingStateError, cut_logs, log_sizes
from .train_config import TrainConfig, first_difference, plain

AT_BOUND = 0.99
"""An action beyond this (either sign) counts as being at the bound."""


class _Watch(BaseCallback):
    """Progress and TensorBoard: return (SB3's own), held-out quality, mean multiplier, share of actions at a bound."""

    def __init__(self, training: MetaTraining, between: Callable[[], None]):
        super().__init__()
        config = training.config
        self._env, self._positions, self._between = training.env, training.positions, between
        done = training.model.num_timesteps
        self._bar = progress_bar(config.decisions, "training", "decision", done=done, show=config.progress)

    def _on_rollout_start(self) -> None:
        self._between()  # the one place where nothing is under way

    def _on_step(self) -> bool:
        actions = self.locals["actions"]
        self._positions.append(actions)
        self._bar.update(len(actions))
        ended = [info for info, done in zip(self.locals["infos"], self.locals["dones"], strict=True) if done]
        if ended:
            positions = np.concatenate(self._positions)
            multipliers = self._env.codec.decode(positions.astype(np.float64)).d_multiplier
            quality = [info["quality"] for info in ended if "failure" not in info]
            self.logger.record("gan/return", float(np.mean([info["episode"]["r"] for info in ended])))
            self.logger.record("gan/failures", sum("failure" in info for info in ended))
            if quality:
                self.logger.record("gan/validation_distance", float(np.mean(quality)))
            self.logger.record("gan/mean_multiplier", float(multipliers.log().mean().exp()))
            self.logger.record("gan/share_at_bounds", float((np.abs(positions) > AT_BOUND).mean()))
            self._positions.clear()
            said = {
                "return": np.mean([info["episode"]["r"] for info in ended]),
                "D's rate": multipliers.log().mean().exp(),
            }
            said |= {"distance": np.mean(quality)} if quality else {}
            self._bar.set_postfix({name: f"{float(value):.3g}" for name, value in said.items()}, refresh=False)
        return True

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()


@contextmanager
def _full_disks_told_once() -> Iterator[None]:
    """Suppresses the traceback of TensorBoard's writing thread for a full disk: its next call raises the same error."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not (issubclass(failure.exc_type, OSError) and type(failure.thread).__module__.startswith("tensorboard.")):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


class MetaTraining:
    """A DDPG agent in training.

    Args:
        config: Of the training.
        tensorboard: Folder for TensorBoard's files, if they are wanted.
    """

    def __init__(self, config: TrainConfig, tensorboard: Path | None = None):
        self.config, self.tensorboard = config, tensorboard
        horizon = config.horizon
        # FSCO's reward reads no quality.
        every = horizon if config.env.reward == "loss_gap" else config.env.quality_every
        game = EnvConfig.of(config.env, score=False, track_quality=True, quality_every=every)
        self.env = GANVectorEnv(config.num_envs, control=config.control, autoreset_mode="SameStep", config=game)
        self.positions: list[np.ndarray] = []
        """Actions since an episode ended last, for the log."""
        self._randomness = PrivateRandomness(config.seed)
        with self._randomness():
            self._vec = SB3VecEnv(self.env)
            steps = config.agent.gradient_steps * config.num_envs
            self.model = make_ddpg(config.agent, self._vec, config.seed, gradient_steps=steps)
            # `make_ddpg` seeded it too: this one counts.
            self._vec.seed(SPLITS["train-agent"] + config.num_envs * config.seed)
            formats = ["tensorboard"] if tensorboard else []
            self.model.set_logger(configure(None if tensorboard is None else str(tensorboard), formats))
        self._untrained = actor_of(self.model).layers
        self._begun = False

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the training depends on, as tensors, arrays and plain values."""
        for output in self.model.logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                output.writer.flush()
        return {
            "model": model_state(self.model),
            "vec": self._vec.state(),
            "randomness": self._randomness.state,
            "positions": self.positions,
            "untrained": self._untrained,
            "logs": log_sizes(self.tensorboard),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restores a `state`; cut the logs back before making this object, which begins a new one."""
        load_model(self.model, state["model"])
        self._vec.load(state["vec"])
        self._randomness.state = state["randomness"]
        self.positions[:] = [each.reshape(self.config.num_envs, -1) for each in state["positions"]]
        self._untrained = [(weight, bias) for weight, bias in state["untrained"]]
        self._begun = True

    def run(self, between: Callable[[], None] = lambda: None) -> None:
        """Trains to the end; `between` is called where nothing is under way, before every decision."""
        left = self.config.decisions - self.model.num_timesteps
        watch = _Watch(self, between)
        try:
            with self._randomness():
                self.model.learn(
                    left, callback=watch, log_interval=self.config.num_envs, reset_num_timesteps=not self._begun
                )
        finally:
            watch.close()
            self.model.logger.close()

    def policies(self) -> tuple[PolicyController, PolicyController]:
        """Returns the trained and the untrained actor, both frozen."""
        env, config = self.env, self.config
        provenance = {
            "task": env.trainer.task.name,
            "loss": env.trainer.loss.name,
            "decisions": self.model.num_timesteps,
            "seed": config.seed,
            "reward": config.env.reward if isinstance(config.env.reward, str) else env.reward.name,
            "versions": versions(),
        }
        spec = replace(config.spec, provenance=provenance)
        trained, untrained = config.names
        return (
            PolicyController(spec, actor_of(self.model).layers, trained),
            PolicyController(spec, self._untrained, untrained),
        )


@_full_disks_told_once()
def train_meta(
    config: TrainConfig,
    tensorboard: Path | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop | None = None,
) -> tuple[PolicyController, PolicyController]:
    """Trains a DDPG agent on short runs side by side; returns the trained and the untrained actor, both frozen.

    Args:
        config: Of the training.
        tensorboard: Folder for TensorBoard's files, if they are wanted.
        checkpoints: Where the training is saved, and goes on from if it was saved before.
        stop: Who may ask it to stop; it then saves and raises `Stopped`.

    Raises:
        TrainingStateError: If the saved state is damaged or that of another training.
    """
    state = None if checkpoints is None else _last_state(config, tensorboard, checkpoints)
    training = MetaTraining(config, tensorboard)
    if state is not None and checkpoints is not None:
        try:
            training.load(state)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            why = " ".join(str(error).split())
            raise TrainingStateError(f"{checkpoints.path}: does not fit this training ({why})") from error

    def save() -> None:
        if checkpoints is not None:
            checkpoints.save({"config": plain(config), "training": training.state()})

    def between() -> None:
        asked = stop is not None and stop.asked
        if asked or (checkpoints is not None and checkpoints.due()):
            save()
        if asked and stop is not None:
            stop.leave()

    with nullcontext() if stop is None else stop.later():
        training.run(between)
        save()
    training.env.close()
    return training.policies()


def _last_state(config: TrainConfig, tensorboard: Path | None, checkpoints: Checkpoints) -> dict[str, Any] | None:
    """Loads the state that this training was saved in, None if it was not, and cuts the logs back to it.

    Raises TrainingStateError if the state is none of a training, or of one with other settings.
    """
    state = checkpoints.load()
    if state is None:
        cut_logs(tensorboard, {})
        return None
    saved, training = state.get("config"), state.get("training")
    logs = training.get("logs") if isinstance(training, dict) else None
    if not isinstance(saved, dict) or not isinstance(logs, dict) or not all(isinstance(v, int) for v in logs.values()):
        raise TrainingStateError(f"{checkpoints.path}: holds no training's state; remove it to start anew")
    if (found := first_difference(plain(config), saved)) is not None:
        raise TrainingStateError(f"{checkpoints.path}: was saved with other settings: {found}; restore config.json")
    cut_logs(tensorboard, logs)
    return training
