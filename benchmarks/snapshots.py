"""How long snapshots, restores and forks take, in memory and in a file, beside one update.

`python benchmarks/snapshots.py`; medians of 31 repeats.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from gan_env.envs.env import GANVectorEnv
from gan_env.training.snapshot import Snapshot

REPEATS = 31
GAMES = (("ring", 64), ("emoji64", 1))


def milliseconds(what: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        what()
        times.append(1e3 * (time.perf_counter() - began))
    return median(times)


def main() -> None:
    torch.set_num_threads(1)
    names = ("update", "snapshot", "restore", "fork", "save", "load")
    print(f"{'ms':<16}" + "".join(f"{name:>10}" for name in names) + f"{'megabytes':>12}")
    for task, rows in GAMES:
        env = GANVectorEnv(rows, task=task, score=False, device="cpu")
        env.reset(seed=0)
        action = np.zeros((rows, 1), np.float32)
        env.step(action)
        kept = env.snapshot()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "kept.safetensors"
            kept.save(file)
            megabytes = file.stat().st_size / 1e6
            figures = (
                milliseconds(lambda: env.step(action), REPEATS if rows > 1 else 5),  # noqa: B023 (called at once)
                milliseconds(env.snapshot),
                milliseconds(lambda: env.restore(kept)),  # noqa: B023
                milliseconds(env.fork),
                milliseconds(lambda: kept.save(file), 11),  # noqa: B023
                milliseconds(lambda: Snapshot.load(file), 11),  # noqa: B023
            )
        print(f"{f'{task}, N = {rows}':<16}" + "".join(f"{value:>10.3f}" for value in figures) + f"{megabytes:>12.2f}")


if __name__ == "__main__":
    main()
