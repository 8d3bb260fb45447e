"""A GAN of a user's own whose discriminator keeps running statistics, for more than one file of tests."""

import torch
from torch import nn

from gan_env.tasks.task import Task


class Normed(nn.Module):
    """A discriminator with running statistics, run row after row."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def forward(self, x):
        return self.body(x)


OWN = Task(
    name="own",
    generator=lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)),
    discriminator=Normed,
    data=torch.randn(400, 2, generator=torch.Generator().manual_seed(0)),
    latent_size=3,
)
