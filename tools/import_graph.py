"""Prints which layer imports which, and every import that breaks the order: `python tools/import_graph.py`.

A layer is a folder, or a module that stands beside the folders. A layer may import itself and the layers below it, at
any depth, for types too. Exit code 1 if an import points upward, closes a circle or reads a private name.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LAYERS = [
    # The lowest first; layers on one line do not import each other.
    ["gan_env.types", "gan_env.registry", "gan_env.io"],
    [
        "gan_env.argument_checks",
        "gan_env.native",
        "gan_env.optimizer_spec",
        "gan_env.random",
        "gan_env.torch_modes",
        "gan_env.weight_sample",
    ],
    ["gan_env.networks"],
    ["gan_env.losses", "gan_env.data"],
    ["gan_env.metrics", "gan_env.players"],
    ["gan_env.tasks"],
    ["gan_env.training"],
    ["gan_env.rendering"],
    ["gan_env.envs"],
    ["gan_env.testing"],
    ["agents.base", "agents.absolute_rates", "agents.run_kind", "agents.steering"],
    ["agents.policies"],
    ["agents.rules"],
    ["agents.learned.sb3"],
    ["agents.learned", "agents.zoo"],
    ["agents.registry"],
    ["agents.steer", "agents.named_places", "agents.work_limit", "agents.diagnose"],
    ["agents.comparison.rows", "agents.comparison.own_settings"],
    ["agents.comparison.row_checks"],
    ["agents.report"],
    ["agents.report.html"],
    ["agents.comparison"],  # a result shows itself as a report does
    ["agents.benchmark"],
    ["agents.training"],
    ["agents.watching"],
    ["agents.testing"],
    ["gan_env.pictures", "agents.loop", "agents.sb3"],  # earlier names, which nothing of ours imports
    ["gan_env.cli"],
]
ROOTS = {"gan_env", "agents", "gan_env.__main__"}
"""The packages' own `__init__`, which load public names on demand, and `python -m gan_env`."""
FREE = {"_replace", "_asdict", "_fields", "_make"}
"""Public methods of named tuples, whose names begin with an underscore so that fields cannot clash with them."""
FOREIGN = {
    *("_np_random", "_np_random_seed"),  # Gymnasium's generator, which its property makes when it is first read
    *("_modules", "_forward_pre_hooks", "_backward_hooks", "_DropoutNd", "_version"),  # torch: no public way to ask
    *("_seeds", "_reset_seeds", "_get_indices", "_stats_window_size"),  # Stable-Baselines3's base classes
}
"""Private names of other packages that ours cannot do without."""


class Import(NamedTuple):
    """One module imports another, at a line."""

    module: str
    target: str
    line: int


def modules() -> dict[str, Path]:
    """Dotted name of every module of both packages, and its file."""
    found = {}
    for package in ("gan_env", "agents"):
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(files: dict[str, Path]) -> Iterator[Import]:
    """Every import of one of our modules by another, in functions and for types too."""
    for module, file in files.items():
        package = file.relative_to(ROOT).parts[:-1]
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                source = ".".join([*base, *([node.module] if node.module else [])])
                names = [f"{source}.{alias.name}" for alias in node.names]
            for name in names:
                target = name if name in files else name.rpartition(".")[0]
                if target in files and target != module:
                    yield Import(module, target, getattr(node, "lineno", 0))


def layer_of(module: str) -> int | None:
    """Index into LAYERS of the most specific entry that holds the module; None for the roots."""
    if module in ROOTS:
        return None
    fits = [(len(name), i) for i, names in enumerate(LAYERS) for name in names if f"{module}.".startswith(f"{name}.")]
    if not fits:
        raise ValueError(f"{module} stands in no layer: add its folder to LAYERS in {Path(__file__).name}")
    return max(fits)[1]


def name_of(module: str) -> str:
    """The layer's entry that holds the module."""
    i = layer_of(module)
    return module if i is None else max((n for n in LAYERS[i] if f"{module}.".startswith(f"{n}.")), key=len)


def upward(found: list[Import]) -> list[str]:
    """Imports that point to a higher layer, or to another folder of the same line."""
    wrong = []
    for each in found:
        here, there = layer_of(each.module), layer_of(each.target)
        if here is None or there is None:
            continue
        if there > here or (there == here and name_of(each.module) != name_of(each.target)):
            wrong.append(f"{each.module}:{each.line} imports {each.target}, which is not below it")
    return wrong


def circle(found: list[Import]) -> list[str]:
    """The modules of one circle of imports, [] if there is none; packages' `__init__` that import their own are not."""
    graph: dict[str, set[str]] = {}
    for each in found:
        if each.module not in ROOTS and each.target not in ROOTS and not each.target.startswith(f"{each.module}."):
            graph.setdefault(each.module, set()).add(each.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def private_reads(files: dict[str, Path]) -> list[str]:
    """Names with one leading underscore that a module reads and does not define: another's private parts."""
    wrong = []
    for module, file in files.items():
        tree = ast.parse(file.read_text())
        own = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                own.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                names, line = [node.attr], node.lineno
            elif isinstance(node, ast.ImportFrom) and name_is_ours(node, file):
                names, line = [alias.name for alias in node.names], node.lineno
            else:
                continue
            for name in names:
                if name.startswith("_") and not name.startswith("__") and name not in own | FREE | FOREIGN:
                    wrong.append(f"{module}:{line} reads {name}")
    return wrong


def name_is_ours(node: ast.ImportFrom, file: Path) -> bool:
    """Whether an import is from one of our packages."""
    return node.level > 0 or (node.module or "").split(".")[0] in ("gan_env", "agents")


def main() -> int:
    """Prints the graph, layer by layer, and what is wrong with it."""
    files = modules()
    found = list(imports(files))
    for level, names in enumerate(LAYERS):
        for name in names:
            targets = {name_of(i.target) for i in found if name_of(i.module) == name and i.target not in ROOTS}
            print(f"{level:2}  {name:24} {', '.join(sorted(targets - {name}))}")
    round_trip = circle(found)
    wrong = upward(found) + ([f"a circle: {' -> '.join(round_trip)}"] if round_trip else []) + private_reads(files)
    print(*(wrong or ["every import points downward, no circle, no private name is read"]), sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
