"""Trains one task of pictures or shapes: its score between two marks, the time, a picture.

    python benchmarks/games.py fashion --updates 2500

writes benchmarks/games/fashion.png (64 samples of the trained generator) and a line of benchmarks/games/rows.jsonl.
"""

from __future__ import annotations

import json
import platform
import shlex
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from agents import make_controller
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.random.streams import Purpose
from gan_env.rendering.draw import image_grid, shape_views
from gan_env.tasks.reference_scores import marks
from gan_env.tasks.task import Task
from gan_env.training.trainer import Trainer

HERE = Path(__file__).parent / "games"


@dataclass(frozen=True)
class Job:
    """One plain training."""

    task: tyro.conf.Positional[str]
    """Name of the task."""
    updates: int = 2_500
    """Updates of both players."""
    seed: int = 0
    """Of weights, batches and latents."""
    threads: int = 1
    """Threads of torch; more than one pays on an idle machine only."""
    score_every: int = 500
    """Updates between two scores on the way; they are printed and not timed."""
    loss: str | None = None
    """GAN loss; the task's own if None."""
    controller: str = "sim-gda"
    """Who steers."""
    limit_s: float = 1_200.0
    """Seconds of training after which it stops."""
    d_lr: float | None = None
    """Base rate of the discriminator; the task's own if None."""
    g_lr: float | None = None
    """Base rate of the generator."""
    optimizer: str | None = None
    """adam, rmsprop or sgd, or a JSON object with its arguments; the loss' own if None."""
    average: float = 0.0
    """Decay per update of a moving average of G's weights, which is then judged and drawn beside G (Yazici et al. 2019,
    arXiv:1806.04498); 0 for none."""
    out: Path = HERE
    """Folder of the picture and the row."""


def save_picture(task: Task, samples: torch.Tensor, file: Path) -> None:
    """Sixty-four samples, pixel for pixel: a scaled picture would show the scaling."""
    grid = image_grid(samples if task.kind == "image" else shape_views(samples))
    drawn = Image.fromarray((grid * 255).astype(np.uint8))
    if drawn.width < 400:
        drawn = drawn.resize((2 * drawn.width, 2 * drawn.height), Image.Resampling.NEAREST)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawn.quantize(128).save(file, optimize=True)  # a quarter of the bytes in the repository


class Average:
    """A moving average of G's weights: of all so far at first, so that the untrained ones leave no trace."""

    def __init__(self, trainer: Trainer, decay: float):
        self._decay, self._weights, self._updates = decay, trainer.g.flat.clone(), 0
        self._judged = trainer.empty_fork(1)

    def follow(self, trainer: Trainer) -> None:
        self._updates += 1
        self._weights.lerp_(trainer.g.flat, max(1 - self._decay, 1 / self._updates))

    def samples(self, trainer: Trainer, count: int, purpose: Purpose) -> torch.Tensor:
        """As many as `Trainer.samples` gives, of the same latents."""
        self._judged.seed[:], self._judged.episode[:] = trainer.seed, trainer.episode
        self._judged.g.flat.copy_(self._weights)
        return self._judged.samples(count, purpose)[0]


def command(job: Job) -> str:
    """The line that runs it again."""
    changed = [
        f"--{field.name.replace('_', '-')} {shlex.quote(str(getattr(job, field.name)))}"
        for field in fields(Job)
        if field.name not in ("task", "out") and getattr(job, field.name) != field.default
    ]
    return " ".join(["python benchmarks/games.py", job.task, *changed])


def run(job: Job) -> dict:
    torch.set_num_threads(job.threads)
    named = job.optimizer or ""
    optimizer = json.loads(named) if named.startswith("{") else job.optimizer
    config = EnvConfig(task=job.task, loss=job.loss, d_lr=job.d_lr, g_lr=job.g_lr, optimizer=optimizer, device="cpu")
    trainer = make_trainer(config, 1)
    task, score = trainer.task, trainer.task.score
    known = marks(task)
    print(f"{task.name}: {', '.join(f'{k} {v:.4g}' for k, v in known.items())}", flush=True)
    started = time.perf_counter()
    trainer.reset(np.array([job.seed]), np.zeros(1, np.int64))
    controller = make_controller(job.controller)
    controller.reset([job.seed], replace(trainer.facts, episode_updates=job.updates))
    average = Average(trainer, job.average) if job.average else None
    trained_s, cpu_s, done, found, curve = time.perf_counter() - started, 0.0, 0, {}, []
    while done < job.updates and trained_s < job.limit_s:
        block = min(job.score_every, job.updates - done)
        started, cpu_started = time.perf_counter(), time.process_time()
        while block and trained_s + time.perf_counter() - started < job.limit_s:
            seen = trainer.measurement
            trainer.advance(controller.act(replace(seen, progress=seen.update.double() / job.updates)))
            if average:
                average.follow(trainer)
            done, block = done + 1, block - 1
        trained_s, cpu_s = trained_s + time.perf_counter() - started, cpu_s + time.process_time() - cpu_started
        fake = trainer.samples(score.samples, Purpose.SCORE)[0]
        found = {"score": score(fake), **score.details(fake)}
        if average:
            found["g_score"] = found["score"]  # of G as it is; all else is of the average
            fake = average.samples(trainer, score.samples, Purpose.SCORE)
            found |= {"score": score(fake), **score.details(fake)}
        curve.append([done, round(trained_s, 1), found["score"], round(cpu_s, 1)])
        figures = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in found.items())
        print(f"  {done:6d} updates {trained_s:7.1f} s ({cpu_s:.1f} of a processor)  {figures}", flush=True)
    name = job.task.split(":")[0]
    drawn = average.samples(trainer, 64, Purpose.SAMPLE) if average else trainer.samples(64, Purpose.SAMPLE)[0]
    save_picture(task, drawn, job.out / f"{name}.png")
    row = {
        "task": task.name,
        "score_name": score.name,
        **found,
        **known,
        "updates": done,
        "train_s": round(trained_s, 1),
        "cpu_s": round(cpu_s, 1),  # with one thread, an idle machine takes no longer
        "batch_size": trainer.batch_size,
        "settings": {k: v for k, v in asdict(job).items() if k != "out"},
        "curve": curve,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "command": command(job),
    }
    with (job.out / "rows.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


if __name__ == "__main__":
    run(tyro.cli(Job))
