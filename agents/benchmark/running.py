"""Runs the remaining groups of a benchmark's folder, concurrently with other processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from gan_env.io.progress import progress_bar

from .executors import Executor, Failed
from .folder import Folder
from .plan import Group

WAIT_S = 1.0
"""Seconds between two checks of groups that another process is running."""


@dataclass(frozen=True)
class Finished:
    """Result of a call."""

    out: Path
    groups: int
    """Number of groups of the whole benchmark."""
    ran: int
    """Number of groups that this call ran."""
    failures: dict[str, str]
    """Reasons why groups could not be run, by group; the next call tries them again."""

    @property
    def complete(self) -> bool:
        """Whether every row has been made."""
        return not self.failures


SCORING = 0.1
"""Scoring a group counts as much as this share of its updates."""


class _Bar:
    """Progress in updates × rows and scored rows: finished groups of all processes, and groups running here."""

    def __init__(self, folder: Folder, show: bool):
        self.folder, self.show, self.running = folder, show and bool(folder.left), {}
        self.groups = {group.id: group for group in folder.groups}
        self.work = {group.id: _work(group, group.steps) for group in folder.groups}
        self.scoring: set[str] = set()
        total, self.done = sum(self.work.values()), self._finished()
        self.bar = progress_bar(total, "bench", "step", done=self.done, show=self.show)

    def _finished(self) -> int:
        left = {group.id for group in self.folder.left}
        return sum(work for group, work in self.work.items() if group not in left)

    def report(self, group: str, steps: int) -> None:
        """Shows how many updates of a running group are done, and then how many of its rows are scored."""
        self.running[group] = min(_work(self.groups[group], steps), self.work[group] - 1)  # the rest: its rows are kept
        if self.groups[group].updates <= steps < self.groups[group].steps:
            self.scoring.add(group)
        self._show()

    def over(self, group: str) -> None:
        """Shows that a group is no longer running."""
        self.running.pop(group, None)
        self.scoring.discard(group)
        self._show()

    def _show(self) -> None:
        if not self.show:  # looking at the folder would cost what nobody sees
            return
        finished = {"groups": f"{len(self.work) - len(self.folder.left)}/{len(self.work)}"}
        scored = {"being scored": str(len(self.scoring))} if self.scoring else {}
        self.bar.set_postfix(finished | scored, refresh=False)
        done = max(self._finished() + sum(self.running.values()), self.done)
        if done > self.done:
            self.bar.update(done - self.done)
            self.done = done


def _work(group: Group, steps: int) -> int:
    """Returns what so many steps of a group count, in updates of a row."""
    all_, scored = group.cells * group.updates, group.steps - group.updates
    share = SCORING * max(steps - group.updates, 0) / scored if scored else 0.0
    return group.cells * min(steps, group.updates) + round(share * all_)


def run(folder: Folder, executor: Executor, *, show: bool = False) -> Finished:
    """Runs every remaining group, and waits for those of other processes to take over what they abandon."""
    ran, bar = 0, _Bar(folder, show)
    try:
        while folder.possible:
            for job, outcome in executor(folder.take, bar.report):
                if isinstance(outcome, Failed):
                    folder.fail(job.group, outcome.why)
                else:
                    folder.put(job.group, outcome)
                    ran += 1
                bar.over(job.group.id)
            if folder.possible:
                time.sleep(WAIT_S)
                folder.refresh()
    finally:
        bar.bar.close()
        folder.close()
    names = {group.id: group.what for group in folder.groups}
    failures = {f"{names[g]} ({g})": why[-1] for g, why in folder.failures.items() if g in {x.id for x in folder.left}}
    return Finished(folder.path, len(folder.groups), ran, failures)
