"""Results in a terminal: the answer first, tables that fit and align, no path as a name, the next step last."""

import io
import re

import pytest

from agents.report.blocks import make_blocks
from agents.report.columns import Column, TextTable, align
from agents.report.model import make_report
from agents.report.numbers import estimate, number
from agents.report.terminal import Printer, to_be_official, verdict_table
from agents.report.text import summary, text_tables
from gan_env.cli import main
from tests.support.report_rows import CONTROLLERS, rows, write


def printed(report, width, terminal=True):
    out = Printer(io.StringIO(), width, terminal)
    out.report(report)
    out.next(*to_be_official(report), "do it")
    return re.sub(r"\x1b\[[\d;]*m", "", out.file.getvalue()).splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_answer_first_and_the_next_step_last_within_its_width(tmp_path, width):
    names = {**CONTROLLERS, "best-constant": 0.6, "best-schedule": 0.4, "replay:runs/a/run.safetensors": 0.9}
    report, _ = make_report(write(tmp_path / "a", rows(names) + rows(names, task="line")))
    lines = printed(report, width)
    assert lines[0].startswith("best-schedule trains best") and lines[-1] == "next: do it"
    assert max(map(len, lines)) <= width
    assert not any(".safetensors" in line for line in lines)
    assert all(any(line.startswith(name) for line in lines) for name in report.order)  # never dropped
    assert any("against best-schedule" in line for line in lines) == (width == 120)  # left out where space is short
    assert any("average rank" in line for line in lines)


def test_a_line_of_a_list_goes_on_below_its_text_and_a_command_is_broken_at_spaces():
    out = Printer(io.StringIO(), 40, terminal=True)
    out.say("- one two three four five six seven eight nine ten")
    out.next("gan-env bench --also best-constant,best-schedule")
    lines = re.sub(r"\x1b\[[\d;]*m", "", out.file.getvalue()).splitlines()
    assert lines == [
        "- one two three four five six seven", "  eight nine ten", "", "next: gan-env bench --also",
        "      best-constant,best-schedule",
    ]  # fmt: skip


def test_what_is_redirected_is_plain_and_uncut(tmp_path):
    report, _ = make_report(write(tmp_path / "a", rows()))
    out = Printer(io.StringIO(), 40, terminal=False)
    out.report(report)
    out.table(text_tables(rows())[0])
    said = out.file.getvalue()
    assert "\x1b" not in said and "G updates" in said and max(map(len, said.splitlines())) > 100


def test_numbers_are_aligned_at_the_decimal_point():
    found = align(["12.5 [3, 20]", "0.25 [0.1, 0.4]", "−181 [−215, −147]", "–", ""])
    assert found[:3] == ["  12.5  [3, 20]     ", "   0.25 [0.1, 0.4]  ", "−181    [−215, −147]"]
    assert found[3:] == ["–".rjust(20), " " * 20]


def test_the_least_important_columns_go_first_and_some_never():
    table = TextTable([Column("name", ["a"], numeric=False), Column("x" * 9, ["1"], 1), Column("y" * 9, ["2"], 2)])
    assert [c.title[0] for c in table.fitted(30).columns] == ["n", "x", "y"]
    assert [c.title[0] for c in table.fitted(20).columns] == ["n", "x"]
    assert [c.title[0] for c in table.fitted(2).columns] == ["n"]


def test_a_trained_agents_place_and_difference_to_plain_training_come_first():
    found = rows({**CONTROLLERS, "fsco (meta)": 2.0, "fsco (untrained)": 1.1})
    first = summary(found, trained="fsco (meta)", untrained="fsco (untrained)").splitlines()[0]
    assert re.fullmatch(
        r"fsco \(meta\): 6th of 6 by mean score; worse than plain training \(sim-gda\) by \d\.\d+ \[.*\]\.", first
    )
    assert "better than plain training" in summary(found, trained="dyn-gda").splitlines()[0]
    few = summary(rows({**CONTROLLERS, "mine": 0.1}, seeds=3), trained="mine").splitlines()[0]
    assert few == "mine: 1st of 5 by mean score; too few runs to compare it with plain training (sim-gda)."


def test_the_untrained_generators_mark_stands_beside_the_floor():
    assert "floor 0.0200, untrained 1.45" in summary(rows(untrained_score=1.45))
    assert "floor 0.0200\n" in summary(rows())


def test_the_reasons_why_controllers_are_not_ranked_stand_below_the_verdicts(tmp_path):
    report, _ = make_report(write(tmp_path / "a", rows({**CONTROLLERS, "dirac-oracle": 0.1})))
    table = verdict_table(report)
    assert table.columns[0].cells[-1] == "dirac-oracle *"
    assert any(note.startswith("* dirac-oracle is not ranked: ") for note in table.notes)


def test_a_ranking_that_lacks_an_opponent_comes_with_the_call_that_adds_it(tmp_path):
    config = {"suite": "quick"}
    (step,) = to_be_official(make_report(write(tmp_path / "a", rows(), config))[0])
    assert "gan-env bench --suite quick --also best-constant,best-schedule" in step
    names = {**CONTROLLERS, "best-constant": 0.6, "best-schedule": 0.4}
    assert to_be_official(make_report(write(tmp_path / "b", rows(names)))[0]) == []


def test_several_folders_are_reported_one_by_one_and_options_of_one_folder_get_a_line(tmp_path, capsys):
    folders = [str(write(tmp_path / name, rows(seeds=3))) for name in "ab"]
    assert main(["report", *folders]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line in (f"{folder}:" for folder in folders)] == [
        f"{f}:" for f in folders
    ]
    assert all((tmp_path / name / "report.html").is_file() for name in "ab")
    for option in (["--json"], ["--markdown"], ["--out", str(tmp_path / "c")]):
        assert main(["report", *folders, *option]) == 2
        said = capsys.readouterr().err
        assert "is of one folder, and 2 are named" in said and said.count("\n") == 1
    assert main(["report"]) == 2 and capsys.readouterr().err.count("\n") == 1


def test_an_interval_never_hides_the_end_that_decides_its_verdict():
    assert estimate(0.5, 0.0004, 1.0).split()[1] == "[0.0004,"
    assert estimate(-0.5, -1.0, -0.00002).endswith("−0.00002]")
    assert number(30_000.0) == "30,000" and "e" not in estimate(30_000.0, 29_000.0, 31_000.0)


def test_blocks_keep_their_rows_when_names_are_shortened():
    found = rows({"sim-gda": 1.0, "a/b/mine.safetensors": 2.0}, seeds=2)
    table = text_tables(found)[0]
    assert table.columns[0].cells == ["sim-gda", "mine"] and len(make_blocks(found)[0].rows) == 4
