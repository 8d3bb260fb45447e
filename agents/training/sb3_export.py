"""Stable-Baselines3 models as controller files: at the end of a training, or from the zip that SB3 saved.

The normal way is `SaveController`, which needs no pickle. SB3's own zip holds several, so `gan-env export` reads one
only if it is told by name to trust it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from gan_env.envs.config import EnvConfig

from ..comparison.rows import versions
from ..learned.sb3.actor import Actor, actor_of, read_zip
from ..policies.policy import PolicyController, PolicySpec
from ..policies.policy_files import check_controller, save_controller
from .train_config import plain


def controller_of(model: BaseAlgorithm) -> PolicyController:
    """Freezes a live model's actor, with the features and ranges of the model's own environment.

    Raises ValueError where a controller file could not hold it: say, observations that a wrapper changes on the way.
    """
    env, actor = model.get_env(), actor_of(model)
    if env is None:
        raise ValueError("the model has no environment, which alone says what its actions mean; set_env(env) first")
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None and normalizer.norm_obs:
        raise ValueError("VecNormalize changes what the actor sees; use VecNormalize(..., norm_obs=False)")
    config, control = env.get_attr("config")[0], env.get_attr("control")[0]
    name = type(model).__name__.lower()
    decisions = {"decisions": model.num_timesteps, "seed": model.seed}
    return _controller(actor, name, control, config, {"algorithm": name, "env": plain(config), **decisions})


def _controller(
    actor: Actor, name: str, control: str, config: EnvConfig, provenance: dict[str, Any]
) -> PolicyController:
    provenance = {**provenance, "versions": versions()}
    spec = PolicySpec.of(config, control, activation=actor.activation, output=actor.output, provenance=provenance)
    controller = PolicyController(spec, actor.layers, name)
    check_controller(controller)
    return controller


class SaveController(BaseCallback):
    """Writes the actor as a controller file when training ends, for `gan-env bench` and `agents.Steer`.

    >>> SaveController("controllers", verbose=0).folder.name
    'controllers'

    In rl-zoo3: `"callback": "agents.SaveController"` among the hyper-parameters.

    Args:
        folder: Gets `ALGORITHM-CONTROL-NUMBER.safetensors`, e.g. `td3-learning-rate-1.safetensors`.
        verbose: 0: do not say where the file is.
    """

    def __init__(self, folder: Path | str = "controllers", verbose: int = 1):
        super().__init__(verbose)
        self.folder, self.path = Path(folder), None

    def _on_training_start(self) -> None:
        controller = controller_of(self.model)  # what cannot be written is found now, and not after hours of training
        stem = f"{controller.name}-{controller.spec.control}"
        paths = (self.folder / f"{stem}-{number}.safetensors" for number in count(1))
        self.path = next(path for path in paths if not path.exists())

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        path, self.path = self.path, None
        if path is None:
            return  # rl-zoo3 comes here a second time, and even if training never started
        self.folder.mkdir(parents=True, exist_ok=True)
        save_controller(controller_of(self.model), path)
        if self.verbose:
            print(f"{path}: the controller; judge it by gan-env bench --controllers sim-gda,{path}")


RANGE = tyro.conf.arg(metavar="LEAST GREATEST", help_behavior_hint="")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of `gan-env export`. Settings other than the defaults have to be given: SB3 does not save them."""

    model: tyro.conf.Positional[Path]
    """What SB3's save wrote: a zip of DDPG, TD3, SAC, TQC, PPO, A2C, TRPO or DQN with MlpPolicy."""
    out: tyro.conf.Positional[Path]
    """The controller file to write, e.g. mine.safetensors."""
    trust_pickle: bool = False
    """Read the pickle in the zip, although a pickle can execute code: only if you trust whoever made the file."""
    updates_per_step: int = EnvConfig.updates_per_step
    """Updates that one decision held for in training."""
    features: tuple[str, ...] = EnvConfig.features
    """What it observed, in order."""
    d_loss_scale: Literal["mean", "sum"] = EnvConfig.d_loss_scale
    """Which discriminator loss its features read."""
    d_lr_range: Annotated[tuple[float, float] | None, RANGE] = EnvConfig.d_lr_range
    """Multipliers on the discriminator's rate at -1 and +1; the environments' own (0.03 and 1000) if left out."""
    g_lr_range: Annotated[tuple[float, float] | None, RANGE] = EnvConfig.g_lr_range
    """The same for the generator's (0.01 and 300)."""
    reward: str = EnvConfig.reward
    """What it was trained for; one trained for loss_gap steers no losses that can be negative."""
    json: bool = False
    """Print one JSON document."""


def export(arguments: Sequence[str], description: str) -> int:
    """Runs the command `gan-env export`; returns its exit code."""
    given = tyro.cli(ExportOptions, prog="gan-env export", description=description, args=arguments)
    if not given.trust_pickle:
        raise ValueError(
            f"{given.model}: a model that SB3 saved holds pickles, which can execute code when they are read; add "
            "--trust-pickle if you trust whoever made it, or train with agents.SaveController, "
            "which writes a controller file"
        )
    if given.out.exists():
        raise ValueError(f"{given.out}: exists already; name another file")
    print(f"gan-env: reading a pickle in {given.model}, as told by --trust-pickle", file=sys.stderr)
    actor = read_zip(given.model)
    held = ("updates_per_step", "features", "d_loss_scale", "d_lr_range", "g_lr_range", "reward")
    config = EnvConfig(**{name: getattr(given, name) for name in held})
    controller = _controller(actor, given.model.stem, actor.control, config, {"model": given.model.name})
    save_controller(controller, given.out)
    if given.json:
        print(json.dumps({"controller": str(given.out), "control": actor.control}))
    else:
        print(f"{given.out}: the controller; judge it by gan-env bench --controllers sim-gda,{given.out}")
    return 0
