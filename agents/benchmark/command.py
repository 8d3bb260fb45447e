"""The commands `gan-env bench` and `gan-env verify`: their options, and what they print."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from gan_env.io.files import is_there, parsed_json, shown

from ..report import text as tables
from ..report.blocks import read_config, with_short_names
from ..report.comparisons import BASELINE
from ..report.model import report_of
from ..report.tables import MOST_BLOCKS
from ..report.terminal import Printer, verdict_table
from . import budget, folder, running, suites, verify
from .bench_config import BenchConfig
from .executors import local_executor, ray_executor
from .plan import plan, prepared, without_undefined

DONE, FAILED = 0, 1


def _shown(metavar: str) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")  # the default stands in the text, not "None"


Name = Annotated[str | None, _shown("NAME")]
Names = Annotated[str | None, _shown("NAME,NAME")]
Numbers = Annotated[str | None, _shown("X,X")]
Count = Annotated[int | None, _shown("N")]
Folder = Annotated[Path | None, _shown("DIR")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of `gan-env bench`. What is None is the suite's, or else the default that its text names."""

    suite: Name = None
    """A named benchmark (`gan-env list`); any option below overrides it in all its parts."""
    tasks: Names = None
    """Tasks (ring)."""
    losses: Names = None
    """GAN losses (the suite's, else the tasks' own); wgan-gp:10 sets a coefficient."""
    controllers: Names = None
    """Controllers (sim-gda,alt-gda-1,alt-gda-5,dyn-gda), with options in brackets: "dyn-gda(c1=1.2)"; best-constant
    and best-schedule, chosen on tune seeds; the path of a controller file."""
    also: Names = None
    """Controllers beside those of the suite."""
    d_lr: Numbers = None
    """Base learning rates of the discriminator (the task's own)."""
    g_lr: Name = None
    """Base learning rate of the generator: a number, "same" as d-lr, or "task" (the task's own)."""
    updates: Count = None
    """Updates of each run (the task's own)."""
    seeds: Count = None
    """Runs of each controller in each game (8)."""
    split: Name = None
    """Which seeds: evaluate, or tune for choosing anything at all."""
    group_rows: Count = None
    """Most rows in one batch (64), of several games 16; part of the results, for rounding depends on it."""
    constants: Numbers = None
    """Multipliers among which best-constant is chosen (0.1,0.3,1,3,10)."""
    d_multipliers: Numbers = None
    """Multipliers of D's rate among which best-schedule is chosen (0.1 to 300, two a decade)."""
    g_multipliers: Numbers = None
    """Multipliers of G's rate among which best-schedule is chosen (0.03 to 30, two a decade)."""
    shapes: Names = None
    """Shapes among which best-schedule is chosen (constant,linear,cosine)."""
    tune_seeds: Count = None
    """Seeds of the split "tune" on which either is chosen (8)."""
    optimizer: Name = None
    """adam, oadam, extra-adam, lookahead-minimax, rmsprop or sgd, or a JSON object with its arguments:
    '{"name": "adam", "betas": [0.9, 0.999]}'."""
    annealing: Name = None
    """Where the loss' coefficient and Adam's β₂ go over the share "until" of a run, as a JSON object:
    '{"coefficient": 0.1, "beta2": 0.99, "until": 0.5}' (they stay)."""
    batch_size: Count = None
    """Samples of each side in one update (the task's own)."""
    order: Name = None
    """simultaneous, or alternating: G sees D's new weights."""
    updates_per_step: Count = None
    """Updates that one decision of the return, and of an embedded agent, holds for (1)."""
    reward: Name = None
    """Reward of the return, by its name in `gan-env list rewards` (loss_gap)."""
    normalise: bool = False
    """Divide the loss gap by the size of the losses (done for signed losses anyway)."""
    d_loss_scale: Name = None
    """Which D loss reward and embedded agents read: mean or sum."""
    quality_every: Count = None
    """Decisions between two measurements of quality, for rewards that read it (10)."""
    g_ema: Annotated[float | None, _shown("X")] = None
    """Half-life, in updates, of an average of G's weights that is scored beside G (none)."""
    d_lr_range: Numbers = None
    """Least and greatest multiplier of an embedded agent (0.1,10)."""
    dtype: Name = None
    """float32 or float64 (the task's own)."""
    device: Name = None
    """cpu, cuda, cuda:N or auto."""
    skip_undefined: bool = False
    """Leave controllers out of the games that they refuse; config.json then lists them."""
    out: Folder = None
    """The folder (runs/bench-SUITE-TIME). One that holds a benchmark is gone on with."""
    jobs: int = 1
    """Worker processes of one torch thread each."""
    executor: Annotated[Literal["local", "ray"], tyro.conf.arg(aliases=["--engine"])] = "local"
    """Where groups run: worker processes here, or a Ray cluster."""
    address: Name = None
    """Of the Ray cluster; left out, Ray starts one on this machine."""
    keep: bool = False
    """Write the generators that this call trains to the folder's generators/."""
    pictures: bool = False
    """Draw samples at six checkpoints of each controller's run with the first seed, a picture a game, to the folder's
    samples/; the report shows them."""
    trust: bool = False
    """Read the data and controllers' files that the folder's configuration names elsewhere, too, and take on any amount
    of work."""
    retry_errors: bool = False
    """Run the groups again in which a controller broke or samples could not be judged (status "error"), once."""
    budget: bool = False
    """Print what is left to run and how long this machine would take, from a short trial of each kind of group."""
    json: bool = False
    """Print one JSON document."""


