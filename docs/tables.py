"""Writes the tables of the pages from the code and from committed rows: `python docs/tables.py`.

A test says when that is due.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, so that it can also be read in a checkout.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import claim_tables
import controller_tables
import gymnasium as gym
import numpy as np
import torch
from controller_tables import table

import gan_env
from gan_env.cli.options import field_docs
from gan_env.data.datasets import ArrayData
from gan_env.envs.actions import D_RANGE, G_RANGE, LogRange
from gan_env.envs.config import EnvConfig
from gan_env.envs.failures import CAUSES
from gan_env.envs.gradient_noise import GRADIENT_NOISE
from gan_env.envs.observations import DEFAULT_FEATURES, FEATURES
from gan_env.envs.portable import PORTABLE_FEATURES
from gan_env.envs.rewards import REWARDS, RewardContext, make_reward
from gan_env.losses.losses import LOSSES, Loss
from gan_env.tasks.download import LICENCES, OTHERS, SOURCES, source_of
from gan_env.tasks.images import NAMED, image_task
from gan_env.tasks.task import TASKS, Task, make_task
from gan_env.tasks.voxels import shape_task
from gan_env.types import KINDS

PAGES = Path(__file__).parent
MARKED = re.compile(r"(<!-- table: ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NO_BREAK = "\N{NO-BREAK SPACE}"
PLACES = {"folder": "folder:PATH@SIDE", "meshes": "meshes:PATH"}
"""How a task is written whose data are the user's."""


def first_line(thing: object) -> str:
    """A docstring's first sentence or line, without the dot."""
    return (inspect.getdoc(thing) or "").splitlines()[0].rstrip(".")


def number(value: float) -> str:
    """A number as it is written in prose: −1, 2e-4, 0.002."""
    text = f"{value:.0e}".replace("e-0", "e-") if 0 < abs(value) < 1e-3 else f"{value:.3g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def span(low: float, high: float, unit: str = "") -> str:
    """A range as [low, high], in multiples of a unit."""
    ends = (number(end) + (f" {unit}" if unit and end else "") for end in (low, high))
    return f"[{', '.join(ends)}]".replace(" ", NO_BREAK)


# -- the environment ----------------------------------------------------------------------------------------------


def ids() -> str:
    """Each id, its action, and the axes that `last_action` stands for."""
    rows = []
    for name in gan_env.ENV_IDS:
        env = gym.make(name).unwrapped
        codec = env.batch.codec
        space = env.action_space
        shape = (
            "Discrete(3)"
            if isinstance(space, gym.spaces.Discrete)
            else f"Box(-1, 1, {space.shape})"
        )
        meaning = first_line(codec).partition(": ")[2]
        rows.append(
            (
                f"`{name}`",
                f"`{shape}`",
                meaning,
                ", ".join(f"`{axis}`" for axis in codec.last_action_names),
            )
        )
    return table(("id", "action space", "an action", "axes in `last_action`"), rows)


def multipliers() -> str:
    """What a number in [-1, 1] does to a learning rate, for the default ranges of D and G, and two others."""
    places = np.array([-1, -0.5, 0, 0.5, 1])
    rows = [
        (f"`{bounds}`", *(f"×{number(u)}" for u in LogRange(*bounds).multiplier(places)))
        for bounds in (D_RANGE, G_RANGE, (0.1, 10.0), (0.1, 2.0))
    ]
    return table(("range", *(f"a = {number(a)}" for a in places)), rows)


def features() -> str:
    """Every feature: formula, range, whether it is seen by default."""
    order = sorted(
        (name for name in FEATURES if not FEATURES[name].portable),
        key=lambda name: (*DEFAULT_FEATURES, name).index(name),
    )
    rows = [
        (
            f"`{name}`",
            FEATURES[name].meaning,
            span(FEATURES[name].low, FEATURES[name].high),
            "yes" if name in DEFAULT_FEATURES else "",
        )
        for name in order
    ]
    return table(("name", "formula", "range", "by default"), rows)


def portable_features(names: tuple[str, ...] = PORTABLE_FEATURES) -> str:
    """Every feature of a set: formula, range."""
    rows = [
        (
            f"`{name}`",
            FEATURES[name].meaning,
            span(FEATURES[name].low, FEATURES[name].high),
        )
        for name in names
    ]
    return table(("name", "formula", "range"), rows)


def rewards() -> str:
    """Every reward: formula and bounds."""
    rows = []
    for name in REWARDS:
        for normalise in (False, True) if name == "loss_gap" else (False,):
            reward, twice = (
                make_reward(name, RewardContext(LOSSES["bce"], w, normalise))
                for w in (1.0, 2.0)
            )
            formula = first_line(REWARDS[name])
            if normalise:
                formula = "the same, each gap divided by L_G + L_D, both in size"
            label = f"`{name}`" + (", `normalise=True`" if normalise else "")
            rows.append(
                (
                    label,
                    formula,
                    span(reward.low, reward.high, "w" if twice.low == 2 * reward.low else ""),
                )
            )
    return table(("name", "formula", "range"), rows)


def causes() -> str:
    """Every failure."""
    rows = [(f"`{cause}`", meaning) for cause, meaning in CAUSES.items()]
    return table(('`info["failure"]`', "what was not finite, past its bound or dead"), rows)


def settings() -> str:
    """Every field of EnvConfig."""
    docs = field_docs(EnvConfig)
    rows = []
    for field in dataclasses.fields(EnvConfig):
        if field.name in ("annealing", "g_ema"):
            default = "none"
        elif field.default is None:
            default = "the ids'" if field.name.endswith("_range") else "the task's"
        else:
            default = (
                "the default features" if field.name == "features" else f"`{field.default!r}`"
            )
        rows.append((f"`{field.name}`", default, docs[field.name]))
    return table(("setting", "default", "meaning"), rows)


