"""Sections of a report's page on who stands where: ranking, scores, profiles, critical differences."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparisons import Scored
from ..formatting import interval, number, p_equals, p_value
from ..numbers import Report, by_role
from .figures import Picture
from .markup import Group, Html, bullets, join, table, tag
from .parts import coloured, coverage_note, figures, remark, shown_name


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
        remark(
            f"Ranks within {ranking.blocks} blocks (a block is one {ranking.unit}); failures rank last; p by z of rank "
            "differences, Holm-adjusted. Intervals by t. "
            + ("" if ranking.unit == "configuration" else "They speak of other seeds, not of other configurations.")
        )
    )
    parts.append(coverage_note(report, "t of average ranks"))
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
                    (label, *(coloured("failed" if m == float("inf") else number(m), -1 if m == b else 0) for m in row))
                    for (label, row), b in zip(ranking.medians.items(), best, strict=True)
                ],
            )
        )
        parts.append(remark("Blue: the lowest of its line."))
    return join([*parts, _thesis(report)])


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
            remark(
                f"Among the four methods alone, over {found.cells} configurations; the thesis has 32 cells, one run "
                "each, and its averages are recomputed from them. Dynamic-GDA is best in "
                f"{found.published_best} of 32 there, in {found.ours_best} of {found.cells} here."
            ),
        ]
    )


def scores(report: Report, pictures: Sequence[Picture]) -> Html:
    """Every controller's scores in every configuration, with the floor beside them."""
    parts: list[Html] = [figures(pictures)]
    head = ["controller", "mean, t", "median", "IQM", "floor", "mean −\u00a0floor", "failed", "failure rate",
            "D updates", "G updates", "s a run", "return"]  # fmt: skip
    order = report.ranking.controllers if report.ranking else []
    names = [*order, *(n for n in report.facts.controllers if n not in order)]
    for title, group in by_role(report, names):
        found = {(s.block, s.controller): s for s in report.scores if s.controller in group}
        lines: list[Sequence[object] | Group] = []
        for label in report.facts.configurations:
            held = [found[label, name] for name in group if (label, name) in found]
            lines += [Group(label), *(_score_line(report, s) for s in held)] if held else []
        parts += [tag("h3", title) if title else Html(""), table(head, lines)]
    floor = "The floor is what fresh real data score against the test data; nothing can be expected below."
    parts.append(remark(floor + (" †: with failed runs imputed." if report.failures else "")))
    kinds = ("t", "percentile bootstrap, median", "percentile bootstrap, IQM", "Wilson, failure rate")
    return join([*parts, coverage_note(report, *kinds)])


def _score_line(report: Report, found: Scored) -> Sequence[object]:
    imputed = " †" if found.failed and found.mean else ""
    updates = [number(round(found.d_updates)), number(round(found.g_updates))]
    return [
        shown_name(report, found.controller),
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
            remark("Scores as multiples of the best median in their configuration; stratified percentile bootstrap."),
            coverage_note(report, *(f"percentile bootstrap, {s}" for s in ("IQM", "median", "mean"))),
        ]
    )


def profiles(report: Report, pictures: Sequence[Picture]) -> Html:
    """Performance profiles."""
    if not pictures:
        return tag("p", "No configuration has a positive best median to measure by.")
    return join([figures(pictures), coverage_note(report, "bootstrap, profile")])


def critical(report: Report, pictures: Sequence[Picture]) -> Html:
    """Friedman's test, the critical-difference diagram, Nemenyi's p values."""
    ranking = report.ranking
    if ranking is None or ranking.friedman is None or ranking.critical_difference is None:
        return tag("p", "There is no test: it takes three ranked controllers and two blocks.")
    test = ranking.friedman
    text = (
        f"Friedman's test over {test.blocks} blocks and {test.controllers} controllers: χ² = {number(test.chi2)}, "
        f"{p_equals(test.p)}. Nemenyi's critical difference at α = 0.05: "
        f"{number(ranking.critical_difference)} ranks."
    )
    lines = [
        (name, *("" if i == j else p_value(p) for j, p in enumerate(row)))
        for i, (name, row) in enumerate(zip(ranking.controllers, ranking.nemenyi, strict=True))
    ]
    found = [tag("p", text), figures(pictures), tag("h3", "Nemenyi's p values")]
    return join([*found, table(["controller", *ranking.controllers], lines)])
