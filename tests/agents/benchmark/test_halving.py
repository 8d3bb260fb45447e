"""The schedule that is chosen on tune seeds by successive halving."""

import json

import pytest

from agents.benchmark.bench_config import Part
from agents.benchmark.executors import local_executor, run_job
from agents.benchmark.folder import open_folder
from agents.benchmark.halving import ranked, rungs, schedules
from agents.benchmark.plan import ancestors, plan
from agents.benchmark.verify import verify
from agents.comparison.seeds import split_seeds
from tests.support.small_benchmark import config, ran, told

SEARCH = {
    "controllers": ("sim-gda", "best-schedule"), "d_multipliers": (0.3, 1.0, 30.0), "g_multipliers": (1.0, 3.0),
    "shapes": ("constant", "linear"), "tune_seeds": 2, "updates": 40, "seeds": 2,
}  # fmt: skip


def by_rung(folder):
    found = {}
    for group in folder.groups:
        if group.chooses:
            found.setdefault(group.rung, []).extend(folder.rows_of(group))
    return found


def means(rows, name):
    found = {}
    for row in rows:
        found.setdefault(row[name], []).append(row["quality"])
    return {key: sum(values) / len(values) for key, values in found.items()}


def test_each_rung_keeps_a_quarter_and_no_seed_serves_twice():
    assert [(r.candidates, len(r.seeds), r.updates) for r in rungs(144, 8, 5_000, 10)] == [
        (144, 1, 1_250), (36, 2, 2_500), (9, 4, 5_000), (3, 8, 5_000),
    ]  # fmt: skip
    for candidates, seeds, updates, step in ((1, 8, 100, 10), (5, 1, 7, 1), (17, 3, 30, 10), (500, 16, 1_000, 50)):
        found = rungs(candidates, seeds, updates, step)
        assert found[0].candidates == candidates and found[-1].candidates <= 4
        assert len(found[-1].seeds) == seeds and found[-1].updates == updates
        assert all(r.updates % step == 0 or r.updates == updates for r in found)
        places = [place for rung in found for place in rung.seeds]
        assert places == list(range(len(places)))


def test_the_best_of_every_rung_goes_on_and_the_best_of_the_last_is_judged(tmp_path):
    folder = ran(tmp_path, config(**SEARCH))
    rounds = by_rung(folder)
    first, last = rounds[1], rounds[2]
    assert {row["controller"] for row in first} == set(schedules((0.3, 1.0, 30.0), (1.0, 3.0), ("constant", "linear")))
    assert len(first) == 12 and {row["seed"] for row in first} == {split_seeds("tune", 1)[0]}
    assert {row["seed"] for row in last} == set(split_seeds("tune", 3)[1:]) and len(last) == 6
    assert all(row["score"] is None and row["split"] == "tune" and "trace" not in row for row in (*first, *last))
    by_distance = sorted(means(first, "controller").items(), key=lambda entry: entry[1])
    survived = {row["controller"]: row["runs_as"] for row in last}
    assert [survived[f"survivor-{place}"] for place in (1, 2, 3)] == [name for name, _ in by_distance[:3]]
    winner = min(means(last, "runs_as").items(), key=lambda entry: entry[1])[0]
    judged = [row for row in folder.all_rows() if row["controller"] == "best-schedule"]
    assert {row["runs_as"] for row in judged} == {winner} and all(row["score"] > 0 for row in judged)
    spent = sum(row["updates"] for row in (*first, *last))
    assert all(row["selection_updates"] == {"best-schedule": spent} for row in folder.all_rows())


def test_a_search_is_repeated_to_the_bit_and_independent_of_the_workers(tmp_path):
    asked = config(**SEARCH)
    folder = ran(tmp_path / "one", asked)
    assert all(each.equal for each in verify(folder, local_executor(1), groups=20))
    other = ran(tmp_path / "two", asked, jobs=2)
    assert told(folder.all_rows()) == told(other.all_rows())


