"""Reads the progress of a run from its folder, as plain data: of `gan-env train` or `gan-env bench`."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gan_env.envs.config import EnvConfig
from gan_env.io.files import LOCK, Lock, NotOurs, has_folder, is_there, read_json, read_text, shown_lines

from ..benchmark.contestants import resolve_contestant
from ..benchmark.folder import CLAIMS, Folder, open_folder
from ..comparison.contestants import Contestant, make_contestant
from ..policies.policy_files import load_controller
from ..report import text as tables
from ..report.columns import terminal_width
from ..run_kind import BENCHMARK, kind_of
from ..training.checkpoints import STATE
from ..training.logs import Curves
from ..training.main_job import CONFIG, LOGS, TABLE
from ..training.train_config import TrainConfig, read_config, refuse_foreign_work

CURVES = {
    "gan/return": "return of an episode",
    "gan/validation_distance": "distance to validation data",
    "gan/mean_multiplier": "mean multiplier on D's rate",
    "gan/share_at_bounds": "share of actions at a bound",
    "gan/failures": "GANs that failed, of the last ones",
}
"""Curves of a training's log, with their titles."""


@dataclass(frozen=True)
class Progress:
    """Progress of a run."""

    folder: Path
    what: str
    """Description of the run, on one line."""
    state: Literal["running", "stopped", "finished"]
    done: int
    total: int
    unit: str
    """Unit of `done` and `total`."""
    left_s: float | None = None
    """Seconds left at the speed so far; None if unknown."""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """(decision, value) by `CURVES`' name."""
    table: str = ""
    """Scores so far."""
    next: str = ""
    """Next step for the user."""


class TrainFolder:
    """The folder of `gan-env train`."""

    def __init__(self, folder: Path, trust: bool = False):
        self.folder, self.config, self.trust = folder, read_config(folder / CONFIG, trust=trust), trust
        self._log = Curves(folder / LOGS)

    def look(self) -> Progress:
        """Returns the progress of the training."""
        config, folder = self.config, self.folder
        what = f"{config.names[0]} on {config.env.task}, {config.num_envs} GANs side by side"
        if is_there(folder / TABLE) and not is_there(folder / STATE):
            return Progress(
                folder, what, "finished", config.decisions, config.decisions, "decision", None, self._curves(),
                shown_lines(read_text(folder / TABLE)), f"gan-env watch {folder} --film {folder}/film.gif",
            )  # fmt: skip
        curves, running = self._curves(), Lock(folder / LOCK).is_held()
        last = [point for curve in curves.values() for point in curve[-1:]]
        done = min(max((int(step) for step, _ in last), default=0), config.decisions)
        if running and done and config.decisions - done < config.num_envs * config.horizon:
            what += ", being judged soon or now"
        left = self._pace(config) * (config.decisions - done) if running and done else None
        hint = "" if running else f"gan-env train --resume {folder}"
        state = "running" if running else "stopped"
        return Progress(folder, what, state, done, config.decisions, "decision", left, curves, "", hint)

    def _pace(self, config: TrainConfig) -> float:
        """Returns seconds per decision."""
        events = self._log.events("gan/return") if "gan/return" in self._log.names else []
        if len(events) < 2:
            return float("nan")
        return (events[-1].wall_time - events[0].wall_time) / max(events[-1].step - events[0].step, 1)

    def _curves(self) -> dict[str, list[tuple[int, float]]]:
        return {name: points for name, points in self._log.finite(CURVES).items() if points}

    def game(self) -> EnvConfig:
        """Returns the game of its GANs; raises ValueError for one of far more work than ours, unless trusted."""
        if not self.trust:
            refuse_foreign_work(self.config, self.folder)
        return self.config.env

    def contestants(self) -> list[Contestant]:
        """Returns the agent and plain training; raises ValueError while there is no agent."""
        file = self.folder / "agent.safetensors"
        if not is_there(file):
            raise ValueError(f"{self.folder} holds no agent yet; wait for its training, or name a --controller")
        agent = load_controller(file)
        return [Contestant(agent.name, agent), make_contestant("sim-gda", self.game())]


