"""A controller in your own PyTorch training loop: `Steer` needs torch, numpy, safetensors and jaxtyping."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_env.envs.rewards import fsco_reward, losses_apart
from gan_env.losses.losses import Loss
from gan_env.registry import unknown
from gan_env.types import KINDS, Control, Measurement, Transition

from .base import Controller, NeedsTrainer
from .policies.policy_files import load_controller
from .registry import CONTROLLERS, make_controller
from .steering.input_checks import InputChecks, read_loss, reflection
from .steering.rates import HasGroups, Rates
from .steering.scores import Scores, mean_terms, read_number, read_scores
from .steering.slopes import Slopes
from .steering.steps import StepWatch
from .steering.weights import WeightSample

FORMAT = "gan-env steer 1"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Who steps in one iteration. The optimisers already have the learning rates.

    Examples:
        >>> import torch
        >>> from agents import Steer
        >>> net_g, net_d = torch.nn.Linear(4, 2), torch.nn.Linear(2, 1)
        >>> opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-3) for net in (net_g, net_d))
        >>> steer = Steer("alt-gda-5", opt_g, opt_d)
        >>> decision = steer(net_d(torch.randn(8, 2)), net_d(net_g(torch.randn(8, 4)).detach()))
        >>> decision.update_d, decision.update_g, decision.d_multiplier
        (True, False, 1.0)
    """

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


