"""Runs every script of `examples/rl/` in an environment of its own and writes what it did into docs/libraries.md.

    python benchmarks/integrations.py                 # all: the first time an hour, mostly of installing
    python benchmarks/integrations.py skrl torchrl    # some; the others keep what they last did
    python benchmarks/integrations.py --fresh         # every environment is built anew

The environment is made by the line "pip install gan-env ..." in the script's docstring, which the page shows, too.
There gan-env is this checkout, and constraints.txt holds. `.integrations/` keeps it until the line changes.
"""

from __future__ import annotations

import ast
import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parent.parent
SCRIPTS, PAGE, ENVIRONMENTS = ROOT / "examples" / "rl", ROOT / "docs" / "libraries.md", ROOT / ".integrations"
ACTIONS = {"LearningRate-v0": "continuous", "UpdateChoice-v0": "discrete", "Joint-v0": "joint"}
LEAST_STEPS = 300


@dataclass(frozen=True)
class Script:
    """One script, and what its docstring says."""

    path: Path

    @property
    def name(self) -> str:
        """Without what all have in common: "skrl"."""
        return self.path.stem.removeprefix("train_")

    @property
    def text(self) -> str:
        """The docstring."""
        return ast.get_docstring(ast.parse(self.path.read_text())) or ""

    @property
    def requirements(self) -> list[str]:
        """What "pip install" is followed by: gan-env, the library, what else it needs."""
        found = re.search(r"^ *pip install (gan-env .+)$", self.text, re.MULTILINE)
        if found is None:
            raise ValueError(f'{self.path}: the docstring has no line "pip install gan-env LIBRARY ..."')
        return shlex.split(found[1])

    @property
    def library(self) -> str:
        """Name of the library's distribution."""
        return re.split(r"[\[<>=]", self.requirements[1])[0]


def scripts() -> list[Script]:
    """Those that train, by name."""
    return [Script(path) for path in sorted(SCRIPTS.glob("train_*.py"))]


def environment(script: Script, fresh: bool) -> Path:
    """The Python of the script's own environment, which is made if need be."""
    folder = ENVIRONMENTS / script.name
    python, mark = folder / "bin" / "python", folder / "installed.json"
    wanted = json.dumps([script.requirements, (ROOT / "pyproject.toml").read_text(), sys.version])
    if fresh or not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = ["-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", "-e", ROOT, *script.requirements[1:]]
        subprocess.run([python, *install], check=True)
        mark.write_text(wanted)
    return python


def parsed(output: str) -> list[dict[str, str]]:
    """The lines that `examples/rl/judge.py` prints."""
    keys = ("id", "algorithm", "batch", "steps", "rate", "score")
    lines = (line.split(" | ") for line in output.splitlines())
    return [dict(zip(keys, line, strict=True)) for line in lines if len(line) == len(keys) and line[0] in ACTIONS]


def run(script: Script, fresh: bool) -> None:
    """Runs a script and keeps what it did beside its environment; raises where it did too little."""
    python = environment(script, fresh)
    done = subprocess.run([python, script.path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found = parsed(done.stdout)
    if done.returncode or not found or min(int(line["steps"].split()[0]) for line in found) < LEAST_STEPS:
        raise RuntimeError(f"{script.path.name} ended with {done.returncode} and said:\n{done.stdout}")
    asked = f"import importlib.metadata as m; print(m.version({script.library!r}))"
    version = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    (ENVIRONMENTS / script.name / "result.json").write_text(json.dumps({"version": version, "lines": found}))


def row(script: Script) -> str:
    """The script's line of the table, from when it ran last."""
    held = json.loads((ENVIRONMENTS / script.name / "result.json").read_text())
    lines = held["lines"]
    rates = [f"{ACTIONS[x['id']]} {x['rate'].split()[0]} ({x['algorithm']}, {x['batch']})" for x in lines]
    kinds = [kind for name, kind in ACTIONS.items() if name in {line["id"] for line in lines}]
    native = "yes" if any(line["batch"].startswith("native") for line in lines) else "no"
    link = f"[{script.library}](../examples/rl/{script.path.name})"
    return f"| {link} | {held['version']} | {', '.join(kinds)} | {native} | {'; '.join(rates)} |"


def table(listed: list[Script]) -> str:
    """What they did, in Markdown."""
    head = ["library", "version", "actions", "native batch", "steps per second"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(row(script) for script in listed)]
    where = (
        f"Python {platform.python_version()}, {platform.machine()}, one thread of torch, as the machine was just then."
    )
    return "\n".join([*lines, "", where])


def install_lines() -> str:
    """What the docstrings say, in Markdown."""
    shown = []
    for script in scripts():
        shell = [line.strip() for line in script.text.splitlines() if line.strip().startswith(("pip ", "python "))]
        words = "\n".join(line for line in script.text.splitlines() if line.strip() not in shell).split("\n\n")
        prose = [" ".join(paragraph.split()) for paragraph in words if paragraph.strip()]
        block = "\n".join(["```", *shell, "```"])
        shown.append("\n\n".join([f"### {script.library}", prose[0], block, *prose[1:]]))
    return "\n\n".join(shown)


def written(page: str, name: str, content: str) -> str:
    """The page with another content between the marks of that name."""
    begin, end = f"<!-- {name}: written by make test-integrations -->", f"<!-- end of {name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"{PAGE} lacks the marks {begin} and {end}")
    return page.partition(begin)[0] + f"{begin}\n\n{content}\n\n{end}" + page.partition(end)[2]


def main(names: tyro.conf.Positional[tuple[str, ...]] = (), fresh: bool = False) -> None:
    """Runs the scripts named, or all; then writes the page."""
    listed = scripts()
    unknown = set(names) - {script.name for script in listed}
    if unknown:
        raise SystemExit(f"no script for {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in listed)}")
    for script in listed:
        if not names or script.name in names:
            print(f"{script.name} ...", flush=True)
            run(script, fresh)
    print(table(listed))
    page = written(PAGE.read_text(), "table", table(listed))
    PAGE.write_text(written(page, "scripts", install_lines()))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
