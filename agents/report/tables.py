"""Builds a report's tables as plain cells, which Markdown and HTML render, and formats their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .comparisons import Difference, Scored
from .model import Report
from .published import Thesis
from .ranking import Ranking
from .statistics import FEWEST, Interval

MOST_BLOCKS = 6
"""With more configurations than this, a table of differences has one line per configuration."""
NO_RANKING = "There is no ranking: fewer than two contestants were run on the same seeds of every configuration."
TOO_FEW = f"Too few runs for an interval (fewer than {FEWEST}): only the value is given."


@dataclass(frozen=True)
class Cell:
    """Text of a table, with a verdict (-1 better, 1 worse, 0 neither) and a remark behind it."""

    text: str
    verdict: int = 0
    note: str = ""


Line = list[Cell] | str
"""Cells of a row, or a heading of the rows below it."""


@dataclass(frozen=True)
class Table:
    """A table with its notes; `sentences` are the columns of long text."""

    head: list[Cell]
    lines: Sequence[Line]
    notes: list[str] = field(default_factory=list)
    title: str = ""
    sentences: tuple[int, ...] = ()


def number(value: float | None) -> str:
    """Formats four digits with a true minus sign; a dash for None."""
    if value is None or math.isnan(value):
        return "–"
    return "∞" if value == math.inf else "−∞" if value == -math.inf else f"{value:.4g}".replace("-", "−")


def interval(found: Interval | None) -> str:
    """Formats an estimate with its interval, alone where there are too few runs for one; a dash for None."""
    if found is None or not found.bounded:
        return number(found and found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def p_value(p: float | None) -> str:
    """Formats two digits, three where two would hide that p is below 0.05, a bound where p is tiny; dash for None."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}" if p < 0.05 <= float(f"{p:.2g}") else f"{p:.2g}"


def p_equals(p: float) -> str:
    """Formats `p = 0.02`, `p < 0.0001`."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def measure(score_name: str) -> str:
    """Describes a score: a distance to test data, except for Dirac's task, which has none."""
    return "distance from the saddle" if score_name == "saddle_distance" else f"{score_name} to test data"


def cells(*values: object) -> list[Cell]:
    """Converts values to cells."""
    return [value if isinstance(value, Cell) else Cell(str(value)) for value in values]


def _too_few(intervals: Iterable[Interval | None]) -> list[str]:
    return [TOO_FEW] if any(each is not None and not each.bounded for each in intervals) else []


def _name(report: Report, name: str) -> Cell:
    return Cell(name, note=report.notes.get(name, ""))


def ranking(ranking: Ranking, baseline: str) -> Table:
    """Lists average ranks, failures and p against the baseline."""
    adjusted = ranking.baseline_p or [None] * len(ranking.controllers)
    columns = zip(ranking.controllers, ranking.ranks, ranking.failures, ranking.runs, adjusted, strict=True)
    note = (
        f"Average ranks over {ranking.blocks} blocks (one per {ranking.unit}) of "
        f"{'median scores' if ranking.unit == 'configuration' else 'scores'}; failed runs rank last. Student's t "
        "intervals; p from z tests of rank differences, Holm-adjusted."
    )
    if ranking.unit != "configuration":
        note += " The results generalise to other seeds, not to other configurations."
    return Table(
        cells("controller", "average rank [95 %]", "failed runs", f"p against {baseline}"),
        [
            cells(name, interval(rank), f"{failed} of {runs}", "" if name == baseline else p_value(p))
            for name, rank, failed, runs, p in columns
        ],
        [note, *_too_few(ranking.ranks)],
    )


def medians(ranking: Ranking) -> Table:
    """Lists the median score of each ranked controller in each configuration."""
    lines: list[Line] = []
    for label, values in ranking.medians.items():
        shown = (Cell("failed" if m == math.inf else number(m), verdict=-1 if m == min(values) else 0) for m in values)
        lines.append(cells(label, *shown))
    title = "Median score in each configuration"
    return Table(cells("configuration", *ranking.controllers), lines, ["Blue: the lowest of its line."], title)


def thesis(found: Thesis) -> Table:
    """Lists the thesis' average ranks beside those of the rows."""
    note = (
        f"Ranks among these four methods only, over {found.cells} configurations. The thesis' ranks are recomputed "
        f"from its 32 cells of one run each. Dynamic-GDA is best in {found.published_best} of 32 cells there and in "
        f"{found.ours_best} of {found.cells} here."
    )
    lines: list[Line] = [cells(n, number(rank), number(found.ours[n])) for n, rank in found.published.items()]
    head = cells("method", "average rank, thesis", "average rank, these rows")
    return Table(head, lines, [note], "Comparison with the thesis' table")


