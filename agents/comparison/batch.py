"""Trains the rows of one or several comparisons as one batch, each under its controller, and scores them.

A *group* is the rows of one batch: the contestants × seeds of one game, or of several games that differ in their task
alone. Under the same seed contestants meet the same weights, batches and latents. Every controller is asked before
every update, on the measurement of its own rows; one that decides less often holds its control itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.envs.rewards import Reward, RewardContext, make_reward
from gan_env.random.streams import Purpose
from gan_env.rendering.draw import SHOWN
from gan_env.training.trainer import Trainer
from gan_env.types import Control

from .contestants import Contestant, check_contestants, game_of
from .controller_runner import ControllerRunner
from .joint_schedules import jointly
from .outcomes import rows_of, untrained_scores
from .result import ComparisonResult
from .rows import Row, gap_is_normalised, group_id, joint_id, settled
from .run_metrics import RunMetrics
from .seeds import check_split


@dataclass(frozen=True)
class Comparison:
    """A game and the contestants that train it, each on the same seeds."""

    config: EnvConfig
    """The game. Controllers are asked before every update; `updates_per_step` is a decision of the return. With
    `score=False` test data are left alone and every score is None."""
    contestants: Sequence[Contestant]
    """Their labels must differ, and none may change the game in another way than the others."""
    labels: Row = field(default_factory=dict)
    """Further fields of every row, which count in the group's hash."""

    @property
    def trained(self) -> EnvConfig:
        """The game as the contestants train it; raises ValueError if they change it in different ways."""
        return game_of(self.contestants, self.config)

    def id(self, seeds: Sequence[int], split: str) -> str:
        """Hashes all that decides the rows: the game, the contestants in their order, the seeds and the labels."""
        return group_id(self.config, [c.label for c in self.contestants], seeds, {**self.labels, "split": split})


def run_batch(
    comparisons: Sequence[Comparison],
    seeds: Sequence[int],
    split: str,
    *,
    raise_at_start: bool = True,
    keep: Callable[[Row, nn.Module], object] | None = None,
    samples_at: Collection[int] = (),
    progress: Callable[[int], object] = lambda updates: None,
    scored: Callable[[], object] = lambda: None,
) -> list[ComparisonResult]:
    """Trains every (game, contestant, seed) as a row of one batch and scores each on test data.

    A controller that raises while it runs loses its own rows alone (status "error"). One that learns (`base.Learns`) is
    told after each update what came of it, with the reward of that update.

    Args:
        comparisons: Games that differ in their task alone, whose tasks can share a batch, each with its contestants.
        seeds: Row seeds, the same for each.
        split: Name of the seeds' split, for the rows.
        raise_at_start: Raise what a controller raises when it is started, instead of marking its rows.
        keep: Called with each row that has a score and its generator.
        samples_at: Updates after which samples of each contestant's first row are kept; changes no row.
        progress: Called after each update of the whole batch with how many are done.
        scored: Called after each row, and then after each seed's untrained generator, has been scored.

    Returns:
        One result for each comparison, in order.

    Raises:
        ValueError: If games cannot share a batch, if a controller is not defined for its game (see `raise_at_start`),
            if a label or a seed stands twice, or if the split is unknown.
    """
    _check(comparisons, seeds, split)
    trainer, spans = _start(comparisons, seeds)
    running = [
        _Running(each, trainer, span, seeds, raise_at_start) for each, span in zip(comparisons, spans, strict=True)
    ]
    metrics = RunMetrics(trainer, comparisons[0].config, [(each.span, each.reward) for each in running])
    update_s = _train(trainer, running, metrics, samples_at, progress)
    ids = [each.id(seeds, split) for each in comparisons]
    results = []
    for each, own_id in zip(running, ids, strict=True):
        config, labels = each.comparison.config, each.comparison.labels
        shared = {"group": joint_id(ids), "return_name": each.reward.name, **labels, "split": split, "wall_s": update_s}
        rows, samples = rows_of(trainer, config, each.runners, metrics, shared, own_id, scored)
        results.append(ComparisonResult(rows, samples, each.checkpoint_samples))
    if keep is not None:
        for at, row in enumerate(row for result in results for row in result.rows):
            if row["score"] is not None:
                keep(row, trainer.generator(at))
    for each, result in zip(running, results, strict=True):  # last of all, for it starts the trainer anew
        untrained = untrained_scores(trainer, seeds, each.span.start, scored) if each.comparison.config.score else {}
        for row in result.rows:
            row["untrained_score"] = untrained.get(row["seed"])
    return results


