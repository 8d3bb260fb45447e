"""From a command line to a record: dataclasses are the options, the strings under their fields the help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from . import COMMANDS

T = TypeVar("T")


def read(record: type[T], command: str, arguments: Sequence[str], more: str = "") -> T:
    """The options of a command.

    Args:
        record: A dataclass.
        command: Its name.
        arguments: What stands behind the name.
        more: Help below the command's summary: what it does without options, and examples.
    """
    description = f"{COMMANDS[command].summary}\n\n{textwrap.dedent(more).strip()}".strip()
    return tyro.cli(record, prog=f"gan-env {command}", description=description, args=arguments)


def print_json(document: Any) -> None:
    """The one document that `--json` prints."""
    print(json.dumps(document, indent=2, default=str))


def progress(items: Iterable[T], what: str, *, quiet: bool = False) -> Iterable[T]:
    """The items, with a bar and the time left on a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc=what, disable=quiet or not sys.stderr.isatty(), leave=False)


def field_docs(record: type) -> dict[str, str]:
    """The string under each field of a dataclass: its documentation, and its option's help."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            docs[field.target.id] = str(text.value.value)
    return docs


def options_of(record: type, defaults: Any, types: dict[str, Any] | None = None) -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass as (name, type with help, default), with the types that a command line can read."""
    hints, docs = get_type_hints(record), field_docs(record)
    found = []
    for field in dataclasses.fields(record):
        kind = (types or {}).get(field.name, hints[field.name])
        if kind is not None:
            default = getattr(defaults, field.name)
            found.append(
                (field.name, Annotated[kind, tyro.conf.arg(help=docs[field.name])], dataclasses.field(default=default))
            )
    return found
