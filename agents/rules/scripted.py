"""Scripted controllers: a law (a pure rule without state) and the object that keeps its memory, one entry per row.

A law consists of two functions, the initial memory and one decision; `Scripted` makes a controller of it and implements
resetting, checking, saving and moving between devices once for all.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from gan_env.types import Control, GameFacts, Measurement, Transition

from ..base import CONTROLLERS, shown_controller

Build = TypeVar("Build", bound="Callable[..., Law]")

Memory = dict[str, Tensor]
"""Memory of a law: tensors with leading axis N. Laws replace entries and never modify one in place."""


class Law(Protocol):
    """A rule that decides for N rows independently."""

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Returns the initial memory, with all that the rule needs of the game; ValueError for an unsuitable game."""
        ...

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns the control for the coming update, and the memory after it."""
        ...


class Scripted:
    """A controller that follows a law. See `base.Controller` for its methods.

    Args:
        name: Its name.
        law: The law.
        options: What it shows as its settings; by default the law's fields.
    """

    def __init__(self, name: str, law: Law, options: Mapping[str, object] | None = None):
        self.name, self.law = name, law
        self._shown = law if options is None else dict(options)
        self.memory: Memory = {}
        self._rows: int | None = None

    def __repr__(self) -> str:
        return shown_controller(self.name, self._shown)

    @property
    def rule(self) -> Tensor:
        """Number of the rule behind each row's last decision, (N,); RULES of its module has the names.

        Raises AttributeError where the law has but one rule.
        """
        if "rule" not in self.memory:
            raise AttributeError(f"{self.name} does not record which rule fired, or has not been reset")
        return self.memory["rule"]

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts N = len(row_seeds) runs afresh."""
        self.memory = self.law.start(row_seeds, game)
        self._rows = len(row_seeds)

    @torch.no_grad()
    def act(self, measurement: Measurement) -> Control:
        """Returns the control for the coming update; ValueError unless the measurement has the rows of `reset`."""
        if self._rows is None:
            raise ValueError(f"{self.name} has not started; call reset(row_seeds, game) before act")
        if len(measurement) != self._rows:
            raise ValueError(f"{self.name} started {self._rows} rows and was shown {len(measurement)}; reset it first")
        device = measurement.g_loss.device
        memory = {key: value.to(device) for key, value in self.memory.items()}
        control, self.memory = self.law.decide(measurement, memory)
        return control

    def learn(self, transition: Transition) -> None:
        """Does nothing: the rule is fixed."""

    def state_dict(self) -> dict:
        """Returns the number of rows and a copy of the memory, which determine all later decisions."""
        if self._rows is None:
            raise ValueError(f"{self.name} has no state yet; call reset(row_seeds, game) first")
        return {"rows": self._rows, **{key: value.clone() for key, value in self.memory.items()}}

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`; raises ValueError for that of another law."""
        memory = {key: value.clone() for key, value in state.items() if key != "rows"}
        if "rows" not in state or (self._rows is not None and memory.keys() != self.memory.keys()):
            raise ValueError(
                f"not a state of {self.name}: it holds {sorted(state)}, not {sorted(['rows', *self.memory])}; "
                "make the controller that saved it"
            )
        self.memory, self._rows = memory, int(state["rows"])


@dataclass(frozen=True, kw_only=True)
class Argument:
    """The argument after a controller's name, such as the 2 in `constant:2`."""

    option: str
    """The option that it sets."""
    usage: str
    """Form of the whole name, e.g. "constant:X"."""
    needs: str
    """Requirement, in words."""
    read: Callable[[Any], Any]
    """Converts its text (or the option's value) to the value; raises ValueError if `needs` is not met."""
    examples: tuple[str, ...]
    """Whole names, as examples."""
    required: bool = True
    """Whether the bare name is refused."""


@dataclass(frozen=True)
class ScriptedFactory:
    """Makes a scripted controller; the keyword parameters of `build` are its options, its docstring the explanation.

    Examples:
        >>> from agents.rules.gda import Fixed
        >>> def slowed(d_multiplier: float = 0.5):
        ...     return Fixed(d_multiplier=d_multiplier)
        >>> ScriptedFactory("slowed", slowed)(None)
        slowed(d_multiplier=0.5)
    """

    name: str
    build: Callable[..., Law]
    argument: Argument | None = None
    note: str = ""
    """Note after the name in lists and tables."""
    learned: bool = False
    """Whether the law was learned and frozen: a ranking then asks for its decisions replayed without feedback."""

    @property
    def examples(self) -> tuple[str, ...]:
        """Names that `make_controller` takes as they stand."""
        bare = () if self.argument and self.argument.required else (self.name,)
        return bare + (self.argument.examples if self.argument else ())

    @property
    def summary(self) -> str:
        """First line of the explanation."""
        return (inspect.getdoc(self.build) or "").split("\n")[0]

    def __call__(self, text: str | None, **options: object) -> Scripted:
        """Makes the controller; `text` is the argument after the name."""
        if self.argument is not None:
            options |= self._read(self.argument, text, options)
        elif text is not None:
            raise ValueError(f"{self.name} takes no argument, got {text!r}; write {self.name!r}")
        law = self.build(**options)
        if isinstance(self.build, type):
            return Scripted(self.name, law)  # whose fields are the options
        defaults = {p.name: p.default for p in inspect.signature(self.build).parameters.values()}
        usual = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
        return Scripted(self.name, law, usual | options)

    def _read(self, argument: Argument, text: str | None, options: dict[str, object]) -> dict[str, object]:
        if text is not None and argument.option in options:
            raise ValueError(f"{self.name}: {argument.option} is given twice, in the name ({text!r}) and as an option")
        given = options.get(argument.option) if text is None else text
        if given is None and not argument.required:
            return {}
        try:
            return {argument.option: argument.read(given)}
        except (TypeError, ValueError):
            got = "nothing" if given is None else repr(given)
            raise ValueError(
                f"{argument.usage} needs {argument.needs}, got {got}; e.g. {argument.examples[0]}"
            ) from None


def scripted(
    name: str, *, argument: Argument | None = None, note: str = "", learned: bool = False
) -> Callable[[Build], Build]:
    """Registers a law (a class, or a function that makes one) as the controller `name`.

    Args:
        name: By which `make_controller` finds it.
        argument: Argument after the name.
        note: Note after the name in lists and tables.
        learned: Whether it was learned and frozen, so that a ranking asks for its replay.
    """

    def register(build: Build) -> Build:
        CONTROLLERS.add(name, ScriptedFactory(name, build, argument, note, learned))
        return build

    return register


def positive(value: Any) -> float:
    """Converts `value` to a finite number > 0."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{value!r} is not a finite number > 0")
    return number


def check_positive(name: str, **options: float | None) -> None:
    """Raises ValueError naming the first of a controller's options that is not a finite number > 0; None passes."""
    for option, value in options.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: {option}={value} must be a finite number > 0")
