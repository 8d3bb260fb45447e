"""Where the time of one `env.step` goes: the engine's update, and each part of what is done around it.

    python benchmarks/step_parts.py          # ring, bce, N = 64, a decision every update: ten seconds

Medians over the steps. A part's own time is without that of the parts it calls. The last line is the same work with
the update left out, so that it finds its code where the processor has it at hand.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import tyro

from gan_env.envs import episodes, vector_env
from gan_env.envs.env import GANVectorEnv
from gan_env.envs.episodes import Episodes
from gan_env.envs.observations import FeatureMemory
from gan_env.training.trace import Trace
from gan_env.training.trainer import Trainer
from gan_env.types import Control, Measurement


@dataclass(frozen=True)
class Options:
    """What is stepped, and how often."""

    task: str = "ring"
    rows: int = 64
    steps: int = 600


class Clock:
    """Own time of named parts in every step."""

    def __init__(self) -> None:
        self._open: list[float] = []
        self._now: dict[str, float] = {}
        self.steps: list[dict[str, float]] = []

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its own time added to the part."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._open.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took, within = time.perf_counter() - start, self._open.pop()
                self._now[name] = self._now.get(name, 0.0) + took - within
                if self._open:
                    self._open[-1] += took

        return call

    def part(self, name: str, owner: Any, attribute: str) -> None:
        """Times a method, a property or a module's function from now on."""
        held = vars(owner)[attribute]
        if isinstance(held, cached_property):
            made = cached_property(self.timed(name, held.func))
            made.__set_name__(owner, attribute)
        elif isinstance(held, property):
            assert held.fget is not None
            made = property(self.timed(name, held.fget))
        else:
            made = self.timed(name, held)
        setattr(owner, attribute, made)

    def close(self) -> None:
        """Ends a step."""
        self.steps.append(self._now)
        self._now = {}


def main(options: Options) -> None:
    torch.set_num_threads(1)
    env = GANVectorEnv(options.rows, task=options.task, score=False, episode_updates=10**9, device="cpu")
    clock = Clock()
    for name, owner, attribute in (
        ("the engine's update", Trainer, "advance"),
        ("the action: checked and decoded", vector_env, "check_actions"),
        ("the action: checked and decoded", type(env.codec), "decode"),
        ("the measurement: rows joined", Trainer, "measurement"),
        ("the measurement: means and accuracies", Measurement, "summary"),
        ("whether a row has failed", episodes, "failures"),
        ("the reward", Episodes, "_rewards"),
        ("features and observation", type(env.codec), "position"),
        ("features and observation", FeatureMemory, "push"),
        ("features and observation", FeatureMemory, "observe"),
        ("info", Episodes, "infos"),
        ("all else", GANVectorEnv, "step"),
    ):
        clock.part(name, owner, attribute)
    env.reset(seed=0)
    action = np.zeros((options.rows, 1), np.float32)
    for _ in range(options.steps):
        env.step(action)
        clock.close()
    medians = {name: statistics.median(s[name] for s in clock.steps[20:]) for name in clock.steps[-1]}
    engine = medians["the engine's update"]
    for name, seconds in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{name:<40}{1e6 * seconds:>9.0f} us{seconds / engine:>9.1%}")
    print(f"{'in all':<40}{1e6 * sum(medians.values()):>9.0f} us{sum(medians.values()) / engine:>9.1%}")
    warm = _without_updates(env, action, options.steps)
    print(f"{'all but the update, with it left out':<40}{1e6 * warm:>9.0f} us{warm / engine:>9.1%}")


def _without_updates(env: GANVectorEnv, action: np.ndarray, steps: int) -> float:
    """Seconds of a step in which the engine does nothing but count."""
    last = env.trainer.advance(Control.of(env.num_envs))

    def advance(self: Trainer, control: Control, updates: int = 1, active: np.ndarray | None = None) -> Trace:
        self.updates += 1
        self._measurement = None
        return Trace(last.losses, last.gradient)

    Trainer.advance = advance
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        env.step(action)
        times.append(time.perf_counter() - start)
    return statistics.median(times[20:])


if __name__ == "__main__":
    main(tyro.cli(Options))
