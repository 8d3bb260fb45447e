"""Records passed between the layers: a controller reads a Measurement, returns a Control, learns from a Transition.

The first axis of every tensor is N rows; a row is one GAN in training. A controller needs torch, not Gymnasium.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def _rows(count: int) -> str:
    return f"{count} row" + "s" * (count != 1)


def _span(values: Tensor | np.ndarray) -> str:
    """Shows one number, or the least and the greatest."""
    if not len(values):
        return "none"
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"


@dataclass(frozen=True, kw_only=True, repr=False)
class Control:
    """Who moves, and at which learning rates, in the next update of N GANs. One *update* applies V1, V2 or V3.

    The learning rate used is base × multiplier, so multipliers never compound.

    Examples:
        >>> from gan_env import Control
        >>> Control.of(3, update_g=False, d_multiplier=0.5)
        Control(3 rows: V2 3; D × 0.5, G × 1)
    """

    update_g: Bool[Tensor, " N"]
    """Whether the generator moves."""
    update_d: Bool[Tensor, " N"]
    """Whether the discriminator moves. With `update_g`: V1 = (1, 0), V2 = (0, 1), V3 = (1, 1)."""
    d_multiplier: Float[Tensor, " N"]
    """Multiplier on the discriminator's base learning rate; float64, > 0."""
    g_multiplier: Float[Tensor, " N"]
    """Multiplier on the generator's base learning rate; float64, > 0."""
    reuse_real: Bool[Tensor, " N"]
    """Whether the next decision reuses this real batch (Dynamic-GDA after a generator update)."""

    @classmethod
    def of(
        cls,
        n: int,
        *,
        update_g: Tensor | bool = True,
        update_d: Tensor | bool = True,
        d_multiplier: Tensor | float = 1.0,
        g_multiplier: Tensor | float = 1.0,
        reuse_real: Tensor | bool = False,
        device: torch.device | str | None = None,
    ) -> Control:
        """Makes a control for n rows; plain values are broadcast over the rows. Default: V3, both rates unchanged."""

        def spread(value: Tensor | float | bool, dtype: torch.dtype) -> Tensor:
            if not isinstance(value, Tensor):
                return torch.full((n,), value, dtype=dtype, device=device)
            return value.to(device=device, dtype=dtype).expand(n)

        return cls(
            update_g=spread(update_g, torch.bool),
            update_d=spread(update_d, torch.bool),
            d_multiplier=spread(d_multiplier, torch.float64),
            g_multiplier=spread(g_multiplier, torch.float64),
            reuse_real=spread(reuse_real, torch.bool),
        )

    def __len__(self) -> int:
        return self.update_g.shape[0]

    def __repr__(self) -> str:
        choices = {"V1": ~self.update_d, "V2": ~self.update_g, "V3": self.update_g & self.update_d}
        moves = [f"{name} {int(rows.sum())}" for name, rows in choices.items() if bool(rows.any())]
        rates = f"D × {_span(self.d_multiplier)}, G × {_span(self.g_multiplier)}"
        reused = f", real batch kept in {int(self.reuse_real.sum())}" if bool(self.reuse_real.any()) else ""
        return f"Control({_rows(len(self))}: {', '.join(moves)}; {rates}{reused})"

    def rows(self, index: Tensor | slice) -> Control:
        """Returns the control of the rows that `index` selects."""
        return Control(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def state(self) -> dict[str, Tensor]:
        """Returns the fields, copied: `Control(**control.state())` is the same control."""
        return {f.name: getattr(self, f.name).clone() for f in fields(self)}

    @staticmethod
    def join(parts: list[Control]) -> Control:
        """Concatenates the controls of consecutive groups of rows."""
        if len(parts) == 1:
            return parts[0]
        return Control(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Control)})

    def check(self, n: int) -> None:
        """Raises ValueError for an invalid control: wrong number of rows, no player updates, a multiplier not > 0."""
        for f in fields(self):
            value = getattr(self, f.name)
            if tuple(value.shape) != (n,):
                raise ValueError(f"control.{f.name} has shape {tuple(value.shape)}; {n} rows need ({n},)")
        somebody, rates = self.update_g | self.update_d, (self.d_multiplier, self.g_multiplier)
        # One look at all, for this is asked at every update; NaN is neither above 0 nor below infinity.
        if (somebody & (torch.minimum(*rates) > 0) & (torch.maximum(*rates) < float("inf"))).all():
            return
        if not somebody.all():
            raise ValueError(
                f"control: row {int((~somebody).nonzero()[0])} updates neither player; choose V1, V2 or V3"
            )
        for name in ("d_multiplier", "g_multiplier"):
            value = getattr(self, name)
            bad = ~((value > 0) & (value < float("inf")))
            if bad.any():
                row = int(bad.nonzero()[0])
                raise ValueError(f"control.{name}[{row}] is {float(value[row])}; it must be finite and > 0")


