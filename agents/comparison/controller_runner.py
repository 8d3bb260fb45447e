"""Runs one controller on its rows of a batch and isolates its exceptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from gan_env.training.trainer import Trainer
from gan_env.types import Control, Measurement, Transition

from ..base import Learns, NeedsTrainer
from .contestants import Contestant

TRANSIENT = (OSError, MemoryError)
"""Errors of the machine, which another try may not meet: raised, and never recorded as a controller's failure."""


class ControllerRunner:
    """Runs a contestant's controller on consecutive rows of a batch, one row for each seed.

    If the controller raises, its rows go on under plain training and `error` names the exception. The batch keeps its
    size, and with it the rounding of the other rows.

    Args:
        contestant: Whose controller is run.
        trainer: Of the whole batch, at its start.
        seeds: Row seeds.
        start: The first of its rows; they end before `start + len(seeds)`.
        raise_at_start: Raise what the controller raises when it is started, instead of recording it.
    """

    def __init__(
        self, contestant: Contestant, trainer: Trainer, seeds: Sequence[int], start: int, raise_at_start: bool
    ):
        self.contestant, self.controller = contestant, contestant.controller
        self.span, self.count = slice(start, start + len(seeds)), len(seeds)
        self.control_s, self.error = 0.0, ""
        self.learns = isinstance(self.controller, Learns) and self.controller.learns
        """Whether `learn` is called after every update."""
        self._before: Measurement | None = None

        def start_controller() -> None:
            if isinstance(self.controller, NeedsTrainer):
                self.controller.bind(trainer, self.span)
            self.controller.reset(list(seeds), trainer.facts)

        if raise_at_start:
            start_controller()
        else:
            self._isolated(start_controller)

    def act(self, seen: Measurement) -> Control:
        """Returns the control of its rows, given the measurement of all rows."""
        seen = seen.rows(self.span)
        if self.learns:
            self._before = Measurement(**seen.state())  # the trainer writes the next one over this one
        control = self._isolated(lambda: self._checked(seen))
        return Control.of(self.count, device=seen.g_loss.device) if control is None else control

    def learn(self, control: Control, after: Measurement, reward: np.ndarray, ended: np.ndarray, last: bool) -> None:
        """Passes the transition of the last decision to a controller that learns.

        Args:
            control: What the controller decided.
            after: Measurement of all rows after the update.
            reward: Of that update, (N,) for all rows.
            ended: Whether the row has failed, (N,) bool.
            last: Whether the run ends with this update.
        """
        if not self.learns or self._before is None or self.error:
            return
        device = after.g_loss.device
        transition = Transition(
            before=self._before,
            control=control,
            after=after.rows(self.span),
            reward=torch.from_numpy(reward[self.span]).to(device),
            terminated=torch.from_numpy(ended[self.span]).to(device),
            truncated=torch.full((self.count,), last, device=device),
        )
        self._isolated(lambda: self.controller.learn(transition))

    def _checked(self, seen: Measurement) -> Control:
        control = self.controller.act(seen)
        control.check(self.count)
        return control

    def _isolated(self, call: Callable[[], Any]) -> Any:
        """Calls and returns the result, or None once the controller has raised; records the exception and the time."""
        if self.error:
            return None
        began = time.perf_counter()
        try:
            return call()
        except TRANSIENT:
            raise
        except Exception as error:  # anybody may have written the controller
            self.error = f"{type(error).__name__}: {error}"
            return None
        finally:
            self.control_s += time.perf_counter() - began
