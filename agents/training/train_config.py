"""Settings of a training, in code and in a run's `config.json`."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from gan_env.argument_checks import at_least, is_positive, record_of
from gan_env.envs.config import EnvConfig
from gan_env.envs.rewards import REWARDS
from gan_env.io.files import NotOurs, read_json
from gan_env.registry import unknown
from gan_env.tasks.task import Task

from ..comparison.rows import versions
from ..comparison.seeds import SPLIT_SIZE
from ..learned.fsco import FSCO_RANGE
from ..learned.sb3.algorithms import minibatch
from ..learned.settings import CHOOSES, NUMBERS, OFF_POLICY, AgentConfig
from ..named_places import refuse_elsewhere
from ..policies.policy import PolicySpec
from ..registry import make_controller
from ..run_kind import TRAINING, refuse_other
from ..work_limit import refuse_costly, samples_of

META, UNTRAINED, EMBEDDED = "fsco (meta)", "fsco (untrained)", "fsco (embedded)"
CONTROLS = ("learning-rate", "rates", "joint", "update-choice")
"""What an agent can decide: the codecs of the environment's ids."""


def main_job() -> EnvConfig:
    """Returns the game of `gan-env train` without options: real handwritten digits, a decision every ten updates."""
    return EnvConfig(task="digits", updates_per_step=10, episode_updates=1_000)


USUAL_DECISIONS = 20_000
USUAL_GENERATIONS = 40


def usual_decisions(algorithm: str, agent: AgentConfig, env: EnvConfig) -> int:
    """Returns the decisions of a training that is not told how many: of es, so many generations."""
    if algorithm != "es":
        return USUAL_DECISIONS
    settings = agent.of(algorithm)
    return USUAL_GENERATIONS * settings["population"] * settings["seeds"] * horizon_of(env)


