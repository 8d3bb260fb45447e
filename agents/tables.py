"""Finished rows as a table that a person reads in a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import controller_note, is_embedded
from .stats import mean_interval, spearman

Row = dict[str, Any]


def by_controller(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each controller, in the order in which controllers first appear."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["controller"], []).append(row)
    return groups


def scores(rows: list[Row]) -> np.ndarray:
    """Scores of the rows that did not fail."""
    return np.array([row["score"] for row in rows if row["status"] == "ok"])


def ranked(rows: list[Row]) -> list[str]:
    """Controllers by failures, then by mean score, best first; those that learn within the judged run come last."""
    groups = by_controller(rows)

    def place(name: str) -> tuple[bool, int, float]:
        found = scores(groups[name])
        return is_embedded(name), len(groups[name]) - len(found), float(found.mean()) if len(found) else np.inf

    return sorted(groups, key=place)


def paired_difference(rows: list[Row], first: str, second: str, field: str) -> np.ndarray:
    """`field` of `first` minus that of `second`, seed by seed, over the seeds on which both are there."""
    groups = by_controller(rows)
    other = {row["seed"]: row[field] for row in groups[second]}
    pairs = [(row[field], other[row["seed"]]) for row in groups[first] if row["seed"] in other]
    return np.array([a - b for a, b in pairs if a is not None and b is not None])


def summary(rows: list[Row], *, trained: str = "", untrained: str = "", baseline: str = "sim-gda") -> str:
    """Score with interval, paired difference to `baseline`, failures, updates, time and return of each controller."""
    first = rows[0]
    groups = by_controller(rows)
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"{first['task']}, {first['loss']}, {first['updates']} updates, {seeds} seeds of the split "
        f"{first['split']!r}; score: {first['score_name']} to test data, lower is better, floor {first['floor']:.3g}",
        "",
        f"{'controller':<20}{'score, mean [95 %]':<28}{'minus ' + baseline:<28}{'failed':>7}"
        f"{'D updates':>11}{'G updates':>11}{'s a run':>9}{'return':>10}",
    ]
    names = ranked(rows)
    lines += [_line(rows, name, baseline) for name in names if not is_embedded(name)]
    if within := [name for name in names if is_embedded(name)]:
        lines += ["learning within the judged run itself:", *(_line(rows, name, baseline) for name in within)]
    lines += ["", *_agreement(rows)]
    lines += [f"{name}: {note}" for name in groups if (note := controller_note(name))]
    if trained in groups and untrained in groups:
        gain = mean_interval(paired_difference(rows, trained, untrained, "return"))
        lines.append(f"return of {trained} minus its own untrained actor: {gain}, paired over {gain.n} seeds")
    return "\n".join(lines)


def _agreement(rows: list[Row]) -> list[str]:
    """Does the reward rank runs as quality does, over all of them and among the runs of one controller?"""

    def rank(group: list[Row]) -> float:
        ok = [row for row in group if row["status"] == "ok"]
        return spearman([row["return"] for row in ok], [-row["score"] for row in ok])

    def shown(value: float) -> str:
        return "n/a" if np.isnan(value) else f"{value:+.2f}"

    within = [found for group in by_controller(rows).values() if not np.isnan(found := rank(group))]
    between = f"Spearman(return, -score), reward {rows[0]['return_name']}: {shown(rank(rows))} over all runs"
    if not within:
        return [f"{between} (+1: the reward agrees with quality)"]
    return [
        f"{between}; within a controller, whose runs differ in their seeds alone, median "
        f"{shown(float(np.median(within)))} ({shown(min(within))} to {shown(max(within))}). "
        "+1: the reward agrees with quality"
    ]


def _line(rows: list[Row], name: str, baseline: str) -> str:
    groups = by_controller(rows)
    group, found = groups[name], scores(groups[name])
    score = str(mean_interval(found)) if len(found) else "every run failed"
    difference = "" if name == baseline or baseline not in groups else _difference(rows, name, baseline)
    mean = {k: np.mean([row[k] for row in group]) for k in ("d_updates", "g_updates", "wall_s", "return")}
    return (
        f"{name:<20}{score:<28}{difference:<28}{len(group) - len(found):>7}"
        f"{mean['d_updates']:>11.0f}{mean['g_updates']:>11.0f}{mean['wall_s']:>9.2f}{mean['return']:>10.2f}"
    )


def _difference(rows: list[Row], name: str, baseline: str) -> str:
    pairs = paired_difference(rows, name, baseline, "score")
    return str(mean_interval(pairs)) if len(pairs) else "-"
