"""Renders a report's tables as Markdown, for a README, with published numbers next to ours on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import tables
from .answer import NO_RANKING, official
from .blocks import Block
from .cells import TOO_FEW, Cell, Table, cells, interval
from .comparisons import Scored
from .model import Report, make_report
from .numbers import compact, count, number
from .published import Cells, read_cells
from .tables import measure


def write_markdown(folder: Path, baseline: str, published: Path | None = None) -> str:
    """Returns the tables of a folder of rows.

    Args:
        folder: Folder with the rows.
        baseline: Controller that the others are compared with.
        published: CSV file of published cells (`read_cells`) to print next to ours.

    Raises:
        ValueError: As `make_report` and `read_cells`; or if no published cell is among the rows.
    """
    report, blocks = make_report(folder, baseline)
    found = {} if published is None else read_cells(published)
    ours = {(b.facts["task"], b.facts["loss"], name) for b in blocks for name in b.controllers}
    if published is not None and not ours & set(found):
        raise ValueError(f"{published}: none of its cells is among the rows; use the rows' tasks, losses, controllers")
    return markdown(report, blocks, found)


def markdown(report: Report, blocks: Sequence[Block], published: Cells) -> str:
    """Renders the tables and their notes."""
    medians = [_medians(report, blocks, published), *_unranked_medians(report, blocks)]
    parts = [_run(report), *map(_render, medians), *map(_render, tables.areas(report))]
    if report.ranking is None:
        parts.append(NO_RANKING)
    else:
        parts.append(_render(tables.ranking(report.ranking, report.baseline)))
        if not report.ranking.official:
            parts.append(official(report.ranking))
        if report.thesis is not None:
            parts.append(_render(tables.thesis(report.thesis)))
        if report.ranking.friedman is not None:
            parts += [tables.friedman(report.ranking), _render(tables.nemenyi(report.ranking))]
    return "\n\n".join(parts) + "\n"


def _render(table: Table) -> str:
    """Renders a table below its title and above its notes; a verdict of -1 is bold."""

    def text(cell: Cell) -> str:
        shown = f"**{cell.text}**" if cell.verdict < 0 else cell.text
        return (shown + (f" ({cell.note})" if cell.note else "")).replace("|", "\\|")

    rows = [table.head, cells(*["---"] * len(table.head)), *(line for line in table.lines if not isinstance(line, str))]
    body = "\n".join("| " + " | ".join(map(text, row)) + " |" for row in rows)
    return "\n\n".join([*([f"{table.title}:"] if table.title else []), body, *table.notes])


def _run(report: Report) -> str:
    facts = report.facts
    command = f"`{facts.command}`" if facts.command else "command not given"
    tuning = f" {tables.tuning(report)}." if facts.tuning else ""
    return (
        f"{command}: {count(facts.runs)} runs of {', '.join(map(count, facts.updates))} updates, {facts.seeds} seeds; "
        f"{', '.join(map(measure, facts.scores))}, lower is better; {'; '.join(facts.machine)}.{tuning}"
    )


def _medians(report: Report, blocks: Sequence[Block], published: Cells) -> Table:
    """Lists medians over seeds, each above the published number, and the controllers that are lowest in either."""
    names = report.contestants(report.order)
    found = {(s.block, s.controller): s for s in report.scores}
    lines, agreed, compared = [], 0, 0
    for block in blocks:
        ours = {n: found[block.label, n] for n in names if (block.label, n) in found}
        medians = {n: s.median.value for n, s in ours.items() if s.median is not None}
        key = block.facts["task"], block.facts["loss"]
        theirs = {n: published[*key, n] for n in names if (*key, n) in published}
        here, there = _lowest(medians), _lowest(theirs)
        line = [_cell(ours.get(name), theirs.get(name), name in here) for name in names]
        ends = [", ".join(here), ", ".join(there)] if published else []
        marks = report.marks[block.label]
        lines.append(cells(block.label, *line, number(marks.floor), number(marks.untrained), *ends))
        compared += bool(here and there)
        agreed += bool(set(here) & set(there))
    note = "Median over seeds with its 95 % percentile-bootstrap interval; the lowest of each line is bold."
    note += " Failed runs are imputed." if report.failures else ""
    note += f" The lowest is the same as in the published table in {agreed} of {compared} cells." if published else ""
    few = any(s.median and not s.median.bounded for s in report.scores)
    head = cells("configuration", *names, "floor", "untrained", *(["lowest here", "lowest there"] if published else []))
    return Table(head, lines, [note, *([TOO_FEW] if few else [])])


def _unranked_medians(report: Report, blocks: Sequence[Block]) -> list[Table]:
    """Lists the medians of controllers that are not compared, a table for each reason."""
    found = {(s.block, s.controller): s for s in report.scores}
    made = []
    for title, names in report.by_role(report.order):
        if title:
            lines = [
                cells(block.label, *(_cell(found.get((block.label, name)), None, False) for name in names))
                for block in blocks
                if any((block.label, name) in found for name in names)
            ]
            made.append(Table(cells("configuration", *names), lines, [], title))
    return made


def _lowest(values: dict[str, float]) -> list[str]:
    return [name for name, value in values.items() if value == min(values.values())]


def _cell(found: Scored | None, published: float | None, lowest: bool) -> str:
    text = "" if found is None else "every run failed" if found.median is None else interval(found.median)
    text += f" ({found.failed} failed)" if found is not None and found.failed and found.median else ""
    text = f"**{text}**" if lowest else text
    return text + ("" if published is None else f"<br>there {compact(published)}")
