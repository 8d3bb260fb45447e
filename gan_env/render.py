"""Pictures of a training: what the generator makes now, losses, controls and quality so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gan_env.task import Task

if TYPE_CHECKING:  # matplotlib takes a second to import
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart in print and by colour-blind eyes.
D_COLOUR, G_COLOUR, REAL_COLOUR, QUALITY_COLOUR = "#0072B2", "#D55E00", "#999999", "#009E73"
COLUMNS = ("update", "g_loss", "d_loss", "d_lr", "g_lr", "d_moved", "g_moved", "quality")
"""Of a history; `quality` is NaN where it is not tracked."""
MOST_POINTS = 400
"""Of a history that are drawn: more than there are pixels to tell them apart."""
SHOWN = {"image": 64, "voxels": 16}
"""Samples in a picture, by the task's kind; 256 of the others, which are points."""
SIZE, DPI = (9.6, 3.2), 100
"""Inches of a frame; in pixels both are multiples of 16, as films want them."""


class History:
    """What N rows did since their episodes began, in `COLUMNS`."""

    def __init__(self, rows: int):
        self._rows: list[list[tuple[float, ...]]] = [[] for _ in range(rows)]

    def start(self, rows: np.ndarray) -> None:
        """Forgets the rows' past."""
        for row in rows:
            self._rows[row].clear()

    def push(self, rows: np.ndarray, *columns: np.ndarray) -> None:
        """Adds one decision of the rows (N,) bool: its `COLUMNS`, (N,) each."""
        for row in np.flatnonzero(rows):
            self._rows[row].append(tuple(float(c[row]) for c in columns))

    def padded(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """The chosen rows' pasts, (rows, longest, columns), zeros behind the end of each, and their lengths (rows,)."""
        length = np.array([len(self._rows[row]) for row in rows])
        points = np.zeros((len(rows), int(length.max()), len(COLUMNS)))
        for place, row in enumerate(rows):
            points[place, : length[place]] = self.row(row)
        return points, length

    def load(self, rows: list[int], points: np.ndarray | None, length: np.ndarray | None) -> None:
        """Gives the rows what `padded` told, or no past."""
        for place, row in enumerate(rows):
            known = [] if points is None or length is None else points[place, : length[place]].tolist()
            self._rows[row] = [tuple(point) for point in known]

    def row(self, row: int) -> np.ndarray:
        """(decisions, columns), float64."""
        return np.array(self._rows[row], np.float64).reshape(-1, len(COLUMNS))


def image_grid(samples: Tensor, columns: int = 8) -> np.ndarray:
    """Images (M, C, H, W) in [-1, 1] as one picture (height, width, 3) in [0, 1], `columns` to a line."""
    images = samples.detach().cpu().float().clamp(-1, 1).add(1).div(2)
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    gap = max(1, images.shape[-1] // 16)
    images = nn.functional.pad(images, (gap, 0, gap, 0), value=1.0)
    lines = [torch.cat(list(images[i : i + columns]), 2) for i in range(0, len(images) // columns * columns, columns)]
    return nn.functional.pad(torch.cat(lines, 1), (0, gap, 0, gap), value=1.0).permute(1, 2, 0).numpy()


def shape_views(samples: Tensor) -> Tensor:
    """Voxel shapes (M, 1, X, Y, Z), full above 0, as pictures (M, 1, H, W) in [-1, 1] for `image_grid`.

    Seen from the front (Y up) and slightly from above right: slices in Z are painted from back to front, each moved
    by half a pixel and brighter than the one behind.
    """
    full = (samples.detach().cpu()[:, 0] > 0).permute(0, 3, 2, 1).flip(2)  # (M, Z, rows from the top, X)
    count, depth, rows, columns = full.shape
    shift = depth // 2
    views = torch.ones(count, 1, rows + shift, columns + shift)
    for z in range(depth):
        at = shift - 1 - z // 2
        window = views[:, 0, at : at + rows, shift - at : shift - at + columns]
        window.masked_fill_(full[:, z], 0.6 - 1.5 * (1 - z / depth))
    return views


def draw_samples(axes: Axes, task: Task, samples: Tensor, labels: Tensor | None = None) -> None:
    """Samples of one generator: points against the validation data, a grid of images or of shapes, or guesses.

    Args:
        axes: Where.
        task: What is trained.
        samples: (M, *shape); of images and shapes the first 64 are drawn.
        labels: Of `digits-domains`, the true classes (M,) of what was guessed, where they are known.
    """
    samples = samples.detach().cpu()
    if samples.dim() >= 4:
        pictures = samples[:64] if samples.dim() == 4 else shape_views(samples[:64])
        axes.imshow(image_grid(pictures, columns=round(len(pictures) ** 0.5)), interpolation="nearest")
        axes.set_axis_off()
        return
    if task.kind == "domains":
        draw_guesses(axes, samples, labels)
        return
    # Points of a line lie on the horizontal axis.
    real, fake = (nn.functional.pad(x, (0, 2 - x.shape[1])).numpy() for x in (task.data.validation(), samples))
    axes.scatter(real[:, 0], real[:, 1], s=4, color=REAL_COLOUR, label="real", linewidths=0)
    axes.scatter(fake[:, 0], fake[:, 1], s=6, color=G_COLOUR, label="generated", linewidths=0)
    reach = 1.3 * float(abs(real).max()) or 3.0  # 3: `dirac`, whose data are the origin
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.legend(loc="upper right", fontsize=7, frameon=False, handletextpad=0.1, borderpad=0)


def draw_guesses(axes: Axes, made: Tensor, labels: Tensor | None = None) -> None:
    """The target's images where an extractor puts them, its features in two principal components, as it reads them.

    Wrong guesses, where `labels` tell them, are large and orange.
    """
    from gan_env.domains import FEATURES, guesses

    made = made.double().nan_to_num(0.0, 0.0, 0.0)
    features = made[:, :FEATURES]
    centred = features - features.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    places, guessed = centred @ directions[:2].T, guesses(made)
    wrong = torch.zeros(len(guessed), dtype=torch.bool) if labels is None else guessed != labels
    for label in guessed.unique().tolist():
        for rows, colour, size in ((~wrong, D_COLOUR, 14), (wrong, G_COLOUR, 40)):
            x, y = places[rows & (guessed == label)].T.numpy()
            axes.scatter(x, y, marker=f"${label}$", s=size, color=colour, linewidths=0)
    across, up = (1.1 * places.abs().amax(0).clamp(min=1e-6)).tolist()
    axes.set(xlim=(-across, across), ylim=(-up, up), xticks=[], yticks=[])


def plain_log(axes: Axes, which: Literal["x", "y"], values: Sequence[float] | np.ndarray) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 of each decade, at the decades alone where there are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    decades = np.log10(max(values) / min(values)) if len(values) else 0.0
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    subs = (1.0, 2.0, 5.0) if decades < 1.5 else (1.0, 3.0) if decades < 3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())


def picture(
    task: Task,
    samples: Tensor,
    history: np.ndarray,
    update: int,
    *,
    episode_updates: int | None = None,
    ideal_d_loss: float | None = None,
    title: str = "",
) -> np.ndarray:
    """One frame, (320, 960, 3) uint8: samples, losses, controls and, where it is tracked, quality so far.

    Args:
        task: What is trained.
        samples: Generated samples (M, *shape).
        history: (decisions, columns), see `COLUMNS`; may be empty.
        update: Updates so far.
        episode_updates: Updates of the whole episode.
        ideal_d_loss: D's loss where real and generated samples are alike, as the history scales it.
        title: Instead of the task's name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and a global state

    figure = Figure(figsize=SIZE, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    history = history[:: -(-len(history) // MOST_POINTS) or 1]
    history = np.where(np.isfinite(history), history, np.nan)
    tracked = bool(np.isfinite(history[:, -1]).any())
    edges = (0.385, 0.605, 0.825) if tracked else (0.4, 0.73)
    width = 0.155 if tracked else 0.25
    left = figure.add_axes((0.01, 0.03, 0.3, 0.8))
    _draw_made(left, task, samples, f"{title or task.name}\nupdate {update}" + _of(episode_updates))
    panels = [figure.add_axes((x, 0.15, width, 0.62)) for x in edges]
    panels[1].set_position((edges[1], 0.31, width, 0.46))
    end = _right_end(update, episode_updates)
    _draw_lines(panels[0], history, ("d_loss", "g_loss"), "losses")
    if ideal_d_loss is not None:
        panels[0].axhline(ideal_d_loss, color="black", linewidth=0.8, linestyle=":", label="ideal D")
    _draw_lines(panels[1], history, ("d_lr", "g_lr"), "learning rates")
    if len(history):
        rates = history[:, [COLUMNS.index("d_lr"), COLUMNS.index("g_lr")]]
        plain_log(panels[1], "y", (np.nanmin(rates) / 2, np.nanmax(rates) * 2))
        panels[1].set_ylim(np.nanmin(rates) / 2, np.nanmax(rates) * 2)
    panels[1].tick_params(labelbottom=False)
    lanes = figure.add_axes((edges[1], 0.15, width, 0.12))
    _draw_lanes(lanes, history, end)
    if tracked:
        panels[2].plot(history[:, 0], history[:, -1], color=QUALITY_COLOUR, linewidth=1.2, drawstyle="steps-post")
        panels[2].set_ylim(0, 1.08 * np.nanmax(history[:, -1]) or 1.0)
        panels[2].set_title(task.quality.name.replace("_", " "), fontsize=8, pad=16)
        panels[2].text(0, 1.03, "validation data, lower is better", fontsize=6.5, transform=panels[2].transAxes)
    for axes in panels:
        axes.set_xlim(0, end)
        axes.tick_params(labelsize=7, length=2)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(color="#e5e5e5", linewidth=0.5)
        if axes is not panels[1]:
            axes.set_xlabel("update", fontsize=7, labelpad=1)
    for axes in panels[:2]:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 0.99), ncols=3, fontsize=6.5, frameon=False, borderpad=0.1,
            handlelength=1.6, columnspacing=0.9, handletextpad=0.3, borderaxespad=0.2,
        )  # fmt: skip
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _of(total: int | None) -> str:
    return "" if total is None else f" of {total}"


def _right_end(update: int, total: int | None) -> int:
    """Where the axes end: at the episode's end, or at half, a quarter and so on of it while less is done."""
    end = max(total or 0, update, 1)
    while end >= 2 * max(update, 10):
        end //= 2
    return end


def _draw_made(axes: Axes, task: Task, samples: Tensor, title: str) -> None:
    """What the generator makes now, under its title."""
    labels = None
    if task.kind == "domains" and samples.dim() == 2:
        from gan_env.domains import guesses, target

        labels = target("validation").labels[: len(samples)]  # what `sample` makes its samples of
        accuracy = float((guesses(samples.detach().cpu()) == labels).double().mean())
        title += f", target accuracy {accuracy:.0%}"
    draw_samples(axes, task, samples, labels)
    axes.set_title(title, fontsize=8)


def _draw_lines(axes: Axes, history: np.ndarray, names: tuple[str, str], title: str) -> None:
    """D's column solid and blue, G's dashed and orange."""
    for name, label, colour, style, width in zip(
        names, ("D", "G"), (D_COLOUR, G_COLOUR), ("-", "--"), (1.7, 1.1), strict=True
    ):
        values = history[:, COLUMNS.index(name)]
        axes.plot(history[:, 0], values, color=colour, label=label, linewidth=width, linestyle=style)
    axes.set_title(title, fontsize=8, pad=16)


def _draw_lanes(axes: Axes, history: np.ndarray, end: int, bins: int = 60) -> None:
    """A lane for each player, the fuller the larger the share of decisions in which it moves."""
    lanes = np.ones((2, bins, 3))
    if len(history):
        place = np.minimum((history[:, 0] - 1) * bins // end, bins - 1).astype(int)
        count = np.bincount(place, minlength=bins)
        for lane, (name, colour) in enumerate((("d_moved", D_COLOUR), ("g_moved", G_COLOUR))):
            share = np.bincount(place, history[:, COLUMNS.index(name)], bins) / np.maximum(count, 1)
            rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
            lanes[lane] = 1 - share[:, None] * (1 - rgb)
        # A decision holds for all updates since the one before it.
        later = np.where(count > 0, np.arange(bins), bins - 1)[: place[-1] + 1]
        lanes[:, : place[-1] + 1] = lanes[:, np.minimum.accumulate(later[::-1])[::-1]]
    axes.imshow(lanes, aspect="auto", extent=(0, end, 1.5, -0.5), interpolation="nearest")
    axes.axhline(0.5, color="white", linewidth=1.5)
    axes.set_yticks([0, 1], ["D moves", "G moves"], fontsize=6)
    axes.tick_params(labelsize=7, length=2)
    axes.tick_params(axis="y", labelsize=6, length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("update", fontsize=7, labelpad=1)


def tiled(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Frames of one size (height, width, 3) as one picture, as near to a square as can be; white where none is left."""
    height, width, _ = frames[0].shape
    columns = max(1, round((len(frames) * height / width) ** 0.5))
    lines = -(-len(frames) // columns)
    sheet = np.full((lines * height, columns * width, 3), 255, np.uint8)
    for place, frame in enumerate(frames):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + width] = frame
    return sheet
