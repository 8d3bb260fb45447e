"""Renders rows as tables for a terminal, and as JSON; failed runs are imputed as on the report's page."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..comparison.rows import Row
from ..registry import controller_note, is_embedded
from .answer import compared, plain
from .blocks import Block, by_controller, make_blocks, paired_difference, ranked, scores, with_short_names
from .columns import Column, TextTable
from .comparisons import agreement, mean_score, score_differences
from .numbers import compact, count, number, ordinal
from .references import marks
from .statistics import mean_interval
from .tables import measure

GAME = ("part", "task", "loss", "d_lr", "g_lr")
"""Fields that name a configuration in JSON."""


def tables(rows: list[Row], most: int = 6, width: int | None = None) -> str:
    """Summarises each configuration; where there are more than `most`, on one line. Fits into `width` columns."""
    return "\n\n".join(table.plain(width) for table in text_tables(rows, most))


def text_tables(rows: list[Row], most: int = 6) -> list[TextTable]:
    """Makes a table of each configuration, or where there are more than `most`, one with a line for each."""
    blocks = make_blocks(with_short_names(rows))
    if len(blocks) <= most:
        return [summary_table(block) for block in blocks]
    names = sorted(by_controller([row for b in blocks for row in b.rows]), key=is_embedded)  # stable
    columns: dict[str, list[str]] = {name: [] for name in names}
    for block in blocks:
        means = {name: found.value for name in block.controllers if (found := mean_score(block, name))}
        contestants = [name for name in means if not is_embedded(name)]
        best = min(contestants, key=means.__getitem__, default=None)
        for name in names:
            columns[name].append(_cell(block, name, means.get(name), name == best))
    known = [marks(block) for block in blocks]
    return [
        TextTable(
            [
                Column("", [_label(block.facts) for block in blocks], numeric=False),
                *(Column(name, cells, rank=place) for place, (name, cells) in enumerate(columns.items(), 2)),
                Column("floor", [number(each.floor) for each in known], rank=len(names) + 2),
                Column("untrained", [number(each.untrained) for each in known], rank=len(names) + 3),
            ],
            "mean score, lower is better; * lowest of those that are not trained online; (n) failed and imputed",
            notes=_notes([row for block in blocks for row in block.rows]),
        )
    ]


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


def summary(
    rows: list[Row], *, trained: str = "", untrained: str = "", baseline: str = "sim-gda", width: int | None = None
) -> str:
    """Lists score, paired difference to `baseline`, failures, updates, time and return of each controller.

    Args:
        rows: Rows of one configuration.
        trained: Controller whose place is told first, and whose return is compared with that of `untrained`, where the
            rows have both.
        untrained: The same controller before training.
        baseline: Controller that the others are compared with.
        width: Columns that the table may take; any number if None.
    """
    (block,) = make_blocks(with_short_names(rows))
    table = summary_table(block, baseline)
    lines = [table.plain(width)]
    if trained in block.controllers:
        lines[:0] = [verdict(block, trained, baseline), ""]
        if untrained in block.controllers:
            gain = mean_interval(paired_difference(block.rows, trained, untrained, "return"))
            lines.append(f"return of {trained} minus its own untrained actor: {gain}, paired over {gain.n} seeds")
    return "\n".join(lines)


def verdict(block: Block, name: str, baseline: str) -> str:
    """Tells a controller's place by mean score, and its difference to the baseline."""
    names = [each for each in ranked(block.rows) if mean_score(block, each)]
    if name not in names:
        return f"{name}: every run failed."
    text = f"{name}: {ordinal(names.index(name) + 1)} of {len(block.controllers)} by mean score"
    if name == baseline or baseline not in names or (gap := score_differences(block, name, baseline)) is None:
        return text + "."
    return f"{text}; {compared(mean_interval(gap), plain(baseline))}."


def summary_table(block: Block, baseline: str = "sim-gda") -> TextTable:
    """Makes the table of a configuration."""
    first, known = block.facts, marks(block)
    names = ranked(block.rows)
    names = [n for n in names if not is_embedded(n)] + [n for n in names if is_embedded(n)]
    lines, verdicts = zip(*((_cells(block, n, baseline), _verdict(block, n, baseline)) for n in names), strict=True)
    titles = ("score, mean [95 %]", f"minus {baseline}", "failed", "return", "s a run", "D updates", "G updates")
    online = [place for place, name in enumerate(names) if is_embedded(name)][:1]
    untrained = "" if known.untrained is None else f", untrained {number(known.untrained)}"
    return TextTable(
        [
            Column("controller", names, numeric=False),
            *(
                Column(title, [line[at] for line in lines], rank, verdicts=list(verdicts) if at == 1 else [])
                for at, (title, rank) in enumerate(zip(titles, (0, 1, 2, 4, 3, 5, 6), strict=True))
            ),
        ],
        f"{_label(first)}, {count(first['updates'])} updates, {len(block.seeds)} seeds of the split "
        f"{first['split']!r}; score: {measure(first['score_name'])}, lower is better, floor {number(known.floor)}"
        f"{untrained}",
        headings=dict.fromkeys(online, "trained online, during the evaluation run:"),
        notes=[_agreement(block), *_notes(block.rows)],
    )


def _verdict(block: Block, name: str, baseline: str) -> int:
    gap = score_differences(block, name, baseline) if name != baseline and baseline in block.controllers else None
    found = None if gap is None else mean_interval(gap)
    return 0 if found is None else int(found.low > 0) - int(found.high < 0)


def _label(row: Row) -> str:
    part = "" if row.get("part", "main") == "main" else f"{row['part']}: "
    d_lr, g_lr = compact(row["d_lr"]), compact(row["g_lr"])
    rates = d_lr if d_lr == g_lr else f"{d_lr}/{g_lr}"
    return f"{part}{row['task']}, {row['loss']}, {rates}"


def _failed(block: Block, name: str) -> int:
    return int(np.isinf(block.of(name, imputed=False)).sum())


def _cell(block: Block, name: str, mean: float | None, best: bool) -> str:
    if name not in block.controllers:
        return ""
    text = "-" if mean is None else f"{number(mean)}{'*' if best else ''}"
    return text + (f" ({failed})" if (failed := _failed(block, name)) else "")


def _cells(block: Block, name: str, baseline: str) -> list[str]:
    """Formats a controller's line behind its name; † marks imputed scores."""
    failed, score = _failed(block, name), mean_score(block, name)
    shown = "every run failed" if score is None else f"{score}{' †' if failed else ''}"
    difference = ""
    if name != baseline and baseline in block.controllers:
        gap = score_differences(block, name, baseline)
        difference = "-" if gap is None else str(mean_interval(gap))
    rows = by_controller(block.rows)[name]
    mean = {k: _mean([row[k] for row in rows]) for k in ("d_updates", "g_updates", "wall_s", "return")}
    return [
        shown, difference, str(failed), number(mean["return"]), number(mean["wall_s"]), count(mean["d_updates"]),
        count(mean["g_updates"]),
    ]  # fmt: skip


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
                f"mean score {number(float(np.mean(averaged)))} (n = {len(averaged)})"
            )
        spent = {row["updates"]: row["selection_updates"].get(name) for row in group if row.get("selection_updates")}
        lines += [
            f"{name} was chosen by {updates:,} updates of GANs on tune seeds, those of {count(updates / length)} runs"
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
