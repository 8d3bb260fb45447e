"""`gan-env list`: every name that an option takes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

import gan_env
from agents.benchmark.suites import SUITES
from agents.registry import controller_note, list_controllers
from gan_env.features import FEATURES
from gan_env.losses import LOSSES
from gan_env.rewards import REWARDS
from gan_env.task import TASKS

from . import DONE
from .options import print_json, read

KINDS = ("ids", "tasks", "losses", "rewards", "features", "controllers", "suites")
HELP = """
    Examples:
      gan-env list
      gan-env list controllers
      gan-env list --json
"""


@dataclass(frozen=True)
class List:
    """Options."""

    kind: tyro.conf.Positional[Literal["all", *KINDS]] = "all"  # type: ignore[valid-type]
    """One kind of names, a line each; everything if left out."""
    json: bool = False
    """Print one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """The command."""
    given = read(List, "list", arguments, HELP)
    names = (
        list(gan_env.ENV_IDS), list(TASKS), list(LOSSES), list(REWARDS), list(FEATURES), list_controllers(),
        list(SUITES),
    )  # fmt: skip
    found = dict(zip(KINDS, names, strict=True))
    chosen = found if given.kind == "all" else {given.kind: found[given.kind]}
    if given.json:
        print_json(chosen)
        return DONE
    labelled = {"controllers": [f"{n} ({note})" if (note := controller_note(n)) else n for n in found["controllers"]]}
    if given.kind != "all":
        print(*(chosen | labelled)[given.kind], sep="\n")
        return DONE
    for kind, names in (chosen | labelled).items():
        print(textwrap.fill(f"{kind + ':':<13}" + ", ".join(names), 100, subsequent_indent=" " * 13))
    return DONE
