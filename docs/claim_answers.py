"""What the committed rows say to a claim: a verdict and the figure behind it.

A verdict is computed, never written: by a 95 % interval of paired differences, by an adjusted p, or by counts.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from controller_tables import (
    BASELINE,
    RESULTS,
    blocks_of,
    ranking_of,
    told,
)

from agents.benchmark.suites import ORDERS
from agents.report.blocks import Block, by_controller, paired_difference, read_rows
from agents.report.budget import budget_curves
from agents.report.comparisons import agreement, differences, rate_curves, score_differences
from agents.report.numbers import number
from agents.report.statistics import Interval, mean_interval
from agents.report.tables import p_value
from benchmarks import table_1
from benchmarks.readings import sweep

CONFIRMED, NOT_SEEN, REVERSED = "confirmed", "not seen", "reversed"


@dataclass(frozen=True)
class Answer:
    """What rows say to a claim."""

    verdict: str
    figure: str


# -- verdicts -----------------------------------------------------------------------------------------------------


def lower(found: Interval) -> str:
    """Judges the claim that a difference lies below 0."""
    if found.high < 0:
        return CONFIRMED
    return REVERSED if found.low > 0 else NOT_SEEN


def higher(found: Interval) -> str:
    """Judges the claim that a difference lies above 0."""
    return lower(replace(found, value=-found.value, low=-found.high, high=-found.low))


def _exponential(found: Interval) -> Interval:
    """Turns an interval of a mean logarithm into one of a ratio."""
    value, low, high = (float(np.exp(each)) for each in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high)


def by_rank(folder: str, name: str) -> str:
    """Judges the claim that a controller ranks before plain training, by the adjusted p."""
    found = ranking_of(folder)
    at, base = found.controllers.index(name), found.controllers.index(BASELINE)
    if found.baseline_p[at] >= 0.05:
        return NOT_SEEN
    return CONFIRMED if found.ranks[at].value < found.ranks[base].value else REVERSED


# -- figures ------------------------------------------------------------------------------------------------------


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


def ranks(folder: str, name: str) -> Answer:
    """A controller's average rank beside plain training's."""
    found = ranking_of(folder)
    at, base = found.controllers.index(name), found.controllers.index(BASELINE)
    p = f"p = {p_value(found.baseline_p[at])}".replace("= <", "<")
    figure = (
        f"average rank {told(found.ranks[at])} of {len(found.controllers)}, `{BASELINE}` "
        f"{told(found.ranks[base])}; {p}"
    )
    return Answer(by_rank(folder, name), figure)


def areas(folder: str, name: str) -> Answer:
    """How many games have a lower mean score over all base rates under a controller than under plain training."""
    found: dict[str, dict[str, float]] = {}
    for curve in rate_curves(blocks_of(folder)):
        found.setdefault(curve.family.split(",")[0], {})[curve.controller] = curve.area.value
    better = [game for game, own in found.items() if own[name] < own[BASELINE]]
    judged = ranks(folder, name)
    return Answer(
        judged.verdict,
        f"area over the rates lower in {len(better)} of {len(found)} games; {judged.figure}",
    )


def failures(folder: str, name: str) -> Answer:
    """The share of runs that fail under a controller, minus that under plain training, paired by seed."""
    gaps, failed, base, runs = [], 0, 0, 0
    for block in blocks_of(folder):
        own, plain = (np.isinf(block.of(each, imputed=False)) for each in (name, BASELINE))
        gaps.append(own.astype(float) - plain)
        failed, base, runs = failed + int(own.sum()), base + int(plain.sum()), runs + len(own)
    found = mean_interval(100 * np.concatenate(gaps))
    figure = f"{failed} of {runs} runs fail, {base} under `{BASELINE}`; difference in % {told(found)}"
    return Answer(lower(found), figure)


def wins(folder: str, name: str, other: str = BASELINE) -> Answer:
    """In how many configurations a controller's paired interval lies below 0, and in how many above."""
    verdicts = [
        each.verdict
        for block in blocks_of(folder)
        for each in differences(block, other)
        if each.controller == name
    ]
    better, worse = verdicts.count(-1), verdicts.count(1)
    if better >= len(verdicts) / 2 and worse <= better / 2:
        verdict = CONFIRMED
    elif worse >= len(verdicts) / 2 and better <= worse / 2:
        verdict = REVERSED
    else:
        verdict = "depends on the game" if better else NOT_SEEN
    return Answer(
        verdict,
        f"better in {better} and worse in {worse} of {len(verdicts)} configurations, paired by seed",
    )


