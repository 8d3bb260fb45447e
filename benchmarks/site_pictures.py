"""Draws the pictures of the documentation, into docs/pictures.

    python benchmarks/site_pictures.py                   # all that need no run, some minutes
    python benchmarks/site_pictures.py ring digits       # games by name
    python benchmarks/site_pictures.py lr-robustness     # the figure of a benchmark's committed rows
    python benchmarks/site_pictures.py digits-scores digits-curves  # of the main job's committed rows
    python benchmarks/site_pictures.py digits-samples --run runs/mine
    python benchmarks/site_pictures.py render
    python benchmarks/site_pictures.py auto-rates        # what `auto` decides on six GANs, two minutes
    python benchmarks/site_pictures.py tensorboard --run runs/mine --browser chromium

A game's picture has test data on the left and, on the right, what one training of the task's own length makes with seed
0: under `ttur-decay` on the plane, plainly elsewhere. It shows what a game looks like; it is no result.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from PIL import Image

from agents import make_controller
from agents.report.blocks import Row, make_blocks, ranked, read_rows
from agents.report.comparisons import rate_curves
from agents.report.html.figures import COLOURS, png_of, score_dots
from agents.report.html.line_figures import training_curves
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.io.files import write_whole
from gan_env.rendering.draw import draw_samples, plain_log
from gan_env.tasks.task import Task

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "pictures"
GAMES = ("ring", "circle", "spiral", "line", "grid", "digits", "mnist", "emoji32", "digits-domains")
"""Games that are trained here; `benchmarks/games.py` makes the pictures of the larger ones."""
SHOWN = {
    "sim-gda": "#000000",
    "alt-gda-5": "#0072B2",
    "best-constant": "#009E73",
    "best-schedule": "#56B4E9",
    "ttur-decay": "#E69F00",
    "auto": "#CC79A7",
    "fsco-ring": "#D55E00",
}
"""Controllers of the figure, with their colours: Okabe and Ito's."""

AUTO_SEEDS = (0, 1, 2, 3)
STEERED = {
    "ring, bce": EnvConfig(task="ring"),
    "circle, sn": EnvConfig(task="circle", loss="sn"),
    "spiral, wgan-gp": EnvConfig(task="spiral", loss="wgan-gp"),
    "grid, bce, 10,000 updates": EnvConfig(task="grid", episode_updates=10_000),
    "digits, bce, base rate 2e-3": EnvConfig(task="digits"),
    "fashion, DCGAN": EnvConfig(task="fashion", episode_updates=600, batch_size=64),
}
"""GANs on which the picture of `auto` shows its decisions."""


@dataclass(frozen=True)
class Options:
    """What is drawn."""

    names: tyro.conf.Positional[tuple[str, ...]] = (
        *GAMES, "render", "lr-robustness", "auto-rates", "digits-scores", "digits-curves"
    )  # fmt: skip
    """Pictures by name."""
    run: Path | None = None
    """Folder of a `gan-env train`, for the pictures of samples and of TensorBoard."""
    browser: str = "chromium"
    """Command of a Chromium, for the picture of TensorBoard."""
    out: Path = OUT
    """Folder of the pictures."""


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG of few colours."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    small = io.BytesIO()
    Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, small.getvalue())


def train(config: EnvConfig) -> tuple[Task, torch.Tensor]:
    """Trains one GAN; returns its task and the samples that are scored."""
    trainer = make_trainer(config, 1)
    trainer.reset(np.array([0]), np.array([0]))
    controller = make_controller("ttur-decay" if trainer.task.kind == "plane" else "sim-gda")
    controller.reset([0], trainer.facts)
    for _ in range(config.episode_updates or trainer.task.episode_updates):
        trainer.advance(controller.act(trainer.measurement))
    return trainer.task, trainer.score(0)[1]


def draw_game(name: str, out: Path) -> None:
    """Draws test data beside generated samples."""
    task, made = train(EnvConfig(task=name))
    panels = {"test data": task.data.test(), "generated": made}
    if task.kind == "domains":
        panels = {"images of the target domain, drawn as the digit that is predicted": made}
    figure = Figure(figsize=(4.4, 2.35), layout="constrained")
    for axes, (title, samples) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True):
        if title == "test data" and task.kind == "plane":
            samples = samples[:0]  # validation data are drawn anyway
        draw_samples(axes, task, samples)
        axes.set_title(title, fontsize=9 if len(panels) > 1 else 7)
        if legend := axes.get_legend():
            legend.remove()
    save(figure, out / "games" / f"{name}.png")


def draw_render(out: Path) -> None:
    """Draws what `render` returns."""
    env = gym.make(
        "gan_env/LearningRate-v0", task="ring", updates_per_step=50, episode_updates=5_000, render_mode="rgb_array",
        track_quality=True, quality_every=1,
    )  # fmt: skip
    env.reset(seed=0)
    for step in range(60):
        env.step([np.sin(step / 8)])
    write_png(np.asarray(env.render()), out / "render.png")


