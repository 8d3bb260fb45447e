"""The command `gan-env`: what a person types. The only module of this package that knows the controllers."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro

from gan_env.registry import unknown

DONE, FAILED, WRONG_CALL = 0, 1, 2


def field_docs(record: type) -> dict[str, str]:
    """The string under each field of a dataclass: its documentation, and its option's help."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            docs[field.target.id] = str(text.value.value)
    return docs


def options_of(record: type, defaults: Any, types: dict[str, Any] | None = None) -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass as (name, type with help, default), with the types that a command line can read."""
    hints, docs = get_type_hints(record), field_docs(record)
    found = []
    for field in dataclasses.fields(record):
        kind = (types or {}).get(field.name, hints[field.name])
        if kind is not None:
            default = getattr(defaults, field.name)
            found.append(
                (field.name, Annotated[kind, tyro.conf.arg(help=docs[field.name])], dataclasses.field(default=default))
            )
    return found


def _train(arguments: Sequence[str]) -> int:
    """Train a DDPG agent to steer a GAN, then judge it against the scripted rules on seeds that it never saw.

    Without options: real handwritten digits, 20,000 decisions, about three minutes on two cores.
    """
    from agents.fsco import FscoConfig
    from agents.training import TrainConfig, main_job, resume, train
    from gan_env.config import EnvConfig

    def build(record: type, given: Any, start: Any) -> Any:
        names = [f.name for f in dataclasses.fields(record) if hasattr(given, f.name)]
        return dataclasses.replace(start, **{name: getattr(given, name) for name in names})

    game = options_of(
        EnvConfig,
        main_job(),
        {
            "task": str,
            "reward": Literal["loss_gap", "quality", "quality_gain"],
            "optimizer": Literal["adam", "rmsprop", "sgd"] | None,
            "score": None,
            "track_quality": None,
            "quality_every": None,
        },
    )
    # What the agent shares with the game is set once, there.
    agent = [o for o in options_of(FscoConfig, FscoConfig()) if o[0] not in {g[0] for g in game} | {"batch_size"}]
    start = TrainConfig(progress=sys.stderr.isatty())
    job = options_of(TrainConfig, start, {"env": None, "agent": None})
    help = "Go on with the training in this folder, which was stopped; only --progress and --save-every go with it."
    again = ("resume", Annotated[Path | None, tyro.conf.arg(help=help)], dataclasses.field(default=None))
    flags = dataclasses.make_dataclass("Train", [*game, *agent, *job, again], kw_only=True, frozen=True)
    given = tyro.cli(flags, prog="gan-env train", description=inspect.getdoc(_train), args=arguments)
    if given.resume is not None:
        changed = [n for n, _, default in [*game, *agent, *job] if getattr(given, n) != default.default]
        for name in changed:
            if name not in ("progress", "save_every"):
                raise ValueError(
                    f"--{name.replace('_', '-')} does not go with --resume, which keeps the settings of "
                    f"{given.resume}/config.json; leave it out"
                )
        save_every = given.save_every if "save_every" in changed else None
        resume(given.resume, progress=given.progress, save_every=save_every)
        return DONE
    agent_config = dataclasses.replace(FscoConfig(), **{name: getattr(given, name) for name, _, _ in agent})
    chosen = {name: getattr(given, name) for name, _, _ in job}
    train(TrainConfig(**chosen, env=build(EnvConfig, given, main_job()), agent=agent_config))
    return DONE


def _list(arguments: Sequence[str]) -> int:
    """List tasks, losses, rewards, features, controllers, benchmark suites and environment ids."""
    import gan_env
    from agents.benchmark.suites import SUITES
    from agents.registry import controller_note, list_controllers
    from gan_env.features import FEATURES
    from gan_env.losses import LOSSES
    from gan_env.rewards import REWARDS
    from gan_env.task import TASKS

    flags = dataclasses.make_dataclass(
        "List",
        [("json", Annotated[bool, tyro.conf.arg(help="Print one JSON document.")], dataclasses.field(default=False))],
    )
    given = tyro.cli(flags, prog="gan-env list", description=inspect.getdoc(_list), args=arguments)
    found = {
        "ids": list(gan_env.ENV_IDS),
        "tasks": list(TASKS),
        "losses": list(LOSSES),
        "rewards": list(REWARDS),
        "features": list(FEATURES),
        "controllers": list_controllers(),
        "suites": list(SUITES),
    }
    if given.json:
        import json

        print(json.dumps(found, indent=2))
    else:
        labelled = [f"{name} ({note})" if (note := controller_note(name)) else name for name in found["controllers"]]
        for kind, names in (found | {"controllers": labelled}).items():
            print(textwrap.fill(f"{kind + ':':<13}" + ", ".join(names), 100, subsequent_indent=" " * 13))
    return DONE


def _data(arguments: Sequence[str]) -> int:
    """Say where a task's data are looked for, whether they are there, and what to do if not; `--fetch` downloads."""
    from gan_env import fetching

    @dataclasses.dataclass(frozen=True)
    class Data:
        name: tyro.conf.Positional[str] = ""
        """Of a task or set; all of them if left out."""
        fetch: bool = False
        """Download it, where torchvision can."""
        json: bool = False
        """Print one JSON document."""

    import json

    given = tyro.cli(Data, prog="gan-env data", description=inspect.getdoc(_data), args=arguments)
    if given.fetch:
        message = fetching.fetch(given.name)
        print(json.dumps({"name": given.name, "fetched": message}) if given.json else message)
        return DONE
    found = [fetching.where(name) for name in ([given.name] if given.name else fetching.names())]
    if given.json:
        print(json.dumps(found[0] if given.name else found, indent=2))
        return DONE
    for each in found:
        for key, value in each.items():
            print(textwrap.fill(f"{key + ':':<15}{value}", 110, subsequent_indent=" " * 15, break_long_words=False))
        print()
    return DONE


