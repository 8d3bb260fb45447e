"""The sections of a report's page: numbers as tables, with what must be said beside them."""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import TUNED_CONSTANT
from .comparisons import Difference, Scored
from .figures import MOST_BLOCKS, Picture
from .gallery import MOST_CURVES
from .markup import Group, Html, bullets, interval, join, number, p_value, picture, table, tag
from .numbers import Report


def figures(pictures: Sequence[Picture]) -> Html:
    """Pictures side by side, or one below the other where the page is narrow."""
    return tag("div", *(picture(p.png, p.caption) for p in pictures), cls="figures") if pictures else Html("")


def _note(*parts: object) -> Html:
    return tag("p", *parts, cls="note")


def _covers(report: Report, *kinds: str) -> Html:
    """What intervals of these kinds really cover."""
    parts = [
        f"{kind}: {100 * report.coverage[kind][0]:.1f} % for normal and {100 * report.coverage[kind][1]:.1f} % for "
        "lognormal runs"
        for kind in kinds
    ]
    return _note(f"Share of nominal 95 % intervals that hold the truth at n = 10, simulated: {'; '.join(parts)}.")


def _label(report: Report, name: str) -> Html:
    return join([name, tag("span", f" ({note})", cls="note")]) if (note := report.notes.get(name)) else join([name])


