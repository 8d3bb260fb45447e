"""Readers of machine-readable logs: JSON, Python dicts, and tables with a header line."""

from __future__ import annotations

import ast
import csv
import json
import re
import warnings
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from typing import Any

from gan_env.io.files import parsed_json

from .names import TAGS, is_validation
from .table import Table, decimal_commas, number, unwrapped

_SERIES = 8
"""Fewest numbers in a list for it to be a column instead of part of a row."""
_WIDEST = 20_000
"""Most characters of a line of a table."""
_BANNER = 5_000
"""Most lines before the header of a table."""
_LONGEST = 2**20
"""Most characters of a line that are parsed as Python."""
_SPECIAL = re.compile(r"(?<![\w'\"])([-+]?(?:nan|inf))(?![\w'\"])")
_RULE = re.compile(r"[\s|+:=\-\u2500-\u257f]*")
_OBJECT = re.compile(r"\{\s*\"")
_BLANKS = re.compile(r"\s{2,}|\t")


# -- JSON and Python ----------------------------------------------------------------------------------------------


def read_json(lines: list[str]) -> Table:
    """Reads JSON: one document, one per line, several in sequence, or one within each line of other text."""
    text = "\n".join(lines)
    rows = _list_of_lists(text)
    return Table.of(rows) if rows else _table(_documents(text))


def read_python(lines: list[str]) -> Table:
    """Reads dicts as Python prints them, one per line."""
    return _table(_dicts(lines))


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Yields every JSON object in a text, until failures have cost as much as reading it fifty times."""
    decoder, budget, start = json.JSONDecoder(), 50 * len(text) + 1_000_000, _OBJECT.search(text)
    while start is not None and budget > 0:
        at = start.start()
        try:
            held, at = decoder.raw_decode(text, at)
            if isinstance(held, dict):
                yield held
        except json.JSONDecodeError as error:  # which counts the lines before it
            budget -= error.pos + 20 * (error.pos - at)
            at += 1
        except RecursionError:
            budget -= 1_000_000
            at += 1
        start = _OBJECT.search(text, at)


def _dicts(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        start, end = line.find("{"), line.rfind("}")
        if start < 0 or end < start or end - start > _LONGEST:
            continue
        text = _SPECIAL.sub(r"'\1'", unwrapped(line[start : end + 1]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what only looks like Python
                held = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(held, dict):
            yield held


def _list_of_lists(text: str) -> list[dict[str, Any]]:
    """Reads rows of numbers only, as in TensorBoard's JSON export (wall time, step, value)."""
    if not re.match(r"\s*\[\s*\[", text):
        return []
    try:
        held = parsed_json(text)
    except ValueError:
        return []
    if not isinstance(held, list) or not all(isinstance(row, list) and len(row) == len(held[0]) for row in held):
        return []
    scalar = len(held[0]) == 3 and all(isinstance(row[0], (int, float)) and row[0] > 1e9 for row in held)
    names = ["Wall time", "Step", "Value"] if scalar else [str(i + 1) for i in range(len(held[0]))]
    return [dict(zip(names, row, strict=True)) for row in held]


def _table(documents: Iterator[dict[str, Any]]) -> Table:
    """Converts documents to rows; a document of columns is a separate table."""
    table = Table()
    for document in documents:
        for record in _records(document):
            columns = {name: values for name, values in _flat(record) if _is_series(values)}
            if columns:
                _put_columns(table, columns)
            else:
                _put_record(table, record)
    table.merge_counted()
    return table


