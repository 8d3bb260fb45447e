"""Promises of controllers that set rates of Adam: they say so where the optimiser is of another kind."""

import warnings

import pytest
import torch

from agents import Steer, make_controller
from gan_env import EnvConfig, GANVectorEnv

ABSOLUTE = ("auto", "ttur-decay")
OPTIM = torch.optim


def built(controller, opt_g, opt_d):
    players = [torch.nn.Linear(2, 1) for _ in range(2)]
    return Steer(controller, opt_g(players[0].parameters(), 1e-3), opt_d(players[1].parameters(), 1e-3),
                 episode_updates=10)  # fmt: skip


@pytest.mark.parametrize("controller", ABSOLUTE)
@pytest.mark.parametrize(
    ("opt_g", "opt_d", "named"),
    [(OPTIM.SGD, OPTIM.SGD, "sgd"), (OPTIM.Adam, OPTIM.SGD, "sgd"), (OPTIM.Adagrad, OPTIM.Adam, "adagrad")],
)
def test_rates_of_adam_for_another_kind_of_optimiser_are_warned_of(controller, opt_g, opt_d, named):
    with pytest.warns(UserWarning, match=f"{controller} sets rates .* found for Adam; .* steps of {named} are"):
        built(controller, opt_g, opt_d)


def test_one_of_several_optimisers_of_a_player_is_warned_of():
    g, d, more = (torch.nn.Linear(2, 1) for _ in range(3))
    several = [OPTIM.Adam(d.parameters(), 1e-3), OPTIM.SGD(more.parameters(), 1e-3)]
    with pytest.warns(UserWarning, match="steps of sgd"):
        Steer("ttur-decay", OPTIM.Adam(g.parameters(), 1e-3), several, episode_updates=10)


@pytest.mark.parametrize("optimiser", [OPTIM.Adam, OPTIM.AdamW, OPTIM.RMSprop, OPTIM.NAdam])
@pytest.mark.parametrize("controller", (*ABSOLUTE, "ttur"))
def test_optimisers_of_adams_kind_pass_without_a_word(controller, optimiser):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(controller, optimiser, optimiser)


def test_a_controller_that_multiplies_your_rates_suits_any_optimiser():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built("ttur", OPTIM.SGD, OPTIM.SGD)


@pytest.mark.parametrize("controller", ABSOLUTE)
def test_an_environment_tells_controllers_its_optimiser(controller):
    env = GANVectorEnv(config=EnvConfig(optimizer="sgd", episode_updates=100))
    assert env.facts.d_optimizer == env.facts.g_optimizer == "sgd"
    with pytest.warns(UserWarning, match="steps of sgd"):
        make_controller(controller).reset([0], env.facts)
