"""Tables of claims.md: each claim of `claim_list.py` with its verdict, and how many came out how.

`tables.py` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from claim_list import CLAIMS, Open
from claim_verdicts import CONFIRMED, IN_PART, NOT_SEEN, REVERSED, TOO_FEW
from controller_tables import ROOT, table

NOT_RUN = "not run yet"


def claims(source: str) -> str:
    """Every claim of a source in one line."""
    lines = []
    for each in CLAIMS[source]:
        if isinstance(each, Open):
            lines.append(
                (each.says, NOT_RUN, f"about {each.hours:g} h of a core", f"`{each.command}`")
            )
            continue
        found = each.answer()
        assert (ROOT / each.rows).is_file(), each.rows
        lines.append(
            (
                each.says,
                f"**{found.verdict}**",
                found.figure,
                f"{each.command}, [rows](../{each.rows})",
            )
        )
    return table(("claim", "verdict", "figure [95 %]", "command"), lines)


def tally() -> str:
    """How many claims of each source came out how."""
    kinds = (CONFIRMED, "depends", NOT_SEEN, IN_PART, REVERSED, TOO_FEW, NOT_RUN)
    rows = []
    for source, every in CLAIMS.items():
        verdicts = [
            NOT_RUN if isinstance(each, Open) else each.answer().verdict for each in every
        ]
        rows.append((TITLES[source], *(_many(verdicts, kind) for kind in kinds)))
    return table(
        ("source", CONFIRMED, "depends on …", NOT_SEEN, IN_PART, REVERSED, TOO_FEW, NOT_RUN),
        rows,
    )


def _many(verdicts: Sequence[str], kind: str) -> str:
    found = sum(each == kind or each.startswith(f"{kind} on ") for each in verdicts)
    return str(found) if found else ""


TITLES = {
    "fsco": "[FSCO](#fsco)",
    "gcann": "[GCANN](#gcann)",
    "dyn-gda": "[Dynamic-GDA](#dynamic-gda)",
    "gap-aware": "[Gap-aware](#gap-aware)",
    "opponents": "[Usual opponents](#usual-opponents)",
    "ours": "[Ours](#ours)",
}

TABLES: dict[str, Callable[[], str]] = {
    "claims": tally,
    **{f"claims-{source}": partial(claims, source) for source in CLAIMS},
}
