"""A run's pictures: how its agents learned, samples of every controller, losses and learning rates, scores."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from gan_env.io.files import write_whole
from gan_env.rendering.draw import draw_samples
from gan_env.tasks.task import Task

from ..comparison.result import ComparisonResult
from ..report.html.figures import png_of, score_dots
from ..report.html.line_figures import training_curves
from ..report.text import by_controller, ranked, scores
from .logs import Curves


def draw_run(task: Task, result: ComparisonResult, out: Path) -> None:
    """Writes samples.png, curves.png and scores.png into the folder."""
    names = ranked(result.rows)
    draw_samples_of_all(task, result, out / "samples.png")
    write_whole(out / "scores.png", png_of(score_dots(result.rows, names)))
    if (curves := training_curves(result.rows, names, columns=4)) is not None:
        write_whole(out / "curves.png", png_of(curves))


LEARNING = {
    "gan/return": "return of an episode",
    "gan/validation_distance": "distance to validation data",
    "gan/share_at_bounds": "share of actions at a bound",
}
"""Curves of a training's log that are drawn, with their titles."""


def draw_learning(logs: dict[str, Path], path: Path) -> None:
    """Draws the learning curves of agents, by name and folder of logs; writes nothing if no episode has ended."""
    curves = {name: Curves(folder).finite(LEARNING) for name, folder in logs.items()}
    shown = [curve for curve in LEARNING if any(found.get(curve) for found in curves.values())]
    if not shown:
        return
    figure = Figure(figsize=(4.2 * len(shown), 3.2), dpi=110, layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(shown), squeeze=False).flat, shown, strict=True):
        for number, (name, found) in enumerate(curves.items()):
            if points := found.get(curve):
                axes.plot(*zip(*points, strict=True), color=f"C{number}", label=name)
        if curve == "gan/validation_distance":
            axes.set_yscale("log")
        axes.set_title(LEARNING[curve], fontsize=10)
        axes.set_xlabel("decisions, all rows together")
    figure.axes[0].legend(fontsize=8)
    write_whole(path, png_of(figure))


def draw_samples_of_all(task: Task, result: ComparisonResult, path: Path) -> None:
    """Draws test data, then samples of each controller's first run that did not fail, best mean score first."""
    groups = by_controller(result.rows)
    names = ranked(result.rows)
    columns = 4
    lines = -(-(len(names) + 1) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.4 * lines), dpi=110, layout="constrained")
    cells = list(figure.subplots(lines, columns, squeeze=False).flat)
    draw_samples(cells[0], task, task.data.test()[:64])
    cells[0].set_title("real test data", fontsize=9)
    for axes, name in zip(cells[1:], names, strict=False):
        found = scores(groups[name])
        if name in result.samples:
            draw_samples(axes, task, result.samples[name])
        axes.set_title(f"{name}\n{found.mean():.3g}" if len(found) else f"{name}\nfailed", fontsize=9)
    for axes in cells[len(names) + 1 :]:
        axes.set_axis_off()
    if task.kind == "plane":
        for axes in cells[: len(names) + 1]:
            if legend := axes.get_legend():
                legend.remove()
    figure.suptitle(f"samples and mean score ({result.rows[0]['score_name']}, lower is better)", fontsize=10)
    write_whole(path, png_of(figure))