def learned() -> Answer:
    """What training added to the agent's return, over its own untrained actor."""
    (block,) = blocks_of("train-digits")
    gap = paired_difference(block.rows, "fsco (meta)", "fsco (untrained)", "return")
    found = mean_interval(gap)
    return Answer(higher(found), f"return minus that of its untrained actor: {told(found)}")


def reward_agrees() -> Answer:
    """Whether FSCO's reward orders runs as quality does."""
    found = np.array([agreement(block).runs for block in blocks_of("lr-robustness")])
    verdict = (
        CONFIRMED if np.median(found) > 0.5 else REVERSED if np.median(found) < 0 else NOT_SEEN
    )
    figure = (
        f"Spearman(return, −score): median {number(float(np.median(found)))} over {len(found)} configurations, "
        f"{number(float(found.min()))} to {number(float(found.max()))}"
    )
    return Answer(verdict, figure)


def overhead() -> Answer:
    """What an agent's decisions cost, as a share of the training that it steers."""
    rows = by_controller(row for block in blocks_of("lr-robustness") for row in block.rows)
    shares = {
        name: mean_interval(
            [
                100 * row["control_s"] / row["wall_s"]
                for row in rows[name]
                if row["status"] == "ok"
            ]
        )
        for name in ("fsco (embedded)", "fsco-ring")
    }
    each = "; ".join(
        f"{what} {told(found)} %"
        for what, found in zip(("learning in the run", "frozen"), shares.values(), strict=True)
    )
    return Answer(
        "depends on the mode",
        f"seconds of control per second of training, a decision every ten updates: {each}",
    )


