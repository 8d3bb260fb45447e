"""A controller's place in a batch: started, asked, told what came of it, and held harmless if it breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gan_env.training.trainer import Trainer
from gan_env.types import Control, Measurement, Transition

from ..base import Controller, Learns, NeedsTrainer

WEATHER = (OSError, MemoryError)
"""What may go well at the next try: never put down as a controller's failure."""


@dataclass(frozen=True)
class Entry:
    """A controller under the name that tables give it."""

    name: str
    controller: Controller
    runs_as: str = ""
    """What it was made from, where the name does not say it: of `best-constant`, the constant."""


class Seat:
    """A controller's place in the batch, the rows `span`.

    If it raises, its rows go on under plain training and are marked, so that N, and with it the rounding of the
    others' rows, stays what it is.
    """

    def __init__(self, entry: Entry, trainer: Trainer, seeds: Sequence[int], start: int, refuse: bool):
        self.entry, self.controller = entry, entry.controller
        self.span, self.count = slice(start, start + len(seeds)), len(seeds)
        self.control_s, self.error = 0.0, ""
        self.learns = isinstance(self.controller, Learns) and self.controller.learns
        """Whether it is to be told what came of its decisions."""
        self._before: Measurement | None = None

        def start_controller() -> None:
            if isinstance(self.controller, NeedsTrainer):
                self.controller.bind(trainer, self.span)
            self.controller.reset(list(seeds), trainer.facts)

        if refuse:
            start_controller()
        else:
            self._guarded(start_controller)

    def act(self, seen: Measurement) -> Control:
        """The control of its rows, given the measurement of all."""
        seen = seen.rows(self.span)
        if self.learns:
            self._before = Measurement(**seen.state())  # the engine writes the next one over this one
        control = self._guarded(lambda: self._checked(seen))
        return Control.of(self.count, device=seen.g_loss.device) if control is None else control

    def learn(self, control: Control, after: Measurement, reward: np.ndarray, ended: np.ndarray, last: bool) -> None:
        """Tells a controller that learns what came of its decision."""
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
        self._guarded(lambda: self.controller.learn(transition))

    def _checked(self, seen: Measurement) -> Control:
        control = self.controller.act(seen)
        control.check(self.count)
        return control

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """What the call gives; None, for good, once the controller has raised."""
        if self.error:
            return None
        began = time.perf_counter()
        try:
            return call()
        except WEATHER:
            raise
        except Exception as error:  # whatever a controller that anybody may have written stumbles over
            self.error = f"{type(error).__name__}: {error}"
            return None
        finally:
            self.control_s += time.perf_counter() - began
