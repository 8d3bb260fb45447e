"""Fixed orders and fixed rates: gradient descent-ascent as usually run, its oracle, and the controls for chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gan_env.registry import unknown
from gan_env.types import Control, GameFacts, Measurement

from ..absolute_rates import warn_of_optimizer
from .random_draws import uniform
from .scripted import Argument, Law, Memory, check_positive, positive, scripted


def only_g(choose_g: Tensor) -> Control:
    """Returns V1 where `choose_g`, V2 elsewhere."""
    return Control.of(len(choose_g), update_g=choose_g, update_d=~choose_g, device=choose_g.device)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """The same control at every decision."""

    update_d: bool = True
    d_multiplier: float = 1.0

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Nothing to remember."""
        return {}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns the fixed control."""
        device = seen.g_loss.device
        return Control.of(len(seen), update_d=self.update_d, d_multiplier=self.d_multiplier, device=device), memory


@scripted("sim-gda")
def sim_gda() -> Law:
    """V3 always: both players move, at their base rates.

    Source: DeOliveira 2023, eq. 4 (Sim-GDA).
    """
    return Fixed()


@scripted("frozen-d")
def frozen_d() -> Law:
    """V1 always: the discriminator never learns.

    Not a way to train, but to unmask a reward: an untrained frozen D has a loss gap near 0, the best that FSCO's
    reward knows, while nothing is learnt.
    """
    return Fixed(update_d=False)


@scripted(
    "constant",
    argument=Argument(
        option="multiplier",
        usage="constant:X",
        needs="a number > 0",
        read=positive,
        examples=("constant:2",),
    ),
)
def constant(*, multiplier: float) -> Law:
    """V3 with D's rate at X × base: the opponent that every learning-rate controller must beat.

    Args:
        multiplier: X, above 0.
    """
    return Fixed(d_multiplier=multiplier)


@scripted("ttur")
def ttur(*, ratio: float = 4.0) -> Law:
    """V3 with D's rate at 4 × base (`ratio`) and G's at base: two time scales.

    Source: Heusel et al. 2017, arXiv:1706.08500; 4e-4 for D and 1e-4 for G are the values used with SAGAN. The ratio
    is that of the multipliers: with unlike base rates the ratio of the rates differs.

    Args:
        ratio: Multiplier on D's rate.
    """
    check_positive("ttur", ratio=ratio)
    return Fixed(d_multiplier=ratio)


def _whole(value: Any) -> int:
    number = int(str(value))
    if number < 1:
        raise ValueError(f"{value!r} is below 1")
    return number


@scripted(
    "alt-gda",
    argument=Argument(
        option="d_updates",
        usage="alt-gda-N",
        needs="a whole number N >= 1",
        read=_whole,
        examples=("alt-gda-1", "alt-gda-5"),
    ),
)
@dataclass(frozen=True, kw_only=True)
class Alternating:
    """N discriminator updates, then one generator update, D first.

    Decision i, from 0, is V1 if i ≡ N mod (N + 1), else V2. One decision is one applied field: 30 000 decisions of
    alt-gda-5 hold 25 000 D updates and 5 000 G updates.

    Source: DeOliveira 2023, eq. 5 (Alt-GDA).
    """

    d_updates: int
    """Discriminator updates between two generator updates."""

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Counts decisions from 0."""
        return {"decision": torch.zeros(len(row_seeds), dtype=torch.int64)}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V1 at the end of each round, else V2."""
        i = memory["decision"]
        return only_g(i % (self.d_updates + 1) == self.d_updates), {"decision": i + 1}


@scripted("dirac-oracle", note="an oracle, not ranked")
@dataclass(frozen=True)
class DiracOracle:
    """The order that makes the Dirac-GAN converge: V2 if D scores fake at least as high as real, else V1.

    Written for a D trained to score high on real: at real 0, fake θ and D(x) = ψx the test is the sign of ψθ. On the
    tie V2 (our choice): at ψ = 0 a G update has no gradient, at θ = 0 it could only leave the optimum. In other games
    batch means are compared, which is a heuristic without a proof.

    Source: DeOliveira 2023, eq. 7.
    """

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Nothing to remember."""
        return {}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V1 where real logits exceed fake ones; V2 for NaN."""
        return only_g(seen.fake_logits.double().mean(-1) < seen.real_logits.double().mean(-1)), memory


def _share(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is outside [0, 1]")
    return number


def _seeds(row_seeds: Sequence[int]) -> Memory:
    n = len(row_seeds)
    seed = torch.tensor([int(s) for s in row_seeds], dtype=torch.int64)
    return {"seed": seed, "decision": torch.zeros(n, dtype=torch.int64)}


@scripted(
    "random-order",
    argument=Argument(
        option="g_share",
        usage="random-order:Q",
        needs="a probability from 0 to 1",
        read=_share,
        examples=("random-order:0.45",),
    ),
)
@dataclass(frozen=True, kw_only=True)
class RandomOrder:
    """V1 with probability Q, else V2, whatever is seen.

    The control for Dynamic-GDA (ours): with Q at Dynamic-GDA's own share of G updates, about 0.45 on `ring`, it tells
    whether the choice of moments matters or only the share.
    """

    g_share: float
    """Probability of a generator update."""

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Each row's stream, at its first number."""
        return _seeds(row_seeds)

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """One draw from each row's own stream."""
        drawn = uniform(memory["seed"], memory["decision"])
        return only_g(drawn < self.g_share), memory | {"decision": memory["decision"] + 1}


