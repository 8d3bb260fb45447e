"""The single environment, and what belongs to both: import either from here."""

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
from gan_env.training.snapshot import Snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control, GameFacts, Measurement


class _OneRow(GANVectorEnv):
    """The batch behind a `GANEnv`."""

    alone = True


class GANEnv(gym.Env):
    """One GAN in training: a batch of one, squeezed. Arguments, actions and settings are those of `GANVectorEnv`.

    The episode ends by `truncated` when the updates run out and by `terminated` when training diverges; then
    `info["failure"]` names the cause. At the end of an episode `info["score"]` is the exact distance to test data; that
    of a failure is infinite, which `info` writes as `FINITE`.
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

    @property
    def spec(self) -> EnvSpec | None:
        """What `gym.make` built it from; of a registered task it holds the name."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._spec = with_named_task(spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode; unseeded, the next one of this seed's own stream."""
        super().reset(seed=None if seed is None else checked_seed(seed))
        if seed is None and not self._started:
            seed = int(self.np_random.integers(2**31))
        self._started = True
        observations, infos = self.batch.reset(seed=seed)
        return observations[0], _one(infos)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One decision; raises ValueError for an invalid action and ResetNeeded after the end."""
        return self._squeezed(self.batch.step(as_array(action)[None]))

    def step_control(self, control: Control) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One decision given as a control of one row."""
        return self._squeezed(self.batch.step_control(control))

    @staticmethod
    def _squeezed(result: tuple) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = result
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _one(infos)

    def render(self) -> np.ndarray | None:
        """A picture of the training so far, (320, 960, 3) uint8; see `GANVectorEnv.render`."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Closes the window, if there is one."""
        self.batch.close()

    def encode(self, control: Control) -> np.ndarray | np.int64:
        """The action that decodes to this control; raises ValueError naming what this id cannot express."""
        return self.batch.encode(control)[0]

    def snapshot(self) -> Snapshot:
        """Where the training is, as plain tensors; see `GANVectorEnv.snapshot`."""
        return replace(self.batch.snapshot(), np_random=env_snapshot.generator_state(self))

    def restore(self, snapshot: Snapshot) -> None:
        """Puts a snapshot of one row back; see `GANVectorEnv.restore`."""
        generator, seed = env_snapshot.generator_from(getattr(snapshot, "np_random", None))
        self.batch.restore(snapshot)
        self._started = True
        if generator is not None:
            self._np_random, self._np_random_seed = generator, seed

    def fork(self) -> GANEnv:
        """An environment of its own that goes on from here; see `GANVectorEnv.fork`."""
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
        """What is seen on the coming batch; one row."""
        return self.batch.measurement

    @property
    def facts(self) -> GameFacts:
        """What controllers may know of the game."""
        return self.batch.facts

    @property
    def trainer(self) -> Trainer:
        """The trainer of one row."""
        return self.batch.trainer

    @property
    def config(self) -> EnvConfig:
        """The settings."""
        return self.batch.config

    @property
    def control(self) -> str:
        """What its actions encode; see `GANVectorEnv`."""
        return self.batch.control

    def generator(self, row: int = 0) -> nn.Module:
        """A copy of the generator as a plain module."""
        return self.batch.generator(row)

    def discriminator(self, row: int = 0) -> nn.Module:
        """A copy of the discriminator as a plain module."""
        return self.batch.discriminator(row)

    def sample(self, row: int = 0, count: int = 64) -> Tensor:
        """`count` samples of the generator, (count, *shape)."""
        return self.batch.sample(row, count)


def _one(infos: dict[str, Any]) -> dict[str, Any]:
    """The only row's info: what is present, as plain numbers and strings."""
    return {name: value.item() for name, value in infos.items() if name[0] != "_" and infos["_" + name].item()}


__all__ = ["FAILURES", "FINITE", "GANEnv", "GANVectorEnv", "failures", "make_trainer"]
