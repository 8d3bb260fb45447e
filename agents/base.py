"""The protocol of all controllers, in the environment, in the benchmark and in a user's own loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gan_env.registry import Registry
from gan_env.types import Control, GameFacts, Measurement, Transition

if TYPE_CHECKING:
    from gan_env.training.trainer import Trainer


@runtime_checkable
class Controller(Protocol):
    """Decides, for N GANs at once, what the next update does.

    Memory is one entry per row; all randomness comes from the row seeds given to `reset`.

    >>> from agents import make_controller
    >>> isinstance(make_controller("dyn-gda"), Controller)
    True
    """

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts N = len(row_seeds) runs afresh; raises ValueError if the rule is not defined for this game."""
        ...

    def act(self, measurement: Measurement) -> Control:
        """Returns the control for the coming update, from the measurement on that update's batch."""
        ...

    def learn(self, transition: Transition) -> None:
        """Learns from the last decision; scripted rules ignore it."""
        ...

    def state_dict(self) -> dict:
        """Returns the memory as tensors and plain numbers, enough to go on bit for bit."""
        ...

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`."""
        ...


@runtime_checkable
class NeedsTrainer(Protocol):
    """A controller that also needs the trainer, to fork GANs or to measure quality; not for a user's own loop.

    Examples:
        >>> from agents import make_controller
        >>> [isinstance(make_controller(name), NeedsTrainer) for name in ("lookahead", "dyn-gda")]
        [True, False]
    """

    def bind(self, trainer: Trainer, rows: slice = slice(None)) -> None:
        """Sets, before `reset`, the trainer and its own rows of it: `bind(env.unwrapped.trainer)`."""
        ...


@runtime_checkable
class Learns(Protocol):
    """A controller that learns from transitions: the benchmark calls `learn` after every update.

    >>> from agents import make_controller
    >>> isinstance(make_controller("gap-aware"), Learns)
    False

    For other controllers no transitions are collected. Embedded FSCO is not one of these, because it computes its
    reward from the measurement.
    """

    learns: bool
    """Whether `learn` does anything."""


MOST_SHOWN = 100
"""Most characters of a controller's settings where it shows itself."""
LONGEST_SHOWN = 80
"""Most characters of one setting there."""


def shown_controller(name: str, settings: Any = None) -> str:
    """Shows a controller with its settings, as many as fit; those that are None or long are left out.

    Args:
        name: Its name.
        settings: A dataclass, or a dictionary; anything else has none to show.

    >>> shown_controller("pi", {"kp": 5.0, "ki": 0.01, "net": [0.0] * 100})
    'pi(kp=5, ki=0.01, …)'
    """
    values = settings
    if is_dataclass(settings) and not isinstance(settings, type):
        values = {f.name: getattr(settings, f.name) for f in fields(settings) if f.repr and f.name != "name"}
    known = {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else {}
    texts = [f"{key}={_shown(value)}" for key, value in known.items()]
    parts: list[str] = []
    for text in texts:
        if len(text) <= LONGEST_SHOWN and len(", ".join([*parts, text])) <= MOST_SHOWN:
            parts.append(text)
    more = ["…"] if len(parts) < len(texts) else []
    return f"{name}({', '.join([*parts, *more])})" if texts else name


def _shown(value: object) -> str:
    if isinstance(value, float):  # exactly, so that what is shown makes the same controller
        return text if float(text := f"{value:g}") == value else repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


CONTROLLERS: Registry[Any] = Registry("controller", "gan_env.controllers")
"""Name to factory. A factory takes the text after the colon (`constant:2` → "2"), or None, and options by keyword; one
without a place for the text, as a plain class, takes the options alone."""
