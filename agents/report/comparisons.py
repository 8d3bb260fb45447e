"""Compares controllers in each configuration: scores, paired differences, rate curves, reward against quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats as scipy_stats

from ..registry import TUNED_CONSTANT
from .blocks import CONFIG_FIELDS, Block, Row, by_controller
from .rank_tests import holm
from .statistics import (
    FEWEST,
    Interval,
    area_over_log_rate,
    bootstrap_bounds,
    bootstrap_t_bounds,
    improvement_bounds,
    iqm,
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
    """Of the paired t test, Holm-adjusted over the controllers of this configuration; None under `FEWEST` seeds."""
    imputed: int
    """Imputed runs of either side."""

    @property
    def verdict(self) -> int:
        """-1 if the t interval lies below 0 (better), 1 if above (worse), 0 if it contains 0."""
        return int(self.t.low > 0) - int(self.t.high < 0)


@dataclass(frozen=True)
class RateCurve:
    """A controller's mean score at each base rate of the discriminator, over the seeds that all rates share."""

    family: str
    controller: str
    rates: list[float]
    means: list[Interval]
    area: Interval
    """Mean score over the logarithm of the rate."""
    imputed: int


@dataclass(frozen=True)
class Agreement:
    """Spearman(return, −score) in one configuration over runs that did not fail; +1: reward and quality agree."""

    block: str
    reward: str
    runs: float
    """Over all runs."""
    between: float
    """Over controllers' mean return and mean score."""
    within: dict[str, float]
    """Over the runs of each controller, which differ only in their seeds."""


def is_constant(name: str) -> bool:
    """Whether the controller multiplies the discriminator's rate by a constant; `sim-gda` multiplies by 1."""
    return name == BASELINE or name.startswith(("constant:", TUNED_CONSTANT))


def best_constant(block: Block) -> str | None:
    """Returns `best-constant`, which was chosen on tune seeds, or else the constant with the lowest mean score here.

    The latter is chosen by the scores that are compared, which favours it over the controllers. None where neither
    `best-constant` nor a `constant:X` was run.
    """
    if TUNED_CONSTANT in block.controllers:
        return TUNED_CONSTANT
    tried = [name for name in block.controllers if is_constant(name)]
    if not any(name != BASELINE for name in tried):
        return None
    return min(tried, key=lambda name: float(np.nanmean(block.of(name, imputed=True))))


def mean_score(block: Block, name: str) -> Interval | None:
    """Returns a controller's mean score with its t interval, failures imputed; None where every run failed."""
    if not np.isfinite(block.of(name, imputed=False)).any():
        return None
    found = block.of(name, imputed=True)
    found = found[~np.isnan(found)]
    return Interval.of(t_bounds(found), len(found))


def score_differences(block: Block, name: str, other: str) -> np.ndarray | None:
    """Subtracts `other`'s scores from a controller's, paired by seed; None without shared seeds or imputed scores."""
    shared = block.common((name, other))
    first, second = (block.of(n, imputed=True)[shared] for n in (name, other))
    return first - second if shared.any() and np.isfinite([first, second]).all() else None


def scored(block: Block) -> list[Scored]:
    """Returns every controller's scores."""
    return [_scored(block, name) for name in block.controllers]


def _scored(block: Block, name: str) -> Scored:
    rows = [row for row in block.rows if row["controller"] == name]
    found = block.of(name, imputed=True)
    found = found[~np.isnan(found)]
    failed, floor = sum(row["status"] != "ok" for row in rows), float(block.facts["floor"])
    average = mean_score(block, name)
    returns = [row["return"] for row in rows if row.get("return") is not None]  # a crashed run has none
    return Scored(
        block=block.label,
        controller=name,
        failure_rate=Interval.of(wilson_bounds(np.array(failed), len(rows)), len(rows)),
        failed=failed,
        mean=average,
        median=Interval.of(bootstrap_bounds(median, found), len(found)) if average else None,
        iqm=Interval.of(bootstrap_bounds(iqm, found), len(found)) if average else None,
        floor=floor,
        excess=average.value - floor if average else None,
        d_updates=float(np.mean([row["d_updates"] for row in rows])),
        g_updates=float(np.mean([row["g_updates"] for row in rows])),
        wall_s=float(np.mean([row["wall_s"] for row in rows])),
        returned=float(np.mean(returns)) if returns else None,
    )