def write_png(picture: np.ndarray, path: Path) -> None:
    """Writes pixels (height, width, 3), uint8."""
    content = io.BytesIO()
    Image.fromarray(picture).quantize(128, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    write_whole(path, content.getvalue())


def draw_rates(out: Path) -> None:
    """Draws mean score against base rate on each game of `lr-robustness`, failures imputed."""
    blocks = make_blocks(read_rows(ROOT / "benchmarks" / "results" / "lr-robustness"))
    curves = [curve for curve in rate_curves(blocks) if curve.controller in SHOWN]
    families = list(dict.fromkeys(curve.family for curve in curves))
    figure = Figure(figsize=(9.2, 5.6), layout="constrained")
    panels = list(figure.subplots(2, 2).flat)
    for axes, family in zip(panels, families, strict=True):
        found = {curve.controller: curve for curve in curves if curve.family == family}
        for name, colour in SHOWN.items():
            curve = found[name]
            means = np.array([mean.value for mean in curve.means])
            low, high = ([getattr(mean, end) for mean in curve.means] for end in ("low", "high"))
            axes.fill_between(
                curve.rates, np.maximum(low, means.min() / 4), high, color=colour, alpha=0.12, linewidth=0
            )
            axes.plot(curve.rates, means, color=colour, label=name, marker="o", markersize=3, linewidth=1.6)
        plain_log(axes, "x", found["sim-gda"].rates)
        axes.set_yscale("log")
        game = family.split(",")[0]
        axes.set_title(f"{game}: {'Fréchet distance' if game == 'digits' else 'Wasserstein distance'}", fontsize=10)
        axes.set_xlabel("base learning rate of both players", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(color="#e5e5e5", linewidth=0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(SHOWN), fontsize=9, frameon=False)
    save(figure, out / "lr-robustness.png")


def draw_auto(out: Path) -> None:
    """Draws both rates that `auto` sets over the runs of four seeds, on six GANs of which it was trained on none."""
    figure = Figure(figsize=(9.2, 5.2), layout="constrained")
    panels = list(figure.subplots(2, 3, sharey=True).flat)
    for axes, (title, game) in zip(panels, STEERED.items(), strict=True):
        trainer = make_trainer(game, len(AUTO_SEEDS))
        trainer.reset(np.array(AUTO_SEEDS), np.zeros(len(AUTO_SEEDS), np.int64))
        controller = make_controller("auto")
        controller.reset(AUTO_SEEDS, trainer.facts)
        updates = game.episode_updates or trainer.task.episode_updates
        rates = {"D": np.empty((updates, len(AUTO_SEEDS))), "G": np.empty((updates, len(AUTO_SEEDS)))}
        for update in range(updates):
            control = controller.act(trainer.measurement)
            rates["D"][update] = (trainer.d_optimizer.lr * control.d_multiplier).numpy()
            rates["G"][update] = (trainer.g_optimizer.lr * control.g_multiplier).numpy()
            trainer.advance(control)
        for (player, values), colour in zip(rates.items(), ("#D55E00", "#0072B2"), strict=True):
            axes.plot(values, color=colour, linewidth=0.5, alpha=0.5)
            axes.plot(np.exp(np.log(values).mean(1)), color=colour, linewidth=1.8, label=f"rate of {player}")
        axes.axhline(float(trainer.d_optimizer.lr[0]), color="#777777", linewidth=0.8, linestyle=":", label="base rate")
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("update", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(color="#e5e5e5", linewidth=0.5)
    for axes in panels[::3]:
        axes.set_ylabel("learning rate", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    save(figure, out / "auto-rates.png")


def draw_main_job(draw: Callable[[list[Row], list[str]], Figure | None], path: Path) -> None:
    """Draws the main job's committed rows as `gan-env train` does."""
    rows = read_rows(ROOT / "benchmarks" / "results" / "train-digits")
    figure = draw(rows, ranked(rows))
    assert figure is not None, "the rows hold traces"
    write_whole(path, png_of(figure, COLOURS))


def run_of(options: Options) -> Path:
    """Returns the run that a picture is of."""
    if options.run is None:
        raise SystemExit("site_pictures: this picture needs --run DIR, the folder of a gan-env train")
    return options.run


def draw_tensorboard(options: Options) -> None:
    """Photographs TensorBoard with the log of a run."""
    run = run_of(options)
    program = Path(sys.executable).with_name("tensorboard")
    command = [str(program), "--logdir", str(run / "tensorboard"), "--port", "6117", "--reload_interval", "0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(12)
        with tempfile.TemporaryDirectory() as folder:
            shot = Path(folder) / "shot.png"
            browser = [options.browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            browser += ["--window-size=1280,860", "--virtual-time-budget=30000", f"--screenshot={shot}"]
            subprocess.run([*browser, "http://localhost:6117/#timeseries"], check=True, stderr=subprocess.DEVNULL)
            with Image.open(shot) as picture:
                write_png(np.asarray(picture.convert("RGB")), options.out / "tensorboard.png")
    finally:
        server.terminate()
        server.wait()


def main(options: Options) -> int:
    """Draws what is named."""
    torch.set_num_threads(1)
    others: dict[str, Callable[[], None]] = {
        "render": lambda: draw_render(options.out),
        "auto-rates": lambda: draw_auto(options.out),
        "lr-robustness": lambda: draw_rates(options.out),
        "digits-scores": lambda: draw_main_job(score_dots, options.out / "digits-scores.png"),
        "digits-curves": lambda: draw_main_job(partial(training_curves, columns=4), options.out / "digits-curves.png"),
        "digits-samples": lambda: write_whole(
            options.out / "digits-samples.png", (run_of(options) / "samples.png").read_bytes()
        ),
        "tensorboard": lambda: draw_tensorboard(options),
    }
    for name in options.names:
        start = time.perf_counter()
        others[name]() if name in others else draw_game(name, options.out)
        print(f"{name}: {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
