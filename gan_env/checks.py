"""What a setting must be; one wording for the same mistake everywhere."""

from __future__ import annotations

import math
from numbers import Integral, Real

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
