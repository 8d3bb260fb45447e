"""`gan-env watch`: shows a run in the terminal, or makes a film of a steered GAN."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from agents.benchmark.command import split_list
from agents.comparison.contestants import make_contestant
from agents.comparison.seeds import SPLIT_SIZE, split_seeds
from agents.report.numbers import number
from agents.watching.film import Film, check_film, write_film
from agents.watching.watch import CURVES, Progress, watched
from gan_env.envs.config import EnvConfig
from gan_env.metrics.names import measure_name

from . import DONE
from .options import print_json, read

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

EVERY_S = 2.0
"""Seconds between two reads of the folder."""
UNCUT = 10_000
"""Columns without a terminal, where lines are never cut."""
BLOCKS = "▁▂▃▄▅▆▇█"
HELP = """
    A folder of gan-env train shows its learning curves, one of gan-env bench its scores so far, until it is finished
    or you press Ctrl-C; away from a terminal, once. A film shows the folder's agent (or its best controller) beside
    plain training, or whatever controllers you name, all from the same seed.

    Examples:
      gan-env watch runs/digits-20261122-120000
      gan-env watch runs/digits-20261122-120000 --film agent.gif
      gan-env watch --task ring --controller gap-aware --film ring.gif
      gan-env watch --task digits --controller sim-gda,dyn-gda --updates 1000 --film digits.mp4
"""


def _shown(metavar: str, help: str) -> object:
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint="")


@dataclass(frozen=True)
class Watch:
    """Options."""

    folder: tyro.conf.Positional[Annotated[Path | None, _shown("DIR", "Of a training or a benchmark.")]] = None
    film: Annotated[Path | None, _shown("FILE", "Write a film there: .gif, or .mp4 with gan-env[render].")] = None
    task: Annotated[str | None, _shown("NAME", "Of the film (the folder's own, or ring).")] = None
    loss: Annotated[str | None, _shown("NAME", "GAN loss of the film (the task's own).")] = None
    controller: Annotated[
        str | None, _shown("NAME,NAME", "Of the film, or files (the folder's own, or gap-aware).")
    ] = None
    updates: Annotated[int | None, _shown("N", "Of the film's training (the task's own).")] = None
    seed: int = 0
    """Of the film's GAN: which of the split "evaluate"."""
    frames: int = 120
    """Pictures of the film, about."""
    fps: float = 15.0
    """Pictures a second."""
    trust: bool = False
    """Read the data and controllers' files that the folder's configuration names elsewhere, too, and film any
    amount of work."""
    json: bool = False
    """Print what there is as one JSON document, once."""


def run(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    given = read(Watch, "watch", arguments, HELP)
    if given.film is not None:
        return _film(given, given.film)
    for name in ("task", "loss", "controller", "updates"):
        if getattr(given, name) is not None:
            raise ValueError(f"--{name} is of a film; name its file, too: --film FILE.gif")
    if given.folder is None:
        raise ValueError("name a run's folder, or a film to make: gan-env watch --task ring --film ring.gif")
    run = watched(given.folder, trust=given.trust)
    seen = run.look()
    if given.json:
        print_json(asdict(seen))
        return DONE
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNCUT)
    if not console.is_terminal or seen.state != "running":
        console.print(panel(seen, console.width))
        return DONE
    with Live(panel(seen, console.width), console=console, auto_refresh=False) as live:
        try:
            while seen.state == "running":
                time.sleep(EVERY_S)
                seen = run.look()
                live.update(panel(seen, console.width), refresh=True)
        except KeyboardInterrupt:
            pass  # the run goes on without us
    return DONE