def _groups(report: Report, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Competitors, then by themselves those that learn within the judged run, and those that do not compete."""
    groups = [
        ("", report.rivals(names)),
        ("By themselves: learning within the very run that is judged", [n for n in names if n in report.embedded]),
        ("Not competitors", [n for n in names if n in report.notes]),
    ]
    return [(title, found) for title, found in groups if found]


def ranking(report: Report) -> Html:
    """Average ranks, who is not ranked and why, medians by configuration."""
    ranking = report.ranking
    if ranking is None:
        return tag(
            "p", "Nobody is ranked: fewer than two competitors were run on the same seeds of every configuration."
        )
    parts: list[Html] = []
    if not ranking.official:
        parts.append(
            tag(
                "div",
                tag("strong", "Not an official ranking. "),
                "A controller is ranked only beside the best constant multiplier, and here ",
                f"{'; '.join(ranking.missing[:3])}{' …' if len(ranking.missing) > 3 else ''}. Add some to the rows. "
                "The order below is for orientation.",
                cls="warning",
            )
        )
    adjusted = ranking.baseline_p or [None] * len(ranking.controllers)
    parts.append(
        table(
            ["controller", "average rank [95 %]", "failed runs", f"p against {report.baseline}"],
            [
                (name, interval(r), f"{failed} of {runs}", "" if name == report.baseline else p_value(p))
                for name, r, failed, runs, p in zip(
                    ranking.controllers, ranking.ranks, ranking.failures, ranking.runs, adjusted, strict=True
                )
            ],
        )
    )
    parts.append(
        _note(
            f"Ranks within {ranking.blocks} blocks (a block is one {ranking.unit}); failures rank last; p by z of rank "
            "differences, Holm-adjusted. Intervals by t. "
            + ("" if ranking.unit == "configuration" else "They speak of other seeds, not of other configurations.")
        )
    )
    parts.append(_covers(report, "t of average ranks"))
    if ranking.left_out:
        left = (f"{name}: {reason}" for name, reason in ranking.left_out.items())
        parts += [tag("p", "Not ranked:"), bullets(left)]
    if len(ranking.medians) > 1:
        parts.append(tag("h3", "Median score in each configuration"))
        best = [min(row) for row in ranking.medians.values()]
        parts.append(
            table(
                ["configuration", *ranking.controllers],
                [
                    (label, *(_cell("failed" if m == float("inf") else number(m), -1 if m == b else 0) for m in row))
                    for (label, row), b in zip(ranking.medians.items(), best, strict=True)
                ],
            )
        )
        parts.append(_note("Blue: the lowest of its line."))
    return join([*parts, _thesis(report)])


def _cell(text: str, verdict: int) -> Html:
    return tag("span", text, cls={-1: "better", 1: "worse", 0: ""}[verdict]) if verdict else join([text])


def _thesis(report: Report) -> Html:
    found = report.thesis
    if found is None:
        return Html("")
    return join(
        [
            tag("h3", "Beside the thesis' table"),
            table(
                ["method", "average rank, thesis", "average rank, these rows"],
                [(name, number(rank), number(found.ours[name])) for name, rank in found.published.items()],
            ),
            _note(
                f"Among the four methods alone, over {found.cells} configurations; the thesis has 32 cells, one run "
                "each, and its averages are recomputed from them. Dynamic-GDA is best in "
                f"{found.published_best} of 32 there, in {found.ours_best} of {found.cells} here."
            ),
        ]
    )


def scores(report: Report, pictures: Sequence[Picture]) -> Html:
    """Every controller's scores in every configuration, with the floor beside them."""
    parts: list[Html] = [tag("h3", "Scores"), figures(pictures)]
    head = ["controller", "mean, t", "median", "IQM", "floor", "mean − floor", "failed", "failure rate", "D updates",
            "G updates", "s a run", "return"]  # fmt: skip
    order = report.ranking.controllers if report.ranking else []
    names = [*order, *(n for n in report.facts.controllers if n not in order)]
    for title, group in _groups(report, names):
        found = {(s.block, s.controller): s for s in report.scores if s.controller in group}
        lines: list[Sequence[object] | Group] = []
        for label in report.facts.configurations:
            held = [found[label, name] for name in group if (label, name) in found]
            lines += [Group(label), *(_score_line(report, s) for s in held)] if held else []
        parts += [tag("h3", title) if title else Html(""), table(head, lines)]
    floor = "The floor is what fresh real data score against the test data; nothing can be expected below."
    parts.append(_note(floor + (" †: with failed runs imputed." if report.failures else "")))
    kinds = ("t", "percentile bootstrap, median", "percentile bootstrap, IQM", "Wilson, failure rate")
    return join([*parts, _covers(report, *kinds)])


def _score_line(report: Report, found: Scored) -> Sequence[object]:
    imputed = " †" if found.failed and found.mean else ""
    updates = [number(round(found.d_updates)), number(round(found.g_updates))]
    return [
        _label(report, found.controller),
        *(interval(each) + imputed for each in (found.mean, found.median, found.iqm)),
        number(found.floor),
        number(found.excess),
        found.failed,
        interval(found.failure_rate),
        *updates,
        number(found.wall_s),
        number(found.returned),
    ]


def relative(report: Report) -> Html:
    """Scores pooled over configurations; empty for one."""
    if not report.relative:
        return Html("")
    found = sorted(report.relative, key=lambda r: r.iqm.value)
    return join(
        [
            tag("h3", "Over all configurations"),
            table(
                ["controller", "IQM", "median", "mean", "imputed runs"],
                [(r.controller, interval(r.iqm), interval(r.median), interval(r.mean), r.imputed) for r in found],
            ),
            _note("Scores as multiples of the best median in their configuration; stratified percentile bootstrap."),
            _covers(report, *(f"percentile bootstrap, {s}" for s in ("IQM", "median", "mean"))),
        ]
    )


def differences(report: Report, pictures: Sequence[Picture]) -> Html:
    """To the baseline and to the best constant, seed by seed."""
    parts = [_note("Score of the controller minus the other's on the same seed: below 0 the controller is better.")]
    constants = sorted({name for name in report.best_constants.values() if name})
    parts.append(tag("h3", f"To {report.baseline}"))
    parts += [_difference_tables(report, report.to_baseline)]
    if constants:
        names = ", ".join(constants)
        parts.append(tag("h3", f"To the best constant ({names})"))
        post_hoc = "Where it is a constant:X, it is chosen by these very scores, which favours it over the rest"
        parts.append(_note(f"{post_hoc}; {TUNED_CONSTANT} was chosen on tune seeds."))
        parts.append(_difference_tables(report, report.to_best_constant))
    else:
        parts.append(tag("p", "There is no constant multiplier in the rows to compare with."))
    kinds = ("t of paired differences", "bootstrap-t of paired differences", "bootstrap, probability of improvement")
    return join([*parts, figures(pictures), _covers(report, *kinds)])


def _difference_tables(report: Report, found: Sequence[Difference]) -> Html:
    parts: list[Html] = []
    for title, group in _groups(report, list(dict.fromkeys(d.controller for d in found))):
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
            means = [_cell(interval(d.t), d.verdict), interval(d.bootstrap_t)]
            name = _label(report, d.controller)
            lines.append([name, *means, interval(d.improvement), p_value(d.p), d.t.n, d.imputed or ""])
    return table(head, lines)


def _matrix(report: Report, found: Sequence[Difference]) -> Html:
    names = list(dict.fromkeys(d.controller for d in found))
    cells = {(d.block, d.controller): d for d in found}
    lines = []
    for label in dict.fromkeys(d.block for d in found):
        each = [cells.get((label, name)) for name in names]
        lines.append((label, *("–" if d is None else _cell(interval(d.t), d.verdict) for d in each)))
    note = _note("t intervals; blue: below 0, orange: above. bootstrap-t, P(lower score) and p: --json.")
    return join([table(["configuration", *(_label(report, n) for n in names)], lines), note])


def profiles(report: Report, pictures: Sequence[Picture]) -> Html:
    """Performance profiles."""
    if not pictures:
        return tag("p", "No configuration has a positive best median to measure by.")
    return join([figures(pictures), _covers(report, "bootstrap, profile")])


def critical(report: Report, pictures: Sequence[Picture]) -> Html:
    """Friedman's test, the critical-difference diagram, Nemenyi's p values."""
    ranking = report.ranking
    if ranking is None or ranking.friedman is None or ranking.critical_difference is None:
        return tag("p", "There is no test: it takes three ranked controllers and two blocks.")
    test = ranking.friedman
    text = (
        f"Friedman's test over {test.blocks} blocks and {test.controllers} controllers: χ² = {number(test.chi2)}, "
        f"p: {p_value(test.p)}. Nemenyi's critical difference at α = 0.05: "
        f"{number(ranking.critical_difference)} ranks."
    )
    lines = [
        (name, *("" if i == j else p_value(p) for j, p in enumerate(row)))
        for i, (name, row) in enumerate(zip(ranking.controllers, ranking.nemenyi, strict=True))
    ]
    found = [tag("p", text), figures(pictures), tag("h3", "Nemenyi's p values")]
    return join([*found, table(["controller", *ranking.controllers], lines)])


def rates(report: Report, pictures: Sequence[Picture]) -> Html:
    """Quality against base rate; empty where rates do not differ."""
    if not report.rate_curves:
        return Html("")
    parts = [figures(pictures)]
    for family in dict.fromkeys(c.family for c in report.rate_curves):
        curves = [c for c in report.rate_curves if c.family == family]
        for title, group in _groups(report, [c.controller for c in sorted(curves, key=lambda c: c.area.value)]):
            chosen = {c.controller: c for c in curves}
            rows = [
                (_label(report, n), interval(chosen[n].area), *(interval(m) for m in chosen[n].means),
                 chosen[n].imputed or "")
                for n in group
            ]  # fmt: skip
            head = ["controller", "area over log rate", *(f"at {rate:g}" for rate in curves[0].rates), "imputed"]
            parts += [tag("h3", f"{family}{': ' + title if title else ''}"), table(head, rows)]
    note = _note(
        "The area is the mean score over the logarithm of the base rate, in the score's units; lower is better."
    )
    return join([*parts, note, _covers(report, "t of area over log rate")])


def curves(report: Report, pictures: Sequence[Picture]) -> Html:
    """Losses and learning rate over time."""
    if not pictures:
        return Html("")
    more = len(report.facts.configurations) - MOST_CURVES
    return join([figures(pictures), _note(f"{more} more configurations are not drawn.") if more > 0 else Html("")])


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
    note = _note(
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
