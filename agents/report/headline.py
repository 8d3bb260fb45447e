"""Writes the report's headline: sentences that follow from its numbers by fixed rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .answer import answer, listed
from .cells import interval
from .comparisons import Difference
from .model import Report
from .numbers import MINUS, number
from .statistics import FEWEST, Interval

STRONG = 0.5
"""Smallest absolute Spearman correlation at which the reward agrees or disagrees with quality."""


def headline(report: Report) -> list[str]:
    """Returns the answer, agents' places, the evidence, comparisons with the opponents in words, and remarks."""
    found = answer(report)
    return [found.sentence, *found.agents, *found.evidence, *comparisons(report), *remarks(report)]


def comparisons(report: Report) -> list[str]:
    """Compares all contestants with the baseline and the tuned opponents, as the table of verdicts does."""
    constants = sorted({name for name in report.best_constants.values() if name})
    sentences = _against(report, report.to_baseline, report.baseline)
    if constants:
        shown = "the best constant multiplier" + (f" ({constants[0]})" if len(constants) == 1 else "")
        sentences += _against(report, report.to_best_constant, shown)
    if report.to_best_schedule:
        sentences += _against(report, report.to_best_schedule, "the best schedule of both rates")
    return sentences


def remarks(report: Report) -> list[str]:
    """Returns sentences on untrained GANs, the floor, failures, and the reward."""
    return [*_idle(report), *_floor(report), *_failures(report), *_rewards(report)]


def _against(report: Report, found: Sequence[Difference], other: str) -> list[str]:
    """Lists contestants that are better and worse than `other`: with differences, or with counts of configurations."""
    contestants = set(report.contestants([d.controller for d in found]))
    entries = [d for d in found if d.controller in contestants]
    if not entries:
        return [f"Nothing can be compared with {other}: no other contestant shares its seeds."]
    if not any(d.t.bounded for d in entries):
        return [f"Compared with {other}: too few runs for an interval (fewer than {FEWEST})."]
    if len({d.block for d in found}) > 1:
        return _counted(entries, other)
    if not any(d.verdict for d in entries):
        return [f"No controller's 95 % interval excludes zero against {other}."]
    sentences = []
    for verdict, word in ((-1, "better"), (1, "worse")):
        decided = sorted((d for d in entries if d.verdict == verdict), key=lambda d: d.t.value)
        listed = ", ".join(f"{d.controller} ({_gap(d.t)})" for d in decided)
        none = f"No controller is shown to be {word} than {other}."
        sentences.append(f"{word.capitalize()} than {other}: {listed}." if decided else none)
    if rest := [d.controller for d in entries if not d.verdict]:
        sentences[-1] += f" No difference shown: {', '.join(rest)}."
    return sentences


def _counted(entries: Sequence[Difference], other: str) -> list[str]:
    verdicts: dict[str, list[int]] = {}
    for d in entries:
        verdicts.setdefault(d.controller, []).append(d.verdict)
    decided = [name for name, each in verdicts.items() if any(each)]
    if not decided:
        return [f"No controller's 95 % interval excludes zero against {other} in any configuration."]
    parts = [
        f"{name} better in {verdicts[name].count(-1)} and worse in {verdicts[name].count(1)} of {len(verdicts[name])}"
        for name in sorted(decided, key=lambda name: float(np.mean(verdicts[name])))
    ]
    rest = [name for name in verdicts if name not in decided]
    open_ = f" No difference shown in any: {', '.join(rest)}." if rest else ""
    where = f"Against {other}, in configurations whose 95 % interval excludes zero"
    return [f"{where}: {'; '.join(parts)}.{open_}"]


def _gap(found: Interval) -> str:
    return interval(found, sign=True)


def _idle(report: Report) -> list[str]:
    """Names controllers that are no better than an untrained generator, and those that never moved one."""
    held = {name: found.no_better for name, found in report.idle.items() if found.no_better}
    ordered = sorted(held, key=lambda name: (-len(held[name]), report.order.index(name)))
    if len(report.facts.configurations) == 1:
        parts = ordered
    else:
        parts = [f"{name} {len(held[name])} of {_ran(report, name)}" for name in ordered]
        parts[:1] = [f"{part} configurations" for part in parts[:1]]
    shown = ", ".join(parts)
    sentences = [f"No better than the untrained generator, by median score: {shown}."] if held else []
    still = [
        f"{name} ({'every run' if found.still == found.runs else f'{found.still} of {found.runs} runs'})"
        for name, found in report.idle.items()
        if found.still
    ]
    return [*sentences, *([f"The generator never moved under {listed(still)}."] if still else [])]


def _ran(report: Report, name: str) -> int:
    return sum(name in found for found in report.medians.values())


def _floor(report: Report) -> list[str]:
    """Compares the best mean with the score of real data, for a single configuration."""
    contestants = set(report.contestants([s.controller for s in report.scores]))
    known = [(s.mean.value, s.controller, s.floor) for s in report.scores if s.mean and s.controller in contestants]
    if len(report.facts.configurations) > 1 or not known:
        return []
    mean, name, floor = min(known)
    ratio = f", {number(mean / floor)} times the floor of {number(floor)}" if floor > 0 else ""
    untrained = next(iter(report.marks.values())).untrained
    from_ = "" if untrained is None else f"; an untrained generator scores {number(untrained)}"
    return [f"The lowest mean score is {number(mean)} ({name}){ratio}. Fresh real data score the floor{from_}."]


def _failures(report: Report) -> list[str]:
    if not report.failures:
        return [f"None of {report.facts.runs} runs failed."]
    counts = Counter(failure.controller for failure in report.failures)
    parts = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    failed = f"{len(report.failures)} of {report.facts.runs} runs failed"
    return [f"{failed}: {parts}. Failed runs rank last; means impute them."]


def _rewards(report: Report) -> list[str]:
    """Says for each reward in the rows whether it agrees with quality."""
    found: dict[str, list[float]] = {}
    for each in report.agreements:
        if not np.isnan(each.runs):
            found.setdefault(each.reward, []).append(each.runs)
    sentences = []
    for name, values in found.items():
        value = float(np.median(values))
        verdict = "agrees with" if value >= STRONG else "disagrees with" if value <= -STRONG else "says little about"
        where = "over all runs" if len(values) == 1 else f"over all runs, median of {len(values)} configurations"
        sentences.append(
            f"The reward {name} {verdict} quality: Spearman(return, −score) is {_correlation(value)} ({where})."
        )
    return sentences


def _correlation(value: float) -> str:
    return f"{value:+.2f}".replace("-", MINUS)