class PlayersSeen(NamedTuple):
    """What a measurement tells of the players themselves; D first, G second."""

    weights: np.ndarray
    """(N, 2, SAMPLE) float64: a fixed sample of each player's weights, see `weight_sample`."""
    base_rates: np.ndarray
    """(N, 2) float64: the learning rates that multipliers multiply."""


class Summary(NamedTuple):
    """A measurement reduced to one number per row and field, (N,) float64 each."""

    g_loss: np.ndarray
    d_loss_real: np.ndarray
    d_loss_fake: np.ndarray
    real_logit: np.ndarray
    """Mean over the batch; non-finite if a logit is."""
    fake_logit: np.ndarray
    real_accuracy: np.ndarray
    """Share of real samples with logit > 0."""
    fake_accuracy: np.ndarray
    """Share of generated samples with logit < 0."""


def host(value: Tensor) -> np.ndarray:
    """Converts a tensor without gradient to an array of its own type, which shares the memory of a tensor on a CPU."""
    return value.numpy() if value.is_cpu else value.cpu().numpy()


def on_host(value: Tensor) -> np.ndarray:
    """Converts the numbers to float64 NumPy arrays; shares memory if they are that already."""
    return np.asarray(value.detach().cpu().numpy(), np.float64)  # a third of the time of torch's `double`


Losses = TypeVar("Losses", Tensor, np.ndarray)


def d_loss(real: Losses, fake: Losses, scale: str) -> Losses:
    """Computes D's loss from its two sides: their "mean" or their "sum"; raises ValueError for another scale."""
    if scale not in ("mean", "sum"):
        raise ValueError(f"d_loss_scale={scale!r} is unknown; use 'mean' or 'sum'")
    return (real + fake) / 2 if scale == "mean" else real + fake


def _share(mask: Tensor, like: Tensor) -> Tensor:
    dtype = torch.promote_types(like.dtype, torch.float32)  # exact for a count of a batch, as half would not be
    return mask.sum(-1, dtype=dtype) / mask.shape[-1]


