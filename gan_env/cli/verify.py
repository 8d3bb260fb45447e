"""The command `gan-env verify`; `agents.benchmark.command` defines its options."""

from __future__ import annotations

from collections.abc import Sequence

from agents.benchmark.command import verify_rows

from .options import description

HELP = """
    Exit code 1 if one differs.

    Examples:
      gan-env verify runs/mine
      gan-env verify runs/mine --groups 10 --jobs 2 --json
"""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return verify_rows(arguments, description("verify", HELP))
