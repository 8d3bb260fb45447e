"""The main job: train a DDPG agent on many short GAN runs, then judge it against the scripted rules on fresh seeds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from tqdm import tqdm

from gan_env.config import EnvConfig
from gan_env.env import GANVectorEnv
from gan_env.registry import unknown
from gan_env.task import Task

from .base import NeedsTrainer
from .bench import SPLIT_SIZE, SPLITS, Entry, GroupResult, run_group, split_seeds
from .files import save_controller
from .fsco import EmbeddedFSCO, FscoConfig, actor_layers, make_ddpg
from .policy import PolicyController, PolicySpec
from .registry import make_controller
from .rows import versions
from .sb3 import PrivateRandomness, SB3VecEnv

AT_BOUND = 0.99
"""An action beyond this (either sign) counts as being at the bound."""
META, UNTRAINED, EMBEDDED = "fsco (meta)", "fsco (untrained)", "fsco (embedded)"
DDPG_META, DDPG_UNTRAINED = "ddpg (meta)", "ddpg (untrained)"


def main_job() -> EnvConfig:
    """The game of `gan-env train` without options: real handwritten digits, a decision every ten updates."""
    return EnvConfig(task="digits", updates_per_step=10, episode_updates=1_000)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training of an agent and its judgement."""

    env: EnvConfig = field(default_factory=main_job)
    """The game."""
    agent: FscoConfig = field(default_factory=FscoConfig)
    """The agent's settings."""
    control: Literal["learning-rate", "joint"] = "learning-rate"
    """What the agent decides: D's learning rate (FSCO), or both rates and who updates (`ddpg`; meta mode)."""
    mode: Literal["meta", "embedded"] = "meta"
    """meta: many short runs side by side, then frozen. embedded: a fresh agent learns within each judged run."""
    decisions: int = 20_000
    """Decisions that a meta agent is given in training, all rows together."""
    num_envs: int = 16
    """GANs that train side by side (meta)."""
    evaluate_seeds: int = 16
    """Runs of each controller, on seeds that no training saw."""
    controllers: tuple[str, ...] = (
        "sim-gda",
        "alt-gda-1",
        "alt-gda-5",
        "constant:0.1",
        "constant:0.3",
        "constant:3",
        "constant:10",
        "frozen-d",
        "random-order:0.45",
        "dyn-gda",
        "gap-aware",
    )
    """The rivals."""
    seed: int = 0
    """Seed of the agent, and of which training runs it meets."""
    out: Path | None = None
    """The run's folder; runs/TASK-TIME if left out."""
    progress: bool = True
    """Show progress with the time left."""

    def __post_init__(self) -> None:
        for name in ("decisions", "num_envs", "evaluate_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.evaluate_seeds < 2:
            raise ValueError("evaluate_seeds=1 gives no interval; use 2 or more, 16 by default")
        if not 0 <= self.seed < SPLIT_SIZE // self.num_envs:
            raise ValueError(
                f"seed={self.seed} must lie in 0 to {SPLIT_SIZE // self.num_envs - 1} with num_envs={self.num_envs}: "
                "each seed trains on row seeds of its own"
            )
        if self.mode == "meta" and self.decisions <= self.agent.learning_starts:
            raise ValueError(
                f"decisions={self.decisions} leaves nothing to learn from after learning_starts="
                f"{self.agent.learning_starts} decisions at random; raise the one or lower the other"
            )
        if len(set(self.controllers)) != len(self.controllers):
            raise ValueError(f"controllers={self.controllers} names one twice; leave it out once")
        if self.control not in ("learning-rate", "joint"):
            raise unknown("control", self.control, ["learning-rate", "joint"])
        if self.mode == "embedded" and not self.is_fsco:
            raise ValueError(
                f"mode='embedded' is FSCO's own: control='learning-rate' and reward='loss_gap', not {self.control!r} "
                f"and {self.env.reward!r}; use mode='meta', or name the rival 'ddpg' among controllers"
            )
        for name in self.controllers:
            make_controller(name)

    @property
    def is_fsco(self) -> bool:
        """Whether this is FSCO (D's rate, reward −|L_G − L_D|) and not the same agent on something else."""
        return self.control == "learning-rate" and self.env.reward == "loss_gap"

    @property
    def names(self) -> tuple[str, str]:
        """What tables call the trained and the untrained actor."""
        return (META, UNTRAINED) if self.is_fsco else (DDPG_META, DDPG_UNTRAINED)

    @property
    def spec(self) -> PolicySpec:
        """How the agent's numbers are read."""
        return PolicySpec(
            control=self.control,
            features=self.env.features,
            d_loss_scale=self.env.d_loss_scale,
            d_lr_range=self.env.d_lr_range,
            g_lr_range=self.env.g_lr_range,
            updates_per_step=self.env.updates_per_step,
            signed_losses=self.env.normalise or self.env.reward != "loss_gap",
        )


class _Watch(BaseCallback):
    """Progress and TensorBoard: return (SB3's own), held-out quality, mean multiplier, share of actions at a bound."""

    def __init__(self, env: GANVectorEnv, decisions: int, show: bool):
        super().__init__()
        self._env, self._bar = env, tqdm(total=decisions, unit="decision", desc="training", disable=not show)
        self._positions: list[np.ndarray] = []

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
        return True

    def _on_training_end(self) -> None:
        self._bar.close()


def train_meta(config: TrainConfig, tensorboard: Path | None = None) -> tuple[PolicyController, PolicyController]:
    """Trains a DDPG agent on short runs side by side; gives the trained and the untrained actor, both frozen."""
    horizon = _horizon(config.env)
    every = horizon if config.env.reward == "loss_gap" else config.env.quality_every  # FSCO's reward reads no quality
    game = EnvConfig.of(config.env, score=False, track_quality=True, quality_every=every)
    env = GANVectorEnv(config.num_envs, control=config.control, autoreset_mode="SameStep", config=game)
    randomness = PrivateRandomness(config.seed)
    with randomness():
        vec = SB3VecEnv(env)
        steps = config.agent.gradient_steps * config.num_envs
        model = make_ddpg(config.agent, vec, config.seed, gradient_steps=steps)
        vec.seed(SPLITS["train-agent"] + config.num_envs * config.seed)  # `make_ddpg` seeded it too: this one counts
        model.set_logger(
            configure(None if tensorboard is None else str(tensorboard), ["tensorboard"] if tensorboard else [])
        )
        untrained = actor_layers(model)
        model.learn(
            config.decisions, callback=_Watch(env, config.decisions, config.progress), log_interval=config.num_envs
        )
        trained = actor_layers(model)
    env.close()
    provenance = {
        "task": env.trainer.task.name,
        "loss": env.trainer.loss.name,
        "decisions": model.num_timesteps,
        "seed": config.seed,
        "reward": config.env.reward if isinstance(config.env.reward, str) else env.reward.name,
        "versions": versions(),
    }
    spec = replace(config.spec, provenance=provenance)
    return PolicyController(spec, trained, config.names[0]), PolicyController(spec, untrained, config.names[1])


def _horizon(env: EnvConfig) -> int:
    updates = env.episode_updates or env.build_task().episode_updates
    return updates // env.updates_per_step


def evaluate(config: TrainConfig, learned: list[Entry]) -> GroupResult:
    """Runs the learned controllers and the rivals on the evaluate seeds, all in one batch."""
    entries = learned + [Entry(name, make_controller(name)) for name in config.controllers]
    seeds = split_seeds("evaluate", config.evaluate_seeds)
    with tqdm(
        total=_horizon(config.env) * config.env.updates_per_step,
        unit="update",
        desc=f"judging {len(entries)} controllers on {len(seeds)} seeds",
        disable=not config.progress,
    ) as bar:
        return run_group(config.env, entries, seeds, "evaluate", progress=lambda done: bar.update(done - bar.n))


def train(config: TrainConfig, say: Callable[[str], None] = print) -> Path:
    """The whole job; writes the run's folder and gives its path.

    The folder holds `config.json`, `rows.jsonl`, the agent, TensorBoard files, `table.txt` and pictures.
    """
    from .plots import draw_run  # matplotlib takes a second to import
    from .tables import summary

    began = time.perf_counter()
    _check(config)
    out = config.out or Path("runs") / f"{_task_name(config.env)}-{time.strftime('%Y%m%d-%H%M%S')}"
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"out={str(out)!r} is not empty; name another folder, so that nothing there is lost")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"out={str(out)!r} cannot be made a folder ({error.strerror}); name another") from error
    (out / "config.json").write_text(json.dumps(plain(config), indent=2) + "\n")
    learned = [Entry(EMBEDDED, EmbeddedFSCO(_embedded(config)))] if config.is_fsco else []
    if config.mode == "meta":
        trained, untrained = train_meta(config, out / "tensorboard")
        save_controller(trained, out / "agent.safetensors")
        learned = [Entry(trained.name, trained), Entry(untrained.name, untrained), *learned]
    result = evaluate(config, learned)
    with (out / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in result.rows)
    if config.mode == "embedded":
        entry = learned[0].controller
        assert isinstance(entry, EmbeddedFSCO)
        save_controller(entry.policy(0), out / "agent.safetensors")
    table = summary(result.rows, trained=config.names[0], untrained=config.names[1])
    (out / "table.txt").write_text(table + "\n")
    draw_run(config.env.build_task(), result, out)
    say(table)
    say(f"\n{time.perf_counter() - began:.0f} s in all. The agent, every row, curves and pictures are in {out}/")
    return out


