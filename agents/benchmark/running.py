"""Runs the remaining groups of a benchmark's folder, concurrently with other processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from .executors import Executor, Failed
from .folder import Folder

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


class _Bar:
    """Progress in updates × rows: finished groups of all processes, and groups running here."""

    def __init__(self, folder: Folder, show: bool):
        self.folder, self.running = folder, {}
        self.work = {group.id: group.cells * group.updates for group in folder.groups}
        self.cells = {group.id: group.cells for group in folder.groups}
        self.judged = {group.id for group in folder.groups if not group.chooses}
        self.scoring: set[str] = set()
        done = self._done()
        self.bar = tqdm(
            total=sum(self.work.values()), initial=done, unit="update", unit_scale=True, desc="bench", disable=not show
        )

    def _done(self) -> int:
        left = {group.id for group in self.folder.left}
        return sum(work for group, work in self.work.items() if group not in left)

    def report(self, group: str, updates: int) -> None:
        """Shows how many updates of a running group are done."""
        self.running[group] = updates * self.cells[group]
        if group in self.judged and self.running[group] == self.work[group]:  # scores take a while to follow
            self.scoring.add(group)
        self._show()

    def over(self, group: str) -> None:
        """Shows that a group is no longer running."""
        self.running.pop(group, None)
        self.scoring.discard(group)
        self._show()

    def _show(self) -> None:
        if self.bar.disable:  # looking at the folder would cost what nobody sees
            return
        left, groups = len(self.folder.left), len(self.work)
        scoring = f", {len(self.scoring)} being scored" if self.scoring else ""
        self.bar.set_postfix_str(f"{groups - left}/{groups} groups{scoring}", refresh=False)
        self.bar.update(max(self._done() + sum(self.running.values()) - self.bar.n, 0))


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
