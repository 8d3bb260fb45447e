"""Evolution strategies in training: each generation's policies train the same GANs to their end, side by side.

The episodes are run by the benchmark's executors. How a generation is divided among them does not depend on how many
there are, so neither does the result.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.io.progress import progress_bar

from ..benchmark.executors import Executor, Failed, local_executor, ray_executor
from ..comparison.seeds import SPLITS
from ..learned.evolution import PolicyShape, make_search
from ..policies.policy import OUTPUTS, PolicyController
from .behaviour import described
from .checkpoints import log_sizes
from .logs import flush, open_log
from .train_config import TrainConfig, provenance_of, training_game

MOST_ROWS = 64
"""Most GANs of one job, unless a single seed's are more; a constant, for it decides how torch's engine rounds."""


@dataclass(frozen=True)
class Episodes:
    """A job: the episodes of P policies, each on the same K GANs."""

    id: str
    updates: int
    game: EnvConfig
    control: str
    hidden: tuple[int, ...]
    vectors: np.ndarray
    """Weights of the policies, (P, n)."""
    seeds: tuple[int, ...]
    """Row seeds of the GANs."""
    episode: int
    """Which of each seed's episodes."""


@dataclass(frozen=True)
class Played:
    """What came of a job's episodes."""

    returns: np.ndarray
    """Sum of each episode's rewards, (P, K)."""
    quality: np.ndarray
    """Distance to validation data at its end, (P, K)."""
    failed: np.ndarray
    """Whether its training failed, (P, K) bool."""
    taken: np.ndarray
    """Actions (M, A) or choices (M,) of all decisions."""


def play(job: Episodes, progress: Callable[[int], object] = lambda updates: None) -> Played:
    """Runs the episodes of a job as the rows of one batch."""
    policies, seeds = len(job.vectors), len(job.seeds)
    env = GANVectorEnv(policies * seeds, control=job.control, autoreset_mode="Disabled", config=job.game)
    trainer, episodes = env.trainer, env.episodes
    trainer.seed[:], trainer.episode[:] = np.tile(job.seeds, policies), job.episode
    episodes.start(np.arange(trainer.n))
    shape, output = policy_shape(env, job.hidden), OUTPUTS[policy_output(env)]
    layers = shape.split(job.vectors)
    returns, failed, taken = np.zeros(trainer.n), np.zeros(trainer.n, bool), []
    while not episodes.done.all():
        seen = episodes.observations().reshape(policies, seeds, -1)
        numbers = shape.outputs(layers, seen).reshape(trainer.n, -1)
        actions = output(torch.from_numpy(numbers))
        step = episodes.decide(env.codec.decode(actions.astype(np.float64)))
        returns += step.reward
        failed |= step.terminated
        taken.append(actions[step.moved])
        progress(int(trainer.updates.max()))
    grid = (policies, seeds)
    quality = episodes.quality.reshape(grid).copy()
    env.close()
    return Played(returns.reshape(grid), quality, failed.reshape(grid), np.concatenate(taken))


def policy_shape(env: GANVectorEnv, hidden: tuple[int, ...]) -> PolicyShape:
    """Returns the layers of a policy for this environment."""
    outputs = 3 if env.codec.axes is None else env.codec.axes
    return PolicyShape(len(env.feature_names), hidden, outputs)


def policy_output(env: GANVectorEnv) -> str:
    """Returns how the last layer's numbers become an action of this environment, see `PolicySpec`."""
    return "argmax" if env.codec.axes is None else "tanh"


