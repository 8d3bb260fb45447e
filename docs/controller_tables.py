"""Tables of the controllers' pages and of the scoreboard: options from the code, figures from committed rows.

`tables.py` writes them into the pages.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from agents import load_controller
from agents.base import CONTROLLERS
from agents.learned.fsco import FscoConfig
from agents.registry import Lazy, is_embedded
from agents.report.blocks import Block, Row, by_controller, make_blocks, read_config, read_rows
from agents.report.cells import interval
from agents.report.comparisons import mean_score, rate_curves, score_differences
from agents.report.numbers import number
from agents.report.ranking import rank
from agents.report.statistics import Interval, mean_interval
from agents.report.tables import p_value
from agents.rules.gcann import GcannConfig
from gan_env.cli.options import field_docs

ROOT = Path(__file__).parent.parent
RESULTS, AGENTS = ROOT / "benchmarks" / "results", ROOT / "benchmarks" / "agents"
SETTINGS = {"fsco": FscoConfig, "gcann": GcannConfig}
"""Records whose fields are options beside a factory's own parameters."""
PAGES: dict[str, tuple[str, ...]] = {
    "auto": ("auto",),
    "autoloss": ("autoloss",),
    "controls": ("random", "random-order", "replay", "lookahead"),
    "dyn-gda": ("dyn-gda", "dirac-oracle"),
    "fixed": (
        *("sim-gda", "alt-gda", "constant", "ttur", "linear-decay", "cosine-decay"),
        *("schedule", "ttur-decay", "frozen-d"),
    ),
    "fsco": ("fsco", "ddpg"),
    "gap-aware": ("gap-aware",),
    "gcann": ("gcann",),
    "heuristics": ("loss-rate-balance", "d-accuracy-gate", "weaker-only", "began", "pi"),
}
"""Registered names by page of docs/controllers."""
ROW_NAMES: dict[str, tuple[str, ...]] = {
    "controls": ("random", "random-order:0.45", "replay:fsco-ring-replay"),
    "fixed": (
        *("sim-gda", "alt-gda-1", "alt-gda-5", "best-constant"),
        *("constant:10", "constant:3", "constant:0.3", "constant:0.1", "frozen-d"),
    ),
    "fsco": ("fsco (meta)", "fsco-ring", "fsco (embedded)", "fsco (untrained)"),
}
"""Names in rows by page, where they are not the registered ones."""
BASELINE = "sim-gda"


def told(found: Interval | None) -> str:
    """An estimate with its interval, as reports write it."""
    return "–" if found is None else interval(found)


# -- options ------------------------------------------------------------------------------------------------------


def argument_docs(function: Callable) -> dict[str, str]:
    """The `Args:` of a docstring in Google style, by name."""
    _, _, section = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    lines = re.sub(r"\n {5,}", " ", section.partition("\n\n")[0]).splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


def options_of(name: str) -> Iterator[tuple[str, object, str]]:
    """Options of a registered controller: name, default, meaning.

    Raises KeyError for an option that the code does not explain.
    """
    factory = CONTROLLERS[name]
    factory = factory.load() if isinstance(factory, Lazy) else factory
    build, argument = getattr(factory, "build", factory), getattr(factory, "argument", None)
    docs = field_docs(build) if dataclasses.is_dataclass(build) else argument_docs(build)
    for each in inspect.signature(build).parameters.values():
        if each.kind is not each.KEYWORD_ONLY:
            continue
        meaning = (
            docs[each.name] if each.name in docs or name not in SETTINGS else OWN[each.name]
        )
        if argument is not None and argument.option == each.name:
            meaning += f" Also written `{argument.usage}`."
        yield each.name, each.default, meaning
    for field in dataclasses.fields(SETTINGS[name]) if name in SETTINGS else ():
        default = field.default
        yield field.name, default, field_docs(SETTINGS[name])[field.name]


OWN = {
    "preset": "Name of a set of settings: damped, image, voxels or literal.",
    "reward": (
        "What the agent is paid: the negative of |L_G − L_D| (`loss_gap`), of the same over |L_G| + |L_D| "
        "(`normalised_gap`) or of twice the distance of D's accuracy from ½ (`accuracy_gap`); or by how much the "
        "distance to validation data fell (`quality_gain`)."
    ),
}
"""Parameters of factories whose docstrings explain them in prose."""


