"""A run's pictures: samples of every controller side by side, losses and learning rates, scores with intervals."""

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


def draw_run(task: Task, result: ComparisonResult, out: Path) -> None:
    """Writes samples.png, curves.png and scores.png into the folder."""
    names = ranked(result.rows)
    draw_samples_of_all(task, result, out / "samples.png")
    write_whole(out / "scores.png", png_of(score_dots(result.rows, names)))
    if (curves := training_curves(result.rows, names, columns=4)) is not None:
        write_whole(out / "curves.png", png_of(curves))


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
