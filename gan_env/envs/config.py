"""All settings of an environment with their defaults, in one frozen record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch

from gan_env.argument_checks import at_least, is_positive, one_of
from gan_env.envs.actions import D_RANGE, G_RANGE
from gan_env.envs.observations import DEFAULT_FEATURES, named_features
from gan_env.losses.losses import Loss, get_loss
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.registry import unknown
from gan_env.tasks.task import Task, make_task, parse_task
from gan_env.training.annealing import Annealing
from gan_env.training.cuda_graphs import cuda_graphs
from gan_env.training.memory import out_of_memory, what_fits
from gan_env.training.native_coverage import ENGINES
from gan_env.training.trainer import Trainer


def _range(field: str, value: object) -> None:
    fits = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_positive, value))
    if not (fits and value[0] < 1 < value[1]):  # type: ignore[index]
        raise ValueError(f"{field}={value!r} must be two multipliers, 0 < low < 1 < high, e.g. (0.1, 10.0)")


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Settings of an environment. None means the task's own value.

    Examples:
        >>> from gan_env import GANEnv
        >>> config = EnvConfig(task="circle", loss="lsgan", episode_updates=1_000)
        >>> GANEnv(config=config, d_lr=1e-3).config.changed()
        {'task': 'circle', 'loss': 'lsgan', 'd_lr': 0.001, 'episode_updates': 1000}
    """

    task: str | Task = "ring"
    """What is trained: a name (`gan-env list`; some with a path, "folder:PATH@64"), or your own Task."""
    loss: str | None = None
    """What the players minimise: a name of a GAN loss, e.g. "wgan-gp", or "wgan-gp:10" to set its coefficient; by
    default the task's, which is bce but for dirac."""
    d_lr: float | None = None
    """Base learning rate of the discriminator; a control multiplies it."""
    g_lr: float | None = None
    """Base learning rate of the generator."""
    optimizer: str | dict[str, Any] | OptimizerSpec | None = None
    """Optimiser of both players: "adam", "oadam", "extra-adam", "lookahead-minimax", "rmsprop", "sgd", or a dict with
    its arguments, e.g. {"betas": (0.9, 0.999)}; by default the task's or else the loss' own."""
    annealing: dict[str, Any] | Annealing | None = None
    """Where the loss' coefficient and Adam's β₂ go along half a cosine, as R3GAN's do: a dict with "coefficient",
    "beta2" or both, and "until", the share of the episode over which they move, e.g. {"beta2": 0.99, "until": 0.5}."""
    batch_size: int | None = None
    """Real and generated samples in one update."""
    order: Literal["simultaneous", "alternating"] = "simultaneous"
    """V3 takes both gradients at the old weights, or lets G see D's new ones on the same latents."""
    updates_per_step: int = 1
    """Updates (V1, V2 or V3) that one decision holds for."""
    episode_updates: int | None = None
    """Updates in one episode; a multiple of `updates_per_step`."""
    reward: Any = "loss_gap"
    """"loss_gap" (FSCO), "quality", "quality_gain", "log_quality", "log_quality_gain", "final_quality", a Reward, or a
    callable that builds one. An environment that is given neither reward nor config has "quality" if the loss is
    signed, because a gap of such losses is meaningless."""
    normalise: bool = False
    """Divide the loss gap by the size of the losses, so that signed losses can be used."""
    d_loss_scale: Literal["mean", "sum"] = "mean"
    """Which discriminator loss the reward and the features read: (real + fake) / 2, or their sum."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    """Names of the observation's features, in order; "portable" stands for all that are free of the loss' scale,
    "gradient_noise" for two more of that kind."""
    d_lr_range: tuple[float, float] | None = None
    """Least and greatest multiplier that an action can put on the discriminator's rate; by default (0.03, 1000). FSCO,
    which has a range of its own, (0.1, 10), takes over one that is set."""
    g_lr_range: tuple[float, float] | None = None
    """The same for the generator's rate (`Rates-v0`, `Joint-v0`); by default (0.01, 300)."""
    quality_every: int = 10
    """Decisions between two measurements of quality, for rewards that read it; in between the last value is kept."""
    track_quality: bool = False
    """Measure quality for `info` although the reward does not read it."""
    score: bool = True
    """Compute the exact score on test data when an episode ends (ring: 0.6 s a row)."""
    g_ema: float | None = None
    """Half-life, in updates, of a moving average of G's weights that is scored beside G, as `score_ema`; it changes
    nothing else. It moves once a decision, by what its k updates have earned: h = 0.5^(k / g_ema)."""
    loss_bound: float = 1e4
    """A loss beyond this (either sign) ends the row's episode as a failure."""
    weight_bound: float = 1e3
    """A weight beyond this (either sign) ends the row's episode as a failure."""
    dead_updates: int = 100
    """A player with constant output and zero gradient for this many updates ends the episode as dead; 0: never."""
    dtype: Literal["float32", "float64"] | None = None
    """Precision of training; by default the task's, which is float32 but for dirac."""
    device: str = "auto"
    """"cpu", "cuda", "cuda:1", or "auto": CUDA where there is one."""
    cuda_graphs: bool = False
    """On CUDA, record the update of plain MLPs once and replay it if all rows do the same; changes speed only."""

    engine: Literal["auto", "native", "torch"] = "auto"
    """What computes updates: "native", the compiled kernel, for plain MLPs on a CPU; "torch", for everything; or
    "auto", the kernel if it covers the game. Their rounding differs; `info` and a benchmark's rows name the engine."""
    num_threads: int = 1
    """Threads among which the kernel divides rows; changes speed only. torch has torch.set_num_threads."""

    def __post_init__(self) -> None:
        if not isinstance(self.task, Task):
            parse_task(self.task)
        if self.loss is not None:
            get_loss(self.loss)
        if self.optimizer is not None:
            OptimizerSpec.of(self.optimizer)
        if self.annealing is not None:
            annealing = Annealing.of(self.annealing)
            object.__setattr__(self, "annealing", annealing)
            if self.loss is not None:
                annealing.coefficients(get_loss(self.loss))
            if self.optimizer is not None:
                annealing.beta2s(OptimizerSpec.of(self.optimizer))
        for field in ("d_lr", "g_lr"):
            rate = getattr(self, field)
            if rate is not None and not is_positive(rate):
                raise ValueError(
                    f"{field}={rate!r} must be a finite learning rate > 0; leave it out for the task's own"
                )
        if self.g_ema is not None and not is_positive(self.g_ema):
            raise ValueError(f"g_ema={self.g_ema!r} must be a half-life > 0 in updates, e.g. 500.0; or leave it out")
        one_of("order", self.order, ("simultaneous", "alternating"))
        one_of("d_loss_scale", self.d_loss_scale, ("mean", "sum"))
        one_of("dtype", self.dtype, (None, "float32", "float64"))
        one_of("engine", self.engine, ENGINES)
        at_least("num_threads", self.num_threads, 1)
        at_least("updates_per_step", self.updates_per_step, 1)
        at_least("quality_every", self.quality_every, 1)
        at_least("dead_updates", self.dead_updates, 0)
        if self.cuda_graphs and self.engine == "native":
            raise ValueError("cuda_graphs=True records torch's updates, got engine='native'; leave one of them out")
        for field in ("batch_size", "episode_updates"):
            if getattr(self, field) is not None:
                at_least(field, getattr(self, field), 1)
        if self.episode_updates is not None and self.episode_updates % self.updates_per_step:
            raise ValueError(
                f"episode_updates={self.episode_updates} is not a multiple of "
                f"updates_per_step={self.updates_per_step}; change one of them"
            )
        if not isinstance(self.features, (str, tuple, list)):
            raise ValueError(f"features={self.features!r} must be a sequence of names, or the name of a set")
        object.__setattr__(self, "features", named_features(self.features))
        for field in ("loss_bound", "weight_bound"):
            if not is_positive(getattr(self, field)):
                raise ValueError(f"{field}={getattr(self, field)!r} must be a finite number > 0")
        for field in ("d_lr_range", "g_lr_range"):
            if getattr(self, field) is not None:
                _range(field, getattr(self, field))
        for field in ("normalise", "score", "track_quality", "cuda_graphs"):
            if not isinstance(getattr(self, field), bool):
                raise ValueError(f"{field}={getattr(self, field)!r} must be True or False")

    @classmethod
    def of(cls, config: EnvConfig | None = None, **changes: Any) -> EnvConfig:
        """Returns `config` (or the defaults) with `changes`; raises TypeError, as Python does, for an unknown field."""
        if config is not None and not isinstance(config, cls):
            raise ValueError(f"config={config!r} must be an EnvConfig; give single settings by keyword")
        known = [f.name for f in fields(cls)]
        for name in changes:
            if name not in known:
                # RL libraries try keywords out and look for Python's words.
                raise TypeError(f"got an unexpected keyword argument {name!r}: {unknown('setting', name, known)}")
        held = {} if config is None else {name: getattr(config, name) for name in known}
        merged = {**held, **changes}
        return cls(**merged)

    def changed(self) -> dict[str, Any]:
        """Returns the settings that are not the defaults."""
        held, usual = ({f.name: getattr(each, f.name) for f in fields(self)} for each in (self, type(self)()))
        return {name: value for name, value in held.items() if value != usual[name]}

    def build_task(self) -> Task:
        """Builds the task; reads its data."""
        return self.task if isinstance(self.task, Task) else make_task(self.task)

    @property
    def gan_loss(self) -> Loss:
        """The `Loss` object."""
        return get_loss(self.loss or self.build_task().loss)

    @property
    def action_ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Least and greatest multiplier of an action, of D's rate and of G's."""
        return self.d_lr_range or D_RANGE, self.g_lr_range or G_RANGE

    @property
    def optimizer_spec(self) -> OptimizerSpec:
        """Returns the optimiser's spec: the setting, or the task's, or the loss' own."""
        if self.optimizer is not None:
            return OptimizerSpec.of(self.optimizer)
        return self.build_task().optimizer or self.gan_loss.optimizer

    @property
    def torch_dtype(self) -> torch.dtype:
        """`dtype` as torch's."""
        return {"float32": torch.float32, "float64": torch.float64}[self.dtype or self.build_task().dtype]

    @property
    def torch_device(self) -> torch.device:
        """The device; raises ValueError if it is not available."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise ValueError(f"device={self.device!r} is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:N'") from error
        if device.type not in ("cpu", "cuda"):
            raise ValueError(f"device={self.device!r} is not supported; use 'auto', 'cpu', 'cuda' or 'cuda:N'")
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(
                f"device={self.device!r} was asked for, but torch {torch.__version__} sees "
                f"{torch.cuda.device_count()} CUDA device(s); use device='cpu' or 'auto'"
            )
        return device


def make_trainer(config: EnvConfig, rows: int, tasks: Sequence[Task] = ()) -> Trainer:
    """Makes the trainer of N rows that a configuration describes; None means the task's own value.

    `tasks` are the tasks of the rows, unless all rows have the configuration's task.

    Raises ValueError if the rows do not fit into memory; the message names a number that does.
    """
    task = config.build_task()
    optimizer = config.optimizer_spec
    episode = config.episode_updates or task.episode_updates
    if episode % config.updates_per_step:
        raise ValueError(
            f"episode_updates={episode}, the task's own, is not a multiple of "
            f"updates_per_step={config.updates_per_step}; set episode_updates, too"
        )

    if config.cuda_graphs and config.torch_device.type != "cuda":
        raise ValueError(f"cuda_graphs=True needs a CUDA device, got {config.torch_device}; leave it out")

    def build(count: int) -> Trainer:
        return Trainer(
            tasks[:count] or task,
            config.gan_loss,
            count,
            d_lr=config.d_lr or task.d_lr,
            g_lr=config.g_lr or task.g_lr,
            d_optimizer=optimizer,
            g_optimizer=optimizer,
            batch_size=config.batch_size or task.batch_size,
            order=config.order,
            episode_updates=episode,
            dtype=config.torch_dtype,
            device=config.torch_device,
            engine=config.engine,
            num_threads=config.num_threads,
            g_ema=config.g_ema,
            annealing=None if config.annealing is None else Annealing.of(config.annealing),
            record=cuda_graphs(config.torch_device) if config.cuda_graphs else None,
        )

    try:
        return build(rows)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        problem = error
    # Outside the handler, for the failed trainer's tensors live as long as the exception's frames.
    problem.__traceback__ = None
    raise ValueError(what_fits(build(1), rows, problem))