def _records(held: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Returns the rows in a document: itself, or those of the list or dict of dicts in it."""
    for value in held.values():
        if isinstance(value, list) and len(value) > 1 and all(isinstance(each, dict) for each in value):
            yield from value
            return
    if len(held) >= _SERIES and all(isinstance(each, dict) for each in held.values()):
        if all(str(name).isdigit() for name in held):
            yield from ({"step": int(name)} | each for name, each in held.items())
            return
    yield held


def _flat(held: dict[Any, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Flattens nested dicts; joins names by points."""
    for name, value in held.items():
        if isinstance(value, dict) and depth < 8:
            yield from _flat(value, f"{before}{name}.", depth + 1)
        else:
            yield f"{before}{name}", value


def _is_series(values: Any) -> bool:
    return isinstance(values, list) and len(values) >= _SERIES and not any(isinstance(v, (str, dict)) for v in values)


def _put_columns(table: Table, columns: dict[str, list[Any]]) -> None:
    longest = max(map(len, columns.values()))
    for name, values in columns.items():
        spread = longest / len(values)
        if spread > 1:
            table.spread.add(name)
        for i, value in enumerate(values):
            if isinstance(value, list) and value:  # (step, value), or (wall time, step, value)
                value = value[-1]
            table.put(table.rows + int((i + 1) * spread) - 1, name, value)
    table.rows += longest


def _put_record(table: Table, record: dict[str, Any]) -> None:
    entries = list(_untidied(dict(islice(_flat(record), 1_000))).items())
    held_out = any(name in ("mode", "split", "phase", "stage") and is_validation(str(v)) for name, v in entries)
    for name, value in entries:
        if isinstance(value, bool):
            continue
        if isinstance(value, (list, tuple)):
            table.lists |= {name} if len(value) > 1 else set()
            value = next(iter(value), None)
        table.put(table.rows, f"val {name}" if held_out and not is_validation(name) else name, value)
    table.rows += 1


def _untidied(row: dict[str, Any]) -> dict[str, Any]:
    """Converts a row of one named number, such as `step,tag,value`, to a row with the number under that name."""
    folded = {name.casefold(): name for name in row}
    tag, value = next((folded[name] for name in folded if name in TAGS), None), folded.get("value")
    if tag is None or value is None or not isinstance(row[tag], str) or number(row[tag]) is not None:
        return row
    return {row[tag]: row[value]} | {name: each for name, each in row.items() if name not in (tag, value)}


# -- tables -------------------------------------------------------------------------------------------------------


def read_delimited(lines: list[str]) -> Table:
    """Reads the longest table with a header line, with any separator and any text before it."""
    found = [_delimited(lines, mark) for mark in (",", ";", "\t", "|", " / ", "blanks", "blank")]
    return max(found, key=lambda table: sum(map(table.count, table.names)))


def _fields(line: str, mark: str) -> list[str]:
    if len(line) > _WIDEST:
        return []
    if mark == "blank":
        return line.split()
    if mark == "blanks":
        return _BLANKS.split(line.strip())
    if mark == "|":
        line = line.replace("│", "|").replace("┃", "|").strip().strip("|")
    if '"' in line and mark in ",;\t":
        try:
            fields = next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
        except csv.Error:
            return []
        return [field.strip() for field in fields]
    return [field.strip() for field in line.split(mark)]


def _delimited(lines: list[str], mark: str) -> Table:
    """Reads rows below a header line with as many fields; another header may follow."""
    comma = decimal_commas(field for line in islice(lines, 2_000) for field in _fields(line, mark))
    table, names = Table(), []
    split = (_fields(line, mark) for line in lines if line and not _RULE.fullmatch(line))
    for count, (fields, following) in enumerate(pairwise(chain(split, [[]]))):
        if count > _BANNER and not names:
            break
        if len(fields) < 2:
            continue
        if header := _header(fields, following, comma):
            names = header
        elif len(fields) == len(names) and any(number(field, comma) is not None for field in fields):
            for name, field in _untidied(dict(zip(names, fields, strict=True))).items():
                if name:
                    table.put(table.rows, name, field, comma)
            table.rows += 1
    table.merge_counted()
    return table


def _header(fields: list[str], following: list[str], comma: bool) -> list[str]:
    """Returns the names of columns if a line is a header: no numbers, and as many fields as the rows below it."""
    if fields[0] in ("#", "%", "//"):
        fields = fields[1:]
    fields = [fields[0].lstrip("#% "), *fields[1:]]
    if len(following) == len(fields) + 1 and following[0].isdecimal():  # pandas and R leave the index without a name
        fields = ["", *fields]
    named = [field for field in fields if field]
    below = [field for field in following if field]
    numbers = sum(number(field, comma) is not None for field in below)
    if len(fields) != len(following) or len(named) < 2 or not numbers or numbers < len(below) / 2:
        return []
    return [] if any(number(field, comma) is not None for field in named) else fields
