"""Answers the question of a benchmark in one sentence, by fixed rules from its numbers, with the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..registry import TUNED
from .cells import interval
from .comparisons import Difference, RateCurve
from .model import Report
from .numbers import compact, count, number, ordinal, p_equals
from .ranking import Ranking
from .statistics import Interval

SIGNIFICANT = 0.05
NO_RANKING = "There is no ranking: fewer than two contestants were run on the same seeds of every configuration."
FEW_BLOCKS = 3
"""Up to so many configurations have their differences written out; more are counted."""


@dataclass(frozen=True)
class Answer:
    """The answer, and the sentences that support it."""

    sentence: str
    evidence: list[str]
    agents: list[str] = field(default_factory=list)
    """Where each trained agent from a file came out, a sentence for each."""


def answer(report: Report) -> Answer:
    """Answers the report's question."""
    return replace(_answer(report), agents=[_standing(report, name) for name in report.agents])


def _answer(report: Report) -> Answer:
    if report.question.figure == "rates" and (found := _by_rate(report)):
        return found
    if report.question.figure == "budget" and (found := _by_budget(report)):
        return found
    if report.ranking is None:
        return Answer(NO_RANKING, [])
    return _by_rank(report, report.ranking)


def official(ranking: Ranking) -> str:
    """Says whether a ranking is official, and what it lacks."""
    if ranking.official:
        return "The ranking is official: it holds the best constant multiplier and the best schedule."
    return f"The ranking is not official: {'; '.join(ranking.missing)}."


def plain(name: str) -> str:
    """Calls plain training by what it is."""
    return "plain training (sim-gda)" if name == "sim-gda" else name


def _first(ranking: Ranking) -> list[str]:
    best = ranking.ranks[0].value
    return [name for name, r in zip(ranking.controllers, ranking.ranks, strict=True) if r.value == best]


def _by_rank(report: Report, ranking: Ranking) -> Answer:
    """Names the best average rank, if Friedman's test finds any difference."""
    first, rest = _first(ranking), []
    best, of = f"{ranking.ranks[0].value:.2f} of {len(ranking.controllers)}", listed(first)
    test = ranking.friedman
    blocks = f"{ranking.blocks} {ranking.unit if ranking.unit == 'configuration' else 'paired run'}s"
    if test is not None and test.p >= SIGNIFICANT:
        sentence = f"No winner is shown: the lowest average rank is that of {of} ({best}), which may be chance."
        rest.append(f"Friedman's test over {blocks}: {p_equals(test.p)}, it shows no difference between average ranks.")
    elif len(first) > 1:
        sentence = f"{of} share the best average rank ({best})."
    else:
        near = ranking.controllers[1 : 1 + max((e for s, e in ranking.cliques if s == 0), default=0)]
        tied = f", not told apart from {listed(near)}" if near else ", ahead of every other" if test else ""
        sentence = f"{of} trains best: average rank {best} over {blocks}{tied}."
        rest += _gains(report, first[0])
        if test is not None:
            rest.append(
                f"Friedman's test: {p_equals(test.p)}, average ranks differ; \"told apart\" is by Nemenyi's test at "
                f"{SIGNIFICANT}."
            )
    return Answer(sentence, [*rest, *_untuned(ranking, first), official(ranking)])


def _gains(report: Report, name: str) -> list[str]:
    """Compares a controller with the baseline, paired by seed."""
    found = [d for d in report.to_baseline if d.controller == name]
    if not found or name == report.baseline:
        return []
    if not all(d.t.bounded for d in found):
        return [f"Too few runs for an interval against {plain(report.baseline)}."]
    return [f"Paired by seed it is {gain(found, plain(report.baseline))}."]


def _standing(report: Report, name: str) -> str:
    """Gives an agent's place, compares it with the baseline, and says why it is not ranked where it is not."""
    parts, reason = [place] if (place := _place(report, name)) else [], report.unranked.get(name)
    if found := [d for d in report.to_baseline if d.controller == name]:
        parts.append(gain(found, plain(report.baseline)))
    sentence = f"Agent {name}: {'; '.join(parts) or 'nothing to compare it with'}."
    return f"{sentence} Not ranked: {reason}." if reason else sentence


def _place(report: Report, name: str) -> str:
    """Returns a controller's place by average rank, or else in a single configuration by mean score; "" without."""
    ranking = report.ranking
    if ranking is not None and name in ranking.controllers:
        return f"{ordinal(ranking.controllers.index(name) + 1)} of {len(ranking.controllers)} by average rank"
    means = {s.controller: s.mean.value for s in report.scores if s.mean}
    if len(report.facts.configurations) > 1 or name not in means:
        return ""
    place = 1 + sum(value < means[name] for value in means.values())
    return f"{ordinal(place)} of {len(report.scores)} by mean score"


def compared(found: Interval, other: str) -> str:
    """Says by how much a controller is better or worse than another.

    Args:
        found: Its paired difference to the other.
        other: What the other is called.
    """
    if not found.bounded:
        return f"too few runs to compare it with {other}"
    if found.low <= 0 <= found.high:
        return f"not shown to differ from {other} ({_size(found)})"
    return f"{'better' if found.high < 0 else 'worse'} than {other} by {_size(found)}"


def gain(found: Sequence[Difference], other: str) -> str:
    """Says by how much, or in how many configurations, a controller is better than another.

    Args:
        found: Its differences to the other, one a configuration.
        other: What the other is called.
    """
    if len(found) > FEW_BLOCKS:
        better, worse = (sum(d.verdict == v for d in found) for v in (-1, 1))
        return f"better than {other} in {better} of {len(found)} configurations and worse in {worse}"
    if len(found) == 1:
        return compared(found[0].t, other)
    if not all(d.t.bounded for d in found):
        return f"too few runs to compare it with {other}"
    words = {-1: f"better than {other}", 1: f"worse than {other}", 0: f"not shown to differ from {other}"}
    parts, last = [], None
    for d in found:
        size = f"by {_size(d.t)}" if d.verdict else f"({_size(d.t)})"
        what = "" if d.verdict == last else f"{words[d.verdict]} "
        parts.append(f"{what}{size} on {d.block}")
        last = d.verdict
    return listed(parts)


