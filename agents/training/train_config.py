"""Settings of a training, in code and in a run's `config.json`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from gan_env.argument_checks import at_least, is_positive, record_of
from gan_env.envs.config import EnvConfig
from gan_env.io.files import NotOurs, read_json
from gan_env.registry import unknown
from gan_env.tasks.task import Task

from ..comparison.seeds import SPLIT_SIZE
from ..learned.fsco import FSCO_RANGE, FscoConfig
from ..named_places import refuse_elsewhere
from ..policies.policy import PolicySpec
from ..registry import make_controller
from ..run_kind import TRAINING, refuse_other

META, UNTRAINED, EMBEDDED = "fsco (meta)", "fsco (untrained)", "fsco (embedded)"
DDPG_META, DDPG_UNTRAINED = "ddpg (meta)", "ddpg (untrained)"


def main_job() -> EnvConfig:
    """Returns the game of `gan-env train` without options: real handwritten digits, a decision every ten updates."""
    return EnvConfig(task="digits", updates_per_step=10, episode_updates=1_000)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training of an agent and of its evaluation.

    >>> TrainConfig(decisions=8_000, controllers=("sim-gda", "dyn-gda")).horizon
    100
    """

    env: EnvConfig = field(default_factory=main_job)
    """The game. Where it sets no range of multipliers, the agent has FSCO's, not the environment's."""
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
    """Controllers that the agent is compared with."""
    seed: int = 0
    """Seed of the agent, and of which training runs it meets."""
    out: Path | None = None
    """The run's folder; runs/TASK-TIME if left out."""
    progress: bool = True
    """Show progress with the time left: a bar on a terminal, elsewhere a line every 12 seconds."""
    save_every: float = 60.0
    """Least seconds between two saves of the training, for `--resume`; saving takes 2 % of the time at most."""

    def __post_init__(self) -> None:
        ranges = {name: getattr(self.env, name) or FSCO_RANGE for name in ("d_lr_range", "g_lr_range")}
        object.__setattr__(self, "env", EnvConfig.of(self.env, **ranges))
        for name in ("decisions", "num_envs", "evaluate_seeds"):
            at_least(name, getattr(self, name), 1)
        if self.save_every != 0 and not is_positive(self.save_every):
            raise ValueError(f"save_every={self.save_every!r} must be a number of seconds of at least 0")
        if self.num_envs > SPLIT_SIZE:
            raise ValueError(f"num_envs={self.num_envs} must be at most {SPLIT_SIZE}, as many as there are row seeds")
        if self.evaluate_seeds < 2:
            raise ValueError("evaluate_seeds=1 gives no interval; use 2 or more, 16 by default")
        at_least("seed", self.seed, 0)
        if self.seed >= SPLIT_SIZE // self.num_envs:
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
                f"and {self.env.reward!r}; use mode='meta', or name 'ddpg' among controllers"
            )
        for name in self.controllers:
            make_controller(name)

    @property
    def horizon(self) -> int:
        """Decisions in one run."""
        updates = self.env.episode_updates or self.env.build_task().episode_updates
        return updates // self.env.updates_per_step

    @property
    def is_fsco(self) -> bool:
        """Whether this is FSCO (D's rate, reward −|L_G − L_D|) and not the same agent on something else."""
        return self.control == "learning-rate" and self.env.reward == "loss_gap"

    @property
    def names(self) -> tuple[str, str]:
        """Labels of the trained and the untrained actor."""
        return (META, UNTRAINED) if self.is_fsco else (DDPG_META, DDPG_UNTRAINED)

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


HOW_NOT_WHAT = ("out", "progress", "save_every")
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
    if isinstance(held.get("env"), dict):
        held["env"] = {"engine": "torch", **held["env"]}  # of a run that was begun when there was no other
    return held