def _report(arguments: Sequence[str]) -> int:
    """Write a folder's report.html and figures/ from its rows: ranking, paired differences, profiles, failures."""

    @dataclasses.dataclass(frozen=True)
    class Report:
        folder: tyro.conf.Positional[str]
        """With the rows.jsonl that gan-env bench or train wrote."""
        baseline: str = "sim-gda"
        """Controller that the others are compared with."""
        json: bool = False
        """Print the page's numbers as one JSON document."""

    given = tyro.cli(Report, prog="gan-env report", description=inspect.getdoc(_report), args=arguments)
    from agents.report.headline import headline
    from agents.report.page import write_report

    report, path = write_report(given.folder, given.baseline)
    if given.json:
        import json

        print(json.dumps({"page": str(path), "headline": headline(report), **report.plain()}, indent=2))
        return DONE
    print(*headline(report), f"\n{path}", sep="\n")
    return DONE


def _bench(arguments: Sequence[str]) -> int:
    """Judge controllers against each other on many games and seeds; goes on where it was stopped.

    Without options: the suite "quick", a minute on two cores. Lists are written with commas: --tasks ring,circle.
    """
    from agents.benchmark.command import bench

    return bench(arguments, inspect.getdoc(_bench) or "")


def _verify(arguments: Sequence[str]) -> int:
    """Run some groups of a benchmark again and compare their rows to the bit; exit code 1 if one differs."""
    from agents.benchmark.command import verify_rows

    return verify_rows(arguments, inspect.getdoc(_verify) or "")


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "bench": _bench,
    "data": _data,
    "list": _list,
    "report": _report,
    "train": _train,
    "verify": _verify,
}


def usage() -> str:
    """The help of `gan-env` alone."""
    lines = ["usage: gan-env COMMAND [OPTIONS]", "", "Steer GAN training as a reinforcement-learning environment.", ""]
    for name, command in COMMANDS.items():
        lines.append(f"  {name:<8} {(inspect.getdoc(command) or '').splitlines()[0]}")
    lines += ["", "gan-env COMMAND --help lists a command's options. For a start: gan-env train"]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives 0 done, 1 the work failed, 2 the call is wrong."""
    import torch

    torch.set_num_threads(1)  # two threads on a busy machine can be ten times slower than one
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return DONE
    try:
        if given[0] not in COMMANDS:
            raise unknown("command", given[0], sorted(COMMANDS))
        return COMMANDS[given[0]](given[1:])
    except ValueError as error:
        print(f"gan-env: {error}", file=sys.stderr)
        return WRONG_CALL
    except BrokenPipeError:  # the reader of a pipe had enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for the interpreter's own last flush)
        return DONE
    except OSError as error:
        print(f"gan-env: {error}", file=sys.stderr)
        return FAILED
    except (MemoryError, RuntimeError) as error:
        from gan_env.config import out_of_memory

        if not out_of_memory(error):
            raise
        why = str(error).splitlines()[0]
        print(f"gan-env: out of memory ({why}); take fewer rows, smaller batches or a smaller buffer", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as error:
        print(f"gan-env: {error or 'stopped'}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
