"""The command `gan-env train`: trains an agent and compares it with scripted controllers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from agents.learned.settings import AgentConfig
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
            "optimizer": Literal["adam", "rmsprop", "sgd"] | None,
            "score": None,
            "track_quality": None,
            "quality_every": None,
        },
        HELPS,
    )
    # --batch-size is the game's.
    agent = [option for option in options_of(AgentConfig, AgentConfig()) if option[0] != "batch_size"]
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
    flags = dataclasses.make_dataclass("Train", [*game, *agent, *job, again, trust, as_json], kw_only=True, frozen=True)
    given: Any = read(flags, "train", arguments, HELP)
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
        agent_config = dataclasses.replace(AgentConfig(), **{name: getattr(given, name) for name, _, _ in agent})
        chosen = {name: getattr(given, name) for name, _, _ in job}
        env = dataclasses.replace(main_job(), **{name: getattr(given, name) for name, _, _ in game})
        out = train(TrainConfig(**chosen, env=env, agent=agent_config), say)
    if given.json:
        _print_scores(out)
    else:
        print(f"See the agent at work: gan-env watch {out} --film {out}/film.gif")
    return DONE


def _option(name: str, kind: Any, default: Any, help: str) -> tuple[str, Any, Any]:
    return name, Annotated[kind, tyro.conf.arg(help=help)], dataclasses.field(default=default)


def _print_scores(out: Path) -> None:
    from agents.comparison.row_checks import read_row
    from agents.report.text import as_json
    from gan_env.io.files import open_lines

    with open_lines(out / "rows.jsonl") as lines:
        rows = [read_row(line, f"rows.jsonl line {number}") for number, line in enumerate(lines, 1)]
    print_json({"out": out, "tables": as_json(rows)})
