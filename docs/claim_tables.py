"""Tables of claims.md: what each source claims, and what the committed rows say to it.

A verdict is computed, never written: `lower` and its kin decide by a 95 % interval of paired differences, or by an
adjusted p. A claim without rows is "not run yet" and has the command that would make them. `tables.py` writes them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from controller_tables import (
    BASELINE,
    RESULTS,
    ROOT,
    blocks_of,
    ranking_of,
    table,
    told,
)

from agents.report.blocks import Block, by_controller, paired_difference
from agents.report.comparisons import agreement, differences, rate_curves, score_differences
from agents.report.numbers import number
from agents.report.statistics import Interval, mean_interval
from agents.report.tables import p_value

CONFIRMED, NOT_SEEN, REVERSED, NOT_RUN = "confirmed", "not seen", "reversed", "not run yet"


@dataclass(frozen=True)
class Answer:
    """What rows say to a claim."""

    verdict: str
    figure: str


@dataclass(frozen=True)
class Claim:
    """What a source says, and where the answer comes from."""

    says: str
    answer: Callable[[], Answer]
    command: str
    rows: str = ""
    """File to read beside the rows, from the root; "" where there are none."""


@dataclass(frozen=True)
class Open:
    """A claim that no committed row answers."""

    says: str
    hours: float
    """Of one core, from measured seconds an update."""
    command: str


# -- verdicts -----------------------------------------------------------------------------------------------------


def lower(found: Interval) -> str:
    """Judges the claim that a difference lies below 0."""
    if found.high < 0:
        return CONFIRMED
    return REVERSED if found.low > 0 else NOT_SEEN


def higher(found: Interval) -> str:
    """Judges the claim that a difference lies above 0."""
    return lower(replace(found, value=-found.value, low=-found.high, high=-found.low))


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


def modes(name: str) -> Answer:
    """Modes of the ring that a controller's samples hit, minus plain training's, paired by seed and rate."""
    gaps = []
    for block in blocks_of("lr-robustness"):
        rows = by_controller(row for row in block.rows if row["task"] == "ring")
        if rows:
            hit = [
                {row["seed"]: row["details"].get("modes_hit", 0.0) for row in rows[each]}
                for each in (name, BASELINE)
            ]
            gaps += [own - hit[1][seed] for seed, own in hit[0].items()]
    found = mean_interval(gaps)
    return Answer(
        higher(found), f"modes of eight minus `{BASELINE}`'s, failed runs 0: {told(found)}"
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


def best_cells() -> Answer:
    """In how many cells of the thesis' table Dynamic-GDA has the lowest median."""
    found = ranking_of("dynamic-gda-table-1")
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
    value, low, high = (float(np.exp(each)) for each in (found.value, found.low, found.high))
    ratio = replace(found, value=value, low=low, high=high)
    return Answer(
        lower(found), f"score of the average over that of G itself, plane: {told(ratio)}"
    )


def readings(loss: str) -> Answer:
    """On how many sets the best reading of a loss works, by the sweep's last round."""
    from benchmarks.readings import sweep

    with gzip.open(
        RESULTS / "readings" / f"{loss}-{len(sweep.ROUNDS)}" / "selection.jsonl.gz", "rt"
    ) as lines:
        found = sweep.cells([json.loads(line) for line in lines])
    orders = sweep.ROUNDS[-1].orders
    default = sweep.DEFAULT[loss].name
    best = min(found, key=lambda each: sweep.overall(found[each]))
    works = {name: sweep.works_on(own, orders) for name, own in found.items()}
    verdict = CONFIRMED if len(works[default]) >= 2 else "depends on the reading"
    if all(len(each) < 2 for each in works.values()):
        verdict = NOT_SEEN
    lowest = {one: min(found[best][one, order] for order in orders) for one in sweep.SETS}
    figure = (
        f"sliced W1 to validation data under the best order: `{best}` "
        + ", ".join(f"{one} {number(value)}" for one, value in lowest.items())
        + f"; today's default works on {len(works[default])} of {len(sweep.SETS)} sets"
    )
    return Answer(verdict, figure)


# -- the claims ---------------------------------------------------------------------------------------------------

ROBUST = "`gan-env bench --suite lr-robustness`"
ROBUST_ROWS = "benchmarks/results/lr-robustness/README.md"
TRAIN, TRAIN_ROWS = "`make train`", "benchmarks/results/train-digits/table.txt"
TABLE_1 = "`gan-env bench --suite dynamic-gda-table-1`"
TABLE_1_ROWS = "benchmarks/results/dynamic-gda-table-1/README.md"
AUTO, AUTO_ROWS = "`python benchmarks/auto/judge.py`", "benchmarks/results/auto/figures.md"
DIRAC, DIRAC_ROWS = "`python -m benchmarks.dirac`", "benchmarks/results/dirac/table.txt"
LOOK, LOOK_ROWS = (
    "`python benchmarks/lookahead_on_ring.py`",
    "benchmarks/results/lookahead_on_ring/table.txt",
)
SWEEP = "`python -m benchmarks.readings.sweep`"