def parameters(page: str) -> str:
    """Every option of a page's controllers with its default."""
    rows = []
    for name in PAGES[page]:
        for option, default, meaning in options_of(name):
            shown = "–" if default is inspect.Parameter.empty else f"`{_plain(default)!r}`"
            rows.append((f"`{name}`", f"`{option}`", shown, meaning))
    if not rows:
        return "It has none.\n"
    alone = len(PAGES[page]) == 1 or len({row[0] for row in rows}) == 1
    heads = ("controller", "option", "default", "meaning")
    return table(heads[alone:], (row[alone:] for row in rows))


def _plain(value: object) -> object:
    return (
        float(f"{value:.3g}")
        if isinstance(value, float)
        else (tuple(map(_plain, value)) if isinstance(value, tuple) else value)
    )


# -- what was measured --------------------------------------------------------------------------------------------


@cache
def blocks_of(folder: str) -> list[Block]:
    """The committed rows of a benchmark by configuration."""
    return make_blocks(read_rows(RESULTS / folder))


@cache
def ranking_of(folder: str):
    """Its ranking."""
    return rank(blocks_of(folder), BASELINE)


SUITES = {
    "lr-robustness": (
        "Range of base rates",
        "[`lr-robustness`](../../benchmarks/results/lr-robustness/README.md): four games, seven rates, "
        "ten paired seeds",
    ),
    "dynamic-gda-table-1": (
        "The thesis' table",
        "[`dynamic-gda-table-1`](../../benchmarks/results/dynamic-gda-table-1/README.md): "
        "eight losses, four games, ten paired seeds",
    ),
}
DIGITS = "[`digits`](../../benchmarks/results/train-digits/table.txt) at 2e-3, 16 paired seeds"


def measured(page: str) -> str:
    """Where a page's controllers came out in the committed comparisons."""
    rows = []
    names = ROW_NAMES.get(page, PAGES[page])
    (digits,) = blocks_of("train-digits")
    for name in names:
        for folder, (_, what) in SUITES.items():
            found = ranking_of(folder)
            if name in found.controllers:
                at = found.controllers.index(name)
                rows.append((
                    what, f"`{name}`", f"rank {told(found.ranks[at])} of {len(found.controllers)}",
                    "" if name == BASELINE else f"p = {p_value(found.baseline_p[at])}".replace("= <", "<"),
                    f"{found.failures[at]} of {found.runs[at]}",
                ))  # fmt: skip
        if name in digits.controllers:
            rows.append(
                (
                    DIGITS,
                    f"`{name}`",
                    told(mean_score(digits, name)),
                    _gap(digits, name),
                    _failed([digits], name),
                )
            )
    order = [DIGITS, *(what for _, what in SUITES.values())]
    rows.sort(key=lambda row: order.index(row[0]))
    if not rows:
        return "No committed comparison has rows of it yet.\n"
    return table(
        ("comparison", "controller", "score or rank [95 %]", "against `sim-gda`", "failed"),
        rows,
    )


def _gap(block: Block, name: str) -> str:
    gap = None if name == BASELINE else score_differences(block, name, BASELINE)
    return "" if gap is None else told(mean_interval(gap))


def _failed(blocks: Sequence[Block], name: str) -> str:
    scores = np.concatenate([block.of(name, imputed=False) for block in blocks])
    return f"{int(np.isinf(scores).sum())} of {int((~np.isnan(scores)).sum())}"


# -- the scoreboard -----------------------------------------------------------------------------------------------


def _seconds(rows: Iterable[Row]) -> str:
    return number(float(np.mean([row["wall_s"] for row in rows])))


def _trained(name: str) -> Row | None:
    """What a trained agent's file says of its training; None for other controllers."""
    file = AGENTS / f"{name}.safetensors"
    return dict(load_controller(file).spec.provenance) if file.is_file() else None


def _spent(folder: str, name: str) -> str:
    """Runs that choosing or training a controller took."""
    if name in ("best-constant", "best-schedule"):
        rows = [
            row
            for block in blocks_of(folder)
            for row in block.rows
            if name in row.get("selection_updates", {})
        ]
        runs = np.mean([row["selection_updates"][name] / row["updates"] for row in rows])
        return f"{runs:.0f} runs a configuration"
    if (provenance := _trained(name)) is not None:
        return f"{provenance['decisions']:,} decisions, once"
    if folder == "train-digits" and name == "fsco (meta)":
        return f"{read_config(RESULTS / folder)['decisions']:,} decisions, once"
    return "learns in the run" if is_embedded(name) else "0"


def _order(names: Iterable[str], folder: str) -> list[str]:
    """Contestants by rank, then those that are not ranked."""
    ranked = [name for name in ranking_of(folder).controllers if name in names]
    return [*ranked, *sorted(name for name in names if name not in ranked)]


