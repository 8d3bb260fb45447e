"""What the rows of each configuration say: scores, paired differences, rate curves, reward against quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats as scipy_stats

from ..registry import TUNED_CONSTANT
from .blocks import CONFIG_FIELDS, Block, Row
from .ranks import holm
from .statistics import (
    Interval,
    area_over_log_rate,
    bootstrap_bounds,
    bootstrap_t_bounds,
    improvement_bounds,
    iqm,
    mean,
    median,
    spearman,
    t_bounds,
    wilson_bounds,
)

BASELINE = "sim-gda"


@dataclass(frozen=True)
class Scored:
    """A controller's scores in one configuration, failures imputed (`Block.imputed`); None where every run failed."""

    block: str
    controller: str
    failure_rate: Interval
    failed: int
    mean: Interval | None
    median: Interval | None
    iqm: Interval | None
    floor: float
    excess: float | None
    """Mean minus floor, the score that fresh real data get."""
    d_updates: float
    g_updates: float
    wall_s: float
    """Mean seconds a run."""
    returned: float | None
    """Mean return; None where every run crashed."""


@dataclass(frozen=True)
class Difference:
    """Scores of a controller minus those of another, paired by seed; below 0 is better than the other."""

    block: str
    controller: str
    other: str
    t: Interval
    bootstrap_t: Interval
    improvement: Interval
    """Probability that a run scores lower than one of the other's."""
    p: float | None
    """Of the paired t test, Holm-adjusted over the controllers of this configuration; None at one seed."""
    imputed: int
    """Failed runs behind it, of either side."""

    @property
    def verdict(self) -> int:
        """-1 if the t interval lies below 0 (better), 1 if above (worse), 0 if it holds 0."""
        return int(self.t.low > 0) - int(self.t.high < 0)


@dataclass(frozen=True)
class RateCurve:
    """A controller's mean score at each base rate of the discriminator, all else the same, over the seeds of all."""

    family: str
    controller: str
    rates: list[float]
    means: list[Interval]
    area: Interval
    """Mean score over the logarithm of the rate."""
    imputed: int


@dataclass(frozen=True)
class Agreement:
    """Spearman(return, −score) in one configuration, over runs that did not fail; +1: the reward fits quality."""

    block: str
    reward: str
    runs: float
    """Over all runs."""
    between: float
    """Over controllers' mean return and mean score."""
    within: dict[str, float]
    """Over the runs of each controller, which differ in their seeds alone."""


def is_constant(name: str) -> bool:
    """Whether the controller multiplies the discriminator's rate by one number throughout; `sim-gda` does by 1."""
    return name == BASELINE or name.startswith(("constant:", TUNED_CONSTANT))


def best_constant(block: Block) -> str | None:
    """`best-constant`, which was chosen on tune seeds, or else the constant with the lowest mean score here.

    The latter is chosen by the very scores it is compared by, so that comparisons err against the controllers. None
    where neither `best-constant` nor a `constant:X` was run.
    """
    if TUNED_CONSTANT in block.controllers:
        return TUNED_CONSTANT
    tried = [name for name in block.controllers if is_constant(name)]
    if not any(name != BASELINE for name in tried):
        return None
    return min(tried, key=lambda name: float(np.nanmean(block.of(name, imputed=True))))


def scored(block: Block) -> list[Scored]:
    """Every controller's scores."""
    return [_scored(block, name) for name in block.controllers]


def _scored(block: Block, name: str) -> Scored:
    rows = [row for row in block.rows if row["controller"] == name]
    found = block.of(name, imputed=True)
    found = found[~np.isnan(found)]
    failed = sum(row["status"] != "ok" for row in rows)
    known = failed < len(rows)
    middle = Interval.of(t_bounds(found), len(found)) if known else None
    averages = {key: float(np.mean([row[key] for row in rows])) for key in ("d_updates", "g_updates", "wall_s")}
    returns = [row["return"] for row in rows if row.get("return") is not None]  # a crashed run has none
    return Scored(
        block.label,
        name,
        Interval.of(wilson_bounds(np.array(failed), len(rows)), len(rows)),
        failed,
        middle,
        Interval.of(bootstrap_bounds(median, found), len(found)) if known else None,
        Interval.of(bootstrap_bounds(iqm, found), len(found)) if known else None,
        float(block.facts["floor"]),
        middle.value - float(block.facts["floor"]) if middle else None,
        averages["d_updates"],
        averages["g_updates"],
        averages["wall_s"],
        float(np.mean(returns)) if returns else None,
    )


