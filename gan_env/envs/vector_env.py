"""The vector environment: a batch of GANs in training under Gymnasium's contract.

`episodes.py` runs the episodes; `env.py` defines the single environment, a batch of one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import Tensor, nn

from gan_env.argument_checks import at_least
from gan_env.envs import snapshot as env_snapshot
from gan_env.envs.actions import CODECS, Codec, LogRange, check_actions
from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.envs.episodes import FINITE as FINITE
from gan_env.envs.episodes import Episodes, Step
from gan_env.envs.rewards import Reward, RewardContext, make_reward
from gan_env.random.streams import Purpose
from gan_env.registry import unknown
from gan_env.rendering.draw import SHOWN, History, tiled
from gan_env.rendering.painter import Painter, Scene
from gan_env.rendering.window import Window, can_show
from gan_env.torch_modes import shielded
from gan_env.training.memory import telling_what_fits
from gan_env.training.snapshot import Snapshot, row_index
from gan_env.training.trainer import Trainer
from gan_env.types import Control, GameFacts, Measurement

RENDER_MODES = ["human", "rgb_array"]
"""Render modes of the classes; without "human", `gym.make` would open its own window, also without a display."""
RENDER_FPS = 8
"""A power of 2: RecordVideo's writer sums 1/fps per frame, and loses the last frame if that sum rounds down."""


def _autoreset(mode: AutoresetMode | str) -> AutoresetMode:
    for known in AutoresetMode:
        if mode is known or str(mode).replace("_", "").lower() in (
            known.value.lower(),
            known.name.replace("_", "").lower(),
        ):
            return known
    raise unknown("autoreset_mode", mode, [m.value for m in AutoresetMode])


def with_named_task(spec: EnvSpec | None) -> EnvSpec | None:
    """Replaces a registered task in the spec by its name, and a config by its settings, which JSON can hold."""
    if spec is None:
        return None
    kwargs = dict(spec.kwargs)
    if isinstance(config := kwargs.pop("config", None), EnvConfig):
        kwargs = {**config.changed(), **kwargs}
    if name := getattr(kwargs.get("task"), "registered", None):
        kwargs["task"] = name
    return spec if kwargs == spec.kwargs else replace(spec, kwargs=kwargs)


