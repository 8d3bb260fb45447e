"""A benchmark runs every cell once, whoever stops it, and says what it cannot run."""

import gzip
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
from importlib.metadata import version

import numpy as np
import pytest
import torch

from agents import make_controller
from agents.base import CONTROLLERS
from agents.bench import run_group, split_seeds
from agents.benchmark import running as benchmark
from agents.benchmark.contenders import best_constant, make_entry, refusal
from agents.benchmark.engines import Failed, local, ray_cluster, run_job
from agents.benchmark.folder import open_folder
from agents.benchmark.plan import BenchConfig, Part, built, plan, prepared
from agents.benchmark.plan_json import as_json, difference, from_json
from agents.benchmark.suites import SUITES, configure
from agents.benchmark.verify import verify
from agents.files import save_controller
from agents.policy import PolicyController, PolicySpec
from agents.registry import controller_label
from agents.replay import Recorder
from agents.seats import Entry
from gan_env.config import EnvConfig
from gan_env.env import make_trainer
from gan_env.records import Control

GAME = EnvConfig(batch_size=8, device="cpu")
SMALL = Part(tasks=("digits",), controllers=("sim-gda", "constant:2"), updates=6, seeds=4, group_rows=4, game=GAME)
FIELDS = (
    "task loss controller d_lr g_lr optimizer order updates updates_per_step seed split status score score_name floor "
    "return d_updates g_updates wall_s dtype device threads group key versions trace"
).split()
"""Of every row, by design."""


def config(**changes):
    return BenchConfig(parts=(Part(**{**{f: getattr(SMALL, f) for f in SMALL.__dataclass_fields__}, **changes}),))


def ran(path, asked, jobs=1):
    """The folder after one whole run, as a fresh look finds it."""
    done = benchmark.run(open_folder(path, asked), local(jobs))
    assert done.complete, done.failures
    return open_folder(path, None)


