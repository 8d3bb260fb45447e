"""Registries that map names to parts (tasks, losses, rewards, features, controllers); errors suggest the nearest name.

Parts come from this package, which registers them on import, and from installed packages, which offer them by entry
points and are imported on first use of their part. So a name means the same in every process.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")
LONGEST_SHOWN = 200
"""Characters of an unknown name that an error shows."""


def unknown(kind: str, name: object, known: list[str]) -> ValueError:
    """Returns the error for an unregistered name, with the nearest known name and the whole list."""
    folded = {each.casefold(): each for each in known}
    asked = "" if name is None else str(name)[:LONGEST_SHOWN].casefold()
    near = difflib.get_close_matches(asked, folded, n=1, cutoff=0.5)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else "."
    given = repr(name)
    if len(given) > LONGEST_SHOWN or "\n" in given:  # a tensor, say
        given = f"{' '.join(given.split()):.{LONGEST_SHOWN}}... ({type(name).__name__})"
    return ValueError(f"unknown {kind} {given}{hint} Known: {', '.join(known)}")


@dataclass(frozen=True)
class Offer:
    """A part that an installed package offers by an entry point; it is imported by `load`."""

    kind: str
    name: str
    package: str
    """The distribution and its version, e.g. "acme-gans 1.2"."""
    entry: EntryPoint

    def load(self, fits: Callable[[Any], bool]) -> Any:
        """Imports the part; raises ValueError naming the package if that fails or the part is of another kind."""
        try:
            part = self.entry.load()
        except (Exception, SystemExit) as error:  # whatever somebody else's module stumbles over
            why = f"which cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())})"
            raise ValueError(f"{self.kind} {self.name!r} is offered by {self.package}, {why}; {self._mend}") from error
        if not fits(part):
            why = f"whose {self.entry.value} is a {type(part).__name__} and cannot be one"
            raise ValueError(f"{self.kind} {self.name!r} is offered by {self.package}, {why}; {self._mend}")
        return part

    @property
    def _mend(self) -> str:
        return f"mend or uninstall {self.package.split()[0]}"


def _groups() -> list[str]:
    return sorted(group for group in entry_points().groups if group.startswith("gan_env."))


def _offers(kind: str, group: str) -> tuple[Offer, ...]:
    """Returns the parts that installed packages offer in a group, by name; imports none of them."""
    found = entry_points(group=group)
    named = [(e, "an unnamed package" if e.dist is None else f"{e.dist.name} {e.dist.version}") for e in found]
    offers = [Offer(kind, entry.name, package, entry) for entry, package in named]
    return tuple(sorted(offers, key=lambda offer: (offer.name, offer.package)))


def plugins() -> dict[str, str]:
    """Returns the installed packages that offer parts of any kind, with their versions."""
    found = [offer.entry.dist for group in _groups() for offer in _offers("", group)]
    return {dist.name: dist.version for dist in found if dist is not None}


def misplaced(known: list[str]) -> list[tuple[Offer, str]]:
    """Lists parts that installed packages offer in an unknown (e.g. misspelt) entry-point group, with the problem.

    Args:
        known: The known groups.
    """
    found = []
    for group in _groups():
        if group not in known:
            why = unknown("entry-point group", group, known)
            found += [(each, f"{each.name!r} of {each.package} is not used: {why}") for each in _offers("part", group)]
    return found


class Registry(Generic[T]):
    """Parts of one kind by name, e.g. `LOSSES = Registry[Loss]("GAN loss")`.

    Args:
        kind: Name of such a part in errors.
        group: Entry-point group for parts of other packages; by default they cannot offer any.
        fits: Checks whether an object from an entry point can be a part.
        built_in: Module that registers our own parts; it is imported before the first lookup.
    """

    kind: str
    group: str

    def __init__(self, kind: str, group: str = "", fits: Callable[[Any], bool] = callable, built_in: str = ""):
        self.kind, self.group, self._fits, self._built_in = kind, group, fits, built_in
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    @property
    def _parts(self) -> dict[str, T]:
        if self._built_in:
            module, self._built_in = self._built_in, ""  # which looks here itself while it is imported
            import_module(module)
        return self._registered

    def add(self, name: str, part: T) -> T:
        """Registers `part`; raises ValueError if the name is taken, so that nothing is replaced silently."""
        if name in self._parts:
            raise ValueError(f"{self.kind} {name!r} is already registered")
        self._parts[name] = part
        return part

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda part: self.add(name, part)

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """Returns the parts that installed packages offer, by name; imports none of them."""
        return _offers(self.kind, self.group) if self.group else ()

    def problem(self, offer: Offer) -> str:
        """Returns why an offered part cannot be used, "" if it can; imports its package."""
        if offer.name in self._parts:
            return f"{self.kind} {offer.name!r} of {offer.package} is not used, for gan-env has one of that name"
        try:
            self[offer.name]
        except ValueError as error:
            return str(error)
        return ""

    def __getitem__(self, name: str) -> T:
        """Returns the part called `name`.

        Raises ValueError naming the nearest known one; or the package that offers it, where that cannot be loaded or
        another offers the same name.
        """
        if isinstance(name, str):
            if name in self._parts:
                return self._parts[name]
            if name not in self._loaded and (offered := [offer for offer in self.offers if offer.name == name]):
                if len(offered) > 1:
                    rivals = " and ".join(offer.package for offer in offered)
                    raise ValueError(f"{self.kind} {name!r} is offered by {rivals}; uninstall all but one")
                self._loaded[name] = offered[0].load(self._fits)
            if name in self._loaded:
                return self._loaded[name]
        raise unknown(self.kind, name, list(self))

    def get(self, name: str) -> T | None:
        """Returns the part called `name`, or None if there is none or its package cannot be loaded."""
        try:
            return self[name]
        except ValueError:
            return None

    def usable(self) -> list[str]:
        """Returns the names whose part can be loaded; imports every package that offers one."""
        return [name for name in self if self.get(name) is not None]

    def __contains__(self, name: object) -> bool:
        return name in self._parts or any(offer.name == name for offer in self.offers)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._parts, *(offer.name for offer in self.offers)}))

    def __len__(self) -> int:
        return len(list(iter(self)))
