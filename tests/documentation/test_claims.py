"""Promises of the page of claims: its verdicts follow from rows, and a page that says otherwise is found out."""

import importlib
from pathlib import Path

import pytest

from agents.report.statistics import mean_interval

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return tuple(importlib.import_module(name) for name in ("tables", "claim_tables", "claim_answers"))


def test_a_verdict_is_the_side_of_zero_on_which_the_whole_interval_lies(pages):
    _, _, answers = pages
    below, across, above = (mean_interval([x + at for x in (-1, -0.5, 0, 0.5, 1)]) for at in (-9, 0, 9))
    assert [answers.lower(each) for each in (below, across, above)] == ["confirmed", "not seen", "reversed"]
    assert [answers.higher(each) for each in (below, across, above)] == ["reversed", "not seen", "confirmed"]


def test_a_page_of_claims_that_disagrees_with_the_rows_is_stale(pages):
    tables, _, _ = pages
    page = (DOCS / "claims.md").read_text()
    assert tables.updated(page) == page, "run: python docs/tables.py"
    for said, instead in (("**reversed**", "**confirmed**"), ("[244, 349]", "[244, 300]")):
        assert said in page and tables.updated(page.replace(said, instead, 1)) == page


def test_every_claim_names_a_command_and_every_open_one_its_hours(pages):
    _, claims, _ = pages
    for source, every in claims.CLAIMS.items():
        assert f"claims-{source}" in claims.TABLES and source in claims.TITLES
        for each in every:
            assert each.command
            assert not isinstance(each, claims.Open) or each.hours > 0
            assert isinstance(each, claims.Open) or (DOCS.parent / each.rows).is_file(), each.rows
