"""The numbers of a report, from a folder of rows; drawn by `figures`, written as HTML by `page`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_env.registry import unknown

from ..registry import controller_note, is_embedded
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
    """What was run, as the rows and the configuration say."""

    command: str | None
    """None where config.json does not name it."""
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
    """Seconds of the whole job; None where config.json does not name it."""
    untrained: int
    """Runs whose row holds the untrained generator's score; those of earlier versions do not."""


@dataclass(frozen=True)
class Failure:
    """A run that gave no score."""

    block: str
    controller: str
    seed: int
    status: str
    cause: str
    ended: int | None
    """Update at which it ended; None where the row does not say."""


@dataclass(frozen=True)
class Report:
    """All numbers of the page."""

    baseline: str
    facts: Facts
    notes: dict[str, str]
    """What must be said behind a controller's name."""
    embedded: list[str]
    """Controllers that learn within the run they are judged on; in no ranking."""
    ranking: Ranking | None
    scores: list[Scored]
    to_baseline: list[Difference]
    best_constants: dict[str, str | None]
    """By configuration."""
    to_best_constant: list[Difference]
    relative: list[Relative]
    """Over several configurations; empty for one."""
    profiles: Profiles | None
    rate_curves: list[RateCurve]
    agreements: list[Agreement]
    failures: list[Failure]
    thesis: Thesis | None
    coverage: dict[str, tuple[float, float]]

    def rivals(self, names: Sequence[str]) -> list[str]:
        """Those of the names that are neither embedded nor noted as no competitors."""
        return [name for name in names if name not in self.embedded and name not in self.notes]

    def plain(self) -> dict[str, Any]:
        """The numbers as JSON can hold them: what is not finite is null."""
        return _plain(dataclasses.asdict(self))


def make_report(folder: Path | str, baseline: str = BASELINE) -> tuple[Report, list[Block]]:
    """The numbers of a folder, and the rows by configuration for drawing.

    Raises:
        ValueError: If the folder holds no rows, a row is malformed, or nobody is called `baseline`.
    """
    folder = Path(folder)
    rows, config = read_rows(folder), read_config(folder)
    blocks = make_blocks(rows)
    names = list(dict.fromkeys(row["controller"] for row in rows))
    if baseline not in names:
        raise unknown("baseline", baseline, sorted(names))
    notes = {name: note for name in names if (note := controller_note(name))}
    embedded = [name for name in names if is_embedded(name)]
    rivals = [name for name in names if name not in notes and name not in embedded]
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
        relative=relative(blocks, rivals) if len(blocks) > 1 else [],
        profiles=profiles(blocks, rivals),
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
        f"{row.get('machine', 'class not named')}, {row.get('device', '?')}, {row.get('threads', '?')} thread(s)"
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
    )


def _failure(block: Block, row: Row) -> Failure:
    cause, ended = str(row.get("failure") or "no cause named")[:300], row.get("ended")
    name, seed = row["controller"], row["seed"]
    return Failure(block.label, name, seed, row["status"], cause, ended if isinstance(ended, int) else None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def by_role(report: Report, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Competitors, then by themselves those that learn within the judged run, and those that do not compete."""
    groups = [
        ("", report.rivals(names)),
        ("By themselves: learning within the very run that is judged", [n for n in names if n in report.embedded]),
        ("Not competitors", [n for n in names if n in report.notes]),
    ]
    return [(title, found) for title, found in groups if found]
