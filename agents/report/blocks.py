"""Reads and checks the rows of a run, and arranges them as one block of scores per configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gan_env.io.files import is_there, open_lines, read_json, shown

from ..comparison.own_settings import own_settings
from ..comparison.row_checks import finite, read_row
from ..comparison.rows import Row
from ..registry import is_embedded, is_registered

CONFIG_FIELDS = (
    "task", "loss", "d_lr", "g_lr", "optimizer", "batch_size", "order", "updates", "updates_per_step", "d_loss_scale",
    "reward", "normalise", "quality_every", "dtype", "split", "part", "annealing",
)  # fmt: skip
"""Fields that define a configuration; controllers and seeds are compared within one."""
MOST_CONFIGURATIONS, MOST_CONTROLLERS = 1_000, 200
"""Most configurations, and controllers, that a report compares; the largest of ours has 32 and 40."""
_FILE = re.compile(r"([a-z]{2,}:)?(.+)\.safetensors( ?\(.*\))?")
"""The name of a controller that was loaded from a file: its kind, the path, its options."""


def read_rows(folder: Path) -> list[Row]:
    """Reads and checks the rows of `folder/rows.jsonl` (or `rows.jsonl.gz`).

    Raises:
        ValueError: If there is no such file, a line is not a row, or the benchmark's last group is incomplete; the
            message names the line.
    """
    path = next((p for p in (folder / "rows.jsonl", folder / "rows.jsonl.gz") if is_there(p)), None)
    if path is None:
        raise ValueError(f"{str(folder)!r} holds no rows.jsonl; name a folder that gan-env bench or train wrote")
    rows, first = [], {}
    try:
        with open_lines(path) as lines:
            for number, line in enumerate(lines, 1):
                row = read_row(line, f"{path.name} line {number}")
                cell = (_config_key(row), row["controller"], row["seed"])
                if cell in first:
                    raise ValueError(
                        f"{path.name} line {number}: the same configuration, controller {row['controller']!r} and "
                        f"seed {row['seed']} as line {first[cell]}; delete one of the two"
                    )
                first[cell] = number
                rows.append(row)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text ({error.reason}); write it anew") from error
    if not rows:
        raise ValueError(f"{str(path)!r} is empty; let gan-env bench finish a cell first")
    _check_size(rows, path.name)
    _check_last_group(rows, read_config(folder), path.name)
    return with_short_names(rows)


def _check_size(rows: list[Row], name: str) -> None:
    """Raises ValueError for more than a report can compare in minutes: its tests look at every pair."""
    for most, what, found in (
        (MOST_CONFIGURATIONS, "configurations", {_config_key(row) for row in rows}),
        (MOST_CONTROLLERS, "controllers", {row["controller"] for row in rows}),
    ):
        if len(found) > most:
            raise ValueError(f"{name}: holds {len(found):,} {what}, and {most:,} are the most for a report; split it")


def with_short_names(rows: list[Row]) -> list[Row]:
    """Calls controllers from files by as much of the path as tells them from all others."""
    names = _short_names(list(dict.fromkeys(row["controller"] for row in rows)))
    return [{**row, "controller": names[row["controller"]]} for row in rows]


def is_agents_file(row: Row) -> bool:
    """Tells whether a row's controller is a trained agent from a file: what it runs as ends with that file's hash."""
    pinned = str(row.get("runs_as", "")).rpartition(" ")[2]
    return not row.get("replay_of") and pinned in dict(row.get("files") or {}).values()


def _check_last_group(rows: list[Row], config: dict[str, Any], name: str) -> None:
    """Raises ValueError if a benchmark was stopped while it wrote its last group, even exactly at a line's end.

    A group holds the same seeds for every controller of a part that `config` does not list as undefined, and that
    changes the same settings of the game.
    """
    last = [row for row in rows if row.get("group") == rows[-1].get("group")]
    games: dict[str, list[Row]] = {}
    for row in last:
        games.setdefault(_config_key(row), []).append(row)
    for game in games.values():
        if (expected := _planned_controllers(config, game[0])) is None:
            continue
        runs = [len(group) for group in by_controller(game).values()]
        if len(runs) < expected or len(set(runs)) > 1:
            raise ValueError(
                f"{name}: the last group is incomplete ({len(runs)} of {expected} controllers in the last {len(last)} "
                "lines), because the benchmark was stopped while it wrote; go on with gan-env bench --out DIR, or "
                "delete these lines"
            )


def _planned_controllers(config: dict[str, Any], row: Row) -> int | None:
    """Counts the controllers that a benchmark's configuration plans for a row's game; None if it does not name it."""

    def same(undefined: dict[str, str]) -> bool:  # but for arguments after a colon
        return all(undefined[k].partition(":")[0] == row[k].partition(":")[0] for k in ("part", "task", "loss"))

    try:
        for part in config.get("parts", []):
            if part["name"] == row.get("part"):
                planned = set(part["controllers"]) - {u["controller"] for u in config["undefined"] if same(u)}
                return sum(own_settings(name) == own_settings(row["controller"]) for name in planned)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"config.json is not a benchmark's ({error!r}); repair or remove it") from error
    return None


def by_controller(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Groups rows by controller, in order of first appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["controller"], []).append(row)
    return groups


def scores(rows: Iterable[Row]) -> np.ndarray:
    """Returns the scores of the rows that did not fail."""
    return np.array([row["score"] for row in rows if row["status"] == "ok"])


def ranked(rows: list[Row]) -> list[str]:
    """Sorts controllers by failures, then by mean score, best first; those trained online come last."""
    groups = by_controller(rows)

    def order(name: str) -> tuple[bool, int, float]:
        found = scores(groups[name])
        return is_embedded(name), len(groups[name]) - len(found), float(found.mean()) if len(found) else np.inf

    return sorted(groups, key=order)


def paired_difference(rows: list[Row], first: str, second: str, field: str) -> np.ndarray:
    """Subtracts `field` of `second` from that of `first`, seed by seed, over the seeds that both were run on."""
    groups = by_controller(rows)
    other = {row["seed"]: row[field] for row in groups[second]}
    pairs = [(row[field], other[row["seed"]]) for row in groups[first] if row["seed"] in other]
    return np.array([a - b for a, b in pairs if a is not None and b is not None])


def _short_names(names: list[str]) -> dict[str, str]:
    """Shortens the names of controllers from files to the end of the path, as far as names stay distinct."""
    files = {name: found.groups("") for name in names if (found := _FILE.fullmatch(name))}
    others = {name for name in names if name not in files}
    for depth in range(1, 1 + max((len(Path(path).parts) for _, path, _ in files.values()), default=0)):
        short = {n: f"{k}{'/'.join(Path(path).parts[-depth:])}{o}" for n, (k, path, o) in files.items()}
        bare = {short[name] for name, (kind, _, _) in files.items() if not kind}
        if len({*short.values(), *others}) == len(names) and not any(map(is_registered, bare)):
            return {name: short.get(name, name) for name in names}
    return {name: name for name in names}


def read_config(folder: Path) -> dict[str, Any]:
    """Reads `folder/config.json`; {} where there is none. ValueError if it is not a JSON object."""
    path = folder / "config.json"
    if not is_there(path):
        return {}
    try:
        config = shown(read_json(path))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not JSON ({error}); repair or remove it") from error
    if not isinstance(config, dict):
        raise ValueError(f"{str(path)!r} holds no JSON object; repair or remove it")
    return config


def _config_key(row: Row) -> str:
    return json.dumps([row.get(name) for name in CONFIG_FIELDS], sort_keys=True)


@dataclass(frozen=True)
class Block:
    """One configuration with every controller's runs; lower scores are better."""

    label: str
    """Names it among the other configurations."""
    controllers: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: list[Row]
    scores: np.ndarray
    """(controllers, seeds): infinite where a run failed, NaN where there is none."""

    @property
    def facts(self) -> Row:
        """Any row, for the fields that all rows of the configuration share."""
        return self.rows[0]

    @cached_property
    def imputed(self) -> np.ndarray:
        """Scores with failures replaced by the larger of the worst finite score and the untrained generator's.

        Rows of earlier versions lack the latter (`untrained_score`). Failures stay infinite if there is neither.
        """
        known = [float(s) for s in self.scores[np.isfinite(self.scores)]]
        known += [float(row["untrained_score"]) for row in self.rows if finite(row.get("untrained_score"))]
        return np.where(np.isinf(self.scores), max(known, default=np.inf), self.scores)

    def of(self, controller: str, *, imputed: bool) -> np.ndarray:
        """Returns the scores of a controller on every seed, (seeds,); NaN where there is no run."""
        if controller not in self.controllers:
            return np.full(len(self.seeds), np.nan)
        return (self.imputed if imputed else self.scores)[self.controllers.index(controller)]

    def common(self, controllers: Iterable[str]) -> np.ndarray:
        """Marks the seeds that all of the controllers were run on, (seeds,) bool."""
        return np.all([~np.isnan(self.of(name, imputed=False)) for name in controllers], axis=0)


