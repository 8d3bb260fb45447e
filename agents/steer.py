"""A controller in your own PyTorch training loop: `Steer` needs torch, numpy, safetensors and jaxtyping, nothing else.

Before the loop `steer = Steer("gap-aware", opt_g, opt_d, loss="bce")`; in each iteration, once the scores are there,
`d = steer(real_logits, fake_logits)`, then a D step if `d.update_d`, a G step if `d.update_g`, and `steer.done()`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from gan_env.losses.losses import Loss, get_loss
from gan_env.registry import unknown
from gan_env.types import Control, GameFacts, Measurement, Transition

from .base import Controller, NeedsTrainer
from .input_checks import Doubts
from .policies.policy_files import load_controller
from .registry import CONTROLLERS, make_controller

FORMAT = "gan-env steer 1"
_KINDS = ("plane", "image", "voxels", "domains", "dirac")


class HasGroups(Protocol):
    """What is needed of an optimiser: torch's own, Lightning's and Accelerate's wrappers of them all have it."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters, each with its "lr"."""
        ...


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What this iteration does. The optimisers already hold the learning rates."""

    update_g: bool
    """Whether to step the generator."""
    update_d: bool
    """Whether to step the discriminator."""
    reuse_real: bool
    """Whether to use this real batch again in the next iteration, instead of a new one."""
    g_multiplier: float
    """The generator's learning rate is its base times this."""
    d_multiplier: float
    """The discriminator's learning rate is its base times this."""


@dataclass(frozen=True)
class _Rate:
    """A learning rate that was set for one iteration."""

    optimizer: HasGroups
    group: dict[str, Any]
    base: Any
    set_to: float


