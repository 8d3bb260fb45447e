"""PyTorch's tutorial DCGAN as a training loop of its own, plain or steered; narrower and shorter, for one CPU core.

Networks, initialisation, loss and optimisers are those of examples/tutorial_dcgan.py. That script trains as soon as it
is imported, so they are written again here, and a test compares them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, TensorDataset

from agents import Steer


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes of the run; the tutorial's are 128 pictures, 64 filters and five epochs of 200,000 pictures."""

    iterations: int = 600
    batch_size: int = 32
    latent_size: int = 100
    channels: int = 16
    """Filters at the largest hidden resolution, the tutorial's `ngf` and `ndf`."""
    lr: float = 2e-4


def initialise(module: nn.Module) -> None:
    """Draws the weights of one layer as the DCGAN paper does."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def up(inputs: int, outputs: int, stride: int, padding: int) -> tuple[nn.Module, ...]:
    """Builds one block of the generator."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)
    return layer, nn.BatchNorm2d(outputs), nn.ReLU(True)


def down(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """Builds one block of the discriminator."""
    return nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, True)


def players(latent_size: int, channels: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Builds the generator and the discriminator of 3 x 64 x 64 pictures."""
    generator = nn.Sequential(
        *up(latent_size, channels * 8, 1, 0),
        *up(channels * 8, channels * 4, 2, 1),
        *up(channels * 4, channels * 2, 2, 1),
        *up(channels * 2, channels, 2, 1),
        nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3, channels, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, True),
        *down(channels, channels * 2),
        *down(channels * 2, channels * 4),
        *down(channels * 4, channels * 8),
        nn.Conv2d(channels * 8, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
    )
    return generator.apply(initialise), discriminator.apply(initialise)


def train(
    pictures: Tensor,
    seed: int,
    controller: str | None,
    settings: Settings | None = None,
    make_steer: Callable[..., Steer] = Steer,
) -> tuple[nn.Module, nn.Module]:
    """Trains one GAN and returns generator and discriminator.

    Args:
        pictures: Training data, (M, 3, 64, 64) in [-1, 1].
        seed: Seed of weights, of the order of the pictures and of the latents, which all controllers share.
        controller: Name of the controller; None for the plain loop, in which there is no `Steer`.
        settings: Sizes; None for those of the benchmark.
        make_steer: Builds the `Steer`; another one may time it.
    """
    settings = settings or Settings()
    torch.manual_seed(seed)
    net_g, net_d = players(settings.latent_size, settings.channels)
    opt_d = optim.Adam(net_d.parameters(), lr=settings.lr, betas=(0.5, 0.999))
    opt_g = optim.Adam(net_g.parameters(), lr=settings.lr, betas=(0.5, 0.999))
    criterion = nn.BCELoss()
    order, latents = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    loader = DataLoader(TensorDataset(pictures), settings.batch_size, shuffle=True, generator=order)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    steer, decision = None, None
    if controller is not None:
        steer = make_steer(controller, opt_g, opt_d, episode_updates=settings.iterations)
    real = next(batches)[0]
    for iteration in range(settings.iterations):
        # (1) Update D: maximise log(D(x)) + log(1 - D(G(z)))
        net_d.zero_grad()
        if iteration and (decision is None or not decision.reuse_real):
            real = next(batches)[0]
        output_real = net_d(real).view(-1)
        d_loss_real = criterion(output_real, torch.ones(len(real)))
        d_loss_real.backward()
        fake = net_g(torch.randn(len(real), settings.latent_size, 1, 1, generator=latents))
        output_fake = net_d(fake.detach()).view(-1)
        d_loss_fake = criterion(output_fake, torch.zeros(len(real)))
        d_loss_fake.backward()
        if steer is not None:
            d_loss = d_loss_real + d_loss_fake
            decision = steer(output_real.logit(1e-6), output_fake.logit(1e-6), d_loss=d_loss)
        if decision is None or decision.update_d:
            opt_d.step()

        # (2) Update G: maximise log(D(G(z)))
        net_g.zero_grad()
        g_loss = criterion(net_d(fake).view(-1), torch.ones(len(real)))
        g_loss.backward()
        if decision is None or decision.update_g:
            opt_g.step()
        if steer is not None:
            steer.done()
    return net_g, net_d


def sample(net_g: nn.Module, count: int, seed: int) -> Tensor:
    """Generates (count, 3, 64, 64) in train mode, the mode in which the tutorial's script draws its samples."""
    latents = torch.Generator().manual_seed(1_000 + seed)
    with torch.no_grad():
        return net_g(torch.randn(count, Settings.latent_size, 1, 1, generator=latents))
