"""One run of the benchmark: trains a contestant in one of the three loops, judges it, times its `Steer`."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import sys
import time
import warnings
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from agents import Decision, Steer
from agents.learned.auto import SHIPPED
from gan_env.data.images import picture_data
from gan_env.metrics.scores import FrechetScore
from gan_env.tasks.images import classifier

PLAIN = "plain"
CONTESTANTS = (PLAIN, "ttur-decay", "auto")
SEEDS = {"dcgan": 5, "r3gan": 5, "ctgan": 10}
"""Runs of each contestant in each loop."""
PICTURES = {"dcgan": 64, "r3gan": 32}
"""Side of the emoji that a loop is trained on; `emoji64` and `emoji32` judge."""
EPOCHS, TABLE = 300, "iris"
"""Of CTGAN, as its example has them."""
BASE_RATE = 2e-4
"""Of all three loops."""
POINTS = 21
"""Rates of a run that its row keeps, evenly spaced."""
SHOWN = 10
"""Samples of seed 0 that are kept for the picture."""


@dataclass
class Clock:
    """What `TimedSteer` notes: when each iteration called it, seconds spent in it, and its decisions.

    All seconds are of this process's processor time, so that others on the machine do not count.
    """

    starts: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)

    def measured(self) -> dict[str, Any]:
        """Returns the share of an iteration that `Steer` takes, and the rates over the run."""
        spent, took = np.array(self.spent[:-1]), np.diff(self.starts)
        at = np.linspace(0, len(self.decisions) - 1, POINTS).round().astype(int)
        return {
            "iterations": len(self.decisions),
            "iteration_ms": float(np.median(took)) * 1e3,
            "steer_ms": float(np.median(spent)) * 1e3,
            "steer_share": float(np.median(spent / took)),
            "steer_share_of_run": float(spent.sum() / took.sum()),
            "d_rates": [float(f"{BASE_RATE * self.decisions[i].d_multiplier:.4g}") for i in at],
            "g_rates": [float(f"{BASE_RATE * self.decisions[i].g_multiplier:.4g}") for i in at],
        }


class TimedSteer(Steer):
    """A `Steer` that notes in `clock` how long its calls take; its hooks in `backward` and `step` are not timed."""

    def __init__(self, clock: Clock, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.clock = clock

    def __call__(self, *args: Any, **kwargs: Any) -> Decision:
        """See `Steer`."""
        start = time.process_time()
        decision = super().__call__(*args, **kwargs)
        self.clock.spent.append(time.process_time() - start)
        self.clock.starts.append(start)
        self.clock.decisions.append(decision)
        return decision

    def done(self) -> None:
        """See `Steer`."""
        start = time.process_time()
        super().done()
        self.clock.spent[-1] += time.process_time() - start


def loop_module(name: str) -> ModuleType:
    """Imports a loop when it is run: CTGAN's package is not everybody's."""
    if name != "ctgan":
        return importlib.import_module(name)
    file = Path(__file__).parents[2] / "examples" / "steered_ctgan.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judged(samples: Tensor, side: int) -> dict[str, Any]:
    """Returns the score of generated pictures; a failure if any number is not finite."""
    score = picture_score(side)
    if not torch.isfinite(samples).all():
        return {"status": "failed", "score": None}
    return {"status": "ok", "score": score(samples), "kid": score.details(samples)["kid"]}


def picture_score(side: int) -> FrechetScore:
    """Builds the Fréchet distance to the test emoji, in the feature network that ships for their size."""
    return FrechetScore(picture_data("emoji", None, side), partial(classifier, f"emoji{side}"))


def picture_run(loop: str, controller: str | None, seed: int, clock: Clock) -> tuple[dict[str, Any], Tensor | None]:
    """Trains one of the two loops of pictures; returns its figures and its first samples."""
    module, side = loop_module(loop), PICTURES[loop]
    data = picture_data("emoji", None, side)
    settings = {"settings": vars(module.Settings())}
    try:
        net_g: nn.Module = module.train(data.train(), seed, controller, make_steer=partial(TimedSteer, clock))[0]
    except RuntimeError as error:
        if "between 0 and 1" not in str(error):  # the tutorial's loss stops where D's output is NaN
            raise
        return {"status": "failed", "score": None, "failure": str(error).splitlines()[0]} | settings, None
    samples = module.sample(net_g, data.test_size, seed)
    return judged(samples, side) | settings, samples[:SHOWN]


def ctgan_run(controller: str | None, seed: int, clock: Clock) -> dict[str, Any]:
    """Fits the example's CTGAN; its score is W1, and the accuracy stands beside it.

    Where weights are not finite the package, or the classifier that judges, refuses NaN: that is a failed run.
    """
    module = loop_module("ctgan")
    with mock.patch.object(module, "Steer", partial(TimedSteer, clock)):
        try:
            found = module.run(controller, seed, EPOCHS, TABLE)
        except ValueError as error:
            if "NaN" not in str(error) and "infinity" not in str(error):
                raise
            return {"status": "failed", "score": None, "accuracy": None, "failure": str(error).splitlines()[0]}
    return {"status": "ok", "score": found["W1"], "accuracy": found["accuracy"]}


def weights_of(contestant: str) -> str | None:
    """Returns the first digits of the SHA-256 of the weights that ship for `auto`; None for the others."""
    return hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12] if contestant == "auto" else None


def run(loop: str, contestant: str, seed: int) -> tuple[dict[str, Any], Tensor | None]:
    """Trains and judges one contestant with one seed; returns its row, and samples if they are pictures."""
    torch.set_num_threads(1)
    controller, clock, samples = None if contestant == PLAIN else contestant, Clock(), None
    start = time.process_time()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        if loop == "ctgan":
            found = ctgan_run(controller, seed, clock)
        else:
            found, samples = picture_run(loop, controller, seed, clock)
    row = {"loop": loop, "contestant": contestant, "seed": seed, "weights": weights_of(contestant), **found}
    if controller is not None:
        row |= clock.measured()
    row |= {
        "seconds": round(time.process_time() - start, 1),
        "warnings": sorted({str(each.message) for each in said if issubclass(each.category, UserWarning)}),
        "versions": {name: version(name) for name in ("torch", *(["ctgan"] if loop == "ctgan" else []))},
        "machine": platform.machine(),
        "python": sys.version.split()[0],
    }
    return row, samples