def horizon_of(env: EnvConfig) -> int:
    """Returns the decisions in one run of a game."""
    return (env.episode_updates or env.build_task().episode_updates) // env.updates_per_step


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training of an agent and of its evaluation.

    >>> TrainConfig(decisions=8_000, controllers=("sim-gda", "dyn-gda")).horizon
    100
    """

    env: EnvConfig = field(default_factory=main_job)
    """The game. FSCO has its own range of multipliers where this sets none, and other agents the environment's."""
    agent: AgentConfig = field(default_factory=AgentConfig)
    """The agent's settings."""
    algorithm: Literal["ddpg", "td3", "sac", "ppo", "dqn", "es"] = "ddpg"
    """What learns: an algorithm of Stable-Baselines3, or es, evolution strategies on whole episodes."""
    control: Literal["learning-rate", "rates", "joint", "update-choice"] = "learning-rate"
    """What the agent decides: D's learning rate (FSCO), both rates, both rates and who updates, or who updates (dqn,
    ppo, es)."""
    also: str | None = None
    """Reward of a second agent, the same but for it, that is trained after the first and judged beside it (meta)."""
    normalise_returns: bool = False
    """Divide rewards by the running standard deviation of discounted returns (all but es, which ranks)."""
    mode: Literal["meta", "embedded"] = "meta"
    """meta: many short runs side by side, then frozen. embedded: a fresh agent learns within each judged run."""
    decisions: int = USUAL_DECISIONS
    """Decisions that a meta agent is given in training, all rows together; the last round of all rows, PPO's last
    rollout and the last generation of es are finished."""
    num_envs: int = 16
    """GANs that train side by side (meta); es has population × seeds of them."""
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
        "ttur-decay",
        "auto",
    )
    """Controllers that the agent is compared with."""
    seed: int = 0
    """Seed of the agent, and of which training runs it meets."""
    out: Path | None = None
    """The run's folder; runs/TASK-TIME if left out."""
    progress: bool = True
    """Show progress with the time left: a bar on a terminal, elsewhere a line every 12 seconds."""
    save_every: float = 60.0
    """Least seconds between two saves of the training, for `--resume`; saving takes 2 % of the time at most."""
    jobs: int = 1
    """Processes that run the episodes of a generation (es)."""
    executor: Literal["local", "ray"] = "local"
    """What runs them (es): processes of this machine, or a Ray cluster."""
    address: str | None = None
    """The Ray cluster's address; one that Ray starts here if left out."""

    def __post_init__(self) -> None:
        if self.is_fsco:
            ranges = {name: getattr(self.env, name) or FSCO_RANGE for name in ("d_lr_range", "g_lr_range")}
            object.__setattr__(self, "env", EnvConfig.of(self.env, **ranges))
        for name in ("decisions", "num_envs", "evaluate_seeds", "jobs"):
            at_least(name, getattr(self, name), 1)
        if self.save_every != 0 and not is_positive(self.save_every):
            raise ValueError(f"save_every={self.save_every!r} must be a number of seconds of at least 0")
        if self.num_envs > SPLIT_SIZE:
            raise ValueError(f"num_envs={self.num_envs} must be at most {SPLIT_SIZE}, as many as there are row seeds")
        if self.evaluate_seeds < 2:
            raise ValueError("evaluate_seeds=1 gives no interval; use 2 or more, 16 by default")
        at_least("seed", self.seed, 0)
        settings = self.settings
        rows = f"num_envs={self.num_envs}" if self.algorithm != "es" else f"seeds={settings['seeds']}"
        if self.seed >= SPLIT_SIZE // self.row_seeds:
            raise ValueError(
                f"seed={self.seed} must lie in 0 to {SPLIT_SIZE // self.row_seeds - 1} with {rows}: "
                "each seed trains on row seeds of its own"
            )
        if self.mode == "meta" and self.algorithm in OFF_POLICY and self.decisions <= settings["learning_starts"]:
            raise ValueError(
                f"decisions={self.decisions} leaves nothing to learn from after learning_starts="
                f"{settings['learning_starts']} decisions at random; raise the one or lower the other"
            )
        if self.algorithm == "ppo":
            minibatch(settings, self.num_envs)
        if len(set(self.controllers)) != len(self.controllers):
            raise ValueError(f"controllers={self.controllers} names one twice; leave it out once")
        self._check_fit()
        for name in self.controllers:
            make_controller(name)

    def _check_fit(self) -> None:
        """Raises ValueError if algorithm, control, mode and reward do not fit together."""
        if self.control not in CONTROLS:
            raise unknown("control", self.control, list(CONTROLS))
        able = CHOOSES if self.control == "update-choice" else NUMBERS
        if self.algorithm not in able:
            others = [name for name in CONTROLS if (name == "update-choice") != (self.control == "update-choice")]
            raise ValueError(
                f"algorithm={self.algorithm!r} cannot decide control={self.control!r}; use {', '.join(able)}, or "
                f"control {', '.join(others)}"
            )
        if self.mode == "embedded" and not self.is_fsco:
            raise ValueError(
                f"mode='embedded' is FSCO's own: algorithm='ddpg', control='learning-rate' and reward='loss_gap', not "
                f"{self.algorithm!r}, {self.control!r} and {self.env.reward!r}; use mode='meta', or name 'ddpg' among "
                "controllers"
            )
        if self.algorithm != "es" and (self.jobs, self.executor, self.address) != (1, "local", None):
            raise ValueError(
                f"jobs={self.jobs!r}, executor={self.executor!r} and address={self.address!r} are for algorithm='es'; "
                f"leave them out, for {self.algorithm!r} trains in one process"
            )
        if self.address is not None and self.executor != "ray":
            raise ValueError(f"address={self.address!r} is a Ray cluster's; give executor ray, too")
        if self.also is not None:
            REWARDS[self.also]  # raises for an unknown one
        if self.also is not None and (self.mode != "meta" or self.also == self.env.reward):
            raise ValueError(
                f"also={self.also!r} is the reward of a second agent, for mode='meta' and other than the first one's "
                f"{self.env.reward!r}; leave it out, or name another of: {', '.join(REWARDS)}"
            )
        if self.normalise_returns and self.algorithm == "es":
            raise ValueError("normalise_returns=True changes nothing for algorithm='es', which ranks; leave it out")
        if self.normalise_returns and self.mode == "embedded":
            raise ValueError("normalise_returns=True is for mode='meta'; leave it out, or change the mode")

    @property
    def settings(self) -> dict[str, Any]:
        """The algorithm's settings, given or by default; raises ValueError for one that it does not have."""
        return self.agent.of(self.algorithm)

    @property
    def row_seeds(self) -> int:
        """Row seeds that a training uses; each is another GAN in every episode."""
        return self.settings["seeds"] if self.algorithm == "es" else self.num_envs

    @property
    def horizon(self) -> int:
        """Decisions in one run."""
        return horizon_of(self.env)

    @property
    def is_fsco(self) -> bool:
        """Whether this is FSCO (DDPG on D's rate, reward −|L_G − L_D|) and not an agent on something else."""
        return self.algorithm == "ddpg" and self.control == "learning-rate" and self.env.reward == "loss_gap"

    @property
    def names(self) -> tuple[str, str]:
        """Labels of the trained and the untrained actor."""
        return (META, UNTRAINED) if self.is_fsco else (f"{self.algorithm} (meta)", f"{self.algorithm} (untrained)")

    @property
    def second(self) -> TrainConfig | None:
        """Settings of the second agent's training."""
        if self.also is None:
            return None
        return replace(self, env=EnvConfig.of(self.env, reward=self.also), also=None)

    @property
    def second_name(self) -> str:
        """Label of the second agent."""
        return f"{self.algorithm} ({self.also})"

    @property
    def spec(self) -> PolicySpec:
        """How the agent's numbers are read."""
        return PolicySpec.of(self.env, self.control)


