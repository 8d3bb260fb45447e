"""Promises of the written-out slopes: what autograd finds, for any straight MLP, for all rows or some."""

import pytest
import torch
from torch import nn

from gan_env.losses.losses import LOSSES
from gan_env.losses.penalties import GradientNormalisation, bounded_normalisation
from gan_env.losses.spectral_norm import spectral_norm, weight_matrices
from gan_env.networks.parameters import flatten
from gan_env.players.batched_mlp import MLPPlayers
from gan_env.players.batched_mlp_gradients import GradientNormalisedPlayers
from gan_env.players.batched_modules import AutogradPlayers, ModulePlayers
from gan_env.players.players import EVERY, Asked, Buffers
from gan_env.players.regularised import ReparametrisedPlayers, gradient_normalised, penalised

ROWS, BATCH = 3, 7
STRAIGHT = {
    "leaky": lambda: nn.Sequential(
        nn.Linear(4, 6), nn.LeakyReLU(0.2), nn.Linear(6, 5), nn.LeakyReLU(), nn.Linear(5, 1)
    ),
    "relu without biases": lambda: nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1, bias=False)
    ),
    "linear": lambda: nn.Sequential(nn.Linear(4, 1)),
    "bent at its end": lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1), nn.LeakyReLU(0.5)),
    "images": lambda: nn.Sequential(nn.Flatten(1), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1)),
}
PENALTIES = sorted(name for name in LOSSES if LOSSES[name].penalty)


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


def both(make) -> tuple[MLPPlayers, ModulePlayers]:
    """The same copies, written out and by autograd."""
    torch.manual_seed(0)
    modules = [make().double() for _ in range(ROWS)]
    flat = torch.stack([flatten(module) for module in modules])
    return MLPPlayers(modules[0], flat.clone(), ()), ModulePlayers(modules[0], flat.clone(), (), "loop")


def batches(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (2, 2) if name == "images" else (4,)
    return torch.randn(ROWS, BATCH, *shape).double(), torch.randn(ROWS, BATCH, *shape).double()


@pytest.mark.parametrize("net", STRAIGHT)
@pytest.mark.parametrize("loss", PENALTIES)
def test_a_penalty_and_its_gradient_are_autograds(loss, net):
    written, plain = both(STRAIGHT[net])
    seen = (*batches(net), torch.rand(ROWS, BATCH).double())
    penalty, scratch = LOSSES[loss].penalty, Buffers()
    for rows in (EVERY, torch.tensor([2, 0]), torch.tensor([1])):  # in the same buffers
        part = tuple(each[rows] for each in seen)
        value, grad = penalised(written, penalty, written.flat[rows], part, scratch)
        expected, expected_grad = penalised(plain, penalty, plain.flat[rows], part, Buffers())
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(grad, expected_grad, rtol=1e-9, atol=1e-11)


def through(players, real, fake, slopes, rows):
    """All gradients that a trainer asks for."""
    pair, scratch, buffers = players.pair(players.flat, real, fake, Buffers()), Buffers(), Buffers()
    weights = pair.weight_gradient(*slopes, scratch, rows, ("real", "fake"))
    out, tape = players.forward(players.flat, fake, buffers)
    late = players.backward(tape, slopes[1][rows], buffers, Asked(weights=False, inputs=True, rows=rows))[1]
    inputs = [pair.input_gradient(side, slope[rows], scratch, rows) for side, slope in zip(("real", "fake"), slopes)]  # noqa: B905
    return [pair.real_logits, pair.fake_logits, out, weights.clone(), late, *inputs]


@pytest.mark.parametrize("net", STRAIGHT)
@pytest.mark.parametrize("how", ["dressed", "bounded", "reparametrised", "both"])
def test_a_regularised_discriminator_and_its_gradients_are_autograds(how, net):
    written, plain = both(STRAIGHT[net])
    matrices = weight_matrices(STRAIGHT[net]())
    normalise = bounded_normalisation if how == "bounded" else GradientNormalisation()

    def regularised(players):
        if how in ("reparametrised", "both"):
            players = ReparametrisedPlayers(players, lambda flat: spectral_norm(flat, matrices))
        return (
            players if how == "reparametrised" else gradient_normalised(players, lambda slope: normalise(slope, 0.83))
        )

    fast, slow = regularised(written), regularised(plain)
    assert isinstance(slow, AutogradPlayers | ReparametrisedPlayers)
    assert isinstance(fast, GradientNormalisedPlayers) == (how in ("dressed", "bounded"))
    real, fake = batches(net)
    slopes = torch.randn(ROWS, BATCH).double(), torch.randn(ROWS, BATCH).double()
    for rows in (EVERY, torch.tensor([2, 0])):
        found, expected = through(fast, real, fake, slopes, rows), through(slow, real, fake, slopes, rows)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_a_bent_activation_goes_the_general_way():
    bent, plain = both(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)))
    assert not bent.piecewise_linear and isinstance(
        gradient_normalised(bent, lambda slope: slope.logits), AutogradPlayers
    )
    seen = (*batches(""), torch.rand(ROWS, BATCH).double())
    for players in (bent, plain):
        value, grad = penalised(players, LOSSES["wgan-gp"].penalty, players.flat, seen, Buffers())
    again = penalised(bent, LOSSES["wgan-gp"].penalty, bent.flat, seen, Buffers())
    torch.testing.assert_close((value, grad), again, rtol=1e-9, atol=1e-11)


def test_a_penalty_is_documented_by_its_formula():
    assert all("‖∇f" in LOSSES[name].penalty.__doc__ for name in PENALTIES)
