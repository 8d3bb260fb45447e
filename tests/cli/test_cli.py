"""What a person types: commands, their errors and exit codes, and the main job in small."""

import contextlib
import json
import subprocess
import sys

import pytest

from gan_env.cli import COMMANDS, main
from gan_env.cli.wrapping import fitted

TINY = [
    "--task", "digits", "--batch-size", "8", "--episode-updates", "8", "--updates-per-step", "4", "--decisions", "40",
    "--num-envs", "2", "--evaluate-seeds", "2", "--learning-starts", "8", "--controllers", "sim-gda", "constant:2",
]  # fmt: skip


def test_without_a_command_it_prints_help(capsys):
    assert main([]) == 0
    assert "gan-env COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_its_summary_examples_and_json(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and COMMANDS[command].summary in " ".join(said.split()) and "--json" in said
    assert f"  gan-env {command}" in said.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "--task", "rng"], "did you mean 'ring'"),
        (["train", "--loss", "hing"], "did you mean 'hinge'"),
        (["train", "--loss", "BCE"], "unknown GAN loss 'BCE'; did you mean 'bce'? Known: bce, "),
        (["train", "--loss", "qqq"], "unknown GAN loss 'qqq'. Known: bce, "),
        (["train", "--task", "dirac"], "set normalise (--normalise, or normalise=True in code)"),
        (["help", "trian"], "did you mean 'train'"),
        (["train", "--controllers", "sim-gdb"], "did you mean 'sim-gda'"),
        (["train", "--d-lr", "0"], "d_lr=0.0"),
        (["train", "--features", "g_los"], "did you mean 'g_loss'"),
        (["train", "--num-envs", "0"], "num_envs=0"),
        (["train", "--evaluate-seeds", "1"], "evaluate_seeds=1"),
        (["train", "--device", "cuda:99"], "CUDA device"),
        (["train", "--loss", "wgan"], "signed"),
    ],
)
def test_a_wrong_call_gets_one_line_and_exit_code_2(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1 and "Traceback" not in said
    assert not any(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["list", "tsks"], "tasks"),
        (["list", "task"], "tasks"),
        (["train", "--control", "jont"], "joint"),
        (["train", "--optimizer", "adm"], "adam"),
        (["bench", "--executor", "lokal"], "local"),
    ],
)
def test_a_missed_choice_hears_the_nearest_one(arguments, near, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert end.value.code == 2 and f"did you mean '{near}'?" in said and "Traceback" not in said


def test_help_and_version_are_answered_however_they_are_asked_for(capsys):
    for asked in (["help"], ["--help"], ["-h"]):
        assert main(asked) == 0 and "gan-env COMMAND --help" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["help", "train"])
    assert end.value.code == 0 and "usage: gan-env train" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gan-env ")


def test_the_help_of_train_offers_only_what_a_command_line_can_take(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert not [words for words in ("a Task of your own", "a dict", "a Reward", "callable") if words in said]


def test_listing_is_as_wide_as_the_terminal(capsys, monkeypatch):
    widths = []
    for columns in ("60", "140"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["list"]) == 0
        widths.append(max(map(len, capsys.readouterr().out.splitlines())))
    assert 45 < widths[0] <= 60 and 110 < widths[1] <= 140


def test_listing_controllers_says_what_each_does(capsys):
    assert main(["list", "controllers"]) == 0
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["sim-gda"] == "V3 always: both players move, at their base rates."
    assert "(head-room, not ranked)" in said["lookahead"]
    assert len(set(said.values())) == len(said), "two controllers have one description"
    assert said["gcann:voxels"].endswith("(preset voxels)")


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_fits_the_terminal_and_breaks_at_words(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        main(arguments)
    lines = capsys.readouterr().out.splitlines()
    words = {word for line in lines for word in line.replace("│", " ").split()}
    assert max(map(len, lines)) <= 80
    assert "{None}" not in "".join(lines) and "(default: None)" not in " ".join(words)


def test_a_command_that_is_too_long_for_the_help_goes_on_after_a_backslash(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    paragraph = "A sentence that is\nbroken anywhere, and longer."
    command = "  gan-env train --task ring --decisions 40 --out x"
    assert fitted(f"{paragraph}\n\nExamples:\n{command}").splitlines() == [
        "A sentence that is broken anywhere, and", "  longer.", "", "Examples:", "  gan-env train --task ring \\",
        "    --decisions 40 --out x",
    ]  # fmt: skip


def test_an_unknown_option_is_refused_with_exit_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "gan_env", "train", "--decision", "3"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and "--decisions" in done.stderr and "Traceback" not in done.stderr


def test_listing_as_json_is_one_document(capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "ring" in found["tasks"] and "dyn-gda" in found["controllers"] and "wgan-gp" in found["losses"]


def test_the_main_job_in_small_writes_everything(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", *TINY, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "minus its own untrained actor" in said and "Spearman(return, -score)" in said
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert {row["controller"] for row in rows} == {
        "fsco (meta)", "fsco (untrained)", "fsco (embedded)", "constant (mean of fsco (meta))", "sim-gda", "constant:2",
        "ddpg (log_quality)", "constant (mean of ddpg (log_quality))",
    }  # fmt: skip
    assert all(row["split"] == "evaluate" and row["status"] == "ok" and row["score"] > 0 for row in rows)
    assert all(row["d_updates"] == 8 and row["g_updates"] == 8 for row in rows)
    files = ("agent.safetensors", "second-agent.safetensors", "samples.png", "curves.png", "scores.png", "table.txt")
    for name in ("config.json", "policy.json", *files):
        assert (out / name).stat().st_size > 0
    assert any((out / "tensorboard").iterdir())
    assert json.loads((out / "config.json").read_text())["env"]["task"] == "digits"


def test_the_main_job_as_json_prints_one_document_and_nothing_else(tmp_path, capsys):
    assert main(["train", *TINY, "--out", str(tmp_path / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["controller"] for each in found["policies"]] == ["fsco (meta)", "ddpg (log_quality)"]
    assert found["out"] == str(tmp_path / "run") and found["tables"][0]["controllers"]["sim-gda"]["runs"] == 2


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("dear")
    assert main(["train", *TINY, "--out", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_same_seed_gives_the_same_rows(tmp_path):
    def scores(name):
        assert main(["train", *TINY, "--out", str(tmp_path / name)]) == 0
        rows = [json.loads(line) for line in (tmp_path / name / "rows.jsonl").read_text().splitlines()]
        return [(row["controller"], row["seed"], row["score"], row["return"]) for row in rows]

    assert scores("a") == scores("b")
