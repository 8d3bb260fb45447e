"""Searches for `auto` without one part at a time, judges what comes of it, and compares a second search with the first.

python benchmarks/auto/ablations.py search --jobs 2     # an hour and a half of a core; goes on where it was stopped
python benchmarks/auto/ablations.py judge               # a quarter of an hour
python benchmarks/auto/ablations.py figures             # writes benchmarks/results/auto/ablations.md
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from judge import RESULTS, WORST, policy, table_of

from agents.report.cells import interval
from agents.report.statistics import mean_interval

HERE = Path(__file__).parent
REFERENCE = "feedback-1-after-60"
ABLATIONS = {
    "no-auc-1": ("who is ahead (auc)", REFERENCE),
    "no-separation-1": ("separation of scores", REFERENCE),
    "no-losses-1": ("losses", REFERENCE),
    "no-steps-1": ("relative steps", REFERENCE),
    "feedback-one-dataset-1": ("random data", REFERENCE),
    "no-sizes-1": ("size of the weights, in (b)", "schedule-1"),
}
"""Folder to what it lacks, and the search that lacks nothing."""
SECOND = {
    "schedule-2": "schedule-1",
    "feedback-2": "feedback-1",
    "schedule-gradient-2": "schedule-gradient-1",
    "no-steps-gradient-2": "no-steps-gradient-1",
}
DATA = ("feedback-one-dataset-1", "no-sizes-1")
JUDGED = {
    "ablations": (*(name for name in ABLATIONS if name not in DATA), REFERENCE),
    "ablations-2": DATA,
    "second": ("schedule-2", "feedback-2"),
    "gradient": ("schedule-gradient-1", "no-steps-gradient-1", "schedule-gradient-2", "no-steps-gradient-2"),
}
"""Folders of rows, and whose they are."""
SEARCHES = (
    *(f"no-{left} --after schedule --generations 60" for left in ("auc", "separation", "losses", "steps")),
    "no-sizes --generations 77",
    "schedule --one-dataset --generations 77",
    "feedback --one-dataset --after schedule --generations 60",
    "feedback --after schedule --generations 60 --shorten",
    *(f"no-steps --search gradient --generations 120 --seed {seed}" for seed in (1, 2)),
    *(f"schedule --search gradient --generations 80 --seed {seed}" for seed in (1, 2)),
)
GENERATIONS = {"schedule-gradient": 80, "no-steps-gradient": 120, "no-sizes": 77, "schedule": 77, "feedback-2": 100}
"""Of a search by the beginning of its folder; 60 of all others."""


def finished(name: str) -> bool:
    """Tells whether a search has all of its generations; one that was stopped goes on by `search`."""
    file = RESULTS / name / "theta.json"
    wanted = next((count for start, count in GENERATIONS.items() if name.startswith(start)), 60)
    return file.is_file() and f"--generations {wanted} " in json.loads(file.read_text())["command"] + " "


def logs(name: str, tables: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Returns log scores (games, seeds) of a search's policy; a run that failed counts as WORST."""
    return np.array([np.minimum(np.log(who[policy(name)]), WORST) for who in tables.values()])


def figures() -> str:
    """Returns the tables of ablations and of the second search."""
    tables: dict[str, dict[str, np.ndarray]] = {}
    for folder in ("policies", *JUDGED):
        for game, who in table_of(RESULTS / folder).items():
            tables.setdefault(game, {}).update(who)
    text = "Difference of log scores on the 13 held-out games, paired by seed, 95 % intervals; above 0: worse.\n\n"
    text += "| without | difference | worse in | failed runs of 130 |\n|---|---|---|---|\n"
    for name, (lacks, whole) in ABLATIONS.items():
        if not all(policy(name) in who for who in tables.values()):
            text += f"| {lacks} | its search is not finished | | |\n"
            continue
        off, failed = (logs(name, tables) - logs(whole, tables)).mean(1), (logs(name, tables) == WORST).sum()
        text += (
            f"| {lacks} | {interval(mean_interval(off), sign=True)} | {(off > 0).sum()} of {len(off)} | {failed} |\n"
        )
    for second, first in SECOND.items():
        off = logs(second, tables) - logs(first, tables)
        text += f"\n`{second}` minus `{first}`: {interval(mean_interval(off.mean(1)), sign=True)} over games\n\n"
        text += "| game | difference, over its seeds |\n|---|---|\n"
        for game, each in zip(tables, off, strict=True):
            text += f"| {game} | {interval(mean_interval(each), sign=True)} |\n"
    return text


def main() -> int:
    """Searches, judges or prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["search", "judge", "figures"])
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    if asked.what == "figures":
        (RESULTS / "ablations.md").write_text(figures(), encoding="utf-8")
        return 0
    if asked.what == "judge":
        for folder, names in JUDGED.items():
            told = [str(HERE / "judge.py"), "ranks", "--policies", ",".join(filter(finished, names))]
            told += ["--folder", folder]
            subprocess.run([sys.executable, *told], check=True)
        return 0
    for each in SEARCHES:
        told = [str(HERE / "train.py"), *each.split(), "--jobs", str(asked.jobs)]
        subprocess.run([sys.executable, *told], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
