"""The loops that a user would write instead of this package: two modules, autograd, torch's own optimisers.

Kept simple and fair: real batches are made ahead (data loading is not what is measured), Adam is fused, and where
torch has the regulariser itself (spectral norm) that one is used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_env.envs.config import EnvConfig
from gan_env.losses.losses import Loss
from gan_env.losses.penalties import GradientNormalisation
from gan_env.networks.dcgan import ChannelsLast, ToGrey


def _module(built: nn.Module, device: torch.device) -> nn.Module:
    """Without the layout and the last layer that a tutorial does not have."""
    assert isinstance(built, nn.Sequential)
    parts = [part for part in built if not isinstance(part, ChannelsLast)]
    if isinstance(layer := parts[-2], ToGrey):
        parts[-2] = nn.ConvTranspose2d(layer.in_channels, 1, 4, 2, 1)
        parts[-2].load_state_dict(layer.state_dict())
    return nn.Sequential(*parts).to(device)


class PlainLoop:
    """A D step and a G step on one batch, with any of the losses.

    Args:
        config: Task, loss, optimiser and device.
        tutorial: As PyTorch's DCGAN tutorial has it: D's two losses differentiated apart, Adam not fused.
    """

    def __init__(self, config: EnvConfig, *, tutorial: bool = False):
        task, device = config.build_task(), config.torch_device
        torch.manual_seed(0)
        self.loss: Loss = config.gan_loss
        self.generator, self.discriminator = (_module(b(), device) for b in (task.generator, task.discriminator))
        if self.loss.name == "sn":
            for part in self.discriminator.modules():
                if isinstance(part, (nn.Linear, nn.Conv2d)):
                    spectral_norm(part)
        spec = config.optimizer_spec
        rates = ((self.generator, task.g_lr), (self.discriminator, task.d_lr))
        if spec.name == "rmsprop":
            steps = [torch.optim.RMSprop(m.parameters(), lr, spec.alpha, spec.eps) for m, lr in rates]
        else:
            steps = [torch.optim.Adam(m.parameters(), lr, spec.betas, fused=not tutorial or None) for m, lr in rates]
        self.g_optimizer, self.d_optimizer = steps
        codes = torch.from_numpy(task.data.codes(np.random.default_rng(0), task.batch_size))
        self.real = [task.data.batch(c.to(device)) for c in codes[:8]]
        self.batch_size, self.latent_size, self.device, self.tutorial = (
            task.batch_size, task.latent_size, device, tutorial,
        )  # fmt: skip

    def logits(self, samples: Tensor) -> Tensor:
        """(B,), with noise or normalisation where the loss has them."""
        loss = self.loss
        if loss.noisy:
            samples = samples + loss.coefficient * torch.randn_like(samples)
        if loss.normalise is None:
            return self.discriminator(samples).view(-1)
        samples = samples if samples.requires_grad else samples.requires_grad_()
        found = self.discriminator(samples).view(-1)
        (slope,) = torch.autograd.grad(found.sum(), samples, create_graph=True)
        squared = slope.flatten(1).square().sum(1)
        size = squared.clamp_min(1e-24).sqrt()
        below = size + found.abs() if loss.name == "gn" else (squared + GradientNormalisation().eps) / size
        return loss.coefficient * found / below

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor | float:
        """Weighted; 0 where the loss has none."""
        if self.loss.penalty is None:
            return 0.0
        mix = torch.rand(1, len(real), device=self.device)
        found = self.loss.penalty(
            lambda samples: self.discriminator(samples.flatten(0, 1)).view(1, -1), real[None], fake[None], mix
        )
        return self.loss.coefficient * found.sum()

    def run(self, updates: int) -> None:
        """So many updates of both players."""
        loss = self.loss
        for i in range(updates):
            real = self.real[i % len(self.real)].detach()
            fake = self.generator(torch.randn(self.batch_size, self.latent_size, device=self.device))
            self.d_optimizer.zero_grad()
            on_real = loss.real(self.logits(real)).mean()
            if self.tutorial:
                on_real.backward()
                on_real = 0.0
            (on_real + loss.fake(self.logits(fake.detach())).mean() + self.penalty(real, fake.detach())).backward()
            self.d_optimizer.step()
            if loss.clipped:
                with torch.no_grad():
                    for p in self.discriminator.parameters():
                        p.clamp_(-loss.coefficient, loss.coefficient)
            self.g_optimizer.zero_grad()
            loss.generator(self.logits(fake)).mean().backward()
            self.g_optimizer.step()
