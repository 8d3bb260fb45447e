"""The README's Python runs as it stands."""

import re
import warnings
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


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


def test_every_file_that_the_readme_links_to_is_there():
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
