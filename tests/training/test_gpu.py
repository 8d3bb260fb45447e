"""The same engine on CUDA. Run with `pytest -m gpu` where there is a card."""

import numpy as np
import pytest
import torch

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv, make_trainer
from gan_env.losses.losses import LOSSES
from gan_env.types import Control

pytestmark = pytest.mark.gpu


def trainer(device, rows=6, cpu_draws=False, **settings):
    made = make_trainer(EnvConfig(device=device, **settings), rows)
    if cpu_draws:  # a GPU draws other numbers than a CPU: here both are given the CPU's
        for stream in (made.feed.latents, made.feed.reals, made.feed.probes):
            stream._device_draws = []
    made.reset(np.arange(rows), np.zeros(rows, np.int64))
    return made


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_cuda_trains_as_the_cpu_does_on_the_same_draws(name, order):
    settings = {"task": "ring", "loss": name, "order": order, "dtype": "float64", "cpu_draws": True}
    here, there = trainer("cpu", **settings), trainer("cuda", **settings)
    there.g.flat.copy_(here.g.flat)
    there.d.flat.copy_(here.d.flat)
    there.look()
    choice = torch.arange(6) % 3
    control = Control.of(6, update_g=choice != 1, update_d=choice != 0, d_multiplier=torch.linspace(0.5, 2, 6))
    for trained in (here, there):
        for _ in range(20):
            trained.advance(control)
    torch.testing.assert_close(there.g.flat.cpu(), here.g.flat, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(there.d.flat.cpu(), here.d.flat, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_replayed_graphs_train_as_the_engine_that_they_record(name, order):
    settings = {"task": "ring", "loss": name, "order": order}
    plain, replayed = (trainer("cuda", **settings, cuda_graphs=graphs) for graphs in (False, True))
    choice = torch.arange(6) % 3
    controls = [
        Control.of(6),
        Control.of(6, update_d=False),
        Control.of(6, update_g=False, d_multiplier=2.0),
        Control.of(6, update_g=choice != 1, update_d=choice != 0, d_multiplier=torch.linspace(0.5, 2, 6)),
    ]
    for i in range(20):
        traces = [each.advance(controls[i % 4], 2) for each in (plain, replayed)]
        torch.testing.assert_close(traces[0].losses, traces[1].losses)
        torch.testing.assert_close(plain.g.flat, replayed.g.flat)
        torch.testing.assert_close(plain.d.flat, replayed.d.flat)
        torch.testing.assert_close(plain.measurement.real_logits, replayed.measurement.real_logits)


@pytest.mark.parametrize("task", ["ring", "digits"])
def test_an_env_on_cuda_repeats_itself_and_keeps_rows_apart(task):
    def run(rows, seed):
        env = GANVectorEnv(rows, task=task, device="cuda", score=False, episode_updates=30)
        seen = [env.reset(seed=seed)[0]]
        rng = np.random.default_rng(0)
        for _ in range(20):
            seen.append(env.step(np.repeat(rng.uniform(-1, 1, (1, 1)), rows, 0))[0])
        return np.stack(seen)

    many = run(5, 3)
    assert np.array_equal(many, run(5, 3))
    np.testing.assert_allclose(many[:, 2], run(1, 5)[:, 0], atol=1e-3)


def test_a_failing_row_on_cuda_harms_none():
    env = GANVectorEnv(4, task="ring", device="cuda", score=False, episode_updates=30, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.trainer.d.flat[2] = float("nan")
    env.trainer.look()
    observations, rewards, terminated, _, infos = env.step(np.zeros((4, 1)))
    assert terminated.tolist() == [False, False, True, False]
    assert np.isfinite(observations).all() and np.isfinite(rewards).all()
    assert infos["failure"][2] == "non-finite weights"
