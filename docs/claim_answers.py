"""What the committed rows of benchmarks say to a claim: a verdict and the figure behind it.

A verdict is computed, never written. The unit is the seed: what a controller did under one seed is averaged over the
configurations, which share their seeds, and an interval is that of the mean over seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from controller_tables import BASELINE, RESULTS, blocks_of, ranking_of, told
from scipy import stats

from agents.benchmark.suites import ORDERS
from agents.report.blocks import Block, by_controller, paired_difference, read_rows
from agents.report.budget import budget_curves
from agents.report.comparisons import agreement, rate_families, score_differences
from agents.report.numbers import number
from agents.report.rank_tests import block_ranks, holm
from agents.report.rank_tests import friedman as friedman_test
from agents.report.statistics import Interval, area_over_log_rate, mean_interval
from agents.report.tables import p_value
from benchmarks import table_1
from benchmarks.readings.sweep import WORKS

CONFIRMED, NOT_SEEN, REVERSED, TOO_FEW = "confirmed", "not seen", "reversed", "too few runs"
ALPHA = 0.05

BySeed = dict[int, float]
"""A number of each seed."""


@dataclass(frozen=True)
class Answer:
    """What rows say to a claim."""

    verdict: str
    figure: str


# -- verdicts -----------------------------------------------------------------------------------------------------


def lower(found: Interval) -> str:
    """Judges the claim that a difference lies below 0."""
    if not found.bounded:
        return TOO_FEW
    if found.high < 0:
        return CONFIRMED
    return REVERSED if found.low > 0 else NOT_SEEN


def higher(found: Interval) -> str:
    """Judges the claim that a difference lies above 0."""
    return lower(replace(found, value=-found.value, low=-found.high, high=-found.low))


def one_of(verdicts: Iterable[str], otherwise: str) -> str:
    """The verdict if all are the same; else what it depends on if any is in favour, or that it is reversed in part."""
    different = set(verdicts)
    if len(different) == 1:
        return different.pop()
    if any(each == CONFIRMED or each.startswith("depends") for each in different):
        return f"depends on {otherwise}"
    return (
        f"{REVERSED} in part"
        if any(each.startswith(REVERSED) for each in different)
        else NOT_SEEN
    )


def counted(better: int, worse: int, of: int, otherwise: str = "the game") -> str:
    """Judges by how many of several configurations are better, and how many worse."""
    if better >= of / 2 and worse <= better / 2:
        return CONFIRMED
    if worse >= of / 2 and better <= worse / 2:
        return REVERSED
    if better:
        return f"depends on {otherwise}"
    return f"{REVERSED} in part" if worse else NOT_SEEN


# -- over seeds ---------------------------------------------------------------------------------------------------


def ratio_of(found: Interval) -> Interval:
    """Turns an interval of a mean logarithm into one of a ratio."""
    value, low, high = (float(np.exp(each)) for each in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high)


def over_seeds(values: Sequence[BySeed]) -> Interval:
    """The mean over seeds of each seed's mean over the configurations that have it."""
    seeds = sorted({seed for each in values for seed in each})
    return mean_interval(
        [float(np.mean([v[seed] for v in values if seed in v])) for seed in seeds]
    )


def _blocks(folder: str, tasks: Sequence[str]) -> list[Block]:
    """The configurations of some tasks, of all if none is named."""
    return [block for block in blocks_of(folder) if not tasks or block.facts["task"] in tasks]


def _minus_plain(value: Callable[[dict[str, Any]], float]) -> Callable[[Block, str], BySeed]:
    """A value of each run of a controller minus that of plain training with the same seed."""

    def of(block: Block, name: str) -> BySeed:
        rows = by_controller(block.rows)
        plain = {row["seed"]: value(row) for row in rows[BASELINE]}
        return {row["seed"]: value(row) - plain[row["seed"]] for row in rows[name]}

    return of


def _judged(
    blocks: Sequence[Block],
    names: str | Sequence[str],
    of: Callable[[Block, str], BySeed],
    judge: Callable[[Interval], str],
    what: str,
    shown_as: Callable[[Interval], Interval] = lambda found: found,
    failed: Callable[[Sequence[Block], str], str] | None = None,
) -> Answer:
    """Judges one controller, or each of several, by a number of each seed."""
    shown, verdicts = [], []
    for name in (names,) if isinstance(names, str) else names:
        own = [block for block in blocks if name in block.controllers]
        found = over_seeds([of(block, name) for block in own])
        shown.append(f"`{name}` {told(shown_as(found))}, {(failed or failed_of)(own, name)}")
        verdicts.append(judge(found))
    return Answer(one_of(verdicts, "the reading"), f"{what}: {'; '.join(shown)}")


