"""HTML by construction: text is escaped unless it is `Html` already, so that no row can write into the page."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 14px 3em; max-width: 70rem; background: #fff; color: #1a1a1a;
       font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1em 0 .4em; }
h2 { font-size: 1.2rem; margin: 2em 0 .4em; padding-top: .5em; border-top: 2px solid #0072b2; }
h3 { font-size: 1rem; margin: 1.2em 0 .3em; }
p, ul { margin: .4em 0 .8em; } ul { padding-left: 1.2em; } li { margin: .25em 0; }
dl { display: grid; grid-template-columns: fit-content(8.5em) minmax(0, 1fr); gap: .3em 1em; margin: .5em 0; }
dt { color: #555; overflow-wrap: normal; } dd { margin: 0; }
code, pre { font: .88em ui-monospace, monospace; background: #f3f3f3; border-radius: 3px; padding: .1em .3em; }
pre { overflow-x: auto; padding: .6em; overflow-wrap: normal; }
.headline { background: #eef5fa; border-left: 4px solid #0072b2; padding: .6em 1em; }
.warning { background: #fdf0e8; border-left: 4px solid #d55e00; padding: .6em 1em; }
.note { color: #555; font-size: .85rem; } td .note { font-size: inherit; font-weight: normal; }
.scroll { overflow-x: auto; margin: .5em 0 .8em; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; color: #555; padding: .3em 0; }
th, td { padding: .28em .7em; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
thead th { vertical-align: bottom; white-space: normal; min-width: 5em; border-bottom: 2px solid #999; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; font-weight: 600; }
td:first-child > span { display: block; width: max-content; max-width: 11em; white-space: normal;
       overflow-wrap: anywhere; }
tr.group td { position: static; padding-top: .9em; color: #00568a; text-align: left; }
tr.group td > span { position: sticky; left: .7em; max-width: min(48em, 80vw); }
td.text, th.text { text-align: left; white-space: normal; min-width: 9em; max-width: 26em; overflow-wrap: anywhere; }
.better { color: #00568a; font-weight: 600; } .worse { color: #a84800; font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1em 1.5em; }
figure { margin: .5em 0; min-width: 0; }
img { display: block; width: 100%; height: auto; }
figcaption { color: #555; font-size: .85rem; margin-top: .3em; }
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  table { font-size: 7pt; width: 100%; } th, td { padding: .15em .3em; white-space: normal; }
  thead th { min-width: 0; }
  th:first-child, td:first-child { position: static; min-width: 0; } td.text, th.text { min-width: 0; }
  h2, h3 { break-after: avoid; } figure, tr { break-inside: avoid; }
  .figures { grid-template-columns: 1fr 1fr; }
  details { display: none; }
}
"""


class Html(str):
    """Text that is HTML already."""


def escaped(value: object) -> Html:
    """A value as HTML text."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[object]) -> Html:
    """Parts one after the other, each escaped unless it is HTML."""
    return Html("".join(escaped(part) for part in parts))


def tag(name: str, *children: object, **attributes: str) -> Html:
    """An element; `cls` stands for its class."""
    given = "".join(f' {"class" if k == "cls" else k}="{html.escape(v)}"' for k, v in attributes.items())
    return Html(f"<{name}{given}>{join(children)}</{name}>")


@dataclass(frozen=True)
class Group:
    """A line of a table that heads the lines below it."""

    title: str


def table(head: Sequence[object], body: Iterable[Sequence[object] | Group], text: Sequence[int] = ()) -> Html:
    """A table that scrolls inside its own box; `text` names the columns that hold sentences."""

    def line(cell: str, cells: Sequence[object] | Group) -> Html:
        if isinstance(cells, Group):
            return tag("tr", tag("td", tag("span", cells.title), colspan=str(len(head))), cls="group")
        first, *others = cells
        rest = (tag(cell, c, cls="text") if i in text else tag(cell, c) for i, c in enumerate(others, 1))
        return tag("tr", tag(cell, tag("span", first)), *rest)

    lines = join(line("td", cells) for cells in body)
    return tag("div", tag("table", tag("thead", line("th", head)), tag("tbody", lines)), cls="scroll", tabindex="0")


def bullets(items: Iterable[object]) -> Html:
    """An unordered list."""
    return tag("ul", *(tag("li", item) for item in items))


def picture(png: bytes, caption: str) -> Html:
    """A picture inside the page, with its caption."""
    data = base64.b64encode(png).decode()
    image = Html(f'<img src="data:image/png;base64,{data}" alt="{html.escape(caption)}">')
    return tag("figure", image, tag("figcaption", caption))
