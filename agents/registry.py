"""Controllers by name: `make_controller("constant:2")`, `make_controller("dyn-gda", c1=1.2)`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass

from gan_env.registry import unknown

from . import autoloss, dynamic_gda, gap_aware, gcann, gda, heuristics  # noqa: F401  (importing registers)
from .base import CONTROLLERS, Controller


@dataclass(frozen=True)
class Lazy:
    """A factory in a module that is imported when first asked for, because it needs what not everybody installs.

    `CONTROLLERS.add("fsco", Lazy(".fsco", "make_fsco"))`
    """

    module: str
    """Relative to this package, e.g. ".fsco"."""
    factory: str
    """Name of the factory in that module: a function of the text after the colon (or None) and of options."""
    summary: str = ""
    """One line for listings, since the docstring is not at hand without the import."""
    examples: tuple[str, ...] | None = None
    """Names that `make_controller` takes as they stand; None: the registered name, () if it needs an argument."""
    note: str = ""
    """What every list and table says behind the name."""

    def load(self) -> Callable[..., Controller]:
        """The factory itself."""
        return getattr(importlib.import_module(self.module, __package__), self.factory)


HEAD_ROOM = "head-room, not a competitor"
EMBEDDED, UNTRAINED, REPLAY = "(embedded)", "(untrained)", "(replay)"
"""In a row's controller name: how it came to be what it is."""
WITHIN = ("ddpg", "fsco")
"""Learn within the run that they are judged on, under their plain names."""
LEARNED = ("autoloss", *WITHIN)
TUNED_CONSTANT = "best-constant"
"""In rows: the constant multiplier that did best on tune seeds."""
CONTROLLERS.add("fsco", Lazy(".fsco", "make_fsco", "embedded FSCO: a fresh DDPG learns while the GAN trains"))
CONTROLLERS.add("ddpg", Lazy(".fsco", "make_joint_ddpg", "the same agent on both rates and who updates, for quality"))
CONTROLLERS.add(
    "lookahead", Lazy(".lookahead", "make_lookahead", f"{HEAD_ROOM}: tries multipliers on copies", note=HEAD_ROOM)
)
CONTROLLERS.add("replay", Lazy(".replay", "make_replay", "recorded decisions, without feedback", examples=()))


def make_controller(name: str, **options: object) -> Controller:
    """The controller called `name`, e.g. `dyn-gda`, `constant:2`, `alt-gda-5`, with options by keyword.

    Raises:
        ValueError: If the name, what follows it or an option is unknown or unfit; the message names the way out.
    """
    stem, text = _split(name)
    factory = CONTROLLERS[stem]
    if isinstance(factory, Lazy):
        factory = factory.load()
    _check_options(stem, getattr(factory, "build", factory), options)
    return factory(text, **options)


def list_controllers() -> list[str]:
    """Names that `make_controller` takes as they stand; those that need an argument are listed with a usual one."""
    names = []
    for name in CONTROLLERS:
        examples = getattr(CONTROLLERS[name], "examples", None)
        names += [name] if examples is None else examples
    return sorted(names)


def controller_note(name: str) -> str:
    """What lists and tables must say behind a controller's name: of `lookahead`, that it is no competitor; else ""."""
    stem = _stem(name)
    return getattr(CONTROLLERS[stem], "note", "") if stem in CONTROLLERS else ""


def is_embedded(name: str) -> bool:
    """Whether the controller learns within the very run that it is judged on: never in one ranking with frozen ones."""
    return EMBEDDED in name or (_stem(name) in WITHIN and " (" not in name)


def is_learned(name: str) -> bool:
    """Whether a ranking must hold the controller's open-loop replay, too: it was learned, or nothing is known of it."""
    stem = _stem(name)
    if UNTRAINED in name or REPLAY in name or stem == TUNED_CONSTANT:
        return False
    return stem in LEARNED or stem not in CONTROLLERS


def _stem(name: str) -> str:
    return re.split(r"[ :(]", re.sub(r"(alt-gda)-.*", r"\1", name))[0]


def _split(name: str) -> tuple[str, str | None]:
    """`name` as registered name and argument: after a colon, or after the hyphen of `alt-gda-N`."""
    stem, colon, text = name.partition(":")
    if not colon and (dashed := re.fullmatch(r"(alt-gda)-(.*)", name)):
        stem, text = dashed.groups()
        colon = "-"
    return stem, text if colon else None


def _check_options(name: str, build: Callable, options: dict[str, object]) -> None:
    parameters = inspect.signature(build).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return  # the factory checks its own
    known = sorted(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    for option in options:
        if option not in known and not known:
            raise ValueError(f"{name} has no options, got {option!r}")
        if option not in known:
            raise unknown(f"{name} option", option, known)
