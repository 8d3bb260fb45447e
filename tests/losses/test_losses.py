"""Each loss, batched over rows, against a plain computation on one GAN's own modules."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.losses.diversity import DIVERSITIES, mean_distance
from gan_env.losses.losses import LOSSES, get_loss
from gan_env.losses.penalties import GradientNormalisation, InputGradient
from gan_env.losses.spectral_norm import POWER_ITERATIONS, largest_singular_value
from gan_env.types import Control
from tests.support.coming import coming_real

ROWS, LR = 3, 1e-3

IDEAL = {  # worked out by hand: the least of real(f) + fake(f)
    "hinge": 2.0,
    "lsgan": 0.5,
    "r3gan": math.log(2),  # of a pair whose logits are equal
    "wgan": 0.0,
    "wgan-gp": 0.0,
    "wgan-unclipped": 0.0,
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_ideal_discriminator_loss_is_that_of_the_table(name):
    assert LOSSES[name].ideal_d_loss == pytest.approx(IDEAL.get(name, math.log(4)), abs=1e-9)


def trained_once(name, engine, order="simultaneous", **control):
    """A trainer before and after one SGD update, so that (before − after) / rate is the gradient."""
    config = EnvConfig(task="ring", loss=name, optimizer="sgd", d_lr=LR, g_lr=LR, dtype="float64", order=order)
    trainer = make_trainer(EnvConfig.of(config, engine=engine), ROWS)
    trainer.reset(np.arange(ROWS) + 5, np.zeros(ROWS, np.int64))
    scale_up(trainer)
    held = {
        "g": trainer.g.flat.clone(),
        "d": trainer.d.flat.clone(),
        "modules": [(trainer.generator(row), trainer.discriminator(row)) for row in range(ROWS)],
        "real": coming_real(trainer).clone(),
        "fake": trainer.coming_fake.clone(),
        "probe": drawn(trainer, trainer.feed.probes),
        "latents": drawn(trainer, trainer.feed.latents),
    }
    trainer.advance(Control.of(ROWS, **control))
    return trainer, held


def scale_up(trainer):
    """Fresh 16-wide MLPs are almost constant; larger weights make every term of a loss count."""
    trainer.g.flat.mul_(2.0)
    trainer.d.flat.mul_(2.0)
    trainer.look()
    assert trainer.measurement.update.eq(0).all()  # it looks when it is asked


def drawn(trainer, stream):
    """What a stream holds for the coming update."""
    rows = slice(0, ROWS)
    return stream.at(rows, trainer.updates[rows], trainer.seed[rows], trainer.episode[rows]).double().clone()


def power_norm(weight):
    v = torch.ones(weight.shape[1], dtype=weight.dtype)
    for _ in range(POWER_ITERATIONS):
        v = normalize(weight.T @ normalize(weight @ v, dim=0), dim=0)
    u = normalize(weight @ v, dim=0)
    return (u.detach() @ weight @ v.detach()), u, v


def plain_logits(name, discriminator, samples):
    """One module's logits where gradients are taken, written for one GAN."""
    if name == "sn":
        weights = {}
        for key, p in discriminator.named_parameters():
            weights[key] = p / power_norm(p)[0] if p.dim() == 2 else p
        return torch.func.functional_call(discriminator, weights, (samples,)).flatten()
    if name in ("gran", "gn"):
        if not samples.requires_grad:
            samples = samples.clone().requires_grad_()
        logits = discriminator(samples).flatten()
        (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
        norm = slope.pow(2).sum(1).sqrt()
        if name == "gn":
            return logits / (norm + logits.abs())
        return 0.83 * logits * norm / (norm**2 + GradientNormalisation().eps)
    return discriminator(samples).flatten()


def slope_of(discriminator, samples):
    samples = samples.detach().clone().requires_grad_()
    logits = discriminator(samples).flatten()
    (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    return logits, slope.pow(2).sum(1)


def plain_penalty(name, discriminator, real, fake, mix):
    if name == "wgan-gp":
        between = mix[:, None] * real + (1 - mix[:, None]) * fake
        return 3.0 * (slope_of(discriminator, between)[1].sqrt() - 1).pow(2).mean()
    if name == "js-reg":
        (f, at_real), (h, at_fake) = slope_of(discriminator, real), slope_of(discriminator, fake)
        return 1.5 * (((1 - f.sigmoid()) ** 2 * at_real).mean() + (h.sigmoid() ** 2 * at_fake).mean())
    if name == "r1":
        return 5.0 * slope_of(discriminator, real)[1].mean()
    if name == "r2":
        return 1.5 * slope_of(discriminator, fake)[1].mean()
    if name == "r3gan":
        return (slope_of(discriminator, real)[1].mean() + slope_of(discriminator, fake)[1].mean()) / 2
    return torch.zeros((), dtype=torch.float64)


def plain_losses(name, f, h):
    """(D's loss, G's loss) of real logits f and fake logits h, as the papers write them."""
    if name.startswith("wgan"):
        return -f.mean() + h.mean(), -h.mean()
    if name == "hinge":
        return (1 - f).clamp_min(0).mean() + (1 + h).clamp_min(0).mean(), -h.mean()
    if name == "lsgan":
        return ((f - 1) ** 2).mean() + (h**2).mean(), ((h - 1) ** 2).mean()
    log = torch.log
    if name == "r3gan":
        return -log((f - h).sigmoid()).mean(), -log((h - f).sigmoid()).mean()
    return -log(f.sigmoid()).mean() - log(1 - h.sigmoid()).mean(), -log(h.sigmoid()).mean()


def flat_gradient(loss, module):
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)])