def panel(seen: Progress, width: int) -> RenderableType:
    """Renders a run's progress for rich in the given number of columns; names wrap, numbers are never cut."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    colour = {"running": "bold blue", "stopped": "bold yellow", "finished": "bold green"}[seen.state]
    head = Text.assemble((seen.state, colour), f"  {seen.what}")
    unit = f"{seen.done:,} of {seen.total:,} {seen.unit}s" + ("" if seen.left_s is None else f", {_left(seen.left_s)}")
    bar = Table.grid(padding=(0, 2))
    bar.add_row(ProgressBar(seen.total or 1, seen.done, width=40), unit)
    parts: list[RenderableType] = [head, bar]
    if any(seen.curves.values()):
        parts += ["", _curves(seen, width)]
    if seen.table:
        parts += ["", Text(seen.table.strip(), overflow="fold")]
    if seen.next:
        parts += ["", Text(f"next: {seen.next}", style="dim")]
    return Group(*parts)


def _curves(seen: Progress, width: int) -> Table:
    from rich.table import Table

    shown = {name: [value for _, value in points] for name, points in seen.curves.items()}
    ends = [(f"{values[0]:.4g}", f"{values[-1]:.4g}") for values in shown.values()]
    numbers = [max(map(len, column)) for column in zip(("first", "last"), *ends, strict=True)]
    left = max(width - sum(numbers) - 2 * 3, 0)  # two spaces between columns
    line = min(40, max(left - max(len(CURVES[name]) for name in shown), left // 3))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(overflow="fold")
    table.add_column("so far", no_wrap=True)
    for title, least in zip(("first", "last"), numbers, strict=True):
        table.add_column(title, justify="right", no_wrap=True, min_width=least)
    for (name, values), (first, last) in zip(shown.items(), ends, strict=True):
        table.add_row(CURVES[name], sparkline(values, line), first, last)
    return table


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Draws values as block characters between their extremes; averages neighbours if there are more than `width`."""
    count = min(width, len(values))
    means = []
    for place in range(count):
        some = values[len(values) * place // count : len(values) * (place + 1) // count]
        means.append(sum(some) / len(some))
    low, reach = min(means), (max(means) - min(means)) or 1.0
    return "".join(BLOCKS[min(int((mean - low) / reach * len(BLOCKS)), len(BLOCKS) - 1)] for mean in means)


def _left(seconds: float) -> str:
    if seconds != seconds:
        return "time left not known yet"
    minutes, rest = divmod(round(seconds), 60)
    return f"about {minutes // 60} h {minutes % 60} min left" if minutes >= 60 else f"about {minutes}:{rest:02} left"


def _film(given: Watch, path: Path) -> int:
    """Trains the film's GANs and writes the film."""
    from tqdm import tqdm

    check_film(path)
    if not 0 < given.fps <= 60:
        raise ValueError(f"fps={given.fps} must be above 0 and at most 60")
    run = None if given.folder is None else watched(given.folder, trust=given.trust)
    changes = {"task": given.task, "loss": given.loss, "episode_updates": given.updates}
    own = EnvConfig() if run is None or given.task is not None else EnvConfig.of(run.game(), updates_per_step=1)
    game = EnvConfig.of(own, **{name: value for name, value in changes.items() if value is not None})
    if not 0 <= given.seed < SPLIT_SIZE:
        raise ValueError(f"seed={given.seed} must lie in 0 to {SPLIT_SIZE - 1}")
    names = split_list(given.controller or "")
    if len(set(names)) < len(names):
        raise ValueError(f"controller={given.controller!r} names one twice; leave it out once")
    if run is not None and not names:
        contestants = run.contestants()
    else:
        contestants = [make_contestant(name, game) for name in names or ["gap-aware"]]
    film = Film(game, contestants, split_seeds("evaluate", given.seed + 1)[-1], given.frames)
    quiet = given.json or not sys.stderr.isatty()
    with tqdm(total=film.updates, unit="update", desc=f"filming {len(contestants)}", disable=quiet) as bar:
        write_film(path, film.frames(lambda done: bar.update(done - bar.n)), given.fps)
    outcomes = {each.label: outcome for each, outcome in zip(film.contestants, film.outcomes, strict=True)}
    score = film.env.trainer.task.score.name
    if given.json:
        print_json({"film": path, "task": film.env.trainer.task.name, "score_name": score, "outcomes": outcomes})
        return DONE
    for name, outcome in outcomes.items():
        said = outcome if isinstance(outcome, str) else f"{measure_name(score)} {number(outcome)}, lower is better"
        print(f"{name}: {said}")
    print(f"{path} is written, {path.stat().st_size / 2**20:.1f} MB")
    return DONE