def _size(found: Interval) -> str:
    """Formats a difference: its size where its sign is known, else with the sign."""
    if found.low <= 0 <= found.high:
        return interval(found, sign=True)
    low, high = sorted((abs(found.low), abs(found.high)))
    return interval(Interval(abs(found.value), low, high, found.n))


def is_tuned(name: str) -> bool:
    """Tells whether a controller was chosen on tune seeds of the very game; `best-constant:TASK` was not."""
    return name in TUNED


def _untuned(ranking: Ranking, first: Sequence[str]) -> list[str]:
    """Names the best controller that was not chosen on the game itself, where one that was is first."""
    if not any(is_tuned(name) for name in first):
        return []
    for name, rank in zip(ranking.controllers, ranking.ranks, strict=True):
        if not is_tuned(name):
            return [
                f"Best of those that were not tuned on the game itself: {name} (average rank {number(rank.value)})."
            ]
    return []


def _by_rate(report: Report) -> Answer | None:
    """Names the lowest area under score against base rate in each game."""
    every = set(report.contestants(report.order))
    names = every & set(report.ranking.controllers if report.ranking else ())
    curves = [c for c in report.rate_curves if c.controller in names]
    families = list(dict.fromkeys(curve.family for curve in curves))
    if not families:
        return None
    rates = curves[0].rates
    winners = {family: _lowest([c for c in curves if c.family == family]) for family in families}
    ranked = " of those ranked" if every - names else ""
    sentence = (
        f"Over base rates {compact(rates[0])} to {compact(rates[-1])}, the lowest mean score{ranked} is that of "
        f"{_wins({f: c.controller for f, c in winners.items()})}."
    )
    evidence = [_areas(report, winners)]
    if any(is_tuned(c.controller) for c in winners.values()):
        free = {f: _lowest([c for c in curves if c.family == f and not is_tuned(c.controller)]) for f in families}
        evidence.append(f"Without tuning on the game itself: {_wins({f: c.controller for f, c in free.items()})}.")
    return Answer(
        sentence, [*evidence, *_fewest_failures(report), *([official(report.ranking)] if report.ranking else [])]
    )


def _lowest(curves: Sequence[RateCurve]) -> RateCurve:
    return min(curves, key=lambda curve: curve.area.value)


def _wins(winners: dict[str, str]) -> str:
    """Lists the winners of games: the first with their number, the others with their games where these are few."""
    games: dict[str, list[str]] = {}
    for family, name in winners.items():
        games.setdefault(name, []).append(family)
    ordered = sorted(games, key=lambda name: -len(games[name]))
    if len(ordered) == 1:
        return ordered[0] + (f" in all {len(winners)} games" if len(winners) > 1 else "")
    parts = [f"{ordered[0]} in {len(games[ordered[0]])} of {len(winners)} games"]
    parts += [f"{n} in {'; '.join(games[n]) if len(games[n]) < 3 else len(games[n])}" for n in ordered[1:]]
    return listed(parts)


def _areas(report: Report, winners: dict[str, RateCurve]) -> str:
    """Writes the winners' areas beside the baseline's."""
    base = {c.family: c for c in report.rate_curves if c.controller == report.baseline}
    parts = []
    for family, curve in winners.items():
        text = f"{family}: {interval(curve.area)}"
        if family in base and curve.controller != report.baseline:
            text += f" against {interval(base[family].area)}"
        parts.append(text)
    return f"Their mean scores over the logarithm of the rate, against {plain(report.baseline)}'s: {'; '.join(parts)}."


def _fewest_failures(report: Report) -> list[str]:
    """Names the controllers with the fewest failed runs, where some failed."""
    ranking = report.ranking
    if ranking is None or not any(ranking.failures):
        return []
    least = min(ranking.failures)
    names = [n for n, failed in zip(ranking.controllers, ranking.failures, strict=True) if failed == least]
    base = ranking.failures[ranking.controllers.index(report.baseline)] if ranking.baseline else None
    behind = f"; {plain(report.baseline)}: {count(base)}" if base is not None and report.baseline not in names else ""
    return [f"Fewest failed runs: {listed(names)} ({count(least)} of {count(ranking.runs[0])}){behind}."]


def _by_budget(report: Report) -> Answer | None:
    """Names the lowest expected score after a few trials in each game."""
    names = set(report.contestants(report.order))
    curves = [c for c in report.budget if c.controller in names]
    families = list(dict.fromkeys(curve.family for curve in curves))
    if not families:
        return None
    trials = min(3, len(curves[0].means))
    best = {f: min((c for c in curves if c.family == f), key=lambda c: c.means[trials - 1].value) for f in families}
    base = {c.family: c for c in curves if c.controller == report.baseline}
    sentence = (
        f"After {trials} trials of the rate, the lowest expected score is that of "
        f"{_wins({f: c.controller for f, c in best.items()})}."
    )
    parts = [
        f"{family}: {interval(curve.means[trials - 1])}"
        + (f" against {interval(base[family].means[trials - 1])}" if family in base else "")
        for family, curve in best.items()
    ]
    return Answer(sentence, [f"Against {plain(report.baseline)}'s: {'; '.join(parts)}."])


def listed(names: Sequence[str]) -> str:
    """Joins names as a sentence does.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
