"""Promises of a training in a folder: stopped or killed at any moment, it ends where it would have ended anyway."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from agents.learned.sb3.vec_env import SB3VecEnv
from agents.learned.settings import AgentConfig
from agents.training import checkpoints
from agents.training.checkpoints import STATE, Checkpoints, Stop, Stopped, TrainingStateError
from agents.training.main_job import TrainConfig, plain, read_config, resume, train
from agents.training.meta_training import MetaTraining, train_meta
from gan_env.cli import main
from gan_env.envs.config import EnvConfig
from gan_env.io.files import PARTIAL, NotOurs, locked
from gan_env.io.tensor_files import pack, write_tensors

GAME = EnvConfig(task="ring", batch_size=8, episode_updates=6, updates_per_step=2, d_lr=3e-3, g_lr=3e-3)
AGENT = AgentConfig(hidden=(8,), learning_starts=12, batch_size=8, buffer_size=60)
TINY = TrainConfig(env=GAME, agent=AGENT, decisions=90, num_envs=3, evaluate_seeds=2, controllers=(), progress=False)
JUDGED = replace(
    TINY,
    env=replace(GAME, task="digits", d_lr=None, g_lr=None),
    controllers=("sim-gda",),
    save_every=3600.0,
    also="log_quality",
)
FLAGS = [
    "--task", "digits", "--batch-size", "8", "--episode-updates", "6", "--updates-per-step", "2", "--decisions", "90",
    "--num-envs", "3", "--evaluate-seeds", "2", "--learning-starts", "12", "--controllers", "sim-gda",
]  # fmt: skip


def signalled(monkeypatch, step: int, number: int = signal.SIGTERM) -> None:
    """At the given decision of a batch, this process gets the signal, once."""
    wait, count = SB3VecEnv.step_wait, iter(range(1, 10_000))

    def step_wait(self):
        if next(count) == step:
            os.kill(os.getpid(), number)
        return wait(self)

    monkeypatch.setattr(SB3VecEnv, "step_wait", step_wait)


def logged(folder: Path) -> list:
    """Step, name and value of everything in a folder of TensorBoard files, speed aside."""
    found = []
    for file in sorted(folder.glob("*"), key=lambda f: (f.stat().st_mtime_ns, f.name)):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag != "time/fps":
                    found.append((event.step, value.tag, value.tensor.float_val[0]))
    return found


def same_trees(one, other) -> bool:
    (a, tensors), (b, others) = pack(one), pack(other)
    return a == b and tensors.keys() == others.keys() and all(torch.equal(t, others[n]) for n, t in tensors.items())


def without_times(rows: Path) -> list:
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("wall_s", "control_s")} for row in found]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A training that nobody interrupts: its end, its actors, its log."""
    folder = tmp_path_factory.mktemp("straight")
    training = MetaTraining(TINY, folder / "tensorboard")
    training.run()
    return training.state(), training.policies(), logged(folder / "tensorboard")


@pytest.mark.parametrize("moments", [[1], [3], [5, 17], [4, 5, 6, 29], [30]])
def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(moments, straight, tmp_path, monkeypatch):
    done = 0
    for moment in moments:
        stop = Stop("stopped")
        with monkeypatch.context() as patch, stop.listening(), pytest.raises(Stopped):
            signalled(patch, moment - done)
            train_meta(TINY, tmp_path / "tensorboard", Checkpoints(tmp_path, 3600.0), stop)
        done = moment
    keeper = Checkpoints(tmp_path, 3600.0)
    policies = train_meta(TINY, tmp_path / "tensorboard", keeper)
    state, expected, log = straight
    end = keeper.load()["training"]
    for name in ("vec", "randomness", "positions", "untrained"):
        assert same_trees(end[name], state[name]), name
    times = [{k: v for k, v in info.items() if k != "t"} for info in end["model"].pop("episodes")]
    assert times == [{k: v for k, v in info.items() if k != "t"} for info in state["model"]["episodes"]]
    ours = {k: v for k, v in state["model"].items() if k != "episodes"}
    for name in ours:
        assert same_trees(end["model"][name], ours[name]), name
    for one, other in zip(policies, expected, strict=True):
        for (w, b), (v, c) in zip(one.layers, other.layers, strict=True):
            assert torch.equal(w, v) and torch.equal(b, c)
    assert logged(tmp_path / "tensorboard") == log


