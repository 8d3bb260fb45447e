"""Counts the steps that a loop really makes, and names decisions that cannot reach a step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .rates import HasGroups

NAMES = {"g": "G", "d": "D"}
UNSTEPPED = 20
"""Iterations without any optimiser step, more than half of all, after which a warning asks for one call a step."""


class Player:
    """Counts the steps of one player's optimisers, and notices whether gradients came in.

    Args:
        optimizers: Optimisers of torch, or wrappers that keep theirs in `optimizer`, as Accelerate's.
    """

    def __init__(self, optimizers: Sequence[HasGroups]):
        self._optimizers = optimizers
        self._count = 0
        self._gradients: dict[int, tuple[Any, int]] = {}
        self.known = all([_call_after_step(optimizer, weakref.WeakMethod(self._step)) for optimizer in optimizers])
        """Whether every step is seen; not those of other classes, nor those that a CUDA graph replays."""

    def _step(self) -> None:
        self._count += 1
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            self.known = False

    def steps(self) -> int:
        """Returns the steps since the last call of this method."""
        count, self._count = self._count, 0
        return count

    def remember_gradients(self) -> None:
        """Remembers which gradients there are, without keeping them alive."""
        self._gradients = {
            id(p): (weakref.ref(p.grad), p.grad._version) for p in self._parameters() if p.grad is not None
        }

    def has_new_gradients(self) -> bool:
        """Whether a backward pass has reached this player since `remember_gradients`."""
        nothing = (lambda: None, 0)
        for p in self._parameters():
            gradient, version = self._gradients.get(id(p), nothing)
            if p.grad is not None and (p.grad is not gradient() or p.grad._version != version):
                return True
        return False

    def _parameters(self) -> list[torch.Tensor]:
        return [p for optimizer in self._optimizers for group in optimizer.param_groups for p in group["params"]]


class StepWatch:
    """Compares what was decided with what the loop did.

    Args:
        optimizers: Each player's, by "opt_g" and "opt_d".
    """

    def __init__(self, optimizers: dict[str, list[HasGroups]]):
        self._players = {name: Player(optimizers[f"opt_{name}"]) for name in NAMES}
        self._decided: dict[str, bool] = {}
        self._iterations = self._unstepped = 0
        self._ever = False  # whether a step was seen within an iteration: else somebody else makes them
        self._said: set[str] = set()
        self.skips: set[str] = set()
        """Players, "g" or "d", that the loop was seen to leave out although they were to move alone."""

    def begin(self, decided: dict[str, bool], multipliers: dict[str, float]) -> str:
        """Begins an iteration.

        Args:
            decided: Whether each player is to step.
            multipliers: Of each player's rate.

        Returns:
            What was not said before about steps since the last `end` that this decision cannot reach, or "".
        """
        outside = {name: player.steps() for name, player in self._players.items()}
        self._decided = decided
        for player in self._players.values():
            player.remember_gradients()
        for name, steps in outside.items():
            if self._iterations and steps and not (decided[name] and multipliers[name] == 1) and self._first(name):
                what = f"its rate x {multipliers[name]:.3g}" if decided[name] else f"no {NAMES[name]} step"
                return (
                    f"{NAMES[name]} stepped after steer.done() and before steer(...), at its base rate, where no "
                    f"decision reaches it (this one is: {what}). In a loop that steps {NAMES[name]} first, call "
                    f"steer.done() just before the next steer(...), and let the last decision's update_{name} gate "
                    "that step"
                )
        return ""

    def end(self, finite: bool) -> str:
        """Ends an iteration.

        Args:
            finite: Whether scores and losses are finite; a loop may skip other batches.

        Returns:
            What was not said before about steps that do not fit the decision, or "".
        """
        self._iterations += 1
        steps = {name: player.steps() for name, player in self._players.items()}
        if not all(player.known for player in self._players.values()):
            return ""
        for name, count in steps.items():
            if count and not self._decided[name] and self._first(f"ungated {name}"):
                return (
                    f"{NAMES[name]} stepped although update_{name} was False: this controller decides who moves, so "
                    f"step {NAMES[name]} only `if decision.update_{name}:`"
                )
        self._ever |= any(steps.values())
        if any(steps.values()) or not self._ever or not finite:
            return ""
        alone = [name for name, moves in self._decided.items() if moves]
        if len(alone) == 1 and not self._players[alone[0]].has_new_gradients():
            return self._left_out(alone[0])
        self._unstepped += 1
        if self._unstepped >= UNSTEPPED and 2 * self._unstepped > self._iterations and self._first("unstepped"):
            return (
                f"no optimiser stepped in {self._unstepped} of {self._iterations} iterations; with gradient "
                "accumulation, call steer once for each optimiser step, with the scores of its micro-batches joined"
            )
        return ""

    def _left_out(self, name: str) -> str:
        if name in self.skips:
            return ""
        self.skips.add(name)
        me, other = NAMES[name], NAMES["d" if name == "g" else "g"]
        return (
            f"nobody moved: the decision was {me} alone, and the loop did not step {me}. If it steps {me} in some "
            f"iterations only, say in which: steer(..., can_step_{name}=...); or leave the choice to the controller. "
            f"From now on {other} may step too where the decision is {me} alone"
        )

    def _first(self, about: str) -> bool:
        first = about not in self._said
        self._said.add(about)
        return first


def _call_after_step(optimizer: Any, method: Callable[[], Any]) -> bool:
    """Has a weakly held method called after each step; False where the optimiser takes no hooks."""

    def hook(*_: Any) -> None:
        alive = method()
        if alive is not None:
            alive()

    for each in (optimizer, getattr(optimizer, "optimizer", None)):  # Accelerate's wrapper has no hooks of its own
        if each is None:
            continue
        try:
            handle = each.register_step_post_hook(hook)
        except AttributeError:  # of the method, or of a wrapper that never called its class' __init__
            continue
        weakref.finalize(method().__self__, handle.remove).atexit = False
        return True
    return False
