"""Your own GAN under three controllers: modules as in PyTorch's DCGAN tutorial, running-statistics BatchNorm and all.

python examples/own_gan.py            # a minute on two cores
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

from agents import compare
from gan_env import EnvConfig, Task


class Generator(nn.Sequential):
    def __init__(self, nz=100, ngf=16, nc=1):
        super().__init__(
            nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf), nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip


class Discriminator(nn.Sequential):
    def __init__(self, ndf=16, nc=1):
        super().__init__(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 2), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
        )  # fmt: skip


def weights_init(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(m.weight, 0.0, 0.02)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1.0, 0.02)


if __name__ == "__main__":
    torch.set_num_threads(1)
    pixels = torch.from_numpy(load_digits(return_X_y=True)[0]).float().view(-1, 1, 8, 8) / 8 - 1
    task = Task(
        generator=lambda: Generator().apply(weights_init),
        discriminator=lambda: Discriminator().apply(weights_init),
        data=nn.functional.interpolate(pixels, 16),  # or an array, a Dataset, a folder of pictures
        name="my-dcgan",
        d_lr=2e-4,
        g_lr=2e-4,
    )
    names = ["sim-gda", "alt-gda-5", "gap-aware"]
    config = EnvConfig(task=task, episode_updates=int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    result = compare(config, names, seeds=[0, 1])
    for row in result.rows:
        name, score = row["controller"], row["score"]
        print(f"{name:<10} seed {row['seed']}  {row['score_name']} {score:.3f}  floor {row['floor']:.3f}")