class _Running:
    """A comparison in a batch: its rows, its reward and the runners of its controllers."""

    def __init__(
        self, comparison: Comparison, trainer: Trainer, span: slice, seeds: Sequence[int], raise_at_start: bool
    ):
        self.comparison, self.span = comparison, span
        self.reward = _reward(comparison.config, trainer.task_of(span.start).quality.worst)
        self.runners = [
            ControllerRunner(each, trainer, seeds, span.start + i * len(seeds), raise_at_start)
            for i, each in enumerate(comparison.contestants)
        ]
        self.checkpoint_samples: dict[int, dict[str, Tensor]] = {}

    def samples(self, trainer: Trainer, alive: np.ndarray) -> dict[str, Tensor]:
        """Draws samples of each contestant's first row, where that has not failed."""
        count = SHOWN.get(trainer.task.kind, 256)
        first = {r.contestant.label: r.span.start for r in self.runners if alive[r.span.start] and not r.error}
        return {label: trainer.samples(count, Purpose.SAMPLE, rows=[row])[0].cpu() for label, row in first.items()}


def _check(comparisons: Sequence[Comparison], seeds: Sequence[int], split: str) -> None:
    """Raises ValueError for what cannot run as one batch, but for games that differ too much."""
    check_split(split)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds={list(seeds)} must name at least one row seed, and none twice")
    if min(seeds) < 0 or max(seeds) >= 2**63:
        raise ValueError(f"seeds={list(seeds)} must lie between 0 and 2**63 - 1")
    if not comparisons:
        raise ValueError("comparisons: give at least one")
    for each in comparisons:
        check_contestants(each.contestants)
    controllers = [id(each.controller) for comparison in comparisons for each in comparison.contestants]
    if len(set(controllers)) != len(controllers):
        raise ValueError("one controller object stands for two contestants, but keeps one memory; make one for each")


def _start(comparisons: Sequence[Comparison], seeds: Sequence[int]) -> tuple[Trainer, list[slice]]:
    """Makes a trainer with a row for every (game, contestant, seed), and finds each game's rows."""
    first, tasks, spans = comparisons[0].trained, [], []
    for each in comparisons:
        if EnvConfig.of(each.trained, task=first.task) != first or settled(each.trained) != settled(first):
            raise ValueError("games that share a batch must differ in their task alone")
        rows = len(each.contestants) * len(seeds)
        spans.append(slice(len(tasks), len(tasks) + rows))
        tasks += [each.config.build_task()] * rows
    trainer = make_trainer(first, len(tasks), tasks)
    trainer.reset(np.resize(np.asarray(seeds, np.int64), trainer.n), np.zeros(trainer.n, np.int64))
    return trainer, spans


def _reward(config: EnvConfig, worst_quality: float) -> Reward:
    return make_reward(config.reward, RewardContext(config.gan_loss, worst_quality, gap_is_normalised(config)))


def _train(
    trainer: Trainer,
    running: Sequence[_Running],
    metrics: RunMetrics,
    samples_at: Collection[int],
    progress: Callable[[int], object],
) -> float:
    """Trains all rows to the end under their controllers; returns the seconds of the updates alone, for one row."""
    runners = [runner for each in running for runner in each.runners]
    deciding = jointly(runners)
    learners = [(i, each) for i, each in enumerate(deciding) if isinstance(each, ControllerRunner) and each.learns]
    began, sampling_s, last = time.perf_counter(), 0.0, trainer.episode_updates
    starting_s = sum(runner.control_s for runner in runners)  # not between the two looks at the clock
    for update in range(1, last + 1):
        controls = [each.act(trainer.measurement) for each in deciding]
        metrics.advance(Control.join(controls), update)
        if learners:
            rewards, failed = metrics.update_rewards(), metrics.failure >= 0
            for i, learner in learners:
                learner.learn(controls[i], trainer.measurement, rewards, failed, update == last)
        if update in samples_at:
            paused = time.perf_counter()
            for each in running:
                each.checkpoint_samples[update] = each.samples(trainer, metrics.failure < 0)
            sampling_s += time.perf_counter() - paused
        progress(update)
    control_s = sum(runner.control_s for runner in runners) - starting_s
    return (time.perf_counter() - began - sampling_s - control_s) / trainer.n