class Steer:
    """Lets a controller steer the optimisers of a training loop, one decision an iteration.

    A call, once an iteration and before either optimiser steps, sets the learning rate of every parameter group to
    base × multiplier and returns who steps; `done()` at the end of the iteration restores the base rates. Multipliers
    never compound. A scheduler steps after `done()`, where it finds base rates, as does a checkpoint of an optimiser.

    **Sign of the scores.** Controllers read a high score as "real": D minimises ℓ(real) with label 1 and ℓ(fake) with
    label 0; a Wasserstein critic minimises E D(fake) − E D(real). If your D learns the opposite (real = 0, fake = 1),
    give `-scores` (`1 - scores` for least squares). `Steer` notices the mistake by `d_loss=`, or by the gradients that
    your `backward()` sends through the scores, and then reads them the other way round.

    Within an iteration a player may step several times (all at the decided rate), by a closure, or not at all (a step
    that a GradScaler skips). With gradient accumulation, an iteration is one optimiser step: give the scores of its
    micro-batches joined by `torch.cat`. With several processes, gather the scores first, so that all decide alike.
    Scores and losses that are not finite are passed on; every controller bears them.

    Examples:
        >>> import torch
        >>> net_g, net_d = torch.nn.Linear(4, 2), torch.nn.Linear(2, 1)
        >>> opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-3) for net in (net_g, net_d))
        >>> steer = Steer("ttur", opt_g, opt_d, loss="hinge")
        >>> decision = steer(net_d(torch.randn(8, 2)), net_d(net_g(torch.randn(8, 4)).detach()))
        >>> decision.update_d, decision.update_g, opt_d.param_groups[0]["lr"]  # now step D, then G
        (True, True, 0.004)
        >>> steer.done()

    Args:
        controller: A controller's name, a controller file (a `Path`, or a string that ends in ".safetensors"), or a
            controller.
        opt_g, opt_d: The optimisers of generator and discriminator, or a list of them for a player.
        loss: The GAN loss that is trained, by name or as a `Loss`; usual names of other repositories are understood
            (`vanilla` is `bce`). From it and the scores follow the losses that the controller reads: the adversarial
            part alone, without penalties; D's is E ℓ(real) + E ℓ(fake).
        seed: Seed of controllers that draw at random, and of the agent of `fsco`.
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
        if kind not in KINDS:
            raise unknown("kind", kind, list(KINDS))
        if losses not in ("scores", "given"):
            raise unknown("losses", losses, ["scores", "given"])
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise ValueError(f"seed={seed!r} must be a whole number from 0 to 2**63 - 1")
        for name, value in (("episode_updates", episode_updates), ("updates_per_epoch", updates_per_epoch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}={value!r} must be a whole number >= 0; 0 where it is unknown")
        self._rates = Rates(opt_g, opt_d)
        self.loss = read_loss(loss) if isinstance(loss, str) else loss
        self.controller, self.name = _controller(controller)
        if isinstance(self.controller, NeedsTrainer):
            raise ValueError(
                f"{self.name} forks the GAN or measures its quality, for which it needs the trainer of the environment "
                "or of the benchmark; choose another controller for your own loop"
            )
        self._given, self._episode_updates = losses == "given", episode_updates
        self._slopes = Slopes(self._rates.optimizers["opt_d"])
        self._checks = InputChecks(self.loss, self._given, self._slopes)
        self._steps = StepWatch(self._rates.optimizers)
        self._weights = WeightSample(self._rates.optimizers)
        self._update = 0
        self._last: tuple[Measurement, Control] | None = None
        facts = self.loss.game_facts(
            kind,
            episode_updates=episode_updates,
            updates_per_epoch=updates_per_epoch,
            d_lr=self._rates.common("opt_d"),
            g_lr=self._rates.common("opt_g"),
            d_optimizer=self._rates.kind("opt_d"),
            g_optimizer=self._rates.kind("opt_g"),
        )
        self.controller.reset([seed], facts)

    @property
    def update(self) -> int:
        """Iterations that are done."""
        return self._update

    def __call__(
        self,
        real_logits: Tensor | Sequence[Tensor],
        fake_logits: Tensor | Sequence[Tensor],
        *,
        g_loss: Tensor | float | None = None,
        d_loss: Tensor | float | None = None,
        can_step_g: bool = True,
        can_step_d: bool = True,
    ) -> Decision:
        """Decides on this iteration and sets the learning rates.

        Args:
            real_logits: D's scores of the real batch before any sigmoid: one a sample, (B,) or (B, 1), or of patches,
                (B, 1, H, W). A list holds those of several discriminators or scales. Losses are averaged over all
                scores of a discriminator, then over discriminators.
            fake_logits: The same of the generated batch.
            g_loss: The generator's loss as you minimise it; may be left out unless `losses="given"`.
            d_loss: The discriminator's, as the sum over real and fake; may be left out likewise.
            can_step_g: Whether the loop can step the generator in this iteration. Where it cannot (a loop that steps G
                every k-th time), D steps instead of G. The controller is not asked again.
            can_step_d: The same of the discriminator.

        Raises:
            ValueError: If the iteration before is not `done()`, a shape or a type is wrong, or a loss is missing.
        """
        if self._rates.held:
            raise ValueError(
                "steer was called again before steer.done(); call it once an iteration, and done() at the end of "
                "every iteration, also of one that is cut short"
            )
        if not (can_step_g or can_step_d):
            raise ValueError("can_step_g and can_step_d are both False; call steer in iterations that step somebody")
        real, fake = read_scores("real_logits", real_logits), read_scores("fake_logits", fake_logits)
        if len(real.outputs) != len(fake.outputs):
            raise ValueError(
                f"real_logits holds the scores of {len(real.outputs)} discriminators, fake_logits of "
                f"{len(fake.outputs)}; give the same discriminators' scores of both batches"
            )
        self._slopes.count()
        measurement = self._seen(real, fake, read_number("g_loss", g_loss), read_number("d_loss", d_loss))
        if self._last is not None:
            before, control = self._last
            self.controller.learn(_transition(before, control, measurement))
        control = self.controller.act(measurement)
        control.check(1)
        control = self._possible(control, can_step_g, can_step_d)
        self._last = measurement, control
        decision = Decision(
            update_g=bool(control.update_g[0]),
            update_d=bool(control.update_d[0]),
            reuse_real=bool(control.reuse_real[0]),
            g_multiplier=float(control.g_multiplier[0]),
            d_multiplier=float(control.d_multiplier[0]),
        )
        self._rates.set(decision.g_multiplier, decision.d_multiplier)
        self._slopes.watch(real_logits, fake_logits)
        if text := self._steps.begin(
            {"g": decision.update_g, "d": decision.update_d}, {"g": decision.g_multiplier, "d": decision.d_multiplier}
        ):
            warnings.warn(text, UserWarning, stacklevel=2)
        return decision

    def done(self) -> None:
        """Ends the iteration: restores the base learning rates. Step schedulers after it.

        Raises:
            ValueError: If no iteration has begun; or if somebody else changed a learning rate within it or replaced a
                group, and then the iteration is ended, and every rate that was found is back at its base.
        """
        if not self._rates.held or self._last is None:
            raise ValueError("steer.done() without a decision before it; call steer(real_logits, fake_logits) first")
        self._update += 1
        self._rates.restore()
        seen = self._last[0]
        if text := self._steps.end(finite=bool(torch.isfinite(seen.g_loss + seen.d_sum))):
            warnings.warn(text, UserWarning, stacklevel=2)

    def state_dict(self) -> dict[str, Any]:
        """Returns tensors and plain values for your checkpoint; `torch.load` reads it with weights_only.

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
            "exchanged": self._checks.exchanged,
            "memory": self.controller.state_dict(),
            "last": last,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a `state_dict`; load the optimisers' own states as well.

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
        self._checks.exchanged = bool(state.get("exchanged"))

    def _between(self, method: str) -> None:
        if self._rates.held:
            raise ValueError(f"steer.{method}() within an iteration; call steer.done() first")

    def _seen(self, real: Scores, fake: Scores, g_loss: float | None, d_loss: float | None) -> Measurement:
        """Builds the controller's measurement; warns of doubtful inputs."""
        checks = self._checks
        last = None if self._last is None else self._last[1]
        moved = {name for name in "gd" if last is not None and bool(getattr(last, f"update_{name}")[0])}
        exchanged = checks.exchanged
        seen = self._measure(real, fake)
        if text := checks.new(seen, len(real.outputs), moved, g_loss=g_loss, d_loss=d_loss):
            if checks.exchanged and reflection(self.loss) is None:
                raise ValueError(text)
            warnings.warn(text, UserWarning, stacklevel=3)
        if checks.exchanged and not exchanged:
            seen = self._measure(real, fake)
        return self._with_given(seen, g_loss, d_loss).telling(self._weights.read)

    @torch.no_grad()
    def _measure(self, real: Scores, fake: Scores) -> Measurement:
        total = reflection(self.loss) if self._checks.exchanged else None
        if total is not None:
            real, fake = real.reflected(total), fake.reflected(total)
        g_loss, d_loss_real, d_loss_fake = mean_terms(self.loss, real, fake)
        update = torch.tensor([self._update])
        progress = update.double() / self._episode_updates if self._episode_updates else update * 0.0
        return Measurement(
            real_logits=real.logits,
            fake_logits=fake.logits,
            g_loss=g_loss,
            d_loss_real=d_loss_real,
            d_loss_fake=d_loss_fake,
            update=update,
            progress=progress.double(),
        )

    def _possible(self, control: Control, can_step_g: bool, can_step_d: bool) -> Control:
        """Restricts the control to what this loop can do; at least one player steps in every iteration."""
        g, d = bool(control.update_g[0]), bool(control.update_d[0])
        alone = "" if g and d else "g" if g else "d"
        if can_step_g and can_step_d and alone not in self._steps.skips:
            return control
        if not can_step_g:
            moves = (False, True)
        elif not can_step_d:
            moves = (True, False)
        else:
            moves = (True, True)
        if moves == (g, d):
            return control
        update_g, update_d = (torch.full_like(control.update_g, move) for move in moves)
        reuse_real = control.reuse_real & (not moves[1])  # it is kept for G; a step of D takes a new one
        return replace(control, update_g=update_g, update_d=update_d, reuse_real=reuse_real)

    def _with_given(self, seen: Measurement, g_loss: float | None, d_loss: float | None) -> Measurement:
        """Replaces the measurement's losses by the given ones, if the controller reads those."""
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


def _transition(before: Measurement, control: Control, after: Measurement) -> Transition:
    """With FSCO's reward, −|L_G − L_D|, which needs nothing that a loop does not have."""
    gap = losses_apart(after.g_loss, after.d_mean).double()
    never = torch.zeros(1, dtype=torch.bool)
    return Transition(
        before=before,
        control=control,
        after=after,
        reward=torch.from_numpy(fsco_reward(gap.numpy(), 1)),
        terminated=never,
        truncated=never,
    )
