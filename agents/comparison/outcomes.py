"""Scores the rows of a batch that has run and makes their records."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_env.envs.config import EnvConfig
from gan_env.envs.failures import FAILURES, SCORE
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.tasks.task import Task
from gan_env.training.trainer import Trainer

from .contestants import Contestant
from .controller_runner import TRANSIENT, ControllerRunner
from .rows import Row, cell_key, game_facts, machine, versions
from .run_metrics import RunMetrics, measure_quality


def rows_of(
    trainer: Trainer,
    config: EnvConfig,
    runners: Sequence[ControllerRunner],
    metrics: RunMetrics,
    shared: Row,
    game_id: str,
    scored: Callable[[], object],
) -> tuple[list[Row], dict[str, Tensor]]:
    """Scores the rows of a game.

    Args:
        trainer: Of the whole batch, at the end of its runs.
        config: The game.
        runners: Of the game's contestants.
        metrics: Of the whole batch.
        shared: Fields that all rows of the game have in common, beside those that follow from the game.
        game_id: Hash of the game, its contestants and seeds.
        scored: Called after each row.

    Returns:
        A row for each contestant and seed, and samples (64, *shape) of each contestant's first row that has a score.
    """
    rows: list[Row] = []
    samples: dict[str, Tensor] = {}
    own = np.zeros(trainer.n, bool)
    own[runners[0].span.start : runners[-1].span.stop] = True
    quality = measure_quality(trainer, np.full(trainer.n, np.nan), own & (metrics.failure < 0))
    shared = _game_fields(trainer, config, trainer.task_of(runners[0].span.start)) | shared
    for runner in runners:
        label, control_s = runner.contestant.label, float(runner.control_s / runner.count)
        for row in range(runner.span.start, runner.span.stop):
            outcome, fake = _outcome(trainer, config, row, int(metrics.failure[row]), runner.error)
            ok, seed = outcome["status"] == "ok", int(trainer.seed[row])
            if ok and fake is not None:
                samples.setdefault(label, fake[:64])
            rows.append(
                {
                    **shared,
                    "controller": label,
                    "runs_as": runner.contestant.runs_as or label,
                    **_own_settings(runner.contestant),
                    "replay_of": getattr(runner.controller, "recorded", None),
                    "seed": seed,
                    **outcome,
                    **_averaged(trainer, config, row, ok),
                    "ended": int(metrics.ended[row]),
                    "quality": float(quality[row]) if ok and np.isfinite(quality[row]) else None,
                    "return": float(metrics.returns[row]) if outcome["status"] != "error" else None,
                    "d_updates": int(trainer.d_updates[row]),
                    "g_updates": int(trainer.g_updates[row]),
                    "wall_s": shared["wall_s"] + control_s,
                    "control_s": control_s,
                    "key": cell_key(game_id, label, seed),
                    "trace": metrics.trace(row),
                }
            )
            scored()
    return rows, samples


def _game_fields(trainer: Trainer, config: EnvConfig, task: Task) -> Row:
    """The fields that all rows of a game have in common."""
    return game_facts(config) | {
        "score_name": task.score.name,
        "floor": task.score.floor() if config.score else None,
        "quality_name": task.quality.name,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "engine": trainer.engine,
        "machine": machine(trainer.device),
        "versions": versions(),
    }


def _own_settings(contestant: Contestant) -> Row:
    """The field of a contestant that changes settings of its game; the game's own fields are as the others'."""
    if not contestant.settings:
        return {}
    held = {name: OptimizerSpec.of(value).as_json() for name, value in contestant.settings.items()}
    return {"own_settings": held}


def _outcome(
    trainer: Trainer, config: EnvConfig, row: int, failure: int, error: str
) -> tuple[dict[str, Any], Tensor | None]:
    """Status, failure, score and details of a row, and the samples that it was scored by."""
    lost: dict[str, Any] = {"status": "error", "failure": error, "score": None, "details": {}}
    if error:
        return lost, None
    if failure >= 0:
        return {**lost, "status": "diverged", "failure": FAILURES[failure]}, None
    held = {**lost, "status": "ok", "failure": None}
    if not config.score:
        return held, None
    try:
        score, fake = trainer.score(row)
        if not math.isfinite(score):
            return {**lost, "status": "diverged", "failure": FAILURES[SCORE]}, None
        return {**held, "score": score, "details": trainer.task_of(row).score.details(fake)}, fake
    except TRANSIENT:
        raise
    except Exception as problem:  # samples that cannot be judged cost this row its score, and no other row
        return {**lost, "failure": f"{type(problem).__name__}: {problem}"}, None


def _averaged(trainer: Trainer, config: EnvConfig, row: int, ok: bool) -> Row:
    """The field of a game with an average of G's weights: its score, None where that or the run has failed."""
    if config.g_ema is None:
        return {}
    return {"score_ema": _score_of(trainer, row, averaged=True) if ok and config.score else None}


def _score_of(trainer: Trainer, row: int, *, averaged: bool = False) -> float | None:
    """Returns the row's score; None if it is not finite, or cannot be judged, of which `_outcome` tells."""
    try:
        score = trainer.score(row, averaged=averaged)[0]
    except TRANSIENT:
        raise
    except Exception:  # anybody may have written the score
        return None
    return score if math.isfinite(score) else None


def untrained_scores(
    trainer: Trainer, seeds: Sequence[int], start: int, scored: Callable[[], object]
) -> dict[int, float | None]:
    """Scores each seed's generator as it was before the first update, None where its samples cannot be judged.

    A failed run counts as no better than that. A seed is judged once a task: the same weights, the same test data. The
    trainer is taken back to its start.

    Args:
        trainer: Of the whole batch.
        seeds: In the order of the game's rows.
        start: The first of the game's rows.
        scored: Called after each seed.
    """
    known = trainer.task_of(start).untrained_scores
    keys = {int(seed): (int(seed), str(trainer.device), str(trainer.dtype)) for seed in seeds}
    if not all(key in known for key in keys.values()):
        trainer.reset(np.resize(np.asarray(seeds, np.int64), trainer.n), np.zeros(trainer.n, np.int64))
    for row, key in enumerate(keys.values(), start):
        if key not in known:
            known[key] = _score_of(trainer, row)
        scored()
    return {seed: known[key] for seed, key in keys.items()}
