"""Draws sample grids: a picture a game, a line for each controller, a column for each checkpoint."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from gan_env.io.files import own_folder, write_whole
from gan_env.rendering.draw import draw_samples

from ..comparison.result import ComparisonResult
from ..comparison.seeds import SPLITS
from .plan import Group, PlannedComparison

COLUMNS = 6
"""Checkpoints of a run, evenly spaced: every 5,000 updates of the thesis' 30,000."""
TEXT = 14
"""Points: a picture is as wide as two phones."""
LETTERS = 12
"""Of that size, as wide as a row is high: what a line of a controller's name holds."""


def checkpoints(updates: int) -> list[int]:
    """Returns the updates after which samples are drawn; the last is the end of the run."""
    return sorted({round(updates * i / COLUMNS) for i in range(1, COLUMNS + 1)} - {0})


def is_pictured(group: Group) -> bool:
    """Tells whether a group's samples are drawn: one group a game is, that with the split's first seed."""
    return not group.chooses and group.seeds[0] == SPLITS[group.split]


def file_name(part: str, comparison: PlannedComparison) -> str:
    """Returns `TASK-LOSS.png`, with the part before and the base rate behind it where they are not the usual ones.

    Contestants that change settings of the game have a picture of their own, with the first one's name at the end.
    """
    before, rate = "" if part == "main" else f"{part}-", comparison.game.d_lr
    name = f"{before}{comparison.task}-{comparison.game.loss}{'' if rate is None else f'-{rate:g}'}"
    if comparison.settings:
        name += f"-{comparison.names[0]}"
    return re.sub(r"[^\w.,=+-]+", "_", name) + ".png"


def draw_sample_grid(group: Group, comparison: PlannedComparison, result: ComparisonResult, folder: Path) -> None:
    """Writes the picture of a comparison of a group that has run; `result` holds its samples at the checkpoints."""
    from matplotlib.figure import Figure  # here, for it takes a second, which only those who want pictures wait

    from ..report.html.figures import png_of, short

    task, names, updates = comparison.resolved.build_task(), comparison.names, sorted(result.checkpoint_samples)
    figure = Figure(figsize=(1.25 * len(updates) + 1.2, 1.25 * len(names) + 0.6), dpi=100, layout="constrained")
    for line, name in zip(figure.subplots(len(names), len(updates), squeeze=False), names, strict=True):
        for axes, update in zip(line, updates, strict=True):
            samples = result.checkpoint_samples[update].get(name)
            if samples is None:
                axes.text(0.5, 0.5, "failed", ha="center", va="center", transform=axes.transAxes, fontsize=TEXT)
                axes.set(xticks=[], yticks=[])
            else:
                draw_samples(axes, task, samples)
                if legend := axes.get_legend():
                    legend.remove()
            if name == names[0]:
                axes.set_title(f"{update:,}", fontsize=TEXT)
        line[0].set_axis_on()
        line[0].set(xticks=[], yticks=[])
        label = textwrap.wrap(short(name, 2 * LETTERS), LETTERS)[:2]
        line[0].set_ylabel("\n".join(label), fontsize=TEXT)
    title = f"{comparison.task}, {comparison.game.loss}, seed {group.seeds[0]}: samples after so many updates"
    figure.suptitle(title, fontsize=TEXT)
    png = png_of(figure, 32 if task.kind == "plane" else None)
    write_whole(own_folder(folder) / file_name(group.part, comparison), png)
