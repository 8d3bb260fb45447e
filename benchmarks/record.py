"""Records what a controller decides in some runs, for its open-loop replay: the same schedules without feedback.

    python benchmarks/record.py runs/mine/agent.safetensors --d-lr 1e-3 --updates 5000 --out replay.safetensors
    gan-env bench --controllers runs/mine/agent.safetensors,replay:replay.safetensors,best-constant,sim-gda

The runs are of the split "tune", so that no replay has seen what it is judged on. A ranking asks for one beside every
learned controller.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from agents import compare
from agents.comparison.contestants import make_contestant
from agents.rules.replay import Recorder
from gan_env.envs.config import EnvConfig


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("controller", help="a controller file, or a name as in `gan-env list`")
    parser.add_argument("--task", default="ring")
    parser.add_argument("--d-lr", type=float, help="base rate of both players; by default the task's own")
    parser.add_argument("--updates", type=int, help="by default the task's own")
    parser.add_argument("--updates-per-step", type=int, default=10)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    game = EnvConfig(
        task=given.task,
        d_lr=given.d_lr,
        g_lr=given.d_lr,
        updates_per_step=given.updates_per_step,
        episode_updates=given.updates,
        score=False,
    )
    recorder = Recorder(make_contestant(given.controller, game).controller)
    rows = compare(game, [recorder], seeds=given.runs, split="tune").rows
    given.out.parent.mkdir(parents=True, exist_ok=True)
    recorder.save(given.out)
    multipliers = [np.exp(np.mean(row["trace"]["log_d_multiplier"])) for row in rows]
    print(
        f"{given.out}: {len(recorder.controls)} decisions of {recorder.name} in {given.runs} runs; mean multiplier of "
        f"D's rate {min(multipliers):.2f} to {max(multipliers):.2f}; {sum(r['status'] != 'ok' for r in rows)} failed"
    )


if __name__ == "__main__":
    main()
