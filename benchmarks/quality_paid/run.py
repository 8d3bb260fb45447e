"""Trains the agents of PROTOCOL.md and judges them; what is there already is left, what was stopped goes on.

python benchmarks/quality_paid/run.py                     # the twelve agents
python benchmarks/quality_paid/run.py --change terminal --only ddpg-rates-ring   # some of them, with one change
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results" / "quality-paid"
ALGORITHMS, CONTROLS, TASKS = ("ddpg", "td3"), ("learning-rate", "rates"), ("digits", "ring", "circle")
PACE = {"digits": "10", "ring": "50", "circle": "50"}
UPDATES = {"digits": "1000", "ring": "5000", "circle": "5000"}
COMMON = {
    "--reward": ("log_quality",),
    "--normalise-returns": (),
    "--features": ("portable",),
    "--d-lr-range": ("0.03", "1000"),
    "--g-lr-range": ("0.01", "300"),
    "--decisions": ("20000",),
    "--controllers": ("sim-gda",),
}
TEN_DECISIONS = {"digits": "100", "ring": "500", "circle": "500"}
"""Updates a decision where a run has ten of them."""
PAPER: dict[str, tuple[str, ...]] = {"--actor-learning-rate": ("1e-4",), "--last-layer": ("0.003",)}
GENTLE = {**PAPER, "--learning-starts": ("0",)}
CHANGES: dict[str, dict[str, tuple[str, ...]]] = {
    "": {},
    "terminal": {"--reward": ("final_quality",), "--gamma": ("1",)},
    "noise": {"--noise": ("0.3",), "--learning-starts": ("2000",)},
    "long": {"--decisions": ("60000",)},
    "discount": {"--gamma": ("0.9",)},
    "paper": PAPER,
    "paper-long": {**PAPER, "--decisions": ("60000",)},
    "gentle": GENTLE,
    "gain": {**GENTLE, "--reward": ("log_quality_gain",)},
    "coarse": {**GENTLE, "--decisions": ("6000",)},
    "coarse-gain": {**GENTLE, "--decisions": ("6000",), "--reward": ("log_quality_gain",)},
    "narrow": {"--d-lr-range": ("0.1", "10"), "--g-lr-range": ("0.1", "10")},
}
KEPT = ("config.json", "table.txt", "policy.json", "agent.safetensors")


def command(algorithm: str, control: str, task: str, change: str) -> list[str]:
    """Returns what `gan-env train` is told."""
    pace = TEN_DECISIONS if change.startswith("coarse") else PACE
    game = {"--task": (task,), "--updates-per-step": (pace[task],), "--episode-updates": (UPDATES[task],)}
    learner = {"--algorithm": (algorithm,), "--control": (control,)}
    settings = game | learner | COMMON | CHANGES[change]
    return ["train", *(word for name, values in settings.items() for word in (name, *values))]


def train(algorithm: str, control: str, task: str, change: str, work: Path) -> None:
    """Trains and judges one agent; keeps what it is judged by."""
    name = "-".join(part for part in (algorithm, control, task, change) if part)
    kept, out = RESULTS / name, work / name
    if (kept / "table.txt").exists():
        return
    asked = command(algorithm, control, task, change) + ["--out", str(out)]
    if (out / "config.json").exists():
        asked = ["train", "--resume", str(out)]
    with (work / f"{name}.log").open("a") as log:
        done = subprocess.run([sys.executable, "-m", "gan_env", *asked], stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{name}: rc {done.returncode}, see {log.name}")
    kept.mkdir(parents=True)
    for file in KEPT:
        shutil.copy(out / file, kept / file)
    (kept / "rows.jsonl.gz").write_bytes(gzip.compress((out / "rows.jsonl").read_bytes(), mtime=0))
    print((kept / "table.txt").read_text(), flush=True)


def main() -> None:
    """Trains what is asked for, two agents at a time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--change", choices=CHANGES, default="")
    parser.add_argument("--only", nargs="*", metavar="AGENT", help='e.g. "ddpg-rates-ring"; by default all twelve')
    parser.add_argument("--work", type=Path, default=Path("runs/quality-paid"), help="folder of unfinished runs")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    agents = [
        each
        for each in itertools.product(ALGORITHMS, CONTROLS, TASKS)
        if not asked.only or "-".join(each) in asked.only
    ]
    with ThreadPoolExecutor(asked.jobs) as pool:
        done = [pool.submit(train, *each, asked.change, asked.work) for each in agents]
    for each in done:
        each.result()


if __name__ == "__main__":
    main()
