"""A run's pictures: samples of every controller side by side, losses and learning rates, scores with intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan_env.render import D_COLOUR, G_COLOUR, REAL_COLOUR, draw_samples
from gan_env.task import Task

from .bench import GroupResult
from .stats import mean_interval
from .tables import by_controller, ranked, scores


def draw_run(task: Task, result: GroupResult, out: Path) -> None:
    """Writes samples.png, curves.png and scores.png into the folder."""
    draw_side_by_side(task, result, out / "samples.png")
    draw_curves(result, out / "curves.png")
    draw_scores(result, out / "scores.png")


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(str(path))


def draw_side_by_side(task: Task, result: GroupResult, path: Path) -> None:
    """Test data, then samples of each controller's first run that did not fail, best mean score first."""
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
    _save(figure, path)


def draw_curves(result: GroupResult, path: Path) -> None:
    """Losses (one line per controller: mean over its runs) and D's learning rate over updates."""
    groups = by_controller(result.rows)
    names = ranked(result.rows)
    columns = 4
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(2.8 * columns, 2.0 * lines), dpi=110, layout="constrained")
    cells = list(figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axes, name in zip(cells, names, strict=False):
        rows = [row for row in groups[name] if row["status"] == "ok"]
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        if not rows:
            axes.text(0.5, 0.5, "every run failed", ha="center", transform=axes.transAxes, fontsize=8)
            continue
        update = np.array(rows[0]["trace"]["update"])
        for key, colour, style, label in (("d_loss", D_COLOUR, "-", "L_D"), ("g_loss", G_COLOUR, "--", "L_G")):
            values = np.array([row["trace"][key] for row in rows])
            axes.plot(update, values.mean(0), color=colour, linestyle=style, linewidth=1, label=label)
            axes.fill_between(update, *np.quantile(values, (0.1, 0.9), axis=0), color=colour, alpha=0.2, linewidth=0)
        axes.set_ylim(0, 3)
        right = axes.twinx()
        rates = np.exp(np.array([row["trace"]["log_d_multiplier"] for row in rows])) * rows[0]["d_lr"]
        right.plot(update, np.exp(np.log(rates).mean(0)), color=REAL_COLOUR, linewidth=1, label="D's rate")
        right.set_yscale("log")
        right.set_ylim(0.05 * rows[0]["d_lr"], 20 * rows[0]["d_lr"])
        right.tick_params(labelsize=6, colors=REAL_COLOUR)
    for axes in cells[len(names) :]:
        axes.set_axis_off()
    figure.legend(
        cells[0].get_legend_handles_labels()[0],
        ["L_D (mean, 10-90 %)", "L_G"],
        loc="outside lower left",
        fontsize=8,
        ncols=2,
        frameon=False,
    )
    figure.suptitle(
        "losses (left axis) and the discriminator's learning rate (grey, right axis) over updates", fontsize=10
    )
    _save(figure, path)


def draw_scores(result: GroupResult, path: Path) -> None:
    """Every run's score as a dot, its controller's mean with a 95 % t interval, and the floor."""
    groups, names = by_controller(result.rows), ranked(result.rows)
    figure = Figure(figsize=(7, 0.4 * len(names) + 1.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(reversed(names)):
        found = scores(groups[name])
        failed = len(groups[name]) - len(found)
        if failed:
            axes.annotate(f"{failed} failed", (1, place), xycoords=("axes fraction", "data"), ha="right", fontsize=8)
        if not len(found):
            continue
        mean = mean_interval(found)
        low = max(mean.low, 0.5 * float(found.min()))  # the axis is logarithmic, and an interval may reach below 0
        axes.plot([low, mean.high], [place, place], color=D_COLOUR, linewidth=5, alpha=0.5, solid_capstyle="butt")
        axes.plot(mean.mean, place, "|", color="black", markersize=12)
        axes.plot(found, np.full(len(found), place), "o", color="black", markersize=2.5, markeredgewidth=0)
    floor = result.rows[0]["floor"]
    axes.axvline(floor, color=G_COLOUR, linestyle="--", linewidth=1)
    axes.annotate(" floor", (floor, len(names) - 0.6), color=G_COLOUR, fontsize=8)
    axes.set_yticks(range(len(names)), list(reversed(names)), fontsize=8)
    axes.set_ylim(-0.6, len(names) - 0.2)
    axes.set_xscale("log")
    axes.set_xlabel(
        f"{result.rows[0]['score_name']} to test data, lower is better (dots: runs; bars: mean with 95 % interval)",
        fontsize=8,
    )
    _save(figure, path)