def test_what_was_done_after_the_last_save_is_done_again_and_logged_once(straight, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    wait, count = SB3VecEnv.step_wait, iter(range(1, 1_000))

    def step_wait(self):
        if next(count) == 19:
            raise Killed
        return wait(self)

    saves = iter([False] * 9 + [True] + [False] * 100)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SB3VecEnv, "step_wait", step_wait)
        patch.setattr(Checkpoints, "due", lambda self: next(saves))
        train_meta(TINY, tmp_path / "tensorboard", Checkpoints(tmp_path, 0.0))
    policies = train_meta(TINY, tmp_path / "tensorboard", Checkpoints(tmp_path, 3600.0))
    assert torch.equal(policies[0].layers[0][0], straight[1][0].layers[0][0])
    assert logged(tmp_path / "tensorboard") == straight[2]


def test_what_somebody_else_put_among_the_logs_stays(tmp_path):
    ours, notes = tmp_path / "events.out.tfevents.1.host", tmp_path / "notes.txt"
    for file in (ours, notes):
        file.write_text("12345")
    (tmp_path / "folder").mkdir()
    linked = tmp_path / "events.out.tfevents.2.host"
    linked.symlink_to(notes)
    with pytest.raises(NotOurs, match="tfevents.2.host: is a link"):
        checkpoints.cut_logs(tmp_path, {linked.name: 0})
    assert notes.read_text() == "12345" == ours.read_text()
    linked.unlink()
    assert checkpoints.log_sizes(tmp_path) == {ours.name: 5}
    checkpoints.cut_logs(tmp_path, {ours.name: 2, "events.out.tfevents.2.host": 0})
    assert ours.read_text() == "12" and notes.read_text() == "12345" and len(os.listdir(tmp_path)) == 3


def test_saving_is_rare_enough(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: now[0])
    keeper = Checkpoints(tmp_path, 2.0)

    def slow(*_):
        now[0] += 0.5

    monkeypatch.setattr(checkpoints, "write_tensors", slow)
    saves = 0
    for _ in range(10_000):
        now[0] += 0.1
        if keeper.due():
            keeper.save({})
            saves += 1
    assert saves > 10 and keeper.seconds < 0.021 * now[0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run without interruption, by the command line."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", *FLAGS, "--out", str(out)]) == 0
    return out


def assert_same_runs(out: Path, finished: Path) -> None:
    assert (out / "agent.safetensors").read_bytes() == (finished / "agent.safetensors").read_bytes()
    assert without_times(out / "rows.jsonl") == without_times(finished / "rows.jsonl")
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in finished.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_says_how_to_go_on_and_the_run_ends_the_same(number, finished, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        signalled(patch, 11, number)
        assert main(["train", *FLAGS, "--out", str(out)]) == 1
    said = capsys.readouterr().err
    *progress, last = said.splitlines()
    assert f"gan-env train --resume {out}" in last and all(line.startswith("training: ") for line in progress)
    assert (out / STATE).exists() and not (out / "agent.safetensors").exists()
    assert main(["train", "--resume", str(out)]) == 0
    assert_same_runs(out, finished)
    capsys.readouterr()
    assert main(["train", "--resume", str(out)]) == 0
    assert "nothing left to do" in capsys.readouterr().out


def test_a_stop_while_judging_leaves_at_once_and_judging_is_repeated(finished, tmp_path, monkeypatch):
    out = tmp_path / "run"
    import agents.training.main_job as training

    def compare(*arguments, **more):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        raise AssertionError("went on")

    with monkeypatch.context() as patch:
        patch.setattr(training, "compare", compare)
        assert main(["train", *FLAGS, "--out", str(out)]) == 1
    assert (out / "agent.safetensors").exists()
    assert main(["train", "--resume", str(out)]) == 0
    assert_same_runs(out, finished)


def test_signals_mean_afterwards_what_they_meant_before(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Stop("x").listening():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_two_trainings_in_one_folder_the_second_is_refused(finished, tmp_path, capsys):
    assert main(["train", *FLAGS, "--out", str(finished)]) == 2
    assert "not empty" in capsys.readouterr().err
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.json").write_text((finished / "config.json").read_text())
    with locked(out):
        assert main(["train", "--resume", str(out)]) == 1
    said = capsys.readouterr().err
    assert "another process works there" in said and said.count("\n") == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    with locked(empty), pytest.raises(OSError, match="another process"):
        train(replace(JUDGED, out=empty))
    assert [p.name for p in empty.iterdir()] == [".lock"]


def test_a_full_disk_stops_the_training_with_the_last_state_intact(tmp_path, monkeypatch):
    keeper = Checkpoints(tmp_path, 3600.0)
    stop = Stop("stopped")
    with monkeypatch.context() as patch, stop.listening(), pytest.raises(Stopped):
        signalled(patch, 9)
        train_meta(TINY, None, keeper, stop)
    kept = (tmp_path / STATE).read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left on device") as caught:
        patch.setattr(os, "fsync", full)
        train_meta(TINY, None, Checkpoints(tmp_path, 0.0))
    assert "\n" not in str(caught.value) and (tmp_path / STATE).read_bytes() == kept
    assert os.listdir(tmp_path) == [STATE]


def test_what_a_kill_left_of_the_first_file_does_not_bar_the_folder(finished, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / f".config.json.1.2{PARTIAL}").write_text("half")
    assert main(["train", *FLAGS, "--out", str(out)]) == 0
    assert_same_runs(out, finished)


def test_a_folder_that_cannot_be_made_is_a_wrong_call_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["train", *FLAGS, "--out", str(tmp_path / "file" / "run")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be made a folder" in said


def test_data_that_vanished_are_named_before_anything_is_touched(finished, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    config = json.loads((finished / "config.json").read_text())
    config["env"]["task"] = f"folder:{tmp_path / 'gone'}@32"
    (out / "config.json").write_text(json.dumps(config))
    assert main(["train", "--resume", str(out)]) == 2
    said = capsys.readouterr().err
    assert "gone" in said and said.count("\n") == 1 and os.listdir(out) == ["config.json"]


def test_a_configuration_comes_back_from_its_file(tmp_path):
    config = replace(TINY, out=tmp_path, env=replace(GAME, optimizer={"name": "adam", "betas": (0.9, 0.99)}))
    (tmp_path / "config.json").write_text(json.dumps(plain(config)))
    assert plain(read_config(tmp_path / "config.json")) == plain(config)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"decisions": "many"}, "decisions='many'"),
        ({"decisions": True}, "decisions=True"),
        ({"env": 3}, "env"),
        ({"decsions": 9}, "did you mean 'decisions'"),
        ({"agent": None}, "agent"),
        ({"controllers": ["sim-gdb"]}, "did you mean 'sim-gda'"),
        ({"controllers": "sim-gda"}, "controllers"),
        ({"num_envs": 0}, "num_envs=0"),
    ],
)
def test_a_configuration_that_is_none_is_named_on_one_line(change, named, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(plain(TINY) | change))
    with pytest.raises(ValueError, match=r"config\.json") as caught:
        read_config(path)
    assert named in str(caught.value) and "\n" not in str(caught.value)


