"""Writes benchmarks/results/quality-paid/figures.md, a line for each agent, from its rows and its policy.json."""

from __future__ import annotations

import json
from pathlib import Path

from agents.report.blocks import make_blocks, read_rows
from agents.report.cells import interval
from agents.report.comparisons import mean_score, score_differences
from agents.report.statistics import Interval, mean_interval

RESULTS = Path(__file__).parents[1] / "results" / "quality-paid"
SEEDS = 16
HEAD = """| agent | score | minus `sim-gda` | its decisions at a bound | minus the constant of its mean | passes |
|---|---|---|---|---|---|
"""


def line(folder: Path) -> str:
    """Returns an agent's line; whether it passes, as PROTOCOL.md says, at its end."""
    (policy,) = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    (block,) = make_blocks(read_rows(folder))
    score, gap = mean_score(block, policy["controller"]), score_differences(block, policy["controller"], "sim-gda")
    assert score is not None and gap is not None, "each agent and sim-gda were judged"
    difference = mean_interval(gap)
    low, high = policy["interval"]
    own = Interval(policy["gain"], low, high, SEEDS)
    passes = difference.high < 0 and policy["at_bound"] <= 0.5 and own.low <= 0
    shown = f"{interval(score)} | {interval(difference, sign=True)} | {policy['at_bound']:.0%}"
    constant = policy["constant"].removesuffix(", both update")
    return f"| `{folder.name}` | {shown} | {interval(own, sign=True)} ({constant}) | {'yes' if passes else 'no'} |"


def main() -> None:
    """Writes the table."""
    lines = [line(folder.parent) for folder in sorted(RESULTS.glob("*/policy.json"))]
    (RESULTS / "figures.md").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
