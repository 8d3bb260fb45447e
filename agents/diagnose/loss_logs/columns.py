"""Selects the columns of a table that contain the players' losses: by names, filled rows, and sums."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .names import Role, player_of, role_of
from .table import Table

Parts = tuple[str, ...]
"""Columns whose sum is a player's loss."""
_WHO = {"d": "discriminator", "g": "generator"}


@dataclass(frozen=True)
class Choice:
    """One discriminator and its generator."""

    which: str
    """Name of the discriminator (or run) in its columns, if there are several; else ""."""
    d: Parts
    g: Parts
    d_is: str
    """"sum" or "mean" where the log itself shows which of its halves D's loss is; "" where it does not."""
    notes: tuple[str, ...]
    """Uncertain choices that were made."""


class Unnamed(ValueError):
    """Raised if no column is a player's loss."""


def choose(source: str, table: Table, d_given: Sequence[str] = (), g_given: Sequence[str] = ()) -> list[Choice]:
    """Selects the columns of each discriminator's loss and of the matching generator's loss.

    Args:
        source: Name of the log in errors.
        table: Its columns.
        d_given: Names whose sum is D's loss, () to look for it.
        g_given: The same of G's.

    Raises:
        Unnamed: If there is no such column.
    """
    roles = _roles(table)
    notes: list[str] = []
    d = {"": named(source, table, d_given)} if d_given else _discriminators(source, table, roles, notes)
    g = {"": named(source, table, g_given)} if g_given else _generators(source, table, roles, notes)
    found = []
    for which, parts in d.items():
        own = g.get(which) or g.get("") or next(iter(g.values()))
        if which not in g and "" not in g and len(g) > 1:
            others = _listed([each for name, each in g.items() if g[name] is not own])
            notes.append(f"G's loss could also be {others}; say so by --g-column")
        d_is = "sum" if len(parts) == 2 and not d_given else _measured_sum(table, roles, which, parts)
        found.append(Choice(which if len(d) > 1 else "", parts, own, d_is, tuple(notes)))
    return found


def named(source: str, table: Table, given: Sequence[str]) -> Parts:
    """Finds the columns that the user named; `a+b` and `a,b` name two.

    Raises:
        Unnamed: If there is no such column.
    """
    known = [*table.names, *(name for name in table.odd if not table.count(name))]
    parts = []
    for text in given:
        whole = _matching(known, text)
        pieces = [text] if whole else [piece.strip() for piece in re.split(r"[+,]", text) if piece.strip()]
        for piece in pieces:
            name = _matching(known, piece)
            if name is None:
                raise Unnamed(f"{source} has no column {piece!r}; it has {listed(table)}")
            parts.append(name)
    return tuple(dict.fromkeys(parts))


def listed(table: Table) -> str:
    """Lists the columns of a table for a message."""
    return _listed([(name,) for name in table.names])


def _listed(columns: list[Parts]) -> str:
    shown = ", ".join(repr(" + ".join(each))[:80] for each in columns[:12]) + (", ..." if len(columns) > 12 else "")
    return shown or "no columns at all"


def _matching(known: list[str], text: str) -> str | None:
    """Finds the known name that a text means.

    That is the text itself, or else the only name with the same letters and digits, or the only one that ends so.
    """
    if text in known:
        return text
    for fold in (str.casefold, _letters):
        same = [name for name in known if fold(name) == fold(text)]
        if len(same) == 1 and fold(text):
            return same[0]
    last = [name for name in known if _letters(name).endswith(f"_{_letters(text)}")]
    return last[0] if len(last) == 1 and _letters(text) else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


# -- by name ------------------------------------------------------------------------------------------------------


def _roles(table: Table) -> dict[str, Role]:
    """Finds the columns that are losses of players by their names; for each player those that fill the most rows."""
    names = table.names
    found = {name: role for name in names if (role := role_of(name))}
    folded = {name.casefold(): name for name in names}
    for first, second in (("d1", "d2"), ("c1", "c2")):  # real and generated, in tutorials that print nothing more
        if first in folded and second in folded and "g" in folded:
            found[folded[first]] = Role("d", "real", "", True)
            found[folded[second]] = Role("d", "fake", "", True)
    for name in names:  # `loss_disc_fake_g` beside `loss_disc_fake`: the same of G
        stem = re.sub(r"[_./ -]g$", "", name, flags=re.IGNORECASE)
        if stem != name and stem in found and found[stem].player == "d":
            found[name] = Role("g", "adversarial", found[stem].which, True)
    most = {player: max((table.count(n) for n, r in found.items() if r.player == player), default=0) for player in "dg"}
    return {name: role for name, role in found.items() if table.count(name) >= most[role.player] / 2}


def _best(table: Table, roles: dict[str, Role], wanted: Role) -> str | None:
    """Selects the column of a role: that with the shortest name, and among equals that with the most rows."""

    def worth(name: str) -> tuple[int, int]:
        return len(re.findall(r"[A-Za-z]+", name)), -table.count(name)

    return min((name for name, role in roles.items() if role == wanted), key=worth, default=None)


