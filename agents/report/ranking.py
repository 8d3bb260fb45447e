"""The ranking: its contestants, average ranks with their tests, performance profiles and relative scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..registry import REPLAY, TUNED_SCHEDULE, controller_note, is_embedded, is_learned
from .blocks import Block, Row
from .comparisons import best_constant
from .rank_tests import Friedman, against, block_ranks, cliques, critical_difference, friedman, nemenyi
from .statistics import Bounds, Interval, Statistic, bootstrap_bounds, iqm, mean, median, profile_bounds, t_bounds

ENOUGH = 10
"""With at least so many configurations each is a block of ranks and tests; with fewer, each seed of each is one."""
POINTS = 60
WIDEST = 100.0
"""Largest multiple of the best median in a profile."""


@dataclass(frozen=True)
class Ranking:
    """Average ranks over blocks; failures rank last. Lists follow `controllers`, the best average rank first."""

    controllers: list[str]
    missing: list[str]
    """What the rows lack for an official ranking; empty if it is official."""
    left_out: dict[str, str]
    """Why each of the other controllers is not ranked."""
    unit: str
    """What a block is: "configuration" (median over its seeds) or "seed of a configuration"."""
    blocks: int
    ranks: list[Interval]
    failures: list[int]
    runs: list[int]
    friedman: Friedman | None
    critical_difference: float | None
    cliques: list[tuple[int, int]]
    """First and last place of each run of controllers that Nemenyi's test does not distinguish."""
    nemenyi: list[list[float]]
    baseline: str | None
    baseline_p: list[float]
    """Of average ranks against the baseline's, Holm-adjusted; empty where the baseline is not ranked."""
    medians: dict[str, list[float]]
    """Median score in each configuration, by its label; infinite where half of the runs failed."""

    @property
    def official(self) -> bool:
        """Whether every configuration has a constant multiplier and the best schedule to rank against."""
        return not self.missing


@dataclass(frozen=True)
class Relative:
    """A controller's scores over all configurations, as multiples of the best median in each; stratified bootstrap."""

    controller: str
    mean: Interval
    median: Interval
    iqm: Interval
    imputed: int


@dataclass(frozen=True)
class Profiles:
    """Share of a controller's runs at or below each multiple of the configuration's best median."""

    thresholds: list[float]
    shares: dict[str, list[Interval]]


def _replayed(rows: Sequence[Row]) -> set[str]:
    """Returns controllers whose open-loop replay is in the rows: as `NAME (replay)`, or as a recording that names them.

    A recording of an agent from a file names the agent, not the file; so does `runs_as`, before the file's hash.
    """
    recorded = {str(row["replay_of"]) for row in rows if row.get("replay_of")}
    names = {row["controller"]: str(row.get("runs_as", "")).rpartition(" ")[0] for row in rows}
    under_its_name = {name.removesuffix(f" {REPLAY}") for name in names if name.endswith(f" {REPLAY}")}
    return under_its_name | recorded | {name for name, agent in names.items() if agent in recorded}


def _left_out(names: Sequence[str], replayed: set[str]) -> dict[str, str]:
    """Gives the reason for every controller that may not be ranked."""
    found = {}
    for name in names:
        if note := controller_note(name):
            found[name] = note
        elif is_embedded(name):
            found[name] = "trained online, during the evaluation run"
        elif is_learned(name) and name not in replayed:
            found[name] = "learned, and the rows lack its open-loop replay (replay:FILE of a recorded run)"
    return found


def rank(blocks: Sequence[Block], baseline: str) -> Ranking | None:
    """Ranks the contestants that were run in every configuration; None for fewer than two, or without shared seeds."""
    names = list(dict.fromkeys(name for block in blocks for name in block.controllers))
    out = _left_out(names, _replayed([row for block in blocks for row in block.rows]))
    for name in names:
        if lacking := sum(name not in block.controllers for block in blocks):
            out.setdefault(name, f"not run in {lacking} of {len(blocks)} configurations")
    contestants = [name for name in names if name not in out]
    shared = [block.common(contestants) for block in blocks] if len(contestants) > 1 else []
    if not shared or not all(s.any() for s in shared):
        return None
    seeds = [np.array([b.of(n, imputed=False)[s] for n in contestants]).T for b, s in zip(blocks, shared, strict=True)]
    return _ranking(blocks, contestants, seeds, out, baseline)


