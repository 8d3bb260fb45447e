"""Builds a report's tables as plain cells, which Markdown and HTML render."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gan_env.metrics.names import measure_name

from .cells import Cell, Line, Table, cells, interval, muted, too_few
from .comparisons import Difference, Scored
from .model import Report
from .numbers import compact, count, duration, number, p_equals, p_value
from .published import Thesis
from .ranking import Ranking

MOST_BLOCKS = 6
"""With more configurations than this, a table of differences has one line per configuration."""
HOTTEST = 10.0
"""A heat map's shade is full at so many times the lowest median of a configuration."""


def measure(score_name: str) -> str:
    """Describes a score: a distance to test data, except for Dirac's task, which has none."""
    return measure_name(score_name) + ("" if score_name == "saddle_distance" else " to test data")


def _in_order(report: Report, names: set[str]) -> list[str]:
    return [name for name in report.order if name in names]


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
        [note, *too_few(ranking.ranks)],
    )


def verdicts(report: Report) -> Table:
    """Lists every controller that ran with its rank, its differences to the opponents, and its failures."""
    against = {report.baseline: report.to_baseline}
    if constants := sorted({name for name in report.best_constants.values() if name}):
        against[constants[0] if len(constants) == 1 else "the best constant"] = report.to_best_constant
    if report.to_best_schedule:
        against["best-schedule"] = report.to_best_schedule
    ranks = dict(zip(report.ranking.controllers, report.ranking.ranks, strict=True)) if report.ranking else {}
    lines: list[Line] = []
    for name in report.order:
        own = [s for s in report.scores if s.controller == name]
        failed, runs = sum(s.failed for s in own), sum(s.failure_rate.n for s in own)
        line = cells(
            Cell(name, note=report.unranked.get(name, "")),
            interval(ranks.get(name)),
            *(_verdict([d for d in found if d.controller == name]) for found in against.values()),
            f"{count(failed)} of {count(runs)}",
        )
        lines.append(muted(line) if name in report.unranked else line)
    many = len(report.facts.configurations) > 1
    what = "Configurations in which it is better / not shown to differ / worse" if many else "Score minus the other's"
    note = f"{what}, paired by seed, by 95 % t intervals; blue is better, orange worse. Ranks: 1 is best."
    head = cells("controller", "average rank", *(f"against {other}" for other in against), "failed runs")
    found = [d.t for each in against.values() for d in each]
    return Table(head, lines, [note, *too_few([*ranks.values(), *found])])


def _verdict(found: Sequence[Difference]) -> Cell:
    """Sums up a controller's differences to another: of one configuration the interval, of several the verdicts."""
    if not found:
        return Cell("–")
    if len(found) == 1:
        return Cell(interval(found[0].t, sign=True), found[0].verdict)
    better, undecided, worse = (sum(d.verdict == v for d in found) for v in (-1, 0, 1))
    return Cell(f"{better} / {undecided} / {worse}", (worse > better) - (better > worse))


def medians(report: Report) -> Table:
    """Lists the median score of every controller that ran in each configuration, shaded, beside the two marks."""
    lines: list[Line] = []
    for label, found in report.medians.items():
        ranked = [found[n] for n in report.order if n in found and n not in report.unranked] or list(found.values())
        lowest = min(ranked)
        marks = report.marks[label]
        line = [_median(report, name, found.get(name), lowest) for name in report.order]
        lines.append(cells(label, *line, *(Cell(number(m), muted=True) for m in (marks.floor, marks.untrained))))
    head = [Cell(name, muted=name in report.unranked) for name in report.order]
    note = (
        f"Median over seeds. The darker, the further above the lowest of its line (full at {compact(HOTTEST)} times); "
        "blue: the lowest. Grey columns are not ranked. Floor: fresh real data; untrained: the generator as it began."
    )
    return Table(cells("configuration", *head, Cell("floor", muted=True), Cell("untrained", muted=True)), lines, [note])


def _median(report: Report, name: str, value: float | None, lowest: float) -> Cell:
    if value is None:
        return Cell("–", muted=True)
    grey = name in report.unranked
    if value == math.inf:
        return Cell("failed", heat=None if grey else 1.0, muted=grey)
    ratio = math.log(value / lowest) / math.log(HOTTEST) if lowest > 0 and value > 0 else 0.0
    best = value == lowest and not grey
    return Cell(number(value), verdict=-int(best), heat=None if grey else min(max(ratio, 0.0), 1.0), muted=grey)


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
    head = cells("controller", "mean, t", "median", "IQM", "floor", "untrained", "mean −\u00a0floor", "failed",
                 "failure rate", "D updates", "G updates", "s per run", "return")  # fmt: skip
    tables = []
    for title, group in report.by_role(report.order):
        found = {(s.block, s.controller): s for s in report.scores if s.controller in group}
        lines: list[Line] = []
        for label in report.facts.configurations:
            held = [found[label, name] for name in group if (label, name) in found]
            lines += [label, *(_score_line(report, s) for s in held)] if held else []
        tables.append(Table(head, lines, too_few(s.mean for s in found.values()), title))
    return tables


