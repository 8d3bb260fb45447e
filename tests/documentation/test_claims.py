"""Promises of the page of claims: its verdicts follow from rows, and a page that says otherwise is found out."""

import importlib
import shlex
from pathlib import Path

import pytest
import tyro

from agents.benchmark.command import BenchOptions, changes_of
from agents.benchmark.suites import configure
from agents.report.statistics import mean_interval

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return tuple(importlib.import_module(name) for name in ("tables", "claim_tables", "claim_verdicts"))


def test_a_verdict_is_the_side_of_zero_on_which_the_whole_interval_lies(pages):
    _, _, verdicts = pages
    below, across, above = (mean_interval([x + at for x in (-1, -0.5, 0, 0.5, 1)]) for at in (-9, 0, 9))
    assert [verdicts.lower(each) for each in (below, across, above)] == ["confirmed", "not seen", "reversed"]
    assert [verdicts.higher(each) for each in (below, across, above)] == ["reversed", "not seen", "confirmed"]


def test_a_page_of_claims_that_disagrees_with_the_rows_is_stale(pages):
    tables, _, _ = pages
    page = changed = (DOCS / "claims.md").read_text()
    for said, instead in (("**reversed**", "**confirmed**"), ("[244, 349]", "[244, 300]")):
        assert said in page
        changed = changed.replace(said, instead, 1)
    assert tables.updated(changed) == page, "run: python docs/tables.py"


def test_every_claim_names_a_command_and_every_open_one_its_hours(pages):
    _, claims, _ = pages
    for source, every in claims.CLAIMS.items():
        assert f"claims-{source}" in claims.TABLES and source in claims.TITLES
        for each in every:
            assert each.command
            if isinstance(each, claims.Open):
                assert each.hours > 0
            else:
                assert (DOCS.parent / each.rows).is_file(), each.rows


def test_a_benchmark_that_answers_a_claim_or_would_can_be_asked_for(pages):
    _, claims, _ = pages
    commands = {each.command for every in claims.CLAIMS.values() for each in every}
    asked = 0
    for command in (part.strip("`") for each in commands for part in each.split(", ")):
        program, verb, *arguments = shlex.split(command)
        if (program, verb) == ("gan-env", "bench"):
            given = tyro.cli(BenchOptions, args=arguments)
            assert configure(given.suite or "", changes_of(given)).parts
            asked += 1
    assert asked > 10
