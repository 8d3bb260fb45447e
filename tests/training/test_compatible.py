"""Games that differ in their data alone share a batch, and none of them notices."""

import dataclasses
import functools
import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from agents import compare
from agents.benchmark import running as benchmark
from agents.benchmark.bench_config import BenchConfig, Part
from agents.benchmark.executors import local_executor
from agents.benchmark.folder import open_folder
from agents.benchmark.plan import plan
from agents.benchmark.sample_grids import file_name
from agents.benchmark.verify import verify
from agents.comparison.batch import Comparison, run_batch
from agents.comparison.contestants import Contestant, make_contestants
from agents.comparison.seeds import split_seeds
from agents.watching.watch import BenchFolder
from gan_env.data.datasets import DISTRIBUTIONS, PlaneData
from gan_env.envs.config import EnvConfig
from gan_env.metrics.scores import PlaneQuality, PlaneScore
from gan_env.tasks.task import TASKS, Task, make_task
from gan_env.training.compatible import difference
from gan_env.training.snapshot import SnapshotError, fork, restore, snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control

PLANE = ("small-ring", "small-circle", "small-spiral", "small-line")
SMALL = {"batch_size": 8, "dtype": "float64", "episode_updates": 12, "device": "cpu", "normalise": True}


@functools.cache
def plane_task(name: str) -> Task:
    """The task of the plane behind `small-`, judged on so few points that exact W1 takes no time."""
    data = PlaneData(DISTRIBUTIONS[name.removeprefix("small-")](), validation_size=100, test_size=100)
    ring = make_task("ring")
    own = {each: getattr(ring, each) for each in ("generator", "discriminator", "latent_size", "kind")}
    return Task(name=name, data=data, quality=PlaneQuality(data, 0.3), score=PlaneScore(data), **own)


