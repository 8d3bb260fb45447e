"""Draws the README's badges from pyproject.toml: `python docs/badges.py`; a test says when that is due.

They are files of the repository, so they need no network and cannot say anything that the project does not.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{label}: {value}"><title>{label}: {value}</title>\
<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">\
<rect width="{split}" height="20" fill="#555"/><rect x="{split}" width="{rest}" height="20" fill="{colour}"/></g>\
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">\
<text x="{left}" y="14">{label}</text><text x="{right}" y="14">{value}</text></g></svg>
"""
LETTER, MARGIN = 7, 12
"""Width of a letter and of the space around a text, in pixels."""


def badge(label: str, value: str, colour: str) -> str:
    """Draws one badge as SVG."""
    split, rest = (LETTER * len(text) + MARGIN for text in (label, value))
    sizes = {
        "width": split + rest,
        "split": split,
        "rest": rest,
        "left": split // 2,
        "right": split + rest // 2,
    }
    return BADGE.format(label=label, value=value, colour=colour, **sizes)


def badges() -> dict[Path, str]:
    """Every badge by its file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = {
        "licence": (
            project["license"].split(" ")[0],
            "#3f51b5",
        ),  # the code's; the rest is of data that ship
        "python": (project["requires-python"].removeprefix(">=") + "+", "#3776ab"),
        "version": (project["version"], "#009e73"),
    }
    return {
        PICTURES / f"badge-{label}.svg": badge(label, *what) for label, what in told.items()
    }


def stale() -> list[Path]:
    """Badges that are not up to date."""
    return [
        path
        for path, text in badges().items()
        if not path.is_file() or path.read_text() != text
    ]


def main() -> int:
    """Draws the badges anew."""
    for path, text in badges().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
