"""The main job: train an agent on many short GAN runs, then judge it against the scripted rules on fresh seeds.

A run lives in a folder and survives whatever happens to its process: `resume` goes on from what was saved there, and
ends where the uninterrupted run would have ended, to the bit.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.io.files import (
    LOCK,
    PARTIAL,
    has_folder,
    is_there,
    locked,
    make_folder,
    read_text,
    remove_partials,
    shown_lines,
    write_whole,
)
from gan_env.tasks.task import Task

from ..base import NeedsTrainer
from ..comparison.compare import compare
from ..comparison.contestants import Contestant
from ..comparison.result import ComparisonResult
from ..learned.fsco import EmbeddedFSCO, FscoConfig
from ..policies.policy import PolicyController
from ..policies.policy_files import save_controller
from ..registry import make_controller
from .behaviour import Behaviour, Recorded
from .checkpoints import STATE, Checkpoints, Stop
from .evolution_training import EvolutionTraining
from .meta_training import train_meta
from .train_config import (
    EMBEDDED,
    HOW_NOT_WHAT,
    META,
    UNTRAINED,
    TrainConfig,
    first_difference,
    main_job,
    plain,
    read_config,
    read_held,
    refuse_foreign_work,
)

CONFIG, TABLE = "config.json", "table.txt"
AGENT, POLICY = "agent.safetensors", "policy.json"
SECOND_AGENT, SECOND_STATE = "second-agent.safetensors", "second-training.safetensors"
FILES = (
    CONFIG, "rows.jsonl", AGENT, SECOND_AGENT, POLICY, "learning.png", "samples.png", "scores.png", "curves.png", TABLE,
    STATE, SECOND_STATE,
)  # fmt: skip
"""What a run writes, beside the folders of logs; of a second agent only if there is one."""
LOGS, SECOND_LOGS = "tensorboard", "tensorboard-second"


def evaluate(config: TrainConfig, learned: list[Contestant]) -> ComparisonResult:
    """Compares the learned controllers with `config.controllers` on the evaluate seeds, all in one batch."""
    contestants = learned + [Contestant(name, make_controller(name)) for name in config.controllers]
    return compare(config.env, contestants, seeds=config.evaluate_seeds, progress=config.progress)


def train(config: TrainConfig, say: Callable[[str], None] = print) -> Path:
    """Trains, compares and writes the run's folder; returns its path.

    The folder holds `config.json`, `rows.jsonl`, the agent, TensorBoard files, `table.txt` and pictures; until it is
    finished also the state that `resume` goes on from.

    Raises:
        ValueError: If a setting is unfit, the folder cannot be made or holds something.
        OSError: If the folder cannot be written to, or a link stands in the place of a file of ours; what was there is
            unchanged.
        Stopped: A KeyboardInterrupt, after Ctrl-C or SIGTERM, when everything is saved.
    """
    _check(config)
    out = config.out or Path("runs") / f"{_task_name(config.env)}-{time.strftime('%Y%m%d-%H%M%S')}"
    _need_empty(out)
    make_folder(out)
    with locked(out):
        _need_empty(out)  # again: somebody else may have been quicker
        remove_partials(out)
        write_whole(out / CONFIG, json.dumps(plain(config), indent=2) + "\n")
        return _work(config, out, say)


def resume(
    out: Path | str,
    config: TrainConfig | None = None,
    *,
    progress: bool = True,
    trust: bool = False,
    say: Callable[[str], None] = print,
    **changes: Any,
) -> Path:
    """Goes on with a run that was interrupted, from what was saved last, or from its beginning if nothing was.

    Args:
        out: The run's folder.
        config: What `train` was given, where `config.json` cannot tell: a task, reward or optimiser in code.
        progress: Show progress.
        trust: Read the data and controllers' files that the folder's configuration names elsewhere, too, go to the Ray
            cluster that it names, and take on any amount of work.
        say: Told the table.
        **changes: Further settings of `HOW_NOT_WHAT`, e.g. `save_every` or `jobs`; by default what they were.

    Raises:
        ValueError: If another setting is to change, the folder holds no training, what it holds is damaged, or the
            configuration is another one.
        OSError: If another process works there, or it cannot be written to.
        Stopped: As `train`.
    """
    out = Path(out)
    if not is_there(out / CONFIG):
        raise ValueError(f"resume={str(out)!r} holds no training, for there is no {CONFIG} in it; name a run's folder")
    if config is None:
        config = read_config(out / CONFIG, trust=trust)
        if not trust:
            refuse_foreign_work(config, out, changes)
    else:
        found = first_difference(plain(config), read_held(out / CONFIG))
        if found:
            raise ValueError(f"resume={str(out)!r} was begun with other settings: {found}")
    for name in changes:
        if name not in HOW_NOT_WHAT:
            raise ValueError(f"{name}={changes[name]!r} does not go with resume, which keeps what decides the result")
    config = replace(config, **{**changes, "out": out, "progress": progress})
    if is_there(out / TABLE) and not is_there(out / STATE):
        say(shown_lines(read_text(out / TABLE)))
        say(f"{out}/ is finished; there is nothing left to do")
        return out
    _check(config)
    with locked(out):
        remove_partials(out)
        return _work(config, out, say)


def _need_empty(out: Path) -> None:
    if out.is_dir() and any(each.name != LOCK and each.suffix != PARTIAL for each in out.iterdir()):
        raise ValueError(
            f"out={str(out)!r} is not empty; name another folder, so that nothing there is lost, or go on with a "
            "training there by --resume"
        )


def _work(config: TrainConfig, out: Path, say: Callable[[str], None]) -> Path:
    """Trains from the last saved state, judges, writes everything; the folder is locked."""
    from ..report.columns import terminal_width
    from ..report.text import summary
    from .run_pictures import draw_learning, draw_run  # matplotlib takes a second to import

    for name in FILES:  # what would be refused at the end is refused now
        is_there(out / name)
    for name in (LOGS, SECOND_LOGS):
        has_folder(out / name)
    began = time.perf_counter()
    states = [Checkpoints(out, config.save_every, name) for name in (STATE, SECOND_STATE)]
    stop = Stop(f"stopped; nothing is lost, go on with: gan-env train --resume {shlex.quote(str(out))}")
    with stop.listening():
        recorded, learned = _trained(config, out, states, stop)
        result = evaluate(config, learned)  # repeated from its beginning by `resume`: it is short, and exact
        behaviours = _judge_behaviours(config, recorded, result)
        write_whole(out / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in result.rows))
        write_whole(out / POLICY, json.dumps([each.as_json() for each in behaviours], indent=2) + "\n")
        if config.mode == "embedded":
            agent = learned[0].controller
            assert isinstance(agent, EmbeddedFSCO)
            save_controller(agent.policy(0), out / AGENT)

        def told(width: int | None = None) -> str:
            table = summary(result.rows, trained=config.names[0], untrained=config.names[1], width=width)
            return "\n".join([table, *map(str, behaviours)])

        draw_run(config.env.build_task(), result, out)
        logs = zip([each.name for each in recorded], (out / LOGS, out / SECOND_LOGS), strict=False)
        draw_learning(dict(logs), out / "learning.png")
        write_whole(out / TABLE, told() + "\n")  # the last: whoever finds it finds everything
        for state in reversed(states):  # the first one's absence says that all is done
            state.remove()
    say(told(terminal_width()))
    say(f"\n{time.perf_counter() - began:.0f} s in all. The agent, every row, curves and pictures are in {out}/")
    return out


def _trained(
    config: TrainConfig, out: Path, states: list[Checkpoints], stop: Stop
) -> tuple[list[Recorded], list[Contestant]]:
    """Trains the agents and saves them; returns the trained ones, and all that are judged as learned."""
    online = [Contestant(EMBEDDED, EmbeddedFSCO(_embedded(config)))] if config.is_fsco else []
    if config.mode == "embedded":
        return [], online
    trained, untrained = train_meta(config, out / LOGS, states[0], stop)
    save_controller(trained, out / AGENT)
    recorded = [Recorded(trained)]
    if config.second is not None:
        second, _ = train_meta(config.second, out / SECOND_LOGS, states[1], stop)  # its untrained actor is the first's
        second = PolicyController(second.spec, second.layers, config.second_name)
        save_controller(second, out / SECOND_AGENT)
        recorded.append(Recorded(second))
    learned = [Contestant(each.name, each) for each in recorded]
    return recorded, [*learned, Contestant(untrained.name, untrained), *online]


def _judge_behaviours(config: TrainConfig, policies: list[Recorded], result: ComparisonResult) -> list[Behaviour]:
    """Judges the constant at the mean of each policy's actions on the same seeds; adds its rows to the result's."""
    if not policies:
        return []
    constants = [policy.constant() for policy in policies]
    judged = compare(config.env, constants, seeds=config.evaluate_seeds, progress=config.progress)
    result.rows += judged.rows
    result.samples |= judged.samples
    return [Behaviour.of(*each, result.rows) for each in zip(policies, constants, strict=True)]


def _check(config: TrainConfig) -> None:
    """Raises ValueError for what would fail later: device, data, reward, a controller that refuses the game."""
    if config.second is not None:
        GANVectorEnv(1, control=config.control, config=config.second.env).close()
    if config.algorithm == "es" and config.mode == "meta":
        EvolutionTraining(config).close()  # what it needs may not be installed
    env = GANVectorEnv(1, control=config.control, config=config.env)
    env.reset(seed=0)
    for name in config.controllers:
        controller = make_controller(name)
        if isinstance(controller, NeedsTrainer):
            controller.bind(env.trainer)
        controller.reset([0], env.facts)
    env.close()


def _task_name(env: EnvConfig) -> str:
    return env.task.name if isinstance(env.task, Task) else env.task


def _embedded(config: TrainConfig) -> FscoConfig:
    env = config.env
    return FscoConfig(
        **config.settings,
        updates_per_step=env.updates_per_step,
        features=env.features,
        d_loss_scale=env.d_loss_scale,
        d_lr_range=env.action_ranges[0],
    )


__all__ = [
    "EMBEDDED",
    "META",
    "UNTRAINED",
    "TrainConfig",
    "evaluate",
    "main_job",
    "plain",
    "resume",
    "train",
    "train_meta",
]
