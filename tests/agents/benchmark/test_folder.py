"""A benchmark runs every cell once, whoever stops it, and says what it cannot run."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from agents import compare
from agents.base import CONTROLLERS
from agents.benchmark import running as benchmark
from agents.benchmark.bench_config import BenchConfig
from agents.benchmark.executors import local_executor, run_job
from agents.benchmark.folder import open_folder
from agents.benchmark.plan import plan
from agents.benchmark.verify import verify
from agents.comparison.seeds import split_seeds
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.types import Control
from tests.support.small_benchmark import FIELDS, GAME, config, ran, told


def test_every_row_has_its_fields_and_its_group_in_the_plan(finished):
    rows = finished.all_rows()
    assert len(rows) == 8 and not finished.left and len({row["key"] for row in rows}) == 8
    for row in rows:
        assert set(FIELDS) <= set(row) and row["split"] == "evaluate" and row["status"] == "ok"
        assert row["score"] > 0 and row["quality"] > 0 and row["d_updates"] == 6
    assert {row["group"] for row in rows} == {group.id for group in plan(finished.config)}
    assert {row["seed"] for row in rows} == set(split_seeds("evaluate", 4))


def test_every_row_says_what_its_generator_scored_before_the_first_update(finished):
    group = finished.groups[0]
    trainer = make_trainer(EnvConfig.of(group.game, task="digits"), len(group.seeds))
    trainer.reset(np.array(group.seeds), np.zeros(len(group.seeds), np.int64))
    expected = {seed: trainer.score(row)[0] for row, seed in enumerate(group.seeds)}
    rows = finished.rows_of(group)
    assert len(set(expected.values())) == len(group.seeds)
    assert [row["untrained_score"] for row in rows] == [expected[row["seed"]] for row in rows]


def test_packed_rows_are_verified_as_they_are_and_never_added_to(copy):
    whole = (copy / "rows.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (copy / "rows.jsonl").unlink()
    (copy / "rows.jsonl.gz").write_bytes(gzip.compress(whole))
    assert [v.equal for v in verify(open_folder(copy, None), local_executor(1), groups=1)] == [True]
    assert benchmark.run(open_folder(copy, config()), local_executor(1)).ran == 0
    (copy / "rows.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[:4])))
    with pytest.raises(ValueError, match="gunzip"):
        benchmark.run(open_folder(copy, config()), local_executor(1))
    (copy / "rows.jsonl.gz").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(OSError, match="is damaged"):
        open_folder(copy, None)
    assert sorted(os.listdir(copy)) == ["config.json", "rows.jsonl.gz"]


def test_a_finished_group_is_never_run_twice(copy):
    before = (copy / "rows.jsonl").read_bytes()
    done = benchmark.run(open_folder(copy, config()), local_executor(1))
    assert done.ran == 0 and (copy / "rows.jsonl").read_bytes() == before


def test_another_configuration_is_refused_and_the_field_named(copy):
    with pytest.raises(ValueError, match=r"parts\[0\]\.updates is 6 there and 8 here"):
        open_folder(copy, config(updates=8))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty"):
        open_folder(tmp_path, config())
    with pytest.raises(ValueError, match="holds no benchmark"):
        open_folder(tmp_path, None)
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_kill_while_the_configuration_was_written_does_not_spoil_the_folder(tmp_path):
    (tmp_path / "config.json.77.partial").write_text('{"suite"')
    assert len(open_folder(tmp_path, config()).left) == 2


@pytest.mark.parametrize("keep", [0.2, 0.55, 0.9, 0.999])
def test_lines_that_a_kill_left_unfinished_are_set_aside_and_their_group_run_again(finished, copy, keep):
    whole = (copy / "rows.jsonl").read_bytes()
    torn = whole[: int(len(whole) * keep)]
    (copy / "rows.jsonl").write_bytes(torn)
    again = ran(copy, config())
    assert told(again.all_rows()) == told(finished.all_rows())
    rows = (copy / "rows.jsonl").read_text().splitlines()
    assert len(rows) == 8 and all(json.loads(line) for line in rows)
    complete = whole.index(b"\n", int(len(whole) / 2) - 1) + 1 if keep > 0.5 else 0
    assert (copy / "rows.jsonl.torn").read_bytes().rstrip(b"\n") in torn and complete <= len(whole)


def test_a_file_that_was_changed_in_the_middle_is_refused(copy):
    lines = (copy / "rows.jsonl").read_text().splitlines(keepends=True)
    (copy / "rows.jsonl").write_text(lines[0][:50] + "\n" + "".join(lines[1:]))
    with pytest.raises(ValueError, match="somebody changed the file"):
        open_folder(copy, None)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"controller": "constant:2"}, "its key is not that of .*, controller 'constant:2'"),
        ({"seed": 7}, "its key is not that of .* seed 7"),
        ({"status": None}, "'status' is 'None', not a text"),
        ({"status": "diverged"}, "'score' is .* at status 'diverged'"),
        ({"score": "12"}, "'score' is '12' at status 'ok'"),
        ({"return": None}, "'return' is 'None', not a finite number"),
    ],
)
def test_an_edited_row_is_refused_in_one_line_and_kept(copy, edit, message):
    lines = (copy / "rows.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    assert row["controller"] == "sim-gda"
    changed = "\n".join([json.dumps(row | edit), *lines[1:]]) + "\n"
    (copy / "rows.jsonl").write_text(changed)
    with pytest.raises(ValueError, match=message):
        open_folder(copy, None)
    assert (copy / "rows.jsonl").read_text() == changed


def test_a_file_that_is_shortened_while_it_is_in_use_is_never_written_on(copy):
    folder = open_folder(copy, None)
    whole = (copy / "rows.jsonl").read_bytes()
    (copy / "rows.jsonl").write_bytes(whole[:10])
    with pytest.raises(OSError, match="while it was in use"):
        folder.rows.append(folder.groups[0].id, folder.rows_of(folder.groups[0]))
    assert (copy / "rows.jsonl").read_bytes() == whole[:10]


def test_rows_of_another_configuration_are_refused(copy):
    content = (copy / "rows.jsonl").read_text()
    (copy / "rows.jsonl").write_text(content.replace(plan(config())[0].id, "0" * 16))
    with pytest.raises(ValueError, match="not in this configuration's plan"):
        open_folder(copy, None)


def test_two_that_share_a_folder_never_run_the_same_group(tmp_path):
    a, b = open_folder(tmp_path, config(seeds=6)), open_folder(tmp_path, config(seeds=6))
    first, second = a.take(), b.take()
    assert first is not None and second is not None and first.group.id != second.group.id
    a.put(first.group, run_job(first))
    third = b.take()
    assert third is not None and third.group.id not in (first.group.id, second.group.id)
    assert a.take() is None and len(a.left) == 2
    b.close()  # as if it had died
    left = {a.take().group.id, a.take().group.id}
    assert left == {second.group.id, third.group.id} and a.take() is None
    a.close()


def test_a_group_that_two_put_down_stands_there_once(tmp_path):
    a, b = open_folder(tmp_path, config()), open_folder(tmp_path, config())
    job = a.take()
    rows = run_job(job)
    a.rows.append(job.group.id, rows)
    b.rows.append(job.group.id, rows)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(rows)
    a.close()


# -- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_run_that_diverges_is_a_row_without_a_score(tmp_path):
    rows = ran(tmp_path, config(d_lr=(1e9,))).all_rows()
    assert len(rows) == 8
    for row in rows:
        assert row["status"] == "diverged" and row["score"] is None and row["quality"] is None and row["failure"]


class _Crashes:
    """Sim-GDA until something breaks: at the start, at an update, or by a control that nobody can apply."""

    def __init__(self, how):
        self.how, self.age = how, 0

    def reset(self, row_seeds, game):
        self.rows = len(row_seeds)
        if self.how == "start" and self.rows > 1:
            raise RuntimeError("no start")

    def act(self, measurement):
        self.age += 1
        if self.how == "act" and self.age == 3:
            raise KeyError("gone")
        return Control.of(self.rows, d_multiplier=-1.0 if self.how == "control" and self.age == 3 else 1.0)

    def learn(self, transition):
        pass


@pytest.mark.parametrize("how", ["start", "act", "control", "never"])
def test_a_controller_that_breaks_loses_its_own_rows_alone(tmp_path, monkeypatch, how):
    monkeypatch.setitem(CONTROLLERS._parts, "crash-test", lambda text: _Crashes(how))
    rows = ran(tmp_path, config(controllers=("dyn-gda", "crash-test", "constant:2"), group_rows=12)).all_rows()
    broken = [row for row in rows if row["controller"] == "crash-test"]
    assert len(rows) == 12 and len(broken) == 4
    if how == "never":
        assert all(row["status"] == "ok" for row in rows)
        return
    named = {"start": "RuntimeError: no start", "act": "KeyError: 'gone'", "control": "d_multiplier"}[how]
    for row in broken:
        assert row["status"] == "error" and row["score"] is None and row["return"] is None and named in row["failure"]
    monkeypatch.setitem(CONTROLLERS._parts, "crash-test", lambda text: _Crashes("never"))
    sound = ran(tmp_path / "sound", config(controllers=("dyn-gda", "crash-test", "constant:2"), group_rows=12))
    others = [[row for row in rows if row["controller"] != "crash-test"] for rows in (rows, sound.all_rows())]
    assert told(others[0]) == told(others[1]) and all(row["status"] == "ok" for row in others[0])


def test_crashed_cells_are_run_again_when_asked_and_only_then(tmp_path, monkeypatch):
    monkeypatch.setitem(CONTROLLERS._parts, "crash-test", lambda text: _Crashes("act"))
    asked = config(controllers=("dyn-gda", "crash-test"))
    before = ran(tmp_path, asked).all_rows()
    monkeypatch.setitem(CONTROLLERS._parts, "crash-test", lambda text: _Crashes("never"))
    at_work = open_folder(tmp_path, asked)  # another process, which has read the rows already
    assert benchmark.run(open_folder(tmp_path, asked), local_executor(1)).ran == 0
    folder = open_folder(tmp_path, asked)
    assert len(folder.crashed) == 2 == folder.withdraw_crashed() and folder.withdraw_crashed() == 0
    assert open_folder(tmp_path, asked).withdraw_crashed() == 0  # who asks at the same time finds nothing to ask for
    assert told(before) == told(map(json.loads, (tmp_path / "rows.jsonl.retried").read_text().splitlines()))
    assert benchmark.run(folder, local_executor(1)).ran == 2 and not folder.crashed
    at_work.refresh()
    assert told(at_work.all_rows()) == told(folder.all_rows())
    assert {row["status"] for row in folder.all_rows()} == {"ok"} and len(folder.all_rows()) == 8
    others = [[row for row in rows if row["controller"] == "dyn-gda"] for rows in (before, folder.all_rows())]
    assert told(others[0]) == told(others[1])


def test_sound_groups_stay_when_crashed_ones_are_withdrawn(copy):
    lines = (copy / "rows.jsonl").read_text().splitlines(keepends=True)
    row = json.loads(lines[5]) | {"status": "error", "score": None}
    (copy / "rows.jsonl").write_text("".join(lines[:5]) + json.dumps(row) + "\n" + "".join(lines[6:]) + '{"torn')
    at_work, folder = open_folder(copy, None), open_folder(copy, None)
    assert folder.withdraw_crashed() == 1 and len(folder.left) == 1
    assert (copy / "rows.jsonl").read_text() == "".join(lines[:4])
    job = at_work.take()
    assert job is not None and job.group.id == folder.left[0].id
    at_work.put(job.group, run_job(job))
    at_work.close()
    assert told(open_folder(copy, None).all_rows()) == told(map(json.loads, lines))


def test_a_file_that_was_replaced_twice_while_another_held_it_is_never_taken_for_the_old_one(copy, finished):
    """The worst order: one has read the rows; meanwhile others take crashed groups out, again and again."""
    first, second = finished.groups
    sound = {group.id: finished.rows_of(group) for group in (first, second)}
    crashed = [row | {"status": "error", "score": None} for row in sound[first.id]]
    (copy / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*crashed, *sound[second.id]]))
    at_work, other = open_folder(copy, None), open_folder(copy, None)
    held = os.stat(copy / "rows.jsonl").st_ino
    for _ in range(20):  # where numbers of files are free again at once, the second is the old one's
        assert other.withdraw_crashed() == 1
        assert os.stat(copy / "rows.jsonl").st_ino != held
        other.rows.append(first.id, [row | {"failure": "x" * 40} for row in crashed])
    assert other.withdraw_crashed() == 1
    at_work.rows.append(first.id, sound[first.id])  # at the end of what is there now, not of what it knew
    for folder in (at_work, other, open_folder(copy, None)):
        folder.refresh()
        assert not folder.left and told(folder.all_rows()) == told(finished.all_rows())
    assert not (copy / "rows.jsonl.torn").exists()


def test_a_group_is_claimed_once_although_others_finish_and_withdraw_it_meanwhile(copy, finished):
    (copy / "rows.jsonl").unlink()
    ours, theirs = open_folder(copy, config()), open_folder(copy, config())
    for group in finished.groups:
        job = ours.take()
        assert job is not None and job.group.id == group.id
        other = theirs.take()
        assert other is None or other.group.id != group.id
        theirs.close()
        ours.put(group, finished.rows_of(group))
    assert theirs.take() is None and sorted(os.listdir(copy / "claims")) == ["rows.jsonl"]


@pytest.mark.slow
def test_six_processes_that_begin_a_folder_at_one_instant_all_get_in(tmp_path):
    code = """
