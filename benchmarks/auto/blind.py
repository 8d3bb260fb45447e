"""Judges what `auto` gains by looking: against its own decisions, repeated without looking, on the held-out games.

python benchmarks/auto/blind.py

Two schedules are made of each game's recording on the same seeds: `mean`, the geometric mean over the seeds of each
player's multiplier at each decision, and `other`, the decisions that were made for the next seed. Rows are written to
`benchmarks/results/auto/blind.jsonl.gz`, the figures are printed.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from judge import RESULTS, held_out
from scipy.stats import wilcoxon

from agents import compare, make_controller
from agents.comparison.contestants import Contestant
from agents.comparison.seeds import split_seeds
from agents.rules.replay import Recorder, Replay
from gan_env import Control, EnvConfig

NAMES = ("auto", "mean", "other")


def averaged(control: Control) -> Control:
    """Returns a control whose multipliers are the geometric means over the rows, the same for each."""
    d, g = (each.log().mean().exp().expand_as(each) for each in (control.d_multiplier, control.g_multiplier))
    return replace(control, d_multiplier=d, g_multiplier=g)


def judged(game: EnvConfig, folder: Path) -> list[dict]:
    """Returns the rows of `auto` and of both schedules that come of it, on the same ten seeds."""
    seeds, file = split_seeds("evaluate", 10), folder / "recording.safetensors"
    recorder = Recorder(make_controller("auto"))
    rows = compare(game, [Contestant("auto", recorder)], seeds=seeds, progress=False).rows
    recorder.save(file)
    other = Replay(file, shift=1)
    recorder.controls = list(map(averaged, recorder.controls))
    recorder.save(file)
    blind = [Contestant("mean", Replay(file, shift=0)), Contestant("other", other)]
    return rows + compare(game, blind, seeds=seeds, progress=False).rows


def main() -> None:
    """Runs all games, writes the rows and prints the figures."""
    rows, medians = [], {name: [] for name in NAMES}
    print("| game | " + " | ".join(NAMES) + " |\n|---|---|---|---|")
    for part in held_out():
        for game in part.games():
            with tempfile.TemporaryDirectory() as folder:
                own = judged(EnvConfig.of(game, episode_updates=part.updates), Path(folder))
            rows += [{key: value for key, value in row.items() if key != "trace"} | {"part": part.name} for row in own]
            for name in NAMES:
                scores = [np.inf if row["score"] is None else row["score"] for row in own if row["controller"] == name]
                medians[name].append(float(np.median(scores)))
            what = f"{part.name}: {game.task} {game.loss} {game.d_lr:g}"
            print(f"| {what} | " + " | ".join(f"{medians[name][-1]:.3g}" for name in NAMES) + " |", flush=True)
    log = {name: np.log(values) for name, values in medians.items()}
    for name in NAMES[1:]:
        p = float(np.asarray(wilcoxon(log["auto"], log[name]))[1])
        ratio, better = np.exp(np.median(log["auto"] - log[name])), int((log["auto"] < log[name]).sum())
        print(f"\nauto over {name}: median ratio of median scores {ratio:.3f}, better in {better} of "
              f"{len(log[name])} games, two-sided Wilcoxon p = {p:.3f}")  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (RESULTS / "blind.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