class Steer:
    """Lets a controller steer the two optimisers of a training loop, one decision an iteration.

    Calling it, once an iteration and before either optimiser steps, sets the learning rate of every parameter group to
    base × multiplier; `done()`, at the end of the iteration, puts the base back. So multipliers never compound, a
    scheduler steps after `done()` as in any loop and sees base rates, and a checkpoint of an optimiser holds them.

    Everything else stays yours. Within an iteration a player may step several times (all at the decided rate), by a
    closure, or not at all (a step that an AMP scaler skips). With gradient accumulation, an iteration is one optimiser
    step: give the scores of its micro-batches joined by `torch.cat`. With several processes, gather the scores first,
    so that all decide alike. Scores and losses that are not finite are passed on; every controller bears them.

    Args:
        controller: A controller's name, a controller file (a `Path`, or a string that ends in ".safetensors"), or a
            controller.
        opt_g, opt_d: The optimisers of generator and discriminator, or a sequence of them for a player.
        loss: The GAN loss that is trained, by name or as a `Loss`. From it and the scores come the losses that the
            controller reads: the adversarial part alone, without penalties; D's is E ℓ(real) + E ℓ(fake).
        seed: For controllers that draw at random, and for the agent of `fsco`.
        kind: Kind of data: "image", "plane", "voxels", "domains" or "dirac"; some rules have thresholds by kind.
        episode_updates: Iterations of the whole run; needed by controllers that follow a schedule. 0: unknown.
        updates_per_epoch: Iterations of one epoch (`gcann` waits for an epoch). 0: unknown.
        losses: "scores": the controller reads the losses that follow from the scores; those given to a call are
            compared with them, with one warning where they differ. "given": it reads yours, for a loss of your own.

    Raises:
        ValueError: If the controller is unknown, cannot be used here or does not suit the loss, or an option is unfit.
        ControllerFileError: If the controller file cannot be used.
    """

    def __init__(
        self,
        controller: str | Path | Controller,
        opt_g: HasGroups | Sequence[HasGroups],
        opt_d: HasGroups | Sequence[HasGroups],
        loss: str | Loss = "bce",
        seed: int = 0,
        *,
        kind: str = "image",
        episode_updates: int = 0,
        updates_per_epoch: int = 0,
        losses: str = "scores",
    ):
        if kind not in _KINDS:
            raise unknown("kind", kind, list(_KINDS))
        if losses not in ("scores", "given"):
            raise unknown("losses", losses, ["scores", "given"])
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise ValueError(f"seed={seed!r} must be a whole number from 0 to 2**63 - 1")
        for name, value in (("episode_updates", episode_updates), ("updates_per_epoch", updates_per_epoch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}={value!r} must be a whole number >= 0; 0 where it is unknown")
        self._optimizers = {"opt_g": _optimizers("opt_g", opt_g), "opt_d": _optimizers("opt_d", opt_d)}
        every = [id(optimizer) for given in self._optimizers.values() for optimizer in given]
        if len(set(every)) < len(every):
            raise ValueError("opt_g and opt_d name an optimiser twice; each player needs its own, each of them once")
        self.loss = get_loss(loss) if isinstance(loss, str) else loss
        self.controller, self.name = _controller(controller)
        if isinstance(self.controller, NeedsTrainer):
            raise ValueError(
                f"{self.name} forks the GAN or measures its quality, for which it needs the trainer of the environment "
                "or of the benchmark; choose another controller for your own loop"
            )
        self._given, self._episode_updates = losses == "given", episode_updates
        self._doubts = Doubts(self.loss)
        self._update = 0
        self._held: list[_Rate] | None = None
        self._last: tuple[Measurement, Control] | None = None
        facts = GameFacts(
            loss=self.loss.name,
            ideal_d_loss=self.loss.ideal_d_loss,
            signed=self.loss.signed,
            probability=self.loss.probability,
            kind=kind,
            episode_updates=episode_updates,
            updates_per_epoch=updates_per_epoch,
        )
        self.controller.reset([seed], facts)

    @property
    def update(self) -> int:
        """Iterations that are done."""
        return self._update

    def __call__(
        self,
        real_logits: Tensor,
        fake_logits: Tensor,
        *,
        g_loss: Tensor | float | None = None,
        d_loss: Tensor | float | None = None,
    ) -> Decision:
        """Decides on this iteration and sets the learning rates.

        Args:
            real_logits: D's scores of the real batch before any sigmoid, one a sample: (B,), (B, 1) or (B, 1, 1, 1).
            fake_logits: The same of the generated batch.
            g_loss: The generator's loss as you minimise it; may be left out unless `losses="given"`.
            d_loss: The discriminator's, as the sum over real and fake; may be left out likewise.

        Raises:
            ValueError: If the iteration before is not `done()`, a shape or a type is wrong, or a loss is missing.
        """
        if self._held is not None:
            raise ValueError(
                "steer was called again before steer.done(); call it once an iteration, and done() at the end of "
                "every iteration, also of one that is cut short"
            )
        measurement = self._measure(_scores("real_logits", real_logits), _scores("fake_logits", fake_logits))
        own = {"g_loss": _number("g_loss", g_loss), "d_loss": _number("d_loss", d_loss)}
        if doubt := self._doubts.new(measurement, **({} if self._given else own)):
            warnings.warn(doubt, UserWarning, stacklevel=2)
        measurement = self._with_given(measurement, **own)
        if self._last is not None:
            before, control = self._last
            self.controller.learn(_transition(before, control, measurement))
        control = self.controller.act(measurement)
        control.check(1)
        self._last = measurement, control
        decision = Decision(
            update_g=bool(control.update_g[0]),
            update_d=bool(control.update_d[0]),
            reuse_real=bool(control.reuse_real[0]),
            g_multiplier=float(control.g_multiplier[0]),
            d_multiplier=float(control.d_multiplier[0]),
        )
        self._held = self._rates(decision)
        return decision

    def _rates(self, decision: Decision) -> list[_Rate]:
        """Sets every group's rate, and a rate that groups share once; gives what `done` puts back."""
        multipliers = {"opt_g": decision.g_multiplier, "opt_d": decision.d_multiplier}
        groups = [(name, o, group) for name in multipliers for o in self._optimizers[name] for group in o.param_groups]
        owner: dict[int, str] = {}  # of rates that are tensors: groups may share one, players may not
        for name, _, group in groups:
            if isinstance(group["lr"], Tensor) and owner.setdefault(id(group["lr"]), name) != name:
                raise ValueError("opt_g and opt_d share one learning-rate tensor; give each one of its own")
        held: list[_Rate] = []
        for name, optimizer, group in groups:
            lr = group["lr"]
            if isinstance(lr, Tensor) and owner.pop(id(lr), None) is None:
                continue  # it was set with another group
            base = lr.clone() if isinstance(lr, Tensor) else lr
            _set_rate(group, base * multipliers[name])
            held.append(_Rate(optimizer, group, base, float(group["lr"])))
        return held

    def done(self) -> None:
        """Ends the iteration: puts the base learning rates back. Step schedulers after it.

        Raises:
            ValueError: If no iteration has begun; or if somebody else changed a learning rate within it or replaced a
                group, and then the iteration is ended, and every rate that was found is back at its base.
        """
        if self._held is None:
            raise ValueError("steer.done() without a decision before it; call steer(real_logits, fake_logits) first")
        held, self._held = self._held, None
        self._update += 1
        found = [(rate, float(rate.group["lr"])) for rate in held]
        for rate in held:
            _set_rate(rate.group, rate.base)
        for rate, now in found:
            if not any(rate.group is group for group in rate.optimizer.param_groups):
                raise ValueError(
                    "an optimiser's groups were replaced between steer(...) and steer.done(); load its state after "
                    "done(), for what was loaded now would pass for base rates"
                )
            if now != rate.set_to:
                raise ValueError(
                    f"a learning rate was changed from {rate.set_to:g} to {now:g} between steer(...) and steer.done(), "
                    "and is back at its base; step schedulers after done()"
                )

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dicts for your checkpoint; `torch.load` reads it with weights_only.

        Raises ValueError within an iteration, when the optimisers do not hold their base rates either.
        """
        self._between("state_dict")
        last = None
        if self._last is not None:
            before, control = self._last
            last = {"measurement": before.state(), "control": control.state()}
        return {
            "format": FORMAT,
            "controller": self.name,
            "loss": self.loss.name,
            "update": self._update,
            "memory": self.controller.state_dict(),
            "last": last,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken; load the optimisers' own states beside it.

        Raises ValueError within an iteration, or for a state of another controller, loss or version.
        """
        self._between("load_state_dict")
        mine = {"format": FORMAT, "controller": self.name, "loss": self.loss.name}
        for field, value in mine.items():
            if not isinstance(state, dict) or state.get(field) != value:
                got = state.get(field) if isinstance(state, dict) else type(state).__name__
                raise ValueError(
                    f"the state's {field} is {got!r}, this Steer's is {value!r}; build Steer as it was when saved"
                )
        self.controller.load_state_dict(state["memory"])
        last = state["last"]
        self._last = None if last is None else (Measurement(**last["measurement"]), Control(**last["control"]))
        self._update = int(state["update"])

    def _between(self, method: str) -> None:
        if self._held is not None:
            raise ValueError(f"steer.{method}() within an iteration; call steer.done() first")

    @torch.no_grad()
    def _measure(self, real: Tensor, fake: Tensor) -> Measurement:
        update = torch.tensor([self._update])
        progress = update.double() / self._episode_updates if self._episode_updates else update * 0.0
        return Measurement(
            real_logits=real,
            fake_logits=fake,
            g_loss=self.loss.generator(fake).mean(-1),
            d_loss_real=self.loss.real(real).mean(-1),
            d_loss_fake=self.loss.fake(fake).mean(-1),
            update=update,
            progress=progress.double(),
        )

    def _with_given(self, seen: Measurement, g_loss: float | None, d_loss: float | None) -> Measurement:
        """The measurement as the controller reads it."""
        if not self._given:
            return seen
        if g_loss is None or d_loss is None:
            raise ValueError("losses='given' needs both g_loss and d_loss in every call")
        more = (d_loss - seen.d_sum) / 2  # what the scores do not explain falls on both sides alike
        half = torch.full_like(seen.d_loss_real, d_loss / 2)
        columns = seen.state() | {
            "g_loss": torch.full_like(seen.g_loss, g_loss),
            "d_loss_real": torch.where(torch.isfinite(more), seen.d_loss_real + more, half),
            "d_loss_fake": torch.where(torch.isfinite(more), seen.d_loss_fake + more, half),
        }
        return Measurement(**columns)


def _optimizers(name: str, given: Any) -> list[HasGroups]:
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    if not found or not all(hasattr(optimizer, "param_groups") for optimizer in found):
        raise ValueError(
            f"{name}={type(given).__name__} is no optimiser; give a torch.optim.Optimizer or a list of them"
        )
    return found


def _controller(given: str | Path | Controller) -> tuple[Controller, str]:
    named = isinstance(given, str) and given.partition(":")[0] in CONTROLLERS  # e.g. replay:FILE.safetensors
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith(".safetensors") and not named):
        found = load_controller(given)
        return found, found.name
    if isinstance(given, str):
        return make_controller(given), given
    if isinstance(given, Controller):
        return given, str(getattr(given, "name", type(given).__name__))
    raise ValueError(f"controller={given!r} is neither a name, nor a file, nor a controller")


