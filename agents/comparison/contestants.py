"""Controllers that take part in a comparison, each under the label that its rows carry."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gan_env.envs.config import EnvConfig
from gan_env.registry import unknown

from ..base import Controller
from ..policies.policy_files import load_controller
from ..registry import (
    OPPONENTS,
    TUNED,
    controller_label,
    is_embedded,
    make_controller,
    parse_controller,
)
from .own_settings import own_settings, parse_contestant

_SHARED = ("updates_per_step", "features", "d_loss_scale", "d_lr_range")
"""Settings that an embedded FSCO takes over from its game, unless its name sets them."""
CHANGEABLE = ("optimizer",)
"""Settings of the game that a contestant may change; all others are what contestants are compared under."""


@dataclass(frozen=True)
class Contestant:
    """A controller that takes part in a comparison, under the label that its rows carry.

    It may also train under another optimiser than the game's. It then runs in a batch of its own, from the same weights
    and on the same batches and latents as the others.

    >>> from agents import make_controller
    >>> Contestant("slow", make_controller("constant:0.1")).label
    'slow'
    """

    label: str
    """Written to the field `controller` of its rows; differs between the contestants of a game."""
    controller: Controller
    runs_as: str = ""
    """What the controller was made from, where the label does not tell: of `best-constant`, the constant; of
    `best-schedule`, the schedule."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the game that it changes, by name: of `CHANGEABLE`."""

    def __post_init__(self) -> None:
        for name in self.settings:
            if name not in CHANGEABLE:
                raise unknown("setting that a contestant may change", name, list(CHANGEABLE))


def game_of(contestants: Sequence[Contestant], game: EnvConfig) -> EnvConfig:
    """Returns the game as these contestants train it; raises ValueError if they change it in different ways."""
    settings = contestants[0].settings
    for each in contestants:
        if each.settings != settings:
            raise ValueError(
                f"contestants {contestants[0].label!r} and {each.label!r} train under different settings of the game "
                "and share no batch; run them apart"
            )
    return EnvConfig.of(game, **settings) if settings else game


def by_settings(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Splits contestants' names into those that can share a batch, in order; those that change nothing come first."""
    groups: dict[str, list[str]] = {repr({}): []}
    for name in names:
        groups.setdefault(repr(own_settings(name)), []).append(name)
    return [tuple(group) for group in groups.values() if group]


def file_of(name: str) -> Path | None:
    """Returns the file that a controller's name refers to, or None."""
    if name.endswith(".safetensors") and ":" not in name:
        return Path(name)
    stem, text, _ = parse_controller(name)
    return Path(text) if stem in ("replay", "autoloss") and text else None


def file_hash(path: Path) -> str:
    """Hashes a file's bytes; raises OSError if the file cannot be read."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def make_contestant(name: str, game: EnvConfig) -> Contestant:
    """Makes a controller for a game from its name or from the path of its file.

    >>> make_contestant("fsco", EnvConfig(updates_per_step=10)).label
    'fsco (embedded)'

    Raises:
        ValueError: If the name is unknown, or an option or the file does not fit.
    """
    path = file_of(name)
    if path is not None and str(path) == name:
        controller = load_controller(path)
        return Contestant(name, controller, f"{controller.name} {file_hash(path)}")
    if Path(name).is_file():
        raise ValueError(f"controller {name!r} is a file, but none of a controller: those end in .safetensors")
    stem, text, options, settings = parse_contestant(name)
    if stem in TUNED:
        raise ValueError(
            f"controller {name!r} is chosen on tune seeds, by gan-env bench alone; name a constant:X or a schedule(...)"
        )
    if stem == "fsco":
        options = {field: getattr(game, field) for field in _SHARED if getattr(game, field) is not None} | options
    full = stem if text is None else f"{stem}:{text}"
    runs_as = "" if path is None else f"{name} {file_hash(path)}"
    if parse_controller(name)[0] in OPPONENTS:
        runs_as = f"{stem}(optimizer={settings['optimizer'].as_json()!r})"
    return Contestant(controller_label(name), make_controller(full, **options), runs_as, settings)


def make_contestants(
    given: Mapping[str, str | Path | Controller] | Iterable[str | Path | Controller | Contestant], game: EnvConfig
) -> list[Contestant]:
    """Makes contestants of names, files and controller objects.

    An object is labelled by its attribute `name`, or else by its class; objects that would share a label are numbered.
    The keys of a mapping are labels.

    Raises:
        ValueError: If a name stands twice, if an item is no controller, or as `make_contestant`.
    """
    if isinstance(given, (str, Path)):
        raise ValueError(f"controllers={str(given)!r} is one controller; give a list, e.g. [{str(given)!r}]")
    if isinstance(given, Mapping):
        return [replace(_contestant(each, game), label=str(label)) for label, each in given.items()]
    items = list(given)
    made = [_contestant(each, game) for each in items]
    fixed = [isinstance(item, (str, Path, Contestant)) for item in items]
    taken: set[str] = set()
    for label in (each.label for each, is_fixed in zip(made, fixed, strict=True) if is_fixed):
        if label in taken:
            raise ValueError(f"controllers name {label!r} twice; leave it out once, or give a mapping of labels")
        taken.add(label)
    for at in (at for at, is_fixed in enumerate(fixed) if not is_fixed):
        label = made[at].label
        labels = itertools.chain([label], (f"{label} ({number})" for number in itertools.count(2)))
        made[at] = replace(made[at], label=next(each for each in labels if each not in taken))
        taken.add(made[at].label)
    return made


def _contestant(given: str | Path | Controller | Contestant, game: EnvConfig) -> Contestant:
    if isinstance(given, Contestant):
        return given
    if isinstance(given, (str, Path)):
        return make_contestant(str(given), game)
    if not callable(getattr(given, "act", None)) or isinstance(given, type):
        raise ValueError(f"controllers: {given!r} is no controller's name, file or object")
    name = str(getattr(given, "name", type(given).__name__))
    return Contestant(controller_label(name) if is_embedded(name) else name, given)


def check_contestants(contestants: Sequence[Contestant]) -> None:
    """Raises ValueError if there is none, or if two of one game share a label."""
    if not contestants:
        raise ValueError("name at least one controller")
    labels = [each.label for each in contestants]
    if len(set(labels)) != len(labels):
        raise ValueError(f"a controller's name stands twice among {labels}; rename one")
