"""How samples of each controller came to be: one picture a game, a line each controller, a column each moment."""

from __future__ import annotations

import re
from pathlib import Path

from gan_env.io.files import own_folder, write_whole
from gan_env.rendering.draw import draw_samples

from ..comparison.compare import SPLITS, GroupResult
from .plan import Contest, Group

COLUMNS = 6
"""Moments of a run, evenly spaced: every 5,000 updates of the thesis' 30,000."""
TEXT = 14
"""Points: a picture is as wide as two phones."""


def moments(updates: int) -> list[int]:
    """The updates after which samples are drawn; the last is the end."""
    return sorted({round(updates * i / COLUMNS) for i in range(1, COLUMNS + 1)} - {0})


def is_pictured(group: Group) -> bool:
    """Whether a group's samples are drawn: one group a game is, that with the split's first seed."""
    return not group.chooses and group.seeds[0] == SPLITS[group.split]


def file_name(part: str, contest: Contest) -> str:
    """`TASK-LOSS.png`, with the part's name before it and the base rate behind it where they are not the usual ones."""
    before, rate = "" if part == "main" else f"{part}-", contest.game.d_lr
    name = f"{before}{contest.task}-{contest.game.loss}{'' if rate is None else f'-{rate:g}'}"
    return re.sub(r"[^\w.,=+-]+", "_", name) + ".png"


def draw_moments(group: Group, contest: Contest, result: GroupResult, folder: Path) -> None:
    """Writes the picture of a contest of a group that has run."""
    from matplotlib.figure import Figure  # here, for it takes a second, which only those who want pictures wait

    from ..report.html.figures import png_of, short

    task, names, updates = contest.resolved.build_task(), contest.names, sorted(result.moments)
    figure = Figure(figsize=(1.25 * len(updates) + 1.2, 1.25 * len(names) + 0.6), dpi=100, layout="constrained")
    for line, name in zip(figure.subplots(len(names), len(updates), squeeze=False), names, strict=True):
        for axes, update in zip(line, updates, strict=True):
            samples = result.moments[update].get(name)
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
        line[0].set_ylabel(short(name, 12), fontsize=TEXT)
    title = f"{contest.task}, {contest.game.loss}, seed {group.seeds[0]}: samples after so many updates"
    figure.suptitle(title, fontsize=TEXT)
    write_whole(
        own_folder(folder) / file_name(group.part, contest), png_of(figure, 32 if task.kind == "plane" else None)
    )
