"""Successive halving on tune seeds: which schedules a `best-schedule` is chosen among, and how its rungs are cut.

Every candidate runs a short run on few seeds, and the best quarter goes on to a longer one on more, until at most four
are left, which run to the end on all tune seeds. No seed serves in two rungs, so that luck on one is not carried along.

Source: Jamieson & Talwalkar 2016, arXiv:1502.07943, with a quarter kept instead of a half. The ranking is ours.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..comparison.rows import Row
from ..registry import parse_controller
from ..rules.gda import SHAPES

KEEP = 4
"""One of so many goes on to the next rung; as many are left in the last one."""
SURVIVOR = "survivor"
"""Label of the candidates of later rungs, with their place in the rung before: `survivor-1` is its best."""


@dataclass(frozen=True)
class Rung:
    """A round of the search."""

    candidates: int
    seeds: tuple[int, ...]
    """Places of its seeds among those of the split."""
    updates: int
    """Updates of each run; schedules fall over these."""


def rungs(candidates: int, seeds: int, updates: int, step: int) -> list[Rung]:
    """Cuts the search into rungs.

    The last rung has `seeds` seeds, each one before it half as many; the last two run all `updates`, each one before
    half as long, in multiples of `step`.

    >>> [(rung.candidates, len(rung.seeds), rung.updates) for rung in rungs(144, 8, 5_000, 10)]
    [(144, 1, 1250), (36, 2, 2500), (9, 4, 5000), (3, 8, 5000)]
    """
    sizes = [candidates]
    while sizes[-1] > KEEP:
        sizes.append(math.ceil(sizes[-1] / KEEP))
    found, first = [], 0
    for at, size in enumerate(sizes):
        later = len(sizes) - 1 - at
        count = math.ceil(seeds / 2**later)
        length = min(max(round(updates / 2 ** max(later - 1, 0) / step), 1) * step, updates)
        found.append(Rung(size, tuple(range(first, first + count)), length))
        first += count
    return found


def schedules(d: Sequence[float], g: Sequence[float], shapes: Sequence[str]) -> list[str]:
    """Names the candidates: every pair of multipliers in every shape.

    >>> schedules((1.0, 30.0), (0.3,), ("linear",))
    ["schedule(d=1, g=0.3, shape='linear')", "schedule(d=30, g=0.3, shape='linear')"]
    """
    return [
        f"schedule(d={short(each_d)}, g={short(each_g)}, shape={shape!r})"
        for shape, each_d, each_g in itertools.product(shapes, d, g)
    ]


def short(multiplier: float) -> str:
    """Writes a number short where that says it all, for names are part of what a committed group is known by."""
    text = f"{multiplier:g}"
    return text if float(text) == multiplier else repr(multiplier)


def survivors(count: int) -> tuple[str, ...]:
    """Labels the candidates of a later rung.

    >>> survivors(2)
    ('survivor-1', 'survivor-2')
    """
    return tuple(f"{SURVIVOR}-{place}" for place in range(1, count + 1))


def is_survivor(label: str) -> bool:
    """Tells whether a label is that of a candidate of a later rung."""
    return label.startswith(f"{SURVIVOR}-")


def ranked(rows: Iterable[Row], worst: float, runs_as: Mapping[str, str] | None = None) -> list[str]:
    """Orders controllers by their mean distance to validation data, the least first.

    Test data have no part in it. A run that failed counts as `worst`. On a tie the one nearest to plain training wins.

    Args:
        rows: Rows on tune seeds.
        worst: Greatest distance.
        runs_as: Controllers that stand behind labels, such as those of survivors.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        label = str(row["controller"])
        name = runs_as.get(label, label) if runs_as else label
        found.setdefault(name, []).append(min(row["quality"] if row["status"] == "ok" else worst, worst))
    return sorted(found, key=lambda name: (float(np.mean(found[name])), _from_plain(name)))


def _from_plain(name: str) -> tuple[float, int]:
    """Returns how far a constant's or a schedule's multipliers are from 1, in decades, and the place of its shape."""
    _, text, options = parse_controller(name)
    multipliers = (float(text),) if text is not None else (float(str(options["d"])), float(str(options["g"])))
    return sum(abs(math.log10(each)) for each in multipliers), SHAPES.index(str(options.get("shape", SHAPES[0])))