@dataclass(frozen=True, kw_only=True, repr=False)
class Measurement:
    """Logits and losses of N GANs on the coming batch, the one that the next update will use.

    Losses are the adversarial part only (no penalty), one number per row, averaged over the batch of size B.

    Examples:
        >>> from gan_env import GANVectorEnv
        >>> envs = GANVectorEnv(3, task="ring", batch_size=64)
        >>> _ = envs.reset(seed=0)
        >>> envs.measurement.real_logits.shape, envs.measurement.g_loss.shape
        (torch.Size([3, 64]), torch.Size([3]))
    """

    real_logits: Float[Tensor, "N B"]
    """Discriminator outputs before any sigmoid on the real batch, without regularisers of the discriminator."""
    fake_logits: Float[Tensor, "N F"]
    """The same on the generated batch, which in a user's own loop may differ in size."""
    g_loss: Float[Tensor, " N"]
    """The generator's loss."""
    d_loss_real: Float[Tensor, " N"]
    """The part of the discriminator's loss that comes from the real batch."""
    d_loss_fake: Float[Tensor, " N"]
    """The part of the discriminator's loss that comes from the generated batch."""
    update: Int64[Tensor, " N"]
    """Updates that the row has had so far, 0 at the start of an episode."""
    progress: Float[Tensor, " N"]
    """Share of the episode that is done, 0 to 1; 0 if its length is unknown (a user's own loop). float64."""

    @property
    def d_sum(self) -> Float[Tensor, " N"]:
        """E ℓ(real) + E ℓ(fake); log 4 at the equilibrium of bce."""
        return self.d_loss_real + self.d_loss_fake

    @property
    def d_mean(self) -> Float[Tensor, " N"]:
        """Half of `d_sum`; log 2 at the equilibrium of bce."""
        return self.d_sum / 2

    def d_loss(self, scale: str) -> Float[Tensor, " N"]:
        """Returns `d_mean` or `d_sum`, by the name "mean" or "sum"."""
        return d_loss(self.d_loss_real, self.d_loss_fake, scale)

    @property
    def summary(self) -> Summary:
        """Returns losses, mean logits and accuracies, copied to the host in one transfer."""
        return Summary(*self.numbers_on_host)

    @cached_property
    def numbers_on_host(self) -> Float[np.ndarray, "7 N"]:
        """Returns the numbers of `summary` in one array, float64."""
        return on_host(self._numbers)

    @cached_property
    def _numbers(self) -> Float[Tensor, "7 N"]:
        real, fake = self.real_logits, self.fake_logits
        losses = [self.g_loss, self.d_loss_real, self.d_loss_fake]
        return torch.stack([*losses, real.mean(-1), fake.mean(-1), _share(real > 0, real), _share(fake < 0, fake)])

    @cached_property
    def progress_on_host(self) -> np.ndarray:
        """Returns `progress` as a NumPy array, (N,) float64."""
        return on_host(self.progress)

    @cached_property
    def logits_on_host(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns `real_logits` and `fake_logits` as NumPy arrays in their own precision."""
        return self.real_logits.detach().cpu().numpy(), self.fake_logits.detach().cpu().numpy()

    @cached_property
    def players(self) -> PlayersSeen | None:
        """What is known of the players, read on first access; None where nobody tells."""
        read = vars(self).get("_players")
        return None if read is None else read()

    @property
    def tells_players(self) -> bool:
        """Whether `players` can be read."""
        return vars(self).get("_players") is not None

    def telling(self, players: Callable[[], PlayersSeen] | None) -> Measurement:
        """Has `players` read by this function, while the measurement is that of the coming batch; returns itself."""
        vars(self)["_players"] = players
        return self

    def knowing(self, numbers: Float[Tensor, "7 N"]) -> Measurement:
        """Caches the numbers of `summary`, already computed from these logits and losses; returns itself."""
        vars(self)["_numbers"] = numbers
        return self

    def __len__(self) -> int:
        return self.g_loss.shape[0]

    def __repr__(self) -> str:
        seen = self.summary
        numbers = {"L_G": seen.g_loss, "L_D real": seen.d_loss_real, "L_D fake": seen.d_loss_fake,
                   "accuracy real": seen.real_accuracy, "fake": seen.fake_accuracy}  # fmt: skip
        shown = ", ".join(f"{name} {_span(value)}" for name, value in numbers.items())
        batch = self.real_logits.shape[1]
        return f"Measurement({_rows(len(self))}, batch of {batch}, update {_span(self.update)}: {shown})"

    def rows(self, index: Tensor | slice) -> Measurement:
        """Returns the measurement of the rows that `index` selects; itself for a slice of them all."""
        if isinstance(index, slice) and index.indices(len(self)) == (0, len(self), 1):
            return self
        part = Measurement(**{f.name: getattr(self, f.name)[index] for f in fields(self)})
        if (numbers := vars(self).get("_numbers")) is not None:
            part.knowing(numbers[:, index])
        return part if vars(self).get("_players") is None else part.telling(lambda: self._players_of(index))

    def _players_of(self, index: Tensor | slice) -> PlayersSeen:
        assert self.players is not None
        chosen = index if isinstance(index, slice) else index.cpu().numpy()
        return PlayersSeen(*(each[chosen] for each in self.players))

    def state(self) -> dict[str, Tensor]:
        """Returns the fields, copied: `Measurement(**measurement.state())` is the same measurement."""
        return {f.name: getattr(self, f.name).clone() for f in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One decision and its result, for controllers that learn.

    Examples:
        >>> import torch
        >>> from gan_env import Control, GANVectorEnv, Transition
        >>> envs = GANVectorEnv(2, task="ring", reward="quality")
        >>> _ = envs.reset(seed=0)
        >>> before, control = envs.measurement, Control.of(2)
        >>> _, reward, terminated, truncated, _ = envs.step_control(control)
        >>> transition = Transition(
        ...     before=before,
        ...     control=control,
        ...     after=envs.measurement,
        ...     reward=torch.from_numpy(reward),
        ...     terminated=torch.from_numpy(terminated),
        ...     truncated=torch.from_numpy(truncated),
        ... )
        >>> transition.after.update - transition.before.update
        tensor([1, 1])
    """

    before: Measurement
    control: Control
    after: Measurement
    reward: Float[Tensor, " N"]
    """The reward of the decision; NaN-free. Controllers that define their own reward may ignore it."""
    terminated: Bool[Tensor, " N"]
    """Training has failed: do not bootstrap."""
    truncated: Bool[Tensor, " N"]
    """The episode reached its time limit: bootstrap."""


KINDS = ("plane", "image", "voxels", "domains", "dirac", "custom")
"""Kinds of data, which decide how samples are drawn and the defaults of some controllers."""


@dataclass(frozen=True, kw_only=True)
class GameFacts:
    """Facts about the game that a controller is given at its start; the defaults are a GAN with the bce loss.

    Examples:
        >>> from gan_env import GANEnv
        >>> facts = GANEnv(task="ring", loss="wgan-gp", episode_updates=1_000).facts
        >>> facts.loss, facts.signed, facts.episode_updates, facts.d_optimizer
        ('wgan-gp', True, 1000, 'rmsprop')
    """

    loss: str = "bce"
    """Name of the GAN loss."""
    ideal_d_loss: float = 1.3862943611198906
    """V*: `d_sum` of the best discriminator if real and fake have the same distribution."""
    signed: bool = False
    """Whether losses may be negative (wgan); rules that compare or divide losses refuse such games."""
    probability: bool = True
    """Whether sigmoid(logit) is the probability that the sample is real; otherwise logits are raw critic values."""
    kind: str = "plane"
    """One of `KINDS`, e.g. "plane" (2-D points): some rules have defaults by kind."""
    episode_updates: int = 0
    """Updates in the whole run, 0 if unknown."""
    updates_per_epoch: int = 0
    """Updates per pass over the training data, 0 for endless data."""
    d_lr: float = 0.0
    """Base learning rate of the discriminator, which controls multiply; 0 if unknown, or not the same for all rows."""
    g_lr: float = 0.0
    """Base learning rate of the generator, likewise."""
    d_optimizer: str = ""
    """Name of the discriminator's optimiser in lower case, e.g. "adam"; of several kinds "adam+sgd"; "" if unknown."""
    g_optimizer: str = ""
    """Name of the generator's optimiser, likewise."""

    def decisions(self, updates_per_step: int) -> int:
        """Returns the decisions of the whole run, each of so many updates; 0 if its length is unknown."""
        return -(-self.episode_updates // updates_per_step)
