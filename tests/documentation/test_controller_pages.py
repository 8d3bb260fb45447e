"""Promises of the controllers' pages: every controller has one, and no page names what does not exist."""

import re
from pathlib import Path

import pytest

from agents import list_controllers, make_controller
from agents.base import CONTROLLERS

PAGES = Path(__file__).parents[2] / "docs" / "controllers"


def named(text: str) -> set[str]:
    """Names of registered controllers in a heading or a table's first column, as `name` or `name:ARGUMENT`."""
    found = re.findall(r"`([a-z][a-z-]*)(?::[^`]*|-[N0-9])?`", text)
    return {name for name in found if name in CONTROLLERS}


@pytest.mark.parametrize("name", list(CONTROLLERS))
def test_every_controller_has_a_page_that_the_index_links(name):
    index = (PAGES / "README.md").read_text()
    (row,) = [line for line in index.splitlines() if line.startswith("|") and name in named(line)]
    page = re.search(r"\]\(([a-z-]+\.md)\)", row)[1]
    text = (PAGES / page).read_text()
    assert f"`{name}" in text
    assert re.search(r"source", text, re.IGNORECASE) or page == "controls.md"


def test_every_page_is_linked_and_every_option_it_names_exists():
    index = (PAGES / "README.md").read_text()
    assert {p.name for p in PAGES.glob("*.md")} == {"README.md", *re.findall(r"\]\(([a-z-]+\.md)\)", index)}
    for page, name, options in (
        ("gap-aware", "gap-aware", {"ideal", "x_min", "x_max", "alpha"}),
        ("dyn-gda", "dyn-gda", {"c1", "c2", "reuse_real"}),
        ("gcann", "gcann", {"trigger", "max_slope_decay", "alpha", "beta", "symmetric", "rate_limits", "cooldown"}),
    ):
        text = (PAGES / f"{page}.md").read_text()
        for option in options:
            assert f"`{option}" in text
            with pytest.raises(ValueError, match=rf"\b{option}\b"):
                make_controller(name, **{f"{option}_": 1})  # the error lists what exists


def test_look_ahead_is_labelled_where_it_is_explained():
    assert "head-room, not ranked" in (PAGES / "controls.md").read_text()
    assert "lookahead" in list_controllers()
