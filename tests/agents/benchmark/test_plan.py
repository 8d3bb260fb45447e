"""What a benchmark will run follows from its configuration alone."""

import json

import pytest

from agents.benchmark.bench_config import Part
from agents.benchmark.plan import plan
from agents.benchmark.plan_json import as_json, difference, from_json
from agents.benchmark.suites import SUITES, configure
from gan_env.envs.config import EnvConfig
from tests.support.small_benchmark import config


def test_a_plan_holds_every_cell_once_and_follows_from_the_configuration_alone():
    asked = config(losses=("bce", "lsgan"), d_lr=(1e-3, 2e-3), seeds=5)
    groups = plan(asked)
    cells = [(g.game.loss, g.game.d_lr, c, s) for g in groups for c in g.comparisons[0].controllers for s in g.seeds]
    assert len(cells) == len(set(cells)) == 2 * 2 * 2 * 5
    assert all(g.cells <= 4 and g.comparisons[0].controllers == ("sim-gda", "constant:2") for g in groups)
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


def test_a_benchmark_that_names_no_loss_trains_each_task_with_its_own():
    assert configure("", {"tasks": ("dirac",), "controllers": ("sim-gda",)}).parts[0].losses == ("wgan-unclipped",)
    assert configure("", {"tasks": ("ring", "digits")}).parts[0].losses == ("bce",)
    assert Part(tasks=("emoji32-r3gan",)).losses == ("r3gan:0.05",)
    assert Part(tasks=("emoji32-r3gan",), losses=("bce",)).losses == ("bce",)
    with pytest.raises(ValueError, match="bce of ring, wgan-unclipped of dirac.*use two parts"):
        Part(tasks=("ring", "dirac"))
