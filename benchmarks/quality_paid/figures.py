"""Writes benchmarks/results/quality-paid/figures.md, a line for each agent, from the tables of its judgement."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results" / "quality-paid"
NUMBER = r"[−-]?[\d,.]+(?:e[+-]?\d+)?"
INTERVAL = rf"({NUMBER}) +\[({NUMBER}), ({NUMBER})\]"
HEAD = """| agent | score | minus `sim-gda` | its decisions at a bound | its own constant | passes |
|---|---|---|---|---|---|
"""


def value(text: str) -> float:
    """Reads a number with a typographic minus and thousands."""
    return float(text.replace("−", "-").replace(",", ""))


def line(folder: Path) -> str:
    """Returns an agent's line, whether it passes by PROTOCOL.md at its end."""
    text = (folder / "table.txt").read_text(encoding="utf-8")
    agent = folder.name.split("-")[0]
    (row,) = re.findall(rf"^{agent} \(meta\) +{INTERVAL}(?: †)? +{INTERVAL}", text, re.M)
    (behaviour,) = re.findall(
        rf"^{agent} \(meta\): (\d+)% .*\((D ×.*?)\) does .*score minus its {INTERVAL}", text, re.M
    )
    bound, constant, *gain = behaviour
    passes = value(row[5]) < 0 and int(bound) <= 50 and not value(gain[1]) > 0
    score, difference, own = (f"{a} [{b}, {c}]" for a, b, c in (row[:3], row[3:], gain))
    constant = constant.replace(", both update", "")
    return f"| `{folder.name}` | {score} | {difference} | {bound} % | {constant}: {own} | {'yes' if passes else 'no'} |"


def main() -> None:
    """Writes the table."""
    lines = [line(folder.parent) for folder in sorted(RESULTS.glob("*/table.txt"))]
    (RESULTS / "figures.md").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
