"""Two marks beside every score: what fresh real data score (the floor), and what the generator scored untrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..comparison.row_checks import finite
from .blocks import Block


@dataclass(frozen=True)
class Marks:
    """The marks of a configuration, in the units of its scores."""

    floor: float
    """Score of fresh real data."""
    untrained: float | None
    """Median over seeds of the generator's score before its first update; None where the rows lack it."""


@dataclass(frozen=True)
class Idle:
    """Where a controller trained nobody."""

    no_better: list[str]
    """Configurations in which its median score, failures last, is not below the untrained generator's."""
    still: int
    """Runs in which the generator never moved."""
    runs: int


def marks(block: Block) -> Marks:
    """Returns the marks of a configuration."""
    known = list(_untrained(block).values())
    return Marks(float(block.facts["floor"]), float(np.median(known)) if known else None)


def _untrained(block: Block) -> dict[int, float]:
    """Returns the untrained generator's score by seed, where rows have it."""
    return {row["seed"]: float(row["untrained_score"]) for row in block.rows if finite(row.get("untrained_score"))}


def medians(block: Block) -> dict[str, float]:
    """Returns each controller's median score over its seeds; infinite where half of the runs failed."""
    found = {name: block.of(name, imputed=False) for name in block.controllers}
    return {name: float(np.median(scores[~np.isnan(scores)])) for name, scores in found.items()}


def idle(blocks: Sequence[Block]) -> dict[str, Idle]:
    """Returns controllers that are no better than an untrained generator in some configuration, or never moved it."""
    found: dict[str, Idle] = {}
    for name in dict.fromkeys(name for block in blocks for name in block.controllers):
        rows = [row for block in blocks for row in block.rows if row["controller"] == name]
        no_better = [block.label for block in blocks if name in block.controllers and not _beats(block, name)]
        still = sum(row["g_updates"] == 0 and row["status"] != "error" for row in rows)
        if no_better or still:
            found[name] = Idle(no_better, still, len(rows))
    return found


def _beats(block: Block, name: str) -> bool:
    """Whether a controller's median is below the untrained generators' of its seeds, or that is not known."""
    untrained = _untrained(block)
    scores = block.of(name, imputed=False)
    own = [untrained[seed] for seed, score in zip(block.seeds, scores, strict=True)
           if not np.isnan(score) and seed in untrained]  # fmt: skip
    return not own or float(np.median(scores[~np.isnan(scores)])) < float(np.median(own))