CLAIMS: dict[str, tuple[Claim | Open, ...]] = {
    "fsco": (
        Claim("The agent learns to earn its reward, −\\|L_G − L_D\\|", learned, TRAIN, TRAIN_ROWS),
        Claim("That reward stands for good training", reward_agrees, ROBUST, ROBUST_ROWS),
        Claim("Samples are better than those of plain training, the agent trained beforehand (`digits`)",
              partial(digits, "fsco (meta)"), TRAIN, TRAIN_ROWS),
        Claim("The same, learning within the run", partial(digits, "fsco (embedded)"), TRAIN, TRAIN_ROWS),
        Claim("The range of usable base rates becomes wider", partial(areas, "lr-robustness", "fsco-ring"),
              ROBUST, ROBUST_ROWS),
        Claim("Training is more stable: fewer runs fail", partial(failures, "lr-robustness", "fsco-ring"),
              ROBUST, ROBUST_ROWS),
        Claim("What the agent costs (named by reviews as missing)", overhead, ROBUST, ROBUST_ROWS),
        Open("Which of its reward's readings, sum or mean, and which range does better (open in the paper)", 0.1,
             "gan-env bench --suite fsco-ablation"),
        Open("All this at 28 × 28", 5,
             "gan-env bench --tasks fashion --controllers sim-gda,fsco,constant:0.1,constant:10 "
             "--d-lr 5e-5,1e-4,2e-4,4e-4,8e-4 --g-lr same --seeds 5 --updates 2000 --updates-per-step 10"),
        Open("The same at 64 × 64", 4,
             "gan-env bench --tasks emoji64 --controllers sim-gda,fsco,constant:0.1 --d-lr 1e-4,2e-4,4e-4 --g-lr same "
             "--seeds 3 --updates 2000 --updates-per-step 10"),
        Open("The same at 128 × 128, one run of each", 0.3,
             "gan-env bench --tasks emoji128 --controllers sim-gda,fsco --seeds 1 --updates 2000 "
             "--updates-per-step 10"),
    ),
    "gcann": (
        Claim("Both rates shifted by windows of the losses: better samples", partial(ranks, "lr-robustness", "gcann"),
              ROBUST, ROBUST_ROWS),
        Claim("Fewer runs fail", partial(failures, "lr-robustness", "gcann"), ROBUST, ROBUST_ROWS),
        Claim("More diversity (modes of `ring`)", partial(modes, "gcann"), ROBUST, ROBUST_ROWS),
        Open("Higher quality and diversity on pictures, lower Chamfer distance on voxels", 4,
             "gan-env bench --tasks fashion,emoji64,furniture --controllers sim-gda,gcann,gcann:images,gcann:literal "
             "--seeds 3 --updates 2000"),
    ),
    "dyn-gda": (
        Claim("On the Dirac-GAN the oracle converges where fixed orders do not, Wasserstein loss",
              partial(oracle_converges, "wgan-unclipped"), DIRAC, DIRAC_ROWS),
        Claim("The same with the bce loss", partial(oracle_converges, "bce"), DIRAC, DIRAC_ROWS),
        Claim("Fixed orders do not converge there with the bce loss (non-saturating here, saturating in the proof)",
              fixed_orders_stall, DIRAC, DIRAC_ROWS),
        Claim("The oracle converges from any start", starts, DIRAC, DIRAC_ROWS),
        Claim("Dynamic-GDA is best in half of the 32 cells of the plane", best_cells, TABLE_1, TABLE_1_ROWS),
        Claim("The orders differ significantly", friedman, TABLE_1, TABLE_1_ROWS),
        Claim("Dynamic-GDA ranks before Sim-GDA in that table", partial(ranks, "dynamic-gda-table-1", "dyn-gda"),
              TABLE_1, TABLE_1_ROWS),
        Claim("It helps beside each of eight ways to stabilise", partial(wins, "dynamic-gda-table-1", "dyn-gda"),
              TABLE_1, TABLE_1_ROWS),
        Claim("It is better on the ring at 30,000 updates", on_the_ring, "`python benchmarks/ring_thesis.py`",
              "benchmarks/results/ring-thesis/table.txt"),
        Claim("The choice matters, not the share of G's updates (`digits`, against a random order of that share)",
              partial(digits, "dyn-gda", "random-order:0.45"), TRAIN, TRAIN_ROWS),
        Claim("`wgan` learns every set of the plane", partial(readings, "wgan"), SWEEP,
              "benchmarks/results/readings/wgan-2/table.txt"),
        Claim("`gran` learns every set of the plane", partial(readings, "gran"), SWEEP,
              "benchmarks/results/readings/gran-2/table.txt"),
        Open("The table under other readings: 10 seeds, both β₁, both meanings of 30,000 iterations", 2.7,
             "gan-env bench --suite dynamic-gda-table-1-readings"),
        Open("Best in the image half of the table, too", 8, "gan-env bench --suite dynamic-gda-table-2"),
    ),
    "gap-aware": (
        Claim("Fewer runs diverge", partial(failures, "lr-robustness", "gap-aware"), ROBUST, ROBUST_ROWS),
        Claim("Better samples, up to 27 % (`digits`)", partial(digits, "gap-aware"), TRAIN, TRAIN_ROWS),
        Claim("Better over a range of rates", partial(areas, "lr-robustness", "gap-aware"), ROBUST, ROBUST_ROWS),
        Open("A tenth of the tuning budget", 0.2, "gan-env bench --suite tuning-budget"),
        Open("Up to 3 % better accuracy in domain adaptation", 0.2,
             "gan-env bench --tasks digits-domains --controllers sim-gda,gap-aware,best-constant --seeds 10"),
    ),
    "opponents": (
        Claim("Two time scales, D four times as fast (Heusel et al. 2017)", partial(wins, "auto/ranks", "ttur"),
              AUTO, AUTO_ROWS),
        Claim("A linear decay (usual)", partial(wins, "auto/ranks", "linear-decay"), AUTO, AUTO_ROWS),
        Claim("Balance by relative change of the losses (Ouyang and Agam 2020)",
              partial(wins, "auto/ranks", "loss-rate-balance"), AUTO, AUTO_ROWS),
        Claim("Five D updates for one of G (Arjovsky et al. 2017)", partial(wins, "lr-robustness", "alt-gda-5"),
              ROBUST, ROBUST_ROWS),
        Claim("Optimistic Adam (Daskalakis et al. 2018)", partial(wins, "lr-robustness", "oadam"),
              ROBUST, ROBUST_ROWS),
        Claim("Optimistic Adam: fewer runs fail", partial(failures, "lr-robustness", "oadam"), ROBUST, ROBUST_ROWS),
        Claim("An average of G's weights is better than G (Yazıcı et al. 2019), under plain training", average,
              ROBUST, ROBUST_ROWS),
        Claim("Trying multipliers on copies beats plain training (ours, head-room)", partial(looks_ahead, "plain"),
              LOOK, LOOK_ROWS),
        Claim("It beats the best constant", partial(looks_ahead, "constant"), LOOK, LOOK_ROWS),
        Open("Extragradient (Gidel et al. 2019), look-ahead (Chavdarova et al. 2021), negative momentum (Gidel et al. "
             "2019)", 0.5,
             "gan-env bench --tasks ring,circle,spiral,line,grid --controllers "
             "sim-gda,oadam,extra-adam,lookahead-minimax,negative-momentum --seeds 10 --updates 5000"),
        Open("AutoLoss learns who updates (Xu et al. 2018)", 0.2,
             "gan-env train --algorithm autoloss --task ring --out runs/autoloss"),
    ),
    "ours": (
        Claim("`auto` beats plain training over base rates (not ranked there; the plane was held out)",
              partial(wins, "lr-robustness", "auto"), ROBUST, ROBUST_ROWS),
        Claim("`auto` beats the best of 168 schedules chosen for each configuration",
              partial(wins, "lr-robustness", "auto", "best-schedule"), ROBUST, ROBUST_ROWS),
        Claim("`ttur-decay` ranks before plain training over base rates", partial(ranks, "lr-robustness", "ttur-decay"),
              ROBUST, ROBUST_ROWS),
        Claim("The agent paid by `log_quality` beats plain training on `digits`", partial(digits, "ddpg (log_quality)"),
              TRAIN, TRAIN_ROWS),
    ),
}  # fmt: skip
"""By source."""