def failed_of(blocks: Sequence[Block], name: str) -> str:
    """How many runs failed under a controller, and under plain training."""
    failed, plain = (
        sum(int(np.isinf(block.of(each, imputed=False)).sum()) for block in blocks)
        for each in (name, BASELINE)
    )
    runs = sum(int((~np.isnan(block.of(name, imputed=False))).sum()) for block in blocks)
    return f"{failed} of {runs} runs failed" + (
        f" ({plain} of `{BASELINE}`)" if failed or plain else ""
    )


# -- answers of any benchmark -------------------------------------------------------------------------------------


def ratio(folder: str, names: str | Sequence[str], *tasks: str) -> Answer:
    """The score under a controller over that of plain training."""

    def of(block: Block, name: str) -> BySeed:
        logs = np.log(block.of(name, imputed=True) / block.of(BASELINE, imputed=True))
        return dict(zip(block.seeds, logs.tolist(), strict=True))

    return _judged(
        _blocks(folder, tasks), names, of, lower, f"score over that of `{BASELINE}`", ratio_of
    )


def with_diversity(folder: str, names: Sequence[str], *tasks: str) -> Answer:
    """The score with GCANN's diversity term over that of plain training without it."""
    blocks = _blocks(folder, tasks)
    without = {block.facts["task"]: block for block in blocks if "+" not in block.facts["loss"]}

    def of(block: Block, name: str) -> BySeed:
        plain = without[block.facts["task"]].of(BASELINE, imputed=True)
        return dict(
            zip(block.seeds, np.log(block.of(name, imputed=True) / plain).tolist(), strict=True)
        )

    chosen = [block for block in blocks if "+diversity" in block.facts["loss"]]
    return _judged(
        chosen,
        names,
        of,
        lower,
        f"score with the term over that of `{BASELINE}` without it",
        ratio_of,
    )


def detail(folder: str, names: str | Sequence[str], key: str, what: str, *tasks: str) -> Answer:
    """A detail of the samples, of which more is claimed, minus that of plain training."""
    of = _minus_plain(lambda row: float(row["details"][key]) if row["status"] == "ok" else 0.0)
    return _judged(
        _blocks(folder, tasks), names, of, higher, f"{what} minus `{BASELINE}`'s, failed runs 0"
    )


