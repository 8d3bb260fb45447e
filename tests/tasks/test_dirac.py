"""The Dirac-GAN: known dynamics that engine, orders and oracles must reproduce (DeOliveira 2023, section 3)."""

import math

import numpy as np
import pytest
import torch

from agents import make_controller
from benchmarks import dirac as dirac_figure
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv, make_trainer
from gan_env.types import Control


def dirac(rows, controller=None, updates=0, **settings):
    trainer = make_trainer(EnvConfig(task="dirac", **settings), rows)
    trainer.reset(np.arange(rows), np.zeros(rows, np.int64))
    if controller is not None:
        steer = make_controller(controller)
        steer.reset(list(range(rows)), trainer.facts)
        for _ in range(updates):
            trainer.advance(steer.act(trainer.measurement))
    return trainer


def distance(trainer):
    return torch.hypot(trainer.g.flat[:, 0], trainer.d.flat[:, 0])


def test_one_simultaneous_update_is_the_one_on_paper():
    trainer = dirac(20)
    theta, psi = trainer.g.flat.clone(), trainer.d.flat.clone()
    trainer.advance(Control.of(20))
    torch.testing.assert_close(trainer.g.flat, theta + 0.1 * psi, atol=1e-15, rtol=0)
    torch.testing.assert_close(trainer.d.flat, psi - 0.1 * theta, atol=1e-15, rtol=0)


def test_sim_gda_grows_by_a_known_factor_at_every_update():
    trainer = dirac(20)
    start = distance(trainer)
    for k in range(1, 1001):
        trainer.advance(Control.of(20))
        if k in (1, 10, 1000):
            torch.testing.assert_close(distance(trainer) / start, torch.full((20,), 1.01 ** (k / 2)).double())
    assert 1.01**500 == pytest.approx(144.77, abs=0.01)


@pytest.mark.parametrize("updates_of_d", [1, 3, 5])
def test_alt_gda_is_bounded_up_to_its_known_rate_and_diverges_above(updates_of_d):
    bound = 2 / math.sqrt(updates_of_d)

    def farthest(rate):
        trainer = dirac(10, d_lr=rate, g_lr=rate)
        steer = make_controller(f"alt-gda-{updates_of_d}")
        steer.reset(list(range(10)), trainer.facts)
        start, most = distance(trainer), torch.zeros(10)
        for _ in range(60 * (updates_of_d + 1)):
            trainer.advance(steer.act(trainer.measurement))
            most = torch.maximum(most, distance(trainer) / start)
        return most

    assert farthest(0.95 * bound).max() < 60
    assert farthest(1.05 * bound).min() > 1e3


def test_the_oracle_reaches_the_saddle_from_irrational_starts():
    trainer = dirac(60, "dirac-oracle", 5_000)
    assert distance(trainer).median() < 1e-15


def test_the_oracle_never_strays_past_its_known_bound():
    trainer = dirac(60)
    steer = make_controller("dirac-oracle")
    steer.reset(list(range(60)), trainer.facts)
    start = distance(trainer)
    for _ in range(400):
        trainer.advance(steer.act(trainer.measurement))
        assert (distance(trainer) <= start * math.sqrt(1.01) * (1 + 1e-12)).all()


def test_dynamic_gda_is_the_oracle_after_its_forced_first_choice():
    trainer, oracle = dirac(30), make_controller("dirac-oracle")
    steer = make_controller("dyn-gda")
    for controller in (steer, oracle):
        controller.reset(list(range(30)), trainer.facts)
    assert steer.act(trainer.measurement).update_d.all()
    trainer.advance(Control.of(30, update_g=False))
    for _ in range(300):
        chosen, expected = steer.act(trainer.measurement), oracle.act(trainer.measurement)
        assert torch.equal(chosen.update_g, expected.update_g)
        trainer.advance(chosen)


def test_a_commensurate_start_stalls():
    trainer = dirac(1)
    trainer.g.flat.fill_(1.0)
    trainer.d.flat.fill_(1.0)
    trainer.look()
    steer = make_controller("dirac-oracle")
    steer.reset([0], trainer.facts)
    for _ in range(2_000):
        trainer.advance(steer.act(trainer.measurement))
    assert distance(trainer).item() == pytest.approx(0.1, abs=1e-6)


def test_the_score_is_the_distance_from_the_saddle():
    env = GANVectorEnv(
        3, task="dirac", control="update-choice", reward="quality", episode_updates=4, autoreset_mode="Disabled"
    )
    env.reset(seed=1)
    for _ in range(4):
        _, _, _, truncated, infos = env.step(np.full(3, 2))
    assert truncated.all()
    np.testing.assert_allclose(infos["score"], distance(env.trainer).numpy(), rtol=1e-12)


@pytest.mark.parametrize("loss", dirac_figure.LOSSES)
def test_the_figure_plays_the_game_as_the_trainer_and_the_registered_controllers_do(loss):
    starts, at = dirac_figure.starts_of(0, 5, seed=3), (0, 1, 7, 120)
    for order in ("sim-gda", "alt-gda-1", "alt-gda-10", "dirac-oracle"):
        trainer, steer = dirac(5, loss=loss, optimizer="sgd"), make_controller(order)
        for flat, column in ((trainer.g.flat, 0), (trainer.d.flat, 1)):
            flat.copy_(torch.from_numpy(starts[:, column : column + 1].copy()))
        trainer.look()
        steer.reset(list(range(5)), trainer.facts)
        found = []
        for update in range(at[-1] + 1):
            if update in at:
                found.append(distance(trainer).numpy())
            trainer.advance(steer.act(trainer.measurement))
        np.testing.assert_allclose(dirac_figure.play(loss, order, starts, at), np.transpose(found), rtol=1e-9)


def test_rounds_of_alt_gda_end_within_the_figures_band_and_reach_it():
    n_d = 4
    starts, at = dirac_figure.starts_of(0, 60, seed=3), range(0, 5 * 400, n_d + 1)
    found = dirac_figure.play("wgan-unclipped", f"alt-gda-{n_d}", starts, list(at))
    ratio = found.max(1) / found.min(1)
    bound = dirac_figure.band(n_d)
    assert ratio.max() <= bound * (1 + 1e-9) and ratio.max() > 0.99 * bound
