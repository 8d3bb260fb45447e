"""Building blocks of pictures of a training: histories of rows, sample plots, axes, tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gan_env.tasks.task import Task

if TYPE_CHECKING:  # matplotlib takes a second to import
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart in print and by colour-blind eyes.
D_COLOUR, G_COLOUR, REAL_COLOUR, QUALITY_COLOUR = "#0072B2", "#D55E00", "#999999", "#009E73"
COLUMNS = ("update", "g_loss", "d_loss", "d_lr", "g_lr", "d_moved", "g_moved", "quality")
"""Columns of a history; `quality` is NaN if it is not tracked."""
SHOWN = {"image": 64, "voxels": 16}
"""Samples in a picture, by the task's kind; 256 for other kinds, which are points."""


class History:
    """The decisions of N rows since their episodes began, in `COLUMNS`."""

    def __init__(self, rows: int):
        self._rows: list[list[tuple[float, ...]]] = [[] for _ in range(rows)]

    def start(self, rows: np.ndarray) -> None:
        """Clears the rows' histories."""
        for row in rows:
            self._rows[row].clear()

    def push(self, rows: np.ndarray, *columns: np.ndarray) -> None:
        """Appends one decision of the rows (N,) bool: its `COLUMNS`, (N,) each."""
        for row in np.flatnonzero(rows):
            self._rows[row].append(tuple(float(c[row]) for c in columns))

    def padded(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows' histories zero-padded to (rows, longest, columns), and their lengths (rows,)."""
        length = np.array([len(self._rows[row]) for row in rows])
        points = np.zeros((len(rows), int(length.max()), len(COLUMNS)))
        for place, row in enumerate(rows):
            points[place, : length[place]] = self.row(row)
        return points, length

    def load(self, rows: list[int], points: np.ndarray | None, length: np.ndarray | None) -> None:
        """Restores the rows' histories from `padded`, or clears them."""
        for place, row in enumerate(rows):
            known = [] if points is None or length is None else points[place, : length[place]].tolist()
            self._rows[row] = [tuple(point) for point in known]

    def row(self, row: int) -> np.ndarray:
        """Returns a row's history, (decisions, columns), float64."""
        return np.array(self._rows[row], np.float64).reshape(-1, len(COLUMNS))


def image_grid(samples: Tensor, columns: int = 8) -> np.ndarray:
    """Arranges images (M, C, H, W) in [-1, 1] as one picture (height, width, 3) in [0, 1], `columns` to a line."""
    images = samples.detach().cpu().float().clamp(-1, 1).add(1).div(2)
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    gap = max(1, images.shape[-1] // 16)
    images = nn.functional.pad(images, (gap, 0, gap, 0), value=1.0)
    lines = [torch.cat(list(images[i : i + columns]), 2) for i in range(0, len(images) // columns * columns, columns)]
    return nn.functional.pad(torch.cat(lines, 1), (0, gap, 0, gap), value=1.0).permute(1, 2, 0).numpy()


def shape_views(samples: Tensor) -> Tensor:
    """Renders voxel shapes (M, 1, X, Y, Z), full above 0, as pictures (M, 1, H, W) in [-1, 1] for `image_grid`.

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
    """Draws samples of one generator: points against validation data, a grid of images or shapes, or classified images.

    Args:
        axes: Matplotlib axes to draw on.
        task: What is trained.
        samples: (M, *shape); of images and shapes the first 64 are drawn.
        labels: For `digits-domains`, the true classes (M,) of the images, if known.
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
    """Draws the target's images in the plane of their features' first two principal components.

    Each is drawn as the digit that is predicted; wrong predictions, if `labels` are given, are orange.
    """
    from gan_env.data.digit_domains import FEATURES, guesses

    made = made.double().nan_to_num(0.0, 0.0, 0.0)
    features = made[:, :FEATURES]
    centred = features - features.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    places, guessed = centred @ directions[:2].T, guesses(made)
    wrong = torch.zeros(len(guessed), dtype=torch.bool) if labels is None else guessed != labels
    for label in guessed.unique().tolist():
        for rows, colour in ((wrong, G_COLOUR), (~wrong, D_COLOUR)):
            x, y = places[rows & (guessed == label)].T.numpy()
            axes.scatter(x, y, marker=f"${label}$", s=36, color=colour, linewidths=0)
    across, up = (1.1 * places.abs().amax(0).clamp(min=1e-6)).tolist()
    axes.set(xlim=(-across, across), ylim=(-up, up), xticks=[], yticks=[])
    if labels is not None:
        for name, colour in (("right guess", D_COLOUR), ("wrong guess", G_COLOUR)):
            axes.scatter([], [], s=25, color=colour, label=name, linewidths=0)
        axes.set_ylim(-up, 1.2 * up)  # room for the legend
        axes.legend(loc="upper center", ncols=2, fontsize=7, frameon=False, handletextpad=0.1, borderpad=0)


def plain_log(axes: Axes, which: Literal["x", "y"], values: Sequence[float] | np.ndarray) -> None:
    """Formats a logarithmic axis with plain numbers at 1, 2 and 5 of each decade, fewer if there are many.

    If fewer than two of these lie between the values, ticks are at equal steps instead.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = (min(values), max(values)) if len(values) else (1.0, 10.0)
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = np.log10(high / low)
    axes.set(**{f"{which}scale": "log"})
    subs = (1.0, 2.0, 5.0) if decades < 1.5 else (1.0, 3.0) if decades < 3 else (1.0,)
    marks = np.outer(10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high) + 1), subs)
    enough = ((low <= marks) & (marks <= high)).sum() >= 2
    axis.set_major_locator(LogLocator(subs=subs, numticks=7) if enough else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())


def tiled(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Tiles frames of one size (height, width, 3) into a picture that is nearly square; empty tiles are white."""
    height, width, _ = frames[0].shape
    columns = max(1, round((len(frames) * height / width) ** 0.5))
    lines = -(-len(frames) // columns)
    sheet = np.full((lines * height, columns * width, 3), 255, np.uint8)
    for place, frame in enumerate(frames):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + width] = frame
    return sheet