def told(rows):
    """Rows without what no two runs share, in an order of their own."""
    kept = [{k: v for k, v in row.items() if k not in ("wall_s", "control_s")} for row in rows]
    return sorted(json.dumps(row, sort_keys=True) for row in kept)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small benchmark that ran through: two groups."""
    path = tmp_path_factory.mktemp("bench") / "out"
    return ran(path, config())


@pytest.fixture
def copy(finished, tmp_path):
    """The finished benchmark in a folder that may be spoiled."""
    for name in ("config.json", "rows.jsonl"):
        (tmp_path / name).write_bytes((finished.path / name).read_bytes())
    return tmp_path


# -- the plan -------------------------------------------------------------------------------------------------------


def test_a_plan_holds_every_cell_once_and_follows_from_the_configuration_alone():
    asked = config(losses=("bce", "lsgan"), d_lr=(1e-3, 2e-3), seeds=5)
    groups = plan(asked)
    cells = [(g.game.loss, g.game.d_lr, c, s) for g in groups for c in g.contests[0].controllers for s in g.seeds]
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 5
    assert all(g.cells <= 4 and g.contests[0].controllers == ("sim-gda", "constant:2") for g in groups)
    assert [g.id for g in groups] == [g.id for g in plan(from_json(json.loads(json.dumps(as_json(asked)))))]
    assert len({g.id for g in groups}) == len(groups)


@pytest.mark.parametrize(
    "change",
    [
        {"updates": 8},
        {"controllers": ("sim-gda", "constant:3")},
        {"group_rows": 2},
        {"d_lr": (1e-3,)},
        {"losses": ("lsgan",)},
        {"name": "other"},
        {"game": EnvConfig(batch_size=16, device="cpu")},
        {"game": EnvConfig(batch_size=8, device="cpu", d_lr_range=(0.1, 2.0))},
    ],
)
def test_whatever_decides_a_row_changes_its_group(change):
    assert not {g.id for g in plan(config())} & {g.id for g in plan(config(**change))}


def test_seeds_are_cut_into_even_pieces():
    sizes = [len(g.seeds) for g in plan(config(seeds=10, group_rows=17))]
    assert sizes == [5, 5] and max(len(g.seeds) for g in plan(config(group_rows=1))) == 1


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_survives_being_written_down(name):
    asked = configure(name, {"seeds": 1}, also=["constant:7"])
    assert from_json(json.loads(json.dumps(as_json(asked)))) == asked
    assert all(part.seeds == 1 and part.controllers[-1] == "constant:7" for part in asked.parts)


def test_the_first_difference_between_configurations_is_named():
    a, b = as_json(config()), as_json(config(seeds=5))
    assert difference(a, a) == "" and difference(a, b) == "parts[0].seeds is 4 there and 5 here"


# -- running --------------------------------------------------------------------------------------------------------


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
    assert [v.equal for v in verify(open_folder(copy, None), local(1), groups=1)] == [True]
    assert benchmark.run(open_folder(copy, config()), local(1)).ran == 0
    (copy / "rows.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[:4])))
    with pytest.raises(ValueError, match="gunzip"):
        benchmark.run(open_folder(copy, config()), local(1))
    (copy / "rows.jsonl.gz").write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(OSError, match="is damaged"):
        open_folder(copy, None)
    assert sorted(os.listdir(copy)) == ["config.json", "rows.jsonl.gz"]


def test_a_finished_group_is_never_run_twice(copy):
    before = (copy / "rows.jsonl").read_bytes()
    done = benchmark.run(open_folder(copy, config()), local(1))
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
    assert benchmark.run(open_folder(tmp_path, asked), local(1)).ran == 0
    folder = open_folder(tmp_path, asked)
    assert len(folder.crashed) == 2 == folder.withdraw_crashed() and folder.withdraw_crashed() == 0
    assert open_folder(tmp_path, asked).withdraw_crashed() == 0  # who asks at the same time finds nothing to ask for
    assert told(before) == told(map(json.loads, (tmp_path / "rows.jsonl.retried").read_text().splitlines()))
    assert benchmark.run(folder, local(1)).ran == 2 and not folder.crashed
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


def test_a_controller_that_learns_is_told_what_came_of_each_update():
    class Learner(_Crashes):
        learns = True
        heard = []

        def learn(self, transition):
            self.heard.append(transition)

    game = EnvConfig.of(GAME, task="digits", episode_updates=5)
    rows = run_group(game, [Entry("l", Learner("never")), Entry("s", make_controller("sim-gda"))], [1, 2], "tune").rows
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

    monkeypatch.setattr("agents.benchmark.engines.run_side_by_side", breaks)
    folder = open_folder(tmp_path, config())
    done = benchmark.run(folder, local(1))
    assert not done.complete and len(tries) == 4 and all("no room left" in why for why in done.failures.values())
    monkeypatch.undo()
    assert len(ran(tmp_path, config()).all_rows()) == 8


# -- best constant --------------------------------------------------------------------------------------------------


def test_the_best_constant_is_chosen_on_tune_seeds_by_validation_data_and_never_scored_there(tmp_path):
    asked = config(controllers=("sim-gda", "best-constant"), constants=(0.1, 10.0), tune_seeds=3, updates=40)
    folder = ran(tmp_path, asked)
    chosen = [row for rows in folder.selection.rows.values() for row in rows]
    assert len(chosen) == 6 and all(r["split"] == "tune" and r["score"] is None and r["quality"] > 0 for r in chosen)
    means = {
        c: np.mean([r["quality"] for r in chosen if r["controller"] == c]) for c in ("constant:0.1", "constant:10")
    }
    judged = [row for row in folder.all_rows() if row["controller"] == "best-constant"]
    assert len(folder.all_rows()) == 8 and {row["runs_as"] for row in judged} == {min(means, key=means.get)}
    assert all(row["split"] == "evaluate" and row["score"] > 0 for row in judged)
    assert set(judged[0]["chosen_by"]["best-constant"]) == set(folder.selection.rows)
    (tmp_path / "selection.jsonl").unlink()  # what was judged cannot be repeated without what chose it
    with pytest.raises(ValueError, match="no finished group to verify"):
        verify(open_folder(tmp_path, None), local(1), groups=9)
    assert [group.chooses for group in open_folder(tmp_path, None).left] == [True] * len(folder.selection.rows)


def test_selection_never_asks_for_test_data(monkeypatch):
    monkeypatch.setattr("gan_env.trainer.Trainer.score", lambda self, row: pytest.fail("scored on test data"))
    asked = config(controllers=("sim-gda", "best-constant"))
    choosing = [group for group in plan(asked) if group.chooses]
    for group in choosing:
        rows = run_job(open_job(group))
        assert all(row["score"] is None and row["floor"] is None and row["status"] == "ok" for row in rows)
    assert choosing


def open_job(group):
    from agents.benchmark.folder import Job

    return Job(group)


def test_a_constant_that_fails_counts_as_an_untrained_generator():
    def rows(name, *qualities):
        return [{"controller": name, "status": "ok" if q else "diverged", "quality": q} for q in qualities]

    good, risky = rows("constant:1", 4.0, 4.0), rows("constant:3", 1.0, None)
    assert best_constant(good + risky, worst=5.0) == "constant:3"  # (1 + 5) / 2
    assert best_constant(good + risky, worst=9.0) == "constant:1"
    assert best_constant(rows("constant:10", 2.0) + rows("constant:0.3", 2.0), worst=9.0) == "constant:0.3"


def test_a_constant_chosen_on_another_task_is_judged_here():
    asked = config(controllers=("best-constant", "best-constant:ring"), tune_seeds=2)
    tasks = [(group.game.task, group.chooses) for group in plan(asked)]
    assert set(tasks) == {("digits", True), ("ring", True), ("digits", False)}


def test_constants_that_differ_by_little_are_told_apart():
    asked = config(controllers=("best-constant",), constants=(1.0, 1.0000001, 0.3))
    assert plan(asked)[0].contests[0].controllers == ("constant:1", "constant:1.0000001", "constant:0.3")


# -- controllers ----------------------------------------------------------------------------------------------------


def test_an_agent_that_learns_within_the_run_says_so_and_shares_the_games_settings():
    assert controller_label("fsco") == "fsco (embedded)" and controller_label("sim-gda") == "sim-gda"
    assert controller_label("ddpg").endswith("(embedded)")
    entry = make_entry("fsco(d_lr_range=(0.1, 2.0))", EnvConfig(updates_per_step=10, d_loss_scale="sum"))
    assert entry.name == "fsco(d_lr_range=(0.1, 2.0)) (embedded)"
    settings = entry.controller.config
    assert (settings.updates_per_step, settings.d_loss_scale, settings.d_lr_range) == (10, "sum", (0.1, 2.0))


def test_fscos_agent_can_be_rewarded_by_quality_instead():
    settings = make_controller("fsco(reward='quality_gain')")
    assert settings.spec.control == "learning-rate" and hasattr(settings, "bind")
    with pytest.raises(ValueError, match="did you mean 'loss_gap'"):
        make_controller("fsco(reward='los_gap')")


def test_a_controller_file_that_changed_is_refused(tmp_path):
    def write(size):
        torch.manual_seed(size)
        layers = [(torch.randn(1, 9), torch.zeros(1))]
        save_controller(PolicyController(PolicySpec(), layers, "mine"), tmp_path / "agent.safetensors")

    write(0)
    asked = config(controllers=("sim-gda", str(tmp_path / "agent.safetensors")))
    rows = ran(tmp_path / "out", asked).all_rows()
    assert {row["runs_as"].split()[0] for row in rows} == {"sim-gda", "mine"}
    write(1)
    for again in (asked, None):
        with pytest.raises(ValueError, match=r"files.*agent\.safetensors is"):
            open_folder(tmp_path / "out", again)


def test_one_agent_under_two_paths_is_refused(tmp_path):
    layers = [(torch.zeros(1, 9), torch.zeros(1))]
    paths = tuple(str(tmp_path / f"{name}.safetensors") for name in "ab")
    for path in paths:
        save_controller(PolicyController(PolicySpec(), layers, "mine"), path)
    with pytest.raises(ValueError, match=r"a\.safetensors' and .*b\.safetensors' are the same agent"):
        open_folder(tmp_path / "out", config(controllers=("sim-gda", *paths)))


def test_data_of_ones_own_are_pinned(tmp_path):
    from PIL import Image

    from gan_env.pictures import picture_data, picture_splits

    def as_in_another_process():
        for read in (built, picture_data, picture_splits):
            read.cache_clear()

    def add(names):
        for name in names:
            pixels = np.random.default_rng(name).integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / f"{name:03}.png")
        as_in_another_process()

    (tmp_path / "pictures").mkdir()
    add(range(110))
    asked = config(tasks=(f"folder:{tmp_path / 'pictures'}@28",), updates=1, seeds=1)
    (tmp_path / "out").mkdir()
    folder = open_folder(tmp_path / "out", asked)
    (contest,) = folder.groups[0].contests
    assert list(folder.config.files) == list(asked.parts[0].tasks) and dict(contest.files) == folder.config.files
    elsewhere = prepared(config(controllers=(f"best-constant:{asked.parts[0].tasks[0]}",), updates=1, seeds=1))
    choosing, judged = plan(elsewhere)[0], plan(elsewhere)[-1]
    assert dict(choosing.contests[0].files) == elsewhere.files == folder.config.files and not judged.contests[0].files
    as_in_another_process()
    assert open_folder(tmp_path / "out", asked).groups[0].id == folder.groups[0].id
    add([110])
    for again in (asked, None):
        with pytest.raises(ValueError, match="files.*folder:"):
            open_folder(tmp_path / "out", again)


def test_the_row_of_a_replay_names_whom_it_replays(tmp_path):
    game, file = EnvConfig.of(GAME, task="digits", episode_updates=6), tmp_path / "run.safetensors"
    recorder = Recorder(make_controller("dyn-gda"))
    (row,) = run_group(game, [Entry("dyn-gda", recorder)], [1], "tune").rows
    recorder.save(file)
    rows = ran(tmp_path / "out", config(controllers=("sim-gda", f"replay:{file}"))).all_rows()
    assert row["replay_of"] is None and {r["replay_of"] for r in rows} == {None, "dyn-gda"}


def test_a_file_of_another_kind_is_no_controller(tmp_path):
    (tmp_path / "agent.zip").write_text("")
    with pytest.raises(ValueError, match=r"agent\.zip' is a file, but none of a controller.*safetensors"):
        make_entry(str(tmp_path / "agent.zip"), GAME)


def test_options_stand_in_a_controllers_name():
    assert make_controller("dyn-gda(c1=1.2, c2=0.7)").law == make_controller("dyn-gda", c1=1.2, c2=0.7).law
    assert make_controller("constant:2").law == make_controller("constant:2()").law


@pytest.mark.parametrize(
    "name",
    [
        "dyn-gda(c1)",
        "dyn-gda(c1=1.2",
        "dyn-gda(c1=open('x'))",
        "dyn-gda(c1=1)(c2=2)",
        "dyn-gda(**{'c1': 1})",
        "dyn-gda(c1=1) + 2",
        "dyn-gda(c1=__import__('os'))",
    ],
)
def test_brackets_hold_plain_values_and_nothing_is_run(name):
    with pytest.raises(ValueError, match="brackets hold options with plain values"):
        make_controller(name)


# -- verify ---------------------------------------------------------------------------------------------------------


def test_verify_finds_every_row_as_it_was(finished):
    verdicts = verify(finished, local(1), groups=9)
    assert len(verdicts) == 2 and all(v.equal and v.rows == 4 for v in verdicts)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("score", lambda score: np.nextafter(score, np.inf)),
        ("return", lambda earned: earned + 1e-12),
        ("d_updates", lambda count: count + 1),
        ("failure", lambda failure: "dead generator"),
    ],
)
def test_verify_finds_a_changed_row(copy, field, change):
    lines = (copy / "rows.jsonl").read_text().splitlines()
    row = json.loads(lines[2])
    row[field] = change(row[field])
    lines[2] = json.dumps(row)
    (copy / "rows.jsonl").write_text("\n".join(lines) + "\n")
    verdicts = verify(open_folder(copy, None), local(1), groups=9)
    (found,) = [d for v in verdicts for d in v.differences]
    assert (found.controller, found.seed, found.field) == (row["controller"], row["seed"], field)
    assert sum(v.equal for v in verdicts) == 1


def test_verify_can_be_held_to_groups_that_train_quickly(finished):
    with pytest.raises(ValueError, match="within 0 s"):
        verify(finished, local(1), within_s=0.0)
    assert len(verify(finished, local(1), groups=9, within_s=60.0)) == 2


def test_committed_results_are_verified_and_a_changed_row_or_a_broken_folder_is_found(copy, capsys):
    from benchmarks.verify_results import main

    committed = copy / "results" / "quick"
    assert main(copy / "results") == 0 and "no benchmark's folder" in capsys.readouterr().out
    committed.mkdir(parents=True)
    (committed / "config.json").write_bytes((copy / "config.json").read_bytes())
    rows = (copy / "rows.jsonl").read_text()

    def said(text):
        (committed / "rows.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        return main(copy / "results"), capsys.readouterr().out

    code, out = said(rows)
    assert code == 0 and "quick: " in out and "equal to the bit" in out
    code, out = said(changed := rows.replace('"ended": 6', '"ended": 5'))
    assert code == 1 and "ended is 5, now 6" in out
    code, out = said(changed.replace(torch.__version__, "1.0"))  # its rounding is not ours
    assert code == 0 and "likely cause" in out
    code, out = said(rows.replace(plan(config())[0].id, "0" * 16))
    assert code == 1 and "not in this configuration's plan" in out
    code, out = said(re.sub(r'"wall_s": [^,]*', '"wall_s": 99.0', rows))
    assert code == 0 and "takes longer" in out


def test_verify_names_another_version_as_the_likely_cause(copy):
    from agents.benchmark.verify import cause, report

    content = (copy / "rows.jsonl").read_text()
    content = content.replace(f'"torch": "{version("torch")}"', '"torch": "1.0"').replace('"ended": 6', '"ended": 5')
    (copy / "rows.jsonl").write_text(content)
    verdicts = verify(open_folder(copy, None), local(1), groups=1)
    assert (
        not verdicts[0].equal and "version of torch 1.0 there" in cause(verdicts) and "likely cause" in report(verdicts)
    )


# -- engines --------------------------------------------------------------------------------------------------------


def test_ray_that_is_not_installed_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'gan-env\[ray\]'"):
        ray_cluster(None)


def test_a_stand_in_for_ray_is_driven_as_its_documentation_says(tmp_path, monkeypatch, finished):
    # Not Ray itself: it holds our side to the calls (init, remote, wait, get) and to what each gives.
    class Lost(Exception):
        pass

    def remote(**options):
        assert options["max_retries"] == 3 and OSError in options["retry_exceptions"]
        lost = []

        def submit(function):
            def call(job):
                if not lost:
                    lost.append(job)
                    return ("lost", id(job))
                return ("done", function(job))

            return types.SimpleNamespace(remote=lambda job: _Future(call(job)))

        return submit

    class _Future:
        def __init__(self, value):
            self.value = value

    def get(future):
        if future.value[0] == "lost":
            raise Lost("a machine went away")
        return future.value[1]

    fake = types.SimpleNamespace(
        init=lambda **options: None,
        cluster_resources=lambda: {"CPU": 2.0},
        remote=remote,
        wait=lambda futures, num_returns, timeout: (futures[:1], futures[1:]),
        get=get,
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    folder = open_folder(tmp_path, config())
    done = benchmark.run(folder, ray_cluster("somewhere"))
    assert done.complete and folder.failures and told(folder.all_rows()) == told(finished.all_rows())


@pytest.fixture
def cluster():
    """Ray on this machine with two workers, and nothing of it afterwards."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