@scripted("random")
@dataclass(frozen=True, kw_only=True)
class RandomRate:
    """V3 with D's rate at a random multiple of base, log-uniform in (0.1, 10), drawn anew at every decision."""

    low: float = 0.1
    """Least multiplier."""
    high: float = 10.0
    """Bound that no multiplier reaches."""

    def __post_init__(self):
        check_positive("random", low=self.low, high=self.high)
        if self.low >= self.high:
            raise ValueError(f"random: low={self.low} must be below high={self.high}")

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Each row's stream, at its first number."""
        return _seeds(row_seeds)

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """One draw from each row's own stream."""
        drawn = uniform(memory["seed"], memory["decision"])
        multiplier = self.low * (self.high / self.low) ** drawn
        after = memory | {"decision": memory["decision"] + 1}
        return Control.of(len(seen), d_multiplier=multiplier, device=drawn.device), after


SHAPES = ("constant", "linear", "cosine")
"""How a schedule's rates move over the episode."""
FLOOR = 1e-3
"""Share of the first rate that a decay keeps at the end (ours): an update at a rate of exactly 0 would do nothing."""


def share_left(shape: str, done: Tensor, floor: float | Tensor = FLOOR) -> Tensor:
    """Returns the share of the first rate at progress `done` in [0, 1], float64 of the same shape.

    "constant": 1; "linear": a straight line from 1 to `floor`; "cosine": half a cosine from 1 to `floor`.
    """
    if shape == "constant":
        return torch.ones_like(done)
    left = 1 - done if shape == "linear" else (1 + torch.cos(math.pi * done)) / 2
    return floor + (1 - floor) * left


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """V3 with rates that follow an open-loop schedule: it looks at the progress and at nothing else."""

    name: str
    shape: str = "constant"
    floor: float = FLOOR
    d: float = 1.0
    """D's first rate: a multiplier of base, or a rate if `absolute`."""
    g: float = 1.0
    """G's first rate."""
    absolute: bool = False
    """Whether `d` and `g` are learning rates, whatever the base rates are."""
    until: float = 1.0
    """Share of the episode over which the rates fall; they stay at the floor afterwards."""

    def __post_init__(self):
        if not 0 < self.until <= 1:
            raise ValueError(f"{self.name}: until={self.until} must be a share of the episode in (0, 1]")
        if self.shape not in SHAPES:
            raise unknown(f"{self.name} shape", self.shape, list(SHAPES))
        if not 0 < self.floor <= 1:
            raise ValueError(f"{self.name}: floor={self.floor} must be in (0, 1]; a rate of 0 is not a control")

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Returns the two multipliers of the first update where rates are absolute; measurements hold the progress."""
        if self.shape != "constant" and game.episode_updates <= 0:
            raise ValueError(f"{self.name} must know when the run ends; set episode_updates (it is 0, unknown)")
        if not self.absolute:
            return {}
        warn_of_optimizer(self.name, game)
        for field in ("d_lr", "g_lr"):
            if not getattr(game, field) > 0:
                raise ValueError(
                    f"{self.name} sets absolute rates and must know the base rates, but {field} is unknown (0): give "
                    "the game's facts, or in a loop of your own one learning rate for all groups of a player"
                )
        return {
            "d": torch.full((len(row_seeds),), self.d / game.d_lr, dtype=torch.float64),
            "g": torch.full((len(row_seeds),), self.g / game.g_lr, dtype=torch.float64),
        }

    def first(self, memory: Memory) -> tuple[Tensor | float, Tensor | float]:
        """Returns the multipliers of the first update, of D's rate and of G's, of all rows or of each."""
        return (memory["d"], memory["g"]) if self.absolute else (self.d, self.g)

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns both multipliers by the share of the episode that is done."""
        left = share_left(self.shape, (seen.progress.double() / self.until).clamp(0, 1), self.floor)
        d, g = self.first(memory)
        return Control.of(len(seen), d_multiplier=d * left, g_multiplier=g * left, device=left.device), memory