def _score_line(report: Report, found: Scored) -> list[Cell]:
    imputed = " †" if found.failed and found.mean else ""
    return cells(
        _name(report, found.controller),
        *(interval(each) + imputed for each in (found.mean, found.median, found.iqm)),
        number(found.floor),
        number(report.marks[found.block].untrained),
        number(found.excess),
        found.failed,
        interval(found.failure_rate),
        count(found.d_updates),
        count(found.g_updates),
        number(found.wall_s),
        number(found.returned),
    )


def relative(report: Report) -> Table:
    """Lists scores pooled over configurations, as multiples of the best median in each."""
    found = sorted(report.relative, key=lambda r: report.order.index(r.controller))
    note = "Scores as multiples of the best median in their configuration; stratified percentile bootstrap."
    return Table(
        cells("controller", "IQM", "median", "mean", "imputed runs"),
        [cells(r.controller, interval(r.iqm), interval(r.median), interval(r.mean), r.imputed) for r in found],
        [note, *too_few(r.iqm for r in found)],
        "Over all configurations",
    )


def differences(report: Report, found: Sequence[Difference]) -> list[Table]:
    """Lists paired differences, a table for each role; with many configurations, only t intervals."""
    tables = []
    for title, group in report.by_role(_in_order(report, {d.controller for d in found})):
        chosen = [d for d in found if d.controller in group]
        many = len(report.facts.configurations) > MOST_BLOCKS
        tables.append((_by_configuration if many else _in_full)(report, chosen, title))
    return tables


def _in_full(report: Report, found: Sequence[Difference], title: str) -> Table:
    head = cells("controller", "mean, t", "mean, bootstrap-t", "P(lower score)", "p, Holm", "seeds", "imputed")
    lines: list[Line] = []
    for label, other in dict.fromkeys((d.block, d.other) for d in found):
        lines.append(f"{label}: minus {other}")
        for d in sorted((d for d in found if d.block == label), key=lambda d: report.order.index(d.controller)):
            means = Cell(interval(d.t), d.verdict), interval(d.bootstrap_t), interval(d.improvement)
            lines.append(cells(_name(report, d.controller), *means, p_value(d.p), d.t.n, d.imputed or ""))
    return Table(head, lines, too_few(d.t for d in found), title)


def _by_configuration(report: Report, found: Sequence[Difference], title: str) -> Table:
    names = _in_order(report, {d.controller for d in found})
    by_cell = {(d.block, d.controller): d for d in found}
    lines: list[Line] = []
    for label in dict.fromkeys(d.block for d in found):
        each = [by_cell.get((label, name)) for name in names]
        lines.append(cells(label, *("–" if d is None else Cell(interval(d.t), d.verdict) for d in each)))
    note = "t intervals; blue: below 0, orange: above. For bootstrap-t, P(lower score) and p see --json."
    head = cells("configuration", *(_name(report, n) for n in names))
    return Table(head, lines, [note, *too_few(d.t for d in found)], title)


def rates(report: Report) -> list[Table]:
    """Lists mean scores at each base rate and the area under them, a table for each family and role."""
    tables = []
    for family in dict.fromkeys(c.family for c in report.rate_curves):
        curves = {c.controller: c for c in report.rate_curves if c.family == family}
        names = _in_order(report, set(curves))
        rates = next(iter(curves.values())).rates
        head = cells("controller", "area over log rate", *(f"at {compact(rate)}" for rate in rates), "imputed")
        for title, group in report.by_role(names):
            chosen = [curves[name] for name in group]
            lines: list[Line] = [
                cells(_name(report, c.controller), interval(c.area), *map(interval, c.means), c.imputed or "")
                for c in chosen
            ]
            title = f"{family}{': ' + title if title else ''}"
            tables.append(Table(head, lines, too_few(c.area for c in chosen), title))
    return tables


def areas(report: Report) -> list[Table]:
    """Lists only the areas under score against base rate, a table for each role."""
    families = list(dict.fromkeys(curve.family for curve in report.rate_curves))
    found = {(curve.controller, curve.family): curve for curve in report.rate_curves}
    tables = []
    for title, names in report.by_role(_in_order(report, {name for name, _ in found})):
        lines: list[Line] = []
        for name in names:
            curves = [found.get((name, family)) for family in families]
            failed = sum(curve.imputed for curve in curves if curve)
            lines.append(cells(name, *("" if c is None else interval(c.area) for c in curves), failed or ""))
        tables.append(Table(cells("controller", *families, "failed"), lines, title=title))
    if tables:
        rates = ", ".join(map(compact, report.rate_curves[0].rates))
        note = f"Mean score over the logarithm of the base rate ({rates}), 95 % t interval; failed runs are imputed."
        tables[-1].notes.extend([note, *too_few(c.area for c in report.rate_curves)])
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
        "Runs": f"{count(facts.runs)}: {len(configurations)} configuration(s) × {len(facts.controllers)} controllers, "
                f"{facts.seeds} seeds in all",
        "Configurations": ", ".join(configurations[:8]) + (" …" if len(configurations) > 8 else ""),
        "Updates per run": ", ".join(map(count, facts.updates)),
        "Seed split": ", ".join(facts.splits),
        "Score": f"{', '.join(map(measure, facts.scores))}; lower is better. Neither player sees test data",
        "Machine": "; ".join(facts.machine),
        "Time": f"{duration(facts.training_s)} of training over all runs"
                + (f", {duration(wall)} in all" if wall is not None else ""),
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
