"""Progress where nobody watches: whole lines, now and then, with the time left."""

import sys
import time

import pytest

from gan_env.cli import main
from gan_env.io import progress
from gan_env.io.progress import progress_bar


def test_without_a_terminal_progress_is_a_line_now_and_then_and_one_at_the_end(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    with progress_bar(100, "training", "decision", done=10) as bar:
        bar.update(30)
        bar.set_postfix({"return": "-0.5"})
        time.sleep(0.3)
        bar.update(60)
    said = capsys.readouterr().err
    lines = said.splitlines()
    assert "\r" not in said and "\x1b" not in said and len(lines) >= 4
    assert lines[0].startswith("training: 10 %, 10 of 100 decisions, ")
    assert any(line.startswith("training: 40 %") and "left, return -0.5" in line for line in lines)
    assert lines[-1].startswith("training: 100 %, 100 of 100 decisions")


def test_a_bar_that_follows_another_says_nothing_before_it_moves(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.02)
    with progress_bar(2, "scoring", "run", last=True) as bar:
        time.sleep(0.1)
        assert capsys.readouterr().err == ""
        bar.update()
        bar.update()
    assert capsys.readouterr().err.splitlines()[-1].startswith("scoring: 100 %, 2 of 2 runs")


def test_nothing_is_shown_where_nothing_is_to_be_shown(capsys):
    with progress_bar(2, "scoring", "run", show=False) as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""


def test_a_line_comes_at_least_every_15_seconds():
    assert progress.EVERY_S < 15


def test_a_training_without_a_terminal_says_how_far_it_is(tmp_path, capsys):
    assert not sys.stderr.isatty()
    flags = ["--task", "digits", "--batch-size", "4", "--episode-updates", "4", "--updates-per-step", "2", "--num-envs"]
    flags += ["2", "--decisions", "12", "--evaluate-seeds", "2", "--learning-starts", "4", "--controllers", "sim-gda"]
    assert main(["train", *flags, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    for words in ("training: 0 %, 0 of 12 decisions", "training: 100 %, 12 of 12", "of 4 updates", "left", "scoring: "):
        assert words in said
    assert "\r" not in said


@pytest.mark.parametrize("where", ["file/run", "file"])
@pytest.mark.parametrize(
    "call", [["bench", "--tasks", "ring", "--updates", "2", "--seeds", "1"], ["train", "--task", "ring"]], ids=" ".join
)
def test_a_place_that_cannot_be_made_is_a_wrong_call_in_one_line(call, where, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*call, "--out", str(tmp_path / where)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be made a folder" in said and "is no folder" in said
    assert "Errno" not in said and (tmp_path / "file").read_text() == ""


def test_a_place_below_a_tree_that_is_only_read_is_a_wrong_call(capsys):
    assert main(["bench", "--tasks", "ring", "--updates", "2", "--seeds", "1", "--out", "/proc/self/run"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "'/proc/self' cannot be written to" in said and "Errno" not in said