def checked_seed(value: object) -> int:
    """Returns a row's seed; raises ValueError for anything but a whole number >= 0."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
        raise ValueError(f"seed={value!r} must be a whole number from 0 to 2**63 - 1")
    return int(value)


class GANVectorEnv(gym.vector.VectorEnv):
    """N GANs in training as a native vector environment.

    An action controls the next `updates_per_step` updates of a row; the observation is measured on the coming batch.
    Rows share no weights, no data order and no randomness.

    | `control` | id | action of one row |
    |---|---|---|
    | `learning-rate` | `gan_env/LearningRate-v0` | `Box(-1, 1, (1,))`: D's learning rate, log-scaled; both update |
    | `update-choice` | `gan_env/UpdateChoice-v0` | `Discrete(3)`: 0 generator, 1 discriminator, 2 both |
    | `rates` | `gan_env/Rates-v0` | `Box(-1, 1, (2,))`: both players' rates; both update |
    | `joint` | `gan_env/Joint-v0` | `Box(-1, 1, (3,))`: D's rate, G's rate, who updates |

    Examples:
        >>> envs = GANVectorEnv(3, task="ring", updates_per_step=10)
        >>> observations, infos = envs.reset(seed=0)
        >>> observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
        >>> observations.shape, rewards.shape, infos["update"]
        ((3, 9), (3,), array([10, 10, 10]))

    Args:
        num_envs: N, rows.
        control: What an action encodes, see the table.
        autoreset_mode: Gymnasium's AutoresetMode or its name.
        render_mode: "rgb_array"; "human", a window that follows by itself (pip install 'gan-env[render]'); or None.
        config: Settings to start from.
        **settings: Fields of `EnvConfig`, which documents them.

    Raises:
        ValueError: If a setting is unknown or unfit; the message names it, its value and the way out.
    """

    metadata: dict[str, Any] = {  # Gymnasium's own attribute, never changed in place
        "render_modes": RENDER_MODES,
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    alone = False
    """Whether it is the batch of a single environment, whose errors do not mention rows."""
    num_envs: int
    _spec: EnvSpec | None = None
    config: EnvConfig
    control: str
    autoreset_mode: AutoresetMode
    codec: Codec
    reward: Reward
    trainer: Trainer
    settings: dict[str, Any]
    action_space: gym.Space[Any]
    observation_space: gym.Space[Any]
    single_action_space: gym.Space[Any]
    single_observation_space: gym.Space[Any]

    @shielded
    def __init__(
        self,
        num_envs: int = 1,
        *,
        control: str = "learning-rate",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        config: EnvConfig | None = None,
        **settings: Any,
    ):
        at_least("num_envs", num_envs, 1)
        if render_mode not in (None, "rgb_array", "human"):
            raise ValueError(f"render_mode={render_mode!r} is unknown; use 'rgb_array', 'human' or None")
        self._window = Window(RENDER_FPS) if render_mode == "human" else None
        self.config = EnvConfig.of(config, **settings)
        if config is None and "reward" not in settings and not self.config.normalise and self.config.gan_loss.signed:
            self.config = replace(self.config, reward="quality")
        self.control, self.render_mode = control, render_mode
        self.autoreset_mode = _autoreset(autoreset_mode)
        # Checkers build every mode that an environment names.
        modes = [mode for mode in RENDER_MODES if mode != "human" or can_show()]
        self.metadata = {**self.metadata, "render_modes": modes, "autoreset_mode": self.autoreset_mode}
        self.codec = CODECS[control](*(LogRange(*each) for each in self.config.action_ranges))
        trainer = make_trainer(self.config, int(num_envs))
        self.reward = make_reward(
            self.config.reward, RewardContext(self.config.gan_loss, trainer.task.quality.worst, self.config.normalise)
        )
        self._seeded = False
        self._allocate(trainer)
        self.settings = env_snapshot.settings(self.config, control, trainer, self.reward)

    def _allocate(self, trainer: Trainer) -> None:
        """Allocates everything with a row axis."""
        self.trainer, self.num_envs = trainer, trainer.n
        self.episodes: Episodes = Episodes(trainer, self.config, self.codec, self.reward)
        self._make_spaces()
        self.history: History | None = History(trainer.n) if self.render_mode else None
        self._painter: Painter | None = None  # made with the first picture, for matplotlib takes a second to import

    def __repr__(self) -> str:
        return self.shown(type(self).__name__)

    def shown(self, kind: str) -> str:
        """Shows the game and how far it is, under the name of a class."""
        trainer = self.trainer
        done, total = trainer.updates, trainer.episode_updates
        low, high = int(done.min()), int(done.max())
        at = f"update {low if low == high else f'{low} to {high}'}/{total}"
        rows = "" if self.alone else f"{self.num_envs} × "
        return f"{kind}({rows}{trainer.task.name}, {self.config.gan_loss.name}, {at})"

    @property
    def spec(self) -> EnvSpec | None:
        """The spec from which `gym.make` built it, with a registered task replaced by its name."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._spec = with_named_task(spec)

    # -- Gymnasium's contract -------------------------------------------------------------------------------------

    def _make_spaces(self) -> None:
        """Makes the four spaces; a fork with as many rows shares their constants but has its own random state."""
        made = self.__dict__.get("action_space")
        names = ("single_action_space", "single_observation_space", "action_space", "observation_space")
        if made is not None and made.shape[0] == self.num_envs:
            for name in names:
                space = copy.copy(getattr(self, name))
                space._np_random = None
                setattr(self, name, space)
            return
        axes = self.codec.axes
        self.single_action_space = (
            gym.spaces.Discrete(3) if axes is None else gym.spaces.Box(-1.0, 1.0, (axes,), np.float32)
        )
        self.single_observation_space = gym.spaces.Box(
            self.episodes.features.low, self.episodes.features.high, dtype=np.float32
        )
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    @property
    def resets_at_once(self) -> bool:
        """Whether a row that ends its episode starts the next one in the same step."""
        return self.autoreset_mode == AutoresetMode.SAME_STEP

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each coordinate of the observation."""
        return self.episodes.features.names

    @shielded
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts new episodes. `seed=s` gives row i the seed s + i; without a seed, each row starts its next episode.

        `options={"reset_mask": mask}`, (N,) bool, resets only those rows.

        Raises:
            ValueError: If the seeds or the mask have the wrong length, or a seed is negative.
            MemoryError: If the batches of so many rows do not fit; says how many would.
        """
        rows = self._rows_to_reset(options)
        seeds = self._row_seeds(seed)
        for row in rows:
            if seeds[row] is not None:
                self.trainer.seed[row], self.trainer.episode[row] = seeds[row], 0
            elif self._seeded:
                self.trainer.episode[row] += 1
            else:  # nobody ever gave a seed: this one comes from `np_random`
                self.trainer.seed[row], self.trainer.episode[row] = self.np_random.integers(2**31), 0
        self._seeded = True
        with telling_what_fits(self.trainer):
            self._start(rows)
            self._follow(at_once=True)
            reset = np.isin(np.arange(self.num_envs), rows)
            return self.episodes.observations(), self.episodes.infos(reset).arrays()

    def _rows_to_reset(self, options: dict[str, Any] | None) -> np.ndarray:
        if options is not None and not isinstance(options, dict):
            raise ValueError(f"options={options!r} must be a dict, e.g. {{'reset_mask': mask}}")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be ({self.num_envs},) bool with at least one True, got {mask.dtype} {mask}"
            )
        if not self._seeded and not mask.all():
            raise ValueError("the first reset must reset every row; call reset() without a reset_mask first")
        return np.flatnonzero(mask)

    def _row_seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        n = self.num_envs
        if seed is None:
            return [None] * n
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != n:
                raise ValueError(f"seed has {len(seed)} entries; {n} rows need {n}, or one number")
            return [None if value is None else checked_seed(value) for value in seed]
        seeds: list[int | None] = [checked_seed(checked_seed(seed) + i) for i in range(n)]
        super().reset(seed=seeds[0])
        return seeds

    @shielded
    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Makes one decision of every row, see `gymnasium.vector.VectorEnv.step`; ValueError for an invalid action."""
        return self.step_control(self.decode(actions))

    @shielded
    def decode(self, actions: Any) -> Control:
        """Returns the control that actions of all rows mean; raises ValueError for an invalid one.

        Actions of rows whose episode has ended are not looked at.
        """
        valid = check_actions(self.codec.axes, actions, self.num_envs, self.episodes.done, alone=self.alone)
        return self.codec.decode(valid)

    @shielded
    def step_control(self, control: Control) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Makes one decision given as a control, which every id applies exactly, even if no action encodes it.

        Raises:
            ValueError: If it is no control for N rows.
            MemoryError: If the batches of so many rows do not fit; says how many would. Rows may have moved on by then:
                reset or restore before going on.
        """
        step = self.decide(control)
        infos = step.infos.arrays()
        if self.resets_at_once and np.count_nonzero(self.episodes.done):
            with telling_what_fits(self.trainer):
                infos = self._same_step_reset(infos)
        elif np.count_nonzero(step.moved) < self.num_envs:
            # NEXT_STEP: these rows ended a step ago; their action was ignored.
            with telling_what_fits(self.trainer):
                infos = self._start_next(~step.moved, infos)
        return self.episodes.observations(), step.reward, step.terminated, step.truncated, infos

    def decide(self, control: Control) -> Step:
        """Makes one decision and starts no next episode, for a shielded caller; errors are those of `step_control`."""
        self._need_reset("the first step")
        if not isinstance(control, Control):
            raise ValueError(f"control={control!r} is no Control; make one by gan_env.Control.of(...)")
        ended = self.episodes.done
        if self.autoreset_mode == AutoresetMode.DISABLED and np.count_nonzero(ended):
            raise gym.error.ResetNeeded(
                "the episode has ended; call reset() first"
                if self.alone
                else f"row {ended.argmax()} has ended its episode; call reset(options={{'reset_mask': mask}}) first"
            )
        with telling_what_fits(self.trainer):
            step = self.episodes.decide(control)
            if self.history is not None:
                self._record(control, step.moved)
                self._follow(at_once=bool(self.episodes.done.any()))
            return step

    def _same_step_reset(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Starts the next episodes of finished rows; returns their infos, with the last ones' results as "final"."""
        done, last = self.episodes.done.copy(), self.episodes.observations()
        final = np.full(self.num_envs, None, object)
        for row in np.flatnonzero(done):
            final[row] = last[row]
        final_info = {
            k: v & done if k.startswith("_") else v
            for k, v in infos.items()
            if not k.startswith("_") or (v & done).any()
        }
        kept = {k: v for k, v in infos.items() if k.lstrip("_") not in ("failure", "score", "score_ema")}
        ends = {"final_obs": final, "_final_obs": done, "final_info": final_info, "_final_info": done}
        return self._start_next(done, kept) | ends

    def _start_next(self, rows: np.ndarray, infos: dict[str, Any]) -> dict[str, Any]:
        """Starts the next episodes of the rows, (N,) bool; returns `infos` updated with their first infos."""
        index = np.flatnonzero(rows)
        self.trainer.episode[index] += 1
        self._start(index)
        return _merge(infos, self.episodes.infos(rows).arrays(), rows)

    def _start(self, rows: np.ndarray) -> None:
        self.episodes.start(rows)
        if self.history is not None:
            self.history.start(rows)

    # -- pictures -------------------------------------------------------------------------------------------------

    @shielded
    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns one picture of each row, (320, 960, 3) uint8: samples, losses, controls, and quality if tracked.

        All rows are drawn on one scale.

        Returns None without a mode, and with "human", whose window shows the rows as tiles and updates at every step.
        """
        if self.history is None:
            return None
        self._need_reset("render()")
        if self._window is None:
            return self.pictures()
        return self._follow(at_once=True)

    def scene(self, row: int, title: str = "", *, failed: bool = False) -> Scene:
        """Returns the scene of a row that `render` draws, under the task's name or a title."""
        assert self.history is not None, "the environment has no render_mode"
        task = self.trainer.task
        return Scene(
            title=title or task.name,
            samples=self.sample(row, SHOWN.get(task.kind, 256)),
            history=self.history.row(row),
            update=int(self.trainer.updates[row]),
            failed=failed,
        )

    def pictures(self, scenes: Sequence[Scene] | None = None) -> tuple[np.ndarray, ...]:
        """Draws scenes, by default the current ones of all rows, as `render` does."""
        return self.painter.pictures(scenes or [self.scene(row) for row in range(self.num_envs)])

    @property
    def painter(self) -> Painter:
        """What draws the environment's pictures."""
        if self._painter is None:
            scale = 0.5 if self.config.d_loss_scale == "mean" else 1.0
            self._painter = Painter(
                self.trainer.task,
                tracked=self.episodes.tracks_quality,
                episode_updates=self.trainer.episode_updates,
                ideal_d_loss=scale * self.trainer.loss.ideal_d_loss,
            )
        return self._painter

    def _follow(self, *, at_once: bool) -> None:
        """Shows the rows in the window, if there is one, at once or when the next frame is due."""
        if self._window is not None:
            if at_once or self._window.due():
                self._window.show(tiled(self.pictures()))
            self._window.answer()

    def _record(self, control: Control, moved: np.ndarray) -> None:
        """Appends a decision of the rows that moved, (N,) bool, to their history."""
        assert self.history is not None
        d_lr, g_lr = self.episodes.rates(control)
        seen, episodes = self.trainer.measurement, self.episodes
        losses = seen.g_loss.cpu().numpy(), seen.d_loss(self.config.d_loss_scale).cpu().numpy()
        updated = control.update_d.cpu().numpy(), control.update_g.cpu().numpy()
        quality = episodes.quality if episodes.tracks_quality else np.full(self.num_envs, np.nan)
        self.history.push(moved, self.trainer.updates, *losses, d_lr, g_lr, *updated, quality)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the window."""
        if self._window is not None:
            self._window.close()

    # -- snapshots ------------------------------------------------------------------------------------------------

    @shielded
    def snapshot(self, rows: Sequence[int] | None = None) -> Snapshot:
        """Takes a snapshot of the rows (all by default; a row may be named more than once) as plain tensors.

        Raises ResetNeeded before the first reset, ValueError for rows that do not exist.
        """
        self._need_reset("snapshot()")
        return env_snapshot.take(self, row_index(self.num_envs, rows))

    @shielded
    def restore(self, snapshot: Snapshot, rows: Sequence[int] | None = None) -> None:
        """Restores a snapshot into the rows (all by default); for all rows also the state of `np_random`.

        Raises:
            SnapshotError: A ValueError, if it was taken with other settings, has another number of rows or is damaged;
                nothing is changed then.
        """
        index = row_index(self.num_envs, rows)
        if not self._seeded and rows is not None and len(index) < self.num_envs:
            raise gym.error.ResetNeeded("call reset() before restoring some of the rows")
        generator, seed = env_snapshot.generator_from(getattr(snapshot, "np_random", None))
        env_snapshot.put_back(self, snapshot, index)
        self._seeded = True
        if rows is None and generator is not None:
            self._np_random, self._np_random_seed = generator, seed

    @shielded
    def fork(self, rows: Sequence[int] | None = None) -> GANVectorEnv:
        """Makes a separate environment that continues from the named rows (default: all), each as often as named.

        It shares only constants, such as the task and its data; a fork of an environment with a window renders arrays.
        """
        self._need_reset("fork()")
        state = env_snapshot.take(self, row_index(self.num_envs, rows), at_once=True)
        branch = object.__new__(type(self))
        branch.__dict__.update(self.__dict__)
        if branch._window is not None:
            branch._window, branch.render_mode = None, "rgb_array"
        branch._allocate(self.trainer.empty_fork(len(state)))
        env_snapshot.write(branch, state.rows, row_index(len(state), None))
        branch._np_random, branch._np_random_seed = env_snapshot.generator_from(state.np_random)
        return branch

    def _need_reset(self, before: str) -> None:
        if not self._seeded:
            raise gym.error.ResetNeeded(f"call reset() before {before}")

    def __getstate__(self) -> dict[str, Any]:
        """Returns settings and state of all rows: it pickles in mid-episode and continues equal to the bit.

        The user's own task, reward or callable must be picklable.
        """
        made = {
            name: getattr(self, name) for name in ("num_envs", "control", "autoreset_mode", "render_mode", "config")
        }
        state = self.snapshot() if self._seeded else None
        return {"made": made, "snapshot": state, "np_random": env_snapshot.generator_state(self), "spec": self.spec}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuilds the environment and restores its rows."""
        self.__init__(**state["made"])
        self._spec = state["spec"]
        self._np_random, self._np_random_seed = env_snapshot.generator_from(state["np_random"])
        if state["snapshot"] is not None:
            self.restore(state["snapshot"])

    # -- the trained GAN ------------------------------------------------------------------------------------------

    @property
    def measurement(self) -> Measurement:
        """Measurement of the coming batch, for controllers; raises ResetNeeded before the first reset."""
        self._need_reset("reading the measurement")
        return self.trainer.measurement

    @property
    def facts(self) -> GameFacts:
        """Facts about the game, for `controller.reset(row_seeds, env.unwrapped.facts)`."""
        return self.trainer.facts

    def encode(self, control: Control) -> np.ndarray:
        """Returns actions that decode to this control, up to float32 rounding; raises ValueError if there are none."""
        control.check(self.num_envs)
        return self.codec.encode(control)

    @shielded
    def generator(self, row: int = 0) -> nn.Module:
        """Returns a copy of the row's generator as a plain module."""
        self._need_reset("generator()")
        return self.trainer.generator(self._row(row))

    @shielded
    def discriminator(self, row: int = 0) -> nn.Module:
        """Returns a copy of the row's discriminator as a plain module."""
        self._need_reset("discriminator()")
        return self.trainer.discriminator(self._row(row))

    @shielded
    def sample(self, row: int = 0, count: int = 64) -> Tensor:
        """Returns `count` samples of the row's generator, (count, *shape); the same ones until its next update."""
        self._need_reset("sample()")
        return self.trainer.samples(count, Purpose.SAMPLE, rows=[self._row(row)])[0]

    def _row(self, row: int) -> int:
        if not isinstance(row, (int, np.integer)) or isinstance(row, bool) or not 0 <= row < self.num_envs:
            raise ValueError(f"row={row!r} does not exist; there are rows 0 to {self.num_envs - 1}")
        return row


def _merge(old: dict[str, Any], new: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Returns `old` with the values of `new` in the chosen rows."""
    merged = dict(old)
    for name, value in new.items():
        if name.startswith("_"):
            merged[name] = old.get(name, np.zeros_like(value)) | value
        else:
            merged[name] = np.where(rows, value, old[name]) if name in old else value
    return merged
