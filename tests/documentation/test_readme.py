"""The Python of README and CONTRIBUTING runs as it stands."""

import re
import warnings
from pathlib import Path

import pytest

from agents.base import CONTROLLERS
from gan_env.envs.rewards import REWARDS
from gan_env.losses.losses import LOSSES
from gan_env.tasks.task import TASKS

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
BLOCKS, RECIPES = (re.findall(r"```python\n(.*?)```", page, re.S) for page in (README, CONTRIBUTING))


def test_the_readme_shows_code():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_code_block_runs_after_those_before_it(number, capsys):
    names: dict = {}
    with warnings.catch_warnings():
        for told in ("ends in a sigmoid", "keeps state outside its weights"):  # the tutorial's modules, as they are
            warnings.filterwarnings("ignore", message=f".*{told}")
        for block in BLOCKS[: number + 1]:
            capsys.readouterr()
            exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    if "score" in BLOCKS[number]:
        numbers = [float(word) for word in re.findall(r"\d+\.\d+", printed)]
        assert numbers and all(number > 0 for number in numbers)


@pytest.mark.parametrize(("part", "recipe"), list(zip((TASKS, LOSSES, REWARDS, CONTROLLERS), RECIPES, strict=True)))
def test_a_recipe_adds_a_part_that_keeps_all_promises(part, recipe, monkeypatch):
    monkeypatch.setattr(part, "_registered", dict(part._parts))
    before = set(part)
    exec(compile(recipe, "CONTRIBUTING.md", "exec"), {"__name__": "recipe"})
    assert len(set(part) - before) == 1
    assert "check_" in recipe


@pytest.mark.parametrize("page", [README, CONTRIBUTING])
def test_every_file_that_is_linked_to_is_there(page):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", page):
        assert (ROOT / target).exists(), target