def make_blocks(rows: list[Row]) -> list[Block]:
    """Arranges rows by configuration: tasks and losses in order of first appearance, then by rate.

    Workers finish configurations in any order, so a file's own order means nothing.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_config_key(row), []).append(row)
    tasks, losses = (
        {name: i for i, name in enumerate(dict.fromkeys(r[kind] for r in rows))} for kind in ("task", "loss")
    )

    def order(group: list[Row]) -> tuple[float, ...]:
        first = group[0]
        return tasks[first["task"]], losses[first["loss"]], first["d_lr"], first["g_lr"]

    groups = sorted(found.values(), key=order)
    labels = _labels([group[0] for group in groups])
    return [_block(label, group) for label, group in zip(labels, groups, strict=True)]


def _block(label: str, rows: list[Row]) -> Block:
    controllers = tuple(dict.fromkeys(row["controller"] for row in rows))
    seeds = tuple(sorted({row["seed"] for row in rows}))
    line, column = {c: i for i, c in enumerate(controllers)}, {s: j for j, s in enumerate(seeds)}
    found = np.full((len(controllers), len(seeds)), np.nan)
    for row in rows:
        found[line[row["controller"]], column[row["seed"]]] = row["score"] if row["status"] == "ok" else np.inf
    return Block(label, controllers, seeds, rows, found)


def _labels(firsts: list[Row]) -> list[str]:
    """Labels configurations by task, loss and the other settings in which they differ; no two labels are the same."""
    settings = [_settings(first) for first in firsts]
    varying = [n for n in dict.fromkeys(n for own in settings for n in own) if _distinct(settings, [n]) > 1]
    if all(f["d_lr"] == f["g_lr"] for f in firsts):
        varying = [n for n in varying if n != "g_lr"]

    names: list[str] = ["task", "loss"]
    for name in varying:
        if name not in names and _distinct(settings, [*names, name]) > _distinct(settings, names):
            names.append(name)

    def shown(name: str, value: Any) -> str:
        if name in ("d_lr", "g_lr"):
            return f"{'rate' if 'g_lr' not in names else name} {value:g}"
        text = f"({', '.join(map(str, value))})" if isinstance(value, list) else str(value)
        return f"{name} {text}"[:60]

    labels = [", ".join([f["task"], f["loss"], *(shown(n, f.get(n)) for n in names[2:])]) for f in settings]
    twice = {label for label in labels if labels.count(label) > 1}  # cut off, or settings that look alike
    return [f"{label} [{i}]" if label in twice else label for i, label in enumerate(labels)]


def _settings(row: Row) -> dict[str, Any]:
    """Returns the fields that define a configuration, those of a record one by one: "betas" of the optimiser."""
    found: dict[str, Any] = {}
    for name in CONFIG_FIELDS:
        value = row.get(name)
        parts = value if isinstance(value, dict) else {"name": value}
        for part, own in parts.items():
            found[name if part == "name" else f"{name} {part}" if part in found else part] = own
    return found


def _distinct(settings: list[dict[str, Any]], names: list[str]) -> int:
    """Counts the configurations that these settings distinguish."""
    return len({json.dumps([own.get(name) for name in names], sort_keys=True) for own in settings})
