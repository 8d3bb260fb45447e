"""Promises of the moving average of G's weights: its numbers, its score, and that it changes nothing else."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from agents import compare
from agents.comparison.row_checks import check_row
from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.envs.env import GANVectorEnv
from gan_env.tasks.task import Task
from gan_env.training.snapshot import fork, held, restore, snapshot
from gan_env.types import Control

GAME = {"task": "dirac", "batch_size": 4, "device": "cpu", "dtype": "float64", "score": True}
HALF_LIFE = 6.0


def trainer(engine="auto", rows=3, **settings):
    made = make_trainer(EnvConfig(**{"g_ema": HALF_LIFE, "engine": engine, **GAME, **settings}), rows)
    made.reset(np.arange(5, 5 + rows), np.zeros(rows, np.int64))
    return made


def test_after_a_decision_of_k_updates_the_old_average_keeps_a_half_to_the_power_of_k_over_the_half_life(engine):
    made = trainer(engine, task="ring", batch_size=8)
    wanted = made.g.flat.clone()  # it begins at the first weights
    assert torch.equal(made.g_average, wanted)
    for k in (1, 1, 3, 12, 2):
        moves = np.array([True, k != 3, True])
        made.advance(Control.of(3), k, moves)
        for row in np.flatnonzero(moves):
            share = 0.5 ** (k / HALF_LIFE)
            wanted[row] = share * wanted[row] + (1 - share) * made.g.flat[row]
        torch.testing.assert_close(made.g_average, wanted, rtol=0, atol=1e-12)
    assert (made.g_average != made.g.flat).any(1).all()


def test_of_weights_that_stand_still_a_half_is_left_of_a_distance_after_a_half_life():
    made = trainer()
    made.g_average.add_(1.0)
    only_d = Control.of(3, update_g=False)
    for _ in range(6):
        made.advance(only_d)
    torch.testing.assert_close(made.g_average - made.g.flat, torch.full_like(made.g.flat, 0.5))
    made.advance(only_d, 6)
    torch.testing.assert_close(made.g_average - made.g.flat, torch.full_like(made.g.flat, 0.25))


def test_it_changes_nothing_else(engine):
    pair = [trainer(engine, task="ring", batch_size=8, g_ema=g_ema) for g_ema in (None, 3.0)]
    for made in pair:
        made.advance(Control.of(3), 4)
        made.advance(Control.of(3, update_d=False))
    plain, averaged = map(held, pair)
    assert averaged.keys() - plain.keys() == {"g.average"}
    for name, value in plain.items():
        assert torch.equal(value, averaged[name]), name
    assert pair[0].score(1)[0] == pair[1].score(1)[0]
    with pytest.raises(ValueError, match="no average of G's weights; set g_ema"):
        pair[0].score(1, averaged=True)


def test_snapshots_and_forks_carry_it_and_a_nan_stays_in_its_row(engine):
    made, other = (trainer(engine, task="ring", batch_size=8) for _ in range(2))
    made.advance(Control.of(3), 5)
    restore(other, snapshot(made))
    branch = fork(made, [0, 1, 2])
    clean = fork(made, [0, 1, 2])
    branch.g.flat[1, 0] = torch.nan
    branch.look()
    for each in (made, other, branch, clean):
        each.advance(Control.of(3), 5)
    assert torch.equal(made.g_average, other.g_average) and torch.equal(made.g_average, clean.g_average)
    assert branch.g_average[1].isnan().any() and torch.equal(branch.g_average[[0, 2]], made.g_average[[0, 2]])
    again = trainer(engine, task="ring", batch_size=8)
    again.reset(np.array([6]), np.array([0]), np.array([1]))
    assert torch.equal(again.g_average, again.g.flat)


def test_its_score_is_that_of_the_generator_with_those_weights():
    made = trainer(task="ring", batch_size=8)
    made.advance(Control.of(3), 30)
    own, averaged = made.score(2)[0], made.score(2, averaged=True)[0]
    assert own != averaged
    made.g.flat.copy_(made.g_average)
    assert made.score(2)[0] == averaged
    for ours, theirs in zip(made.generator(2, averaged=True).parameters(), made.generator(2).parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_on_the_dirac_gan_the_average_of_a_circle_is_nearer_to_its_centre():
    made = trainer(rows=1, g_ema=100.0, optimizer="sgd", g_lr=0.1, d_lr=0.1, loss="wgan-unclipped")
    for _ in range(400):
        made.advance(Control.of(1))
    assert made.score(0, averaged=True)[0] < made.score(0)[0]


def test_buffers_are_gs_own():
    def g() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))

    task = Task(
        generator=g, discriminator=lambda: nn.Sequential(nn.Linear(2, 1)), data=torch.randn(100, 2), latent_size=2
    )
    with pytest.warns(UserWarning, match="keeps state"):
        made = trainer("torch", rows=2, task=task, dtype=None)
    made.advance(Control.of(2), 3)
    ours, theirs = made.generator(1, averaged=True), made.generator(1)
    assert torch.equal(ours[1].running_mean, theirs[1].running_mean) and int(ours[1].num_batches_tracked) == 3
    assert not torch.equal(ours[0].weight, theirs[0].weight)


def test_an_environment_tells_both_scores_at_the_end_alone():
    settings = {**GAME, "episode_updates": 6, "updates_per_step": 3, "loss": "bce"}
    env, plain = (GANVectorEnv(2, g_ema=g_ema, autoreset_mode="SameStep", **settings) for g_ema in (2.0, None))
    infos = []
    for each in (env, plain):
        each.reset(seed=0)
        control = Control.of(2)
        first = each.step_control(control)[-1]
        assert "score_ema" not in first
        infos.append(each.step_control(control)[-1])
    ours, theirs = (info["final_info"] for info in infos)
    assert np.array_equal(ours["score"], theirs["score"]) and "score_ema" not in theirs
    assert ours["_score_ema"].all() and (ours["score_ema"] != ours["score"]).all()
    assert "score_ema" not in infos[0]
    state = env.snapshot()
    env.step_control(Control.of(2))
    moved = env.trainer.g_average.clone()
    env.restore(state)
    env.step_control(Control.of(2))
    assert torch.equal(env.trainer.g_average, moved)
    with pytest.raises(ValueError, match="g_ema=2.0"):
        plain.restore(state)


def test_every_row_of_a_comparison_has_it_beside_its_own_score():
    game = EnvConfig(**{**GAME, "episode_updates": 20, "loss": "bce"})
    plain = compare(game, ["sim-gda", "oadam", "alt-gda-1"], seeds=[0, 1])
    found = compare(EnvConfig.of(game, g_ema=4.0), ["sim-gda", "oadam", "alt-gda-1"], seeds=[0, 1])
    for row, without in zip(found.rows, plain.rows, strict=True):
        assert row["score"] == without["score"] and row["key"] != without["key"]
        assert row["g_ema"] == 4.0 and row["score_ema"] != row["score"] and "score_ema" not in without
        check_row(json.loads(json.dumps(row)), "a row")  # as a file has it
    assert "half-life 4 updates): mean score" in found.table() and "half-life" not in plain.table()


def test_a_run_that_fails_has_none():
    found = compare(EnvConfig(**{**GAME, "episode_updates": 20, "g_ema": 4.0, "d_lr": 1e9}), ["sim-gda"], seeds=[0])
    assert found.rows[0]["status"] == "diverged" and found.rows[0]["score_ema"] is None


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan"), "10", True])
def test_a_half_life_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="g_ema="):
        EnvConfig(g_ema=value)
