"""GCANN: both learning rates and who updates, from windows of the two losses. Our reading of a README without code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import get_type_hints

import torch
from torch import Tensor

from gan_env.argument_checks import check_types
from gan_env.registry import unknown
from gan_env.types import Control, GameFacts, Measurement

from .scripted import Argument, Law, Memory, check_positive, scripted

RULES = ("both", "d-paused", "g-paused", "d-skipped", "g-skipped", "deadlock")
"""Why these players update, by number. "deadlock": nobody was to train, so the player with the larger loss does."""


@dataclass(frozen=True, kw_only=True)
class GcannConfig:
    """Settings of GCANN; the defaults are the preset "damped". An iteration is one decision.

    "Printed" is the source's own value, for images (CelebA, DCGAN) and for voxels; what it leaves out is our choice.
    """

    window: int = 100
    """Iterations between two evaluations. Printed for images; not given for voxels."""
    max_loss_diff: float = 3.0
    """Gap of the window means that triggers an adjustment. Printed for both."""
    slope_range: tuple[float, float] = (-0.1, 0.1)
    """Bounds of the slope threshold, which starts at the upper one (ours); printed, voxels (0.001, 0.2), but unused.

    The lower bound never triggers, a shrinking gap being good news, and counts as 1e-6 at least. Slopes are per
    iteration, so at 0.1 the gap must grow by 10 within one window of 100.
    """
    aggressiveness: float = 0.1
    """Share by which the threshold is set below the steepest stable slope. Not given; ours."""
    slope_scale: float = 1.0
    """Factor on the threshold. Printed as "slope_thresh_scale" with neither value nor rule; ours: constant."""
    max_slope_decay: float = 1.0
    """Factor on the old steepest slope at an update. Printed: none, i.e. 1, and the threshold freezes; 0.9 adapts."""
    d_pause: float = 0.025
    """D loss (`d_sum`) at or below which D is not trained in this iteration. Printed for images."""
    g_pause: float = 0.01
    """G loss at or below which G is not trained in this iteration. Printed for images."""
    d_skip: float = 0.05
    """D loss at or below which, above `d_pause`, D is skipped for some iterations. Printed for images."""
    g_skip: float = 0.05
    """The same for G. Printed for images."""
    skip_iterations: int = 5
    """Base length of a skip, in iterations. Printed as "p" without a value; ours."""
    max_skip_iterations: int = 25
    """Longest skip. Printed: images 25, voxels 30."""
    skip_growth: float = 1.1
    """Factor on the skip length when D lags, divisor when D overpowers. Printed in words; the number is ours."""
    skip_limits: tuple[float, float] = (0.25, 4.0)
    """Bounds of the scale of the skip length. Ours."""
    cooldown: int = 100
    """Least iterations between two adjustments. Printed: images 100, voxels 150; counted in iterations (ours)."""
    baseline_epochs: int = 1
    """Epochs before the first adjustment. Printed for images. Where data never end, one window counts as an epoch."""
    alpha: float = 0.2
    """Size of a change of D's rate. Printed for voxels: 0.8, a cut to a fifth; ours here: 0.2."""
    beta: float = 0.2
    """The same for G's rate. Printed for voxels: 0.6."""
    symmetric: bool = True
    """Whether down is ÷(1 + size), the inverse of up; printed is ×(1 − size), so that one down and one up shrink."""
    rate_limits: tuple[float, float] = (0.01, 10.0)
    """Bounds of each rate, in units of its base rate. Ours: as printed, the rates drift towards 0."""
    trigger: str = "pseudo"
    """What triggers: gap or slope too large ("pseudo", the pseudo-code); too steep, D ahead by too much, or D behind at
    all ("prose", which for bce fires at the equilibrium, where `d_sum` is twice G's loss)."""
    literal: bool = False
    """Whether to keep two printed slips: skipping *above* the skip thresholds, and a threshold set anew each window."""

    def __post_init__(self):
        check_types("gcann", get_type_hints(GcannConfig), vars(self))
        if self.trigger not in ("pseudo", "prose"):
            raise unknown("gcann trigger", self.trigger, ["pseudo", "prose"])
        for name in ("window", "skip_iterations", "max_skip_iterations"):
            if getattr(self, name) < 1:
                raise ValueError(f"gcann: {name}={getattr(self, name)} must be at least 1")
        for name in ("slope_range", "skip_limits", "rate_limits"):
            low, high = getattr(self, name)
            if low > high or (name != "slope_range" and low <= 0):
                raise ValueError(f"gcann: {name}=({low}, {high}) must rise, and be > 0 where it bounds a factor")
        check_positive("gcann", skip_growth=self.skip_growth, alpha=self.alpha, beta=self.beta)
        if not self.symmetric and max(self.alpha, self.beta) >= 1:
            raise ValueError(
                f"gcann: alpha={self.alpha} and beta={self.beta} must be below 1 unless symmetric=True; "
                "a cut would end at 0"
            )

    @property
    def d_down(self) -> float:
        """Factor on D's rate if D is too strong."""
        return 1 / (1 + self.alpha) if self.symmetric else 1 - self.alpha

    @property
    def g_down(self) -> float:
        """Factor on G's rate if G is too strong."""
        return 1 / (1 + self.beta) if self.symmetric else 1 - self.beta


