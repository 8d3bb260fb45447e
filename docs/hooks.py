"""A link from a page to a file of the repository leads to a page of the site that shows the file.

So the pages can be read in a checkout as well as built, and nothing is written twice.
"""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
SHOWN = {".py": "python", ".txt": "text", ".md": ""}
"""Kinds of files that get a page of their own, and the language they are coloured as; "" is shown as it is."""
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[\(\[](?P<tex>.*?)\\[\)\]]</(?P=tag)>(?P<after>[.,;:)]?)',
    re.DOTALL,
)
CELL = re.compile(r"<(td|th)\b.*?</\1>", re.DOTALL)
TOGETHER = re.compile(
    r"\[[\d.,−+]+, [\d.,−+]+\]|\d+ of \d+|\d+ %|\w+ = [\d.]+|\d+(?: × \d+)+|[A-Z][a-z]+(?:-\d)? [\d.]+"
)
LINK = re.compile(r"(\[[^\]]*\]\()([^)#\s:]+)(#[^)]*)?\)")


def linked(source: str) -> set[str]:
    """Files of the repository outside docs/ that a page links to, `source` and they relative to the root."""
    found = {_target(source, match[2]) for match in LINK.finditer((ROOT / source).read_text())}
    return {path for path in found if not path.startswith("docs/") and (ROOT / path).is_file()}


def place(path: str) -> str:
    """Where a file of the repository stands in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if Path(path).suffix not in SHOWN:
        return path
    return f"files/{path}" if path.endswith(".md") else f"files/{path}.md"


def _target(source: str, link: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(source), link))


def rewritten(markdown: str, source: str) -> str:
    """A page of the repository with its links as the site needs them; a link to a folder becomes its name."""

    def one(match: re.Match) -> str:
        opening, link, anchor = match[1], match[2], match[3] or ""
        path = _target(source, link)
        if (ROOT / path).is_dir():
            text = opening.removesuffix("](")[1:]
            return text if text == f"`{link}`" else f"{text} (`{path}/`)"
        return (
            f"{opening}{os.path.relpath(place(path), os.path.dirname(place(source)))}{anchor})"
        )

    return LINK.sub(one, markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what the pages link to."""
    todo = [
        f"docs/{file.src_uri}" for file in files.documentation_pages() if not file.generated_by
    ]
    done: set[str] = set()
    while todo:
        for path in sorted(linked(todo.pop()) - done):
            done.add(path)
            if Path(path).suffix not in SHOWN:
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
                continue
            text, language = (ROOT / path).read_text(), SHOWN[Path(path).suffix]
            if language:
                text = f"# {path}\n\n````{language}\n{text}````\n"
            else:
                todo.append(path)
            file = File.generated(config, place(path), content=text)
            file.inclusion = file.inclusion.NOT_IN_NAV
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns the links of a page."""
    uri = page.file.src_uri
    if not uri.startswith("files/"):
        return rewritten(markdown, f"docs/{uri}")
    source = uri.removeprefix("files/")
    return rewritten(markdown, source) if (ROOT / source).is_file() else markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns formulas into MathML, which browsers draw themselves; keeps in one piece what a cell should not break."""
    return CELL.sub(_unbroken, FORMULA.sub(_formula, html))


def _formula(match: re.Match) -> str:
    """A formula; one in a line of its own scrolls where it is too wide, and no dot goes to the next line alone."""
    tex = unescape(match["tex"]).strip()
    if match["tag"] == "div":
        return f'<div class="formula">{convert(tex, display="block")}</div>'
    formula = convert(tex, display="inline")
    return (
        f'<span class="whole">{formula}{match["after"]}</span>' if match["after"] else formula
    )


def _unbroken(match: re.Match) -> str:
    """A cell whose intervals, counts and short names in code keep to one line each."""
    cell = TOGETHER.sub(lambda found: found[0].replace(" ", "&nbsp;"), match[0])
    return re.sub(r"<code>(?=[^<]{1,30}</code>)", '<code class="whole">', cell)