def plain(value: Any) -> Any:
    """Converts a configuration to plain values for JSON."""
    if isinstance(value, Task):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def training_game(config: TrainConfig) -> EnvConfig:
    """Returns the game as an agent meets it in training: without test data, with its distance to validation data."""
    # These rewards read no quality before the end, which is always measured.
    at_end = config.env.reward in ("loss_gap", "final_quality")
    every = config.horizon if at_end else config.env.quality_every
    return EnvConfig.of(config.env, score=False, track_quality=True, quality_every=every)


def provenance_of(config: TrainConfig, task: str, loss: str, reward: str, decisions: int) -> dict[str, object]:
    """Returns what an agent's file says of its training."""
    return {
        "algorithm": config.algorithm,
        "task": task,
        "loss": loss,
        "decisions": decisions,
        "seed": config.seed,
        "reward": reward,
        "versions": versions(),
    }


def refuse_foreign_work(config: TrainConfig, folder: Path, named: Collection[str] = ()) -> None:
    """Raises ValueError if a folder's configuration asks for far more work than any of ours, or for a place to work at.

    Args:
        config: What the folder holds.
        folder: The folder.
        named: Settings that the call named itself.
    """
    file, most = str(folder / "config.json"), max(8, 2 * (os.cpu_count() or 1))
    if config.address is not None and "address" not in named:
        raise ValueError(
            f"{file!r} names the Ray cluster {config.address!r}, to which code and data would go; if you want that, "
            "name it by --address, or say so by --trust"
        )
    if config.jobs > most and "jobs" not in named:
        raise ValueError(f"{file!r} asks for {config.jobs:,} processes; name a number by --jobs, or say so by --trust")
    settings, online = config.settings, len(config.names) + 1
    rows = settings["population"] * settings["seeds"] if config.algorithm == "es" else config.num_envs
    runs = config.evaluate_seeds * (len(config.controllers) + online)
    agents = (config.mode == "meta") * (2 if config.also else 1)
    learned = settings.get("gradient_steps", settings.get("n_epochs", 0)) * (settings.get("batch_size") or 1)
    decisions = agents * max(config.decisions, rows * (config.horizon if config.algorithm == "es" else 1))
    samples = samples_of(config.env, runs) + decisions * learned
    samples += samples_of(config.env, decisions) // config.horizon  # a decision is a run's share of its updates
    updates = max(config.horizon, decisions // rows) * config.env.updates_per_step
    refuse_costly(folder, samples, updates, max(rows if config.algorithm != "es" else 0, runs))


HOW_NOT_WHAT = ("out", "progress", "save_every", "jobs", "executor", "address")
"""Settings that leave the result as it is."""


def first_difference(one: dict[str, Any], other: dict[str, Any], path: str = "") -> str | None:
    """Returns the first setting in which two plain configurations differ, with both values, or None."""
    for name in sorted(one.keys() | other.keys()):
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found = first_difference(a, b, f"{path}{name}.")
            if found:
                return found
        elif a != b and path + name not in HOW_NOT_WHAT:
            return f"{path}{name}={a!r} and {b!r}"
    return None


def read_config(path: Path, *, trust: bool = False) -> TrainConfig:
    """Reads a run's `config.json`; raises ValueError, on one line and naming the file, for any other content.

    `trust` takes one that names data or controllers' files outside of the run's folder, too.
    """
    held = read_held(path)
    if not trust:
        refuse_elsewhere(path.parent, held)
    try:
        return record_of(TrainConfig, held)
    except (RecursionError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{path}: is no configuration of a training ({why})") from error


def read_held(path: Path) -> dict[str, Any]:
    """Reads the plain values of a run's `config.json`; raises ValueError, on one line and naming the file."""
    try:
        held = read_json(path)
    except OSError as error:
        why = str(error) if isinstance(error, NotOurs) else f"{path}: cannot be read ({error.strerror or error})"
        raise ValueError(f"{why}; name the folder of a training") from error
    except ValueError as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{path}: is no configuration of a training ({why})") from error
    refuse_other(path.parent, held, TRAINING)
    if not isinstance(held, dict):
        raise ValueError(f"{path}: is no configuration of a training (it is a {type(held).__name__})")
    return upgraded(held)


_ADDED = {
    "algorithm": "ddpg", "also": None, "normalise_returns": False, "jobs": 1, "executor": "local", "address": None,
}  # fmt: skip
_OF_THE_GAME = ("updates_per_step", "features", "d_loss_scale", "d_lr_range")


def upgraded(held: dict[str, Any]) -> dict[str, Any]:
    """Adds to a run's configuration what it says by its age: settings that there were no others of when it began."""
    held = {**_ADDED, **held}
    if isinstance(held.get("env"), dict):
        held["env"] = {"engine": "torch", "annealing": None, **held["env"]}
    if isinstance(agent := held.get("agent"), dict) and "d_lr_range" in agent:  # once it repeated the game's settings
        own = {f.name: None for f in fields(AgentConfig)}
        held["agent"] = own | {name: value for name, value in agent.items() if name not in _OF_THE_GAME}
    elif isinstance(agent, dict):
        held["agent"] = {"actor_learning_rate": None, "last_layer": None, **agent}
    return held
