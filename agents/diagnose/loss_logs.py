"""Logs of losses as people have them: CSV, JSON, JSON lines, or the lines that a training loop printed."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan_env.io.files import parsed_json

LEAST = 20
"""Rows with both losses that anything can be said of."""
PLAYERS = {
    "d": {"d", "dis", "disc", "discriminator", "critic", "netd"},
    "g": {"g", "gen", "generator", "netg"},
}
STDIN = Path("-")
_LOSS = {"loss", "losses", "err", "error", "cost"}
_OTHER = {
    "val", "valid", "validation", "test", "eval", "lr", "rate", "grad", "gradient", "norm", "acc", "accuracy", "gp",
    "penalty", "reg", "x", "z", "l1", "l2", "pixel", "cycle", "identity", "vgg", "content", "real", "fake",
}  # fmt: skip
"""In the name of a column that holds something else than a player's whole loss in training."""
_COUNTS = ("update", "step", "iteration", "iter", "it", "batch", "epoch")
_GLUED = re.compile(r"(loss|err)?(netd|netg|disc|dis|gen|d|g)(loss|err)?")


@dataclass(frozen=True)
class LossLog:
    """Both players' losses, update by update."""

    source: str
    d_column: str
    """What D's loss was read from, as the log calls it."""
    g_column: str
    update: np.ndarray
    """(n,): what the log counts, or the number of the row."""
    d: np.ndarray
    """(n,) float64, as logged; NaN and infinity where the log says so."""
    g: np.ndarray


def read_losses(path: Path, d_column: str | None = None, g_column: str | None = None) -> LossLog:
    """The losses in a log.

    Args:
        path: CSV with a header (commas, semicolons or tabs), JSON, JSON lines, or text with `Loss_D: 0.5 Loss_G: 2.1`;
            "-" reads standard input to its end.
        d_column: Name of D's loss, where none of the usual ones is found.
        g_column: The same of G's.

    Raises:
        ValueError: If a loss is not found (the columns that are there are named), is no number, or there are fewer than
            `LEAST` rows.
        OSError: If the file cannot be read.
    """
    source = "standard input" if path == STDIN else str(path)
    rows = _rows(source, sys.stdin.buffer.read() if path == STDIN else _content(path))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {
        "d": _chosen(source, names, rows, "d", d_column),
        "g": _chosen(source, names, rows, "g", g_column),
    }
    held: dict[str, float] = {}
    found = []
    count = next((name for word in _COUNTS for name in names if _words(name)[-1:] == [word]), None)
    for number, row in enumerate(rows):
        for player, parts in columns.items():
            values = [_number(source, number, name, row.get(name)) for name in parts]
            if None not in values:
                held[player] = float(sum(value for value in values if value is not None))
        if len(held) == 2 and any(row.get(name) not in (None, "") for parts in columns.values() for name in parts):
            at = _number(source, number, count, row.get(count)) if count else None  # a player's loss may stand in
            found.append((number + 1 if at is None else at, held["d"], held["g"]))  # a row of its own
    if len(found) < LEAST:
        raise ValueError(f"{source} holds {len(found)} rows with both losses; {LEAST} are needed to say anything")
    update, d, g = np.array(found, np.float64).T
    if not (np.diff(update) > 0).all():  # an epoch, or a batch that starts again in each
        update = np.arange(1, len(found) + 1, dtype=np.float64)
    return LossLog(source, " + ".join(columns["d"]), " + ".join(columns["g"]), update, d, g)


def player_of(name: str) -> str:
    """Whose loss in training a column of this name holds: "d" or "g", or "" if neither's."""
    words = _words(name)
    found = [player for player, known in PLAYERS.items() if known & set(words)]
    return found[0] if len(found) == 1 and _LOSS & set(words) and not _OTHER & set(words) else ""