# -- games and losses ---------------------------------------------------------------------------------------------


def blank(shape: tuple[int, ...]) -> ArrayData:
    """Data of a shape, for tasks whose own may not be at hand; nothing in the tables depends on their values."""
    return ArrayData(*(torch.zeros(count, *shape) for count in (1_000, 100, 100)))


@cache
def built_tasks() -> list[tuple[str, Task]]:
    """Every task by the name to be written, kind by kind, the same on every machine."""
    return sorted(_built_tasks(), key=lambda found: KINDS.index(found[1].kind))


def _built_tasks() -> Iterator[tuple[str, Task]]:
    for name in TASKS:
        if name == "folder":
            task = image_task(name, blank((3, 64, 64)), "emoji64")
        elif name == "meshes":
            task = shape_task("furniture", None)
        elif name in NAMED:
            source, side, family, players = NAMED[name]
            colours = 1 if source in ("mnist", "fashion") else 3
            task = image_task(name, blank((colours, side, side)), family, players=players)
        else:
            task = make_task(name)
        yield PLACES.get(name, name), task


def _size(build: Callable[[], torch.nn.Module]) -> str:
    count = sum(weights.numel() for weights in build().parameters())
    return (
        f"{count:,}"
        if count < 10_000
        else f"{count / 1e3:,.0f} k"
        if count < 1e6
        else f"{count / 1e6:.1f} M"
    )


def data_sets() -> str:
    """What ships, where the rest is looked for, and whose it is."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, _ in built_tasks():
        source = source_of(name)
        about = SOURCES[source].about if source in SOURCES else OTHERS[source]
        users.setdefault((about, LICENCES.get(source, "–")), []).append(f"`{name}`")
    rows = [(", ".join(names), *what) for what, names in users.items()]
    return table(("tasks", "data", "licence"), rows)


def tasks() -> str:
    """What every task is made of, what a run takes from it, and how it is judged."""
    rows = [
        (
            f"`{name}`",
            " × ".join(map(str, task.data.shape)),
            task.latent_size or "images",
            f"{_size(task.generator)} / {_size(task.discriminator)}",
            task.batch_size,
            number(task.g_lr)
            if task.g_lr == task.d_lr
            else f"{number(task.g_lr)} / {number(task.d_lr)}",
            f"{task.episode_updates:,}",
            f"`{task.score.name}`",
        )
        for name, task in built_tasks()
    ]
    return table(
        (
            "task",
            "a sample",
            "latents",
            "weights of G / D",
            "batch",
            "base rate",
            "updates",
            "score",
        ),
        rows,
    )


def formula(text: str) -> str:
    """Python as a formula."""
    return f"`{text.replace('**2', '²').replace('-', '−').replace('softplus', 'sp')}`"


def in_discriminator(loss: Loss) -> str:
    """What is added to D's loss, or done to D."""
    if loss.penalty:
        weight = "λ" if loss.coefficient_is.startswith("weight") else "γ"
        return f"+ {weight} {first_line(loss.penalty).partition('. ')[0]}"
    if regulariser := loss.normalise or loss.reparametrise:
        return first_line(regulariser).partition(". ")[0]
    return (
        "noise on what D sees"
        if loss.noisy
        else "weights clipped after each step of D"
        if loss.clipped
        else ""
    )


def losses() -> str:
    """The formulas of every loss."""
    rows = [
        (
            f"`{name}`",
            *map(formula, LOSSES[name].formulas),
            in_discriminator(LOSSES[name]),
            number(round(LOSSES[name].ideal_d_loss, 4)),
            "yes" if LOSSES[name].signed else "",
        )
        for name in LOSSES
    ]
    return table(
        ("loss", "D, on real", "D, on generated", "G", "regulariser", "V*", "signed"), rows
    )


def loss_defaults() -> str:
    """The number and the optimiser of every loss, and where it comes from."""
    rows = []
    for name in LOSSES:
        loss, spec = LOSSES[name], LOSSES[name].optimizer
        argument = f"β = {spec.betas}" if spec.name == "adam" else f"α = {spec.alpha}"
        coefficient = (
            f"{number(loss.coefficient)}: {loss.coefficient_is}" if loss.coefficient_is else ""
        )
        rows.append((f"`{name}`", coefficient, f"{spec.name}, {argument}", loss.source))
    return table(("loss", "coefficient", "optimiser", "source"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "ids": ids,
    "multipliers": multipliers,
    "features": features,
    "portable-features": portable_features,
    "gradient-noise-features": partial(portable_features, GRADIENT_NOISE),
    "rewards": rewards,
    "failures": causes,
    "settings": settings,
    "data-sets": data_sets,
    "tasks": tasks,
    "losses": losses,
    "loss-defaults": loss_defaults,
    **controller_tables.TABLES,
    **claim_tables.TABLES,
}


def updated(text: str) -> str:
    """A page with its tables as the code has them now."""
    return MARKED.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", text)


def stale() -> list[Path]:
    """Pages whose tables are not up to date."""
    return [
        page
        for page in sorted(PAGES.rglob("*.md"))
        if updated(page.read_text()) != page.read_text()
    ]


def main() -> int:
    """Writes the tables anew."""
    for page in stale():
        page.write_text(updated(page.read_text()))
        print(f"wrote {page.relative_to(PAGES.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
