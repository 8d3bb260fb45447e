"""Parses command lines into dataclasses: fields are the options, the strings under them the help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from gan_env.registry import unknown

from . import COMMANDS
from .wrapping import fitted

T = TypeVar("T")


def read(record: type[T], command: str, arguments: Sequence[str], more: str = "") -> T:
    """Parses the options of a command.

    Args:
        record: A dataclass.
        command: Its name.
        arguments: The arguments after the name.
        more: Help below the command's summary: its behaviour without options, and examples.
    """
    return tyro.cli(record, prog=f"gan-env {command}", description=description(command, more), args=arguments)


def description(command: str, more: str) -> str:
    """Returns what a command's help says above the options: its summary, and more, fitted to the terminal."""
    return fitted(f"{COMMANDS[command].summary}\n\n{textwrap.dedent(more).strip()}".strip())


def named_choices() -> ConstructorRegistry:
    """Makes errors for an invalid choice of an option suggest the nearest valid one, inside the block."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if get_origin(info.type) is not Literal:
            return None
        choices = get_args(info.type)

        def read(given: list[str]) -> str:
            if given[0] not in choices:
                raise unknown("choice", given[0], list(choices))
            return given[0]

        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="{" + ",".join(choices) + "}",
            instance_from_str=read,
            is_instance=lambda value: value in choices,
            str_from_instance=lambda value: [value],
        )

    return registry


def print_json(document: Any) -> None:
    """Prints a value as the JSON document of `--json`."""
    print(json.dumps(document, indent=2, default=str))


def progress(items: Iterable[T], what: str, *, quiet: bool = False) -> Iterable[T]:
    """Yields the items and shows a bar with the time left on a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc=what, disable=quiet or not sys.stderr.isatty(), leave=False)


def field_docs(record: type) -> dict[str, str]:
    """Returns the string under each field of a dataclass: its documentation, and the help of its option."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            docs[field.target.id] = " ".join(str(text.value.value).split())
    return docs


def options_of(
    record: type,
    defaults: Any,
    types: dict[str, Any] | None = None,
    helps: dict[str, str] | None = None,
    later: Sequence[str] = (),
) -> list[tuple[str, Any, Any]]:
    """Returns the fields of a dataclass as (name, type with help, default).

    Args:
        record: The dataclass.
        defaults: An instance that has the defaults.
        types: Replacements for types that a command line cannot parse; None leaves the field out.
        helps: Replacements for documentation that does not apply to a command line.
        later: Fields whose default is None, for the command chooses them later.
    """
    hints, docs = get_type_hints(record), field_docs(record) | (helps or {})
    found = []
    for field in dataclasses.fields(record):
        kind = (types or {}).get(field.name, hints[field.name])
        if kind is not None:
            default = None if field.name in later else getattr(defaults, field.name)
            found.append(option(field.name, kind, default, docs[field.name]))
    return found


def option(name: str, kind: Any, default: Any, help: str) -> tuple[str, Any, Any]:
    """Returns (name, type with help, default) of an option; where None is the default, the help does not show it."""
    metavar = _metavar(kind) if type(None) in get_args(kind) else None
    shown = tyro.conf.arg(help=help, metavar=metavar, help_behavior_hint="" if default is None else None)
    return name, Annotated[kind, shown], dataclasses.field(default=default)


def _metavar(kind: Any) -> str:
    """Writes what an option takes, without None.

    >>> _metavar(float | None), _metavar(Literal["a", "b"] | None), _metavar(tuple[int, ...] | None)
    ('FLOAT', '{a,b}', 'INT [INT ...]')
    """
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if get_origin(kind) is tuple:
        first, *rest = map(_metavar, (each for each in get_args(kind) if each is not ...))
        return " ".join([first, *rest]) if ... not in get_args(kind) else f"{first} [{first} ...]"
    if get_args(kind):
        return "|".join(_metavar(each) for each in get_args(kind) if each is not type(None))
    return kind.__name__.upper()
