"""What a policy does: how often it is at a bound, how much its actions vary, and whether a constant does as well."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from gan_env.envs.actions import CHOICES, Codec
from gan_env.types import Control

from ..comparison.contestants import Contestant
from ..comparison.rows import Row
from ..policies.policy import PolicyController
from ..report.blocks import make_blocks
from ..report.comparisons import score_differences
from ..report.statistics import mean_interval

AT_BOUND = 0.99
"""An action beyond this (either sign) counts as being at the bound."""
PLAYERS = ("G alone", "D alone", "both")
"""What the choices of `update-choice` mean."""


def described(codec: Codec, positions: np.ndarray) -> dict[str, float]:
    """Describes actions (M, A) or choices (M,): mean multipliers and the share at a bound, or the share of each."""
    if codec.axes is None:
        return {f"share_{name.replace(' ', '_')}": float((positions == i).mean()) for i, name in enumerate(PLAYERS)}
    control = codec.decode(positions.astype(np.float64))
    found = {"mean_multiplier": float(control.d_multiplier.log().mean().exp())}
    if codec.axes > 1:
        found["mean_g_multiplier"] = float(control.g_multiplier.log().mean().exp())
    return found | {"share_at_bounds": float((np.abs(positions) > AT_BOUND).mean())}


class Recorded(PolicyController):
    """A policy that counts its own actions, for `Behaviour`."""

    def __init__(self, policy: PolicyController):
        super().__init__(policy.spec, policy.layers, policy.name)
        self.taken: list[np.ndarray] = []
        """Actions (N, A) or choices (N,) of every decision."""

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """See `PolicyController`."""
        actions = super().actions(observations)
        self.taken.append(actions.copy())
        return actions

    def constant(self) -> Contestant:
        """Returns the constant at the mean of its actions, or at its most frequent choice."""
        taken, axes = np.concatenate(self.taken), self.codec.axes
        if axes is None:
            bias = np.bincount(taken, minlength=len(CHOICES)).astype(np.float32)
            value = np.array([bias.argmax()])
        else:
            bias = taken.mean(0, dtype=np.float64).astype(np.float32)
            value = bias[None].astype(np.float64)
        spec = replace(self.spec, output="argmax" if axes is None else "clip", provenance={})
        layer = (torch.zeros(len(bias), self.layers[0][0].shape[1]), torch.from_numpy(bias))
        label = f"constant (mean of {self.name})"
        return Contestant(label, PolicyController(spec, [layer], label), in_words(self.codec.decode(value)))


def in_words(control: Control) -> str:
    """Describes the first row of a control.

    >>> in_words(Control.of(1, d_multiplier=torch.tensor([0.5])))
    'D ×0.5, G ×1, both update'
    """
    g, d = bool(control.update_g[0]), bool(control.update_d[0])
    who = "both update" if g and d else "D alone updates" if d else "G alone updates"
    return f"D ×{float(control.d_multiplier[0]):.3g}, G ×{float(control.g_multiplier[0]):.3g}, {who}"


@dataclass(frozen=True)
class Behaviour:
    """What a policy did in the runs that it was judged by."""

    controller: str
    decisions: int
    at_bound: float | None
    """Share of decisions with any number beyond `AT_BOUND`; None for choices."""
    variance: tuple[float, ...]
    """Of each number of the action, in [-1, 1]; of a choice, one minus the sum of squared shares (Gini)."""
    constant: str
    """The control at the mean of its actions, or its most frequent choice."""
    gain: float | None
    """Mean score minus that constant's on the same seeds, negative if the policy is better; None without scores."""
    interval: tuple[float, float] | None
    """95 % interval of `gain`; None where there are too few seeds for one."""

    @property
    def is_constant(self) -> bool | None:
        """Whether a constant does as well: the interval of `gain` is not below zero. None where there is none."""
        return None if self.interval is None else not self.interval[1] < 0

    @classmethod
    def of(cls, policy: Recorded, constant: Contestant, rows: list[Row]) -> Behaviour:
        """Describes a policy by what it recorded, and by its rows and its constant's."""
        taken = np.concatenate(policy.taken)
        if policy.codec.axes is None:
            shares = np.bincount(taken, minlength=len(CHOICES)) / len(taken)
            at_bound, variance = None, (float(1 - (shares**2).sum()),)
        else:
            at_bound = float((np.abs(taken) > AT_BOUND).any(1).mean())
            variance = tuple(float(v) for v in taken.astype(np.float64).var(0))
        (block,) = make_blocks(rows)
        gap = score_differences(block, policy.name, constant.label)
        found = None if gap is None else mean_interval(gap)
        gain = None if found is None else found.value
        interval = (found.low, found.high) if found is not None and found.bounded else None
        return cls(policy.name, len(taken), at_bound, variance, constant.runs_as, gain, interval)

    def as_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {**asdict(self), "is_constant": self.is_constant}

    def __str__(self) -> str:
        bound = "" if self.at_bound is None else f"{self.at_bound:.0%} of its decisions at a bound, "
        spread = ", ".join(f"{each:.2g}" for each in self.variance)
        if self.gain is None or self.interval is None:
            verdict = "cannot be compared with it: too few scores"
        else:
            gap = f"score minus its {self.gain:.3g} [{self.interval[0]:.3g}, {self.interval[1]:.3g}]"
            how = "does worse" if not self.is_constant else "does better" if self.interval[0] > 0 else "does as well"
            verdict = f"{how} ({gap})" + (": it learned a constant" if how == "does as well" else "")
        which = "their most frequent choice" if self.at_bound is None else "a constant at their mean"
        return f"{self.controller}: {bound}variance of its actions {spread}; {which} ({self.constant}) {verdict}"
