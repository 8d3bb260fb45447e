"""The command line `gan-env`. The only part of this package that imports `agents`.

Nothing heavy is imported before a command is chosen, so that help prints at once and Ctrl-C always works.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from typing import NamedTuple

from gan_env.registry import unknown

from .wrapping import fitted, wrapped

DONE, FAILED, WRONG_CALL = 0, 1, 2


class Command(NamedTuple):
    """A command: `run` in a module of this package takes the arguments after its name and returns the exit code."""

    module: str
    summary: str
    """Line that describes it in the help of `gan-env`, and first line of its own help."""


COMMANDS = {
    "list": Command("listing", "List tasks, losses, rewards, features, controllers, suites and environment ids."),
    "train": Command("train", "Train a DDPG agent to steer a GAN, then judge it on seeds that it never saw."),
    "bench": Command("bench", "Judge controllers against each other on many games and seeds."),
    "report": Command("report", "Write a folder's report.html and figures/ from its rows."),
    "verify": Command("verify", "Run some groups of a benchmark again and compare their rows to the bit."),
    "export": Command("export", "Write a model that Stable-Baselines3 saved as a controller file."),
    "data": Command("data", "Say where a task's data are looked for and whether they are there; fetch them."),
    "watch": Command("watch", "Follow a training or a benchmark in the terminal, or film a steered GAN."),
    "diagnose": Command("diagnose", "Say what a log of GAN losses shows, and which controller answers it."),
    "doctor": Command("doctor", "Say what is installed, what is missing, and the line that installs it."),
}


def usage() -> str:
    """Returns the help text of `gan-env`."""
    lines = ["usage: gan-env COMMAND [OPTIONS]", "       gan-env --version", ""]
    lines += ["Steer GAN training as a reinforcement-learning environment.", ""]
    lines += [wrapped(f"  {name}", command.summary, 12) for name, command in COMMANDS.items()]
    lines += ["", fitted("gan-env COMMAND --help lists a command's options, with examples. For a start: gan-env train")]
    return "\n".join(lines)


def version() -> str:
    """Returns the version of the installed package, or a text that it is not installed."""
    try:
        return metadata.version("gan-env")
    except metadata.PackageNotFoundError:
        return "not installed, run from a folder"


def _command(name: str) -> Callable[[Sequence[str]], int]:
    """Returns the function that runs a command; raises ValueError for an unknown one."""
    if name not in COMMANDS:
        raise unknown("command", name, sorted(COMMANDS))
    run = import_module(f"gan_env.cli.{COMMANDS[name].module}").run
    if name != "doctor":  # which is there for when torch is not
        from gan_env.io.process import settle

        settle()
    return run


def _complain(message: str) -> None:
    """Prints an error on one line, with control characters escaped."""
    from gan_env.io.files import shown

    print(f"gan-env: {shown(message)}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 if it succeeded, 1 if the work failed, 2 if the call is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["help"]:
        given = [*given[1:2], "--help"]
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return DONE
    if given[0] == "--version":
        print(f"gan-env {version()}")
        return DONE
    try:
        run = _command(given[0])
        from .options import named_choices

        with named_choices():
            return run(given[1:])
    except ValueError as error:
        _complain(str(error))
        return WRONG_CALL
    except BrokenPipeError:  # the reader of a pipe had enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for the interpreter's own last flush)
        return DONE
    except ModuleNotFoundError as error:
        _complain(f"{error}; what is missing, and how to get it: gan-env doctor")
        return FAILED
    except OSError as error:
        _complain(str(error))
        return FAILED
    except (MemoryError, RuntimeError) as error:
        from gan_env.training.memory import out_of_memory

        if not out_of_memory(error):
            raise
        why = (str(error).splitlines() or ["no more to be had"])[0]
        print(f"gan-env: out of memory ({why}); take fewer rows, smaller batches or a smaller buffer", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as error:
        print(f"gan-env: {str(error) or 'stopped'}", file=sys.stderr)
        return FAILED
