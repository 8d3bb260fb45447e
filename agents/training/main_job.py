"""The main job: train a DDPG agent on many short GAN runs, then judge it against the scripted rules on fresh seeds.

A run lives in a folder and survives whatever happens to its process: `resume` goes on from what was saved there, and
ends where the uninterrupted run would have ended, to the bit.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

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
from ..policies.policy_files import save_controller
from ..registry import make_controller
from .checkpoints import STATE, Checkpoints, Stop
from .meta_training import train_meta
from .train_config import (
    EMBEDDED,
    META,
    UNTRAINED,
    TrainConfig,
    first_difference,
    main_job,
    plain,
    read_config,
    read_held,
)

CONFIG, TABLE = "config.json", "table.txt"
FILES = (CONFIG, "rows.jsonl", "agent.safetensors", "samples.png", "scores.png", "curves.png", TABLE, STATE)
"""What a run writes, beside the folder of logs."""
LOGS = "tensorboard"


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
    save_every: float | None = None,
    trust: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Goes on with a run that was interrupted, from what was saved last, or from its beginning if nothing was.

    Args:
        out: The run's folder.
        config: What `train` was given, where `config.json` cannot tell: a task, reward or optimiser in code.
        progress: Show progress.
        save_every: Least seconds between two saves; by default what it was.
        trust: Read the data and controllers' files that the folder's configuration names elsewhere, too.
        say: Told the table.

    Raises:
        ValueError: If the folder holds no training, what it holds is damaged, or the configuration is another one.
        OSError: If another process works there, or it cannot be written to.
        Stopped: As `train`.
    """
    out = Path(out)
    if not is_there(out / CONFIG):
        raise ValueError(f"resume={str(out)!r} holds no training, for there is no {CONFIG} in it; name a run's folder")
    if config is None:
        config = read_config(out / CONFIG, trust=trust)
    else:
        found = first_difference(plain(config), read_held(out / CONFIG))
        if found:
            raise ValueError(f"resume={str(out)!r} was begun with other settings: {found}")
    config = replace(config, out=out, progress=progress)
    config = config if save_every is None else replace(config, save_every=save_every)
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
    from .run_pictures import draw_run  # matplotlib takes a second to import

    for name in FILES:  # what would be refused at the end is refused now
        is_there(out / name)
    has_folder(out / LOGS)
    began = time.perf_counter()
    checkpoints = Checkpoints(out, config.save_every)
    stop = Stop(f"stopped; nothing is lost, go on with: gan-env train --resume {shlex.quote(str(out))}")
    with stop.listening():
        learned = [Contestant(EMBEDDED, EmbeddedFSCO(_embedded(config)))] if config.is_fsco else []
        if config.mode == "meta":
            trained, untrained = train_meta(config, out / LOGS, checkpoints, stop)
            save_controller(trained, out / "agent.safetensors")
            learned = [Contestant(trained.name, trained), Contestant(untrained.name, untrained), *learned]
        result = evaluate(config, learned)  # repeated from its beginning by `resume`: it is short, and exact
        write_whole(out / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in result.rows))
        if config.mode == "embedded":
            agent = learned[0].controller
            assert isinstance(agent, EmbeddedFSCO)
            save_controller(agent.policy(0), out / "agent.safetensors")
        tell = partial(summary, result.rows, trained=config.names[0], untrained=config.names[1])
        draw_run(config.env.build_task(), result, out)
        write_whole(out / TABLE, tell() + "\n")  # the last: whoever finds it finds everything
        checkpoints.remove()
    say(tell(width=terminal_width()))
    say(f"\n{time.perf_counter() - began:.0f} s in all. The agent, every row, curves and pictures are in {out}/")
    return out


def _check(config: TrainConfig) -> None:
    """Raises ValueError for what would fail later: device, data, reward, a controller that refuses the game."""
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
    return replace(
        config.agent,
        updates_per_step=env.updates_per_step,
        features=env.features,
        d_loss_scale=env.d_loss_scale,
        d_lr_range=env.d_lr_range,
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
