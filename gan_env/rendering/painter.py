"""Draws pictures of a training: current samples, and losses, controls and quality so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gan_env.metrics.names import measure_name
from gan_env.rendering.draw import COLUMNS, D_COLOUR, G_COLOUR, QUALITY_COLOUR, draw_samples, plain_log
from gan_env.tasks.task import Task

MOST_POINTS = 400
"""Most points of a line: more than the pixels could resolve."""
DPI, HEIGHT = 100, 3.2
MADE, CURVES = 3.04, 6.56
"""Widths in inches of the samples and of the curves beside them; with the height, sides of a picture are multiples of
16 pixels, as video encoders require."""
BINS = 60
"""Bins of a lane that shows which player moves."""
PANELS = {"losses": ("d_loss", "g_loss"), "learning rates": ("d_lr", "g_lr"), "quality": ("quality",)}
"""Columns of a history by panel."""
LINES: dict[str, dict[str, Any]] = {
    "d": {"label": "D", "color": D_COLOUR, "linestyle": "-", "linewidth": 1.7},
    "g": {"label": "G", "color": G_COLOUR, "linestyle": "--", "linewidth": 1.1},
    "q": {"color": QUALITY_COLOUR, "linewidth": 1.2, "drawstyle": "steps-post"},
}
"""Line style by the first letter of a column."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Contents of one picture."""

    title: str
    samples: Tensor | np.ndarray
    """Generated samples (M, *shape), or the picture that `Painter.made` drew of them."""
    history: np.ndarray
    """(decisions, columns), see `COLUMNS`; may be empty."""
    update: int
    """Updates so far."""
    failed: bool = False
    """Whether its training failed; the common scale ignores it, so that other lines stay readable."""


