"""Promises of `Steer` about losses and scores that do not fit: what is wrong is named, once, and nothing else is."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import relu, softplus

from agents import make_controller
from agents.steer import Steer
from agents.steering.input_checks import reflection
from gan_env.losses.losses import LOSSES
from gan_env.types import Measurement


def pair() -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    g, d = (torch.optim.SGD([nn.Parameter(torch.ones(1))], 1e-3) for _ in range(2))
    return g, d


def level(b: int = 4) -> torch.Tensor:
    return torch.linspace(-1, 1, b)


# Whose losses


def test_losses_that_do_not_follow_from_the_scores_are_named_once():
    steer = Steer("sim-gda", *pair())
    with pytest.warns(UserWarning, match="your d_loss looks like the mean of real and fake, theirs is the sum"):
        steer(torch.zeros(4), torch.zeros(4), g_loss=math.log(2), d_loss=torch.tensor([math.log(2)]))
    steer.done()
    steer(torch.zeros(4), torch.zeros(4), g_loss=5.0, d_loss=5.0)  # no second warning, which would be an error here
    steer.done()
    for wrong, message in ((torch.ones(2), r"g_loss has shape \(2,\)"), ("0.5", "g_loss='0.5' must be a number")):
        with pytest.raises(ValueError, match=message):
            steer(torch.zeros(4), torch.zeros(4), g_loss=wrong)


def test_given_losses_are_read_where_that_is_asked_for():
    g, d = pair()
    steer = Steer("gap-aware", g, d, losses="given")
    with pytest.raises(ValueError, match="needs both g_loss and d_loss"):
        steer(level(), level())
    own, theirs = steer(level(), level(), g_loss=1.0, d_loss=0.9), make_controller("gap-aware")
    theirs.reset([0])
    half, zero = torch.tensor([0.45]), torch.zeros(1)
    seen = Measurement(
        real_logits=level()[None],
        fake_logits=level()[None],
        g_loss=zero,
        d_loss_real=half,
        d_loss_fake=half,
        update=torch.zeros(1, dtype=torch.int64),
        progress=zero,
    )
    assert own.d_multiplier == pytest.approx(float(theirs.act(seen).d_multiplier), rel=1e-6)


def iterate(steer: Steer, real: torch.Tensor, fake: torch.Tensor, **losses) -> None:
    steer(real, fake, **losses)
    steer.done()


def test_scores_after_a_sigmoid_are_named_once_by_the_losses_at_the_first_and_without_them_after_50_iterations():
    probabilities = torch.tensor([0.9, 0.7, 0.95, 0.6]), torch.tensor([0.1, 0.3, 0.2, 0.4])
    d_loss = -(probabilities[0].log().mean() + (1 - probabilities[1]).log().mean())
    steer = Steer("d-accuracy-gate", *pair())
    with pytest.warns(UserWarning, match=r"look like probabilities: d_loss=.* of their logits\..*output.logit\(1e-6\)"):
        iterate(steer, *probabilities, d_loss=d_loss)
    with pytest.warns(UserWarning, match="look like probabilities"):  # half of the sum is as clear
        iterate(Steer("gap-aware", *pair()), *probabilities, d_loss=d_loss / 2)
    silent = Steer("d-accuracy-gate", *pair())
    for _ in range(49):
        iterate(silent, *probabilities)
    with pytest.warns(UserWarning, match=r"in \[0, 1\] so far, half of it apart in 50 .*output.logit\(1e-6\)"):
        iterate(silent, *probabilities)
    for _ in range(60):  # no second warning, which would be an error here
        iterate(silent, *probabilities), iterate(steer, *probabilities, d_loss=d_loss)


def test_scores_of_a_discriminator_without_a_sigmoid_do_not_pass_for_probabilities():
    untrained = torch.full((4,), 0.3) + 0.1 * level().abs()
    once_below, lsgan = Steer("sim-gda", *pair()), Steer("sim-gda", *pair(), loss="lsgan")
    iterate(once_below, level(), level())
    still = Steer("sim-gda", *pair())
    for _ in range(60):
        iterate(still, untrained, untrained)
        iterate(once_below, torch.tensor([1.0, 0.8]), torch.tensor([0.0, 0.1]))
        iterate(lsgan, torch.tensor([1.0, 0.8]), torch.tensor([0.0, 0.1]))  # its targets are 1 and 0


def test_a_small_gan_without_a_sigmoid_trains_at_usual_rates_without_passing_for_one_with_it():
    for seed in range(4):
        torch.manual_seed(seed)
        net_g = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        net_d = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (net_g, net_d))
        steer = Steer("sim-gda", opt_g, opt_d)
        for _ in range(120):
            fake = net_g(torch.randn(8, 4))
            real_logits, fake_logits = net_d(torch.randn(8, 2) * 0.1 + 1), net_d(fake.detach())
            steer(real_logits, fake_logits)
            opt_d.zero_grad()
            (softplus(-real_logits).mean() + softplus(fake_logits).mean()).backward()
            opt_d.step()
            opt_g.zero_grad()
            softplus(-net_d(fake)).mean().backward()
            opt_g.step()
            steer.done()


def test_a_difference_that_the_clip_of_probabilities_makes_is_named_as_that_and_hides_no_other():
    real, fake = torch.tensor([1.0, 1.0 - 1e-7]), torch.tensor([1e-12, 0.0])  # after a saturated sigmoid
    d_loss = nn.functional.binary_cross_entropy(torch.cat([real, fake]), torch.tensor([1.0, 0.0, 0.0, 0.0])) * 2
    steer = Steer("gap-aware", *pair())
    with pytest.warns(UserWarning, match=r"\.logit\(1e-6\) clips them") as caught:
        iterate(steer, real.logit(1e-6), fake.logit(1e-6), d_loss=d_loss)
    assert "smoothing" not in str(caught[0].message)
    iterate(steer, real.logit(1e-6), fake.logit(1e-6), d_loss=d_loss)
    with pytest.warns(UserWarning, match="without penalties or label smoothing"):
        iterate(steer, level(), level(), d_loss=9.0)


# Labels the other way round


def players(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    return (
        nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)),
        nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)),
    )


def train_exchanged(controller: str, loss: str, d_loss, g_loss, iterations: int = 60, share: float = 1.0, **options):
    """Trains with D's labels the other way round; returns the decisions, D's own losses and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        decisions, losses = _train(controller, loss, d_loss, g_loss, iterations, share, options)
    return decisions, losses, [str(each.message) for each in said]


