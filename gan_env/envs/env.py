"""The single environment; both environments can be imported from here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn

from gan_env.envs import snapshot as env_snapshot
from gan_env.envs.actions import as_array
from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.envs.failures import FAILURES, failures
from gan_env.envs.vector_env import FINITE, RENDER_FPS, RENDER_MODES, GANVectorEnv, checked_seed, with_named_task
from gan_env.torch_modes import shielded
from gan_env.training.snapshot import Snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control, GameFacts, Measurement


class _OneRow(GANVectorEnv):
    """The batch of one row behind a `GANEnv`."""

    alone = True


class GANEnv(gym.Env):
    """One GAN in training, a batch of one without the row axis. Arguments, actions and settings as in `GANVectorEnv`.

    The episode is `truncated` after `episode_updates` updates and `terminated` if training fails; then
    `info["failure"]` names the cause. At the end of an episode `info["score"]` is the exact distance to test data.
    Failed runs score infinity, which `info` reports as `FINITE`.

    Examples:
        >>> env = GANEnv(task="ring", episode_updates=20)
        >>> observation, info = env.reset(seed=0)
        >>> done = False
        >>> while not done:
        ...     observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        ...     done = terminated or truncated
        >>> info["update"], info["score"] > 0
        (20, True)
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS}
    action_space: gym.Space[Any]
    observation_space: gym.Space[Any]
    render_mode: str | None
    batch: GANVectorEnv
    _spec: EnvSpec | None = None

    def __init__(
        self,
        *,
        control: str = "learning-rate",
        render_mode: str | None = None,
        config: EnvConfig | None = None,
        **settings: Any,
    ):
        if "num_envs" in settings:
            raise TypeError(
                f"got an unexpected keyword argument 'num_envs': this is one GAN; gym.make_vec(..., num_envs="
                f"{settings['num_envs']!r:.20}) trains many"
            )
        self._take(
            _OneRow(
                1,
                control=control,
                autoreset_mode=AutoresetMode.DISABLED,
                render_mode=render_mode,
                config=config,
                **settings,
            )
        )
        self._started = False

    def _take(self, batch: GANVectorEnv) -> None:
        self.batch, self.render_mode = batch, batch.render_mode
        self.metadata = {**self.metadata, "render_modes": batch.metadata["render_modes"]}
        self.action_space, self.observation_space = batch.single_action_space, batch.single_observation_space

    def __repr__(self) -> str:
        return self.batch.shown(type(self).__name__)

    @property
    def spec(self) -> EnvSpec | None:
        """The spec from which `gym.make` built it, with a registered task replaced by its name."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._spec = with_named_task(spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode; without a seed, the next one of the current seed."""
        super().reset(seed=None if seed is None else checked_seed(seed))
        if seed is None and not self._started:
            seed = int(self.np_random.integers(2**31))
        self._started = True
        observations, infos = self.batch.reset(seed=seed)
        return observations[0], {name: value.item() for name, value in infos.items() if name[0] != "_"}

    @shielded
    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Makes one decision; raises ValueError for an invalid action and ResetNeeded after the end."""
        return self.step_control(self.batch.decode(as_array(action)[None]))

    @shielded
    def step_control(self, control: Control) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Makes one decision, given as a control of one row."""
        step, observations = self.batch.decide(control), self.batch.episodes.observations()
        ends = bool(step.terminated[0]), bool(step.truncated[0])
        return observations[0], float(step.reward[0]), *ends, step.infos.only()

    def render(self) -> np.ndarray | None:
        """Returns a picture of the training so far, (320, 960, 3) uint8; see `GANVectorEnv.render`."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Closes the window, if there is one."""
        self.batch.close()

    def encode(self, control: Control) -> np.ndarray | np.int64:
        """Returns the action that decodes to this control; raises ValueError naming what this id cannot express."""
        return self.batch.encode(control)[0]

    def snapshot(self) -> Snapshot:
        """Takes a snapshot of the training as plain tensors; see `GANVectorEnv.snapshot`."""
        return replace(self.batch.snapshot(), np_random=env_snapshot.generator_state(self))

    def restore(self, snapshot: Snapshot) -> None:
        """Restores a snapshot of one row; see `GANVectorEnv.restore`."""
        generator, seed = env_snapshot.generator_from(getattr(snapshot, "np_random", None))
        self.batch.restore(snapshot)
        self._started = True
        if generator is not None:
            self._np_random, self._np_random_seed = generator, seed

    def fork(self) -> GANEnv:
        """Makes a separate environment that continues from here; see `GANVectorEnv.fork`."""
        branch = object.__new__(type(self))
        branch.__dict__.update(self.__dict__)
        branch._take(self.batch.fork())
        branch._np_random, branch._np_random_seed = env_snapshot.generator_from(env_snapshot.generator_state(self))
        return branch

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each coordinate of the observation."""
        return self.batch.feature_names

    @property
    def measurement(self) -> Measurement:
        """Measurement of the coming batch; one row."""
        return self.batch.measurement

    @property
    def facts(self) -> GameFacts:
        """Facts about the game for controllers."""
        return self.batch.facts

    @property
    def trainer(self) -> Trainer:
        """The trainer of one row."""
        return self.batch.trainer

    @property
    def config(self) -> EnvConfig:
        """Settings of the environment."""
        return self.batch.config

    @property
    def control(self) -> str:
        """Name of the action encoding; see `GANVectorEnv`."""
        return self.batch.control

    def generator(self, row: int = 0) -> nn.Module:
        """Returns a copy of the generator as a plain module."""
        return self.batch.generator(row)

    def discriminator(self, row: int = 0) -> nn.Module:
        """Returns a copy of the discriminator as a plain module."""
        return self.batch.discriminator(row)

    def sample(self, row: int = 0, count: int = 64) -> Tensor:
        """Returns `count` samples of the generator, (count, *shape)."""
        return self.batch.sample(row, count)


__all__ = ["FAILURES", "FINITE", "GANEnv", "GANVectorEnv", "failures", "make_trainer"]
