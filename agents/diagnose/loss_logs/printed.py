"""Reads printed lines of a training loop: `[0/5][50/1583]  Loss_D: 0.3  Loss_G: 4.2`, `loss_g=0.5`, `Loss_D 1.3 (1.4)`.

Each number of a line is named by the words right before it. What separates a name from its number may be a colon, an
equals sign, a bar, a bracket or a blank; another number, a comma or a bracket ends what a name can reach back to, so
that counters such as `Epoch 3 Batch 7` are no part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from .names import COUNTS, PLAYERS, is_validation, words_of
from .table import Table, decimal_commas, number, unwrapped

_TOKEN = re.compile(
    r"(?<![\w.])(?P<number>[-+]?(?:\d(?:[\d.,]*\d)?|\.\d+)(?:[ef][-+]?\d+)?)(?!\w|[.,]\d)"
    r"|(?<![\w.])(?P<special>[-+]?(?:nan|inf|infinity))(?!\w)"
    r"|(?<![\w.])(?P<none>None|null|N/A|n/a|--+)(?!\w)",
    re.IGNORECASE,
)
_WORD = r"(?:[^\W\d][\w/.'()\-]*|\([^\W\d]\w*\))"
_NAME = re.compile(rf"(?<![^\s,;|>\[\](){{}}\"'*:=])({_WORD}(?: {_WORD})*)$")
_SEPARATOR = re.compile(r"\s*(?:[:=|：→]|->|=>|(?<=\s)[-–—]|\bis|\bwas|\bof)?\s*$")
_LEVEL = re.compile(r"^.*\b(?:TRACE|DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)\b")
_COUNT = rf"(?:{'|'.join(sorted(COUNTS, key=len, reverse=True))}|iterations|batches|epochs|kimg)"
_BEFORE_VALUE = r"(?= {0,3}(?:=|[:：](?=\s)) {0,3}(?:[-+]?[.\d]|[-+]?nan|[-+]?inf))"
_COUNTER = re.compile(
    rf"(?<=[^\W\d])[ (\[]{{0,3}}(?:@|\b(?:at|after|in|for|on|of) (?:the )?(?:{_COUNT})?|\b{_COUNT})"
    rf"[ #_]?\d[\d,]*(?:/\d+)? ?(?:{_COUNT}\b)?[)\]]?{_BEFORE_VALUE}",
    re.IGNORECASE,
)
"""The counter in `D loss at step 100: 0.5`, `D loss (epoch 3) = 0.5` or `D loss after 100 iterations: 0.5`."""
_ORDINAL = re.compile(
    rf"(?<!\w)(?!{_COUNT}\b)([^\W\d][\w./-]*)[ (\[]{{1,2}}(\d{{1,9}})[)\]]?{_BEFORE_VALUE}", re.IGNORECASE
)
"""A name and the number that belongs to it, in `loss D 1: 0.5` or `d_loss[100]: 0.5`."""
_FURTHER = re.compile(r"\s*[,/]?\s*")
_REACH = 120
"""Characters before a number in which its name is searched."""
_LONGEST = 100_000
"""Most characters of a line that are read."""
_PLAYER = re.compile(r"(?<![\w.])(" + "|".join(sorted({*PLAYERS["d"], *PLAYERS["g"]})) + r")(?!\w)", re.IGNORECASE)
_MLFLOW = ("Wall time", "Value", "Step")
"""Columns of a metric's file in MLflow's folders; the time is in milliseconds."""
_LABELLED = {"loss", "losses", "real", "fake", "error", "err", "cost", "adv", "total", "gan"}


def read_printed(lines: list[str]) -> Table:
    """Reads printed lines as a table with one row per line."""
    comma = decimal_commas(line[:_LONGEST] for line in islice(lines, 2_000))
    table = Table()
    for line in lines:
        for name, value, listed, mark in _pairs(line[:_LONGEST], comma):
            table.put(table.rows, name, value)
            if listed:
                table.lists.add(name)
            if mark:
                table.percents.add(name)
        table.rows += 1
    table.merge_counted()
    return table


def read_bare(lines: list[str]) -> Table:
    """Reads lines of numbers only as a table; columns are called `1`, `2`, ..."""
    comma = decimal_commas(line[:_LONGEST] for line in islice(lines, 2_000))
    table = Table()
    for line in lines:
        content = line[:_LONGEST].rpartition(":[")[2] if ":[" in line else line[:_LONGEST]
        values = [each for each in re.split(r"[\s;|\[\]()]+|[,:]\s+|,(?=[-+.\d]*\.)", content) if each]
        found = [number(each, comma) for each in values]
        if found and None not in found:
            named = _MLFLOW if len(found) == 3 and found[0] and found[0] > 1e12 else range(1, len(found) + 1)
            for column, value in zip(named, found, strict=True):
                table.put(table.rows, str(column), value)
        table.rows += 1
    return table


def _pairs(line: str, comma: bool) -> Iterator[tuple[str, float, bool, bool]]:
    """Returns the named numbers of a line, whether each is the first of a list, and whether it is in per cent."""
    line = _ORDINAL.sub(r"\1_\2", _COUNTER.sub("", unwrapped(line)))
    end, first, held_out, player = 0, "", None, ""
    further = 0
    for token in _TOKEN.finditer(line):
        gap, start = line[end : token.start()], end
        end = token.end()
        if token["none"]:
            first = ""
            continue
        text = token["number"] or token["special"]
        if first and further < 3 and start and _FURTHER.fullmatch(gap):  # as `D(G(z)): 0.4 / 0.3`
            further += 1
            value = number(text, comma)
            if value is not None:
                yield f"{first}[{further}]", value, False, False
            continue
        name, opened = _name(gap)
        further, first = 0, ""
        if not name:
            continue
        if held_out is None:
            held_out = is_validation(line[: token.start()][-_REACH:])
        name, player = _with_player(name, gap, player)
        if held_out and not is_validation(name):
            name = f"val {name}"
        value = number(text, comma)
        if value is None:  # `0.5,0.6` without a blank
            head, _, tail = text.partition(",")
            value = number(head, comma)
            if tail and number(tail.partition(",")[0], comma) is not None:
                opened = True
        if value is not None:
            first = name
            rest = line[token.end() : token.end() + 40]
            yield name, value, opened and bool(re.match(r"\s*,?\s*[-+.\d]", rest)), bool(re.match(r" ?%(?!\|)", rest))


@lru_cache(4_096)
def _name(gap: str) -> tuple[str, bool]:
    """Returns the name at the end of the text between two numbers, and whether a list begins after it."""
    text = gap[-_REACH:].rstrip()
    bare = text.rstrip("([ ")
    opened = "[" in text[len(bare) :]
    text = _SEPARATOR.sub("", bare).rstrip("\"' ")
    found = _NAME.search(_LEVEL.sub("", text))
    if found is None:
        return "", False
    name = found[1].strip("-. '")
    while name.count("(") < name.count(")"):  # of a bracket that was opened before
        name = name[:-1] if name.endswith(")") else name[name.rindex(")") + 1 :].strip()
    return name, opened


@lru_cache(4_096)
def _with_player(name: str, gap: str, player: str) -> tuple[str, str]:
    """Adds the player in the label before it to a name such as `loss`: `Discriminator: loss=0.5`, `D [loss: 0.5]`."""
    words = set(words_of(name))
    named = [label for label in PLAYERS if words & PLAYERS[label]]
    if named or not words & _LABELLED:
        if len(named) > 1:  # as of D(G(z)): what follows belongs to neither
            return name, ""
        found = _PLAYER.findall(name)
        return name, found[-1] if found else named[0].upper() if named else player
    labels = _PLAYER.findall(gap[-_REACH:])
    if labels:
        return f"{labels[-1]} {name}", labels[-1]
    return (f"{player} {name}", player) if player and words & {"real", "fake"} else (name, player)