def _train(controller, loss, d_loss, g_loss, iterations, share, options):
    net_g, net_d = players()
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), 2e-3, (0.5, 0.999)) for net in (net_g, net_d))
    steer, decisions, losses = Steer(controller, opt_g, opt_d, loss=loss, **options), [], []
    for _ in range(iterations):
        fake = net_g(torch.randn(32, 4))
        real_logits, fake_logits = net_d(torch.randn(32, 2) * 0.1 + 3), net_d(fake.detach())
        loss_d = d_loss(real_logits, fake_logits)
        d = steer(real_logits, fake_logits, d_loss=share * loss_d)
        if d.update_d:
            opt_d.zero_grad()
            loss_d.backward()
            opt_d.step()
        if d.update_g:
            opt_g.zero_grad()
            g_loss(net_d(fake)).backward()
            opt_g.step()
        steer.done()
        decisions.append(d)
        losses.append(loss_d.item())
    return decisions, losses


EXCHANGED = {
    "bce": (lambda r, f: bce(r, torch.zeros_like(r)) + bce(f, torch.ones_like(f)), lambda f: softplus(f).mean(), "-s"),
    "hinge": (lambda r, f: relu(1 + r).mean() + relu(1 - f).mean(), lambda f: f.mean(), "-s"),
    "lsgan": (lambda r, f: r.square().mean() + (f - 1).square().mean(), lambda f: f.square().mean(), "1 - s"),
    "wgan-unclipped": (lambda r, f: r.mean() - f.mean(), lambda f: f.mean(), "-s"),
}


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("loss", EXCHANGED)
def test_labels_the_other_way_round_are_named_with_the_scores_to_give(loss, share):
    d_loss, g_loss, give = EXCHANGED[loss]
    _, _, said = train_exchanged("sim-gda", loss, d_loss, g_loss, share=share)
    named = [text for text in said if f"{loss}'s with real and generated exchanged" in text]
    assert len(named) == 1 and f"so give {give}cores" in named[0] and said[0] == named[0]
    assert len(said) == (1 if share == 1 else 2)  # that half is not the sum is said besides, of the right sides