@cache
def thesis_ring() -> dict[str, list[dict[str, Any]]]:
    """Rows of the thesis' ring by β₁."""
    found: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(RESULTS / "ring-thesis" / "rows.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            found.setdefault(f"{row['optimizer']['betas'][0]:g}", []).append(row)
    return found


def on_the_ring() -> Answer:
    """Dynamic-GDA against Sim-GDA on the thesis' ring, at two settings of Adam."""
    gaps = {
        beta: mean_interval(paired_difference(rows, "dyn-gda", BASELINE, "score"))
        for beta, rows in thesis_ring().items()
    }
    verdicts = {lower(found) for found in gaps.values()}
    figure = "; ".join(f"β₁ = {beta}: {told(found)}" for beta, found in gaps.items())
    return Answer(
        verdicts.pop() if len(verdicts) == 1 else "depends on β₁",
        f"W1 minus that of `{BASELINE}`: {figure}",
    )


def best_cells(folder: str) -> Answer:
    """In how many cells of a table of the thesis Dynamic-GDA has the lowest median."""
    found = ranking_of(folder)
    lowest = [found.controllers[int(np.argmin(medians))] for medians in found.medians.values()]
    own = lowest.count("dyn-gda")
    verdict = CONFIRMED if own >= len(lowest) / 2 else NOT_SEEN
    other = max(set(lowest), key=lowest.count)
    return Answer(
        verdict, f"lowest in {own} of {len(lowest)} cells; `{other}` in {lowest.count(other)}"
    )


def friedman() -> Answer:
    """Whether the orders differ."""
    found = ranking_of("dynamic-gda-table-1")
    assert found.friedman is not None
    first = found.controllers[0]
    p = f"p = {p_value(found.friedman.p)}".replace("= <", "<")
    verdict = CONFIRMED if found.friedman.p < 0.05 else NOT_SEEN
    return Answer(
        verdict, f"{p}; but `{first}` is first, with average rank {told(found.ranks[0])}"
    )


@cache
def dirac() -> list[dict[str, Any]]:
    """Rows of the Dirac-GAN."""
    with gzip.open(RESULTS / "dirac" / "rows.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def _ratio(loss: str, controllers: Iterable[str]) -> np.ndarray:
    """Distances at the end as multiples of the start's."""
    return np.array([
        row["distance"][-1] / row["distance"][0]
        for row in dirac()
        if row["loss"] == loss and row["controller"] in controllers and row["at"][-1] == 30_000
    ])  # fmt: skip


ALTERNATING = tuple(f"alt-gda-{n}" for n in range(1, 11))


def oracle_converges(loss: str) -> Answer:
    """Whether the oracle reaches the saddle, and the fixed orders do not."""
    own, alt, sim = (
        _ratio(loss, names) for names in (("dirac-oracle",), ALTERNATING, (BASELINE,))
    )
    reached, fixed = (
        float((own < 1e-6).mean()),
        float((np.concatenate([alt, sim]) < 1e-6).mean()),
    )
    verdict = CONFIRMED if reached > 0.9 and fixed == 0 else NOT_SEEN
    shown = (
        f"{10 ** float(np.median(np.log10(np.maximum(each, 1e-300)))):.1e}"
        for each in (own, alt, sim)
    )
    figure = "median distance after 30,000 updates, start = 1: oracle {}, Alt-GDA with n_d = 1 to 10 {}, Sim-GDA {}"
    return Answer(
        verdict,
        f"{figure.format(*shown)}; nearer than 1e-6: oracle {reached:.0%}".replace("%", " %"),
    )


def fixed_orders_stall() -> Answer:
    """Whether fixed orders fail to converge with the bce loss, too."""
    alt, sim = _ratio("bce", ALTERNATING), _ratio("bce", (BASELINE,))
    verdict = CONFIRMED if min(np.median(alt), np.median(sim)) > 0.5 else "depends on the loss"
    figure = (
        f"median distance after 30,000 updates, start = 1: Alt-GDA {np.median(alt):.2g}, still falling, "
        f"Sim-GDA {np.median(sim):.2g}"
    )
    return Answer(verdict, figure)


def starts() -> Answer:
    """From which starts the oracle does not converge."""
    far = {}
    for row in dirac():
        if row["loss"] == "wgan-unclipped" and row["at"][-1] == 5_000:
            far.setdefault(row["from"].partition(",")[0], []).append(row["distance"][-1] > 0.01)
    figure = ", ".join(
        f"{where}: {np.mean(each):.0%}".replace("%", " %") for where, each in far.items()
    )
    verdict = "depends on the start" if max(map(np.mean, far.values())) > 0.5 else CONFIRMED
    return Answer(verdict, f"share of starts farther than η / 10 after 5,000 updates: {figure}")


@cache
def lookahead(rate: str) -> list[dict[str, Any]]:
    """Rows of look-ahead on the ring."""
    with gzip.open(RESULTS / "lookahead_on_ring" / f"rows_{rate}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def looks_ahead(against: str) -> Answer:
    """Look-ahead against plain training, or against the constant that was chosen on tune seeds."""
    found = {}
    for rate in ("0.0002", "0.001", "0.004"):
        rows = lookahead(rate)
        others = {row["controller"] for row in rows} - {"lookahead", "constant:1"}
        other = "constant:1" if against == "plain" else others.pop()
        found[rate] = mean_interval(paired_difference(rows, "lookahead", other, "score"))
    verdicts = {lower(each) for each in found.values()}
    figure = "; ".join(f"{rate}: {told(each)}" for rate, each in found.items())
    verdict = verdicts.pop() if len(verdicts) == 1 else "depends on the rate"
    return Answer(verdict, f"W1, difference at base rate {figure}")


def average(name: str = BASELINE) -> Answer:
    """The score of an average of G's weights, minus G's own, on the plane."""
    gaps = [
        np.log(row["score_ema"] / row["score"])
        for block in blocks_of("lr-robustness")
        for row in block.rows
        if row["controller"] == name and row["status"] == "ok" and row["task"] != "digits"
    ]
    found = mean_interval(gaps)
    return Answer(
        lower(found),
        f"score of the average over that of G itself, plane: {told(_exponential(found))}",
    )


@cache
def sweep_round(loss: str) -> tuple[int, dict[str, dict[tuple[str, str], float]]]:
    """Returns the number of the last round of a loss that has rows, and each reading's distances."""
    number = max(n for n in range(1, len(sweep.ROUNDS) + 1) if _packed(loss, n).is_file())
    with gzip.open(_packed(loss, number), "rt") as lines:
        found = sweep.cells([json.loads(line) for line in lines])
    return number, found


def _packed(loss: str, number: int) -> Path:
    return RESULTS / "readings" / f"{loss}-{number}" / "selection.jsonl.gz"


def readings(loss: str, stand_in: str = "") -> Answer:
    """On how many sets readings of a loss work, by the last round that has rows; beside those of another loss."""
    shown, working = [], {}
    for each in filter(None, (loss, stand_in)):
        number, found = sweep_round(each)
        stage = sweep.ROUNDS[number - 1]
        works = {name: sweep.works_on(own, stage.orders) for name, own in found.items()}
        best = max(works, key=lambda name: (len(works[name]), -sweep.overall(found[name])))
        working[each] = len(works[best]) >= 2
        sets = ", ".join(works[best]) or "none"
        shown.append(
            f"of {len(works)} readings of `{each}` at {stage.updates:,} updates the best, `{best}`, works on {sets} "
            f"of {len(stage.sets)} sets"
        )
    if working[loss]:
        first = sweep.DEFAULT[loss].name
        _, found = sweep_round(loss)
        default_works = len(sweep.works_on(found[first], sweep.ROUNDS[-1].orders)) >= 2
        verdict = CONFIRMED if default_works else "depends on the clip"
    else:
        verdict = "depends on the normalisation" if stand_in and working[stand_in] else NOT_SEEN
    return Answer(
        verdict,
        "; ".join(shown) + f" (sliced W1 to validation data ≤ {sweep.WORKS} under some order)",
    )


def each_of(folder: str, stem: str = "") -> Answer:
    """Whether any of several contestants, those of a stem or all, is better than plain training."""
    names = {
        name
        for block in blocks_of(folder)
        for name in block.controllers
        if name.startswith(stem)
    } - {BASELINE}
    each = {name: wins(folder, name) for name in sorted(names)}
    verdicts = {found.verdict for found in each.values()}
    verdict = verdicts.pop() if len(verdicts) == 1 else "depends on the reading"
    return Answer(
        verdict, "; ".join(f"`{name}` {found.figure}" for name, found in each.items())
    )


def ratio(folder: str, names: str | Sequence[str], *tasks: str) -> Answer:
    """The score under a controller over that of plain training, paired by seed, pooled over the games of some tasks."""

    def of(block: Block, name: str) -> np.ndarray:
        return np.log(block.of(name, imputed=True) / block.of(BASELINE, imputed=True))

    what = f"score over that of `{BASELINE}`"
    return _pooled(_blocks(folder, tasks), names, of, lower, what, _exponential)


def with_diversity(folder: str, names: Sequence[str], *tasks: str) -> Answer:
    """The score with GCANN's diversity term over that of plain training without it, paired by seed."""
    blocks = _blocks(folder, tasks)
    without = {
        row["task"]: block for block in blocks if "+" not in (row := block.facts)["loss"]
    }

    def of(block: Block, name: str) -> np.ndarray:
        plain = without[block.facts["task"]].of(BASELINE, imputed=True)
        return np.log(block.of(name, imputed=True) / plain)

    what = f"score with the term over that of `{BASELINE}` without it"
    chosen = [block for block in blocks if "+diversity" in block.facts["loss"]]
    return _pooled(chosen, names, of, lower, what, _exponential)


def detail(folder: str, names: str | Sequence[str], key: str, what: str, *tasks: str) -> Answer:
    """A detail of the samples, of which more is claimed, minus that of plain training."""

    def value(row: dict[str, Any]) -> float:
        return row["details"].get(key, 0.0)

    what = f"{what} minus `{BASELINE}`'s, failed runs 0"
    return _pooled(_blocks(folder, tasks), names, _minus_plain(value), higher, what)


def losses_converge(folder: str, names: Sequence[str], *tasks: str) -> Answer:
    """How far the two losses are apart at the end of a run, D's as a sum, minus the same of plain training."""

    def apart(row: dict[str, Any]) -> float:
        scale = 2 if row["d_loss_scale"] == "mean" else 1
        gap = scale * np.array(row["trace"]["d_loss"]) - np.array(row["trace"]["g_loss"])
        return float(np.abs(gap[-max(1, len(gap) // 5) :]).mean())

    what = f"mean |L_D − L_G| in the last fifth, D's as a sum, minus `{BASELINE}`'s"
    return _pooled(_blocks(folder, tasks), names, _minus_plain(apart), lower, what)


def _blocks(folder: str, tasks: Sequence[str]) -> list[Block]:
    """The configurations of some tasks, of all if none is named."""
    return [block for block in blocks_of(folder) if not tasks or block.facts["task"] in tasks]


def _minus_plain(
    value: Callable[[dict[str, Any]], float],
) -> Callable[[Block, str], np.ndarray]:
    """A value of each run of a controller minus that of plain training with the same seed."""

    def of(block: Block, name: str) -> np.ndarray:
        rows = by_controller(block.rows)
        plain = {row["seed"]: value(row) for row in rows[BASELINE]}
        return np.array([value(row) - plain[row["seed"]] for row in rows[name]])

    return of


def _pooled(
    blocks: Sequence[Block],
    names: str | Sequence[str],
    of: Callable[[Block, str], np.ndarray],
    judge: Callable[[Interval], str],
    what: str,
    shown_as: Callable[[Interval], Interval] = lambda found: found,
) -> Answer:
    """Judges one controller, or each of several, by one value of each of its runs."""
    shown, verdicts = [], set()
    for name in (names,) if isinstance(names, str) else names:
        own = [block for block in blocks if name in block.controllers]
        values = np.concatenate([of(block, name) for block in own])
        failed = sum(int(np.isinf(block.of(name, imputed=False)).sum()) for block in own)
        found = mean_interval(values)
        shown.append(f"`{name}` {told(shown_as(found))}, {failed} of {len(values)} runs failed")
        verdicts.add(judge(found) if np.isfinite(found.high) else "too few runs")
    verdict = verdicts.pop() if len(verdicts) == 1 else "depends on the reading"
    return Answer(verdict, f"{what}: {'; '.join(shown)}")


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
    return Answer(
        verdict,
        f"one trial under `{name}` is as good as the best of ten under `{BASELINE}` in {len(enough)} of {len(curves)} "
        "games",
    )


def under_readings(folder: str) -> Answer:
    """Whether Dynamic-GDA is first in the thesis' table under other readings."""
    found = table_1.readings_of(read_rows(RESULTS / folder))
    at = ORDERS.index("dyn-gda")
    first = [each for each in found if each.ranks.mean(0).argmin() == at]
    verdict = (
        CONFIRMED
        if len(first) == len(found)
        else "depends on the reading"
        if first
        else NOT_SEEN
    )
    each = "; ".join(f"{one.title}: rank {one.ranks.mean(0)[at]:.2f} of 4" for one in found)
    return Answer(
        verdict,
        f"first under {len(first)} of {len(found)} readings ({each}). {table_1.robust(found)[0]}",
    )
