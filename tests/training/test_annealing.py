"""Annealed coefficients and β₂ against hand-worked tables, torch's Adam and a plain R3GAN loop that changes them."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from agents.benchmark.plan_json import as_json, from_json
from agents.benchmark.suites import configure
from agents.comparison.rows import game_facts
from gan_env import Annealing
from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.envs.env import GANVectorEnv
from gan_env.networks.parameters import flatten
from gan_env.optimizer_spec import OPTIMIZERS, OptimizerSpec
from gan_env.players.players import EVERY
from gan_env.training.optimizers import RowOptimizer
from gan_env.training.snapshot import fork, restore, snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control
from tests.support.coming import coming_real

R3GAN: dict[str, Any] = {
    "task": "ring", "loss": "r3gan:1", "optimizer": {"betas": (0.0, 0.9)}, "dtype": "float64", "device": "cpu",
    "batch_size": 16, "episode_updates": 60, "annealing": {"coefficient": 0.1, "beta2": 0.99, "until": 0.5},
}  # fmt: skip
"""As its authors train it, but for the rate, over 30 of 60 updates."""


def trainer(rows: int = 2, **settings: Any) -> Trainer:
    made = make_trainer(EnvConfig(**R3GAN | settings), rows)
    made.reset(np.arange(5, 5 + rows), np.zeros(rows, np.int64))
    return made


def test_the_values_are_the_hand_worked_ones():
    # X = 4 of 8 updates: (1 + cos 0°, 45°, 90°, 135°, 180°) / 2 of the first value, the rest of the last
    half = math.sqrt(0.5)
    shares = [1, (1 + half) / 2, 0.5, (1 - half) / 2, 0]
    found = Annealing(coefficient=0.1, until=0.5).table(1.0, 0.1, 8)
    np.testing.assert_allclose(found, [0.1 + 0.9 * share for share in shares], rtol=0, atol=1e-11)
    assert found[0] == 1.0 and found[-1] == 0.1
    assert Annealing(beta2=0.99, until=0.01).table(0.9, 0.99, 8).tolist() == [0.9, 0.99]  # X is at least 1


def test_a_row_is_as_far_as_its_own_updates_are(engine):
    made = trainer(engine=engine)
    made.advance(Control.of(2), 15)
    made.reset(np.array([9]), np.array([0]), np.array([1]))
    assert made.annealed is not None
    made.annealed.set_to(slice(0, 2), made.updates)
    middle = {"coefficient": 0.55, "g_beta2": 0.945, "d_beta2": 0.945}
    first = {"coefficient": 1.0, "g_beta2": 0.9, "d_beta2": 0.9}
    for name, now in made.annealed.now.items():
        assert now.tolist() == pytest.approx([middle[name], first[name]], abs=1e-12)


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_adam_with_another_beta2_at_every_step_is_torchs(beta1):
    draw = torch.Generator().manual_seed(1)
    flat = torch.randn(2, 5, generator=draw, dtype=torch.float64)
    params = [torch.nn.Parameter(row.clone()) for row in flat]
    theirs = [torch.optim.Adam([p], 1e-2, betas=(beta1, 0.9)) for p in params]
    beta2 = torch.full((2,), 0.9, dtype=torch.float64)
    ours = RowOptimizer(
        OptimizerSpec(betas=(beta1, 0.9)), flat, torch.full((2,), 1e-2, dtype=torch.float64), beta2=beta2
    )
    for step in range(40):
        beta2.copy_(torch.tensor([0.9 + 0.002 * step, 0.99 - 0.003 * step], dtype=torch.float64))
        grad = torch.randn(2, 5, generator=draw, dtype=torch.float64)
        stepping = torch.tensor([0, 1]) if step % 3 else torch.tensor([1])
        ours.step(EVERY if step % 3 else stepping, grad[stepping], torch.ones(len(stepping), dtype=torch.float64))
        for row in stepping.tolist():
            theirs[row].param_groups[0]["betas"] = beta1, float(beta2[row])
            params[row].grad = grad[row]
            theirs[row].step()
        torch.testing.assert_close(flat, torch.stack([p.detach() for p in params]), rtol=0, atol=1e-12)


def squared_slope(d, samples):
    samples = samples.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(d(samples).sum(), samples, create_graph=True)
    return slope.square().sum(1).mean()


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_45_updates_are_those_of_a_plain_r3gan_loop_that_sets_gamma_beta2_and_rate(order, engine, no_shape_checks):
    own = trainer(rows=1, order=order, engine=engine)
    g, d = own.generator(), own.discriminator()
    adams = [torch.optim.Adam(p.parameters(), float(o.lr[0])) for p, o in ((g, own.g_optimizer), (d, own.d_optimizer))]
    stream = own.feed.latents
    for update in range(45):
        turned = (1 + math.cos(math.pi * min(update / 30, 1))) / 2
        gamma, beta2, share = 0.1 + 0.9 * turned, 0.99 - 0.09 * turned, 0.25 + 0.75 * turned
        for adam, rate in zip(adams, (own.g_optimizer.lr, own.d_optimizer.lr), strict=True):
            adam.param_groups[0] |= {"lr": share * float(rate[0]), "betas": (0.0, beta2)}
        real = coming_real(own)[0].clone()
        latents = stream.at(slice(0, 1), own.updates, own.seed, own.episode)[0].double().clone()
        own.advance(Control.of(1, d_multiplier=share, g_multiplier=share))

        fake = g(latents)
        penalty = gamma / 2 * (squared_slope(d, real) + squared_slope(d, fake))
        loss = softplus(d(fake.detach()) - d(real)).mean() + penalty
        d_slopes = torch.autograd.grad(loss, list(d.parameters()))
        g_slopes = torch.autograd.grad(softplus(d(real) - d(fake)).mean(), list(g.parameters()), retain_graph=True)
        step(adams[1], d, d_slopes)
        if order == "alternating":
            g_slopes = torch.autograd.grad(softplus(d(real) - d(fake)).mean(), list(g.parameters()))
        step(adams[0], g, g_slopes)
        for plain, players in ((g, own.g), (d, own.d)):
            torch.testing.assert_close(flatten(plain), players.flat[0], rtol=0, atol=1e-9)
        assert own.d_penalty[0].item() == pytest.approx(penalty.item(), rel=1e-7)


def step(adam, module, slopes):
    for weight, slope in zip(module.parameters(), slopes, strict=True):
        weight.grad = slope
    adam.step()


@pytest.mark.parametrize("loss", ["r3gan", "instance-noise", "wgan-gp"])
def test_what_arrives_at_once_is_the_last_values_from_the_second_update_on(loss, engine):
    """An episode of which the first update alone has the first values."""
    last = {"r3gan": 0.3, "instance-noise": 0.2, "wgan-gp": 7.0}[loss]
    settings = {"optimizer": "adam", "engine": engine, "annealing": {"coefficient": last, "until": 0.001}}
    moved, fixed = (
        trainer(**settings | {"loss": loss}),
        trainer(**settings | {"loss": f"{loss}:{last}", "annealing": None}),
    )
    moved.advance(Control.of(2))
    restore(fixed, snapshot(moved))
    for made in (moved, fixed):
        made.advance(Control.of(2), 5)
    for name, value in snapshot(moved).items():
        torch.testing.assert_close(value, snapshot(fixed)[name], rtol=0, atol=1e-12)


def test_without_annealing_nothing_moves_and_an_annealing_to_the_same_values_changes_nothing(engine):
    same = {"coefficient": 1.0, "beta2": 0.9, "until": 0.5}
    plain, moved = (trainer(engine=engine, annealing=each) for each in (None, same))
    assert plain.annealed is None
    for made in (plain, moved):
        made.advance(Control.of(2), 20)
    for name, value in snapshot(plain).items():
        torch.testing.assert_close(value, snapshot(moved)[name], rtol=0, atol=1e-12)


def test_a_fork_a_restored_row_and_several_updates_at_once_go_on_as_the_original(engine):
    made, singly = trainer(engine=engine), trainer(engine=engine)
    made.advance(Control.of(2), 12)
    for _ in range(12):
        singly.advance(Control.of(2))
    other = trainer(engine=engine)
    other.advance(Control.of(2), 3)
    restore(other, snapshot(made))
    branch = fork(made, [0, 1])
    for each in (made, singly, other, branch):
        each.advance(Control.of(2), 9)
    for name, value in snapshot(made).items():
        assert all(torch.equal(value, snapshot(each)[name]) for each in (singly, other, branch)), name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"annealing": {}}, "annealing moves nothing"),
        ({"annealing": "cosine"}, "annealing='cosine' must be a dict"),
        ({"annealing": {"gamma": 1}}, "unknown annealing argument 'gamma'"),
        ({"annealing": {"coefficient": -1.0}}, "coefficient=-1.0 must be a finite number >= 0"),
        ({"annealing": {"coefficient": False}}, "coefficient=False must be"),
        ({"annealing": {"beta2": 1.0}}, "beta2=1.0 must be a number in"),
        ({"annealing": {"beta2": math.nan}}, "beta2=nan must be a number in"),
        ({"annealing": {"beta2": 0.9, "until": 0}}, "until=0 must be a share of the episode"),
        ({"loss": "bce"}, "needs a loss with a penalty or noise, and 'bce' has none"),
        ({"loss": "gran"}, "'gran' has none"),
        ({"optimizer": "sgd"}, "needs Adam or its kin, and optimizer 'sgd' has no β₂"),
    ],
)
def test_what_cannot_be_annealed_is_refused_with_the_way_out(settings, words):
    with pytest.raises(ValueError, match=words):
        EnvConfig(**R3GAN | settings)


def test_a_tasks_own_loss_and_optimiser_are_looked_at_when_it_trains():
    for annealing, words in (({"coefficient": 1.0}, "'wgan-unclipped' has none"), ({"beta2": 0.9}, "'sgd' has no β₂")):
        config = EnvConfig(task="dirac", annealing=annealing, device="cpu")
        with pytest.raises(ValueError, match=words):
            make_trainer(config, 1)


def test_a_run_of_unknown_length_is_refused():
    spec = OptimizerSpec()
    task, loss = EnvConfig(**R3GAN).build_task(), EnvConfig(**R3GAN).gan_loss
    with pytest.raises(ValueError, match="must know when the run ends"):
        Trainer(
            task, loss, 1, d_lr=1e-3, g_lr=1e-3, d_optimizer=spec, g_optimizer=spec, batch_size=8,
            annealing=Annealing(beta2=0.5),
        )  # fmt: skip


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if OptimizerSpec(name=name).is_adam])
def test_every_kin_of_adam_can_anneal_beta2(name, engine):
    made, fixed = (trainer(engine=engine, optimizer=name, annealing=each) for each in (R3GAN["annealing"], None))
    for each in (made, fixed):
        each.advance(Control.of(2), 10)
    assert made.g.flat.isfinite().all() and not torch.equal(made.g.flat, fixed.g.flat)


def test_rows_and_hashes_hold_it_only_where_it_is_set_and_a_benchmark_reads_it_back():
    config = EnvConfig(**R3GAN)
    assert game_facts(config)["annealing"] == R3GAN["annealing"]
    assert "annealing" not in game_facts(EnvConfig.of(config, annealing=None))
    plan = configure("", {"annealing": {"beta2": 0.99, "until": 0.5}, "losses": ("r1",)})
    held = json.loads(json.dumps(as_json(plan)))
    assert from_json(held) == plan and plan.parts[0].game.annealing == Annealing(beta2=0.99, until=0.5)


def test_an_environment_with_another_annealing_refuses_the_snapshot():
    def env(annealing):
        settings = R3GAN | {"annealing": annealing, "updates_per_step": 10}
        return GANVectorEnv(1, reward="quality", score=False, **settings)

    first, other = env(R3GAN["annealing"]), env({"coefficient": 0.1, "beta2": 0.95, "until": 0.5})
    first.reset(seed=0)
    other.reset(seed=0)
    with pytest.raises(ValueError, match="annealing="):
        other.restore(first.snapshot())
