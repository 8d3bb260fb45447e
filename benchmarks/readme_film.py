"""Films one GAN under plain training beside the same GAN under a controller: the README's picture.

    python benchmarks/readme_film.py                       # docs/pictures/film.gif, half a minute
    python benchmarks/readme_film.py --controller alt-gda-5 --out other.gif

Both start from the same weights and meet the same batches and latents. The seed is the first of the split "evaluate".
Axes are the same in all frames. The distance is the score, the exact Wasserstein-1 distance of 2,000 generated points
to 2,000 test points; in a run it is taken once, at the end, and here in every frame, for the curve.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agents.comparison.contestants import make_contestant
from agents.comparison.controller_runner import ControllerRunner
from agents.comparison.seeds import split_seeds
from agents.watching.film import check_film, write_film
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.rendering.draw import G_COLOUR, QUALITY_COLOUR, REAL_COLOUR
from gan_env.types import Control

SIZE, DPI = (6.4, 4.64), 100
"""Size of a frame in inches; 640 × 464 pixels."""


@dataclass(frozen=True)
class Options:
    """What is filmed."""

    controller: str = "ttur-decay"
    """Name or file of the controller beside plain training."""
    task: str = "ring"
    """A game of the plane."""
    rate: float = 2e-4
    """Base learning rate of both players; 2e-4 is that of the DCGAN paper and of PyTorch's tutorial."""
    updates: int | None = None
    """Length of the training; the task's own if None."""
    frames: int = 60
    """Pictures of the film."""
    seed: int = split_seeds("evaluate", 1)[0]
    """Of weights, batches and latents."""
    out: Path = Path(__file__).parents[1] / "docs" / "pictures" / "film.gif"
    """Where to write it."""


@dataclass(frozen=True)
class Shot:
    """Both GANs at one moment."""

    update: int
    samples: tuple[np.ndarray, ...]
    """Generated points of each, (2,000, 2)."""
    distances: tuple[float, ...]
    """Their exact distance to the test points."""
    modes: tuple[int, ...]
    """Modes that each hits; see `gan_env.metrics.distances.mode_coverage`."""


def train(options: Options) -> tuple[GANVectorEnv, list[Shot]]:
    """Trains both GANs as one batch and looks at them at equal steps."""
    config = EnvConfig(
        task=options.task, d_lr=options.rate, g_lr=options.rate, episode_updates=options.updates, score=False
    )
    names = ("sim-gda", options.controller)
    env = GANVectorEnv(len(names), config=config)
    env.reset(seed=[options.seed] * len(names))
    contestants = [make_contestant(name, config) for name in names]
    runners = [
        ControllerRunner(each, env.trainer, [options.seed], row, raise_at_start=True)
        for row, each in enumerate(contestants)
    ]
    length = config.episode_updates or env.trainer.task.episode_updates
    shots = [look(env, 0)]
    for update in range(1, length + 1):
        control = Control.join([runner.act(env.measurement) for runner in runners])
        _, _, failed, _, info = env.step_control(control)
        if failed.any() or any(runner.error for runner in runners):
            raise RuntimeError(f"a GAN failed at update {update}: {info['failure']}; choose another --rate")
        if update % max(1, length // options.frames) == 0 or update == length:
            shots.append(look(env, update))
    return env, shots


def look(env: GANVectorEnv, update: int) -> Shot:
    """Samples and judges both GANs."""
    judged = [env.trainer.score(row) for row in range(env.num_envs)]
    details = [env.trainer.task.score.details(samples) for _, samples in judged]
    return Shot(
        update,
        tuple(samples.cpu().numpy() for _, samples in judged),
        tuple(score for score, _ in judged),
        tuple(int(each["modes_hit"]) for each in details),
    )


def draw(options: Options, env: GANVectorEnv, shots: list[Shot]) -> Iterator[np.ndarray]:
    """Draws a frame a shot: points above, the distance so far below; every axis is fixed."""
    task = env.trainer.task
    real, modes = task.data.test().numpy(), len(task.data.distribution.centres)  # pyright: ignore[reportAttributeAccessIssue]
    rate = np.format_float_scientific(options.rate, trim="-", exp_digits=1)
    labels = (f"plain training, rate {rate}", f"the same GAN under {options.controller}")
    colours = (G_COLOUR, QUALITY_COLOUR)
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    below = figure.add_axes((0.06, 0.1, 0.905, 0.185))
    below.set(xlim=(0, shots[-1].update), ylim=(0, 1.05 * max(max(shot.distances) for shot in shots)))
    below.grid(color="#e5e5e5", linewidth=0.5)
    below.set_title("Wasserstein distance to test data, lower is better", fontsize=9, loc="left", pad=4)
    below.set_xlabel("update", fontsize=8, labelpad=1)
    below.tick_params(labelsize=8, length=2)
    reach = 1.2 * float(abs(real).max())
    dots, titles, lines = [], [], []
    for place, (label, colour) in enumerate(zip(labels, colours, strict=True)):
        axes = figure.add_axes((0.02 + 0.5 * place, 0.365, 0.46, 0.545))
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        axes.scatter(*real.T, s=3, color=REAL_COLOUR, alpha=0.5, linewidths=0)
        dots.append(axes.scatter([], [], s=4, color=colour, linewidths=0))
        axes.set_title(label, fontsize=10, fontweight="bold", color=colour, pad=17)
        titles.append(axes.text(0.5, 1.02, "", fontsize=9, ha="center", va="bottom", transform=axes.transAxes))
        lines.append(below.plot([], [], color=colour, linewidth=2)[0])
    for count, shot in enumerate(shots, 1):
        for place in range(2):
            dots[place].set_offsets(shot.samples[place][:1_000])
            told = f"distance {shot.distances[place]:.2f}, {shot.modes[place]} of {modes} modes"
            titles[place].set_text(told)
            lines[place].set_data([s.update for s in shots[:count]], [s.distances[place] for s in shots[:count]])
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def main(options: Options) -> int:
    """Trains, draws and writes the film."""
    torch.set_num_threads(1)
    check_film(options.out)
    env, shots = train(options)
    write_film(options.out, draw(options, env, shots), fps=12)
    last = shots[-1]
    for name, distance, modes in zip(("sim-gda", options.controller), last.distances, last.modes, strict=True):
        print(f"{name}: distance {distance:.3f}, {modes} modes")
    print(f"wrote {options.out}, {options.out.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
