"""Writes numbers for people: three significant digits, and no more of an estimate than its interval supports."""

from __future__ import annotations

import math

DIGITS = 3
"""Significant digits of a number."""
MINUS, MISSING = "\u2212", "–"


def number(value: float | None) -> str:
    """Formats three significant digits with a true minus sign; a dash for None and NaN.

    >>> [number(x) for x in (0.08294, 16.78, 308.4, 12_345.0, -2.0, 0.0, 3e-6, None)]
    ['0.0829', '16.8', '308', '12,300', '−2.00', '0', '3.00e−06', '–']
    """
    return _fixed(value, DIGITS)


def count(value: float) -> str:
    """Formats a whole number with separators.

    >>> count(30_000)
    '30,000'
    """
    return f"{round(value):,}".replace("-", MINUS)


def ordinal(place: int) -> str:
    """Writes a place in an order.

    >>> [ordinal(n) for n in (1, 2, 3, 11, 21)]
    ['1st', '2nd', '3rd', '11th', '21st']
    """
    last = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{last}"


def compact(value: float) -> str:
    """Formats a setting, such as a learning rate, as short as it is.

    >>> compact(2e-4), compact(1e-3), compact(300.0)
    ('0.0002', '0.001', '300')
    """
    return f"{value:g}".replace("-", MINUS)


def signed(value: float) -> str:
    """Formats a difference with its sign.

    >>> signed(0.5), signed(-12.34), signed(0.0)
    ('+0.500', '−12.3', '0')
    """
    return number(value) if not value > 0 else f"+{number(value)}"


def estimate(value: float, low: float, high: float, *, sign: bool = False) -> str:
    """Formats an estimate with the ends of its interval, or alone where the interval is unbounded.

    Decimals follow the interval: two significant digits of its half width, and enough that no end is shown as 0 that
    is not 0, for that decides a verdict.

    >>> estimate(116.2, 98.73, 131.9), estimate(-0.00123, -0.0456, 0.0432)
    ('116 [99, 132]', '−0.001 [−0.046, 0.043]')
    >>> estimate(0.035, 0.0241, 16.7), estimate(-180.8, -215.1, -0.004, sign=True)
    ('0.035 [0.024, 16.7]', '−181 [−215, −0.004]')
    """
    shown = signed if sign else number
    if not math.isfinite(low) or not math.isfinite(high):
        return shown(value)
    half = (high - low) / 2
    places = _places(half, 2) if half > 0 else _places(value, DIGITS)
    if not low < 0 < high:
        places = max(places, _places(value, 2))
    texts = []
    for each in (value, low, high):
        own = min(places, _places(each, DIGITS))
        while own < 8 and each != 0 and round(each, own) == 0 and each is not value:
            own += 1
        text = _decimals(each, own)
        texts.append(f"+{text}" if sign and each > 0 else text)
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def p_value(p: float | None) -> str:
    """Formats two digits, three where two would hide that p is below 0.05, a bound where p is tiny; dash for None."""
    if p is None:
        return MISSING
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}" if p < 0.05 <= float(f"{p:.2g}") else f"{p:.2g}"


def p_equals(p: float) -> str:
    """Formats `p = 0.02`, `p < 0.0001`."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def duration(seconds: float) -> str:
    """Formats seconds in a unit that suits their number.

    >>> duration(8.25), duration(600), duration(15_163)
    ('8.2 s', '10.0 min', '4.2 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _places(value: float, digits: int) -> int:
    """Returns how many decimals show so many significant digits of a value; none of a large one."""
    if value == 0 or not math.isfinite(value):
        return 0
    return max(digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}")))), 0)


def _fixed(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return _decimals(float(f"{value:.{digits - 1}e}"), _places(value, digits))


def _decimals(value: float, places: int) -> str:
    """Formats a value with so many decimals; huge ones keep three digits, and none is a negative zero."""
    if abs(value) >= 1e7:
        return f"{value:.{DIGITS - 1}e}".replace("-", MINUS)
    text = f"{value:,.{places}f}" if value else "0"
    return text.lstrip("-") if not text.strip("-0.") else text.replace("-", MINUS)
