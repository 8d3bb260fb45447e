"""Decides at once for the schedules of a batch: a search has dozens, and one after the other takes most of its time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import torch

from gan_env.types import Control, Measurement

from ..rules.gda import Schedule, share_left
from ..rules.scripted import Scripted
from .controller_runner import ControllerRunner


class JointSchedules:
    """Runs schedules of consecutive rows as one; they follow the progress alone and remember nothing.

    Args:
        runners: Of one schedule each, on consecutive rows; their time is the joint one's, in equal shares.
    """

    learns = False

    def __init__(self, runners: Sequence[ControllerRunner]):
        self.runners = runners
        self.span = slice(runners[0].span.start, runners[-1].span.stop)
        laws = [law for runner in runners for law in [_schedule(runner)] * runner.count if law is not None]
        self._d, self._g, self._floor = (
            torch.tensor([getattr(law, name) for law in laws], dtype=torch.float64) for name in ("d", "g", "floor")
        )
        shapes = [law.shape for law in laws]
        self._rows = {each: torch.tensor([shape == each for shape in shapes]) for each in dict.fromkeys(shapes)}

    def act(self, seen: Measurement) -> Control:
        """Returns the control of its rows, given the measurement of all rows."""
        began = time.perf_counter()
        done = seen.progress[self.span].double().clamp(0, 1).cpu()
        left = torch.ones_like(done)
        for shape, rows in self._rows.items():
            left[rows] = share_left(shape, done[rows], self._floor[rows])
        device = seen.g_loss.device
        control = Control.of(len(done), d_multiplier=self._d * left, g_multiplier=self._g * left, device=device)
        spent = (time.perf_counter() - began) / len(self.runners)
        for runner in self.runners:
            runner.control_s += spent
        return control


def jointly(runners: Sequence[ControllerRunner]) -> list[ControllerRunner | JointSchedules]:
    """Puts neighbouring runners of schedules together; the order of the rows stays."""
    found: list[ControllerRunner | JointSchedules] = []
    for together, group in itertools.groupby(runners, lambda runner: _schedule(runner) is not None):
        members = list(group)
        found += [JointSchedules(members)] if together and len(members) > 1 else members
    return found


def _schedule(runner: ControllerRunner) -> Schedule | None:
    """Returns the schedule that a runner follows, if it is one `schedule(...)` that has started."""
    controller = runner.controller
    if isinstance(controller, Scripted) and controller.name == "schedule" and not runner.error:
        return controller.law if isinstance(controller.law, Schedule) else None
    return None
