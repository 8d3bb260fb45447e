"""Checks of arguments and settings; the same mistake has the same message everywhere."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gan_env.registry import unknown

T = TypeVar("T")
LARGEST_COUNT = 2**53
"""Largest bound up to which float64 represents every whole number."""
LONGEST_TEXT, MOST_ENTRIES = 4_000, 10_000
"""Limits for a setting that is read from a file: characters of a text, entries of a list or a record."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Terminal control characters, and lone surrogates, which UTF-8 cannot encode."""


def one_of(field: str, value: object, known: tuple[str | None, ...]) -> None:
    """Raises ValueError unless the value is one of these."""
    if not (value is None or isinstance(value, str)) or value not in known:
        raise unknown(field, value, [str(name) for name in known])


def at_least(field: str, value: object, least: int) -> None:
    """Raises ValueError unless the value is a whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{field}={value!r} must be a whole number of at least {least}")


def is_positive(value: object) -> bool:
    """Returns whether the value is a finite number > 0."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:  # a whole number can be too large for a float
        return False


def plain_text(field: str, value: object) -> None:
    """Raises ValueError unless the value is a text of at least one character, none of them for control."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field}={value!r:.80} must be a text")
    _check_plain(value, field)


def check_types(owner: str, hints: Mapping[str, Any], values: Mapping[str, object]) -> None:
    """Raises ValueError, naming the owner and the setting, for a value that violates its annotation or is NaN.

    Args:
        owner: Name of what has these settings, e.g. a controller's name.
        hints: Annotation of each setting, from `typing.get_type_hints`; a setting without one may be anything.
        values: Value of each setting.
    """
    for name, value in values.items():
        if name in hints and not _is_a(hints[name], value):
            raise ValueError(f"{owner}: {name}={value!r} must be {_in_words(hints[name])}")


def _is_a(hint: Any, value: object) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is_a(each, value) for each in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        kinds = inner[:1] * len(value) if inner[1:] == (...,) and isinstance(value, (tuple, list)) else inner
        return isinstance(value, (tuple, list)) and len(kinds) == len(value) and all(map(_is_a, kinds, value))
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _fits_float(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _fits_float(value: Real) -> bool:
    """Returns whether a float can hold the number; NaN is none."""
    try:
        return not math.isnan(value)
    except OverflowError:  # a whole number can be too large
        return False


def _in_words(hint: Any) -> str:
    inner = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_in_words, inner))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, inner))
    if get_origin(hint) is tuple:
        return f"({', '.join('...' if each is ... else _in_words(each) for each in inner)})"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "text", type(None): "None"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))


# -- settings in a file -------------------------------------------------------------------------------------------


def record_of(kind: type[T], held: object, path: str = "", *, partial: tuple[type, ...] = ()) -> T:
    """Builds a dataclass from JSON and checks every value against its field's annotation; all configurations use it.

    Args:
        kind: The dataclass. Its fields may hold dataclasses, and tuples of them.
        held: The parsed JSON. Texts must not contain control characters, numbers must be finite and whole ones at most
            2^53, lists and texts must not exceed their limits.
        path: Place of the value in the document, for messages.
        partial: Dataclasses whose fields may be missing; missing fields have their defaults.

    Raises:
        ValueError: For a setting that is unknown, missing or of another type, naming it; or as the dataclass does.
    """
    if not isinstance(held, dict):
        raise ValueError(f"{path.rstrip('.') or 'it'} is a {type(held).__name__}, not settings by name")
    hints = get_type_hints(kind)
    for name in held:
        if name not in hints:
            raise unknown("setting", path + name, sorted(hints))
    for f in fields(kind):  # type: ignore[arg-type]
        if f.name not in held and kind not in partial:
            raise ValueError(f"{path}{f.name} is missing")
    return kind(**{name: _read(hints[name], value, path + name, partial) for name, value in held.items()})


def _read(hint: Any, value: Any, path: str, partial: tuple[type, ...]) -> Any:
    """Converts a JSON value to its field's type; raises ValueError if it is of another type."""
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return record_of(hint, value, f"{path}.", partial=partial)
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or origin is dict:
        _check_plain(value, path)
        if (
            origin is None
            or isinstance(value, dict)
            and all(inner[1] is Any or _is_a(inner[1], v) for v in value.values())
        ):
            return value
    elif origin in (Union, types.UnionType):
        return _read_union(inner, value, path, partial)
    elif origin is tuple and isinstance(value, list) and len(value) <= MOST_ENTRIES:
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(_read(each, v, f"{path}[{i}]", partial) for i, (each, v) in pairs)
    elif hint is Path and isinstance(value, str):
        _check_plain(value, path)
        return Path(value)
    elif not isinstance(value, (dict, list)) and (origin is Literal or isinstance(hint, type)) and _is_a(hint, value):
        _check_plain(value, path)
        return value
    raise ValueError(f"{path}={value!r:.80} is of the wrong type")


def _read_union(kinds: tuple[Any, ...], value: Any, path: str, partial: tuple[type, ...]) -> Any:
    """Converts the value to the first member of the union that accepts it; passes on the error of a record."""
    for each in kinds:
        if is_dataclass(each) and isinstance(value, dict):
            return _read(each, value, path, partial)
        try:
            return _read(each, value, path, partial)
        except ValueError:
            continue
    raise ValueError(f"{path}={value!r:.80} is of the wrong type")


def _check_plain(value: object, path: str, depth: int = 8) -> None:
    """Raises ValueError for a JSON value that no setting can have: too large, too deeply nested, or not printable."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or _CONTROL.search(value):
            raise ValueError(
                f"{path}={value!r:.80} must be at most {LONGEST_TEXT} characters, none of them for control"
            )
    elif isinstance(value, (list, dict)):
        if len(value) > MOST_ENTRIES or not depth:
            raise ValueError(f"{path} holds too much: at most {MOST_ENTRIES} entries, 8 deep")
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_plain(each, path, depth - 1)
    elif isinstance(value, float) and not math.isfinite(value) or isinstance(value, int) and abs(value) > LARGEST_COUNT:
        raise ValueError(f"{path}={value!r:.80} must be a finite number, a whole one at most 2^53")