class Painter:
    """Draws scenes as pictures (320, 960, 3) uint8: samples, losses, controls and, if tracked, quality so far.

    All are drawn on one figure, because making the axes takes longer than drawing.

    Args:
        task: What is trained.
        tracked: Whether histories contain the quality.
        episode_updates: Updates of a whole episode.
        ideal_d_loss: D's loss for indistinguishable samples, on the scale of the histories.
    """

    def __init__(
        self, task: Task, *, tracked: bool, episode_updates: int | None = None, ideal_d_loss: float | None = None
    ):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure  # not pyplot, which keeps figures and a global state

        self._task, self._total, self._ideal = task, episode_updates, ideal_d_loss
        left, figure = Figure(figsize=(MADE, HEIGHT), dpi=DPI), Figure(figsize=(CURVES, HEIGHT), dpi=DPI)
        self._left, self._canvas = FigureCanvasAgg(left), FigureCanvasAgg(figure)
        self._made = left.add_axes((0.02, 0.02, 0.96, 0.83))
        edges, width = ((0.1, 0.422, 0.744), 0.2268) if tracked else ((0.122, 0.605), 0.3659)
        heights = ((0.15, 0.62), (0.31, 0.46), (0.15, 0.62))  # the lanes are below the rates
        self._panels = {
            panel: figure.add_axes((edge, bottom, width, height))
            for panel, edge, (bottom, height) in zip(PANELS, edges, heights, strict=False)
        }
        self._lines = {
            column: axes.plot([], [], markersize=3, **LINES[column[0]])[0]
            for panel, axes in self._panels.items()
            for column in PANELS[panel]
        }
        for column in PANELS["learning rates"]:  # a rate holds for its decision, and updates are told at the end of it
            self._lines[column].set_drawstyle("steps-pre")
        self._lanes = figure.add_axes((edges[1], 0.15, width, 0.12))
        self._moves = self._lanes.imshow(np.ones((2, BINS, 3)), aspect="auto", interpolation="nearest")
        between = self._lanes.axhline(0.5, color="white", linewidth=1.5)
        self._lanes.set_yticks([0, 1], ["D moves", "G moves"])
        self._label()
        frames = [spine for axes in (*self._panels.values(), self._lanes) for spine in axes.spines.values()]
        self._moving = [*self._lines.values(), self._moves, between, *frames]  # frames above lines
        for artist in self._moving:  # all else is drawn once a scale
            artist.set_animated(True)
        self._scale: tuple[object, ...] = ()
        self._still: object = None

    def _label(self) -> None:
        """Draws the labels that are the same in all pictures."""
        from matplotlib.ticker import MaxNLocator

        if self._ideal is not None:
            self._panels["losses"].axhline(self._ideal, color="black", linewidth=0.8, linestyle=":", label="ideal D")
        for panel, axes in self._panels.items():
            axes.grid(color="#e5e5e5", linewidth=0.5)
            title = measure_name(self._task.quality.name) if panel == "quality" else panel
            axes.set_title(title, fontsize=8, pad=16, y=1)  # with y no picture has to find a place for it
            if panel == "quality":
                axes.text(0, 1.03, "validation data, lower is better", fontsize=6.5, transform=axes.transAxes)
                continue
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 0.99), ncols=3, fontsize=6.5, frameon=False, borderpad=0.1,
                handlelength=1.6, columnspacing=0.9, handletextpad=0.3, borderaxespad=0.2,
            )  # fmt: skip
        for axes in (*self._panels.values(), self._lanes):
            axes.tick_params(labelsize=7, length=2)
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
            axes.set_xlabel("update", fontsize=7, labelpad=1)
        self._lanes.tick_params(axis="y", labelsize=6, length=0)
        self._panels["learning rates"].tick_params(labelbottom=False)
        self._panels["learning rates"].set_xlabel("")

    def pictures(self, scenes: Sequence[Scene], ends: Sequence[Scene] | None = None) -> tuple[np.ndarray, ...]:
        """Draws a picture of each scene, all on one scale, so that their lines can be compared.

        Args:
            scenes: What is drawn.
            ends: The last scenes of a film, whose scale all of its pictures have; by default `scenes` themselves.
        """
        end = self._set_scale(ends or scenes)
        return tuple(np.hstack([self.made(scene), self._curves(scene, end)]) for scene in scenes)

    def _set_scale(self, scenes: Sequence[Scene]) -> int:
        """Sets the common scale; returns the update at which the axes end."""
        end = max(self._total or 0, *(scene.update for scene in scenes), 1)
        past = np.concatenate([s.history for s in scenes if not s.failed] or [s.history for s in scenes])
        limits = {}
        for panel in self._panels:
            values = past[:, [COLUMNS.index(column) for column in PANELS[panel]]]
            values = values[np.isfinite(values)]
            known = len(values) > 0
            if panel == "losses" and self._ideal is not None:
                values = np.append(values, self._ideal)
            limits[panel] = known, _limits(panel, values)
        if (scale := (end, *limits.values())) != self._scale:
            self._scale, self._still = scale, None
            for axes in (*self._panels.values(), self._lanes):
                axes.set_xlim(0, end)
            self._moves.set_extent((0, end, 1.5, -0.5))
            for panel, axes in self._panels.items():
                known, bounds = limits[panel]
                axes.tick_params(axis="y", labelleft=known)
                if panel == "learning rates":
                    plain_log(axes, "y", bounds)
                axes.set_ylim(bounds)
        return end

    def _curves(self, scene: Scene, end: int) -> np.ndarray:
        points = scene.history[::-1][:: -(-len(scene.history) // MOST_POINTS) or 1][::-1]  # the last is always there
        points = np.where(np.isfinite(points), points, np.nan)
        for column, line in self._lines.items():
            updates, values = points[:, 0], points[:, COLUMNS.index(column)]
            if line.get_drawstyle() == "steps-pre":  # the first decision began at 0
                updates, values = np.append(np.zeros(len(points[:1])), updates), np.append(values[:1], values)
            line.set_data(updates, values)
            line.set_marker("o" if len(updates) == 1 else "")  # a line needs two points
        self._moves.set_data(lanes(scene.history, end))
        if self._still is None:
            self._canvas.draw()  # without what moves
            self._still = self._canvas.copy_from_bbox(self._canvas.figure.bbox)
        self._canvas.restore_region(self._still)
        for artist in self._moving:
            artist.axes.draw_artist(artist)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def made(self, scene: Scene) -> np.ndarray:
        """Draws the samples alone, (320, 304, 3) uint8; what was drawn before is returned as it is."""
        if isinstance(scene.samples, np.ndarray):
            return scene.samples
        self._draw_made(scene, scene.samples)
        self._left.draw()
        return np.asarray(self._left.buffer_rgba())[..., :3].copy()

    def _draw_made(self, scene: Scene, samples: Tensor) -> None:
        """Draws the current samples under their title."""
        task, labels = self._task, None
        title = f"{scene.title}\nupdate {scene.update}" + ("" if self._total is None else f" of {self._total}")
        if task.kind == "domains" and samples.dim() == 2:
            from gan_env.data.digit_domains import guesses, target

            labels = target("validation").labels[: len(samples)]  # what `sample` makes its samples of
            accuracy = float((guesses(samples.detach().cpu()) == labels).double().mean())
            title += f", target accuracy {accuracy:.0%}"
        for artist in (*self._made.collections, *self._made.images):  # `clear` would make new ticks, which takes long
            artist.remove()
        draw_samples(self._made, task, samples, labels)
        self._made.set_title(title, fontsize=8, y=1)


def _limits(panel: str, values: np.ndarray) -> tuple[float, float]:
    """Returns the limits of a panel's vertical axis."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 1.0)
    if panel == "learning rates":
        return low / 2, high * 2
    if panel == "quality":
        return 0.0, 1.08 * high or 1.0
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def lanes(history: np.ndarray, end: int) -> np.ndarray:
    """Returns colours (2, `BINS`, 3) for D and G over updates 1 to `end`, more saturated the more often they move."""
    found = np.ones((2, BINS, 3))
    if not len(history):
        return found
    last = (history[:, 0].astype(int) * BINS - 1) // end  # the last bin that lies in a decision
    count = np.bincount(last, minlength=BINS)
    for lane, (name, colour) in enumerate((("d_moved", D_COLOUR), ("g_moved", G_COLOUR))):
        share = np.bincount(last, history[:, COLUMNS.index(name)], BINS) / np.maximum(count, 1)
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        found[lane] = 1 - share[:, None] * (1 - rgb)
    # A decision holds for all updates since the one before it.
    later = np.where(count > 0, np.arange(BINS), BINS - 1)[: last[-1] + 1]
    found[:, : last[-1] + 1] = found[:, np.minimum.accumulate(later[::-1])[::-1]]
    return found
