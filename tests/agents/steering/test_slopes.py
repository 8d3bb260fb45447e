"""Promises of `Steer` about labels the other way round: the gradients of the loop's own backward passes tell."""

import warnings
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy as cross_entropy
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import relu

from agents.steer import Steer
from agents.steering.slopes import VOTES, Slopes

ITERATIONS = VOTES + 8
Term = Callable[[Tensor, Tensor], Tensor]


def labelled(real: float, fake: float) -> Term:
    return lambda r, f: bce(r, torch.full_like(r, real)) + bce(f, torch.full_like(f, fake))


def build(seed: int = 0, **options) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    net_g = nn.Linear(4, 2)
    net_d = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    return (
        net_g,
        net_d,
        torch.optim.Adam(net_g.parameters(), 1e-3),
        torch.optim.Adam(net_d.parameters(), 1e-3, **options),
    )


def train(steer: Steer, parts, d_loss: Term, g_loss: Callable[[Tensor], Tensor], *, swapped: bool = False) -> list[str]:
    """Trains for `ITERATIONS`; returns what was said."""
    net_g, net_d, opt_g, opt_d = parts
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(ITERATIONS):
            fake = net_g(torch.randn(32, 4))
            scores = net_d(torch.randn(32, 2) * 0.1 + 3), net_d(fake.detach())
            decision = steer(*scores[::-1]) if swapped else steer(*scores)
            if decision.update_d:
                opt_d.zero_grad()
                d_loss(*scores).backward()
                opt_d.step()
            if decision.update_g:
                opt_g.zero_grad()
                g_loss(net_d(fake)).backward()
                opt_g.step()
            steer.done()
    return [str(each.message) for each in caught]


EXCHANGED: dict[str, tuple[Term, Callable[[Tensor], Tensor], str]] = {
    "bce": (labelled(0, 1), lambda f: bce(f, torch.zeros_like(f)), "-scores"),
    "hinge": (lambda r, f: relu(1 + r).mean() + relu(1 - f).mean(), lambda f: f.mean(), "-scores"),
    "lsgan": (lambda r, f: r.square().mean() + (f - 1).square().mean(), lambda f: f.square().mean(), "1 - scores"),
    "wgan-unclipped": (lambda r, f: r.mean() - f.mean(), lambda f: f.mean(), "-scores"),
}


@pytest.mark.parametrize("loss", EXCHANGED)
def test_labels_the_other_way_round_are_named_without_a_d_loss_and_the_scores_read_so(loss):
    d_loss, g_loss, give = EXCHANGED[loss]
    parts = build()
    steer = Steer("sim-gda", *parts[2:], loss=loss)
    (said,) = train(steer, parts, d_loss, g_loss)
    assert "real and generated exchanged" in said and f"so give {give} in place" in said
    ones = torch.ones(4)
    steer(ones, -ones)
    wrong_way = steer.loss.terms(-ones, ones) if loss != "lsgan" else steer.loss.terms(1 - ones, 1 + ones)
    assert float(steer._last[0].d_sum) == pytest.approx(float(wrong_way[1].mean() + wrong_way[2].mean()))


def test_batches_that_are_given_in_each_others_place_are_named():
    parts = build()
    steer = Steer("dyn-gda", *parts[2:])
    (said,) = train(steer, parts, labelled(1, 0), lambda f: bce(f, torch.ones_like(f)), swapped=True)
    assert "in each other's place" in said


def test_what_was_found_out_is_kept_in_the_state():
    d_loss, g_loss, _ = EXCHANGED["bce"]
    parts = build()
    steer = Steer("sim-gda", *parts[2:])
    train(steer, parts, d_loss, g_loss)
    fresh = Steer("sim-gda", *build()[2:])
    fresh.load_state_dict(steer.state_dict())
    fresh(torch.ones(4), -torch.ones(4))
    assert float(fresh._last[0].d_sum) > 2  # 2 softplus(1)


@pytest.mark.parametrize("d_loss", [labelled(1, 0), labelled(0.9, 0), labelled(0.9, 0.1)], ids=["plain", "0.9", "both"])
def test_labels_as_usual_are_found_out_in_silence_with_smoothing_too(d_loss):
    parts = build()
    steer = Steer("sim-gda", *parts[2:])
    assert not train(steer, parts, d_loss, lambda f: bce(f, torch.ones_like(f)))
    assert steer._slopes.sides == "as usual"


def slopes_of(d_loss: Term, real: float, fake: float, *, maximize: bool = False) -> str:
    """What the gradients of a loss show at these scores."""
    parts = build(maximize=maximize)
    slopes = Slopes([parts[3]])
    for _ in range(ITERATIONS):
        weight = torch.ones(1, requires_grad=True)
        r, f = weight * torch.full((8,), real), weight * torch.full((8,), fake)
        slopes.watch(r, [f])
        d_loss(r, f).backward()
        slopes.count()
    return slopes.sides


