"""A report's tables as Markdown, for a README: cell by cell, ranks with intervals, and tests between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .blocks import Block
from .formatting import interval, number, p_equals, p_value
from .numbers import Report, by_role, make_report
from .published import Cells, read_cells
from .text import measure


def write_markdown(folder: Path, baseline: str, published: Path | None = None) -> str:
    """The tables of a folder of rows.

    Args:
        folder: With the rows.
        baseline: Controller that the others are compared with.
        published: A CSV file of published cells (`read_cells`) to stand beside ours.

    Raises:
        ValueError: As `make_report` and `read_cells`; or if no published cell is among the rows.
    """
    report, blocks = make_report(folder, baseline)
    cells = {} if published is None else read_cells(published)
    ours = {(b.facts["task"], b.facts["loss"], name) for b in blocks for name in b.controllers}
    if published is not None and not ours & set(cells):
        raise ValueError(f"{published}: none of its cells is among the rows; name tasks, losses and controllers alike")
    return markdown(report, blocks, cells)


def markdown(report: Report, blocks: Sequence[Block], published: Cells) -> str:
    """The tables, with what must be said beside them."""
    parts = [_run(report), *_cells(report, blocks, published), *_rates(report), *_ranks(report), *_tests(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def _run(report: Report) -> str:
    facts = report.facts
    command = f"`{facts.command}`" if facts.command else "command not named"
    return (
        f"{command}: {facts.runs} runs of {', '.join(map(str, facts.updates))} updates, {facts.seeds} seeds; "
        f"{', '.join(map(measure, facts.scores))}, lower is better; {'; '.join(facts.machine)}."
    )


def _cells(report: Report, blocks: Sequence[Block], published: Cells) -> list[str]:
    """Medians over seeds with their intervals, the published number below each; who is lowest, here and there."""
    names = report.rivals(report.facts.controllers)
    scores = {(s.block, s.controller): s for s in report.scores}
    head = ["configuration", *names, "floor", *(["lowest here", "lowest there"] if published else [])]
    lines, agreed, compared = [], 0, 0
    for block in blocks:
        medians = {n: s.median for n in names if (s := scores.get((block.label, n))) is not None}
        known = {n: m.value for n, m in medians.items() if m is not None}
        lowest = [n for n, value in known.items() if value == min(known.values())]
        theirs = {
            n: published[key] for n in names if (key := (block.facts["task"], block.facts["loss"], n)) in published
        }
        line = [block.label]
        for name in names:
            found = scores.get((block.label, name))
            text = "" if found is None else "every run failed" if found.median is None else interval(found.median)
            text += f" ({found.failed} failed)" if found is not None and found.failed and found.median else ""
            text = f"**{text}**" if name in lowest else text
            line.append(text + (f"<br>there {number(theirs[name])}" if name in theirs else ""))
        line.append(number(float(block.facts["floor"])))
        if published:
            there = [n for n, value in theirs.items() if value == min(theirs.values())]
            line += [", ".join(lowest), ", ".join(there)]
            compared += bool(there and lowest)
            agreed += bool(set(there) & set(lowest))
        lines.append(line)
    text = "Median over seeds with its 95 % percentile-bootstrap interval; the lowest of each line is bold."
    text += " Failed runs are imputed." if report.failures else ""
    text += f" The lowest is the same as in the published table in {agreed} of {compared} cells." if published else ""
    return [_table(head, lines), text]


def _rates(report: Report) -> list[str]:
    """Area under score against base rate, a table for each role; nothing where rates do not differ."""
    families = list(dict.fromkeys(curve.family for curve in report.rate_curves))
    found = {(curve.controller, curve.family): curve for curve in report.rate_curves}
    parts = []
    for title, names in by_role(report, list(dict.fromkeys(name for name, _ in found))):
        lines = []
        for name in names:
            curves = [found.get((name, family)) for family in families]
            failed = sum(curve.imputed for curve in curves if curve)
            lines.append([name, *("" if c is None else interval(c.area) for c in curves), failed or ""])
        parts += [f"{title}:" if title else "", _table(["controller", *families, "failed"], lines)]
    if not parts:
        return []
    rates = ", ".join(f"{rate:g}" for rate in report.rate_curves[0].rates)
    note = (
        f"Mean score over the logarithm of the base rate ({rates}), with its 95 % t interval; failed runs are imputed."
    )
    return [*parts, note]


def _ranks(report: Report) -> list[str]:
    ranking, thesis = report.ranking, report.thesis
    if ranking is None:
        return ["Nobody is ranked: fewer than two competitors were run on the same seeds of every configuration."]
    head = ["controller", "average rank [95 %]", *(["thesis' average rank"] if thesis else []), "failed runs",
            f"p against {report.baseline}, Holm"]  # fmt: skip
    adjusted = ranking.baseline_p or [None] * len(ranking.controllers)
    columns = zip(ranking.controllers, ranking.ranks, ranking.failures, ranking.runs, adjusted, strict=True)
    lines = [
        [name, interval(rank), *([number(thesis.published.get(name))] if thesis else []), f"{failed} of {runs}",
         "" if name == report.baseline else p_value(p)]
        for name, rank, failed, runs, p in columns
    ]  # fmt: skip
    what = "median scores" if ranking.unit == "configuration" else "scores"
    text = f"Ranks of {what} within {ranking.blocks} blocks (a block is one {ranking.unit}); failures rank last."
    if not ranking.official:
        text += " No official ranking: the best constant multiplier is not among the rows."
    if thesis:
        text += (
            f" The thesis' ranks are recomputed from its 32 cells of one run each; Dynamic-GDA is best in "
            f"{thesis.published_best} of 32 there and in {thesis.ours_best} of {thesis.cells} here."
        )
    return [_table(head, lines), text]


def _tests(report: Report) -> list[str]:
    ranking = report.ranking
    if ranking is None or ranking.friedman is None:
        return []
    text = (
        f"Friedman's test: χ² = {number(ranking.friedman.chi2)}, {p_equals(ranking.friedman.p)}. Nemenyi's critical "
        f"difference at α = 0.05 is {number(ranking.critical_difference)} ranks; its p values of all pairs:"
    )
    lines = [
        [name, *("" if i == j else p_value(p) for j, p in enumerate(row))]
        for i, (name, row) in enumerate(zip(ranking.controllers, ranking.nemenyi, strict=True))
    ]
    return [text, _table(["", *ranking.controllers], lines)]