def differences(block: Block, other: str) -> list[Difference]:
    """Compares every controller with `other` where the two share seeds and failures can be imputed."""
    found = [_difference(block, name, other) for name in block.controllers if name != other]
    made = [d for d in found if d is not None]
    raw = np.array([np.nan if d.p is None else d.p for d in made])
    raw[~np.isnan(raw)] = holm(raw[~np.isnan(raw)])
    return [replace(d, p=None if np.isnan(p) else float(p)) for d, p in zip(made, raw, strict=True)]


def _difference(block: Block, name: str, other: str) -> Difference | None:
    gap = score_differences(block, name, other)
    if gap is None:
        return None
    shared, n = block.common((name, other)), len(gap)
    raw = [block.of(x, imputed=False)[shared] for x in (name, other)]
    return Difference(
        block=block.label,
        controller=name,
        other=other,
        t=Interval.of(t_bounds(gap), n),
        bootstrap_t=Interval.of(bootstrap_t_bounds(gap), n),
        improvement=Interval.of(improvement_bounds((raw[0], raw[1])), n),
        p=t_test(gap),
        imputed=int(np.isinf(raw).sum()),
    )


def t_test(gap: np.ndarray) -> float | None:
    """Returns the two-sided p that the mean is 0; None under `FEWEST` values.

    As SciPy's `ttest_1samp`, which warns of differences that are nearly equal and divides by 0 where they are equal.
    """
    n = len(gap)
    if n < FEWEST:
        return None
    error = gap.std(ddof=1) / np.sqrt(n)
    if error == 0:
        return float(gap[0] == 0)
    return float(2 * scipy_stats.t.sf(abs(gap.mean()) / error, n - 1))


def rate_families(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Groups configurations that differ only in the base rates, at a constant ratio of the two, by rising rate."""
    families: dict[str, list[Block]] = {}
    for block in blocks:
        fixed: Row = {name: block.facts.get(name) for name in CONFIG_FIELDS if name not in ("d_lr", "g_lr")}
        fixed["ratio"] = f"{block.facts['g_lr'] / block.facts['d_lr']:.6g}"
        families.setdefault(repr(fixed), []).append(block)
    found = [sorted(group, key=lambda b: b.facts["d_lr"]) for group in families.values() if len(group) > 1]
    names = [f"{group[0].facts['task']}, {group[0].facts['loss']}" for group in found]
    own = [n if names.count(n) == 1 else f"{n}, {g[0].facts.get('part')}" for n, g in zip(names, found, strict=True)]
    return list(zip(own, found, strict=True))


def rate_curves(blocks: Sequence[Block]) -> list[RateCurve]:
    """Returns a curve for each family of rates and controller that was run at all of them."""
    found = []
    for family, group in rate_families(blocks):
        shared = [n for n in group[0].controllers if all(n in b.controllers for b in group)]
        found += [c for name in shared if (c := _rate_curve(family, group, name)) is not None]
    return found


def _rate_curve(family: str, blocks: list[Block], name: str) -> RateCurve | None:
    seeds = set.intersection(*(set(np.array(b.seeds)[b.common([name])].tolist()) for b in blocks))
    if not seeds:
        return None
    columns = [[b.seeds.index(s) for s in sorted(seeds)] for b in blocks]
    found = np.array([b.of(name, imputed=True)[c] for b, c in zip(blocks, columns, strict=True)]).T  # (seeds, rates)
    if not np.isfinite(found).all():
        return None
    failed = sum(int(np.isinf(b.of(name, imputed=False)[c]).sum()) for b, c in zip(blocks, columns, strict=True))
    rates = np.array([b.facts["d_lr"] for b in blocks], float)
    n = len(seeds)
    means = [Interval.of(t_bounds(column), n) for column in found.T]
    area = Interval.of(t_bounds(area_over_log_rate(rates, found)), n)
    return RateCurve(family, name, rates.tolist(), means, area, failed)


def agreement(block: Block) -> Agreement:
    """Correlates return with quality over runs, over controllers, and over the runs of each controller."""
    ok = [row for row in block.rows if row["status"] == "ok"]

    def rank(rows: list[dict]) -> float:
        return spearman([row["return"] for row in rows], [-row["score"] for row in rows])

    groups = by_controller(ok)
    between = spearman(
        [float(np.mean([row["return"] for row in group])) for group in groups.values()],
        [-float(np.mean([row["score"] for row in group])) for group in groups.values()],
    )
    reward = str(block.facts.get("return_name", block.facts.get("reward", "not named")))
    return Agreement(block.label, reward, rank(ok), between, {n: rank(groups.get(n, [])) for n in block.controllers})