def test_slopes_that_are_not_of_d_alone_prove_nothing():
    usual, turned = labelled(1, 0), labelled(0, 1)
    assert (slopes_of(usual, 1, -1), slopes_of(turned, 1, -1)) == ("as usual", "exchanged")
    assert (slopes_of(lambda r, f: -usual(r, f), 1, -1, maximize=True)) == "as usual"
    assert slopes_of(labelled(0.9, 0), 6, -6) == ""  # too certain for its smooth labels: both slopes are positive
    assert slopes_of(lambda r, f: usual(r, f) - 2 * bce(f, torch.zeros_like(f)), 1, -1) == ""
    assert slopes_of(lambda r, f: usual(r.detach(), f), 1, -1) == ""

    def and_generator(r: Tensor, f: Tensor) -> Tensor:  # which runs backward through the same scores
        bce(f, torch.ones_like(f)).backward(retain_graph=True)
        return usual(r, f)

    assert slopes_of(and_generator, 1, -1) == ""


def test_the_gradient_for_a_penalty_is_no_slope_of_the_loss():
    net_d, sides = nn.Linear(2, 1), {}
    for name, real, fake in (("as usual", 1, 0), ("exchanged", 0, 1)):
        slopes = Slopes([torch.optim.SGD(net_d.parameters(), 1e-3)])
        for _ in range(ITERATIONS):
            x = torch.randn(8, 2, requires_grad=True)
            r, f = net_d(x), net_d(torch.randn(8, 2))
            slopes.watch(r, f)
            (slope,) = torch.autograd.grad(r.sum(), x, create_graph=True)
            (labelled(real, fake)(r, f) + slope.square().sum(1).mean()).backward()
            slopes.count()
        sides[name] = slopes.sides
    assert sides == {"as usual": "as usual", "exchanged": "exchanged"}


def test_gradients_that_have_a_graph_are_read_without_it():
    slopes = Slopes([])
    for _ in range(ITERATIONS):
        weight = torch.ones(1, requires_grad=True)
        r, f = weight * torch.ones(8), weight * -torch.ones(8)
        slopes.watch(r, f)
        torch.autograd.grad(labelled(1, 0)(r, f), weight, create_graph=True)
        assert not any(slope.requires_grad for side in slopes._seen.values() for slope in side)
        slopes.count()
    assert slopes.sides == "as usual"


def test_labels_that_are_flipped_now_and_then_are_as_usual():
    slopes = Slopes([])
    for i in range(3 * VOTES):
        weight = torch.ones(1, requires_grad=True)
        r, f = weight * torch.ones(8), weight * -torch.ones(8)
        slopes.watch(r, f)
        labelled(*((0, 1) if i % 4 == 0 else (1, 0)))(r, f).backward()
        slopes.count()
    assert slopes.sides == "as usual"


@pytest.mark.parametrize("sides", [(1, 0), (0, 1)], ids=["as usual", "exchanged"])
def test_probabilities_are_named_by_the_slope_of_their_logarithm(sides):
    def d_loss(r: Tensor, f: Tensor) -> Tensor:
        return sum(cross_entropy(p, torch.full_like(p, side)) for p, side in zip((r, f), sides, strict=True))

    net_g, net_d, *opts = build()
    parts = net_g, nn.Sequential(net_d, nn.Sigmoid()), *opts
    said = train(Steer("dyn-gda", *opts), parts, d_loss, lambda f: cross_entropy(f, torch.full_like(f, sides[0])))
    assert "look like probabilities" in said[0] and "output.logit(1e-6)" in said[0]


def test_scores_of_an_untrained_discriminator_are_no_probabilities():
    for loss, width in product((labelled(1, 0), labelled(0, 1), labelled(0.9, 0)), (1.0, 0.1, 0.01, 1e-3)):
        slopes = Slopes([])
        for i in range(ITERATIONS):
            low = i / ITERATIONS * (1 - width)
            r, f = (((low + width * torch.rand(32)).requires_grad_()) for _ in range(2))
            slopes.watch(r, f)
            loss(r, f).backward()
            slopes.count()
        assert not slopes.of_probabilities


@pytest.mark.parametrize("controller", ["gap-aware", "sim-gda"])
def test_a_discriminator_that_merely_loses_is_not_suspected(controller):
    net_g, net_d, opt_g, opt_d = parts = build()
    steer = Steer(controller, opt_g, opt_d)
    assert not train(steer, parts, labelled(1, 0), lambda f: bce(f, torch.ones_like(f)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(200):
            steer(torch.zeros(8) - 2, torch.zeros(8) + 2)
            opt_d.step()
            steer.done()


def test_a_generator_that_moves_alone_and_gets_nowhere_is_named():
    _, _, opt_g, opt_d = build()
    steer = Steer("dyn-gda", opt_g, opt_d)
    with pytest.warns(UserWarning, match="G stepped alone in 500 iterations in a row.* give -scores") as caught:
        for i in range(700):
            noise = torch.rand(8) * 0.1 * (1 - i / 700)
            decision = steer(2 - i / 700 + noise, -2 + i / 700 - noise)
            for opt, moves in ((opt_d, decision.update_d), (opt_g, decision.update_g)):
                if moves:
                    opt.step()
            steer.done()
    assert len(caught) == 1


def test_a_generator_that_lowers_its_scores_while_d_stands_still_is_named_at_once():
    _, _, opt_g, opt_d = build()
    steer = Steer("dirac-oracle", opt_g, opt_d)  # G moves alone while real scores are above generated ones
    with pytest.warns(UserWarning, match="alone in 60 .* have fallen further below .* give -scores") as caught:
        for i in range(100):
            decision = steer(torch.rand(32) + 3, torch.rand(32) - i / 50)
            assert decision.update_g and not decision.update_d
            opt_g.step()
            steer.done()
    assert len(caught) == 1