def test_resuming_what_is_no_training_or_with_other_settings_is_refused(finished, tmp_path, capsys):
    assert main(["train", "--resume", str(tmp_path / "nowhere")]) == 2
    assert "holds no training" in capsys.readouterr().err
    assert main(["train", "--resume", str(finished), "--decisions", "7"]) == 2
    assert "--decisions does not go with --resume" in capsys.readouterr().err
    with pytest.raises(ValueError, match="agent.gamma=0.5"):
        resume(finished, replace(JUDGED, agent=replace(AgentConfig(), learning_starts=12, gamma=0.5)))
    (tmp_path / "config.json").write_text('{"parts": []}')
    with pytest.raises(ValueError, match="is a benchmark of gan-env bench"):
        resume(tmp_path, JUDGED)


def test_a_state_of_another_training_or_no_training_is_refused(tmp_path):
    keeper = Checkpoints(tmp_path, 3600.0)
    train_meta(replace(TINY, decisions=15), None, keeper)
    with pytest.raises(TrainingStateError, match="decisions=90 and 15"):
        train_meta(TINY, None, keeper)
    state = keeper.load()
    del state["training"]["model"]
    keeper.save(state)
    with pytest.raises(TrainingStateError, match="does not fit"):
        train_meta(replace(TINY, decisions=15), None, keeper)
    keeper.save({"config": 3})
    with pytest.raises(TrainingStateError, match="holds no training"):
        train_meta(TINY, None, keeper)
    write_tensors(keeper.path, checkpoints.FORMAT, checkpoints.VERSION, {"state": {"x": "tensor:y"}}, {})
    with pytest.raises(TrainingStateError, match="lacks"):
        keeper.load()
    keeper.path.write_bytes(b"junk")
    with pytest.raises(TrainingStateError, match="remove it"):
        keeper.load()


@pytest.mark.slow
def test_a_killed_process_loses_nothing_but_time(finished, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "gan_env", "train", *FLAGS, "--save-every", "0", "--out", str(out)]
    for seconds in (0.3, 0.6, 1.2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not (out / STATE).exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(seconds)
        process.kill()
        process.communicate()
        command = [sys.executable, "-m", "gan_env", "train", "--resume", str(out)]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=300).returncode == 0
    assert_same_runs(out, finished)
