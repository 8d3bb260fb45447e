"""Promises of README and CONTRIBUTING: their Python runs as it stands, and what the README tells is so."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import gymnasium as gym
import pytest

import gan_env
from agents.base import CONTROLLERS
from gan_env.envs.rewards import REWARDS
from gan_env.losses.losses import LOSSES
from gan_env.tasks.task import TASKS

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
BLOCKS, RECIPES = (re.findall(r"```python\n(.*?)```", page, re.S) for page in (README, CONTRIBUTING))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FIRST_SCREEN = 15
"""Lines of the README that are seen without scrolling."""


def module_at(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short_and_shows_code():
    assert len(README.splitlines()) <= 120
    assert len(BLOCKS) >= 2


def test_the_first_screen_says_what_it_is_and_how_it_is_tried():
    first = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert "makes GAN training a [Gymnasium]" in first and "film.gif" in first
    for target in re.findall(r"^make ([a-z]+) ", first, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^make ([a-z]+) ", first, re.MULTILINE) == ["train", "test"]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_code_block_runs_after_those_before_it_and_prints_a_score(number, capsys):
    names: dict = {}
    for block in BLOCKS[: number + 1]:
        capsys.readouterr()
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    if "result" in names:  # a table has more than scores
        scores = {row["controller"]: row["score"] for row in names["result"].rows}
        assert all(score > 0 for score in scores.values()) and all(f"\n{name} " in printed for name in scores)
    else:
        numbers = [float(word) for word in re.findall(r"\d+\.\d+", printed)]
        assert numbers and all(number > 0 for number in numbers)


def test_the_first_block_is_ten_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) == 10 and lines[-1].strip().startswith("print(")


def test_the_table_of_ids_is_whole_and_true():
    shown = dict(re.findall(r"^\| `(gan_env/[\w-]+)` \| `([^`]+)` \|", README, re.MULTILINE))
    spaces = {name: gym.make(name, task="dirac").action_space for name in gan_env.ENV_IDS}
    assert shown == {
        name: f"Discrete({space.n})" if isinstance(space, gym.spaces.Discrete) else f"Box(-1, 1, {space.shape})"
        for name, space in spaces.items()
    }


def figures(text: str) -> list[str]:
    """Numbers with their intervals, without signs: a difference may be told from either side."""
    found = re.findall(r"(\d*\.?\d+) \[([^\]]+)\]", text.replace("−", "-"))
    return [" ".join([value, *sorted(re.findall(r"\d*\.?\d+", ends))]) for value, ends in found]


def test_every_finding_has_its_interval_from_the_table_that_it_links_to():
    section = README.split("## What has been found")[1].split("\n## ")[0]
    findings = [line for line in section.splitlines() if line.startswith("- ")]
    assert len(findings) == 4
    for finding in findings:
        (link,) = re.findall(r"\(\[table\]\(([^)]+)\)\)", finding)
        told, known = figures(finding), figures((ROOT / link).read_text())
        assert len(told) >= 2 and set(told) <= set(known), finding


def test_the_version_is_the_projects_wherever_it_is_cited():
    version = PROJECT["version"]
    assert re.search(r"version = \{([^}]+)\}", README)[1] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_badges_say_what_the_project_says():
    badges = module_at(ROOT / "docs" / "badges.py")
    assert not badges.stale(), "run: python docs/badges.py"
    assert {path.name for path in badges.badges()} == set(re.findall(r"pictures/(badge-[a-z]+\.svg)", README))


@pytest.mark.slow
def test_the_film_shows_both_gans_under_axes_that_stay(tmp_path, monkeypatch, capsys):
    from PIL import Image

    script = module_at(ROOT / "benchmarks" / "readme_film.py")
    assert script.main(script.Options(updates=40, frames=2, out=tmp_path / "film.gif")) == 0
    assert "sim-gda: distance" in capsys.readouterr().out
    with Image.open(tmp_path / "film.gif") as film, Image.open(ROOT / "docs" / "pictures" / "film.gif") as shown:
        assert film.n_frames == 3 and film.size == shown.size
    assert (ROOT / "docs" / "pictures" / "film.gif").stat().st_size < 1.5e6


@pytest.mark.parametrize(("part", "recipe"), list(zip((TASKS, LOSSES, REWARDS, CONTROLLERS), RECIPES, strict=True)))
def test_a_recipe_adds_a_part_that_keeps_all_promises(part, recipe, monkeypatch):
    monkeypatch.setattr(part, "_registered", dict(part._parts))
    before = set(part)
    exec(compile(recipe, "CONTRIBUTING.md", "exec"), {"__name__": "recipe"})
    assert len(set(part) - before) == 1
    assert "check_" in recipe


@pytest.mark.parametrize("page", [README, CONTRIBUTING])
def test_every_file_that_is_linked_to_is_there(page):
    for target in re.findall(r"(?:\]\(|src=\")(?!http|#)([^)#\"]+)", page):
        assert (ROOT / target).exists(), target