@pytest.fixture(autouse=True, scope="module")
def known():
    """The small tasks have names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in PLANE:
            patch.setitem(TASKS._parts, name, functools.partial(plane_task, name))
        yield


def rows_of(tasks: list[Task], loss: str, chunk: int | None = None) -> Trainer:
    """A trainer with a row for each task, all from seed 5."""
    config = EnvConfig(task=tasks[0], loss=loss, **SMALL)
    trainer = Trainer(
        tasks, config.gan_loss, len(tasks), d_lr=1e-3, g_lr=1e-3, d_optimizer=config.optimizer_spec,
        g_optimizer=config.optimizer_spec, batch_size=8, dtype=torch.float64, chunk=chunk,
    )  # fmt: skip
    trainer.reset(np.full(trainer.n, 5), np.zeros(trainer.n, np.int64))
    return trainer


@pytest.mark.parametrize("loss", ["bce", "instance-noise", "wgan-gp", "sn", "gran"])
@pytest.mark.parametrize("chunk", [None, 3])
def test_rows_of_several_tasks_train_as_each_would_alone(loss, chunk):
    tasks = [plane_task(name) for name in (*PLANE, "small-ring")]
    together = rows_of(tasks, loss, chunk)
    orders = torch.tensor([True, False, True, False, True])
    for i in range(20):
        moves_d = orders if i % 2 else ~orders
        together.advance(Control.of(5, update_g=~moves_d | (torch.arange(5) == 2), update_d=moves_d))
    for row, task in enumerate(tasks):
        alone = rows_of([task], loss)
        for i in range(20):
            moves_d = bool(orders[row]) if i % 2 else not orders[row]
            alone.advance(Control.of(1, update_g=not moves_d or row == 2, update_d=moves_d))
        for ours, its in ((together.g, alone.g), (together.d, alone.d)):
            torch.testing.assert_close(ours.flat[row], its.flat[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(together.quality([row]), alone.quality([0]), rtol=1e-9)
    torch.testing.assert_close(together.g.flat[0], together.g.flat[4])
    assert len({float(q) for q in together.quality(range(4))}) == 4


def test_a_fork_knows_what_each_of_its_rows_is_of():
    trainer = rows_of([plane_task(name) for name in PLANE], "bce")
    branch = fork(trainer, [3, 1, 1])
    assert [branch.task_of(row).name for row in range(3)] == ["small-line", "small-circle", "small-circle"]
    both = Control.of(4), Control.of(3)
    for _ in range(10):
        trainer.advance(both[0])
        branch.advance(both[1])
    torch.testing.assert_close(branch.g.flat[0], trainer.g.flat[3])
    np.testing.assert_allclose(branch.quality([0, 2]), trainer.quality([3, 1]))


def test_a_row_is_scored_on_its_own_test_data():
    trainer = rows_of([plane_task("small-ring"), plane_task("small-line")], "bce")
    for row, name in enumerate(("small-ring", "small-line")):
        score, fake = trainer.score(row)
        assert score == pytest.approx(plane_task(name).score(fake)) and score != plane_task(PLANE[1]).score(fake)


def other(**changes) -> Task:
    """`ring` with something else about it."""
    ring = plane_task("small-ring")
    own = {name: getattr(ring, name) for name in ("generator", "discriminator", "data", "latent_size", "latents")}
    return Task(**(own | {"quality": ring.quality, "score": ring.score, "kind": "plane"} | changes))


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (lambda: make_task("digits"), "kinds"),
        (lambda: other(kind="custom"), "kinds"),
        (lambda: other(latent_size=3, generator=lambda: nn.Sequential(nn.Linear(3, 2))), "latents"),
        (lambda: other(data=torch.randn(100, 2)), "training data"),
        (lambda: other(generator=lambda: nn.Sequential(nn.Linear(10, 2))), "generators"),
        (lambda: other(discriminator=lambda: nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))), "discrimin"),
        (lambda: make_task("digits-domains"), "wirings"),
    ],
)
def test_tasks_that_differ_in_more_than_data_are_told_apart_and_refused(task, what):
    ring, task = plane_task("small-ring"), task()
    assert what in difference(ring, task, 8)
    with pytest.raises(ValueError, match=f"cannot share a batch: their {what}.* differ"):
        rows_of([ring, task], "bce")


class Scaled(nn.Sequential):
    """What it is made with shows neither in its weights nor in its name."""

    def __init__(self, scale: float):
        super().__init__(nn.Linear(10, 2))
        self.scale = scale

    def forward(self, latents):
        return super().forward(latents) * self.scale


def frozen() -> nn.Module:
    made = nn.Sequential(nn.Linear(10, 2))
    made[0].bias.requires_grad_(False)
    return made


@pytest.mark.parametrize(
    "builds", [(partial(Scaled, 1.0), partial(Scaled, 5.0)), (frozen, frozen)], ids=["own", "frozen"]
)
def test_only_plain_mlps_share(builds):
    assert difference(*(other(generator=build) for build in builds), 8) == "generators"
    assert difference(make_task("fashion"), make_task("fashion"), 8) == "generators"


def test_data_that_draw_elsewhere_or_give_other_numbers_are_told_apart():
    class OnTheHost(PlaneData):
        @property
        def device_codes(self):
            raise AttributeError

    class Doubles(PlaneData):
        def batch(self, codes):
            return codes.double()

    ring = DISTRIBUTIONS["ring"]()
    for data in (OnTheHost(ring), Doubles(ring)):
        assert difference(plane_task("small-ring"), other(data=data), 8) == "training data"


def test_tasks_are_named_for_every_row():
    ring, spec = plane_task("small-ring"), EnvConfig(**SMALL).optimizer_spec
    settings = {"d_lr": 1e-3, "g_lr": 1e-3, "d_optimizer": spec, "g_optimizer": spec, "batch_size": 8}
    for tasks, rows in (([ring], 3), ([ring, ring], 3), ([], 3), ([], 0)):
        with pytest.raises(ValueError, match=f"task names {len(tasks)} tasks for {rows} rows"):
            Trainer(tasks, EnvConfig(**SMALL).gan_loss, rows, **settings)


def test_a_snapshot_of_more_tasks_is_refused_and_changes_nothing():
    three, two = (rows_of([plane_task(name) for name in (*PLANE[:count], PLANE[0])[:3]], "bce") for count in (3, 2))
    before = snapshot(two)
    with pytest.raises(SnapshotError, match="of more tasks than this trainer's 2"):
        restore(two, snapshot(three))
    assert all(torch.equal(value, before[name]) for name, value in snapshot(two).items())


# -- comparisons -------------------------------------------------------------------------------------------------------


def comparison(name: str, *names: str) -> Comparison:
    config = EnvConfig(task=plane_task(name), **SMALL)
    return Comparison(config, make_contestants(names, config))


def test_games_side_by_side_give_the_rows_that_each_gives_alone():
    games = [comparison("small-ring", "dyn-gda", "random"), comparison("small-line", "dyn-gda", "random", "lookahead")]
    seeds = split_seeds("tune", 2)
    for game, found in zip(games, run_batch(games, seeds, "tune"), strict=True):
        names = [each.label for each in game.contestants]
        alone = compare(game.config, names, seeds=seeds, split="tune").rows
        assert [row["key"] for row in found.rows] == [row["key"] for row in alone]
        for ours, its in zip(found.rows, alone, strict=True):
            same = ("task", "controller", "seed", "floor", "status", "d_updates", "g_updates", "return_name")
            assert {name: ours[name] for name in same} == {name: its[name] for name in same}
            for name in ("score", "quality", "return", "untrained_score"):
                assert ours[name] == pytest.approx(its[name], rel=1e-9)
        assert {row["group"] for row in found.rows}.isdisjoint(row["group"] for row in alone)


def test_a_controller_that_breaks_in_one_game_loses_its_rows_there_alone():
    class Breaks:
        def reset(self, row_seeds, game):
            self.rows = len(row_seeds)

        def act(self, measurement):
            raise RuntimeError("broken")

    games = [comparison("small-ring", "sim-gda"), comparison("small-line", "sim-gda")]
    games[1] = dataclasses.replace(games[1], contestants=[*games[1].contestants, Contestant("b", Breaks())])
    found = run_batch(games, [1, 2], "tune")
    assert [[row["status"] for row in each.rows] for each in found] == [["ok", "ok"], ["ok", "ok", "error", "error"]]


def test_one_controller_stands_for_one_contestant_of_one_game():
    games = [comparison("small-ring", "dyn-gda"), comparison("small-line", "sim-gda")]
    shared = [games[0], dataclasses.replace(games[1], contestants=games[0].contestants)]
    with pytest.raises(ValueError, match="one controller object stands for two contestants"):
        run_batch(shared, [1], "tune")
    for nobody, message in (([], "at least one"), ([dataclasses.replace(games[0], contestants=[])], "one controller")):
        with pytest.raises(ValueError, match=message):
            run_batch(nobody, [1], "tune")


def test_a_row_that_stands_in_anothers_place_is_refused(shared, tmp_path):
    lines = (shared.path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "config.json").write_bytes((shared.path / "config.json").read_bytes())
    (tmp_path / "rows.jsonl").write_text("".join([lines[0], lines[0], *lines[2:]]))
    with pytest.raises(ValueError, match="stands twice in its group"):
        open_folder(tmp_path, None)


def test_games_that_differ_in_more_than_their_task_share_no_batch():
    games = [comparison("small-ring", "sim-gda"), comparison("small-line", "sim-gda")]
    games[1] = dataclasses.replace(games[1], config=EnvConfig.of(games[1].config, d_lr=1.0))
    with pytest.raises(ValueError, match="differ in their task alone"):
        run_batch(games, [1], "tune")


# -- the plan -------------------------------------------------------------------------------------------------------

GAME = EnvConfig(batch_size=8, device="cpu", score=True)


def four(**changes) -> Part:
    """Four games of two controllers at one seed."""
    held = {"tasks": PLANE, "controllers": ("sim-gda", "dyn-gda"), "updates": 6, "seeds": 1, "game": GAME}
    return Part(**(held | changes))


def tasks_of(part: Part) -> list[tuple[str, ...]]:
    return [tuple(comparison.task for comparison in group.comparisons) for group in plan(BenchConfig(parts=(part,)))]


def test_games_share_a_batch_where_they_fit():
    assert tasks_of(four()) == [PLANE]
    assert tasks_of(four(group_rows=6)) == [PLANE[:3], PLANE[3:]]
    assert tasks_of(four(group_rows=2)) == [(name,) for name in PLANE]
    assert tasks_of(four(seeds=2)) == [PLANE]
    assert tasks_of(four(seeds=3)) == [PLANE[:2], PLANE[2:]]  # 16 rows at most, so that two cores have work
    assert tasks_of(four(seeds=8)) == [(name,) for name in PLANE]
    assert tasks_of(four(losses=("bce", "hinge"))) == [PLANE, PLANE]
    assert tasks_of(four(tasks=("small-ring", "digits", "small-line"))) == [
        ("small-ring", "small-line"),
        ("digits",),
    ]


def test_a_shared_group_holds_each_cell_once_under_a_key_of_its_own():
    (group,) = plan(BenchConfig(parts=(four(),)))
    wanted = [(task, name, 3_000_000) for task in PLANE for name in ("sim-gda", "dyn-gda")]
    assert list(group.rows.values()) == wanted and group.cells == 8
    alone = plan(BenchConfig(parts=(four(group_rows=2),)))
    assert group.ids == [each.id for each in alone] and group.id not in group.ids


def test_each_game_of_a_shared_batch_has_its_own_best_constant():
    part = four(controllers=("sim-gda", "best-constant"), tune_seeds=13)
    groups = plan(BenchConfig(parts=(part,)))
    assert [group.chooses for group in groups] == [True] * 8 + [False]  # 5 constants × 13 seeds are two groups a task
    needs = [ids for comparison in groups[-1].comparisons for _, ids in comparison.needs]
    assert len({each for ids in needs for each in ids}) == 8


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A benchmark of two games that share a batch, run with pictures."""
    part = four(tasks=("small-ring", "small-line"), game=EnvConfig.of(GAME, dtype="float64"))
    folder = open_folder(tmp_path_factory.mktemp("shared") / "out", BenchConfig(parts=(part,)))
    folder.pictures = True
    assert benchmark.run(folder, local_executor(1)).complete
    return folder


def test_a_shared_group_is_run_kept_and_repeated_like_any_other(shared):
    rows = shared.all_rows()
    assert [(row["task"], row["controller"]) for row in rows] == [
        (task, name) for task in ("small-ring", "small-line") for name in ("sim-gda", "dyn-gda")
    ]
    assert len({row["group"] for row in rows}) == 1 and len({row["floor"] for row in rows}) == 2
    (verdict,) = verify(open_folder(shared.path, None), local_executor(1))
    assert verdict.equal and verdict.rows == 4 and verdict.what == "main: small-ring + small-line, bce"
    pictures = sorted(path.name for path in (shared.path / "samples").iterdir())
    assert pictures == sorted(file_name("main", comparison) for comparison in shared.groups[0].comparisons)
    assert BenchFolder(shared.path).game().task == "small-ring"


def test_a_row_moved_to_another_game_of_its_batch_is_refused(shared, tmp_path):
    lines = [json.loads(line) for line in (shared.path / "rows.jsonl").read_text().splitlines()]
    lines[0]["task"] = "small-line"
    (tmp_path / "config.json").write_bytes((shared.path / "config.json").read_bytes())
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match="its key is not that of task 'small-line', controller 'sim-gda'"):
        open_folder(tmp_path, None)