import sys, time
from pathlib import Path
from agents.benchmark import running
from agents.benchmark.executors import local_executor
from agents.benchmark.folder import open_folder
from tests.support.small_benchmark import config
asked = config(seeds=8)
print("ready", flush=True)
sys.stdin.read(1)
done = running.run(open_folder(Path(sys.argv[1]), asked), local_executor(1))
print(done.complete, done.ran)
"""
    call = [sys.executable, "-c", code, str(tmp_path / "out")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    others = [
        subprocess.Popen(call, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}, **pipes) for _ in range(6)
    ]
    for each in others:
        assert each.stdout.readline() == "ready\n"
    for each in others:
        each.stdin.write("g")
        each.stdin.flush()
    said = [each.communicate() for each in others]
    assert all(out.startswith("True ") for out, _ in said), said
    assert sum(int(out.split()[1]) for out, _ in said) == 4  # each group was run by one of them
    assert len(open_folder(tmp_path / "out", None).all_rows()) == 16


def test_a_controller_that_learns_is_told_what_came_of_each_update():
    class Learner(_Crashes):
        learns = True
        heard = []

        def learn(self, transition):
            self.heard.append(transition)

    game = EnvConfig.of(GAME, task="digits", episode_updates=5)
    rows = compare(game, [Learner("never"), "sim-gda"], seeds=[1, 2], split="tune").rows
    heard = Learner.heard
    assert [int(t.before.update[0]) for t in heard] == [0, 1, 2, 3, 4]
    assert [int(t.after.update[1]) for t in heard] == [1, 2, 3, 4, 5]
    assert not heard[0].truncated.any() and heard[-1].truncated.all() and not heard[-1].terminated.any()
    np.testing.assert_allclose(sum(t.reward for t in heard), [row["return"] for row in rows[:2]], rtol=1e-9)
    gap = (heard[2].after.g_loss - heard[2].after.d_mean).abs().double()
    torch.testing.assert_close(heard[2].reward, -gap, rtol=1e-5, atol=1e-6)
    assert not torch.equal(heard[1].before.real_logits, heard[2].before.real_logits)


def test_a_controller_that_refuses_a_game_is_known_before_anything_runs(tmp_path):
    asked = config(losses=("bce", "wgan"), controllers=("sim-gda", "gcann"))
    with pytest.raises(ValueError, match="'gcann' is not defined for task='digits', loss='wgan'"):
        open_folder(tmp_path / "a", asked)
    assert not (tmp_path / "a").exists()
    asked = BenchConfig(parts=asked.parts, skip_undefined=True)
    rows = ran(tmp_path / "b", asked).all_rows()
    assert {(r["loss"], r["controller"]) for r in rows} == {("bce", "sim-gda"), ("bce", "gcann"), ("wgan", "sim-gda")}
    (left_out,) = json.loads((tmp_path / "b" / "config.json").read_text())["undefined"]
    assert left_out["controller"] == "gcann" and left_out["loss"] == "wgan" and "wgan" in left_out["why"]
    assert open_folder(tmp_path / "b", asked).left == []


def test_what_fails_outside_the_controllers_is_tried_again_and_then_left_for_the_next_call(tmp_path, monkeypatch):
    tries = []

    def breaks(*args, **options):
        tries.append(1)
        raise OSError("no room left")

    monkeypatch.setattr("agents.benchmark.executors.run_batch", breaks)
    folder = open_folder(tmp_path, config())
    done = benchmark.run(folder, local_executor(1))
    assert not done.complete and len(tries) == 4 and all("no room left" in why for why in done.failures.values())
    monkeypatch.undo()
    assert len(ran(tmp_path, config()).all_rows()) == 8