def friedman(ranking: Ranking) -> str:
    """Describes Friedman's test and Nemenyi's critical difference; empty without a test."""
    test = ranking.friedman
    if test is None:
        return ""
    return (
        f"Friedman's test over {test.blocks} blocks and {test.controllers} controllers: χ² = {number(test.chi2)}, "
        f"{p_equals(test.p)}. Nemenyi's critical difference at α = 0.05: {number(ranking.critical_difference)} ranks."
    )


def nemenyi(ranking: Ranking) -> Table:
    """Lists Nemenyi's p values of all pairs."""
    lines: list[Line] = [
        cells(name, *("" if i == j else p_value(p) for j, p in enumerate(row)))
        for i, (name, row) in enumerate(zip(ranking.controllers, ranking.nemenyi, strict=True))
    ]
    return Table(cells("controller", *ranking.controllers), lines, title="Nemenyi's p values")


def scores(report: Report) -> list[Table]:
    """Lists every controller's scores in every configuration, a table for each role."""
    head = cells("controller", "mean, t", "median", "IQM", "floor", "mean −\u00a0floor", "failed", "failure rate",
                 "D updates", "G updates", "s per run", "return")  # fmt: skip
    order = report.ranking.controllers if report.ranking else []
    names = [*order, *(n for n in report.facts.controllers if n not in order)]
    tables = []
    for title, group in report.by_role(names):
        found = {(s.block, s.controller): s for s in report.scores if s.controller in group}
        lines: list[Line] = []
        for label in report.facts.configurations:
            held = [found[label, name] for name in group if (label, name) in found]
            lines += [label, *(_score_line(report, s) for s in held)] if held else []
        tables.append(Table(head, lines, _too_few(s.mean for s in found.values()), title))
    return tables


def _score_line(report: Report, found: Scored) -> list[Cell]:
    imputed = " †" if found.failed and found.mean else ""
    return cells(
        _name(report, found.controller),
        *(interval(each) + imputed for each in (found.mean, found.median, found.iqm)),
        number(found.floor),
        number(found.excess),
        found.failed,
        interval(found.failure_rate),
        number(round(found.d_updates)),
        number(round(found.g_updates)),
        number(found.wall_s),
        number(found.returned),
    )


def relative(report: Report) -> Table:
    """Lists scores pooled over configurations, as multiples of the best median in each."""
    found = sorted(report.relative, key=lambda r: r.iqm.value)
    note = "Scores as multiples of the best median in their configuration; stratified percentile bootstrap."
    return Table(
        cells("controller", "IQM", "median", "mean", "imputed runs"),
        [cells(r.controller, interval(r.iqm), interval(r.median), interval(r.mean), r.imputed) for r in found],
        [note, *_too_few(r.iqm for r in found)],
        "Over all configurations",
    )


def differences(report: Report, found: Sequence[Difference]) -> list[Table]:
    """Lists paired differences, a table for each role; with many configurations, only t intervals."""
    tables = []
    for title, group in report.by_role(list(dict.fromkeys(d.controller for d in found))):
        chosen = [d for d in found if d.controller in group]
        many = len(report.facts.configurations) > MOST_BLOCKS
        tables.append((_by_configuration if many else _in_full)(report, chosen, title))
    return tables


def _in_full(report: Report, found: Sequence[Difference], title: str) -> Table:
    head = cells("controller", "mean, t", "mean, bootstrap-t", "P(lower score)", "p, Holm", "seeds", "imputed")
    lines: list[Line] = []
    for label, other in dict.fromkeys((d.block, d.other) for d in found):
        lines.append(f"{label}: minus {other}")
        for d in sorted((d for d in found if d.block == label), key=lambda d: d.t.value):
            means = Cell(interval(d.t), d.verdict), interval(d.bootstrap_t), interval(d.improvement)
            lines.append(cells(_name(report, d.controller), *means, p_value(d.p), d.t.n, d.imputed or ""))
    return Table(head, lines, _too_few(d.t for d in found), title)


def _by_configuration(report: Report, found: Sequence[Difference], title: str) -> Table:
    names = list(dict.fromkeys(d.controller for d in found))
    by_cell = {(d.block, d.controller): d for d in found}
    lines: list[Line] = []
    for label in dict.fromkeys(d.block for d in found):
        each = [by_cell.get((label, name)) for name in names]
        lines.append(cells(label, *("–" if d is None else Cell(interval(d.t), d.verdict) for d in each)))
    note = "t intervals; blue: below 0, orange: above. For bootstrap-t, P(lower score) and p see --json."
    head = cells("configuration", *(_name(report, n) for n in names))
    return Table(head, lines, [note, *_too_few(d.t for d in found)], title)


