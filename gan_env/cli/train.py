"""The command `gan-env train`: trains an agent and compares it with scripted controllers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import tyro

from agents.learned.fsco import FscoConfig
from agents.training.main_job import TrainConfig, main_job, resume, train
from gan_env.envs.config import EnvConfig

from . import DONE
from .options import options_of, print_json, read

HELP = """
    Without options: real handwritten digits, 20,000 decisions, about three minutes on two free cores.

    Examples:
      gan-env train
      gan-env train --task ring --episode-updates 2000 --decisions 8000 --out runs/ring
      gan-env train --control joint --reward quality_gain
      gan-env train --resume runs/ring
"""


TITLES = {
    "game": "The GAN that is trained, and what the agent sees and is paid.",
    "agent": "The agent that learns to steer it.",
    "job": "How long it learns, how it is judged, and where results go.",
    "folder": "Going on, and printing.",
}
"""What the groups of options are about."""
HELPS = {
    "task": 'What is trained: a name (gan-env list tasks), some with a place, e.g. "folder:PATH@64".',
    "optimizer": "Optimiser of both players; by default the task's or else the loss' own.",
    "reward": 'What the agent is paid: "loss_gap" (FSCO), "quality", "quality_gain" (gan-env list rewards).',
}
"""Help of the settings that also take objects in code."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    game = options_of(
        EnvConfig,
        main_job(),
        {
            "task": str,
            "reward": str,
            "optimizer": Literal["adam", "oadam", "extra-adam", "lookahead-minimax", "rmsprop", "sgd"] | None,
            "score": None,
            "track_quality": None,
            "quality_every": None,
        },
        HELPS,
    )
    # What the agent shares with the game is set once, there.
    agent = [o for o in options_of(FscoConfig, FscoConfig()) if o[0] not in {g[0] for g in game} | {"batch_size"}]
    job = options_of(TrainConfig, TrainConfig(), {"env": None, "agent": None})
    again = _option(
        "resume", Path | None, None,
        "Go on with the training in this folder, which was stopped; only --progress, --save-every, --trust and "
        "--json go with it.",
    )  # fmt: skip
    trust = _option(
        "trust", bool, False,
        "With --resume: read the data and controllers' files that the folder's configuration names elsewhere, too.",
    )  # fmt: skip
    as_json = _option("json", bool, False, "Print the folder and the scores as one JSON document.")
    given: Any = _read({"game": game, "agent": agent, "job": job, "folder": [again, trust, as_json]}, arguments)
    say = (lambda text: None) if given.json else print
    if given.resume is not None:
        changed = [n for n, _, default in [*game, *agent, *job] if getattr(given, n) != default.default]
        for name in changed:
            if name not in ("progress", "save_every"):
                raise ValueError(
                    f"--{name.replace('_', '-')} does not go with --resume, which keeps the settings of "
                    f"{given.resume}/config.json; leave it out"
                )
        save_every = given.save_every if "save_every" in changed else None
        out = resume(given.resume, progress=given.progress, save_every=save_every, trust=given.trust, say=say)
    else:
        agent_config = dataclasses.replace(FscoConfig(), **{name: getattr(given, name) for name, _, _ in agent})
        chosen = {name: getattr(given, name) for name, _, _ in job}
        env = dataclasses.replace(main_job(), **{name: getattr(given, name) for name, _, _ in game})
        out = train(TrainConfig(**chosen, env=env, agent=agent_config), say)
    if given.json:
        _print_scores(out)
    else:
        print(f"See the agent at work: gan-env watch {out} --film {out}/film.gif")
    return DONE


def _read(groups: dict[str, list[tuple[str, Any, Any]]], arguments: Sequence[str]) -> SimpleNamespace:
    """Parses options in groups, under whose titles the help lists them; returns all of them by name."""
    fields: list[tuple[str, Any, Any]] = []
    for title, options in groups.items():
        kind = dataclasses.make_dataclass(title, options, kw_only=True, frozen=True)
        kind.__doc__ = TITLES[title]
        fields.append((title, kind, dataclasses.field(default=kind())))
    flags = dataclasses.make_dataclass("Train", fields, kw_only=True, frozen=True)
    found = read(tyro.conf.OmitArgPrefixes[flags], "train", arguments, HELP)
    return SimpleNamespace(**{name: getattr(getattr(found, t), name) for t, o in groups.items() for name, *_ in o})


def _option(name: str, kind: Any, default: Any, help: str) -> tuple[str, Any, Any]:
    return name, Annotated[kind, tyro.conf.arg(help=help)], dataclasses.field(default=default)


def _print_scores(out: Path) -> None:
    from agents.comparison.row_checks import read_row
    from agents.report.text import as_json
    from gan_env.io.files import open_lines

    with open_lines(out / "rows.jsonl") as lines:
        rows = [read_row(line, f"rows.jsonl line {number}") for number, line in enumerate(lines, 1)]
    print_json({"out": out, "tables": as_json(rows)})