def differences(block: Block, other: str) -> list[Difference]:
    """Every controller against `other`, where the two share seeds and failures can be imputed."""
    found = [_difference(block, name, other) for name in block.controllers if name != other]
    made = [d for d in found if d is not None]
    raw = np.array([np.nan if d.p is None else d.p for d in made])
    raw[~np.isnan(raw)] = holm(raw[~np.isnan(raw)])
    return [replace(d, p=None if np.isnan(p) else float(p)) for d, p in zip(made, raw, strict=True)]


def _difference(block: Block, name: str, other: str) -> Difference | None:
    shared = block.common((name, other))
    first, second = (block.of(n, imputed=True)[shared] for n in (name, other))
    if not shared.any() or not np.isfinite([first, second]).all():
        return None
    gap, n = first - second, int(shared.sum())
    raw = [block.of(x, imputed=False)[shared] for x in (name, other)]
    return Difference(
        block.label,
        name,
        other,
        Interval.of(t_bounds(gap), n),
        Interval.of(bootstrap_t_bounds(gap), n),
        Interval.of(improvement_bounds((raw[0], raw[1])), n),
        _t_test(gap),
        int(np.isinf(raw).sum()),
    )


def _t_test(gap: np.ndarray) -> float | None:
    """Two-sided p that the mean is 0; None at one value."""
    n, error = len(gap), gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else 0.0
    if n < 2:
        return None
    if error == 0:
        return float(gap[0] == 0)
    return float(2 * scipy_stats.t.sf(abs(gap.mean()) / error, n - 1))


def rate_curves(blocks: Sequence[Block]) -> list[RateCurve]:
    """Curves of controllers over configurations that differ in the base rates alone (their ratio held), if any do."""
    families: dict[str, list[Block]] = {}
    for block in blocks:
        fixed: Row = {name: block.facts.get(name) for name in CONFIG_FIELDS if name not in ("d_lr", "g_lr")}
        fixed["ratio"] = f"{block.facts['g_lr'] / block.facts['d_lr']:.6g}"
        families.setdefault(repr(fixed), []).append(block)
    found = []
    for group in families.values():
        if len(group) > 1:
            ordered = sorted(group, key=lambda b: b.facts["d_lr"])
            shared = [n for n in ordered[0].controllers if all(n in b.controllers for b in ordered)]
            found += [c for name in shared if (c := _rate_curve(ordered, name)) is not None]
    return found


def _rate_curve(blocks: list[Block], name: str) -> RateCurve | None:
    seeds = set.intersection(*(set(np.array(b.seeds)[b.common([name])].tolist()) for b in blocks))
    if not seeds:
        return None
    columns = [[b.seeds.index(s) for s in sorted(seeds)] for b in blocks]
    found = np.array([b.of(name, imputed=True)[c] for b, c in zip(blocks, columns, strict=True)]).T  # (seeds, rates)
    if not np.isfinite(found).all():
        return None
    failed = sum(int(np.isinf(b.of(name, imputed=False)[c]).sum()) for b, c in zip(blocks, columns, strict=True))
    rates = np.array([b.facts["d_lr"] for b in blocks], float)
    n, facts = len(seeds), blocks[0].facts
    means = [Interval.of(t_bounds(column), n) for column in found.T]
    area = Interval.of(t_bounds(area_over_log_rate(rates, found)), n)
    return RateCurve(f"{facts['task']}, {facts['loss']}", name, rates.tolist(), means, area, failed)


def agreement(block: Block) -> Agreement:
    """Whether the reward ranks runs, controllers, and the runs of one controller as quality does."""
    ok = [row for row in block.rows if row["status"] == "ok"]

    def rank(rows: list[dict]) -> float:
        return spearman([row["return"] for row in rows], [-row["score"] for row in rows])

    groups = {name: [row for row in ok if row["controller"] == name] for name in block.controllers}
    held = [group for group in groups.values() if group]
    between = spearman(
        [float(mean(np.array([row["return"] for row in group]))) for group in held],
        [-float(mean(np.array([row["score"] for row in group]))) for group in held],
    )
    reward = str(block.facts.get("return_name", block.facts.get("reward", "not named")))
    return Agreement(block.label, reward, rank(ok), between, {n: rank(g) for n, g in groups.items()})
