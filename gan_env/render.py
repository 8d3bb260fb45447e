"""Pictures of a training: what the generator makes now, both losses, both learning rates."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gan_env.task import Task

# Okabe & Ito's palette: told apart in print and by colour-blind eyes.
D_COLOUR, G_COLOUR, REAL_COLOUR = "#0072B2", "#D55E00", "#999999"
LABEL_COLOURS = (G_COLOUR, D_COLOUR, "#000000", "#009E73", "#CC79A7")


class History:
    """Losses and learning rates of N rows since their episodes began."""

    def __init__(self, rows: int):
        self._rows: list[list[tuple[float, ...]]] = [[] for _ in range(rows)]

    def start(self, rows: np.ndarray) -> None:
        """Forgets the rows' past."""
        for row in rows:
            self._rows[row].clear()

    def push(self, rows: np.ndarray, *columns: np.ndarray) -> None:
        """Adds update, L_G, L_D, D's rate and G's rate, (N,) each, for the rows (N,) bool."""
        for row in np.flatnonzero(rows):
            self._rows[row].append(tuple(float(c[row]) for c in columns))

    def padded(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """The chosen rows' pasts, (rows, longest, 5) with zeros behind the end of each, and their lengths (rows,)."""
        length = np.array([len(self._rows[row]) for row in rows])
        points = np.zeros((len(rows), int(length.max()), 5))
        for place, row in enumerate(rows):
            points[place, : length[place]] = self.row(row)
        return points, length

    def load(self, rows: list[int], points: np.ndarray | None, length: np.ndarray | None) -> None:
        """Gives the rows what `padded` told, or no past."""
        for place, row in enumerate(rows):
            known = [] if points is None or length is None else points[place, : length[place]].tolist()
            self._rows[row] = [tuple(point) for point in known]

    def row(self, row: int) -> np.ndarray:
        """(decisions, 5): update, L_G, L_D, D's rate, G's rate."""
        return np.array(self._rows[row], np.float64).reshape(-1, 5)


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


def draw_samples(axes, task: Task, samples: Tensor) -> None:  # type: ignore[no-untyped-def]
    """Samples of one generator: points against the validation data, a grid of images or of shapes, or guesses."""
    if samples.dim() >= 4:
        pictures = samples[:64] if samples.dim() == 4 else shape_views(samples[:64])
        axes.imshow(image_grid(pictures), interpolation="nearest")
        axes.set_axis_off()
        return
    if task.kind == "domains":
        draw_guesses(axes, samples)
        return
    # Points of a line lie on the horizontal axis.
    real, fake = (nn.functional.pad(x, (0, 2 - x.shape[1])) for x in (task.data.validation(), samples.detach().cpu()))
    axes.scatter(real[:, 0], real[:, 1], s=4, color=REAL_COLOUR, label="real", linewidths=0)
    axes.scatter(fake[:, 0], fake[:, 1], s=6, color=G_COLOUR, label="generated", linewidths=0)
    reach = 1.3 * float(real.abs().max()) or 3.0  # 3: `dirac`, whose data are the origin
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.legend(loc="upper right", fontsize=7, frameon=False)


def draw_guesses(axes, made: Tensor) -> None:  # type: ignore[no-untyped-def]
    """The target's images where an extractor puts them, its features in two principal components, as it reads them."""
    from gan_env.domains import FEATURES, guesses

    features = made[:, :FEATURES].detach().cpu().double()
    centred = features - features.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    places = centred @ directions[:2].T
    for (x, y), label in zip(places.tolist(), guesses(made).tolist(), strict=True):
        axes.text(
            x,
            y,
            str(label),
            color=LABEL_COLOURS[label % 5],
            fontsize=7,
            ha="center",
            va="center",
        )
    across, up = (1.1 * places.abs().amax(0).clamp(min=1e-6)).tolist()
    axes.set(xlim=(-across, across), ylim=(-up, up), xticks=[], yticks=[])


def picture(task: Task, samples: Tensor, history: np.ndarray, update: int) -> np.ndarray:
    """One frame, (height, width, 3) uint8: samples, losses and learning rates so far.

    Args:
        task: What is trained.
        samples: Generated samples (M, *shape).
        history: (decisions, 5): update, L_G, L_D, D's rate, G's rate; may be empty.
        update: Updates so far, for the title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and a global state

    figure = Figure(figsize=(9, 3.2), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.25, 1.25))
    draw_samples(left, task, samples)
    left.set_title(f"{task.name}, update {update}", fontsize=9)
    for axes, name, g, d in ((middle, "loss", 1, 2), (right, "learning rate", 4, 3)):
        axes.plot(history[:, 0], history[:, d], color=D_COLOUR, label="discriminator", linewidth=1)
        axes.plot(history[:, 0], history[:, g], color=G_COLOUR, label="generator", linewidth=1, linestyle="--")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("update", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, frameon=False)
    if len(history):
        right.set_yscale("log")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
