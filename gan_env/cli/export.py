"""The command `gan-env export`; `agents.training.sb3_export` defines its options."""

from __future__ import annotations

from collections.abc import Sequence

from agents.training.sb3_export import export

from .options import description

HELP = """
    bench takes such a file, and so does your own loop.

    Examples:
      gan-env export --trust-pickle logs/td3/model.zip mine.safetensors
      gan-env bench --controllers sim-gda,mine.safetensors
"""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return export(arguments, description("export", HELP))
