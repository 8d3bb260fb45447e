"""The README's Python runs as it stands."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_readme_shows_code():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_code_block_runs_after_those_before_it(number, capsys):
    names: dict = {}
    for block in BLOCKS[: number + 1]:
        exec(compile(block, "README.md", "exec"), names)
    if "score" in BLOCKS[number]:
        assert float(capsys.readouterr().out) > 0


def test_every_file_that_the_readme_links_to_is_there():
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