def _scores(name: str, logits: Any) -> Tensor:
    """Scores as (1, B) on the CPU, in single or double precision."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = f"a tensor of {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"{name} is {got}; give D's scores before any sigmoid, as a tensor of floating-point numbers")
    if logits.ndim == 0 or not logits.numel() or logits.numel() != logits.shape[0]:
        raise ValueError(
            f"{name} has shape {tuple(logits.shape)}; give one score a sample, (B,) or (B, 1). Scores of patches: "
            "average them for each sample, e.g. logits.flatten(1).mean(1)"
        )
    flat = logits.detach().reshape(1, -1).cpu()  # one transfer; controllers are cheap
    return flat if flat.dtype in (torch.float32, torch.float64) else flat.float()


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; give one number, the mean over the batch")
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}={value!r} must be a number or a tensor with one number")
    return float(value)


def _set_rate(group: dict[str, Any], rate: Any) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(rate))  # in place: a compiled step or a CUDA graph holds this tensor
    else:
        group["lr"] = float(rate)


def _transition(before: Measurement, control: Control, after: Measurement) -> Transition:
    """With FSCO's reward, −|L_G − L_D|, which needs nothing that a loop does not have."""
    gap = (after.g_loss - after.d_mean).abs().double()
    never = torch.zeros(1, dtype=torch.bool)
    return Transition(
        before=before,
        control=control,
        after=after,
        reward=-torch.nan_to_num(gap, nan=10.0, posinf=10.0).clamp(max=10.0),
        terminated=never,
        truncated=never,
    )
