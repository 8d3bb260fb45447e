"""Compares controllers: trains the same GANs under each of them and scores the results."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_env.envs.config import EnvConfig
from gan_env.io.progress import progress_bar
from gan_env.tasks.task import Task

from ..base import Controller
from .batch import Comparison, run_batch
from .contestants import Contestant, make_contestants
from .result import ComparisonResult
from .rows import Row
from .seeds import split_seeds

SHOWN_AFTER_S = 2.0
"""Seconds until a progress bar appears."""


def compare(
    game: str | Task | EnvConfig,
    controllers: Iterable[str | Path | Controller | Contestant] | Mapping[str, str | Path | Controller],
    *,
    seeds: int | Sequence[int] = 8,
    split: str = "evaluate",
    updates: int | None = None,
    labels: Row | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> ComparisonResult:
    """Trains the same GANs under each controller, in one batch, and scores them on test data.

    Contestants with another optimiser (`oadam`, `dyn-gda(optimizer='extra-adam')`) have a batch of their own.

    Under the same seed all controllers meet the same initial weights, batches and latents, so that differences between
    them are paired. A controller that raises while it runs loses its own rows alone (status "error").

    Examples:
        >>> from agents import compare, make_controller
        >>> result = compare("dirac", ["sim-gda", make_controller("constant:0.5")], seeds=[0, 1], updates=30)
        >>> [(row["controller"], row["seed"], row["status"]) for row in result.rows][:2]
        [('sim-gda', 0, 'ok'), ('sim-gda', 1, 'ok')]
        >>> figure, table = result.plot(), result.table()

    Args:
        game: A task's name, a `Task`, or a whole `EnvConfig`. Controllers are asked before every update;
            `updates_per_step` is a decision of the return.
        controllers: Names (`list_controllers()`, with options in brackets: "dyn-gda(c1=1.2)"), paths of controller
            files, and controller objects, each of them a new one; or a mapping from labels to them. An object is
            labelled by its attribute `name`, or else by its class, and numbered where that is taken.
        seeds: How many of the split's seeds, or the row seeds themselves.
        split: Which seeds: "evaluate" to judge, "tune" to choose anything at all.
        updates: Of each run; by default the game's own number.
        labels: Further fields of every row.
        progress: Show progress with the time left; by default on a terminal, from the third second on.
        **settings: Further fields of `EnvConfig`, e.g. `loss="wgan-gp"`, `d_lr=1e-3`.

    Returns:
        The result: `.rows`, `.table()`, `.plot()`, `.to_frame()`.

    Raises:
        ValueError: If a name, a file, a setting, a seed or a split does not fit, if a name stands twice, or if a
            controller is not defined for the game.
    """
    config = game if isinstance(game, EnvConfig) else EnvConfig(task=game)
    config = EnvConfig.of(config, **settings, **({} if updates is None else {"episode_updates": updates}))
    if isinstance(seeds, int):
        seeds = split_seeds(split, seeds)
    contestants = make_contestants(controllers, config)
    apart = _apart(contestants)
    if len(apart) > 1:
        config = EnvConfig.of(config, task=config.build_task())  # whose floor and untrained scores are then found once
    comparisons = [Comparison(config, some, labels or {}) for some in apart]
    with _bars(config, [len(some) for some in apart], len(seeds), progress) as (trained, scored):
        results = [
            run_batch([each], seeds, split, progress=functools.partial(trained, at), scored=scored)[0]
            for at, each in enumerate(comparisons)
        ]
    return _merged(results, [each.label for each in contestants])


def _apart(contestants: Sequence[Contestant]) -> list[list[Contestant]]:
    """Splits contestants into those that train the game under the same settings, in order."""
    groups: dict[str, list[Contestant]] = {}
    for each in contestants:
        groups.setdefault(repr(each.settings), []).append(each)
    return list(groups.values()) or [[]]


def _merged(results: Sequence[ComparisonResult], labels: Sequence[str]) -> ComparisonResult:
    """Joins the results of one game, the rows in the order of the labels."""
    if len(results) == 1:
        return results[0]
    rows = sorted((row for each in results for row in each.rows), key=lambda row: labels.index(row["controller"]))
    return ComparisonResult(rows, {label: fake for each in results for label, fake in each.samples.items()})


@contextmanager
def _bars(
    config: EnvConfig, sizes: Sequence[int], seeds: int, progress: bool | None
) -> Iterator[tuple[Callable[[int, int], object], Callable[[], object]]]:
    """Shows how many updates are trained, and how many generators are scored.

    Args:
        config: The game.
        sizes: Contestants of each batch.
        seeds: Of each contestant.
        progress: Whether to show it; None: on a terminal.
    """
    show = sys.stderr.isatty() if progress is None else progress
    delay = SHOWN_AFTER_S if progress is None else 0.0
    contestants, batches = sum(sizes), len(sizes)
    updates = config.episode_updates or config.build_task().episode_updates
    what = f"{contestants} controllers × {seeds} seeds"
    generators = (contestants + batches) * seeds if config.score else contestants * seeds
    with (
        progress_bar(updates * batches, f"training {what}", "update", show=show, delay=delay) as training,
        progress_bar(generators, "scoring", "run", show=show, delay=delay, last=True) as scoring,
    ):

        def scored() -> None:
            if not scoring.n:
                scoring.reset()  # its time begins now
            scoring.update()

        yield lambda batch, done: training.update(batch * updates + done - training.n), scored