def _words(name: str) -> list[str]:
    """The words of a name: `lossD`, `loss_D`, `train/D-loss` and `dloss` all have "loss" and "d"."""
    words = re.findall(r"[a-z]+\d?", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    parts = []
    for word in words:
        glued = _GLUED.fullmatch(word)
        parts += [part for part in glued.groups() if part] if glued else [word]
    return parts


def _chosen(source: str, names: Sequence[str], rows: list[dict[str, Any]], player: str, given: str | None) -> list[str]:
    """The columns whose sum is a player's loss."""
    if given is not None:
        if given not in names:
            raise ValueError(f"{source} has no column {given!r}; it has {_listed(names)}")
        return [given]

    def worth(name: str) -> tuple[int, int]:
        return -len(_words(name)), sum(row.get(name) not in (None, "") for row in rows)

    if fit := [name for name in names if player_of(name) == player]:
        return [max(fit, key=worth)]
    if player == "d":
        halves = [[n for n in names if _half_of_d(n, side)] for side in ("real", "fake")]
        if all(halves):
            return [max(each, key=worth) for each in halves]
    who = {"d": "discriminator", "g": "generator"}[player]
    raise ValueError(
        f"{source}: no column is named like the {who}'s loss (loss_{player}, {player}_loss, {who}_loss, err"
        f"{player.upper()}, ...); it has {_listed(names)}. Name it: --{player}-column NAME"
    )


def _half_of_d(name: str, side: str) -> bool:
    words = set(_words(name))
    return side in words and bool(words & PLAYERS["d"]) and bool(words & _LOSS) and not words & _OTHER - {side}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
    return shown or "no columns at all"


def _number(source: str, row: int, name: str | None, value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = value.strip().removeprefix("tensor(").removesuffix(")")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{source}, row {row + 1}: {name}={value!r} is no number") from None


# -- kinds of files -----------------------------------------------------------------------------------------------


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the file with the losses")
    return path.read_bytes()


def _rows(source: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of a log, each by name; none where there is nothing of the kind."""
    if b"\0" in content[:4096]:
        raise ValueError(f"{source} is no text; save the losses as CSV or JSON lines, with a column for each player")
    text = content.decode("utf-8-sig", "replace")
    readers: tuple[Callable[[str], list[dict[str, Any]]], ...] = (_json, _json_lines, _table, _printed)
    for reader in readers:
        if rows := reader(text):
            return rows
    raise ValueError(
        f"{source} holds no losses: neither CSV with a header, JSON, JSON lines, nor 'Loss_D: 0.5' in lines"
    )


def _json(text: str) -> list[dict[str, Any]]:
    """A list of records, or a record of lists."""
    try:
        held = parsed_json(text) if text.lstrip()[:1] in ("[", "{") else None
    except ValueError:
        return []
    if isinstance(held, dict):
        lists = {str(name): values for name, values in held.items() if isinstance(values, list)}
        length = max(map(len, lists.values()), default=0)
        return [{name: values[i] for name, values in lists.items() if i < len(values)} for i in range(length)]
    return [row for row in held if isinstance(row, dict)] if isinstance(held, list) else []


def _json_lines(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in text.splitlines():
        if line.lstrip()[:1] == "{":
            try:
                rows.append(parsed_json(line))
            except ValueError:
                continue  # the last one of a log that is being written
    return rows


def _table(text: str) -> list[dict[str, Any]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(",;\t", key=first.count)
    if not first.count(mark) or re.search(r"[:=]\s*[-+\d.]", first):  # that is how loops print
        return []
    return list(csv.DictReader(io.StringIO(text.lstrip()), delimiter=mark, skipinitialspace=True, restkey="more"))


_PAIR = re.compile(
    r"([A-Za-z][\w/.() -]*?)\s*[:=]\s*(?:tensor\()?([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|nan|inf))", re.I
)


def _printed(text: str) -> list[dict[str, Any]]:
    """Lines such as `[0/5][50/1583]  Loss_D: 0.3  Loss_G: 4.2  D(x): 0.9`."""
    rows = [{name.strip(): value for name, value in _PAIR.findall(line)} for line in text.splitlines()]
    return [row for row in rows if any(player_of(name) for name in row)]
