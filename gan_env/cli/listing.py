"""`gan-env list`: every name that an option takes."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

import gan_env
from agents.base import CONTROLLERS
from agents.benchmark.suites import SUITES
from agents.registry import controller_note, list_controllers
from gan_env.features import FEATURES
from gan_env.losses import LOSSES
from gan_env.rewards import REWARDS
from gan_env.task import TASKS

from . import DONE
from .options import print_json, read

KINDS = ("ids", "tasks", "losses", "rewards", "features", "controllers", "suites", "plugins")
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
    open_to_others = (TASKS, LOSSES, REWARDS, CONTROLLERS)
    plugins = [vars(o) | {"entry": o.entry.value, "problem": r.problem(o)} for r in open_to_others for o in r.offers]
    for each in plugins:
        if each["problem"]:
            print(f"gan-env: {each['problem']}", file=sys.stderr)
    found: dict[str, list[str]] = {
        "ids": list(gan_env.ENV_IDS),
        "tasks": TASKS.usable(),
        "losses": LOSSES.usable(),
        "rewards": REWARDS.usable(),
        "features": list(FEATURES),
        "controllers": list_controllers(),
        "suites": list(SUITES),
    }
    if given.json:
        everything = found | {"plugins": plugins}
        print_json(everything if given.kind == "all" else {given.kind: everything[given.kind]})
        return DONE
    found["plugins"] = [f"{p['kind']} {p['name']} of {p['package']}" for p in plugins if not p["problem"]]
    notes = {name: controller_note(name) for name in found["controllers"]}
    found["controllers"] = [f"{name} ({note})" if note else name for name, note in notes.items()]
    if given.kind != "all":
        print(*found[given.kind], sep="\n")
        return DONE
    for kind, names in found.items():
        if not names:
            continue  # no plug-ins, mostly
        print(
            textwrap.fill(
                f"{kind + ':':<13}" + ", ".join(names), 100, subsequent_indent=" " * 13, break_on_hyphens=False
            )
        )
    return DONE
