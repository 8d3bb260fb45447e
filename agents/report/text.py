"""Renders rows as tables for a terminal, and as JSON; failed runs are imputed as on the report's page."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..comparison.rows import Row
from ..registry import controller_note, is_embedded
from .blocks import Block, by_controller, make_blocks, paired_difference, ranked, scores
from .comparisons import agreement, mean_score, score_differences
from .statistics import mean_interval
from .tables import measure

GAME = ("part", "task", "loss", "d_lr", "g_lr")
"""Fields that name a configuration in JSON."""


def tables(rows: list[Row], most: int = 6) -> str:
    """Summarises each configuration; where there are more than `most`, on one line."""
    blocks = make_blocks(rows)
    if len(blocks) <= most:
        return "\n\n".join(summary(block.rows) for block in blocks)
    names = sorted(by_controller(rows), key=is_embedded)  # stable: the others keep their order
    lines = [[" ", *names]]
    for block in blocks:
        means = {name: found.value for name in block.controllers if (found := mean_score(block, name))}
        contestants = [name for name in means if not is_embedded(name)]
        best = min(contestants, key=means.__getitem__, default=None)
        cells = [_cell(block, name, means.get(name), name == best) for name in names]
        lines.append([_label(block.facts), *cells])
    widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
    head = "mean score, lower is better; * lowest of those that are not trained online; (n) failed and imputed"
    aligned = ["".join(f"{t:>{w}}" for t, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([head, "", *aligned, *_notes(rows)])


def as_json(rows: list[Row]) -> list[Row]:
    """Lists each configuration with every controller's runs, failures and mean score (None if all failed)."""
    found = []
    for block in make_blocks(rows):
        controllers = {}
        for name, runs in by_controller(block.rows).items():
            mean = mean_score(block, name)
            controllers[name] = {
                "runs": len(runs), "failed": len(runs) - len(scores(runs)), "mean_score": mean and mean.value,
            }  # fmt: skip
        found.append({name: block.facts.get(name) for name in GAME} | {"controllers": controllers})
    return found


def summary(rows: list[Row], *, trained: str = "", untrained: str = "", baseline: str = "sim-gda") -> str:
    """Lists score, paired difference to `baseline`, failures, updates, time and return of each controller.

    Args:
        rows: Rows of one configuration.
        trained: Controller whose return is compared with that of `untrained`, where the rows have both.
        untrained: The same controller before training.
        baseline: Controller that the others are compared with.
    """
    (block,), first, groups = make_blocks(rows), rows[0], by_controller(rows)
    width = max(20, *(len(name) + 2 for name in groups))
    lines = [
        f"{_label(first)}, {first['updates']} updates, {len(block.seeds)} seeds of the split "
        f"{first['split']!r}; score: {measure(first['score_name'])}, lower is better, floor {first['floor']:.3g}",
        "",
        f"{'controller':<{width}}{'score, mean [95 %]':<28}{'minus ' + baseline:<28}{'failed':>7}"
        f"{'D updates':>11}{'G updates':>11}{'s a run':>9}{'return':>10}",
    ]
    names = ranked(rows)
    lines += [f"{name:<{width}}{_line(block, name, baseline)}" for name in names if not is_embedded(name)]
    if online := [name for name in names if is_embedded(name)]:
        lines += ["trained online, during the evaluation run:"]
        lines += [f"{name:<{width}}{_line(block, name, baseline)}" for name in online]
    lines += ["", _agreement(block), *_notes(rows)]
    if trained in groups and untrained in groups:
        gain = mean_interval(paired_difference(rows, trained, untrained, "return"))
        lines.append(f"return of {trained} minus its own untrained actor: {gain}, paired over {gain.n} seeds")
    return "\n".join(lines)


def _label(row: Row) -> str:
    part = "" if row.get("part", "main") == "main" else f"{row['part']}: "
    rates = f"{row['d_lr']:g}" if row["d_lr"] == row["g_lr"] else f"{row['d_lr']:g}/{row['g_lr']:g}"
    return f"{part}{row['task']}, {row['loss']}, {rates}"


def _failed(block: Block, name: str) -> int:
    return int(np.isinf(block.of(name, imputed=False)).sum())


def _cell(block: Block, name: str, mean: float | None, best: bool) -> str:
    if name not in block.controllers:
        return ""
    text = "-" if mean is None else f"{mean:.4g}{'*' if best else ''}"
    return text + (f" ({failed})" if (failed := _failed(block, name)) else "")


def _line(block: Block, name: str, baseline: str) -> str:
    """Formats a controller's line behind its name; † marks imputed scores."""
    failed, score = _failed(block, name), mean_score(block, name)
    shown = "every run failed" if score is None else f"{score}{' †' if failed else ''}"
    difference = ""
    if name != baseline and baseline in block.controllers:
        gap = score_differences(block, name, baseline)
        difference = "-" if gap is None else str(mean_interval(gap))
    rows = by_controller(block.rows)[name]
    mean = {k: _mean([row[k] for row in rows]) for k in ("d_updates", "g_updates", "wall_s", "return")}
    return (
        f"{shown:<28}{difference:<28}{failed:>7}"
        f"{mean['d_updates']:>11.0f}{mean['g_updates']:>11.0f}{mean['wall_s']:>9.2f}{mean['return']:>10.2f}"
    )


def _mean(values: list[float | None]) -> float:
    """Averages the known values: a controller that crashed has no return."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _notes(rows: list[Row]) -> list[str]:
    """Explains names: controllers that are not contestants, chosen constants, crashes."""
    groups = by_controller(rows)
    lines = [f"{name}: {note}" for name in groups if (note := controller_note(name))]
    for name, group in groups.items():
        chosen = Counter(row["runs_as"] for row in group if row.get("runs_as", name) != name)
        if chosen:
            lines.append(f"{name} is " + ", ".join(f"{what} ({n} runs)" for what, n in chosen.most_common()))
        if averaged := [row["score_ema"] for row in group if row.get("score_ema") is not None]:
            lines.append(
                f"{name}, an average of G's weights (half-life {group[0].get('g_ema', float('nan')):g} updates): "
                f"mean score {np.mean(averaged):.4g} (n = {len(averaged)})"
            )
        spent = {row["updates"]: row["selection_updates"].get(name) for row in group if row.get("selection_updates")}
        lines += [
            f"{name} was chosen by {updates:,} updates of GANs on tune seeds, those of {updates / length:,.3g} runs"
            for length, updates in spent.items()
            if updates
        ]
        crashed = [row["failure"] for row in group if row["status"] == "error"]
        if crashed:
            lines.append(f"{name} crashed in {len(crashed)} of {len(group)} runs, first by {crashed[0]}")
    return lines


def _agreement(block: Block) -> str:
    """Describes how far the reward agrees with quality, over all runs and within a controller's."""

    def shown(value: float) -> str:
        return "n/a" if np.isnan(value) else f"{value:+.2f}"

    found = agreement(block)
    within = [value for value in found.within.values() if not np.isnan(value)]
    overall = f"Spearman(return, -score), reward {found.reward}: {shown(found.runs)} over all runs"
    if not within:
        return f"{overall} (+1: the reward agrees with quality)"
    return (
        f"{overall}; within a controller, whose runs differ only in their seeds, median "
        f"{shown(float(np.median(within)))} ({shown(min(within))} to {shown(max(within))}). "
        "+1: the reward agrees with quality"
    )
