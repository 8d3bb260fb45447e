"""Runs the notebooks of examples/ and writes their outputs into them.

python benchmarks/run_notebooks.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
LIMIT_S = 600
"""Longest time that a cell may take."""


def run(path: Path) -> nbformat.NotebookNode:
    """Runs a notebook in its folder and returns it with its outputs; raises CellExecutionError where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:  # when a cell ran is no output, and would differ each time
        cell.metadata.pop("execution", None)
    return notebook


def main() -> int:
    """Runs all of them."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(run(path), path)
        print(f"ran {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