CALL = ("suite", "also", "out", "jobs", "executor", "address", "keep", "pictures", "trust", "retry_errors", "budget",
        "json")  # fmt: skip
"""Options that are no setting of a part."""
NUMBERS = ("d_lr", "constants", "d_multipliers", "g_multipliers", "d_lr_range")
"""Options that are lists of numbers."""


def split_list(text: str) -> list[str]:
    """Splits at commas, but for those in brackets or quotes.

    >>> split_list("sim-gda, dyn-gda(c1=1.2, c2=0.7)")
    ['sim-gda', 'dyn-gda(c1=1.2, c2=0.7)']
    """
    parts, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in ('"', "'"):
            quote = c
        depth += (c in "([{") - (c in ")]}") if not quote else 0
        if c == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts if part.strip()]


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in split_list(text))
    except ValueError:
        raise ValueError(f"{name}={text!r} must be numbers with commas between, e.g. 2e-4,1e-3") from None


def _optimizer(text: str) -> str | dict[str, Any]:
    try:
        return parsed_json(text) if text.lstrip().startswith("{") else text
    except ValueError as error:
        raise ValueError(f"optimizer={text!r} is neither a name nor a JSON object ({error})") from None


def _annealing(text: str) -> dict[str, Any]:
    try:
        return parsed_json(text)
    except ValueError as error:
        raise ValueError(f"annealing={text!r} is no JSON object ({error})") from None


def _rate(text: str) -> float | str:
    return text if text in ("task", "same") else _numbers("g_lr", text)[0]


def changes_of(given: BenchOptions) -> dict[str, Any]:
    """Reads the settings that were given, as `suites.configure` takes them."""
    read = {
        **dict.fromkeys(("tasks", "losses", "controllers", "shapes"), lambda text: tuple(split_list(text))),
        **{name: lambda text, name=name: _numbers(name, text) for name in NUMBERS},
        "g_lr": _rate,
        "optimizer": _optimizer,
        "annealing": _annealing,
    }
    chosen = {f.name: getattr(given, f.name) for f in dataclasses.fields(given) if f.name not in CALL}
    was_set = {name: value for name, value in chosen.items() if value is not None and value is not False}
    return {name: read.get(name, lambda v: v)(value) for name, value in was_set.items()}


def bench(arguments: Sequence[str], description: str) -> int:
    """Runs the command `gan-env bench`; returns its exit code."""
    given = tyro.cli(BenchOptions, prog="gan-env bench", description=description, args=arguments)
    if given.address is not None and given.executor != "ray":
        raise ValueError(f"address={given.address!r} is a Ray cluster's; give executor ray, too")
    executor = ray_executor(given.address) if given.executor == "ray" else local_executor(given.jobs)
    asked = _asked(given, arguments)
    if given.budget:
        return _budget(given, asked)
    out = given.out or Path("runs") / f"bench-{(asked and asked.suite) or 'grid'}-{time.strftime('%Y%m%d-%H%M%S')}"
    work = folder.open_folder(out, asked, trust=given.trust)
    retried = work.withdraw_crashed() if given.retry_errors else 0
    work.keep, work.pictures = given.keep, given.pictures
    began = time.perf_counter()
    _announce(work, not given.json)
    try:
        done = running.run(work, executor, show=not given.json)
    except KeyboardInterrupt:
        again = f"gan-env bench --out {shlex.quote(str(out))}"
        raise KeyboardInterrupt(f"stopped; finished groups are kept, go on with: {again}") from None
    if given.json:
        print(json.dumps(_as_json(work, done, retried)))
    else:
        _print_tables(work, done, time.perf_counter() - began)
    for group, why in done.failures.items():
        print(f"gan-env: {group} could not be run and is left for the next call: {shown(why)}", file=sys.stderr)
    return DONE if done.complete else FAILED


