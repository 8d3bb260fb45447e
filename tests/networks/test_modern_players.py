"""Players of small StyleGAN2-like and R3GAN-like games: their layers' formulas, their starts, their shapes."""

import math

import pytest
import torch
from torch.nn.functional import conv2d

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.networks.r3gan import Doubled, ResidualBlock, r3gan_discriminator, r3gan_generator, stages
from gan_env.networks.stylegan2 import (
    STYLE,
    BatchDeviation,
    EqualLinear,
    Modulated,
    stylegan2_discriminator,
    stylegan2_generator,
)
from gan_env.tasks.task import make_task

PAIRS = {
    "r3gan": (r3gan_generator, r3gan_discriminator),
    "stylegan2": (stylegan2_generator, stylegan2_discriminator),
}
NEW_TASKS = ("emoji32-stylegan2", "emoji32-r3gan")


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("side", "colours"), [(8, 1), (32, 3)])
def test_players_fit_each_other_at_every_size(name, side, colours):
    make_g, make_d = PAIRS[name]
    generator, discriminator = make_g(6, (colours, side, side), 2), make_d((colours, side, side), 2)
    pictures = generator(torch.randn(3, 6))
    assert pictures.shape == (3, colours, side, side)
    assert discriminator(pictures).shape == (3, 1)


@pytest.mark.parametrize("side", [0, 4, 12, 28, 33])
def test_a_side_that_does_not_fit_is_named_with_those_that_do(side):
    for make, first in ((r3gan_generator, (6,)), (stylegan2_generator, (6,)), (r3gan_discriminator, ())):
        with pytest.raises(ValueError, match=f"size={side} .*use 8, 16, 32"):
            make(*first, (3, side, side))


@pytest.mark.parametrize("demodulate", [True, False])
def test_a_modulated_convolution_is_one_convolution_a_sample_with_scaled_weights(demodulate):
    layer = Modulated(3, 5, 3, demodulate=demodulate).double()
    maps, style = torch.randn(4, 3, 6, 6).double(), torch.randn(4, STYLE).double()
    for x, w, found in zip(maps, style, layer(maps, style), strict=True):
        weights = layer.conv.weight / math.sqrt(3 * 9) * layer.style(w[None])[0][:, None, None]
        if demodulate:
            weights = weights / (weights.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = conv2d(x[None], weights, padding=1)[0] + layer.bias[:, None, None]
        torch.testing.assert_close(found, expected)


def test_the_scale_of_a_style_cancels_by_demodulation():
    layer = Modulated(3, 5, 3).double()
    torch.nn.init.zeros_(layer.style.weight)
    maps, style = torch.randn(2, 3, 4, 4).double(), torch.randn(2, STYLE).double()
    before = layer(maps, style)
    torch.nn.init.constant_(layer.style.bias, 7.0)
    torch.testing.assert_close(layer(maps, style), before)


def test_equal_layers_keep_the_variance_and_their_rate_scales_steps():
    torch.manual_seed(0)
    for rate in (1.0, 0.01):
        layer = EqualLinear(400, 300, rate=rate)
        assert float(layer(torch.randn(50, 400)).detach().std()) == pytest.approx(1.0, rel=0.05)
        x = torch.ones(1, 400)
        before = layer(x)
        with torch.no_grad():
            layer.weight += 1.0  # the step of an Adam with a rate of 1
        assert float((layer(x) - before).detach().mean()) == pytest.approx(rate * math.sqrt(400), rel=1e-3)


def test_a_residual_block_begins_as_the_identity_and_its_first_weights_shrink_with_the_blocks():
    torch.manual_seed(0)
    maps = torch.randn(2, 16, 4, 4)
    torch.testing.assert_close(ResidualBlock(16, 4)(maps), maps)
    one, sixteen = (float(ResidualBlock(64, blocks).branch[0].weight.detach().std()) for blocks in (1, 16))
    assert one / sixteen == pytest.approx(16**0.25, rel=0.05)
    assert one == pytest.approx(math.sqrt(2 / 1.04 / 64), rel=0.05)


def test_a_batch_without_variety_has_no_deviation():
    layer = BatchDeviation()
    same = torch.randn(1, 3, 4, 4).expand(5, -1, -1, -1)
    assert float(layer(same)[:, 3].max()) == pytest.approx(1e-4, rel=1e-2)
    other = torch.randn(6, 3, 4, 4)
    torch.testing.assert_close(layer(other)[2, 3, 1, 1], other.std(0, unbiased=False).mean())


def test_stages_double_the_maps_for_each_halving_but_the_last():
    assert stages(64, 8) == [64, 64, 32, 16, 8]
    assert Doubled()(torch.ones(1, 1, 4, 4)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("name", NEW_TASKS)
def test_the_games_train_with_the_losses_and_optimisers_of_their_papers(name):
    task = make_task(name)
    assert (task.loss, task.optimizer.betas) == (
        {"emoji32-stylegan2": "r1:0.01", "emoji32-r3gan": "r3gan:0.05"}[name],
        (0.0, 0.99),
    )
    env = GANVectorEnv(1, config=EnvConfig(task=name, batch_size=4, updates_per_step=2, episode_updates=2, score=False))
    env.reset(seed=0)
    before = [players.flat.clone() for players in (env.trainer.g, env.trainer.d)]
    env.step(env.action_space.sample() * 0)
    after = [players.flat for players in (env.trainer.g, env.trainer.d)]
    assert all(torch.isfinite(b).all() and not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_spectral_norm_refuses_a_discriminator_whose_weights_start_at_zero():
    """R3GAN's last layers of blocks do: 0 / σ would be NaN at the first update."""
    with pytest.raises(ValueError, match=r"loss='sn' divides D's weights by their norm, but 1\.branch\.4\.weight"):
        GANVectorEnv(1, config=EnvConfig(task="emoji32-r3gan", loss="sn", batch_size=2))


@pytest.mark.parametrize("name", NEW_TASKS)
def test_spectral_norm_is_refused_where_it_would_not_bound_a_layer(name):
    with pytest.raises(ValueError, match="loss='sn'"):
        GANVectorEnv(1, task=name, loss="sn", batch_size=2, episode_updates=2)