def _check(config: TrainConfig) -> None:
    """Raises ValueError for what would fail later: device, data, reward, a rival that the game is not defined for."""
    env = GANVectorEnv(1, control=config.control, config=config.env)
    env.reset(seed=0)
    for name in config.controllers:
        controller = make_controller(name)
        if isinstance(controller, NeedsTrainer):
            controller.bind(env.trainer)
        controller.reset([0], env.facts)
    env.close()


def _task_name(env: EnvConfig) -> str:
    return env.task.name if isinstance(env.task, Task) else env.task


def _embedded(config: TrainConfig) -> FscoConfig:
    env = config.env
    return replace(
        config.agent,
        updates_per_step=env.updates_per_step,
        features=env.features,
        d_loss_scale=env.d_loss_scale,
        d_lr_range=env.d_lr_range,
    )


def plain(value: Any) -> Any:
    """A configuration as JSON can hold it."""
    if isinstance(value, (TrainConfig, FscoConfig)):
        return {k: plain(getattr(value, k)) for k in value.__dataclass_fields__}
    if isinstance(value, EnvConfig):
        return {k: plain(getattr(value, k)) for k in value.__dataclass_fields__}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Task):
        return value.name
    if value is None or isinstance(value, (str, int, float, bool, dict)):
        return value
    return str(value)


__all__ = ["TrainConfig", "evaluate", "main_job", "plain", "train", "train_meta"]
