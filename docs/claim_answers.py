"""What the committed rows of benchmarks say to a claim: a verdict and the figure behind it. No verdict is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from claim_verdicts import (
    ALPHA,
    CONFIRMED,
    NOT_SEEN,
    REVERSED,
    Answer,
    BySeed,
    counted,
    higher,
    in_how_many,
    lower,
    one_of,
    over_seeds,
    ratio_of,
)
from controller_tables import BASELINE, blocks_of, ranking_of, told

from agents.report.blocks import Block, by_controller, make_blocks, paired_difference
from agents.report.budget import budget_curves
from agents.report.comparisons import agreement, rate_families, score_differences, t_test
from agents.report.numbers import number
from agents.report.rank_tests import block_ranks, holm
from agents.report.statistics import Interval, area_over_log_rate, mean_interval

# -- runs of a controller and of plain training ------------------------------------------------------------------


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
    otherwise: str = "the reading",
) -> Answer:
    """Judges one controller, or each of several, by a number of each seed."""
    shown, verdicts = [], []
    for name in (names,) if isinstance(names, str) else names:
        own = [block for block in blocks if name in block.controllers]
        found = over_seeds([of(block, name) for block in own])
        shown.append(f"`{name}` {told(shown_as(found))}, {failed(own, name)}")
        verdicts.append(judge(found))
    return Answer(one_of(verdicts, otherwise), f"{what}: {'; '.join(shown)}")


def failed(blocks: Sequence[Block], name: str) -> str:
    """How many runs failed under a controller and how, and how many under plain training."""
    rows = [row for block in blocks for row in by_controller(block.rows)[name]]
    kinds = Counter(str(row["failure"]) for row in rows if row["status"] != "ok")
    plain = sum(int(np.isinf(block.of(BASELINE, imputed=False)).sum()) for block in blocks)
    how = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    beside = f" ({plain} of `{BASELINE}`)" if kinds or plain else ""
    return f"{kinds.total()} of {len(rows)} runs failed{f' ({how})' if how else ''}{beside}"


def _log_ratio(
    block: Block, name: str, plain: Block | None = None, other: str = BASELINE
) -> BySeed:
    """The logarithm of a controller's score over that of another, of plain training, here or in another block."""
    logs = np.log(block.of(name, imputed=True) / (plain or block).of(other, imputed=True))
    return dict(zip(block.seeds, logs.tolist(), strict=True))


# -- answers of any benchmark -------------------------------------------------------------------------------------


def ratio(folder: str, names: str | Sequence[str], *tasks: str) -> Answer:
    """The score under a controller over that of plain training."""
    what = f"score over that of `{BASELINE}`"
    return _judged(_blocks(folder, tasks), names, _log_ratio, lower, what, ratio_of)


def ratio_on_fresh(folder: str, name: str, known: str) -> Answer:
    """The same on the seeds alone that another folder does not have."""
    seen = {seed for block in blocks_of(known) for seed in block.seeds}
    rows = [row for block in blocks_of(folder) for row in block.rows if row["seed"] not in seen]
    what = f"score over that of `{BASELINE}` on seeds that `{known}` does not have"
    return _judged(make_blocks(rows), name, _log_ratio, lower, what, ratio_of)


def with_diversity(folder: str, names: Sequence[str], *tasks: str) -> Answer:
    """The score with GCANN's diversity term over that without it, each controller's own."""
    blocks = _blocks(folder, tasks)
    without = {block.facts["task"]: block for block in blocks if "+" not in block.facts["loss"]}

    def of(block: Block, name: str) -> BySeed:
        return _log_ratio(block, name, without[block.facts["task"]], name)

    chosen = [block for block in blocks if "+diversity" in block.facts["loss"]]
    what = "score with the term over the same controller's without it"
    return _judged(chosen, names, of, lower, what, ratio_of)


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
    of = _minus_plain(lambda row: 100.0 * (row["status"] != "ok"))
    what = f"share of failed runs minus that of `{BASELINE}`, in %"
    return _judged(_blocks(folder, ()), names, of, lower, what, otherwise="the mode")


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
    adjusted = holm(np.array([t_test(gap) for gap in gaps], float))
    signs = [np.sign(gap.mean()) for gap, p in zip(gaps, adjusted, strict=True) if p < ALPHA]
    return signs.count(-1), signs.count(1)


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
    seeds = min(len(block.seeds) for block in blocks_of(folder))
    figure = (
        f"the mean score of one trial under `{name}` is at most that of the best of ten under `{BASELINE}` in "
        f"{len(enough)} of {len(curves)} configurations ({seeds} seeds, no interval)"
    )
    return Answer(in_how_many(len(enough), len(curves)), figure)


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


def reward_agrees(folder: str) -> Answer:
    """Whether FSCO's reward orders runs as quality does."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for block in blocks_of(folder):
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
                modes.append(f"`{name}`, asked at every update, {number(float(share))} %")
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


def average(folder: str) -> Answer:
    """The score of an average of G's weights over G's own, under plain training on the plane."""
    values = [
        {row["seed"]: float(np.log(row["score_ema"] / row["score"]))}
        for block in blocks_of(folder)
        for row in block.rows
        if row["controller"] == BASELINE and row["status"] == "ok" and row["task"] != "digits"
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
    return Answer(
        in_how_many(runs - same, runs),
        f"equal to `{BASELINE}` to the bit, as nothing sets it off, in {same} of {runs} runs",
    )


def _result(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["status"], row["score"], row["d_updates"], row["g_updates"]
