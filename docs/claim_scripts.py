"""What the rows of single scripts say to a claim: the Dirac-GAN, look-ahead, the sweep of readings, others' loops."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from claim_verdicts import CONFIRMED, NOT_SEEN, Answer, lower, one_of, ratio_of
from controller_tables import BASELINE, RESULTS, told

from agents.report.blocks import paired_difference
from agents.report.statistics import mean_interval
from benchmarks.readings import sweep


@cache
def rows_of(path: str) -> list[dict[str, Any]]:
    """The rows of a compressed file of results."""
    with gzip.open(RESULTS / path, "rt") as lines:
        return [json.loads(line) for line in lines]


def on_the_ring() -> Answer:
    """Dynamic-GDA against Sim-GDA on the thesis' ring, at two settings of Adam."""
    by_beta: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of("ring-thesis/rows.jsonl.gz"):
        by_beta.setdefault(f"{row['optimizer']['betas'][0]:g}", []).append(row)
    gaps = {
        beta: mean_interval(paired_difference(rows, "dyn-gda", BASELINE, "score"))
        for beta, rows in by_beta.items()
    }
    figure = "; ".join(f"β₁ = {beta}: {told(found)}" for beta, found in gaps.items())
    return Answer(
        one_of(map(lower, gaps.values()), "β₁"), f"W1 minus that of `{BASELINE}`: {figure}"
    )


DIRAC = "dirac/rows.jsonl.gz"


def _long(loss: str) -> list[dict[str, Any]]:
    """Rows of the long runs."""
    return [row for row in rows_of(DIRAC) if row["loss"] == loss and row["at"][-1] == 30_000]


def _ratio(loss: str, controllers: Iterable[str]) -> np.ndarray:
    """Distances at the end as multiples of the start's."""
    return np.array([
        row["distance"][-1] / row["distance"][0] for row in _long(loss) if row["controller"] in controllers
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
    """Whether fixed orders fail to converge with the bce loss, too: a distance that still falls says no."""
    shown, still = [], []
    for what, names in (("Alt-GDA", ALTERNATING), ("Sim-GDA", (BASELINE,))):
        rows = [row for row in _long("bce") if row["controller"] in names]
        now, before = (
            float(np.median([row["distance"][at] / row["distance"][0] for row in rows]))
            for at in (-1, -2)
        )
        still.append(now > 0.99 * before)
        moves = "no longer falling" if still[-1] else "still falling"
        shown.append(f"{what} {now:.2g}, {moves}")
    verdict = one_of((CONFIRMED if each else NOT_SEEN for each in still), "the order")
    return Answer(
        verdict, f"median distance after 30,000 updates, start = 1: {'; '.join(shown)}"
    )


def starts() -> Answer:
    """From which starts the oracle does not converge."""
    far = {}
    for row in rows_of(DIRAC):
        if row["loss"] == "wgan-unclipped" and row["at"][-1] == 5_000:
            far.setdefault(row["from"].partition(",")[0], []).append(row["distance"][-1] > 0.01)
    figure = ", ".join(
        f"{where}: {np.mean(each):.0%}".replace("%", " %") for where, each in far.items()
    )
    verdict = "depends on the start" if max(map(np.mean, far.values())) > 0.5 else CONFIRMED
    return Answer(verdict, f"share of starts farther than η / 10 after 5,000 updates: {figure}")


def looks_ahead(against: str) -> Answer:
    """Look-ahead against plain training, or against the constant that was chosen on tune seeds."""
    found = {}
    for rate in ("0.0002", "0.001", "0.004"):
        rows = rows_of(f"lookahead_on_ring/rows_{rate}.jsonl.gz")
        others = {row["controller"] for row in rows} - {"lookahead", "constant:1"}
        other = "constant:1" if against == "plain" else others.pop()
        found[rate] = mean_interval(paired_difference(rows, "lookahead", other, "score"))
    figure = "; ".join(f"{rate}: {told(each)}" for rate, each in found.items())
    verdict = one_of(map(lower, found.values()), "the rate")
    return Answer(verdict, f"W1, difference at base rate {figure}")


def sweep_round(loss: str) -> tuple[int, dict[str, dict[tuple[str, str], float]]]:
    """Returns the number of the last round of a loss that has rows, and each reading's distances."""
    files = {
        n: f"readings/{loss}-{n}/selection.jsonl.gz" for n in range(1, len(sweep.ROUNDS) + 1)
    }
    number = max(n for n, file in files.items() if (RESULTS / file).is_file())
    return number, sweep.cells(rows_of(files[number]))


ENOUGH = 2
"""Sets of four on which a reading has to work."""


def readings(loss: str, stand_in: str = "") -> Answer:
    """On how many sets readings of a loss work, by the last round that has rows; beside those of another loss."""
    shown, working = [], {}
    for each in filter(None, (loss, stand_in)):
        number, found = sweep_round(each)
        stage = sweep.ROUNDS[number - 1]
        works = {name: sweep.works_on(own, stage.orders) for name, own in found.items()}
        best = max(works, key=lambda name: (len(works[name]), -sweep.overall(found[name])))
        working[each] = len(works[best]) >= ENOUGH
        sets = ", ".join(works[best]) or "none"
        shown.append(
            f"of {len(works)} readings of `{each}` at {stage.updates:,} updates the best, `{best}`, works on {sets} "
            f"of {len(stage.sets)} sets"
        )
    if working[loss]:
        number, found = sweep_round(loss)
        default = found.get(sweep.DEFAULT[loss].name, {})
        default_works = len(sweep.works_on(default, sweep.ROUNDS[number - 1].orders)) >= ENOUGH
        verdict = CONFIRMED if default_works else "depends on the clip"
    else:
        verdict = "depends on the normalisation" if stand_in and working[stand_in] else NOT_SEEN
    return Answer(
        verdict,
        "; ".join(shown) + f" (sliced W1 to validation data ≤ {sweep.WORKS} under some order)",
    )


def practitioners(loop: str, name: str) -> Answer:
    """The score of a loop that others wrote under a controller, over that of the loop as it stands."""
    scores: dict[str, dict[int, float]] = {}
    for row in rows_of("practitioners/rows.jsonl.gz"):
        if row["loop"] == loop:
            scores.setdefault(row["contestant"], {})[row["seed"]] = row["score"]
    found = mean_interval(
        [np.log(scores[name][seed] / plain) for seed, plain in scores["plain"].items()]
    )
    figure = (
        f"score over that of the loop as it stands: {told(ratio_of(found))}, {found.n} seeds"
    )
    return Answer(lower(found), figure)
