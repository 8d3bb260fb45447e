"""Kills a small training with SIGKILL at 25 random moments, resumes it each time, and compares the end.

`python benchmarks/kill_training.py [KILLS [FLAGS]]` takes five minutes on one idle core; further flags are those of
`gan-env train`, e.g. `8 --algorithm sac --control rates --reward log_quality`. It prints how many kills hit which part
of the job, and whether agent file and rows of every finished run equal an uninterrupted run's; exit code 1 if not.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from agents.learned.settings import OFF_POLICY
from agents.training.checkpoints import STATE

FLAGS = [
    "--task", "ring", "--batch-size", "16", "--episode-updates", "20", "--updates-per-step", "2", "--num-envs", "4",
    "--decisions", "8000", "--learning-starts", "100", "--evaluate-seeds", "2", "--controllers", "sim-gda",
]  # fmt: skip
TIMES = ("wall_s", "control_s")
"""Of a row; all else must be equal."""


def begin(out: Path, flags: list[str]) -> subprocess.Popen:
    """Starts the training in a folder, or goes on with the one that is there."""
    command = [sys.executable, "-m", "gan_env", "train"]
    command += ["--resume", str(out)] if (out / "config.json").exists() else [*flags, "--out", str(out)]
    return subprocess.Popen([*command, "--save-every", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def flags_of(more: tuple[str, ...]) -> list[str]:
    """Returns the small training's flags with `more` in the place of what the algorithm has not."""
    algorithm = more[more.index("--algorithm") + 1] if "--algorithm" in more else "ddpg"
    starts = FLAGS.index("--learning-starts")
    flags = FLAGS if algorithm in OFF_POLICY else FLAGS[:starts] + FLAGS[starts + 2 :]
    return [*flags, *more]


def phase(out: Path) -> str:
    if not (out / "config.json").exists():
        return "before anything was written"
    if (out / "agent.safetensors").exists():
        return "while judging"
    return "while training" if (out / STATE).exists() else "before the first save"


def wait_for_work(out: Path, process: subprocess.Popen) -> None:
    """Returns when the process has changed a file in the folder, or has ended."""
    began = time.time()
    while process.poll() is None:
        if out.is_dir() and any(file.stat().st_mtime > began for file in out.glob("[!.]*")):
            return
        time.sleep(0.005)


def outcome(out: Path) -> tuple[bytes, list, list[str]]:
    """Agent, rows without times, names of files."""
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    names = sorted(p.name for p in out.iterdir())
    return (
        (out / "agent.safetensors").read_bytes(),
        [{k: v for k, v in r.items() if k not in TIMES} for r in rows],
        names,
    )


def finish(process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"a training failed: {said.decode()}")


def main(kills: int = 25, *more: str) -> int:
    flags = flags_of(more)
    rng, hits, compared, equal = random.Random(0), Counter(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        straight = Path(folder) / "straight"
        finish(begin(straight, flags))
        whole_s = time.perf_counter() - began
        expected, runs, done = outcome(straight), 0, 0
        out = Path(folder) / "killed 0"
        while True:
            process = begin(out, flags)
            if done < kills:
                # One in four at any moment of starting, the others at work, spread over the whole job.
                if rng.random() < 0.25:
                    wait_s = rng.uniform(0, 4)
                else:
                    wait_for_work(out, process)
                    wait_s = rng.uniform(0, 2 * whole_s / kills)
                try:
                    process.wait(wait_s)
                except subprocess.TimeoutExpired:
                    hits[phase(out)] += 1
                    done += 1
                    process.kill()
                    process.communicate()
                    continue
            finish(process)
            compared += 1
            equal += outcome(out) == expected
            if done == kills:
                break
            runs += 1
            out = Path(folder) / f"killed {runs}"
    print(f"{done} kills: " + ", ".join(f"{count} {name}" for name, count in hits.items()))
    print(
        f"{equal} of {compared} finished runs equal the uninterrupted one; {time.perf_counter() - began:.0f} s in all"
    )
    return int(equal < compared)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]) if sys.argv[1:] else main())