@pytest.mark.parametrize("name", LOSSES)
def test_both_gradients_are_those_of_a_plain_single_gan(name, engine):
    trainer, held = trained_once(name, engine)
    for row, (generator, discriminator) in enumerate(held["modules"]):
        real, fake = held["real"][row], generator(held["latents"][row])
        torch.testing.assert_close(fake.detach(), held["fake"][row], atol=1e-12, rtol=1e-12)
        noise = math.sqrt(0.02) * held["probe"][row] if name == "instance-noise" else torch.zeros(2, *real.shape)
        f = plain_logits(name, discriminator, real + noise[0])
        h_detached = plain_logits(name, discriminator, (fake + noise[1]).detach())
        mix = held["probe"][row] if name == "wgan-gp" else None
        penalty = plain_penalty(name, discriminator, real, fake.detach(), mix)
        d_loss, _ = plain_losses(name, f, h_detached)
        d_expected = held["d"][row] - LR * flat_gradient(d_loss + penalty, discriminator)
        if name == "wgan":
            d_expected = d_expected.clamp(-0.01, 0.01)
        torch.testing.assert_close(trainer.d.flat[row], d_expected, atol=1e-9 * LR, rtol=1e-12)
        _, g_loss = plain_losses(name, f, plain_logits(name, discriminator, fake + noise[1]))
        g_expected = held["g"][row] - LR * flat_gradient(g_loss, generator)
        torch.testing.assert_close(trainer.g.flat[row], g_expected, atol=1e-9 * LR, rtol=1e-12)
        assert trainer.d_penalty[row].item() == pytest.approx(float(penalty.detach()), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_an_alternating_generator_meets_the_new_discriminator(name, engine):
    _, held = trained_once(name, engine, order="alternating")
    trainer, _ = trained_once(name, engine, order="alternating")
    for row, (generator, discriminator) in enumerate(held["modules"]):
        with torch.no_grad():  # D's step is that of the other test; what G sees of it is tested here
            at = 0
            for p in discriminator.parameters():
                p.copy_(trainer.d.flat[row, at : at + p.numel()].view_as(p))
                at += p.numel()
        fake = generator(held["latents"][row])
        noise = math.sqrt(0.02) * held["probe"][row, 1] if name == "instance-noise" else 0.0
        f, h = (plain_logits(name, discriminator, samples) for samples in (held["real"][row], fake + noise))
        _, g_loss = plain_losses(name, f, h)
        g_expected = held["g"][row] - LR * flat_gradient(g_loss, generator)
        torch.testing.assert_close(trainer.g.flat[row], g_expected, atol=1e-9 * LR, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_measured_is_the_discriminator_without_its_own_regulariser(name, engine):
    trainer, held = trained_once(name, engine, update_d=False)
    config = EnvConfig(task="ring", loss=name, optimizer="sgd", d_lr=LR, g_lr=LR, dtype="float64")
    again = make_trainer(config, ROWS)
    again.reset(np.arange(ROWS) + 5, np.zeros(ROWS, np.int64))
    scale_up(again)
    for row, (_, discriminator) in enumerate(held["modules"]):
        clean = discriminator(held["real"][row]).flatten()
        torch.testing.assert_close(again.measurement.real_logits[row], clean.detach(), atol=1e-12, rtol=1e-12)
    assert torch.equal(trainer.d.flat, held["d"])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("task", ["ring", "circle", "spiral", "line", "grid"])
def test_every_pair_of_loss_and_plane_set_trains(name, task):
    trainer = make_trainer(EnvConfig(task=task, loss=name), 8)
    trainer.reset(np.arange(8), np.zeros(8, np.int64))
    start = trainer.g.flat.clone()
    trace = trainer.advance(Control.of(8), 20)
    assert trace.losses.isfinite().all() and torch.isfinite(trainer.d.flat).all()
    assert (trainer.g.flat != start).any(1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("task", ["ring", "circle", "spiral", "line", "grid"])
def test_every_pair_of_loss_and_plane_set_stays_finite_for_500_updates(name, task):
    trainer = make_trainer(EnvConfig(task=task, loss=name), 8)
    trainer.reset(np.arange(8), np.zeros(8, np.int64))
    trace = trainer.advance(Control.of(8), 500)
    assert trace.losses.isfinite().all()
    assert torch.isfinite(trainer.g.flat).all() and torch.isfinite(trainer.d.flat).all()


def test_the_spectral_norm_is_close_to_the_exact_one_on_fresh_layers():
    weights = torch.stack([torch.nn.Linear(16, 16).weight.detach() for _ in range(200)]).double()
    exact = torch.linalg.matrix_norm(weights, ord=2)
    ratio = largest_singular_value(weights) / exact
    assert (ratio <= 1 + 1e-12).all() and ratio.mean() > 0.95 and ratio.min() > 0.75


def test_a_coefficient_can_be_set_in_the_name():
    assert get_loss("wgan-gp:10").coefficient == 10.0 and get_loss("wgan-gp").coefficient == 3.0


def test_the_eps_of_gradient_normalisation_can_be_set_in_the_name():
    loss, at = get_loss("gran:5:0.01"), InputGradient(torch.tensor([[2.0]]), torch.tensor([[0.04]]))
    assert loss.normalise is not None
    torch.testing.assert_close(loss.normalise(at, loss.coefficient), torch.tensor([[5 * 2 * 0.2 / (0.04 + 0.01)]]))
    assert get_loss("gran:5").normalise == get_loss("gran").normalise


@pytest.mark.parametrize(
    "name", ["wgan-gp:x", "wgan-gp:-1", "wgan-gp:inf", "wgan-gp:3:1", "gran:1:0", "gran:1:", "bce:2", "hing"]
)
def test_a_loss_that_cannot_be_had_is_refused_by_name(name):
    with pytest.raises(ValueError, match=name.partition(":")[0]):
        get_loss(name)


def test_a_slope_that_is_not_written_out_is_found_by_autograd():
    logits = torch.randn(3, 40, dtype=torch.float64) * 3
    unwritten = replace(LOSSES["bce"], real_gradient=None)
    torch.testing.assert_close(unwritten.logit_gradient("real", logits), LOSSES["bce"].logit_gradient("real", logits))


# GCANN's diversity term


def test_the_diversity_term_has_its_printed_ends_and_a_hand_worked_middle():
    image = DIVERSITIES["image"]
    real = torch.tensor([[[0.0], [1.0], [2.0]]], dtype=torch.float64)  # distances 1, 1, 2: mean 4/3
    assert mean_distance(real).item() == pytest.approx(4 / 3)
    assert image(torch.zeros(1, 3, 1, dtype=torch.float64), real).item() == pytest.approx(3.0)
    assert image(1e6 * real, real).item() == pytest.approx(0.001)
    p = math.exp(-1.0)  # as far apart as the real batch
    wanted = 0.001 + 2.999 * (1 - math.exp(-p)) / (1 - math.exp(-1.0))
    assert image(real, real).item() == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(ValueError, match="batch_size=1 has no pairs"):
        mean_distance(real[:, :1])


def test_distances_of_samples_that_are_nearly_alike_are_not_lost_to_rounding():
    near = torch.ones(1, 64, 784) + 1e-4 * torch.randn(1, 64, 784, generator=torch.Generator().manual_seed(0))
    assert mean_distance(near).item() == pytest.approx(mean_distance(near.double()).item(), rel=1e-3)


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_every_fifth_update_of_g_adds_the_gradient_of_the_diversity_term(order):
    plain, with_term = (diversity_trainer(loss, order) for loss in ("bce", "bce+diversity"))
    resting = Control.of(2, update_g=torch.tensor([True, False]))
    for made in (plain, with_term):
        made.advance(resting)  # row 1 is an update behind from here
        made.advance(Control.of(2), 3)
    assert torch.equal(plain.g.flat, with_term.g.flat) and not with_term.g_penalty.any()
    before = with_term.g.flat.clone()
    generator, latents = with_term.generator(0), drawn(with_term, with_term.feed.latents)[0]
    real = coming_real(with_term)[:1]
    penalty = DIVERSITIES["image"](generator(latents).unsqueeze(0), real).sum()
    wanted = flat_gradient(penalty, generator)
    for made in (plain, with_term):
        made.advance(Control.of(2))
    assert with_term.g_penalty[0].item() == pytest.approx(penalty.item(), rel=1e-9) and with_term.g_penalty[1] == 0
    got = ((before - with_term.g.flat) - (before - plain.g.flat))[0] / LR
    torch.testing.assert_close(got, wanted, atol=1e-9, rtol=1e-7)
    assert torch.equal(plain.g.flat[1], with_term.g.flat[1])


def diversity_trainer(loss: str, order: str):
    rates = {"optimizer": "sgd", "d_lr": LR, "g_lr": LR}
    made = make_trainer(EnvConfig(task="ring", loss=loss, order=order, dtype="float64", batch_size=8, **rates), 2)
    made.reset(np.array([5, 6]), np.zeros(2, np.int64))
    return made


@pytest.mark.parametrize("name", ["bce+variety", "bce+diversity:sound", "bce+diversity:", "hing+diversity"])
def test_an_unknown_term_is_refused(name):
    with pytest.raises(ValueError, match="unknown"):
        get_loss(name)


def test_the_term_keeps_what_the_loss_is_and_is_refused_where_nothing_is_generated():
    assert get_loss("wgan-gp:10+diversity").coefficient == 10 and get_loss("bce+diversity").ideal_d_loss == (
        pytest.approx(get_loss("bce").ideal_d_loss)
    )
    with pytest.raises(ValueError, match="generates no samples"):
        make_trainer(EnvConfig(task="digits-domains", loss="bce+diversity", device="cpu"), 1)


@pytest.mark.parametrize(("name", "ideal"), [("bce", math.log(4)), ("hinge", 2.0), ("lsgan", 0.5)])
def test_the_ideal_discriminator_loss_is_the_hand_worked_one(name, ideal):
    assert LOSSES[name].ideal_d_loss == pytest.approx(ideal, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("bce", math.log1p(math.exp(-2)), math.log1p(math.exp(2)), math.log1p(math.exp(-2))),
        ("hinge", 0.0, 3.0, -2.0),
        ("lsgan", 1.0, 4.0, 1.0),
    ],
)
def test_losses_of_a_logit_of_two_are_the_hand_worked_ones(name, real, fake, generator):
    loss, two = LOSSES[name], torch.tensor(2.0, dtype=torch.float64)
    for part, value in ((loss.real, real), (loss.fake, fake), (loss.generator, generator)):
        assert float(part(two)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_declared_signed_exactly_if_it_can_be_negative(name):
    f = torch.linspace(-50, 50, 1001, dtype=torch.float64)
    loss = LOSSES[name]
    lowest = min(float(part(f).min()) for part in (loss.real, loss.fake, loss.generator))
    assert loss.signed == (lowest < 0)