@scripted("linear-decay")
def linear_decay(*, floor: float = FLOOR, until: float = 1.0) -> Law:
    """V3 with both rates falling in a straight line from base to `floor` × base at the end of the episode.

    The floor (ours) keeps the last updates alive: a rate of exactly 0 would be an update that does nothing.

    Args:
        floor: Share of the base rates at the end.
        until: Share of the episode over which they fall; they stay at the floor afterwards.
    """
    return Schedule(name="linear-decay", shape="linear", floor=floor, until=until)


@scripted("cosine-decay")
def cosine_decay(*, floor: float = FLOOR, until: float = 1.0) -> Law:
    """V3 with both rates falling along half a cosine from base to `floor` × base at the end of the episode.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, without restarts; the floor is ours. With a floor of 1/4
    it is the rate's schedule of R3GAN (Huang et al. 2024, arXiv:2501.05441, in its published code), whose γ and β₂ are
    the game's: see `gan_env.Annealing`.

    Args:
        floor: Share of the base rates at the end.
        until: Share of the episode over which they fall; they stay at the floor afterwards.
    """
    return Schedule(name="cosine-decay", shape="cosine", floor=floor, until=until)


@scripted("schedule")
def schedule(*, d: float = 1.0, g: float = 1.0, shape: str = "constant", floor: float = FLOOR) -> Law:
    """V3 with D's rate from `d` × base and G's from `g` × base, both constant, or falling linearly or by a cosine.

    What `best-schedule` of a benchmark is chosen among: `schedule(d=10, g=3, shape='linear')`. Ours.

    Args:
        d: Multiplier on D's rate at the start.
        g: Multiplier on G's rate at the start.
        shape: "constant", "linear" or "cosine".
        floor: Share of the first rates at the end, but for "constant".
    """
    check_positive("schedule", d=d, g=g)
    return Schedule(name="schedule", shape=shape, floor=floor, d=d, g=g)


@scripted("ttur-decay")
def ttur_decay(*, d_lr: float = 5e-3, g_lr: float = 2e-3, shape: str = "linear", floor: float = FLOOR) -> Law:
    """V3 with D's rate falling from 5e-3 and G's from 2e-3, in a straight line, whatever the base rates are.

    The best found that needs neither feedback nor tuning: its constants are the same in every game, chosen once over
    the plane's games and `digits` by `benchmarks/tune_ttur_decay.py`. They are rates of Adam (β₁ = 0.5); another
    optimiser wants others (`d_lr`, `g_lr`). It must know the base rates, for a control multiplies them.
    Source: the two time scales of Heusel et al. 2017, arXiv:1706.08500; rates and decay are ours.

    Args:
        d_lr: D's learning rate at the start.
        g_lr: G's learning rate at the start.
        shape: "constant", "linear" or "cosine".
        floor: Share of both rates at the end.
    """
    check_positive("ttur-decay", d_lr=d_lr, g_lr=g_lr)
    return Schedule(name="ttur-decay", shape=shape, floor=floor, d=d_lr, g=g_lr, absolute=True)
