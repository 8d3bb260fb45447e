"""Measures the amplitude of oscillations in a series of losses, and tests whether they are periodic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SLOWEST = 4
"""Fewest swings in a series; anything slower counts as a trend."""


@dataclass(frozen=True)
class Swing:
    """Oscillation of one player's detrended loss."""

    amplitude: np.ndarray
    """(4,): root of twice the variance, by quarter of the series."""
    period: float
    """The strongest, in rows."""
    share: float
    """Of the power within a fifth of the strongest frequency; in a short series noise has a large one, too."""
    chance: float
    """At most the probability that noise has so strong a period."""


def swing_of(values: np.ndarray) -> Swing:
    """Computes the swing of a series of at least 20 values."""
    t = np.linspace(-1, 1, len(values))
    rest = values - np.polynomial.Polynomial.fit(t, values, 3)(t)
    power = np.abs(np.fft.rfft(rest * np.hanning(len(rest)))) ** 2
    power[:SLOWEST] = 0.0
    peak = int(power.argmax())
    near = slice(int(np.floor(0.8 * peak)), int(np.ceil(1.2 * peak)) + 1)
    period = len(values) / max(peak, 1)
    return Swing(
        amplitude=_amplitude(values, period),
        period=period,
        share=float(power[near].sum() / max(power.sum(), 1e-300)),
        chance=_chance(rest),
    )


def _amplitude(values: np.ndarray, period: float) -> np.ndarray:
    # What grows by orders of magnitude bends any fit at its small end; a mean over a period leaves nothing of it.
    window = min(max(round(period), 3), len(values) // 4)
    padded = np.pad(values, (window // 2, window - 1 - window // 2), mode="reflect")
    rest = values - np.convolve(padded, np.full(window, 1 / window), "valid")
    return np.array([np.sqrt(2) * part.std() for part in np.array_split(rest, 4)])


def _chance(rest: np.ndarray) -> float:
    """Fisher's test of the largest share g that one frequency has of a series' squares (Proc. R. Soc. A 125, 1929).

    In white noise one frequency has more than g with probability (1 - g)^(m - 1), m half the degrees of freedom, and
    that times the number of frequencies is an upper bound for the largest, close where it is small. Frequencies half
    a bin apart are tried, so that no period falls between two. Losses drift, so that neighbours are alike: that much of
    each value as follows from the one before is taken out first, or a random walk would pass for a period.
    """
    alike = float((rest[1:] * rest[:-1]).sum() / max((rest**2).sum(), 1e-300))
    white = rest[1:] - alike * rest[:-1]
    n = len(white)
    power = np.abs(np.fft.rfft(white, 2 * n))[2 * SLOWEST : n] ** 2
    g = min(float(2 * power.max() / max(n * (white**2).sum(), 1e-300)), 1.0)
    free = n - 4  # the trend took four
    return float(min(len(power) * (1 - g) ** (free / 2 - 1), 1.0))
