"""Sections of a report's page on what differs: paired differences, base rates, training, rewards, failures."""

from __future__ import annotations

from collections.abc import Sequence

from ...registry import TUNED_CONSTANT
from ..comparisons import Difference
from ..formatting import interval, number, p_value
from ..numbers import Report, by_role
from .figures import MOST_BLOCKS, Picture
from .gallery import MOST_CURVES
from .markup import Group, Html, join, table, tag
from .parts import coloured, coverage_note, figures, remark, shown_name


def differences(report: Report, pictures: Sequence[Picture]) -> Html:
    """To the baseline and to the best constant, seed by seed."""
    parts = [remark("Score of the controller minus the other's on the same seed: below 0 the controller is better.")]
    constants = sorted({name for name in report.best_constants.values() if name})
    parts.append(tag("h3", f"To {report.baseline}"))
    parts += [_difference_tables(report, report.to_baseline)]
    if constants:
        names = ", ".join(constants)
        parts.append(tag("h3", f"To the best constant ({names})"))
        post_hoc = "Where it is a constant:X, it is chosen by these very scores, which favours it over the rest"
        parts.append(remark(f"{post_hoc}; {TUNED_CONSTANT} was chosen on tune seeds."))
        parts.append(_difference_tables(report, report.to_best_constant))
    else:
        parts.append(tag("p", "There is no constant multiplier in the rows to compare with."))
    kinds = ("t of paired differences", "bootstrap-t of paired differences", "bootstrap, probability of improvement")
    return join([*parts, figures(pictures), coverage_note(report, *kinds)])


def _difference_tables(report: Report, found: Sequence[Difference]) -> Html:
    parts: list[Html] = []
    for title, group in by_role(report, list(dict.fromkeys(d.controller for d in found))):
        chosen = [d for d in found if d.controller in group]
        parts.append(tag("h3", title) if title else Html(""))
        parts.append((_matrix if len(report.facts.configurations) > MOST_BLOCKS else _long)(report, chosen))
    return join(parts) if parts else tag("p", "No other controller shares its seeds.")


def _long(report: Report, found: Sequence[Difference]) -> Html:
    head = ["controller", "mean, t", "mean, bootstrap-t", "P(lower score)", "p, Holm", "seeds", "imputed"]
    lines: list[Sequence[object] | Group] = []
    for label, other in dict.fromkeys((d.block, d.other) for d in found):
        lines.append(Group(f"{label}: minus {other}"))
        for d in sorted((d for d in found if d.block == label), key=lambda d: d.t.value):
            means = [coloured(interval(d.t), d.verdict), interval(d.bootstrap_t)]
            name = shown_name(report, d.controller)
            lines.append([name, *means, interval(d.improvement), p_value(d.p), d.t.n, d.imputed or ""])
    return table(head, lines)


def _matrix(report: Report, found: Sequence[Difference]) -> Html:
    names = list(dict.fromkeys(d.controller for d in found))
    cells = {(d.block, d.controller): d for d in found}
    lines = []
    for label in dict.fromkeys(d.block for d in found):
        each = [cells.get((label, name)) for name in names]
        lines.append((label, *("–" if d is None else coloured(interval(d.t), d.verdict) for d in each)))
    note = remark("t intervals; blue: below 0, orange: above. bootstrap-t, P(lower score) and p: --json.")
    return join([table(["configuration", *(shown_name(report, n) for n in names)], lines), note])


def rates(report: Report, pictures: Sequence[Picture]) -> Html:
    """Quality against base rate; empty where rates do not differ."""
    if not report.rate_curves:
        return Html("")
    parts = [figures(pictures)]
    for family in dict.fromkeys(c.family for c in report.rate_curves):
        curves = [c for c in report.rate_curves if c.family == family]
        for title, group in by_role(report, [c.controller for c in sorted(curves, key=lambda c: c.area.value)]):
            chosen = {c.controller: c for c in curves}
            rows = [
                (shown_name(report, n), interval(chosen[n].area), *(interval(m) for m in chosen[n].means),
                 chosen[n].imputed or "")
                for n in group
            ]  # fmt: skip
            head = ["controller", "area over log rate", *(f"at {rate:g}" for rate in curves[0].rates), "imputed"]
            parts += [tag("h3", f"{family}{': ' + title if title else ''}"), table(head, rows)]
    note = remark(
        "The area is the mean score over the logarithm of the base rate, in the score's units; lower is better."
    )
    return join([*parts, note, coverage_note(report, "t of area over log rate")])


def curves(report: Report, pictures: Sequence[Picture]) -> Html:
    """Losses and learning rate over time."""
    if not pictures:
        return Html("")
    more = len(report.facts.configurations) - MOST_CURVES
    return join([figures(pictures), remark(f"{more} more configurations are not drawn.") if more > 0 else Html("")])


def reward(report: Report, pictures: Sequence[Picture]) -> Html:
    """How far the reward agrees with quality."""

    def within(found: dict[str, float]) -> str:
        known = sorted(v for v in found.values() if v == v)
        if not known:
            return "–"
        middle = (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2
        return f"{number(round(middle, 2))} ({number(round(known[0], 2))} to {number(round(known[-1], 2))})"

    def shown(value: float) -> str:
        return number(round(value, 2)) if value == value else "–"

    lines = [(a.block, a.reward, shown(a.runs), shown(a.between), within(a.within)) for a in report.agreements]
    head = [
        "configuration",
        "reward",
        "over all runs",
        "between controllers' means",
        "within a controller: median (range)",
    ]
    note = remark(
        "Spearman(return, −score) over runs that did not fail; +1: the reward agrees with quality, −1: it rewards the "
        "worse. Runs of one controller differ in their seeds alone."
    )
    return join([table(head, lines, text=(1,)), note, figures(pictures)])


def failures(report: Report) -> Html:
    """Every run that failed."""
    if not report.failures:
        return tag("p", f"None of {report.facts.runs} runs failed.")
    lines = [
        (f.controller, f.block, f.seed, f.status, f.cause, "–" if f.ended is None else f.ended) for f in report.failures
    ]
    return table(["controller", "configuration", "seed", "status", "cause", "update"], lines, text=(1, 4))