class EvolutionTraining:
    """A search for a policy with a high return over whole episodes; it is restored by telling it all scores again.

    Args:
        config: Of the training.
        tensorboard: Folder for TensorBoard's files, if they are wanted.
    """

    def __init__(self, config: TrainConfig, tensorboard: Path | None = None):
        self.config, self.tensorboard, self.settings = config, tensorboard, config.settings
        self.game = training_game(config)
        self.env = GANVectorEnv(1, control=config.control, autoreset_mode="Disabled", config=self.game)
        self.shape = policy_shape(self.env, tuple(self.settings["hidden"]))
        self.start = self.shape.start(config.seed)
        if self.env.codec.axes is None:
            self.start[-1] = 1.0  # both update, as the neutral action of the other ids
        self.search = make_search(self.start, self.settings, config.seed)
        self.log = open_log(tensorboard)
        self.scores: list[np.ndarray] = []
        """Of each generation's policies, (P,)."""
        cost = self.settings["population"] * self.settings["seeds"] * config.horizon
        self.generation_decisions: int = cost
        """Decisions in one generation, all rows together."""
        self.generations: int = max(1, math.ceil(config.decisions / cost))

    def state(self) -> dict[str, Any]:
        """Returns all that the rest of the training depends on."""
        flush(self.log)
        scores = np.array(self.scores, np.float64).reshape(-1, self.settings["population"])
        return {"scores": scores, "logs": log_sizes(self.tensorboard)}

    def load(self, state: dict[str, Any]) -> None:
        """Restores a `state`; raises ValueError for scores of another population."""
        scores = state["scores"]
        if scores.shape[1:] != (self.settings["population"],) or len(scores) > self.generations:
            raise ValueError(f"scores of shape {scores.shape} are not those of at most {self.generations} generations")
        for each in scores:
            self.search.ask()
            self._tell(each)

    def _tell(self, scores: np.ndarray) -> None:
        self.scores.append(scores)
        self.search.tell(scores)

    def run(self, between: Callable[[], None] = lambda: None) -> None:
        """Trains to the end; `between` is called where nothing is under way, before every generation."""
        done, total = len(self.scores), self.generations
        bar = progress_bar(
            total * self.generation_decisions, "training", "decision", done=done * self.generation_decisions,
            show=self.config.progress,
        )  # fmt: skip
        jobs: list[Episodes] = []
        waiting: deque[Episodes] = deque()
        played: dict[str, Played] = {}

        def begin_generation() -> None:
            between()
            if len(self.scores) < total:
                jobs[:] = self._ask()
                waiting.extend(jobs)

        begin_generation()
        ran = self._executor()(lambda: waiting.popleft() if waiting else None, lambda id, updates: None)
        try:
            for job, outcome in ran:
                if isinstance(outcome, Failed):
                    raise RuntimeError(f"{job.id} could not be run ({outcome.why}); what was saved is intact")
                played[job.id] = outcome
                bar.update(len(job.vectors) * len(job.seeds) * self.config.horizon)
                if len(played) == len(jobs):
                    self._finish([played[each.id] for each in jobs], bar)
                    played.clear()
                    begin_generation()
        finally:
            ran.close()
            bar.close()
            self.log.close()

    def _executor(self) -> Executor:
        if self.config.executor == "ray":
            return ray_executor(self.config.address, play)
        return local_executor(self.config.jobs, play)

    def _ask(self) -> list[Episodes]:
        """Divides the next generation into jobs: all its policies, a few seeds each."""
        generation, vectors, count = len(self.scores), self.search.ask(), self.settings["seeds"]
        first, most = SPLITS["train-agent"] + count * self.config.seed, max(1, MOST_ROWS // len(vectors))
        seeds = range(first, first + count)
        return [
            Episodes(
                id=f"generation {generation + 1}, seeds from {seeds[at]}",
                updates=self.config.horizon * self.game.updates_per_step,
                game=self.game,
                control=self.config.control,
                hidden=tuple(self.settings["hidden"]),
                vectors=vectors,
                seeds=tuple(seeds[at : at + most]),
                episode=generation,
            )
            for at in range(0, count, most)
        ]

    def _finish(self, played: list[Played], bar: Any) -> None:
        """Tells the search a generation's scores and logs it."""
        returns, quality, failed = (
            np.concatenate([getattr(each, name) for each in played], 1) for name in ("returns", "quality", "failed")
        )
        scores = returns.mean(1)
        self._tell(scores)
        found = {"return": float(returns.mean()), "failures": int(failed.sum())}
        if not failed.all():
            found["validation_distance"] = float(quality[~failed].mean())
        found |= described(self.env.codec, np.concatenate([each.taken for each in played]))
        for name, value in found.items():
            self.log.record(f"gan/{name}", value)
        self.log.record("es/best_return", float(scores.max()))
        self.log.record("es/spread", self.search.spread)
        self.log.dump(len(self.scores) * self.generation_decisions)
        said = {"generation": len(self.scores), "return": found["return"], "spread": self.search.spread}
        bar.set_postfix({name: f"{float(value):.3g}" for name, value in said.items()}, refresh=False)

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def policies(self) -> tuple[PolicyController, PolicyController]:
        """Returns the policy in the middle of the search and the one that it began with, both frozen."""
        trainer, reward = self.env.trainer, self.env.reward.name
        decisions = len(self.scores) * self.generation_decisions
        provenance = provenance_of(self.config, trainer.task.name, trainer.loss.name, reward, decisions)
        spec = replace(self.config.spec, activation="tanh", output=policy_output(self.env), provenance=provenance)

        def controller(vector: np.ndarray, name: str) -> PolicyController:
            split = self.shape.split(vector[None])
            layers = [(torch.from_numpy(w[0].copy()), torch.from_numpy(b[0].copy())) for w, b in split]
            return PolicyController(spec, layers, name)

        trained, untrained = self.config.names
        return controller(self.search.mean, trained), controller(self.start, untrained)
