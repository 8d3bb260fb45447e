"""Promises of the examples: they run, and the drop-in patch is the ten lines that the README shows."""

import difflib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def patch() -> list[str]:
    """Code lines that the steered script adds or changes, docstrings aside."""
    plain, steered = (
        (EXAMPLES / name).read_text().split('"""', 2)[2].splitlines()
        for name in ("tutorial_dcgan.py", "tutorial_dcgan_steered.py")
    )
    added = [line[2:] for line in difflib.ndiff(plain, steered) if line.startswith("+ ")]
    return [line for line in added if line.strip()]


def test_the_drop_in_patch_is_ten_lines_and_the_readme_shows_them():
    lines = patch()
    assert len(lines) == 10
    readme = (ROOT / "README.md").read_text()
    shown = [line[1:].strip() for line in readme.splitlines() if line.startswith("+") and line[1:].strip()]
    assert shown == [line.strip() for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tutorial_dcgan", "tutorial_dcgan_steered"])
def test_the_tutorial_script_runs_plain_and_steered(name):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("[1/2][3/4] Loss_D: ")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "package"), [("lightning_gan", "lightning"), ("accelerate_gan", "accelerate")])
@pytest.mark.filterwarnings("ignore")  # those packages' own
def test_the_callback_examples_run_and_go_on_from_their_checkpoints(name, package, tmp_path):
    pytest.importorskip(package, exc_type=ImportError)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(tmp_path) == [8, 16]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the package's own
def test_the_ctgan_example_steers_the_packages_own_loop_and_judges_held_out_rows():
    pytest.importorskip("ctgan", exc_type=ImportError)
    spec = importlib.util.spec_from_file_location("steered_ctgan", EXAMPLES / "steered_ctgan.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    results = module.main(["dyn-gda", "sim-gda"], range(2), epochs=4)
    assert [len(rows) for rows in results.values()] == [2, 2, 2]
    for row in results["dyn-gda"]:  # one player an iteration
        assert row["G steps"] + row["D steps"] == pytest.approx(1) and 0 <= row["accuracy"] <= 1 and row["W1"] > 0
    plain, same = results["CTGAN alone"], results["sim-gda"]  # which changes nothing
    assert [(row["accuracy"], row["W1"]) for row in plain] == [(row["accuracy"], row["W1"]) for row in same]