def losses_converge(folder: str, names: Sequence[str], *tasks: str) -> Answer:
    """How far the two losses are apart at the end of a run, minus the same of plain training.

    In a run that failed, how far they ever were.
    """

    def apart(row: dict[str, Any]) -> float:
        scale = 0.5 if row["d_loss_scale"] == "sum" else 1.0
        gap = np.abs(
            scale * np.array(row["trace"]["d_loss"]) - np.array(row["trace"]["g_loss"])
        )
        return float(
            gap[-max(1, len(gap) // 5) :].mean() if row["status"] == "ok" else gap.max()
        )

    what = f"mean |L_D − L_G| in the last fifth, D's as a mean, so 0 at the equilibrium; minus `{BASELINE}`'s"
    return _judged(_blocks(folder, tasks), names, _minus_plain(apart), lower, what)


def failures(folder: str, names: str | Sequence[str]) -> Answer:
    """The share of runs that fail under a controller, minus that under plain training."""

    def by_kind(blocks: Sequence[Block], name: str) -> str:
        rows = [
            row
            for block in blocks
            for row in by_controller(block.rows)[name]
            if row["status"] != "ok"
        ]
        kinds = Counter(str(row["failure"]) for row in rows)
        kind = (
            f" ({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())})"
            if kinds
            else ""
        )
        return failed_of(blocks, name).replace(" failed", f" failed{kind}", 1)

    of = _minus_plain(lambda row: 100.0 * (row["status"] != "ok"))
    what = f"share of failed runs minus that of `{BASELINE}`, in %"
    answer = _judged(_blocks(folder, ()), names, of, lower, what, failed=by_kind)
    return replace(answer, verdict=answer.verdict.replace("the reading", "the mode"))


def ranks(folder: str, name: str) -> Answer:
    """A controller's rank minus plain training's, averaged over configurations."""
    found = ranking_of(folder)
    values = []
    for block in blocks_of(folder):
        scores = np.array([block.of(each, imputed=False) for each in found.controllers])
        placed = block_ranks(scores.T)
        gap = (
            placed[:, found.controllers.index(name)]
            - placed[:, found.controllers.index(BASELINE)]
        )
        values.append(dict(zip(block.seeds, gap.tolist(), strict=True)))
    gap = over_seeds(values)
    average = found.ranks[found.controllers.index(name)].value
    plain = found.ranks[found.controllers.index(BASELINE)].value
    figure = (
        f"rank minus `{BASELINE}`'s, run by run: {told(gap)}; of medians {average:.2f} and {plain:.2f} of "
        f"{len(found.controllers)}"
    )
    return Answer(lower(gap), figure)


def areas(folder: str, name: str) -> Answer:
    """In how many games the area over the base rates is lower than under plain training, paired by seed."""
    gaps = []
    for _, blocks in rate_families(blocks_of(folder)):
        rates = np.array([block.facts["d_lr"] for block in blocks], float)
        own, plain = (
            np.array([block.of(each, imputed=True) for block in blocks]).T
            for each in (name, BASELINE)
        )
        gaps.append(area_over_log_rate(rates, own) - area_over_log_rate(rates, plain))
    better, worse = _told_apart(gaps)
    judged = ranks(folder, name)
    figure = (
        f"area over the rates lower in {better} and higher in {worse} of {len(gaps)} games, by paired t tests; "
        f"{judged.figure}"
    )
    return Answer(counted(better, worse, len(gaps)), figure)


def wins(folder: str, name: str, other: str = BASELINE) -> Answer:
    """In how many configurations a controller is better than another by a paired t test, and in how many worse."""
    gaps = [
        gap
        for block in blocks_of(folder)
        if name in block.controllers
        and (gap := score_differences(block, name, other)) is not None
    ]
    (better, worse), of = _told_apart(gaps), len(gaps)
    verdict = counted(better, worse, of)
    return Answer(
        verdict,
        f"better in {better} and worse in {worse} of {of} configurations, by paired t tests",
    )


def _told_apart(gaps: Sequence[np.ndarray]) -> tuple[int, int]:
    """In how many configurations paired differences lie below 0, and in how many above, Holm-adjusted over them."""
    adjusted = holm(np.array([_p(gap) for gap in gaps]))
    signs = [np.sign(gap.mean()) for gap, p in zip(gaps, adjusted, strict=True) if p < ALPHA]
    return signs.count(-1), signs.count(1)


def _p(gap: np.ndarray) -> float:
    """The p of a paired t test; 1 where all differences are 0."""
    return float(stats.ttest_1samp(gap, 0.0).pvalue) if np.ptp(gap) else float(not gap.any())


def each_of(folder: str, stem: str = "") -> Answer:
    """Whether any of several contestants, those of a stem or all, is better than plain training."""
    names = {
        name
        for block in blocks_of(folder)
        for name in block.controllers
        if name.startswith(stem)
    } - {BASELINE}
    each = {name: wins(folder, name) for name in sorted(names)}
    groups: dict[str, list[str]] = {}
    for name, found in each.items():
        groups.setdefault(found.figure, []).append(f"`{name}`")
    figure = "; ".join(f"{figure}: {', '.join(own)}" for figure, own in groups.items())
    return Answer(one_of((found.verdict for found in each.values()), "the reading"), figure)


def budget(folder: str, name: str) -> Answer:
    """Whether a tenth of the trials is enough under a controller: one trial against ten of plain training."""
    curves: dict[str, dict[str, list[Interval]]] = {}
    for curve in budget_curves(blocks_of(folder)):
        curves.setdefault(curve.family, {})[curve.controller] = curve.means
    enough = [
        family for family, own in curves.items() if own[name][0].value <= own[BASELINE][9].value
    ]
    verdict = (
        CONFIRMED
        if len(enough) == len(curves)
        else "depends on the game"
        if enough
        else NOT_SEEN
    )
    seeds = min(len(block.seeds) for block in blocks_of(folder))
    figure = (
        f"the mean score of one trial under `{name}` is at most that of the best of ten under `{BASELINE}` in "
        f"{len(enough)} of {len(curves)} configurations ({seeds} seeds, no interval)"
    )
    return Answer(verdict, figure)


# -- answers of one benchmark -------------------------------------------------------------------------------------


def digits(name: str, other: str = BASELINE) -> Answer:
    """A controller's paired difference in the main job's table."""
    (block,) = blocks_of("train-digits")
    return _difference(block, name, other, "Fréchet distance")


def target_errors(name: str) -> Answer:
    """A controller's paired difference in the error on the target domain."""
    (block,) = blocks_of("digits-domains")
    return _difference(block, name, BASELINE, "share of wrong labels on the target domain")


def _difference(block: Block, name: str, other: str, what: str) -> Answer:
    gap = score_differences(block, name, other)
    assert gap is not None
    found = mean_interval(gap)
    return Answer(lower(found), f"{what} minus that of `{other}`: {told(found)}")


def learned() -> Answer:
    """What training added to the agent's return, over its own untrained actor."""
    (block,) = blocks_of("train-digits")
    gap = paired_difference(block.rows, "fsco (meta)", "fsco (untrained)", "return")
    found = mean_interval(gap)
    return Answer(higher(found), f"return minus that of its untrained actor: {told(found)}")


SMALL = 2e-3
"""Base rates up to this are small here: hardly a run of plain training fails."""


def reward_agrees() -> Answer:
    """Whether FSCO's reward orders runs as quality does."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for block in blocks_of("lr-robustness"):
        found[block.facts["d_lr"] <= SMALL].append(agreement(block).runs)
    verdicts, shown = [], []
    for small, each in found.items():
        middle = float(np.median(each))
        verdicts.append(CONFIRMED if middle > 0.5 else REVERSED if middle < 0 else NOT_SEEN)
        where = f"up to {SMALL:g}" if small else "above, where many runs fail,"
        negative = sum(value < 0 for value in each)
        shown.append(
            f"{where} {number(middle)}, negative in {negative} of {len(each)} configurations"
        )
    figure = f"Spearman(return, −score) of runs that did not fail, median, at base rates {'; '.join(shown)}"
    return Answer(one_of(verdicts, "the rate"), figure)


GROUNDS = (
    ("lr-robustness", "ring"),
    ("lr-robustness", "digits"),
    ("fsco-pictures", "fashion"),
    ("fsco-pictures", "emoji64"),
)
FROZEN = ("fsco-ring", "fsco-fashion")


def overhead() -> Answer:
    """What an agent's decisions cost, as a share of the updates that it steers, and each; the mean over batches."""
    shown, shares = [], []
    for folder, task in GROUNDS:
        if not (RESULTS / folder / "rows.jsonl.gz").is_file():
            continue
        rows = by_controller(
            row
            for block in _blocks(folder, (task,))
            for row in block.rows
            if row["status"] == "ok"
        )
        modes = []
        for name in ("fsco (embedded)", *FROZEN, BASELINE):
            if name not in rows:
                continue
            batches = {
                row["group"]: row for row in rows[name]
            }.values()  # a batch has one clock
            share = np.mean(
                [100 * row["control_s"] / (row["wall_s"] - row["control_s"]) for row in batches]
            )
            each = np.mean(
                [
                    1e3 * row["control_s"] * row["updates_per_step"] / row["ended"]
                    for row in batches
                ]
            )
            if name == BASELINE:  # decides at every update
                modes.append(f"`{name}`'s own bookkeeping {number(float(share))} %")
                continue
            mode = "frozen" if name in FROZEN else "learning in the run"
            modes.append(
                f"{mode} {number(float(share))} % ({number(float(each))} ms a decision)"
            )
            shares += [float(share)] if name == "fsco (embedded)" else []
        shown.append(f"`{task}`: {', '.join(modes)}")
    what = "seconds of control per second of updates in batches of runs, a decision every ten updates, no interval"
    verdict = "depends on the game" if max(shares) > 2 * min(shares) else CONFIRMED
    return Answer(verdict, f"{what}: {'; '.join(shown)}")


def average(name: str = BASELINE) -> Answer:
    """The score of an average of G's weights over G's own, on the plane."""
    values = [
        {row["seed"]: float(np.log(row["score_ema"] / row["score"]))}
        for block in blocks_of("lr-robustness")
        for row in block.rows
        if row["controller"] == name and row["status"] == "ok" and row["task"] != "digits"
    ]
    found = over_seeds(values)
    figure = f"score of the average over that of G itself, plane, {len(values)} runs that did not fail"
    return Answer(lower(found), f"{figure}: {told(ratio_of(found))}")


def acts(folder: str, name: str) -> Answer:
    """In how many runs a controller does anything that plain training does not."""
    same = runs = 0
    for block in blocks_of(folder):
        rows = by_controller(block.rows)
        plain = {row["seed"]: _result(row) for row in rows[BASELINE]}
        same += sum(_result(row) == plain[row["seed"]] for row in rows[name])
        runs += len(rows[name])
    verdict = CONFIRMED if same == 0 else "depends on the game" if same < runs else NOT_SEEN
    return Answer(
        verdict,
        f"equal to `{BASELINE}` to the bit, as nothing sets it off, in {same} of {runs} runs",
    )


def _result(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["status"], row["score"], row["d_updates"], row["g_updates"]


# -- the thesis' tables -------------------------------------------------------------------------------------------


def _cells(*folders: str) -> dict[str, list[float]]:
    """Medians of the four orders by cell, of the cells in which not every order failed."""
    found = {}
    for folder in folders:
        ranking = ranking_of(folder)
        at = [ranking.controllers.index(order) for order in ORDERS]
        for cell, medians in ranking.medians.items():
            if np.isfinite(medians).any():
                found[f"{folder}: {cell}"] = [medians[i] for i in at]
    return found


DYNAMIC = ORDERS.index("dyn-gda")


def best_cells(folder: str) -> Answer:
    """In how many cells of a table of the thesis Dynamic-GDA has the lowest median."""
    every = _cells(folder)
    lowest = [ORDERS[int(np.argmin(medians))] for medians in every.values()]
    own = lowest.count("dyn-gda")
    verdict = CONFIRMED if own >= len(lowest) / 2 else NOT_SEEN
    other = max(set(lowest), key=lowest.count)
    left_out = len(ranking_of(folder).medians) - len(every)
    aside = f", {left_out} left out in which every order failed" if left_out else ""
    runs = {row["updates"] for block in blocks_of(folder) for row in block.rows}
    seeds = min(len(block.seeds) for block in blocks_of(folder))
    length = " or ".join(f"{updates:,}" for updates in sorted(runs))
    figure = (
        f"lowest in {own} of {len(lowest)} cells{aside}; `{other}` in {lowest.count(other)} ({length} updates, "
        f"{seeds} seeds)"
    )
    return Answer(verdict, figure)


def worst_cells(folder: str, loss: str) -> Answer:
    """In how many cells of a loss Dynamic-GDA has the highest median."""
    own = [
        medians
        for cell, medians in _cells(folder).items()
        if loss in cell.partition(": ")[2].split(", ")
    ]
    worst = sum(int(np.argmax(medians)) == DYNAMIC for medians in own)
    verdict = CONFIRMED if worst == len(own) else "depends on the game" if worst else NOT_SEEN
    return Answer(verdict, f"highest median in {worst} of {len(own)} cells of `{loss}`")


def friedman(*folders: str) -> Answer:
    """Whether the orders differ, over the cells of one table or of both."""
    medians = np.array(list(_cells(*folders).values()))
    found = friedman_test(medians)
    average = block_ranks(medians).mean(0)
    p = f"p = {p_value(found.p)}".replace("= <", "<")
    each = ", ".join(f"`{ORDERS[i]}` {average[i]:.2f}" for i in np.argsort(average))
    figure = f"{p} over {len(medians)} cells; average ranks {each}"
    return Answer(CONFIRMED if found.p < ALPHA else NOT_SEEN, figure)


def under_readings(folder: str) -> Answer:
    """Whether Dynamic-GDA is first in the thesis' table under other readings."""
    found = table_1.readings_of(read_rows(RESULTS / folder))
    first = [each for each in found if each.ranks.mean(0).argmin() == DYNAMIC]
    verdict = (
        CONFIRMED
        if len(first) == len(found)
        else "depends on the reading"
        if first
        else NOT_SEEN
    )
    each = "; ".join(
        f"{one.title}: rank {one.ranks.mean(0)[DYNAMIC]:.2f} of 4" for one in found
    )
    return Answer(
        verdict,
        f"first under {len(first)} of {len(found)} readings ({each}). {table_1.robust(found)[0]}",
    )


def learns(folder: str, loss: str, names: str) -> Answer:
    """On how many sets a loss of the thesis learns under some order and reading."""
    lowest = {task: np.inf for task in table_1.SETS}
    for each in table_1.readings_of(read_rows(RESULTS / folder)):
        for (own, task), medians in zip(table_1.CELLS, each.medians, strict=True):
            if own == loss:
                lowest[task] = min(lowest[task], float(medians.min()))
    works = [task for task, value in lowest.items() if value <= WORKS]
    verdict = (
        CONFIRMED if len(works) == len(lowest) else "depends on the set" if works else NOT_SEEN
    )
    each = ", ".join(f"`{task}` {number(value)}" for task, value in lowest.items())
    return Answer(
        verdict,
        f"`{names}`, lowest median of ten seeds under any order and reading: {each} (≤ {WORKS} counts)",
    )
