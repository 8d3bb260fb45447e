"""Judges agents that passed again, on 16 seeds at which nobody looked while changes were chosen; writes confirmed.md.

python benchmarks/quality_paid/confirm.py     # some minutes
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from agents import compare
from agents.comparison.seeds import split_seeds
from agents.report.cells import interval
from agents.report.statistics import mean_interval
from agents.training.train_config import read_config
from gan_env import EnvConfig

RESULTS = Path(__file__).parents[1] / "results" / "quality-paid"
AGENTS = tuple(
    f"{agent}-learning-rate-{task}-{change}"
    for agent, change in (("td3", "coarse"), ("ddpg", "coarse-gain"))
    for task in ("digits", "ring", "circle")
)
SEEDS = split_seeds("evaluate", 32)[16:]


def main() -> None:
    """Runs all and writes the table."""
    text = (
        "16 seeds, 3000016 to 3000031; differences are paired, with 95 % intervals, below 0: the agent is better.\n\n"
    )
    text += "| agent | score | minus `sim-gda` | minus the constant of its mean |\n|---|---|---|---|\n"
    rows = []
    for name in AGENTS:
        folder = RESULTS / name
        (policy,) = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
        d = float(policy["constant"].partition("×")[2].partition(",")[0])
        config = read_config(folder / "config.json")
        game = EnvConfig.of(config.env, track_quality=False)
        names = ["sim-gda", str(folder / "agent.safetensors"), f"constant:{d}"]
        found = compare(game, names, seeds=SEEDS, progress=False).rows
        rows += [{key: value for key, value in row.items() if key != "trace"} | {"agent": name} for row in found]
        who = dict.fromkeys(row["controller"] for row in found)
        plain, own, constant = ([row["score"] for row in found if row["controller"] == each] for each in who)
        off = [[a - b for a, b in zip(own, other, strict=True)] for other in (plain, constant)]
        shown = [interval(mean_interval(own)), *(interval(mean_interval(each), sign=True) for each in off)]
        text += f"| `{name}` | {' | '.join(shown)} (D ×{d:g}) |\n"
        print(text.splitlines()[-1], flush=True)
    (RESULTS / "confirmed.md").write_text(text, encoding="utf-8")
    packed = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (RESULTS / "confirmed.jsonl.gz").write_bytes(gzip.compress(packed, mtime=0))


if __name__ == "__main__":
    main()
