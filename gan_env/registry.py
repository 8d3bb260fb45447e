"""Names to parts: tasks, losses, rewards, features, controllers. A miss suggests the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Generic, TypeVar

T = TypeVar("T")


def unknown(kind: str, name: object, known: list[str]) -> ValueError:
    """The error for a name nobody registered, with the nearest known name and the whole list."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return ValueError(f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}")


class Registry(Generic[T]):
    """Parts of one kind by name, e.g. `LOSSES = Registry[Loss]("GAN loss")`.

    Args:
        kind: What the parts are, for messages.
        built_in: Module that registers parts of our own when it is imported: before anybody looks.
    """

    def __init__(self, kind: str, built_in: str = ""):
        self.kind, self._built_in = kind, built_in
        self._registered: dict[str, T] = {}

    @property
    def _parts(self) -> dict[str, T]:
        if self._built_in:
            module, self._built_in = self._built_in, ""  # which looks here itself while it is imported
            import_module(module)
        return self._registered

    def add(self, name: str, part: T) -> T:
        """Registers `part`; raises ValueError if the name is taken, so that nothing is replaced in silence."""
        if name in self._parts:
            raise ValueError(f"{self.kind} {name!r} is already registered")
        self._parts[name] = part
        return part

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda part: self.add(name, part)

    def __getitem__(self, name: str) -> T:
        """The part called `name`; raises ValueError naming the nearest known one."""
        if not isinstance(name, str) or name not in self._parts:
            raise unknown(self.kind, name, sorted(self._parts))
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def __len__(self) -> int:
        return len(self._parts)
