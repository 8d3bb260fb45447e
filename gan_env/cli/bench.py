"""The command `gan-env bench`; `agents.benchmark.command` defines its options."""

from __future__ import annotations

from collections.abc import Sequence

from agents.benchmark.command import bench

from .options import description

HELP = """
    Goes on where it was stopped. Without options: the suite "quick", a minute on two cores. Lists are written with
    commas.

    Examples:
      gan-env bench
      gan-env bench --tasks ring,circle --controllers sim-gda,dyn-gda,best-constant --out runs/mine --jobs 2
      gan-env bench --suite lr-robustness --budget
      gan-env bench --out runs/mine
"""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return bench(arguments, description("bench", HELP))
