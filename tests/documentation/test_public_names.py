"""Pages and examples use public names alone: those that the packages list, and a sub-package or two."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
PUBLIC = ("gan_env", "agents", "gan_env.testing", "agents.testing", "agents.zoo")
"""Packages that a user imports from."""
FENCE = re.compile(r"^```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def public(package: str) -> set[str]:
    module = importlib.import_module(package)
    return set(getattr(module, "__all__", vars(module)))


def code_of(file: Path) -> Iterator[str]:
    """Python of a page or of an example; of a diff, the lines that are imports after it."""
    if file.suffix == ".py":
        yield file.read_text()
        return
    for language, text in FENCE.findall(file.read_text()):
        if language == "diff":
            lines = [line[1:] for line in text.splitlines() if not line.startswith("-")]
            text = "\n".join(line for line in lines if re.match(r"(from|import) \w", line))
        yield text


def foreign_names(code: str) -> Iterator[str]:
    """What the code takes from our packages that is not public."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("gan_env", "agents"):
            known = public(node.module) if node.module in PUBLIC else set()
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name not in known)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] in ("gan_env", "agents")]
            yield from (name for name in names if name not in PUBLIC)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gan_env":
            if node.attr not in public("gan_env") | {"testing"}:
                yield f"gan_env.{node.attr}"


@pytest.mark.parametrize("package", PUBLIC[:2])
def test_every_listed_name_is_there_and_listed_once(package):
    module = importlib.import_module(package)
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert set(module._ON_DEMAND) <= set(module.__all__)
    assert all(getattr(module, name).__name__ for name in module.__all__ if callable(getattr(module, name)))


@pytest.mark.parametrize("file", [*PAGES, *EXAMPLES], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_page_or_an_example_imports_public_names_alone(file):
    assert [name for code in code_of(file) for name in foreign_names(code)] == []


def test_a_name_that_is_not_public_is_noticed():
    code = "from agents.comparison.batch import run_batch\nimport gan_env\ngan_env.Trainer\nfrom gan_env import Task"
    assert list(foreign_names(code)) == ["agents.comparison.batch.run_batch", "gan_env.Trainer"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "reference").glob("*.md")), ids=lambda page: page.stem)
def test_what_the_reference_describes_is_public(page):
    for path in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE):
        module, _, name = path.rpartition(".")
        package = importlib.import_module(path.partition(".")[0])
        assert name in package.__all__, path
        assert getattr(package, name) is getattr(importlib.import_module(module), name), path
