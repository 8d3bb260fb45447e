"""`gan-env list`: lists every name that an option accepts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

import gan_env
from agents.base import CONTROLLERS
from agents.benchmark.suites import SUITES
from agents.registry import OPPONENTS, controller_note, controller_summary, list_controllers
from agents.report.questions import QUESTIONS
from gan_env.envs.observations import FEATURES
from gan_env.envs.rewards import REWARDS
from gan_env.losses.losses import LOSSES
from gan_env.optimizer_spec import OPTIMIZERS
from gan_env.registry import misplaced
from gan_env.tasks.task import TASKS, task_summary

from . import DONE
from .options import print_json, read
from .wrapping import wrapped

KINDS = ("ids", "tasks", "losses", "optimizers", "rewards", "features", "controllers", "opponents", "suites", "plugins")
HELP = f"""
    Kinds: {", ".join(KINDS)}.

    Examples:
      gan-env list
      gan-env list controllers
      gan-env list --json
"""


@dataclass(frozen=True)
class List:
    """Options."""

    kind: tyro.conf.Positional[Annotated[Literal["all", *KINDS], tyro.conf.arg(metavar="KIND")]] = "all"  # type: ignore[valid-type]
    """One kind of names, a line each; tasks, controllers, opponents and suites with what they are; all if left out."""
    json: bool = False
    """Print one JSON document."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    given = read(List, "list", arguments, HELP)
    open_to_others = (TASKS, LOSSES, REWARDS, CONTROLLERS)
    plugins = [vars(o) | {"entry": o.entry.value, "problem": r.problem(o)} for r in open_to_others for o in r.offers]
    for offer, problem in misplaced([registry.group for registry in open_to_others]):
        plugins.append(vars(offer) | {"entry": offer.entry.value, "problem": problem})
    for each in plugins:
        if each["problem"]:
            print(f"gan-env: {each['problem']}", file=sys.stderr)
    found: dict[str, list[str]] = {
        "ids": list(gan_env.ENV_IDS),
        "tasks": TASKS.usable(),
        "losses": LOSSES.usable(),
        "optimizers": list(OPTIMIZERS),
        "rewards": REWARDS.usable(),
        "features": list(FEATURES),
        "controllers": list_controllers(),
        "opponents": list(OPPONENTS),
        "suites": list(SUITES),
    }
    if given.json:
        everything = found | {"plugins": plugins}
        print_json(everything if given.kind == "all" else {given.kind: everything[given.kind]})
        return DONE
    found["plugins"] = [f"{p['kind']} {p['name']} of {p['package']}" for p in plugins if not p["problem"]]
    about = {"controllers": _about, "opponents": _about, "tasks": task_summary, "suites": _asks}
    if given.kind in about:
        longest = max(map(len, found[given.kind]))
        for name in found[given.kind]:
            label, text = f"{name:<{longest}}  ", about[given.kind](name)
            print((wrapped(label, text, longest + 2) if sys.stdout.isatty() else label + text).rstrip())
        return DONE
    if given.kind != "all":
        print(*found[given.kind], sep="\n")
        return DONE
    notes = {name: controller_note(name) for name in found["controllers"]}
    found["controllers"] = [f"{name} ({note})" if note else name for name, note in notes.items()]
    for kind, names in found.items():
        if not names:
            continue  # no plug-ins, mostly
        print(wrapped(f"{kind}:", ", ".join(names), 13))
    return DONE


def _asks(suite: str) -> str:
    """Returns the question of a suite."""
    return QUESTIONS[suite].text


def _about(controller: str) -> str:
    """Returns a controller's summary, with its note unless the summary contains it."""
    note, summary = controller_note(controller), controller_summary(controller)
    return summary if not note or note in summary else f"{summary} ({note})"
