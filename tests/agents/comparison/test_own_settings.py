"""Promises of contestants that change the game's optimiser: paired with the others, and in one ranking with them."""

import json

import pytest

from agents import compare, make_controller
from agents.base import CONTROLLERS
from agents.benchmark.bench_config import BenchConfig, Part
from agents.benchmark.contestants import refusal
from agents.benchmark.executors import local_executor
from agents.benchmark.folder import open_folder
from agents.benchmark.plan import plan
from agents.benchmark.running import run
from agents.benchmark.sample_grids import file_name
from agents.benchmark.verify import verify
from agents.comparison.contestants import Contestant, by_settings, make_contestant
from agents.registry import OPPONENTS, is_embedded, is_learned, is_registered, list_controllers
from agents.report.blocks import make_blocks, read_rows
from agents.report.ranking import rank
from agents.watching.film import Film
from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.optimizer_spec import OPTIMIZERS, OptimizerSpec

GAME = EnvConfig(task="ring", episode_updates=12, batch_size=16, device="cpu")
TOLD = ("wall_s", "control_s", "group", "key")
NAMES = ("oadam", "sim-gda", "dyn-gda(optimizer='extra-adam')", "alt-gda-1", "extra-adam(betas=(0.0, 0.9))")


def plain(rows):
    return [{name: value for name, value in row.items() if name not in TOLD} for row in rows]


def test_a_contestant_with_its_own_optimiser_meets_the_same_gans_as_the_others():
    together = compare(GAME, NAMES, seeds=[3, 4])
    assert together.controllers == list(NAMES)  # in the order in which they were given
    by_name = {name: [row for row in together.rows if row["controller"] == name] for name in NAMES}
    others = compare(GAME, ["sim-gda", "alt-gda-1"], seeds=[3, 4])
    assert plain(by_name["sim-gda"] + by_name["alt-gda-1"]) == plain(others.rows)  # equal to the bit, as if alone
    alone = compare(EnvConfig.of(GAME, optimizer="oadam"), ["sim-gda"], seeds=[3, 4])
    for ours, theirs in zip(by_name["oadam"], alone.rows, strict=True):
        for name in ("score", "quality", "trace", "untrained_score", "return", "engine"):
            assert ours[name] == theirs[name], name
        assert ours["own_settings"] == {"optimizer": OptimizerSpec(name="oadam").as_json()}
    (game,) = {json.dumps([row["optimizer"], row["task"], row["d_lr"]]) for row in together.rows}
    assert "adam" in game and "oadam" not in game  # the game is everybody's; what a contestant changes stands beside it
    starts = {(row["seed"], row["untrained_score"]) for row in together.rows}
    assert len(starts) == 2  # one a seed
    assert len({row["score"] for row in together.rows}) == len(together.rows)  # and they end elsewhere
    assert len(together.samples) == len(NAMES) and "oadam" in together.table()


def test_arguments_in_brackets_are_the_optimisers_or_the_controllers():
    made = make_contestant("oadam(betas=(-0.5, 0.9))", GAME)
    assert made.settings == {"optimizer": OptimizerSpec(name="oadam", betas=(-0.5, 0.9))}
    made = make_contestant("dyn-gda(c1=1.2, optimizer={'name': 'sgd', 'momentum': 0.5})", GAME)
    assert made.settings["optimizer"].momentum == 0.5 and made.controller.law.c1 == 1.2
    assert make_contestant("sim-gda", GAME).settings == {}
    assert make_contestant("fsco(optimizer='oadam')", GAME).label == "fsco(optimizer='oadam') (embedded)"
    wanted = [("sim-gda", "fsco"), ("oadam", "sim-gda(optimizer='oadam')"), ("no-momentum",)]
    assert by_settings(["oadam", "sim-gda", "no-momentum", "sim-gda(optimizer='oadam')", "fsco"]) == wanted


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("oadam:2", "takes no text"),
        ("oadam(beta=1)", "did you mean 'betas'"),
        ("oadam(name='sgd')", "name is the optimizer's own"),
        ("oadam(betas=(2, 0.9))", "betas=(2, 0.9)"),
        ("sim-gda(optimizer='adm')", "did you mean 'adam'"),
        ("sim-gda(optimizer=3)", "optimizer=3 must be a name"),
    ],
)
def test_an_optimiser_that_there_is_not_is_refused_by_name(name, said):
    with pytest.raises(ValueError) as error:
        compare(GAME, [name], seeds=[0])
    assert said in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError):
        Part(controllers=(name,))


def test_where_nothing_could_change_the_optimiser_an_opponent_is_refused_with_the_way_out():
    for name in OPPONENTS:
        with pytest.raises(ValueError, match="contestants of a comparison alone.*use sim-gda"):
            make_controller(name)
    with pytest.raises(ValueError, match="may change 'order'.*Known: optimizer"):
        Contestant("alternates", make_controller("sim-gda"), settings={"order": "alternating"})
    two = [make_contestant(name, GAME) for name in ("sim-gda", "oadam")]
    with pytest.raises(ValueError, match="'sim-gda' and 'oadam' train under different settings.*run them apart"):
        Film(GAME, two, seed=0)
    film = Film(GAME, two[1:], seed=0, frames=3)
    assert film.env.trainer.g_optimizer.spec.name == "oadam"
    annealed = EnvConfig.of(GAME, annealing={"beta2": 0.9})
    assert "optimizer 'sgd' has no β₂" in refusal("sim-gda(optimizer='sgd')", annealed, make_trainer(annealed, 1))
    assert not refusal("oadam", annealed, make_trainer(annealed, 1))


def test_every_optimiser_of_a_paper_is_an_opponent_and_none_is_a_controllers_name():
    assert {*OPTIMIZERS} - {"adam", "rmsprop", "sgd"} <= {spec["name"] for spec in OPPONENTS.values()}
    for name in OPPONENTS:
        assert name not in CONTROLLERS and name not in list_controllers()
        assert is_registered(name) and not is_learned(name) and not is_embedded(name)


def test_a_benchmark_ranks_them_with_the_others_and_its_rows_can_be_made_again(tmp_path):
    part = Part(
        tasks=("dirac",), losses=("bce",), controllers=("oadam", "sim-gda", "best-constant", "extra-adam"),
        updates=20, seeds=4, tune_seeds=2, constants=(0.3, 1.0),
    )  # fmt: skip
    groups = [group for group in plan(BenchConfig(parts=(part,))) if not group.chooses]
    assert [group.comparisons[0].controllers for group in groups] == [
        ("sim-gda", "best-constant"), ("oadam",), ("extra-adam",),
    ]  # fmt: skip
    assert len({file_name("main", group.comparisons[0]) for group in groups}) == 3
    work = open_folder(tmp_path / "bench", BenchConfig(parts=(part,)))
    assert run(work, local_executor(1)).complete
    assert all(each.equal for each in verify(work, local_executor(1), 9, 0))
    blocks = make_blocks(read_rows(tmp_path / "bench"))
    ranking = rank(blocks, "sim-gda")
    assert len(blocks) == 1 and ranking is not None
    assert {*ranking.controllers} == {"oadam", "sim-gda", "best-constant", "extra-adam"}


def test_two_names_of_one_contestant_are_refused():
    with pytest.raises(ValueError, match="are the same; leave one of them out"):
        Part(controllers=("oadam", "sim-gda(optimizer='oadam')"))
    with pytest.raises(ValueError, match="are the same; leave one of them out"):
        Part(controllers=("oadam", "oadam(betas=(0.5, 0.999))"))
    Part(controllers=("oadam", "oadam(betas=(0.0, 0.999))", "sim-gda"))
