"""Meta mode: trains an agent on many short GAN runs side by side; its whole state can be saved and restored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from gan_env.envs.env import GANVectorEnv
from gan_env.io.progress import progress_bar

from ..comparison.seeds import SPLITS
from ..learned.sb3.actor import Actor, actor_of
from ..learned.sb3.algorithms import make_model
from ..learned.sb3.state import load_model, model_state
from ..learned.sb3.vec_env import PrivateRandomness, ReturnNormalizer, SB3VecEnv
from ..policies.policy import PolicyController
from .behaviour import described
from .checkpoints import Checkpoints, Stop, TrainingStateError, cut_logs, log_sizes
from .evolution_training import EvolutionTraining
from .logs import flush, full_disks_told_once, open_log
from .train_config import TrainConfig, first_difference, plain, provenance_of, training_game, upgraded


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
        actions = self.locals.get("clipped_actions", self.locals["actions"])  # PPO's own may lie outside the space
        self._positions.append(actions)
        self._bar.update(len(actions))
        ended = [info for info, done in zip(self.locals["infos"], self.locals["dones"], strict=True) if done]
        if ended:
            positions = np.concatenate(self._positions)
            quality = [info["quality"] for info in ended if "failure" not in info]
            self.logger.record("gan/return", float(np.mean([info["episode"]["r"] for info in ended])))
            self.logger.record("gan/failures", sum("failure" in info for info in ended))
            if quality:
                self.logger.record("gan/validation_distance", float(np.mean(quality)))
            for name, value in described(self._env.codec, positions).items():
                self.logger.record(f"gan/{name}", value)
            self._positions.clear()
            said: dict[str, Any] = {"return": np.mean([info["episode"]["r"] for info in ended])}
            if self._env.codec.axes is not None:
                multipliers = self._env.codec.decode(positions.astype(np.float64)).d_multiplier
                said["D's rate"] = multipliers.log().mean().exp()
            said |= {"distance": np.mean(quality)} if quality else {}
            self._bar.set_postfix({name: f"{float(value):.3g}" for name, value in said.items()}, refresh=False)
        return True

    def close(self) -> None:
        """Closes the bar."""
        self._bar.close()


class MetaTraining:
    """A model of Stable-Baselines3 in training.

    Args:
        config: Of the training.
        tensorboard: Folder for TensorBoard's files, if they are wanted.
    """

    def __init__(self, config: TrainConfig, tensorboard: Path | None = None):
        self.config, self.tensorboard = config, tensorboard
        self.env = GANVectorEnv(
            config.num_envs, control=config.control, autoreset_mode="SameStep", config=training_game(config)
        )
        self.positions: list[np.ndarray] = []
        """Actions since an episode ended last, for the log."""
        self._randomness = PrivateRandomness(config.seed)
        with self._randomness():
            self._vec, settings = SB3VecEnv(self.env), config.settings
            self._normalizer = ReturnNormalizer(self._vec, settings["gamma"]) if config.normalise_returns else None
            more = {}
            if "gradient_steps" in settings:
                more["gradient_steps"] = settings["gradient_steps"] * config.num_envs
            self.model = make_model(config.algorithm, settings, self._normalizer or self._vec, config.seed, **more)
            # `make_model` seeded it too: this one counts.
            self._vec.seed(SPLITS["train-agent"] + config.num_envs * config.seed)
            self.model.set_logger(open_log(tensorboard))
        self._untrained = actor_of(self.model)
        self._begun = False

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the training depends on, as tensors, arrays and plain values."""
        flush(self.model.logger)
        return {
            "model": model_state(self.model),
            "vec": self._vec.state(),
            "randomness": self._randomness.state,
            "positions": self.positions,
            "untrained": self._untrained.layers,
            **({} if self._normalizer is None else {"normalizer": self._normalizer.moments()}),
            "logs": log_sizes(self.tensorboard),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restores a `state`; cut the logs back before making this object, which begins a new one."""
        load_model(self.model, state["model"])
        if not 0 <= self.model.num_timesteps <= self.config.decisions + self._most_beyond:
            raise ValueError(f"{self.model.num_timesteps} decisions are none of a training of {self.config.decisions}")
        self._vec.load(state["vec"])
        self._randomness.state = state["randomness"]
        if self._normalizer is not None:
            self._normalizer.load_moments(state["normalizer"])
        self.positions[:] = [each.reshape(self.env.action_space.shape) for each in state["positions"]]
        layers = [(weight, bias) for weight, bias in state["untrained"]]
        if [(w.shape, b.shape) for w, b in layers] != [(w.shape, b.shape) for w, b in self._untrained.layers]:
            raise ValueError("the untrained actor's weights are not those of such an agent")
        self._untrained = Actor(layers, self._untrained.activation, self._untrained.output)
        self._begun = True

    @property
    def _most_beyond(self) -> int:
        """How many decisions more than asked for the last round, or PPO's last rollout, can take."""
        return self.config.num_envs * self.config.settings.get("n_steps", 1)

    def run(self, between: Callable[[], None] = lambda: None) -> None:
        """Trains to the end; `between` is called where nothing is under way, before every decision."""
        left = self.config.decisions - self.model.num_timesteps
        watch = _Watch(self, between)
        try:
            with self._randomness():
                # Off-policy it counts episodes; on-policy rollouts, whose number a stop forgets.
                every = 1 if self.config.algorithm == "ppo" else self.config.num_envs
                self.model.learn(left, callback=watch, log_interval=every, reset_num_timesteps=not self._begun)
        finally:
            watch.close()
            self.model.logger.close()

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def policies(self) -> tuple[PolicyController, PolicyController]:
        """Returns the trained and the untrained actor, both frozen."""
        trainer, reward = self.env.trainer, self.env.reward.name
        provenance = provenance_of(self.config, trainer.task.name, trainer.loss.name, reward, self.model.num_timesteps)

        def controller(actor: Actor, name: str) -> PolicyController:
            spec = replace(self.config.spec, activation=actor.activation, output=actor.output, provenance=provenance)
            return PolicyController(spec, actor.layers, name)

        trained, untrained = self.config.names
        return controller(actor_of(self.model), trained), controller(self._untrained, untrained)


@full_disks_told_once()
def train_meta(
    config: TrainConfig,
    tensorboard: Path | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Stop | None = None,
) -> tuple[PolicyController, PolicyController]:
    """Trains an agent on short runs side by side; returns the trained and the untrained actor, both frozen.

    Args:
        config: Of the training.
        tensorboard: Folder for TensorBoard's files, if they are wanted.
        checkpoints: Where the training is saved, and goes on from if it was saved before.
        stop: Who may ask it to stop; it then saves and raises `Stopped`.

    Raises:
        TrainingStateError: If the saved state is damaged or that of another training.
    """
    state = None if checkpoints is None else _last_state(config, tensorboard, checkpoints)
    training = (EvolutionTraining if config.algorithm == "es" else MetaTraining)(config, tensorboard)
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
    training.close()
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
    if not isinstance(saved, dict) or not isinstance(logs, dict) or not all(map(_is_size, logs.values())):
        raise TrainingStateError(f"{checkpoints.path}: holds no training's state; remove it to start anew")
    if (found := first_difference(plain(config), upgraded(saved))) is not None:
        raise TrainingStateError(f"{checkpoints.path}: was saved with other settings: {found}; restore config.json")
    cut_logs(tensorboard, logs)
    return training


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