def test_two_ray_workers_give_the_same_rows(tmp_path, finished, cluster):
    folder = open_folder(tmp_path, config())
    assert benchmark.run(folder, ray_cluster(None)).complete
    assert told(folder.all_rows()) == told(finished.all_rows())


def ray_workers_at_work():
    """Processes of our Ray workers that are at a job now."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    parents, names = {}, {}
    for pid, parent, name in (line.split(None, 2) for line in listed.splitlines()):
        parents[int(pid)], names[int(pid)] = int(parent), name

    def ours(pid):
        return pid == os.getpid() or (pid in parents and ours(parents[pid]))

    return {pid for pid, name in names.items() if name.startswith("ray::attempt") and ours(pid)}


@pytest.mark.slow
def test_a_ray_worker_that_is_killed_in_mid_cell_costs_a_retry_and_no_row(tmp_path, cluster):
    asked = config(updates=300)
    expected = ran(tmp_path / "local", asked).all_rows()
    folder, killed = open_folder(tmp_path / "ray", asked), []

    def kill():
        while not (before := ray_workers_at_work()):
            time.sleep(0.02)
        time.sleep(0.2)  # into the training
        killed.append(min(before & ray_workers_at_work()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    done = benchmark.run(folder, ray_cluster(None))
    assert killed and done.complete and done.ran == 2 and not folder.failures
    assert told(folder.all_rows()) == told(expected)


@pytest.mark.slow
def test_workers_give_the_same_rows_and_one_that_is_killed_loses_nothing(tmp_path, finished):
    folder = open_folder(tmp_path, config(updates=6))
    killed = []
    engine = local(2)

    def take():
        job = folder.take()
        if job is not None and not killed and (children := multiprocessing.active_children()):
            killed.append(children[0].pid)
            os.kill(children[0].pid, signal.SIGKILL)
        return job

    while folder.possible:
        for job, outcome in engine(take, lambda group, updates: None):
            if isinstance(outcome, Failed):
                assert "worker process died" in outcome.why
                folder.fail(job.group, outcome.why)
            else:
                folder.put(job.group, outcome)
    assert killed and folder.failures and not folder.left
    assert told(folder.all_rows()) == told(finished.all_rows())
    assert not multiprocessing.active_children()


def test_a_refusal_is_asked_of_one_row_without_training():
    game = EnvConfig.of(GAME, task="digits", loss="wgan", episode_updates=6)
    trainer = make_trainer(game, 1)
    trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert "wgan" in refusal("gcann", game, trainer) and refusal("lookahead", game, trainer) == ""
    assert int(trainer.updates[0]) == 0
