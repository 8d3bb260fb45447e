"""The ranges of actions, held to a sweep of rates."""

import itertools

import pytest

from agents.benchmark.suites import RATES
from benchmarks import rate_sweep
from benchmarks.rate_grid import load
from gan_env.envs.actions import D_RANGE, G_RANGE
from gan_env.envs.config import EnvConfig
from gan_env.tasks.task import make_task

ROWS = load(rate_sweep.Options().out / "rows.jsonl.gz")
GAMES = [game for game in rate_sweep.GAMES if game.task != "dirac"]  # where no pair of rates trains


def name_of(game):
    return f"{game.task}-{game.updates}"


@pytest.mark.parametrize("game", GAMES, ids=name_of)
def test_actions_reach_the_best_two_rates_from_every_base_rate_with_a_factor_of_three_to_spare(game):
    for shape, base in itertools.product(rate_sweep.SHAPES, RATES):
        d, g, _ = rate_sweep.best(ROWS, game, shape)
        for (low, high), rate in ((D_RANGE, d), (G_RANGE, g)):
            assert low * base * 3 <= rate * (1 + 1e-9) and rate * 3 <= high * base * (1 + 1e-9)
    assert EnvConfig().action_ranges == (D_RANGE, G_RANGE)


@pytest.mark.parametrize("game", GAMES, ids=name_of)
def test_the_best_cell_of_the_sweep_lies_inside_its_grid(game):
    for shape in rate_sweep.SHAPES:
        d, g, _ = rate_sweep.best(ROWS, game, shape)
        assert rate_sweep.RATES[0] < min(d, g) and max(d, g) < rate_sweep.RATES[-1]


def test_tasks_say_which_constant_rates_the_sweep_found_best():
    for game in GAMES:
        task = make_task(game.task)
        if game.updates == task.episode_updates:
            d, g, _ = rate_sweep.best(ROWS, game, "constant")
            assert task.tuned == {"d_lr": d, "g_lr": g}
    assert make_task("dirac").tuned is None


def test_a_swept_game_outside_the_sources_has_the_best_constant_rates_as_its_base_and_the_others_keep_theirs():
    own = {name: (make_task(name).d_lr, make_task(name).g_lr) for name in ("ring", "circle", "spiral", "line", "grid")}
    grid = make_task("grid").tuned
    assert grid is not None and own.pop("grid") == (grid["d_lr"], grid["g_lr"])
    assert set(own.values()) == {(2e-4, 2e-4)}  # the thesis'
    assert (make_task("digits").d_lr, make_task("digits").g_lr) == (2e-3, 2e-3)  # of all committed results


def test_ranges_that_are_set_are_those_of_the_actions():
    assert EnvConfig(d_lr_range=(0.5, 2.0)).action_ranges == ((0.5, 2.0), G_RANGE)