class BenchFolder:
    """The folder of `gan-env bench`."""

    def __init__(self, folder: Path, trust: bool = False):
        self.folder, self._bench = folder, open_folder(folder, None, trust=trust)
        self._began: tuple[float, int] | None = None

    def look(self) -> Progress:
        """Returns the progress of the benchmark."""
        bench = self._bench
        bench.refresh()
        left = {group.id for group in bench.left}
        work = {group.id: group.cells * group.updates for group in bench.groups}
        done = sum(updates for group, updates in work.items() if group not in left)
        running = self._running(left)
        rows = bench.all_rows()
        parts = ", ".join(part.name for part in bench.config.parts)
        what = f"benchmark {bench.config.suite or parts}: {len(work) - len(left)} of {len(work)} groups done"
        what += f", {running} running" if running else ""
        state = "running" if running else "stopped" if left else "finished"
        hint = "" if running else f"gan-env bench --out {self.folder}" if left else f"gan-env report {self.folder}"
        now = time.perf_counter()
        self._began = self._began or (now, done)  # only what is watched tells how fast it goes
        since, before = self._began
        pace = (now - since) / (done - before) if done > before and running else None
        left_s = None if pace is None else pace * (sum(work.values()) - done)
        fit = {} if (width := terminal_width()) is None else {"width": width}
        table = tables.tables(rows, **fit) if rows else ""
        return Progress(self.folder, what, state, done, sum(work.values()), "update", left_s, {}, table, hint)

    def _running(self, left: set[str]) -> int:
        claims = self.folder / CLAIMS
        return sum(Lock(claims / group).is_held() for group in left) if has_folder(claims) else 0

    def game(self) -> EnvConfig:
        """Returns its first game."""
        return self._judged(self._bench)[0]["game"]

    def contestants(self) -> list[Contestant]:
        """Returns the controller with the best mean score in its first game so far, and plain training.

        One that trains under settings of its own has no other beside it.
        """
        found = self._judged(self._bench)
        rows = [row for group in found for row in group["rows"] if group["game"] == found[0]["game"]]
        best = tables.ranked(rows)[0]
        chosen = next(row for row in rows if row["controller"] == best)
        runs_as = chosen["runs_as"] if chosen["runs_as"] != best else ""
        typed = dict(zip(found[0]["names"], found[0]["controllers"], strict=True))[best]
        best_one = resolve_contestant(typed, self.game(), runs_as)
        alone = best == "sim-gda" or best_one.settings
        return [best_one] if alone else [best_one, make_contestant("sim-gda", self.game())]

    @staticmethod
    def _judged(bench: Folder) -> list[dict[str, Any]]:
        groups = [group for group in bench.groups if not group.chooses and bench.done(group)]
        if not groups:
            raise ValueError(f"{bench.path} has no finished group yet; wait, or name --task and --controller")
        found = []
        for group in groups:
            rows = iter(bench.rows_of(group))
            for comparison in group.comparisons:
                own = list(itertools.islice(rows, len(comparison.controllers) * len(group.seeds)))
                found.append({"game": comparison.game, "rows": own, "names": comparison.names,
                              "controllers": comparison.controllers})  # fmt: skip
        return found


def watched(folder: Path, *, trust: bool = False) -> TrainFolder | BenchFolder:
    """Opens the run in a folder; `trust` as in `open_folder`.

    Raises:
        ValueError: If the folder holds neither kind of run, or its files are damaged.
    """
    try:
        held = read_json(folder / CONFIG)
    except FileNotFoundError as error:
        raise ValueError(
            f"{str(folder)!r} holds no {CONFIG}; name the folder of a gan-env train or gan-env bench"
        ) from error
    except NotOurs:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / CONFIG}: cannot be read ({' '.join(str(error).split())})") from error
    return BenchFolder(folder, trust) if kind_of(held) == BENCHMARK else TrainFolder(folder, trust)