def _asked(given: BenchOptions, arguments: Sequence[str]) -> BenchConfig | None:
    """Returns the benchmark that the options describe, or None for the one that the folder holds."""
    changes, also = changes_of(given), split_list(given.also or "")
    if given.suite is None and not changes and not also:
        if given.out is not None:
            if not is_there(given.out / "config.json"):
                raise ValueError(
                    f"out={str(given.out)!r} holds no benchmark to go on with; for a new one, name a suite, or tasks "
                    "and controllers"
                )
            return None
        asked = suites.configure("quick", {})
    else:
        asked = suites.configure(given.suite or "", changes, also)
    return dataclasses.replace(asked, command=shlex.join(["gan-env", "bench", *arguments]))


def _budget(given: BenchOptions, asked: BenchConfig | None) -> int:
    """Prints what is left and what it would take; writes nothing."""
    if given.out is not None and is_there(given.out / "config.json"):
        held = folder.open_folder(given.out, asked, trust=given.trust)
        groups = held.left + (held.crashed if given.retry_errors else [])
    else:
        assert asked is not None, "`_asked` sees to it"
        groups = plan(without_undefined(prepared(asked)))
    found = budget.costs(groups, show=sys.stderr.isatty() and not given.json)
    print(json.dumps(budget.as_json(found, given.jobs)) if given.json else budget.table(found, given.jobs))
    return DONE


def _announce(work: folder.Folder, show: bool) -> None:
    """Prints how much is left, and what --keep and --pictures leave out."""
    finished = len(work.groups) - len(work.left)
    if show:
        print(f"{len(work.left)} of {len(work.groups)} groups to run; rows go to {work.path}/", file=sys.stderr)
    if (work.keep or work.pictures) and finished:
        print(
            f"gan-env: {finished} groups are finished; --keep and --pictures are of those that this call runs, and for "
            "all of them ask for another folder with --out",
            file=sys.stderr,
        )


def _as_json(work: folder.Folder, done: running.Finished, retried: int) -> dict[str, Any]:
    rows = work.all_rows()
    return {
        **dataclasses.asdict(done),
        "out": str(work.path),
        "complete": done.complete,
        "retried": retried,
        "rows": len(rows),
        "tables": tables.as_json(rows),
    }


def _print_tables(work: folder.Folder, done: running.Finished, seconds: float) -> None:
    """Prints the answer, tables, what was left out, and what to do next."""
    rows, out = with_short_names(work.all_rows()), Printer()
    if not rows:
        return
    names = [row["controller"] for row in rows]
    report, blocks = report_of(rows, read_config(work.path), BASELINE if BASELINE in names else names[0])
    out.answer(report)
    out.say("")
    if out.is_terminal and len(blocks) > MOST_BLOCKS:
        out.table(verdict_table(report))
    else:
        for table in tables.text_tables(rows):
            out.table(table)
            out.say("")
    for each in work.config.undefined:
        out.say(f"{each.controller} is not defined for {each.task}, {each.loss} and was left out: {each.why}")
    out.say(f"{done.ran} of {done.groups} groups run in {seconds:.0f} s; rows are in {work.path}/")
    out.next(f"gan-env report {shlex.quote(str(work.path))}")


@dataclasses.dataclass(frozen=True)
class VerifyOptions:
    """Options of `gan-env verify`."""

    folder: tyro.conf.Positional[Path]
    """A benchmark's folder."""
    groups: int = 3
    """Groups to run again."""
    seed: int = 0
    """Which ones."""
    seconds: float = math.inf
    """Only groups whose training took at most so many, as their rows say."""
    jobs: int = 1
    """Worker processes of one torch thread each."""
    trust: bool = False
    """Read the data and controllers' files that the folder's configuration names elsewhere, too, and take on any amount
    of work."""
    json: bool = False
    """Print one JSON document."""


def verify_rows(arguments: Sequence[str], description: str) -> int:
    """Runs the command `gan-env verify`; returns its exit code."""
    given = tyro.cli(VerifyOptions, prog="gan-env verify", description=description, args=arguments)
    work = folder.open_folder(given.folder, None, trust=given.trust)
    show = sys.stderr.isatty() and not given.json
    verdicts = verify.verify(work, local_executor(given.jobs), given.groups, given.seed, given.seconds, show=show)
    equal = all(each.equal for each in verdicts)
    if given.json:
        said = {"equal": equal, "groups": [{**dataclasses.asdict(v), "equal": v.equal} for v in verdicts]}
        if not equal:
            said["likely_cause"] = verify.cause(verdicts)
        print(json.dumps(said))
    else:
        print(verify.report(verdicts))
    return DONE if equal else FAILED