def test_without_a_rung_nothing_after_it_is_run_or_verified(tmp_path):
    ran(tmp_path, config(**SEARCH))
    lines = (tmp_path / "selection.jsonl").read_text().splitlines(keepends=True)
    later = {group.id for group in open_folder(tmp_path, None).groups if group.rung > 1}
    (tmp_path / "selection.jsonl").write_text("".join(line for line in lines if json.loads(line)["group"] in later))
    folder = open_folder(tmp_path, None)
    assert not any(folder.ready(group) for group in folder.groups if group.rung != 1)
    job = folder.take()
    assert job is not None and job.group.rung == 1
    folder.close()
    for group in (group for group in folder.groups if group.rung == 1):
        folder.failures[group.id] = ["broken"] * folder.TRIES
    assert not folder.possible  # nothing is waited for that can no longer come


def test_what_rows_say_that_they_ran_as_decides_nothing(tmp_path):
    folder = ran(tmp_path, config(**SEARCH))
    job = [folder.job(group) for group in folder.groups]
    text = (tmp_path / "selection.jsonl").read_text().replace('"runs_as": "schedule', '"runs_as": "replay:x')
    (tmp_path / "selection.jsonl").write_text(text)
    changed = open_folder(tmp_path, None)
    assert [changed.job(group).runs_as for group in changed.groups] == [each.runs_as for each in job]


def test_the_search_counts_failures_as_the_worst_and_prefers_plain_training_on_a_tie():
    def rows(name, *qualities):
        return [{"controller": name, "status": "ok" if q else "diverged", "quality": q} for q in qualities]

    wild, mild, plain = schedules((30.0, 3.0, 1.0), (1.0,), ("constant",))
    decay = "schedule(d=1, g=1, shape='linear')"
    found = rows(wild, 0.1, None) + rows(mild, 2.0, 2.0) + rows(decay, 2.0, 2.0) + rows(plain, 2.0, 2.0)
    assert ranked(found, worst=9.0) == [plain, decay, mild, wild]
    behind = {"survivor-1": mild, "survivor-2": plain}
    assert ranked(rows("survivor-1", 2.0) + rows("survivor-2", 1.0), 9.0, behind) == [plain, mild]


def test_a_schedule_chosen_on_another_task_is_judged_here_and_both_searches_are_counted():
    asked = config(**SEARCH | {"controllers": ("best-constant", "best-schedule", "best-schedule:ring")})
    groups = plan(asked)
    judged = [group for group in groups if not group.chooses]
    spent = dict(judged[0].comparisons[0].spent)
    assert {group.game.task for group in groups if group.rung} == {"digits", "ring"}
    search = (12 * 1 + 3 * 2) * 40  # the last two rungs run to the end
    assert spent == {"best-constant": 5 * 2 * 40, "best-schedule": search, "best-schedule:ring": search}
    place = {group.id: at for at, group in enumerate(groups)}
    choosing = {group.id: group for group in groups if group.chooses}
    for group in groups:
        assert all(place[need.id] < place[group.id] for need in ancestors(group, choosing))


def test_without_a_best_schedule_a_row_says_nothing_of_what_choosing_took():
    (judged,) = (
        group for group in plan(config(controllers=("sim-gda", "best-constant"), seeds=1)) if not group.chooses
    )
    assert "selection_updates" not in judged.labels(judged.comparisons[0])
    assert all(group.rung == 0 for group in plan(config(controllers=("best-constant",))))


def test_no_rung_is_scored_on_test_data(monkeypatch):
    monkeypatch.setattr("gan_env.training.trainer.Trainer.score", lambda self, row: pytest.fail("scored on test data"))
    from agents.benchmark.folder import Job

    first = next(group for group in plan(config(**SEARCH)) if group.rung == 1)
    assert all(row["score"] is None and row["floor"] is None for row in run_job(Job(first)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": ("linear", "linaer")}, "unknown shape 'linaer'; did you mean 'linear'"),
        ({"d_multipliers": (1.0, 0.0)}, "d_multipliers=1.0,0.0 must be numbers > 0"),
        ({"g_multipliers": ()}, "g_multipliers is empty"),
        ({"controllers": ("best-schedule",), "split": "tune"}, "best-schedule is chosen on the seeds of split='tune'"),
        ({"controllers": ("best-schedule", "best-schedule:ring")}, "are the same"),
        ({"controllers": ("survivor-1",)}, "survivor-1"),
    ],
)
def test_a_mistake_in_a_search_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Part(**changes)