def rates(report: Report) -> list[Table]:
    """Lists mean scores at each base rate and the area under them, a table for each family and role."""
    tables = []
    for family in dict.fromkeys(c.family for c in report.rate_curves):
        curves = {c.controller: c for c in report.rate_curves if c.family == family}
        names = sorted(curves, key=lambda name: curves[name].area.value)
        rates = next(iter(curves.values())).rates
        head = cells("controller", "area over log rate", *(f"at {rate:g}" for rate in rates), "imputed")
        for title, group in report.by_role(names):
            chosen = [curves[name] for name in group]
            lines: list[Line] = [
                cells(_name(report, c.controller), interval(c.area), *map(interval, c.means), c.imputed or "")
                for c in chosen
            ]
            title = f"{family}{': ' + title if title else ''}"
            tables.append(Table(head, lines, _too_few(c.area for c in chosen), title))
    return tables


def areas(report: Report) -> list[Table]:
    """Lists only the areas under score against base rate, a table for each role."""
    families = list(dict.fromkeys(curve.family for curve in report.rate_curves))
    found = {(curve.controller, curve.family): curve for curve in report.rate_curves}
    tables = []
    for title, names in report.by_role(list(dict.fromkeys(name for name, _ in found))):
        lines: list[Line] = []
        for name in names:
            curves = [found.get((name, family)) for family in families]
            failed = sum(curve.imputed for curve in curves if curve)
            lines.append(cells(name, *("" if c is None else interval(c.area) for c in curves), failed or ""))
        tables.append(Table(cells("controller", *families, "failed"), lines, title=title))
    if tables:
        rates = ", ".join(f"{rate:g}" for rate in report.rate_curves[0].rates)
        note = f"Mean score over the logarithm of the base rate ({rates}), 95 % t interval; failed runs are imputed."
        tables[-1].notes.extend([note, *_too_few(c.area for c in report.rate_curves)])
    return tables


def rewards(report: Report) -> Table:
    """Lists how far the reward agrees with quality in each configuration."""

    def shown(value: float) -> str:
        return number(round(value, 2))

    def within(found: dict[str, float]) -> str:
        known = [v for v in found.values() if not math.isnan(v)]
        if not known:
            return "–"
        return f"{shown(float(np.median(known)))} ({shown(min(known))} to {shown(max(known))})"

    note = (
        "Spearman(return, −score) over runs that did not fail. +1: the reward agrees with quality; −1: it rewards "
        "worse samples. Runs of one controller differ only in their seeds."
    )
    return Table(
        cells("configuration", "reward", "over all runs", "between controllers' means",
              "within a controller: median (range)"),
        [cells(a.block, a.reward, shown(a.runs), shown(a.between), within(a.within)) for a in report.agreements],
        [note],
        sentences=(1,),
    )  # fmt: skip


def failures(report: Report) -> Table:
    """Lists every run that failed."""
    return Table(
        cells("controller", "configuration", "seed", "status", "cause", "update"),
        [
            cells(f.controller, f.block, f.seed, f.status, f.cause, "–" if f.ended is None else f.ended)
            for f in report.failures
        ],
        sentences=(1, 4),
    )


def facts(report: Report) -> dict[str, str]:
    """Describes what was run, for a list of terms."""
    facts = report.facts
    configurations, wall = facts.configurations, facts.wall_s
    return {
        "Runs": f"{facts.runs}: {len(configurations)} configuration(s) × {len(facts.controllers)} controllers, "
                f"{facts.seeds} seeds in all",
        "Configurations": ", ".join(configurations[:8]) + (" …" if len(configurations) > 8 else ""),
        "Updates per run": ", ".join(map(str, facts.updates)),
        "Seed split": ", ".join(facts.splits),
        "Score": f"{', '.join(map(measure, facts.scores))}; lower is better. Neither player sees test data",
        "Machine": "; ".join(facts.machine),
        "Time": f"{_duration(facts.training_s)} of training over all runs"
                + (f", {_duration(wall)} in all" if wall is not None else ""),
        "Versions": "; ".join(v for v in facts.versions if v) or "not given",
        "Failures in means": _imputed(report),
        **({"Tuning": tuning(report)} if facts.tuning else {}),
    }  # fmt: skip


def tuning(report: Report) -> str:
    """Tells what the controllers that were chosen on tune seeds have cost, in a configuration."""

    def spent(each: list[int]) -> str:
        return f"{min(each):,}" if min(each) == max(each) else f"{min(each):,} to {max(each):,}"

    costs = ", ".join(f"{name} took {spent(each)}" for name, each in report.facts.tuning.items())
    return f"Chosen on tune seeds by validation data, in updates of GANs for a configuration: {costs}"


def _imputed(report: Report) -> str:
    known, runs = report.facts.untrained, report.facts.runs
    if not known:
        return "the configuration's worst finite score; the rows lack the untrained generator's"
    lacking = f", which {runs - known} of {runs} rows lack" if known < runs else ""
    return f"the larger of the configuration's worst finite score and the untrained generator's{lacking}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