@pytest.mark.parametrize("controller", ["dyn-gda", "d-accuracy-gate"])
def test_a_discriminator_with_exchanged_labels_is_not_starved(controller):
    d_loss, g_loss, _ = EXCHANGED["bce"]
    decisions, losses, said = train_exchanged(controller, "bce", d_loss, g_loss, 150, kind="plane")
    assert "real and generated exchanged" in said[0]
    assert sum(d.update_d for d in decisions) >= 30
    assert sum(losses[-20:]) / 20 < 1.5  # near log 4: D keeps up with G


def test_labels_the_other_way_round_with_smoothing_are_named_once_d_has_learned():
    def smoothed(r, f):
        return bce(r, torch.full_like(r, 0.1)) + bce(f, torch.ones_like(f))

    _, _, said = train_exchanged("ttur", "bce", smoothed, lambda f: 0 * f.mean(), 150)
    assert "label smoothing" in said[0] and "real and generated exchanged" in said[1] and len(said) == 2


def test_scores_that_stay_inverted_although_d_steps_are_named_without_a_d_loss():
    steer = Steer("sim-gda", *pair())
    for _ in range(150):
        iterate(steer, level() - 2, level() + 2)
    with pytest.warns(UserWarning, match="higher for generated samples .* 150 iterations in a row.* give -scores"):
        iterate(steer, level() - 2, level() + 2)
    held = Steer("frozen-d", *pair())  # G may well win over a D that does not move
    for _ in range(200):
        iterate(held, level() - 2, level() + 2)


def test_a_penalty_that_makes_d_loss_large_does_not_pass_for_exchanged_labels():
    steer = Steer("sim-gda", *pair(), loss="wgan-gp")
    rng = torch.Generator().manual_seed(0)
    with pytest.warns(UserWarning, match="without penalties") as caught:
        for t in range(100):  # the penalty shrinks through the value at which d_loss equals the exchanged loss
            real, fake = torch.randn(32, generator=rng) + 1, torch.randn(32, generator=rng)
            iterate(steer, real, fake, d_loss=(fake.mean() - real.mean()) + 4 * 0.97**t * (1 + 0.2 * torch.rand(())))
    assert len(caught) == 1


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_of_ours_is_its_own_exchange_under_one_reflection(name):
    loss, f = LOSSES[name], torch.linspace(-3, 3, 11, dtype=torch.float64)
    total = reflection(loss)
    assert total == (1.0 if name == "lsgan" else 0.0)
    torch.testing.assert_close(loss.real(total - f), loss.fake(f))


# Names of losses


@pytest.mark.parametrize(("name", "ours"), [("vanilla", "bce"), ("least-squares", "lsgan"), ("WGAN_GP", "wgan-gp")])
def test_names_that_other_repositories_use_for_a_loss_are_understood(name, ours):
    assert Steer("sim-gda", *pair(), loss=name).loss.name == ours


def test_a_loss_that_is_not_here_is_refused_with_the_way_to_steer_it():
    with pytest.raises(ValueError, match="unknown GAN loss 'ragan'.* with losses='given'"):
        Steer("sim-gda", *pair(), loss="ragan")