def board_rates() -> str:
    """Scores of `lr-robustness`: the area of each game, the rank over all."""
    blocks, found = blocks_of("lr-robustness"), ranking_of("lr-robustness")
    areas: dict[str, dict[str, Interval]] = {}
    failed: dict[str, int] = {}
    for curve in rate_curves(blocks):
        areas.setdefault(curve.controller, {})[curve.family.split(",")[0]] = curve.area
        failed[curve.controller] = failed.get(curve.controller, 0) + curve.imputed
    games = list(dict.fromkeys(game for each in areas.values() for game in each))
    rows = []
    rows_of = by_controller(row for block in blocks for row in block.rows)
    for name in _order(areas, "lr-robustness"):
        ranked = name in found.controllers
        rows.append((
            f"`{name}`", told(found.ranks[found.controllers.index(name)]) if ranked else "not ranked",
            *(told(areas[name].get(game)) for game in games), f"{failed[name]} of {len(rows_of[name])}",
            _spent("lr-robustness", name), _seconds(rows_of[name]),
        ))  # fmt: skip
    heads = (
        "controller",
        "average rank [95 %]",
        *(f"`{game}`" for game in games),
        "failed",
        "tuning",
        "s a run",
    )
    return table(heads, rows)


def board_digits() -> str:
    """Scores of `make train`."""
    (block,) = blocks_of("train-digits")
    rows_of = by_controller(block.rows)
    names = sorted(
        block.controllers, key=lambda name: (is_embedded(name), mean_score(block, name).value)
    )
    rows = [
        (f"`{name}`", told(mean_score(block, name)), _gap(block, name), _failed([block], name),
         _spent("train-digits", name), _seconds(rows_of[name]))
        for name in names
    ]  # fmt: skip
    return table(
        (
            "controller",
            "Fréchet distance [95 %]",
            "minus `sim-gda`",
            "failed",
            "tuning",
            "s a run",
        ),
        rows,
    )


def board_orders() -> str:
    """Ranks of the thesis' table."""
    blocks, found = blocks_of("dynamic-gda-table-1"), ranking_of("dynamic-gda-table-1")
    rows_of = by_controller(row for block in blocks for row in block.rows)
    lowest = [found.controllers[int(np.argmin(medians))] for medians in found.medians.values()]
    rows = [
        (f"`{name}`", told(found.ranks[at]), f"{lowest.count(name)} of {len(lowest)}",
         f"{found.failures[at]} of {found.runs[at]}", _spent("dynamic-gda-table-1", name), _seconds(rows_of[name]))
        for at, name in enumerate(found.controllers)
    ]  # fmt: skip
    return table(
        ("controller", "average rank [95 %]", "lowest median", "failed", "tuning", "s a run"),
        rows,
    )


def trained_agents() -> str:
    """The committed files of trained agents, and where they came out."""
    rows = []
    found = ranking_of("lr-robustness")
    for file in sorted(AGENTS.glob("*.safetensors")):
        if file.stem.endswith("-replay"):
            continue
        agent = load_controller(file)
        made, name = agent.spec.provenance, file.stem
        rank_there = (
            told(found.ranks[found.controllers.index(name)])
            if name in found.controllers
            else "–"
        )
        rows.append((
            f"[`{file.name}`](../benchmarks/agents/README.md)", agent.name, f"`{agent.spec.control}`",
            f"`{made['task']}`, {made['loss']}", f"`{made['reward']}`", f"{made['decisions']:,}",
            f"{file.stat().st_size / 1e3:.0f} kB", rank_there,
        ))  # fmt: skip
    heads = (
        "file",
        "agent",
        "decides",
        "trained on",
        "reward",
        "decisions",
        "size",
        "rank in `lr-robustness`",
    )
    return table(heads, rows)


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Markdown of a table; a bar or a line's end within a cell is made harmless."""
    lines = [list(heads), *(list(row) for row in rows)]
    cells = [
        [
            re.sub(r"\s*\n\s*", " ", str(cell)).replace("|", "\\|").replace("V*", "V\\*")
            for cell in line
        ]
        for line in lines
    ]
    cells.insert(1, ["---"] * len(cells[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


TABLES: dict[str, Callable[[], str]] = {
    **{f"parameters-{page}": partial(parameters, page) for page in PAGES},
    **{f"measured-{page}": partial(measured, page) for page in PAGES},
    "board-rates": board_rates,
    "board-digits": board_digits,
    "board-orders": board_orders,
    "trained-agents": trained_agents,
}
