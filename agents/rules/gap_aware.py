"""Gap-aware learning rate: D speeds up when its loss is above the ideal one and slows down when below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_env.types import Control, GameFacts, Measurement

from .scripted import Memory, check_positive, scripted


def ideal_gap_unit(ideal: float) -> float:
    """Returns the unit of gaps to the ideal loss V*: |V*|, or 1 if V* is 0 (wgan), as ports of gap-aware do."""
    return abs(ideal) if abs(ideal) > 1e-9 else 1.0


def smooth_loss(average: Tensor, loss: Tensor, alpha: float) -> Tensor:
    """Computes the moving average α V̂ + (1 − α) L in float64; non-finite losses leave it unchanged."""
    loss = loss.double()
    return torch.where(torch.isfinite(loss), alpha * average + (1 - alpha) * loss, average)


def check_share(name: str, **options: float) -> None:
    """Raises ValueError naming the first of a controller's options that is not in [0, 1)."""
    for option, value in options.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}: {option}={value} must be in [0, 1)")


@scripted("gap-aware")
@dataclass(frozen=True, kw_only=True)
class GapAware:
    """V3 with D's rate at s × base, where s follows the gap between D's loss and the ideal loss V*.

    V̂ is a moving average of `d_sum` (no penalties) that starts at V*, x = |V̂ − V*|, and

        s = min(f_max ^ (x / x_max), f_max)  where V̂ ≥ V*: D is too weak, faster
        s = max(h_min ^ (x / x_min), h_min)  where V̂ < V*: D is too strong, slower

    The average takes in the current batch before s is computed. s multiplies the base rate and never compounds.

    Source: Hazimeh & Ponomareva, AISTATS 2023, arXiv:2302.00089, read from the authors' notebook. Ours: gaps of 0.1
    where V* = 0, since a tenth of V* would divide by zero there; a loss that is not finite is left out.
    """

    alpha: float = 0.95
    """Weight of the past in the moving average; from the authors' notebook, whether the paper's too is unknown."""
    h_min: float = 0.1
    """Least multiplier, reached at a gap of `x_min` below V*."""
    f_max: float = 2.0
    """Greatest multiplier, reached at a gap of `x_max` above V*."""
    x_min: float | None = None
    """Gap below V* at which D is slowest; None: a tenth of V*, or 0.1 where V* is 0."""
    x_max: float | None = None
    """Gap above V* at which D is fastest; None: as for `x_min`."""
    ideal: float | None = None
    """V*; None: that of the game's loss."""

    def __post_init__(self):
        check_share("gap-aware", alpha=self.alpha)
        check_positive("gap-aware", h_min=self.h_min, f_max=self.f_max, x_min=self.x_min, x_max=self.x_max)
        if not self.h_min <= 1 <= self.f_max:
            raise ValueError(f"gap-aware: h_min={self.h_min} must be at most 1 and f_max={self.f_max} at least 1")

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts the average at V*, with the gaps of this game's loss."""
        ideal = game.ideal_d_loss if self.ideal is None else self.ideal
        gap = 0.1 * ideal_gap_unit(ideal)
        start = {
            "average": ideal,
            "ideal": ideal,
            "x_min": gap if self.x_min is None else self.x_min,
            "x_max": gap if self.x_max is None else self.x_max,
        }
        return {key: torch.full((len(row_seeds),), value, dtype=torch.float64) for key, value in start.items()}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V3 with D's rate by its gap."""
        average = smooth_loss(memory["average"], seen.d_sum, self.alpha)
        gap = average - memory["ideal"]
        faster = self.f_max ** (gap / memory["x_max"]).clamp(0, 1)
        slower = self.h_min ** (-gap / memory["x_min"]).clamp(0, 1)
        s = torch.where(gap >= 0, faster, slower)
        return Control.of(len(seen), d_multiplier=s, device=s.device), memory | {"average": average}
