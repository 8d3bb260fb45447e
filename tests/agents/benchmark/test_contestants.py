"""The names that a benchmark takes for controllers, and what they stand for."""

import numpy as np
import pytest
import torch

from agents import compare, make_controller
from agents.benchmark.executors import local_executor, run_job
from agents.benchmark.folder import open_folder
from agents.benchmark.halving import ranked
from agents.benchmark.plan import built, plan, prepared
from agents.benchmark.verify import verify
from agents.comparison.contestants import make_contestant
from agents.policies.policy import PolicyController, PolicySpec
from agents.policies.policy_files import save_controller
from agents.registry import controller_label
from agents.rules.replay import Recorder
from gan_env.envs.config import EnvConfig
from tests.support.small_benchmark import GAME, config, ran


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
        verify(open_folder(tmp_path, None), local_executor(1), groups=9)
    assert [group.chooses for group in open_folder(tmp_path, None).left] == [True] * len(folder.selection.rows)


def test_selection_never_asks_for_test_data(monkeypatch):
    monkeypatch.setattr("gan_env.training.trainer.Trainer.score", lambda self, row: pytest.fail("scored on test data"))
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
    assert ranked(good + risky, worst=5.0)[0] == "constant:3"  # (1 + 5) / 2
    assert ranked(good + risky, worst=9.0)[0] == "constant:1"
    assert ranked(rows("constant:10", 2.0) + rows("constant:0.3", 2.0), worst=9.0)[0] == "constant:0.3"


def test_a_constant_chosen_on_another_task_is_judged_here():
    asked = config(controllers=("best-constant", "best-constant:ring"), tune_seeds=2)
    tasks = [(group.game.task, group.chooses) for group in plan(asked)]
    assert set(tasks) == {("digits", True), ("ring", True), ("digits", False)}


def test_constants_that_differ_by_little_are_told_apart():
    asked = config(controllers=("best-constant",), constants=(1.0, 1.0000001, 0.3))
    assert plan(asked)[0].comparisons[0].controllers == ("constant:1", "constant:1.0000001", "constant:0.3")


# -- controllers ----------------------------------------------------------------------------------------------------


def test_an_agent_that_learns_within_the_run_says_so_and_shares_the_games_settings():
    assert controller_label("fsco") == "fsco (embedded)" and controller_label("sim-gda") == "sim-gda"
    assert controller_label("ddpg").endswith("(embedded)")
    contestant = make_contestant("fsco(d_lr_range=(0.1, 2.0))", EnvConfig(updates_per_step=10, d_loss_scale="sum"))
    assert contestant.label == "fsco(d_lr_range=(0.1, 2.0)) (embedded)"
    settings = contestant.controller.config
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
            open_folder(tmp_path / "out", again, trust=True)


def test_one_agent_under_two_paths_is_refused(tmp_path):
    layers = [(torch.zeros(1, 9), torch.zeros(1))]
    paths = tuple(str(tmp_path / f"{name}.safetensors") for name in "ab")
    for path in paths:
        save_controller(PolicyController(PolicySpec(), layers, "mine"), path)
    with pytest.raises(ValueError, match=r"a\.safetensors' and .*b\.safetensors' are the same agent"):
        open_folder(tmp_path / "out", config(controllers=("sim-gda", *paths)))


def test_data_of_ones_own_are_pinned(tmp_path):
    from PIL import Image

    from gan_env.data.images import picture_data, picture_splits

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
    (comparison,) = folder.groups[0].comparisons
    assert list(folder.config.files) == list(asked.parts[0].tasks) and dict(comparison.files) == folder.config.files
    elsewhere = prepared(config(controllers=(f"best-constant:{asked.parts[0].tasks[0]}",), updates=1, seeds=1))
    choosing, judged = plan(elsewhere)[0], plan(elsewhere)[-1]
    assert (
        dict(choosing.comparisons[0].files) == elsewhere.files == folder.config.files
        and not judged.comparisons[0].files
    )
    as_in_another_process()
    assert open_folder(tmp_path / "out", asked).groups[0].id == folder.groups[0].id
    add([110])
    for again in (asked, None):
        with pytest.raises(ValueError, match="files.*folder:"):
            open_folder(tmp_path / "out", again, trust=True)


def test_the_row_of_a_replay_names_whom_it_replays(tmp_path):
    game, file = EnvConfig.of(GAME, task="digits", episode_updates=6), tmp_path / "run.safetensors"
    recorder = Recorder(make_controller("dyn-gda"))
    (row,) = compare(game, {"dyn-gda": recorder}, seeds=[1], split="tune").rows
    recorder.save(file)
    rows = ran(tmp_path / "out", config(controllers=("sim-gda", f"replay:{file}"))).all_rows()
    assert row["replay_of"] is None and {r["replay_of"] for r in rows} == {None, "dyn-gda"}


def test_a_file_of_another_kind_is_no_controller(tmp_path):
    (tmp_path / "agent.zip").write_text("")
    with pytest.raises(ValueError, match=r"agent\.zip' is a file, but none of a controller.*safetensors"):
        make_contestant(str(tmp_path / "agent.zip"), GAME)


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