_image = GcannConfig(alpha=0.8, beta=0.6, symmetric=False)  # no alpha and beta printed for images: those of voxels
PRESETS = {
    "damped": GcannConfig(),
    "image": _image,
    "voxels": replace(_image, slope_range=(0.001, 0.2), max_skip_iterations=30, cooldown=150),
    # Nothing bounds the rates in print; these bounds only keep a rate a rate.
    "literal": replace(_image, rate_limits=(1e-6, 1e6), literal=True),
}
"""Settings by name; see `gcann`."""


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(name)
    return name


@scripted(
    "gcann",
    argument=Argument(
        option="preset",
        usage="gcann:PRESET",
        needs=f"one of {', '.join(PRESETS)}",
        read=_preset,
        examples=("gcann:image", "gcann:voxels", "gcann:literal"),
        required=False,
    ),
)
def gcann(*, preset: str = "damped", **settings: object) -> Law:
    """Pauses or skips the player that is far ahead, and shifts both rates when the window means drift apart.

    Options: `preset`, and any field of `GcannConfig` on top of it. The presets: "damped" (default) is the image
    setting with rate changes of ×1.2 and ÷1.2; "image" and "voxels" are the printed settings with our repairs;
    "literal" keeps the printed slips. Damped is the default because the printed changes do not cancel: one cut and
    one rise leave 0.36 of D's rate and 0.64 of G's, so that a run that needs correcting now and then stops learning.
    "literal" shows why the repairs are needed: read as printed, nobody trains while both losses are above 0.05. Since
    a control must name somebody, the player with the larger loss trains, and `controller.rule` says "deadlock".

    Losses must not be negative: `reset` refuses games whose losses are signed. The diversity term of the source
    changes the objective, not a control: it is an option of the loss, `bce+diversity` (`gan_env.losses.diversity`).

    Source: evan-sctg/Guided-Convergence-Adversarial-Neural-Networks (README, 2024); no code is published.
    """
    if preset not in PRESETS:
        raise unknown("gcann preset", preset, list(PRESETS))
    known = sorted(f.name for f in fields(GcannConfig))
    for name in settings:
        if name not in known:
            raise unknown("gcann option", name, ["preset", *known])
    return Gcann(replace(PRESETS[preset], **settings))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Gcann:
    """The rule of `gcann`, in the order: read the losses, decide who updates, evaluate at a window's end."""

    config: GcannConfig

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts with base rates, an empty window, and the slope threshold at its upper bound."""
        if game.signed:
            raise ValueError(
                f"gcann compares losses with thresholds that mean nothing for the signed loss {game.loss!r}; "
                "use a loss that is never negative, e.g. bce or lsgan"
            )
        n, c = len(row_seeds), self.config
        gate = c.baseline_epochs * (game.updates_per_epoch or c.window)
        zeros = ("iteration", "cool", "counted", "region_windows", "d_skip", "g_skip", "rule")
        counts = {"gate": gate} | {key: 0 for key in zeros}
        numbers = {key: 0.0 for key in ("d_total", "g_total", "max_slope")}
        numbers |= {key: 1.0 for key in ("skip_scale", "d_rate", "g_rate")}
        numbers |= {"last_gap": torch.nan, "region_slope": -torch.inf, "threshold": c.slope_range[1]}
        return {key: torch.full((n,), value, dtype=torch.int64) for key, value in counts.items()} | {
            key: torch.full((n,), value, dtype=torch.float64) for key, value in numbers.items()
        }

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns who updates, by pauses and skips, and both rates, by the last adjustment."""
        m = dict(memory)
        d_loss, g_loss = seen.d_sum.double(), seen.g_loss.double()
        usable = torch.isfinite(d_loss) & torch.isfinite(g_loss)  # a broken loss must not poison the window
        m["iteration"] = m["iteration"] + 1
        m["cool"] = m["cool"] + 1
        m["counted"] = m["counted"] + usable
        m["d_total"] = torch.where(usable, m["d_total"] + d_loss, m["d_total"])
        m["g_total"] = torch.where(usable, m["g_total"] + g_loss, m["g_total"])

        update_g, update_d = self._who(m, d_loss, g_loss)
        at_end = (m["iteration"] % self.config.window == 0) & (m["counted"] > 0)  # nothing seen says nothing
        if at_end.any():
            self._evaluate(m, at_end, seen.update.to(at_end.device) + 1)
        control = Control.of(
            len(seen),
            update_g=update_g,
            update_d=update_d,
            d_multiplier=m["d_rate"],
            g_multiplier=m["g_rate"],
            device=d_loss.device,
        )
        return control, m

    def _who(self, m: Memory, d_loss: Tensor, g_loss: Tensor) -> tuple[Tensor, Tensor]:
        """Returns this iteration's update masks (G, D) from pauses, running skips and new skips."""
        c = self.config
        d_paused, g_paused = d_loss <= c.d_pause, g_loss <= c.g_pause
        if c.literal:
            d_skipped, g_skipped = d_loss >= c.d_skip, g_loss >= c.g_skip
        else:
            free = (m["d_skip"] == 0) & (m["g_skip"] == 0)  # one skip at a time
            d_ahead, g_ahead = ~d_paused & (d_loss <= c.d_skip), ~g_paused & (g_loss <= c.g_skip)
            start_d = free & d_ahead & ~(g_ahead & (g_loss < d_loss))
            start_g = free & g_ahead & ~start_d
            length = self._skip_length(m)
            m["d_skip"] = torch.where(start_d, length, m["d_skip"])
            m["g_skip"] = torch.where(start_g, length, m["g_skip"])
            d_skipped = g_skipped = torch.zeros_like(free)
        d_skipped, g_skipped = d_skipped | (m["d_skip"] > 0), g_skipped | (m["g_skip"] > 0)
        m["d_skip"], m["g_skip"] = (m["d_skip"] - 1).clamp(min=0), (m["g_skip"] - 1).clamp(min=0)

        d_off, g_off = d_paused | d_skipped, g_paused | g_skipped
        deadlock = d_off & g_off
        rule = torch.zeros_like(m["rule"])
        for name, holds in (
            ("g-skipped", g_skipped),
            ("d-skipped", d_skipped),
            ("g-paused", g_paused),
            ("d-paused", d_paused),
            ("deadlock", deadlock),
        ):
            rule = torch.where(holds, RULES.index(name), rule)
        m["rule"] = rule
        d_larger = d_loss > g_loss
        return torch.where(deadlock, ~d_larger, ~g_off), torch.where(deadlock, d_larger, ~d_off)

    def _skip_length(self, m: Memory) -> Tensor:
        c = self.config
        return (c.skip_iterations * m["skip_scale"]).round().long().clamp(1, c.max_skip_iterations)

    def _evaluate(self, m: Memory, at_end: Tensor, done: Tensor) -> None:
        """Adjusts rates and schedules a skip if a window ends with diverging losses; empties the window.

        `done` counts updates: epochs are made of them, also where a decision holds for many.
        """
        c = self.config
        count = m["counted"].clamp(min=1)
        d_mean, g_mean = m["d_total"] / count, m["g_total"] / count
        gap = (d_mean - g_mean).abs()
        slope = torch.where(m["last_gap"].isnan(), 0.0, (gap - m["last_gap"]) / c.window)
        past_gate = at_end & (done > m["gate"])
        self._update_threshold(m, slope, past_gate)

        d_strong = d_mean < g_mean  # a low D loss is a strong D (the README says both)
        wide, steep = gap > c.max_loss_diff, slope > m["threshold"]
        trigger = wide | steep if c.trigger == "pseudo" else steep | (d_strong & wide) | (d_mean > g_mean)
        adjust = past_gate & (m["cool"] >= c.cooldown) & trigger

        for rate, when_d_strong, otherwise, (low, high) in (
            ("d_rate", c.d_down, 1 + c.alpha, c.rate_limits),
            ("g_rate", 1 + c.beta, c.g_down, c.rate_limits),
            ("skip_scale", 1 / c.skip_growth, c.skip_growth, c.skip_limits),
        ):
            changed = torch.where(d_strong, m[rate] * when_d_strong, m[rate] * otherwise).clamp(low, high)
            m[rate] = torch.where(adjust, changed, m[rate])
        length = self._skip_length(m)
        m["d_skip"] = torch.where(adjust, torch.where(d_strong, length, 0), m["d_skip"])
        m["g_skip"] = torch.where(adjust, torch.where(d_strong, 0, length), m["g_skip"])
        m["cool"] = torch.where(adjust, 0, m["cool"])

        m["last_gap"] = torch.where(at_end, gap, m["last_gap"])
        for key in ("d_total", "g_total", "counted"):
            m[key] = torch.where(at_end, torch.zeros_like(m[key]), m[key])

    def _update_threshold(self, m: Memory, slope: Tensor, at_end: Tensor) -> None:
        """Updates the stable region: when one of two or more windows ends, its maximum sets the threshold."""
        c = self.config
        stable = at_end & (slope < m["threshold"])
        closing = at_end & ~stable
        useful = closing & (m["region_windows"] >= 2) & (m["region_slope"] > 0)
        steepest = torch.maximum(c.max_slope_decay * m["max_slope"], m["region_slope"])
        m["max_slope"] = torch.where(useful, steepest, m["max_slope"])

        threshold = (1 - c.aggressiveness) * m["max_slope"] * c.slope_scale
        if not c.literal:
            threshold = threshold.clamp(max(c.slope_range[0], 1e-6), c.slope_range[1])
        m["threshold"] = torch.where(at_end if c.literal else useful, threshold, m["threshold"])

        region_slope = torch.where(stable, torch.maximum(m["region_slope"], slope), m["region_slope"])
        m["region_slope"] = torch.where(closing, -torch.inf, region_slope)
        m["region_windows"] = torch.where(closing, 0, m["region_windows"] + stable)
