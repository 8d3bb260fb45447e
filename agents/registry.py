"""Controllers by name: `make_controller("constant:2")`, `make_controller("dyn-gda", c1=1.2)`."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from gan_env.argument_checks import check_types
from gan_env.registry import unknown

from .base import CONTROLLERS, Controller
from .learned import autoloss  # noqa: F401  (importing registers)
from .rules import dynamic_gda, gap_aware, gcann, gda, heuristics  # noqa: F401  (importing registers)


@dataclass(frozen=True)
class Lazy:
    """A factory in a module that is imported when first asked for, since it needs optional packages.

    `CONTROLLERS.add("fsco", Lazy(".learned.fsco", "make_fsco"))`
    """

    module: str
    """Relative to this package, e.g. ".learned.fsco"."""
    factory: str
    """Name of the factory in that module: a function of the text after the colon (or None) and of options."""
    summary: str = ""
    """One line for listings, since the docstring is not at hand without the import."""
    examples: tuple[str, ...] | None = None
    """Names that `make_controller` takes as they stand; None: the registered name, () if it needs an argument."""
    note: str = ""
    """What every list and table says behind the name."""
    embedded: bool = False
    """Whether it learns within the very run that it is judged on."""
    learned: bool = False
    """Whether it was learned and frozen, so that a ranking asks for its replay."""

    def load(self) -> Callable[..., Controller]:
        """Imports and returns the factory."""
        return getattr(importlib.import_module(self.module, __package__), self.factory)


EMBEDDED = "(embedded)"
"""In the name of a controller that learns within the run it is judged on: never in one ranking with frozen ones."""
HEAD_ROOM = "head-room, not ranked"
UNTRAINED, REPLAY = "(untrained)", "(replay)"
"""In a row's controller name: how it came to be what it is."""
TUNED_CONSTANT, TUNED_SCHEDULE = TUNED = "best-constant", "best-schedule"
"""In rows: the constant multiplier of D's rate, and the schedule of both rates, that did best on tune seeds."""
CONTROLLERS.add(
    "fsco",
    Lazy(".learned.fsco", "make_fsco", "Embedded FSCO: a fresh DDPG learns while the GAN trains.", embedded=True),
)
CONTROLLERS.add(
    "ddpg",
    Lazy(".learned.fsco", "make_joint_ddpg", "FSCO's agent on both rates and who updates, for quality.", embedded=True),
)
CONTROLLERS.add(
    "auto",
    Lazy(".learned.auto", "make_auto", "Both rates without a search: trained on random GANs, frozen.", learned=True),
)
CONTROLLERS.add(
    "lookahead",
    Lazy(
        ".rules.lookahead",
        "make_lookahead",
        "Tries multipliers on copies of the GANs.",
        note=HEAD_ROOM,
    ),
)
CONTROLLERS.add("replay", Lazy(".rules.replay", "make_replay", "Recorded decisions, without feedback.", examples=()))

OPPONENTS: dict[str, dict[str, Any]] = {
    "oadam": {"name": "oadam"},
    "extra-adam": {"name": "extra-adam"},
    "lookahead-minimax": {"name": "lookahead-minimax"},
    "negative-momentum": {"name": "adam", "betas": (-0.5, 0.999)},
    "no-momentum": {"name": "adam", "betas": (0.0, 0.999)},
}
"""Contestants that are plain training, V3 at the base rates, under another optimiser than the game's: its arguments.

In a comparison, `oadam(betas=(0.0, 0.9))` sets further arguments, and `CONTROLLER(optimizer='oadam')` gives any
controller another optimiser.
"""
PLAIN = "sim-gda"


FACTORY = "its factory must be callable as factory(text, **options), with the text behind the colon or None"


def make_controller(name: str, **options: object) -> Controller:
    """Makes the controller called `name`, e.g. `dyn-gda`, `constant:2`, `alt-gda-5`, with options by keyword.

    Options may also stand in the name, as plain values in brackets: `dyn-gda(c1=1.2, c2=0.8)`.

    Examples:
        >>> make_controller("dyn-gda(c1=1.2)")
        dyn-gda(c1=1.2, reuse_real=True)
        >>> make_controller("constant:2")
        constant(multiplier=2)

    Raises:
        ValueError: If the name, what follows it or an option is unknown or unfit; the message names the way out.
    """
    stem, text, written = parse_controller(name)
    for option in written:
        if option in options:
            raise ValueError(f"{stem}: {option} is given twice, in the name ({name!r}) and as an option")
    options = {**options, **written}
    if stem in OPPONENTS:
        raise ValueError(
            f"controller {name!r} changes the game's optimizer, which contestants of a comparison alone can (gan-env "
            f"bench, agents.compare); elsewhere use {PLAIN}, and optimizer={OPPONENTS[stem]!r} as a setting of the game"
        )
    factory = CONTROLLERS[stem]
    if isinstance(factory, Lazy):
        factory = factory.load()
    argument = getattr(factory, "argument", None)
    texts = _texts(stem, factory, text)
    build = getattr(factory, "build", factory)
    _check_options(stem, build, options, positional=not texts, read_later=argument and argument.option)
    try:
        inspect.signature(factory).bind(*texts, **options)
    except TypeError as error:
        raise ValueError(f"controller {stem!r} cannot be made ({error}); {FACTORY}") from error
    return factory(*texts, **options)


def list_controllers() -> list[str]:
    """Lists names that `make_controller` takes; those that need an argument are listed with a usual one.

    Examples:
        >>> [name for name in list_controllers() if name.startswith("gcann")]
        ['gcann', 'gcann:image', 'gcann:literal', 'gcann:voxels']
    """
    names = []
    for name in CONTROLLERS.usable():
        examples = getattr(CONTROLLERS[name], "examples", None)
        names += [name] if examples is None else examples
    return sorted(names)


