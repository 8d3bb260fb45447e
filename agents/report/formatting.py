"""Numbers, intervals and p-values as a report prints them."""

from __future__ import annotations

import math

from .statistics import Interval


def number(value: float | None) -> str:
    """Four digits, with a true minus sign; a dash for None."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if value == math.inf else "−∞" if value == -math.inf else f"{value:.4g}".replace("-", "−")


def interval(found: Interval | None) -> str:
    """Estimate and interval; a dash for None."""
    return "–" if found is None else f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def p_equals(p: float) -> str:
    """`p = 0.02`, `p < 0.0001`."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def p_value(p: float | None) -> str:
    """Two digits, three where two would hide that it is below 0.05; a bound where p is tiny, a dash for None."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}" if p < 0.05 <= float(f"{p:.2g}") else f"{p:.2g}"
