"""Estimates what the rest of a benchmark takes on this machine, from a short trial of each kind of group."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer

from ..comparison.rows import Row
from .contestants import stands_for_another
from .executors import run_job
from .folder import Job
from .plan import Group, PlannedComparison

TRIAL_S = 1.0
"""Seconds of updates that a trial aims at."""
LEAST, MOST = 3, 200
"""Updates of a trial, at least and at most."""


@dataclass
class Cost:
    """One kind of group: the same tasks, loss, settings, controllers and number of rows; rates and seeds differ."""

    what: str
    groups: int
    rows: int
    updates: int
    """Updates of one row."""
    run_s: float
    """Seconds that the updates of one such group take."""
    score_s: float
    """Seconds that scoring its rows takes."""
    once_s: float = 0.0
    """Seconds of what is done once for all groups of a task: its floor, and each seed's score before training."""

    @property
    def seconds(self) -> float:
        """Of all groups of this kind, one after the other."""
        return self.groups * (self.run_s + self.score_s) + self.once_s


def costs(groups: list[Group], *, show: bool = False) -> list[Cost]:
    """Estimates the cost of each kind of group, in order of first appearance; trains each for a second or two.

    Each task is judged as well, as often as its floor takes.
    """
    kinds: dict[str, Cost] = {}
    scores: dict[str, tuple[float, float]] = {}
    judged: set[tuple[str, int]] = set()
    for group in tqdm(groups, desc="trials", disable=not show, leave=False):
        games = [(EnvConfig.of(c.game, d_lr=None, g_lr=None), c.controllers) for c in group.comparisons]
        kind = repr((group.part, games, len(group.seeds)))
        scored = () if group.chooses else group.comparisons
        if kind not in kinds:
            score_s = once_s = 0.0
            for comparison in scored:
                if comparison.task not in scores:
                    scores[comparison.task] = _score_s(comparison)
                    once_s += scores[comparison.task][1]
                score_s += scores[comparison.task][0] * len(comparison.controllers) * len(group.seeds)
            what = f"{group.what}, {len(group.comparisons[0].controllers)} controllers" + ", choosing" * group.chooses
            kinds[kind] = Cost(what, 0, group.cells, group.updates, _update_s(group) * group.updates, score_s, once_s)
        kinds[kind].groups += 1
        untrained = {(comparison.task, seed) for comparison in scored for seed in group.seeds} - judged
        kinds[kind].once_s += sum(scores[task][0] for task, _ in untrained)
        judged |= untrained
    return list(kinds.values())


def _update_s(group: Group) -> float:
    """Measures the seconds of one update of the whole group: the mean over a trial, without its first update."""
    step, updates = group.game.updates_per_step, LEAST
    while True:
        # As many decisions as the trial has room for; embedded agents begin to learn after a tenth of them.
        count = math.ceil(updates / step) * step
        games = [EnvConfig.of(comparison.game, episode_updates=count, score=False) for comparison in group.comparisons]
        trial = tuple(
            replace(c, game=game, needs=(), spent=()) for c, game in zip(group.comparisons, games, strict=True)
        )
        times: list[float] = []
        stand_in = tuple(
            {name: "constant:1" for name in comparison.controllers if stands_for_another(name)}
            for comparison in group.comparisons
        )
        run_job(
            Job(replace(group, comparisons=trial), stand_in),
            lambda done, times=times: times.append(time.perf_counter()),
        )
        each = (times[-1] - times[0]) / max(len(times) - 1, 1) if len(times) > 1 else 0.0
        if count >= MOST or each * count > TRIAL_S / 3:
            return each
        updates = min(MOST, max(2 * count, int(TRIAL_S / max(each, 1e-6))))


def _score_s(comparison: PlannedComparison) -> tuple[float, float]:
    """Measures the seconds of scoring one row, and of the task's floor."""
    trainer = make_trainer(comparison.resolved, 1)
    trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    trainer.score(0)  # reads and caches test data
    began = time.perf_counter()
    trainer.score(0)
    scored = time.perf_counter()
    trainer.task.score.floor()
    return scored - began, time.perf_counter() - scored


def table(found: list[Cost], jobs: int) -> str:
    """Formats the costs as text."""
    lines = [f"{'kind of group':<60}{'groups':>8}{'rows':>6}{'updates':>9}{'s a group':>11}{'in all':>12}"]
    lines += [
        f"{c.what:<60}{c.groups:>8}{c.rows:>6}{c.updates:>9}{c.run_s + c.score_s:>11.1f}{duration(c.seconds):>12}"
        for c in found
    ]
    total = as_json(found, jobs)
    lines.append(
        f"\n{total['groups']} groups, {total['rows']} rows, {total['updates']:,} updates of a row: about "
        f"{duration(total['seconds'])} on one core as busy as this one is now"
        + (f", {duration(total['seconds_with_jobs'])} with {jobs} jobs on as many free cores" if jobs > 1 else "")
    )
    return "\n".join(lines)


def as_json(found: list[Cost], jobs: int) -> Row:
    """Returns the sums and each kind as JSON values."""
    seconds, once_s = sum(c.seconds for c in found), sum(c.once_s for c in found)  # once in every process, that is
    return {
        "groups": sum(c.groups for c in found),
        "rows": sum(c.groups * c.rows for c in found),
        "updates": sum(c.groups * c.rows * c.updates for c in found),
        "seconds": seconds,
        "seconds_with_jobs": once_s + max([(seconds - once_s) / jobs, *(c.run_s + c.score_s for c in found)]),
        "kinds": [{**vars(c), "seconds": c.seconds} for c in found],
    }


def duration(seconds: float) -> str:
    """Formats seconds as s, min or h, three digits.

    >>> duration(90), duration(7_200)
    ('1.5 min', '2 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
