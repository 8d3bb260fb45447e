"""Checks your own controller against the promises of all controllers, on artificial GANs."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn.functional import softplus

from gan_env.testing.promises import generators_left_alone, keep_all, require, trained, under_other_generators
from gan_env.types import Control, GameFacts, Measurement, Transition

from .base import NeedsTrainer
from .registry import make_controller

STEPS = 14
SEEDS = (7, 8, 9)


@dataclass(frozen=True)
class Subject:
    """A controller under test."""

    make: Callable[[], Any]
    """Makes a fresh instance."""
    game: GameFacts

    def started(self, seeds: Sequence[int] = SEEDS) -> Any:
        """Returns a fresh instance, reset for these rows, bound to a trainer if it needs one."""
        made = self.make()
        _give_trainer(made, seeds)
        made.reset(list(seeds), self.game)
        return made


def _give_trainer(controller: object, seeds: Sequence[int]) -> None:
    if isinstance(controller, NeedsTrainer):
        controller.bind(trained(list(seeds), batch_size=16, episode_updates=STEPS))


@cache  # nobody may change a measurement, and a promise sees to it
def story(n: int, steps: int = STEPS, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Measurement, ...]:
    """Returns measurements of n artificial bce GANs, in which D is behind, level, ahead or perfect in turn."""
    rng = np.random.default_rng(seed)
    told = []
    for t in range(steps):
        lead = rng.choice([-6.0, -0.5, 0.3, 2.0, 8.0], size=(n, 1))
        real, fake = (torch.from_numpy(rng.normal(side, 1, (n, 16))).to(dtype) for side in (lead, -lead))
        told.append(
            Measurement(
                real_logits=real,
                fake_logits=fake,
                g_loss=softplus(-fake).mean(-1),
                d_loss_real=softplus(-real).mean(-1),
                d_loss_fake=softplus(fake).mean(-1),
                update=torch.full((n,), t),
                progress=torch.full((n,), t / steps, dtype=torch.float64),
            )
        )
    return tuple(told)


def controls(controller: Any, seen: Sequence[Measurement]) -> list[Control]:
    """Returns its decisions on these measurements."""
    return [controller.act(measurement) for measurement in seen]


def require_same(a: Sequence[Control], b: Sequence[Control], where: str) -> None:
    """Raises BrokenPromise at the first decision that differs."""
    for at, (one, other) in enumerate(zip(a, b, strict=True)):
        for field in fields(Control):
            x, y = getattr(one, field.name), getattr(other, field.name)
            require(torch.equal(x, y), f"decision {at} {where}: {field.name} is {y.tolist()}, was {x.tolist()}")


def every_decision_is_a_valid_control(subject: Subject) -> None:
    """One control a row, somebody moves, multipliers are float64, finite and > 0; what came of it can be learned."""
    controller, told = subject.started(), story(3)
    for method in ("reset", "act", "learn", "state_dict", "load_state_dict"):
        require(callable(getattr(controller, method, None)), f"it has no method {method}")
    for at, before in enumerate(told):
        control = controller.act(before)
        require(isinstance(control, Control), f"act gave a {type(control).__name__}, not a Control")
        control.check(3)
        for name in ("d_multiplier", "g_multiplier"):
            found = getattr(control, name).dtype
            require(found == torch.float64, f"{name} is {found}, not torch.float64; make controls with Control.of")
        reward, never = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.bool)
        after = told[(at + 1) % len(told)]
        controller.learn(
            Transition(before=before, control=control, after=after, reward=reward, terminated=never, truncated=never)
        )


def a_broken_measurement_harms_its_own_row_alone_and_not_for_good(subject: Subject) -> None:
    """NaN or infinity in one row still gives valid controls; the other rows decide as ever."""
    healthy, hurt = subject.started(), subject.started()
    for at, measurement in enumerate(story(3)):
        columns = measurement.state()
        if 5 <= at < 8:
            for name in ("real_logits", "fake_logits", "g_loss", "d_loss_real", "d_loss_fake"):
                columns[name][1] = (math.nan, math.inf, -math.inf)[at - 5]
        control = hurt.act(Measurement(**columns))
        control.check(3)
        others = torch.tensor([0, 2])
        require_same([healthy.act(measurement).rows(others)], [control.rows(others)], f"{at}, beside a broken row,")


def a_saved_controller_goes_on_as_if_nothing_had_happened(subject: Subject) -> None:
    """`state_dict` goes through `torch.save` and `torch.load(weights_only=True)` and holds all that decides."""
    told, controller, file = story(3), subject.started(), io.BytesIO()
    controls(controller, told[:8])
    torch.save(controller.state_dict(), file)
    file.seek(0)
    later = subject.started()
    later.load_state_dict(torch.load(file, weights_only=True))
    require_same(controls(controller, told[8:]), controls(later, told[8:]), "after loading")


def a_saved_state_and_its_controller_do_not_follow_each_other(subject: Subject) -> None:
    """Going on leaves a state that was taken alone; writing into one leaves the controller alone."""
    told, controller = story(3), subject.started()
    controls(controller, told[:5])
    kept = controller.state_dict()
    before = {name: value.clone() for name, value in kept.items() if isinstance(value, torch.Tensor)}
    controls(controller, told[5:])
    now = controller.state_dict()
    for name, value in before.items():
        same = torch.equal(kept[name].nan_to_num(), value.nan_to_num())
        require(same, f"{name} in a saved state changed as the controller went on; save a copy")
        held = now[name].clone()
        now[name].zero_()
        same = torch.equal(controller.state_dict()[name].nan_to_num(), held.nan_to_num())
        require(same, f"writing into {name} of a saved state changed the controller; save a copy")


def a_row_does_not_notice_its_neighbours(subject: Subject) -> None:
    """A row decides the same alone and in a batch."""
    row = slice(1, 2)
    crowd = [control.rows(row) for control in controls(subject.started((3, 7, 11)), story(3))]
    alone = controls(subject.started((7,)), [measurement.rows(row) for measurement in story(3)])
    require_same(alone, crowd, "beside two other rows")


def the_same_seeds_give_the_same_decisions(subject: Subject) -> None:
    """Also on a second reset, and whatever state global generators are in."""
    play = lambda: controls(subject.started(), story(3))  # noqa: E731
    first, other = under_other_generators(play, play)
    require_same(first, other, "under another state of the global generators")
    controller = subject.started()
    controls(controller, story(3)[:5])
    controller.reset(list(SEEDS), subject.game)
    require_same(first, controls(controller, story(3)), "after a second reset")


def deciding_leaves_measurements_and_global_generators_alone(subject: Subject) -> None:
    """What it reads is not its own to change."""
    told = story(3, 5)
    before = [measurement.state() for measurement in told]
    with generators_left_alone():
        controls(subject.started(), told)
    for measurement, kept in zip(told, before, strict=True):
        for name, value in kept.items():
            require(torch.equal(getattr(measurement, name), value), f"it changed {name} of the measurement")


def another_number_of_rows_is_refused(subject: Subject) -> None:
    """ValueError for a measurement of other rows than `reset` named, and before any `reset`."""
    for controller, what in ((subject.started(), "2 rows after a reset of 3"), (subject.make(), "act before reset")):
        try:
            controller.act(story(2)[0])
        except ValueError:
            continue
        require(False, f"{what} raised no ValueError")


PROMISES = (
    every_decision_is_a_valid_control,
    a_broken_measurement_harms_its_own_row_alone_and_not_for_good,
    a_saved_controller_goes_on_as_if_nothing_had_happened,
    a_saved_state_and_its_controller_do_not_follow_each_other,
    a_row_does_not_notice_its_neighbours,
    the_same_seeds_give_the_same_decisions,
    deciding_leaves_measurements_and_global_generators_alone,
    another_number_of_rows_is_refused,
)


def subject_of(controller: str | Callable[[], Any], game: GameFacts | None = None) -> Subject:
    """Makes the subject from a name or a function, in this game; by default 14 updates of bce at 2e-4."""
    if not (isinstance(controller, str) or callable(controller)):
        raise ValueError(f"controller={controller!r} must be a name, or a function that makes it anew each time")
    make = (lambda: make_controller(controller)) if isinstance(controller, str) else controller
    return Subject(make, game or GameFacts(episode_updates=STEPS, d_lr=2e-4, g_lr=2e-4))


def check_controller(controller: str | Callable[[], Any], game: GameFacts | None = None) -> None:
    """Raises BrokenPromise unless a controller meets the requirements of the benchmark and a user's loop.

    Args:
        controller: A registered name, or a function without arguments that makes a fresh one.
        game: Argument of `reset`; by default 14 updates of a plane GAN with the bce loss, at 2e-4.

    Raises:
        BrokenPromise: Naming the first promise that it breaks, and what was found.
        ValueError: If nobody registered the name, or `controller` is neither a name nor a function.
    """
    subject = subject_of(controller, game)
    name = controller if isinstance(controller, str) else getattr(controller, "__name__", "your own")
    keep_all(f"controller {name!r}", PROMISES, subject)
