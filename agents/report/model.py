"""The report as data, computed once from a folder of rows; `text`, `markdown` and `html` render it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_env.registry import unknown

from ..registry import TUNED_SCHEDULE, controller_note, is_embedded
from .blocks import Block, Row, is_agents_file, make_blocks, read_config, read_rows
from .budget import BudgetCurve, budget_curves
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
    rate_families,
    scored,
)
from .published import Thesis, beside_thesis
from .questions import Question, question
from .ranking import Profiles, Ranking, Relative, profiles, rank, relative
from .references import Idle, Marks, idle, marks, medians
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
    question: Question
    facts: Facts
    order: list[str]
    """All controllers in the order of every table and figure: those that are ranked, the best first, then the others
    that compete, those trained online, and those that do not compete."""
    notes: dict[str, str]
    """Remarks on controllers that are not contestants, by name."""
    embedded: list[str]
    """Controllers that are trained online, during the evaluation run; they are not ranked."""
    agents: list[str]
    """Trained agents that came from files."""
    ranking: Ranking | None
    marks: dict[str, Marks]
    """What fresh real data and the untrained generator score, by configuration."""
    medians: dict[str, dict[str, float]]
    """Median score of every controller that ran, by configuration; infinite where half of the runs failed."""
    idle: dict[str, Idle]
    """Controllers that trained nobody, somewhere."""
    scores: list[Scored]
    to_baseline: list[Difference]
    best_constants: dict[str, str | None]
    """By configuration."""
    to_best_constant: list[Difference]
    to_best_schedule: list[Difference]
    relative: list[Relative]
    """Over several configurations; empty for one."""
    profiles: Profiles | None
    families: dict[str, str]
    """The first configuration of each family of base rates, by the family's name."""
    rate_curves: list[RateCurve]
    budget: list[BudgetCurve]
    """Empty unless the suite asks for it."""
    agreements: list[Agreement]
    failures: list[Failure]
    thesis: Thesis | None
    coverage: dict[str, tuple[float, float]]

    @property
    def unranked(self) -> dict[str, str]:
        """Why each controller that is not ranked is not, by name."""
        if self.ranking is None:
            return {name: "" for name in self.order}
        return self.ranking.left_out

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
    return report_of(read_rows(folder), read_config(folder), baseline)


def report_of(rows: list[Row], config: dict[str, Any], baseline: str = BASELINE) -> tuple[Report, list[Block]]:
    """Computes the report of rows that were read, with the benchmark's configuration ({} for none).

    Raises:
        ValueError: If no controller is called `baseline`.
    """
    blocks = make_blocks(rows)
    names = list(dict.fromkeys(row["controller"] for row in rows))
    if baseline not in names:
        raise unknown("baseline", baseline, sorted(names))
    notes = {name: note for name in names if (note := controller_note(name))}
    embedded = [name for name in names if is_embedded(name)]
    contestants = [name for name in names if name not in notes and name not in embedded]
    ranking, curves = rank(blocks, baseline), rate_curves(blocks)
    asked = question(
        config,
        list(dict.fromkeys(block.facts["task"] for block in blocks)),
        len(names),
        max((len(curve.rates) for curve in curves), default=0),
        len(blocks),
    )
    report = Report(
        baseline=baseline,
        question=asked,
        facts=_facts(rows, blocks, config),
        order=_order(ranking, blocks, contestants, embedded, notes),
        notes=notes,
        embedded=embedded,
        agents=list(dict.fromkeys(row["controller"] for row in rows if is_agents_file(row))),
        ranking=ranking,
        marks={block.label: marks(block) for block in blocks},
        medians={block.label: medians(block) for block in blocks},
        idle=idle(blocks),
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
        families={family: group[0].label for family, group in rate_families(blocks)},
        rate_curves=curves,
        budget=budget_curves(blocks) if asked.figure == "budget" else [],
        agreements=[agreement(block) for block in blocks],
        failures=[_failure(block, row) for block in blocks for row in block.rows if row["status"] != "ok"],
        thesis=beside_thesis(config, ranking),
        coverage=COVERAGE,
    )
    return report, blocks


def _order(
    ranking: Ranking | None,
    blocks: Sequence[Block],
    contestants: Sequence[str],
    embedded: Sequence[str],
    notes: Iterable[str],
) -> list[str]:
    """Orders all controllers; those without a rank by how many medians of the others are lower."""
    found = [medians(block) for block in blocks]

    def place(name: str) -> float:
        own = [np.mean([other < each[name] for other in each.values()]) for each in found if name in each]
        return float(np.mean(own))

    ranked = ranking.controllers if ranking else []
    groups = [[name for name in group if name not in ranked] for group in (contestants, embedded, notes)]
    return [*ranked, *(name for group in groups for name in sorted(group, key=place))]


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