def _discriminators(source: str, table: Table, roles: dict[str, Role], notes: list[str]) -> dict[str, Parts]:
    """Groups D's columns by discriminator."""
    found: dict[str, Parts] = {}
    halves: dict[str, Parts] = {}
    for which in dict.fromkeys(role.which for role in roles.values() if role.player == "d"):
        if name := _best(table, roles, Role("d", "whole", which, True)):
            found[which] = (name,)
        for said in (True, False):
            sides = [_best(table, roles, Role("d", side, which, said)) for side in ("real", "fake")]
            if which not in halves and all(sides):
                halves[which] = tuple(side for side in sides if side)
    for which, parts in halves.items():
        if which not in found:
            found[which] = parts
            if {_letters(name) for name in parts} in ({"d1", "d2"}, {"c1", "c2"}):
                notes.append(
                    f"{_listed([(name,) for name in parts])} are read as D's loss on real and on generated samples; if "
                    "they are two discriminators, name one: --d-column"
                )
    if not found:
        raise Unnamed(_none_named(source, table, "d"))
    return _of_each(table, found)


def _of_each(table: Table, found: dict[str, Parts]) -> dict[str, Parts]:
    """Returns separate discriminators if a whole is their sum; otherwise only the whole."""
    if "" not in found or len(found) == 1:
        return found
    whole = found.pop("")
    if len(found) > 1:
        held = _together(table, [whole[0], *(parts[0] for parts in found.values())])
        if len(held) and np.allclose(held[:, 0], held[:, 1:].sum(1), rtol=0.02, atol=1e-3):
            return found
    return {"": whole}


def _generators(source: str, table: Table, roles: dict[str, Role], notes: list[str]) -> dict[str, Parts]:
    """Groups G's columns by discriminator: the adversarial term if it is separate, else the whole loss."""
    found: dict[str, Parts] = {}
    for part, said in (("adversarial", True), ("whole", True), ("adversarial", False)):
        if found and not said:
            break
        for which in dict.fromkeys(role.which for role in roles.values() if role.player == "g"):
            name = _best(table, roles, Role("g", part, which, said))
            if name and which not in found:
                found[which] = (name,)
    if not found:
        raise Unnamed(_none_named(source, table, "g"))
    return found


def _none_named(source: str, table: Table, player: str) -> str:
    names, who = table.names, _WHO[player]
    if names == ["1"] or (any(name.casefold() == "value" for name in names) and len(names) <= 3):
        return (
            f"{source} holds one scalar, as TensorBoard exports it; give the files of both losses together: "
            "gan-env diagnose D.csv G.csv"
        )
    if names and all(name.isdigit() for name in names):
        return (
            f"{source} holds {len(names)} columns of numbers without names; say which is which, from 1: --d-column 1 "
            "--g-column 2"
        )
    return (
        f"{source}: no column is named like the {who}'s loss (loss_{player}, {player}_loss, {who}_loss, err"
        f"{player.upper()}, ...); it has {listed(table)}. Name it: --{player}-column NAME"
    )


# -- by numbers ---------------------------------------------------------------------------------------------------


def _together(table: Table, names: Sequence[str]) -> np.ndarray:
    """Returns values (rows, names) of the rows that have them all."""
    columns = [table.series(name) for name in names]
    rows = columns[0].at
    for column in columns[1:]:
        rows = np.intersect1d(rows, column.at, assume_unique=True)
    return np.stack([c.values[np.searchsorted(c.at, rows)] for c in columns], 1) if len(rows) else np.empty((0, 0))


def _measured_sum(table: Table, roles: dict[str, Role], which: str, whole: Parts) -> str:
    """Determines whether D's loss is the sum or the mean of its two halves in the log."""
    if len(whole) != 1:
        return ""
    for said in (True, False):
        sides = [_best(table, roles, Role("d", side, which, said)) for side in ("real", "fake")]
        if all(sides):
            held = _together(table, [whole[0], *(side for side in sides if side)])
            held = held[np.isfinite(held).all(1)] if len(held) else held
            if len(held) < 5:
                continue
            total, both = held[:, 0], np.abs(held[:, 1:]).sum(1)
            for sign in (1.0, -1.0):  # a critic's loss is the difference of its scores
                halves = held[:, 1] + sign * held[:, 2]
                near = 0.02 * both + 2e-3
                if (np.abs(total - halves) < near).mean() > 0.9:
                    return "sum" if (np.abs(total - halves / 2) > near).mean() > 0.5 else ""
                if (np.abs(total - halves / 2) < near).mean() > 0.9:
                    return "mean"
    return ""


def is_loss(name: str) -> bool:
    """Returns whether a column is a player's whole loss by its name."""
    return bool(player_of(name))
