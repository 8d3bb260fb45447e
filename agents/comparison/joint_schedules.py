"""Decides at once for the schedules of a batch: a search has dozens, and one after the other takes most of its time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from gan_env.types import Control, Measurement

from ..rules.gda import Schedule, share_left
from ..rules.scripted import Memory, Scripted
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
        laws, memories = zip(*map(_schedule, runners), strict=True)
        first = [law.first(memory) for law, memory in zip(laws, memories, strict=True)]

        def of_rows(values: Iterable[Tensor | float]) -> Tensor:
            each = zip(values, runners, strict=True)
            return torch.cat([torch.as_tensor(v, dtype=torch.float64).expand(r.count) for v, r in each])

        self._d, self._g = of_rows(d for d, _ in first), of_rows(g for _, g in first)
        self._floor, self._until = of_rows(law.floor for law in laws), of_rows(law.until for law in laws)
        shapes = [law.shape for law, runner in zip(laws, runners, strict=True) for _ in range(runner.count)]
        self._rows = {each: torch.tensor([shape == each for shape in shapes]) for each in dict.fromkeys(shapes)}

    def act(self, seen: Measurement) -> Control:
        """Returns the control of its rows, given the measurement of all rows."""
        began = time.perf_counter()
        done = (seen.progress[self.span].double().cpu() / self._until).clamp(0, 1)
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
    for together, group in itertools.groupby(runners, _follows_a_schedule):
        members = list(group)
        found += [JointSchedules(members)] if together and len(members) > 1 else members
    return found


def _follows_a_schedule(runner: ControllerRunner) -> bool:
    """Tells whether a runner's controller has started and looks at nothing but the progress."""
    return isinstance(runner.controller, Scripted) and isinstance(runner.controller.law, Schedule) and not runner.error


def _schedule(runner: ControllerRunner) -> tuple[Schedule, Memory]:
    """Returns the schedule that a runner follows, and what it remembers."""
    assert isinstance(runner.controller, Scripted) and isinstance(runner.controller.law, Schedule)
    return runner.controller.law, runner.controller.memory
