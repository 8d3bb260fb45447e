"""What a person types for a benchmark: options, one-line errors, one JSON document, and kills at any moment."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from agents.benchmark import running
from agents.benchmark.command import split_list
from agents.benchmark.plan_json import as_json
from agents.benchmark.suites import configure
from agents.training.train_config import TrainConfig, plain
from gan_env.cli import main
from gan_env.random.streams import Purpose, normal_block, rng
from gan_env.tasks.task import make_task
from tests.support.small_benchmark import told

TINY = [
    "--tasks", "digits", "--controllers", "sim-gda,dyn-gda(c1=1.2, c2=0.7)", "--batch-size", "8", "--updates", "6",
    "--seeds", "4", "--group-rows", "4",
]  # fmt: skip


def rows_of(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def test_a_benchmark_prints_its_table_and_goes_on_by_its_folder_alone(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["bench", *TINY, "--out", str(out)]) == 0
    said, quiet = capsys.readouterr()
    assert "dyn-gda(c1=1.2, c2=0.7)" in said and "minus sim-gda" in said and "2 of 2 groups run" in said
    assert f"2 of 2 groups to run; rows go to {out}/" in quiet  # where it began; a line now and then; the end
    assert re.search(r"bench: 100 %, .* groups 2/2\n$", quiet) and "scored" not in quiet.splitlines()[-1]
    assert said.splitlines()[-1] == f"next: gan-env report {out}" and "\x1b" not in said
    assert len(rows_of(out)) == 8
    command = json.loads((out / "config.json").read_text())["command"]
    assert command.startswith("gan-env bench --tasks digits") and "'sim-gda,dyn-gda(c1=1.2, c2=0.7)'" in command
    assert main(["bench", "--out", str(out), "--retry-errors"]) == 0  # nothing crashed
    assert "0 of 2 groups run" in capsys.readouterr().out
    assert main(["bench", *TINY, "--out", str(out)]) == 0
    assert len(rows_of(out)) == 8


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bench", "--suite", "quikc"], "did you mean 'quick'"),
        (["bench", "--tasks", "rng"], "did you mean 'ring'"),
        (["bench", "--losses", "bce,hing"], "did you mean 'hinge'"),
        (["bench", "--controllers", "sim-gdb"], "did you mean 'sim-gda'"),
        (["bench", "--controllers", "dyn-gda(c3=1)"], "c3"),
        (["bench", "--controllers", "sim-gda,sim-gda"], "controllers=sim-gda,sim-gda"),
        (["bench", "--controllers", "best-constant:rng"], "did you mean 'ring'"),
        (["bench", "--controllers", "nowhere.safetensors"], "nowhere.safetensors"),
        (["bench", "--controllers", "dyn-gda(c1=1.2,c2=0.8),dyn-gda(c2=0.8, c1=1.2)"], "are the same; leave one"),
        (["bench", "--controllers", "sim-gda,sim-gda()"], "'sim-gda' and 'sim-gda()' are the same"),
        (["bench", "--controllers", "constant:1,constant:1.0"], "'constant:1' and 'constant:1.0' are the same"),
        (["bench", "--controllers", "best-constant,best-constant:ring"], "are the same; leave one of them out"),
        (["bench", "--controllers", "best-constant", "--constants", "1,nan"], "constants=1.0,nan must be numbers > 0"),
        (["bench", "--controllers", "best-constant", "--constants", "1,-1"], "constants=1.0,-1.0 must be numbers > 0"),
        (["bench", "--controllers", ","], "controllers is empty"),
        (["bench", "--d-lr", "1e-3,x"], "d_lr='1e-3,x'"),
        (["bench", "--d-lr", "-1"], "d_lr=-1.0"),
        (["bench", "--g-lr", "same"], "g_lr='same' needs d_lr"),
        (["bench", "--seeds", "0"], "seeds=0"),
        (["bench", "--seeds", "1000001"], "seeds=1000001"),
        (["bench", "--group-rows", "0"], "group_rows=0"),
        (["bench", "--updates", "0"], "episode_updates=0"),
        (["bench", "--updates", "7", "--updates-per-step", "2"], "not a multiple"),
        (["bench", "--split", "test"], "split='test'"),
        (["bench", "--split", "tune", "--controllers", "best-constant"], "best-constant is chosen on the seeds"),
        (["bench", "--reward", "qality"], "did you mean 'quality'"),
        (["bench", "--optimizer", "{"], "optimizer='{'"),
        (["bench", "--optimizer", "adm"], "did you mean 'adam'"),
        (["bench", "--device", "cuda:99"], "CUDA device"),
        (["bench", "--jobs", "0"], "jobs=0"),
        (["bench", "--address", "auto"], "executor ray"),
        (["bench", "--losses", "wgan", "--controllers", "gcann"], "skip_undefined"),
        (["bench", "--out", "nowhere"], "holds no benchmark to go on with; for a new one, name a suite"),
        (["bench", "--out", "nowhere", "--budget"], "holds no benchmark to go on with; for a new one, name a suite"),
        (["verify", "nowhere"], "'nowhere' holds no benchmark, for there is no config.json in it; name a run's folder"),
    ],
)
def test_a_wrong_call_gets_one_line_and_exit_code_2_and_leaves_nothing(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert named in said.err and said.err.count("\n") == 1 and "Traceback" not in said.err and said.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "kind", "again"),
    [
        (["verify"], "training of gan-env train", "gan-env train --resume"),
        (["bench", "--out"], "training of gan-env train", "gan-env train --resume"),
        (["bench", *TINY, "--out"], "training of gan-env train", "gan-env train --resume"),
        (["train", "--resume"], "benchmark of gan-env bench", "gan-env bench --out"),
    ],
    ids=str,
)
def test_the_folder_of_the_other_kind_is_recognised_with_the_line_to_go_on(arguments, kind, again, tmp_path, capsys):
    out = tmp_path / "my run"
    out.mkdir()
    held = plain(TrainConfig()) if "training" in kind else as_json(configure("quick", {}))
    (out / "config.json").write_text(json.dumps(held))
    assert main([*arguments, str(out)]) == 2
    said = capsys.readouterr().err
    assert f"{str(out)!r} is a {kind}" in said and said.endswith(f"go on with: {again} '{out}'\n")
    assert said.count("\n") == 1 and os.listdir(out) == ["config.json"]


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    out, groups = tmp_path / "out", iter([running.Folder.put])

    def put(*arguments):
        for each in groups:
            return each(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running.Folder, "put", put)
        assert main(["bench", *TINY, "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.endswith(f"gan-env: stopped; finished groups are kept, go on with: gan-env bench --out {out}\n")
    assert len(rows_of(out)) == 4 and main(["bench", "--out", str(out)]) == 0 and len(rows_of(out)) == 8


def test_controllers_that_a_game_refuses_are_left_out_when_asked(tmp_path, capsys):
    out = tmp_path / "out"
    call = ["bench", *TINY, "--losses", "wgan", "--controllers", "sim-gda,gcann", "--skip-undefined", "--out", str(out)]
    assert main(call) == 0
    assert "gcann is not defined for digits, wgan" in capsys.readouterr().out
    assert {row["controller"] for row in rows_of(out)} == {"sim-gda"}


def test_commas_in_brackets_and_quotes_part_nothing():
    text = "sim-gda, dyn-gda(c1=1.2, c2=0.7),fsco(d_loss_scale='a,b', d_lr_range=(0.1, 2)),,"
    assert split_list(text) == ["sim-gda", "dyn-gda(c1=1.2, c2=0.7)", "fsco(d_loss_scale='a,b', d_lr_range=(0.1, 2))"]


def test_options_override_a_suite_in_all_its_parts(tmp_path):
    out = tmp_path / "out"
    changes = [
        "--seeds",
        "1",
        "--updates",
        "4",
        "--tasks",
        "digits",
        "--controllers",
        "sim-gda",
        "--also",
        "constant:5",
    ]
    assert main(["bench", "--suite", "quick", *changes, "--out", str(out)]) == 0
    rows = rows_of(out)
    assert {(row["part"], row["task"], row["d_lr"]) for row in rows} == {
        ("digits", "digits", 2e-3), ("ring", "digits", 1e-3),
    }  # fmt: skip
    assert {row["controller"] for row in rows} == {"sim-gda", "constant:5"} and all(r["updates"] == 4 for r in rows)
    assert len(rows) == 4


def test_a_kept_generator_is_the_one_that_was_scored(tmp_path):
    out = tmp_path / "out"
    assert main(["bench", *TINY, "--seeds", "2", "--out", str(out), "--keep"]) == 0
    rows, task = rows_of(out), make_task("digits")
    assert {path.stem for path in (out / "generators").iterdir()} == {row["key"] for row in rows}
    for row in rows[::3]:
        generator = task.generator()
        generator.load_state_dict(load_file(out / "generators" / f"{row['key']}.safetensors"))
        draws = rng(row["seed"], 0, Purpose.SCORE, 0)
        latents = torch.from_numpy(normal_block(1, task.score.samples, task.latent_size)(draws))[0]
        assert task.score(generator(latents).detach()) == pytest.approx(row["score"], rel=1e-4)


def test_samples_on_the_way_are_drawn_once_a_game_and_change_no_row(tmp_path):
    plain, drawn = tmp_path / "plain", tmp_path / "drawn"
    more = ["--losses", "bce,wgan", "--seeds", "3", "--group-rows", "4", "--d-lr", "2e-3,1e9"]
    assert main(["bench", *TINY, *more, "--out", str(plain)]) == 0
    assert main(["bench", *TINY, *more, "--out", str(drawn), "--pictures"]) == 0
    assert told(rows_of(plain)) == told(rows_of(drawn))
    assert not (plain / "samples").exists()
    made = {path.name: np.asarray(Image.open(path)) for path in (drawn / "samples").iterdir()}
    names = [f"digits-{loss}-{rate}.png" for loss in ("bce", "wgan") for rate in ("0.002", "1e+09")]
    assert sorted(made) == sorted(names)
    # A run that fails at once has no samples to show, and another picture than one that does not.
    assert not np.array_equal(made["digits-bce-0.002.png"], made["digits-bce-1e+09.png"])
    assert main(["report", str(drawn)]) == 0
    assert "digits-bce-0.002" in (drawn / "report.html").read_text()


def test_many_conditions_become_one_line_each(tmp_path, capsys):
    rates = "1e-4,2e-4,5e-4,1e-3,2e-3,5e-3,1e9"
    out = tmp_path / "out"
    assert main(["bench", *TINY, "--seeds", "1", "--d-lr", rates, "--g-lr", "same", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.strip().startswith("digits, bce, ") for line in lines) == 7
    assert any("1e+09" in line and "- (1)" in line for line in lines)


def test_json_is_one_document_and_nothing_else(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["bench", *TINY, "--out", str(out), "--budget", "--json"]) == 0
    budget = json.loads(capsys.readouterr().out)
    assert (budget["groups"], budget["rows"], budget["updates"]) == (2, 8, 48) and budget["seconds"] > 0
    assert not out.exists()
    assert main(["bench", *TINY, "--out", str(out), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["complete"] and done["rows"] == 8 and done["ran"] == 2
    assert done["tables"][0]["controllers"]["sim-gda"]["runs"] == 4
    assert main(["verify", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True
    (out / "rows.jsonl").write_text((out / "rows.jsonl").read_text().replace('"ended": 6', '"ended": 5', 1))
    assert main(["verify", str(out), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["equal"] is False and "changed" in said["likely_cause"]


def test_a_budget_counts_what_is_left_and_each_kind(tmp_path, capsys):
    changes = ["--losses", "bce,wgan-gp", "--controllers", "sim-gda,best-constant", "--seeds", "2", "--tune-seeds", "1"]
    assert main(["bench", *TINY, *changes, "--budget", "--json", "--jobs", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [kind["what"].endswith("choosing") for kind in found["kinds"]] == [True, False, True, False]
    assert all(kind["score_s"] == 0 for kind in found["kinds"][::2]) and found["kinds"][1]["score_s"] > 0
    assert found["seconds"] / 2 <= found["seconds_with_jobs"] <= found["seconds"]
    out = tmp_path / "out"
    assert main(["bench", *TINY, "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["bench", "--out", str(out), "--budget", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] == 0


def test_what_is_done_once_is_budgeted_once(capsys):
    """The same seeds at another rate: generators before training are judged with the first."""
    assert main(["bench", *TINY, "--d-lr", "1e-3,1e-2", "--budget", "--json"]) == 0
    (kind,) = json.loads(capsys.readouterr().out)["kinds"]
    assert kind["groups"] == 4 and kind["once_s"] > 0
    assert kind["seconds"] == pytest.approx(4 * (kind["run_s"] + kind["score_s"]) + kind["once_s"])


def test_a_finished_folder_says_what_keep_and_pictures_are_of(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["bench", *TINY, "--out", str(out)]) == 0
    assert "--keep" not in capsys.readouterr().err
    assert main(["bench", "--out", str(out), "--pictures"]) == 0
    assert "2 groups are finished; --keep and --pictures are of those that this call runs" in capsys.readouterr().err


def test_a_folder_that_left_games_out_goes_on_without_being_told_so_again(tmp_path, capsys):
    grid = ["--tasks", "digits", "--losses", "bce,wgan", "--controllers", "sim-gda,gcann", "--updates", "2"]
    call = ["bench", *grid, "--seeds", "1", "--batch-size", "8", "--out", str(tmp_path / "out")]
    assert main([*call, "--skip-undefined"]) == 0
    assert main(call) == 0 and "0 of 2 groups run" in capsys.readouterr().out


def start(out, *more):
    command = [sys.executable, "-m", "gan_env", "bench", *more, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


BUSY = [*TINY, "--updates", "60", "--seeds", "48"]
"""Twenty-four groups of some tenths of a second."""


@pytest.mark.endurance
@pytest.mark.parametrize(("jobs", "kills"), [("1", 16), ("2", 4)])
def test_killed_at_any_moment_it_ends_with_the_rows_of_an_undisturbed_run(tmp_path, jobs, kills):
    busy = [*BUSY, "--seeds", str(8 * kills)]  # four groups a kill, so that every one finds it at work
    assert main(["bench", *busy, "--out", str(tmp_path / "calm")]) == 0
    out, moments = tmp_path / "out", random.Random(int(jobs))
    rows, killed = out / "rows.jsonl", 0
    for _ in range(kills):
        before = rows.stat().st_size if rows.exists() else 0
        running = start(out, *busy, "--jobs", jobs)
        while running.poll() is None and not (rows.exists() and rows.stat().st_size > before):
            time.sleep(0.001)
        time.sleep(moments.choice([0.0, moments.uniform(0, 0.6)]))  # within the write of a group, or within its run
        killed += running.poll() is None
        os.kill(running.pid, signal.SIGKILL)  # its workers, if any, are left to notice
        running.communicate()
    last = start(out, *busy, "--jobs", jobs)
    said, trouble = last.communicate()
    assert last.returncode == 0, trouble
    assert killed == kills
    assert told(rows_of(out)) == told(rows_of(tmp_path / "calm"))


@pytest.mark.slow
def test_two_processes_share_a_folder_and_repeat_nothing(tmp_path):
    out = tmp_path / "out"
    both = [start(out, *BUSY, "--json"), start(out, *BUSY, "--json")]
    said = [json.loads(process.communicate()[0]) for process in both]
    assert all(process.returncode == 0 for process in both)
    assert sum(each["ran"] for each in said) == 24 and all(each["rows"] == 96 for each in said)
    assert len(rows_of(out)) == len({row["key"] for row in rows_of(out)}) == 96


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    running = start(tmp_path / "out", *TINY, "--updates", "3000", "--jobs", "2")
    try:
        deadline = time.monotonic() + 60
        while len(_session(running.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(_session(running.pid)) >= 3
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        deadline = time.monotonic() + 30
        while _session(running.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not _session(running.pid)
    finally:
        for pid in _session(running.pid):
            os.kill(pid, signal.SIGKILL)


def _session(leader):
    """Processes of a session that are alive."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, _, _, session = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(name))
    return found