def _missing(blocks: Sequence[Block]) -> list[str]:
    """Says what an official ranking lacks, and in which configurations."""
    lacking = {
        "no constant multiplier (best-constant, constant:X)": [b.label for b in blocks if best_constant(b) is None],
        f"no {TUNED_SCHEDULE}": [b.label for b in blocks if TUNED_SCHEDULE not in b.controllers],
    }
    return [f"{what} was run in {_where(labels, len(blocks))}" for what, labels in lacking.items() if labels]


def _where(labels: Sequence[str], of: int) -> str:
    if len(labels) == of:
        return "any configuration"
    return "; ".join(labels[:3]) + (f" and {len(labels) - 3} more configurations" if len(labels) > 3 else "")


def _ranking(
    blocks: Sequence[Block], contestants: list[str], seeds: list[np.ndarray], out: dict[str, str], baseline: str
) -> Ranking:
    """Computes the ranking from the scores (seeds, contestants) of each configuration."""
    medians = np.array([np.median(scores, axis=0) for scores in seeds])  # infinite where half of the runs failed
    by_configuration = len(blocks) >= ENOUGH
    strata = [medians] if by_configuration else seeds
    table = np.concatenate(strata)
    bounds = t_bounds(*(block_ranks(stratum).T for stratum in strata))
    order = np.argsort(bounds.value, kind="stable")
    average, names, count = bounds.value[order], [contestants[i] for i in order], len(table)
    tested = len(names) > 2 and count > 1
    difference = critical_difference(len(names), count) if tested else None
    runs = [np.concatenate([b.of(name, imputed=False) for b in blocks]) for name in names]  # NaN: not run
    return Ranking(
        controllers=names,
        missing=_missing(blocks),
        left_out=out,
        unit="configuration" if by_configuration else "seed of a configuration",
        blocks=count,
        ranks=[Interval.of(Bounds(*(part[i] for part in bounds)), *map(len, strata)) for i in order],
        failures=[int(np.isinf(found).sum()) for found in runs],
        runs=[int((~np.isnan(found)).sum()) for found in runs],
        friedman=friedman(table) if tested else None,
        critical_difference=difference,
        cliques=[] if difference is None else cliques(average, difference),
        nemenyi=nemenyi(average, count).tolist() if tested else [],
        baseline=baseline if baseline in names else None,
        baseline_p=against(average, count, names.index(baseline)).tolist() if baseline in names else [],
        medians={b.label: m[order].tolist() for b, m in zip(blocks, medians, strict=True)},
    )


def _ratios(blocks: Sequence[Block], names: Sequence[str], *, imputed: bool) -> dict[str, list[np.ndarray]]:
    """Divides each controller's scores by the best median of their configuration; one array per configuration.

    Skips configurations whose best median is not a positive number, and controllers that were not run in all.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in names if all(name in b.controllers for b in blocks)}
    for block in blocks:
        scores = {name: block.of(name, imputed=False) for name in found}
        best = min((float(np.median(s[~np.isnan(s)])) for s in scores.values()), default=np.inf)
        if 0 < best < np.inf:
            for name, parts in found.items():
                values = block.of(name, imputed=imputed)
                parts.append(values[~np.isnan(values)] / best)
    return {name: parts for name, parts in found.items() if parts}


def relative(blocks: Sequence[Block], names: Sequence[str]) -> list[Relative]:
    """Pools scores over configurations as multiples of the best median in each, failures imputed."""
    raw = _ratios(blocks, names, imputed=False)

    def pooled(statistic: Statistic, parts: list[np.ndarray]) -> Interval:
        return Interval.of(bootstrap_bounds(statistic, *parts), *map(len, parts))

    return [
        Relative(
            controller=name,
            mean=pooled(mean, parts),
            median=pooled(median, parts),
            iqm=pooled(iqm, parts),
            imputed=sum(int(np.isinf(part).sum()) for part in raw[name]),
        )
        for name, parts in _ratios(blocks, names, imputed=True).items()
    ]


def profiles(blocks: Sequence[Block], names: Sequence[str]) -> Profiles | None:
    """Computes performance profiles; None where no configuration has a positive best median."""
    ratios = _ratios(blocks, names, imputed=False)
    finite = np.concatenate([p[np.isfinite(p)] for parts in ratios.values() for p in parts]) if ratios else np.zeros(0)
    finite = finite[finite > 0]
    if not len(finite):
        return None
    thresholds = np.geomspace(max(finite.min(), 1 / WIDEST), min(max(finite.max(), 1.01), WIDEST), POINTS)
    shares = {}
    for name, parts in ratios.items():
        bounds = profile_bounds(thresholds, *parts)
        shares[name] = [Interval.of(Bounds(*point), *map(len, parts)) for point in zip(*bounds, strict=True)]
    return Profiles(thresholds.tolist(), shares)
