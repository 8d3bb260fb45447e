"""The report as data, computed once from a folder of rows; `text`, `markdown` and `html` render it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_env.registry import unknown

from ..registry import TUNED_SCHEDULE, controller_note, is_embedded
from .blocks import Block, Row, make_blocks, read_config, read_rows
from .comparisons import (
    BASELINE,
    Agreement,
    Difference,
    RateCurve,
    Scored,
    agreement,
    best_constant,
    differences,
    rate_curves,
    scored,
)
from .published import Thesis, beside_thesis
from .ranking import Profiles, Ranking, Relative, profiles, rank, relative
from .statistics import COVERAGE


@dataclass(frozen=True)
class Facts:
    """Describes what was run, from the rows and config.json."""

    command: str | None
    """None where config.json does not give it."""
    config: dict[str, Any]
    runs: int
    configurations: list[str]
    controllers: list[str]
    seeds: int
    splits: list[str]
    updates: list[int]
    scores: list[str]
    machine: list[str]
    versions: list[str]
    training_s: float
    """Seconds of training over all runs, each run's share of its batch."""
    wall_s: float | None
    """Seconds of the whole job; None where config.json does not give it."""
    untrained: int
    """Number of rows with the untrained generator's score, which earlier versions did not write."""
    tuning: dict[str, list[int]]
    """Updates of GANs on tune seeds that chose each of the controllers that were chosen, in each configuration; counted
    where a best schedule is among them."""


@dataclass(frozen=True)
class Failure:
    """A run without a score."""

    block: str
    controller: str
    seed: int
    status: str
    cause: str
    ended: int | None
    """Update at which it ended; None where the row does not give it."""


@dataclass(frozen=True)
class Report:
    """All numbers of a report."""

    baseline: str
    facts: Facts
    notes: dict[str, str]
    """Remarks on controllers that are not contestants, by name."""
    embedded: list[str]
    """Controllers that are trained online, during the evaluation run; they are not ranked."""
    ranking: Ranking | None
    scores: list[Scored]
    to_baseline: list[Difference]
    best_constants: dict[str, str | None]
    """By configuration."""
    to_best_constant: list[Difference]
    to_best_schedule: list[Difference]
    relative: list[Relative]
    """Over several configurations; empty for one."""
    profiles: Profiles | None
    rate_curves: list[RateCurve]
    agreements: list[Agreement]
    failures: list[Failure]
    thesis: Thesis | None
    coverage: dict[str, tuple[float, float]]

    def contestants(self, names: Sequence[str]) -> list[str]:
        """Returns those of the names that are neither trained online nor remarked on."""
        return [name for name in names if name not in self.embedded and name not in self.notes]

    def by_role(self, names: Sequence[str]) -> list[tuple[str, list[str]]]:
        """Splits names into contestants, which need no title, and the groups that are listed separately."""
        groups = [
            ("", self.contestants(names)),
            ("Listed separately: trained online, during the evaluation run", [n for n in names if n in self.embedded]),
            ("Not contestants", [n for n in names if n in self.notes]),
        ]
        return [(title, found) for title, found in groups if found]

    def plain(self) -> dict[str, Any]:
        """Converts the numbers to JSON types; what is not finite becomes null."""
        return _plain(dataclasses.asdict(self))


def make_report(folder: Path | str, baseline: str = BASELINE) -> tuple[Report, list[Block]]:
    """Computes the report of a folder; returns it with the rows by configuration, for figures.

    Raises:
        ValueError: If the folder has no rows, a row is malformed, or no controller is called `baseline`.
    """
    folder = Path(folder)
    rows, config = read_rows(folder), read_config(folder)
    blocks = make_blocks(rows)
    names = list(dict.fromkeys(row["controller"] for row in rows))
    if baseline not in names:
        raise unknown("baseline", baseline, sorted(names))
    notes = {name: note for name in names if (note := controller_note(name))}
    embedded = [name for name in names if is_embedded(name)]
    contestants = [name for name in names if name not in notes and name not in embedded]
    ranking = rank(blocks, baseline)
    report = Report(
        baseline=baseline,
        facts=_facts(rows, blocks, config),
        notes=notes,
        embedded=embedded,
        ranking=ranking,
        scores=[s for block in blocks for s in scored(block)],
        to_baseline=[d for block in blocks if baseline in block.controllers for d in differences(block, baseline)],
        best_constants={block.label: best_constant(block) for block in blocks},
        to_best_constant=[
            d for block in blocks if (best := best_constant(block)) is not None for d in differences(block, best)
        ],
        to_best_schedule=[
            d for block in blocks if TUNED_SCHEDULE in block.controllers for d in differences(block, TUNED_SCHEDULE)
        ],
        relative=relative(blocks, contestants) if len(blocks) > 1 else [],
        profiles=profiles(blocks, contestants),
        rate_curves=rate_curves(blocks),
        agreements=[agreement(block) for block in blocks],
        failures=[_failure(block, row) for block in blocks for row in block.rows if row["status"] != "ok"],
        thesis=beside_thesis(config, ranking),
        coverage=COVERAGE,
    )
    return report, blocks


def _facts(rows: list[Row], blocks: list[Block], config: dict[str, Any]) -> Facts:
    def distinct(values: list[Any]) -> list[Any]:
        return sorted(set(values))

    command, wall = config.get("command"), config.get("wall_s")
    if isinstance(command, list):
        command = " ".join(map(str, command))
    threads = [
        f"{row.get('machine', 'unknown class')}, {row.get('device', '?')}, {row.get('threads', '?')} thread(s)"
        for row in rows
    ]
    versions = [", ".join(f"{k} {v}" for k, v in dict(row.get("versions") or {}).items()) for row in rows]
    return Facts(
        command=command if isinstance(command, str) else None,
        config=config,
        runs=len(rows),
        configurations=[block.label for block in blocks],
        controllers=list(dict.fromkeys(row["controller"] for row in rows)),
        seeds=len({row["seed"] for row in rows}),
        splits=distinct([row["split"] for row in rows]),
        updates=distinct([row["updates"] for row in rows]),
        scores=distinct([row["score_name"] for row in rows]),
        machine=([str(config["machine"])] if "machine" in config else []) + distinct(threads),
        versions=distinct(versions),
        training_s=float(sum(row["wall_s"] for row in rows)),
        wall_s=float(wall) if isinstance(wall, int | float) else None,
        untrained=sum(row.get("untrained_score") is not None for row in rows),
        tuning=_tuning(blocks),
    )


def _tuning(blocks: list[Block]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for block in blocks:
        for name, updates in (block.rows[0].get("selection_updates") or {}).items():
            found.setdefault(name, []).append(updates)
    return found


def _failure(block: Block, row: Row) -> Failure:
    cause, ended = str(row.get("failure") or "no cause given")[:300], row.get("ended")
    name, seed = row["controller"], row["seed"]
    return Failure(block.label, name, seed, row["status"], cause, ended if isinstance(ended, int) else None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
