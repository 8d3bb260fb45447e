"""The command `gan-env train`: trains an agent and compares it with scripted controllers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import tyro

from agents.learned.settings import AgentConfig
from agents.training.main_job import POLICY, TrainConfig, main_job, resume, train
from agents.training.train_config import usual_decisions
from gan_env.envs.config import EnvConfig

from . import DONE
from .options import option, options_of, print_json, read

HELP = """
    Without options: real handwritten digits, two DDPG agents, one paid as in FSCO and one by log_quality, 20,000
    decisions each, some minutes on two free cores.

    Examples:
      gan-env train
      gan-env train --task ring --episode-updates 2000 --decisions 8000 --out runs/ring
      gan-env train --algorithm td3 --control rates --reward log_quality --normalise-returns
      gan-env train --algorithm dqn --control update-choice --reward quality_gain
      gan-env train --algorithm es --task ring --jobs 2 --out runs/es
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
    "reward": 'What the agent is paid: "loss_gap" (FSCO), "log_quality" and others (gan-env list rewards); es is paid '
    '"final_quality" unless told otherwise, the others "loss_gap".',
    "features": "Names of the observation's features, in order, or of a set of them; by default those of FSCO, and of "
    "es portable.",
}
"""Help of the settings that also take objects in code."""
JOB_HELPS = {
    "decisions": "Decisions that an agent is given in training, all rows together; by default 20,000, and of es 40 "
    "generations.",
    "also": 'Reward of a second agent, trained after the first and judged beside it; "none": train one alone. By '
    'default "log_quality" where neither --reward, --algorithm, --control nor --mode is given.',
}
"""Help of the settings that the command chooses if they are left out."""
GOES_ON_WITH = ("progress", "save_every", "jobs", "executor", "address")
"""Settings that go with --resume, for they leave the result as it is."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    game = options_of(
        EnvConfig,
        main_job(),
        {
            "task": str,
            "reward": str | None,
            "features": tuple[str, ...] | None,
            "optimizer": Literal["adam", "oadam", "extra-adam", "lookahead-minimax", "rmsprop", "sgd"] | None,
            "annealing": None,
            "score": None,
            "track_quality": None,
            "quality_every": None,
        },
        HELPS,
        later=("reward", "features"),
    )
    # --batch-size is the game's.
    agent = [each for each in options_of(AgentConfig, AgentConfig()) if each[0] != "batch_size"]
    job = options_of(
        TrainConfig, TrainConfig(), {"env": None, "agent": None, "decisions": int | None}, JOB_HELPS, ("decisions",)
    )
    again = option(
        "resume", Path | None, None,
        "Go on with the training in this folder, which was stopped; only --progress, --save-every, --jobs, "
        "--executor, --address, --trust and --json go with it.",
    )  # fmt: skip
    trust = option(
        "trust", bool, False,
        "With --resume: read the data and controllers' files that the folder's configuration names elsewhere, go to "
        "the Ray cluster that it names, and take on any amount of work.",
    )  # fmt: skip
    as_json = option("json", bool, False, "Print the folder and the scores as one JSON document.")
    given: Any = _read({"game": game, "agent": agent, "job": job, "folder": [again, trust, as_json]}, arguments)
    say = (lambda text: None) if given.json else print
    if given.resume is not None:
        changed = [n for n, _, default in [*game, *agent, *job] if getattr(given, n) != default.default]
        for name in changed:
            if name not in GOES_ON_WITH:
                raise ValueError(
                    f"--{name.replace('_', '-')} does not go with --resume, which keeps the settings of "
                    f"{given.resume}/config.json; leave it out"
                )
        kept = {name: getattr(given, name) for name in changed if name != "progress"}
        out = resume(given.resume, progress=given.progress, trust=given.trust, say=say, **kept)
    else:
        out = train(_config(given, [n for n, _, _ in game], [n for n, _, _ in agent], [n for n, _, _ in job]), say)
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


def _config(given: Any, game: list[str], agent: list[str], job: list[str]) -> TrainConfig:
    """Makes the configuration, with what is left to us where it was not given."""
    env, settings, chosen = ({name: getattr(given, name) for name in names} for names in (game, agent, job))
    nothing_said = (given.reward, given.algorithm, given.control, given.mode) == (None, "ddpg", "learning-rate", "meta")
    if chosen["also"] is None and nothing_said:
        chosen["also"] = "log_quality"
    elif chosen["also"] == "none":
        chosen["also"] = None
    usual = ("final_quality", ("portable",)) if given.algorithm == "es" else (main_job().reward, main_job().features)
    env["reward"], env["features"] = env["reward"] or usual[0], env["features"] or usual[1]
    config = dataclasses.replace(main_job(), **env)
    agent_config = dataclasses.replace(AgentConfig(), **settings)
    chosen["decisions"] = chosen["decisions"] or usual_decisions(given.algorithm, agent_config, config)
    return TrainConfig(**chosen, env=config, agent=agent_config)


def _print_scores(out: Path) -> None:
    from agents.comparison.row_checks import read_row
    from agents.report.text import as_json
    from gan_env.io.files import open_lines, read_json

    with open_lines(out / "rows.jsonl") as lines:
        rows = [read_row(line, f"rows.jsonl line {number}") for number, line in enumerate(lines, 1)]
    print_json({"out": out, "tables": as_json(rows), "policies": read_json(out / POLICY)})