def claims(source: str) -> str:
    """Every claim of a source in one line."""
    lines = []
    for each in CLAIMS[source]:
        if isinstance(each, Open):
            lines.append(
                (each.says, NOT_RUN, f"about {each.hours:g} h of a core", f"`{each.command}`")
            )
            continue
        found = each.answer()
        assert (ROOT / each.rows).is_file(), each.rows
        lines.append(
            (
                each.says,
                f"**{found.verdict}**",
                found.figure,
                f"{each.command}, [rows](../{each.rows})",
            )
        )
    return table(("claim", "verdict", "figure [95 %]", "command"), lines)


def tally() -> str:
    """How many claims of each source came out how."""
    kinds = (CONFIRMED, "depends on", NOT_SEEN, REVERSED, NOT_RUN)
    rows = []
    for source, every in CLAIMS.items():
        verdicts = [
            NOT_RUN if isinstance(each, Open) else each.answer().verdict for each in every
        ]
        rows.append((TITLES[source], *(_many(verdicts, kind) for kind in kinds)))
    return table(("source", CONFIRMED, "depends on …", NOT_SEEN, REVERSED, NOT_RUN), rows)


def _many(verdicts: Sequence[str], kind: str) -> str:
    found = sum(each.startswith(kind) for each in verdicts)
    return str(found) if found else ""


TITLES = {
    "fsco": "[FSCO](#fsco)",
    "gcann": "[GCANN](#gcann)",
    "dyn-gda": "[Dynamic-GDA](#dynamic-gda)",
    "gap-aware": "[Gap-aware](#gap-aware)",
    "opponents": "[Usual opponents](#usual-opponents)",
    "ours": "[Ours](#ours)",
}

TABLES: dict[str, Callable[[], str]] = {
    "claims": tally,
    **{f"claims-{source}": partial(claims, source) for source in CLAIMS},
}
