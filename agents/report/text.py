"""Finished rows as a table that a person reads in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..comparison.rows import Row
from ..registry import controller_note, is_embedded
from .statistics import mean_interval, spearman


def by_controller(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each controller, in the order in which controllers first appear."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["controller"], []).append(row)
    return groups


def scores(rows: list[Row]) -> np.ndarray:
    """Scores of the rows that did not fail."""
    return np.array([row["score"] for row in rows if row["status"] == "ok"])


def measure(score_name: str) -> str:
    """What a score is: a distance to test data, but for Dirac's, where there are none."""
    return "distance from the saddle" if score_name == "saddle_distance" else f"{score_name} to test data"


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


CONDITION = ("part", "task", "loss", "d_lr", "g_lr")
"""What rows of one table share."""


def conditions(rows: list[Row]) -> list[list[Row]]:
    """Rows by part, task, loss and base rates, in the order in which they first appear."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in CONDITION), []).append(row)
    return list(found.values())


def tables(rows: list[Row], most: int = 6) -> str:
    """A summary of each condition; where there are more than `most`, one line for each."""
    groups = conditions(rows)
    if len(groups) <= most:
        return "\n\n".join(summary(group) for group in groups)
    names = list(dict.fromkeys(row["controller"] for row in rows))
    ranked_apart = [name for name in names if is_embedded(name)]
    names = [name for name in names if not is_embedded(name)] + ranked_apart
    lines = [[" ", *names]]
    for group in groups:
        by = by_controller(group)
        means = {name: float(scores(by[name]).mean()) for name in by if len(scores(by[name]))}
        fit = {name: mean for name, mean in means.items() if name not in ranked_apart}
        best = min(fit, key=fit.__getitem__) if fit else None
        cells = [_cell(by.get(name, []), means.get(name), name == best) for name in names]
        lines.append([_label(group[0]), *cells])
    widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
    head = "mean score, lower is better; * lowest of those that do not learn within the run; (n) failed"
    aligned = ["".join(f"{t:>{w}}" for t, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([head, "", *aligned, *_notes(rows)])


def as_json(rows: list[Row]) -> list[Row]:
    """Each condition with every controller's runs, failures and mean score (None if all failed)."""
    found = []
    for group in conditions(rows):
        cells = {}
        for name, runs in by_controller(group).items():
            ok = scores(runs)
            mean = float(ok.mean()) if len(ok) else None
            cells[name] = {"runs": len(runs), "failed": len(runs) - len(ok), "mean_score": mean}
        found.append({name: group[0].get(name) for name in CONDITION} | {"controllers": cells})
    return found


def _label(row: Row) -> str:
    part = "" if row.get("part", "main") == "main" else f"{row['part']}: "
    rates = f"{row['d_lr']:g}" if row["d_lr"] == row["g_lr"] else f"{row['d_lr']:g}/{row['g_lr']:g}"
    return f"{part}{row['task']}, {row['loss']}, {rates}"


def _cell(rows: list[Row], mean: float | None, best: bool) -> str:
    failed = len(rows) - len(scores(rows))
    text = ("" if not rows else "-") if mean is None else f"{mean:.4g}{'*' if best else ''}"
    return text + (f" ({failed})" if failed else "")


def summary(rows: list[Row], *, trained: str = "", untrained: str = "", baseline: str = "sim-gda") -> str:
    """Score with interval, paired difference to `baseline`, failures, updates, time and return of each controller."""
    first = rows[0]
    groups = by_controller(rows)
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"{_label(first)}, {first['updates']} updates, {seeds} seeds of the split "
        f"{first['split']!r}; score: {measure(first['score_name'])}, lower is better, floor {first['floor']:.3g}",
        "",
        f"{'controller':<{_width(groups)}}{'score, mean [95 %]':<28}{'minus ' + baseline:<28}{'failed':>7}"
        f"{'D updates':>11}{'G updates':>11}{'s a run':>9}{'return':>10}",
    ]
    names = ranked(rows)
    lines += [_line(rows, name, baseline) for name in names if not is_embedded(name)]
    if within := [name for name in names if is_embedded(name)]:
        lines += ["learning within the judged run itself:", *(_line(rows, name, baseline) for name in within)]
    lines += ["", *_agreement(rows)]
    lines += _notes(rows)
    if trained in groups and untrained in groups:
        gain = mean_interval(paired_difference(rows, trained, untrained, "return"))
        lines.append(f"return of {trained} minus its own untrained actor: {gain}, paired over {gain.n} seeds")
    return "\n".join(lines)


def _notes(rows: list[Row]) -> list[str]:
    """What must stand beside names: no competitor; which constant, how often; what a controller broke on."""
    groups = by_controller(rows)
    lines = [f"{name}: {note}" for name in groups if (note := controller_note(name))]
    for name, group in groups.items():
        chosen = Counter(row["runs_as"] for row in group if row.get("runs_as", name) != name)
        if chosen:
            lines.append(f"{name} is " + ", ".join(f"{what} ({n} runs)" for what, n in chosen.most_common()))
        broken = [row["failure"] for row in group if row["status"] == "error"]
        if broken:
            lines.append(f"{name} broke in {len(broken)} of {len(group)} runs, first by {broken[0]}")
    return lines


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
    mean = {k: _mean([row[k] for row in group]) for k in ("d_updates", "g_updates", "wall_s", "return")}
    return (
        f"{name:<{_width(groups)}}{score:<28}{difference:<28}{len(group) - len(found):>7}"
        f"{mean['d_updates']:>11.0f}{mean['g_updates']:>11.0f}{mean['wall_s']:>9.2f}{mean['return']:>10.2f}"
    )


def _width(names: Iterable[str]) -> int:
    """Of the column of controllers."""
    return max(20, *(len(name) + 2 for name in names))


def _mean(values: list[float | None]) -> float:
    """Over what there is: a controller that broke has no return."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _difference(rows: list[Row], name: str, baseline: str) -> str:
    pairs = paired_difference(rows, name, baseline, "score")
    return str(mean_interval(pairs)) if len(pairs) else "-"
