"""A loop in the manner of R3GAN, plain or steered: 32 x 32 pixels, small enough for one CPU core.

Residual networks without normalisation, the relativistic pairing loss with penalties R1 and R2, Adam without momentum,
and three schedules: the rate of both players, Adam's last beta and the weight of the penalties. Under a controller the
rates are its own, and the other two stay.

Source: Huang et al. 2024, arXiv:2501.05441, section 2; the schedules are those of its code for CIFAR-10, but for their
length: half of the run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from agents import Steer
from gan_env.networks.r3gan import r3gan_discriminator, r3gan_generator


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the run, and first and last value of what is annealed."""

    iterations: int = 400
    batch_size: int = 32
    latent_size: int = 64
    channels: int = 8
    """Maps at the full resolution."""
    blocks: int = 1
    """Residual blocks at each resolution."""
    until: float = 0.5
    """Share of the run over which schedules move; the original's take 20 million pictures."""
    lr: tuple[float, float] = (2e-4, 5e-5)
    beta2: tuple[float, float] = (0.9, 0.99)
    gamma: tuple[float, float] = (0.05, 0.005)


def half_cosine(ends: tuple[float, float], progress: float) -> float:
    """Moves from the first to the last value along half a cosine, and stays there from progress 1."""
    first, last = ends
    return last + (first - last) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


def squared_slope(scores: Tensor, samples: Tensor) -> Tensor:
    """Returns the mean squared norm of the scores' gradient in the samples, differentiable in D's weights."""
    (gradient,) = torch.autograd.grad(scores.sum(), samples, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def train(
    pictures: Tensor,
    seed: int,
    controller: str | None,
    settings: Settings | None = None,
    make_steer: Callable[..., Steer] = Steer,
    *,
    own_rates: bool | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Trains one GAN and returns generator and discriminator.

    Args:
        pictures: Training data, (M, C, 32, 32) in [-1, 1].
        seed: Seed of weights, of the order of the pictures and of the latents, which all controllers share.
        controller: Name of the controller; None for the plain loop, in which there is no `Steer`.
        settings: Sizes and schedules; None for those of the benchmark.
        make_steer: Builds the `Steer`; another one may time it.
        own_rates: Whether rates follow R3GAN's schedule; None: in the plain loop alone.
    """
    settings = settings or Settings()
    own_rates = controller is None if own_rates is None else own_rates
    torch.manual_seed(seed)
    shape = tuple(pictures.shape[1:])
    net_g = r3gan_generator(settings.latent_size, shape, settings.channels, settings.blocks)
    net_d = r3gan_discriminator(shape, settings.channels, settings.blocks)
    opt_g, opt_d = (
        optim.Adam(net.parameters(), lr=settings.lr[0], betas=(0.0, settings.beta2[0])) for net in (net_g, net_d)
    )
    order, latents = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(pictures), settings.batch_size, shuffle=True, generator=order)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    steer, decision = None, None
    if controller is not None:
        steer = make_steer(controller, opt_g, opt_d, loss="r3gan", episode_updates=settings.iterations)
    real = next(batches)[0].requires_grad_()
    for iteration in range(settings.iterations):
        progress = iteration / (settings.until * settings.iterations)
        for group in (*opt_g.param_groups, *opt_d.param_groups):
            group["betas"] = (0.0, half_cosine(settings.beta2, progress))
            if own_rates:
                group["lr"] = half_cosine(settings.lr, progress)

        # (1) Update D: softplus(-(D(x) - D(G(z)))) + gamma / 2 (R1 + R2)
        if iteration and (decision is None or not decision.reuse_real):
            real = next(batches)[0].requires_grad_()
        made = net_g(torch.randn(len(real), settings.latent_size, generator=latents))
        fake = made.detach().requires_grad_()
        real_scores, fake_scores = net_d(real).flatten(), net_d(fake).flatten()
        slopes = squared_slope(real_scores, real) + squared_slope(fake_scores, fake)
        d_loss = softplus(fake_scores - real_scores).mean() + half_cosine(settings.gamma, progress) / 2 * slopes
        if steer is not None:
            decision = steer(real_scores, fake_scores)
        if decision is None or decision.update_d:
            opt_d.zero_grad()
            d_loss.backward()
            opt_d.step()

        # (2) Update G: softplus(-(D(G(z)) - D(x)))
        if decision is None or decision.update_g:
            net_d.requires_grad_(False)
            g_loss = softplus(net_d(real.detach()).flatten() - net_d(made).flatten()).mean()
            opt_g.zero_grad()
            g_loss.backward()
            opt_g.step()
            net_d.requires_grad_(True)
        if steer is not None:
            steer.done()
    return net_g, net_d


def sample(net_g: nn.Module, count: int, seed: int) -> Tensor:
    """Generates (count, C, 32, 32), cut off at -1 and 1 as files of pictures are: this generator ends in no tanh."""
    latents = torch.Generator().manual_seed(1_000 + seed)
    with torch.no_grad():
        return net_g(torch.randn(count, Settings.latent_size, generator=latents)).clamp(-1, 1)