def controller_note(name: str) -> str:
    """Returns the note that lists and tables print behind a controller's name, e.g. of `lookahead`; else ""."""
    return getattr(_registered(name), "note", "")


def controller_summary(name: str) -> str:
    """Describes a contestant on one line; one of a plug-in by the first line of its factory's docstring."""
    if name in OPPONENTS:
        arguments = ", ".join(f"{key}={value!r}" for key, value in OPPONENTS[name].items())
        return f"Plain training under optimizer {arguments}; in comparisons alone."
    found = _registered(name)
    summary = getattr(found, "summary", None)
    text = (inspect.getdoc(found) or "").split("\n")[0] if summary is None else summary
    argument = getattr(found, "argument", None)
    letter = getattr(argument, "usage", "")[-1:]
    given = _split(name.partition("(")[0])[1]
    if argument is None or not given:
        return text
    with_value, times = re.subn(rf"\b{letter}\b", f"{letter} = {given}", text, count=1)
    return with_value if times else f"{text} ({argument.option} {given})"


def controller_label(name: str) -> str:
    """Returns a controller's label in rows and tables, which marks one that learns within the judged run.

    >>> controller_label("fsco"), controller_label("sim-gda")
    ('fsco (embedded)', 'sim-gda')
    """
    embedded = getattr(_registered(name), "embedded", False)
    return f"{name} {EMBEDDED}" if embedded and EMBEDDED not in name else name


def is_registered(name: str) -> bool:
    """Tells whether the name is a registered controller's, or one of those that are chosen on tune seeds."""
    return _registered(name) is not None or _stem(name) in TUNED


def _registered(name: str) -> object:
    stem = _stem(name)
    return CONTROLLERS.get(PLAIN if stem in OPPONENTS else stem)


def parse_controller(name: str) -> tuple[str, str | None, dict[str, object]]:
    """Splits a name into registered name, argument or None, and options.

    >>> parse_controller("alt-gda-5"), parse_controller("dyn-gda(c1=1.2)")
    (('alt-gda', '5', {}), ('dyn-gda', None, {'c1': 1.2}))

    Raises ValueError where the brackets hold anything but options with plain values; nothing in them is run.
    """
    head, bracket, inside = name.partition("(") if isinstance(name, str) else (name, "", "")
    options: dict[str, object] = {}
    if bracket:
        try:
            call = ast.parse(f"f({inside}", mode="eval").body
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
                raise ValueError
            options = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords if each.arg}
            if len(options) != len(call.keywords):
                raise ValueError
        except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
            raise ValueError(
                f"controller {name!r}: brackets hold options with plain values, e.g. dyn-gda(c1=1.2, c2=0.8)"
            ) from None
    return (*_split(head), options)


def is_embedded(name: str) -> bool:
    """Tells whether the controller learns within the run that it is judged on: never ranked with frozen ones."""
    return EMBEDDED in name or (getattr(_registered(name), "embedded", False) and " (" not in name)


def is_learned(name: str) -> bool:
    """Tells whether a ranking needs the controller's open-loop replay, too: it was learned, or is unknown."""
    if UNTRAINED in name or REPLAY in name or _stem(name) in TUNED:
        return False
    found = _registered(name)
    return found is None or getattr(found, "embedded", False) or getattr(found, "learned", False)


def _stem(name: str) -> str:
    return re.split(r"[ :(]", re.sub(r"(alt-gda)-.*", r"\1", name))[0]


def _split(name: str) -> tuple[str, str | None]:
    """`name` as registered name and argument: after a colon, or after the hyphen of `alt-gda-N`."""
    stem, colon, text = name.partition(":")
    if not colon and (dashed := re.fullmatch(r"(alt-gda)-(.*)", name)):
        stem, text = dashed.groups()
        colon = "-"
    return stem, text if colon else None


def _texts(name: str, factory: Callable[..., Controller], text: str | None) -> tuple[str | None, ...]:
    """Returns the arguments before the options: the text, or nothing for a factory (a plain class) without one.

    Raises ValueError if there is a text all the same.
    """
    first = next(iter(inspect.signature(factory).parameters.values()), None)
    if first is not None and (
        first.kind is first.VAR_POSITIONAL
        or first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
        and (first.name == "text" or first.default in (None, first.empty))  # any other default is an option's
    ):
        return (text,)
    if text is not None:
        raise ValueError(f"controller {name!r} takes no text, got {text!r}; write {name!r}. To take one, {FACTORY}")
    return ()


def _check_options(
    name: str, build: Callable, options: dict[str, object], *, positional: bool, read_later: str | None
) -> None:
    """Raises ValueError for an option that is unknown or of the wrong type; `read_later` may still be text."""
    parameters = inspect.signature(build).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return  # the factory checks its own
    kinds = (inspect.Parameter.KEYWORD_ONLY, *([inspect.Parameter.POSITIONAL_OR_KEYWORD] if positional else []))
    known = sorted(p.name for p in parameters if p.kind in kinds)
    for option in options:
        if option not in known and not known:
            raise ValueError(f"{name} has no options, got {option!r}")
        if option not in known:
            raise unknown(f"{name} option", option, known)
    check_types(name, _hints(build), {option: value for option, value in options.items() if option != read_later})


def _hints(build: Callable) -> dict[str, Any]:
    """Returns the annotations of the parameters of anything callable."""
    while isinstance(build, functools.partial):
        build = build.func
    whole = [build, build.__init__] if inspect.isclass(build) else [build]
    try:
        return dict(each for part in whole for each in get_type_hints(part).items())
    except (NameError, TypeError):  # a name for type checkers alone, or an object that can be called: left to itself
        return {}
