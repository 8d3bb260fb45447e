"""What a setting must be; one wording for the same mistake everywhere."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin

from gan_env.registry import unknown


def one_of(field: str, value: object, known: tuple[str | None, ...]) -> None:
    """Raises ValueError unless the value is one of these."""
    if not (value is None or isinstance(value, str)) or value not in known:
        raise unknown(field, value, [str(name) for name in known])


def at_least(field: str, value: object, least: int) -> None:
    """Raises ValueError unless the value is a whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{field}={value!r} must be a whole number of at least {least}")


def is_positive(value: object) -> bool:
    """Whether the value is a finite number > 0."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


def check_types(owner: str, hints: Mapping[str, Any], values: Mapping[str, object]) -> None:
    """Raises ValueError, naming the owner and the setting, for a value that its annotation rules out; NaN is no number.

    Args:
        owner: Whose settings these are, e.g. a controller's name.
        hints: Annotation of each setting, from `typing.get_type_hints`; a setting without one may be anything.
        values: What is to be checked.
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
        return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


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
