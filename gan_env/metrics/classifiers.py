"""Small classifiers that judge generated pictures: features for Frechet and kernel distances, classes for coverage.

Each is trained on the training split of its own task. `python -m gan_env.metrics.classifiers NAME...` trains them again
(seconds for digits, a few minutes for the others on one core) and writes the shipped files.

For pictures without labels, the classes are which of four rotations and three cycles of the colour channels was
applied. Source: Gidaris et al. 2018, arXiv:1803.07728 (rotations).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from gan_env.data.datasets import digits_splits, from_pixels
from gan_env.data.images import picture_splits
from gan_env.io.files import write_whole
from gan_env.networks.mlp import mlp
from gan_env.random.streams import seeded
from gan_env.registry import unknown

FOLDER = Path(__file__).parent / "weights"


class FeatureNet(nn.Module):
    """A trunk to features, a linear head to classes; in float32 whatever the pictures are.

    Args:
        name: Name of the family that it was trained on.
        trunk: Maps pictures to non-negative features.
        features, classes: Numbers of features and classes.
        side: Side in pixels of the trunk's input; other pictures are averaged down (or enlarged) to it.
    """

    def __init__(self, name: str, trunk: nn.Module, features: int, classes: int, side: int):
        super().__init__()
        self.name, self.classes, self.side = name, classes, side
        self.trunk = trunk
        self.head = nn.Linear(features, classes)

    def _trunk(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        images = images.float()
        if images.shape[-1] != self.side:
            images = adaptive_avg_pool2d(images, self.side)
        first = next(iter(self.trunk.children()))
        if isinstance(first, nn.Conv2d) and images.shape[1] == 1:  # grey is a colour of equal parts
            images = images.expand(-1, first.in_channels, -1, -1)
        return self.trunk(images)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Returns the logits of the classes."""
        return self.head(self._trunk(images))

    @torch.no_grad()
    def features(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Returns the activations of the last hidden layer, computed in batches."""
        return torch.cat([self._trunk(part) for part in images.split(500)])

    @torch.no_grad()
    def labels(self, images: Float[Tensor, "B C H W"]) -> Int64[Tensor, " B"]:
        """Returns the likeliest class of each picture."""
        return self.head(self.features(images)).argmax(dim=-1)


def digits_net() -> FeatureNet:
    """Builds an MLP: 64 pixels - 128 - 32 features - 10 classes."""
    return FeatureNet("digits", nn.Sequential(nn.Flatten(1), *mlp((64, 128, 32), nn.ReLU, nn.ReLU)), 32, 10, 8)


def picture_net(name: str, colours: int, side: int, classes: int) -> FeatureNet:
    """Builds three convolutions of stride two (four from 64 pixels on) with 64 features; 0.1 million weights."""
    widths = [colours, 16, 32, 64] if side < 64 else [colours, 12, 24, 48, 64]
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.ReLU()]
    edge = -(-side // 2 ** (len(widths) - 1))
    trunk = nn.Sequential(*layers, nn.Flatten(1), nn.Linear(widths[-1] * edge**2, 64), nn.ReLU())
    return FeatureNet(name, trunk, 64, classes, side)


@dataclass(frozen=True)
class Labelled:
    """Pictures (M, C, H, W) in [-1, 1], with classes if there are any."""

    images: Tensor
    labels: Tensor | None


def _pictures(name: str, side: int, part: str) -> Labelled:
    found = picture_splits(name, None, side)[part]
    return Labelled(from_pixels(found.pixels), found.labels)


def _digits(part: str) -> Labelled:
    found = digits_splits()[part]
    return Labelled(found.images, found.labels)


@dataclass(frozen=True)
class Family:
    """Architecture and training settings of one network."""

    build: Callable[[], FeatureNet]
    split: Callable[[str], Labelled]
    epochs: int
    noise: float
    """Standard deviation of the noise added to pixels in training, without which a thousand pictures are too few."""
    least_accuracy: float
    """Accuracy of the shipped file on the test split, rounded down."""


TURNS, CYCLES = 4, 3

FAMILIES: dict[str, Family] = {
    "digits": Family(digits_net, _digits, 60, 0.2, 0.95),
    "fashion": Family(partial(picture_net, "fashion", 1, 28, 10), partial(_pictures, "fashion", 28), 15, 0.1, 0.83),
    "mnist": Family(partial(picture_net, "mnist", 1, 28, 10), partial(_pictures, "mnist", 28), 15, 0.2, 0.95),
    "emoji32": Family(
        partial(picture_net, "emoji32", 3, 32, TURNS * CYCLES), partial(_pictures, "emoji", 32), 30, 0.1, 0.5
    ),
    "emoji64": Family(
        partial(picture_net, "emoji64", 3, 64, TURNS * CYCLES), partial(_pictures, "emoji", 64), 30, 0.1, 0.5
    ),
}


def disguised(images: Float[Tensor, "B C H W"], labels: Int64[Tensor, " B"]) -> Float[Tensor, "B C H W"]:
    """Rotates each picture and cycles its colours according to its class: class = 3 x quarter turns + places cycled."""
    done = torch.empty_like(images)
    for label in range(TURNS * CYCLES):
        chosen = labels == label
        done[chosen] = images[chosen].rot90(label // CYCLES, (2, 3)).roll(label % CYCLES, 1)
    return done


def train(name: str, seed: int = 0, *, epochs: int | None = None, batch_size: int = 64) -> FeatureNet:
    """Trains a classifier on the training split; the same seed gives the same weights on the same class of machine.

    Args:
        name: Name of the family.
        seed: Seed of initial weights, order, noise and disguises. Torch's global generator is left as it was.
        epochs: Passes over the training split, with Adam at 1e-3; by default the family's own number.
        batch_size: Pictures per update; the incomplete last batch is used, too.
    """
    family, split = FAMILIES[name], FAMILIES[name].split("train")
    with seeded(seed):
        net = family.build()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(family.epochs if epochs is None else epochs):
            for batch in torch.randperm(len(split.images)).split(batch_size):
                images = split.images[batch]
                if split.labels is not None:
                    labels = split.labels[batch]
                else:
                    labels = torch.randint(net.classes, (len(batch),))
                    images = disguised(images, labels)
                loss = cross_entropy(net(images + family.noise * torch.randn_like(images)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net.eval().requires_grad_(False)


def accuracy(net: FeatureNet, split: Labelled) -> float:
    """Computes the accuracy on pictures; without labels, on the disguises 0...11 in turn."""
    images, labels = split.images, split.labels
    if labels is None:
        labels = torch.arange(len(images)) % net.classes
        images = disguised(images, labels)
    return float((net.labels(images) == labels).double().mean())


def file(name: str) -> Path:
    """Returns the path of the shipped network."""
    return FOLDER / f"{name}_classifier.safetensors"


def save(net: FeatureNet) -> None:
    """Writes the weights in half precision, with the accuracy on the test split as metadata `test_accuracy`."""
    FOLDER.mkdir(exist_ok=True)
    net.half().float()  # judged as it will be loaded
    found = accuracy(net, FAMILIES[net.name].split("test"))
    halves = {key: value.half() for key, value in net.state_dict().items()}
    write_whole(file(net.name), packed(halves, metadata={"test_accuracy": repr(found)}))


def recorded_accuracy(name: str) -> float:
    """Returns the accuracy on the test split that the file states."""
    with safe_open(file(name), framework="pt") as opened:
        return float(opened.metadata()["test_accuracy"])


@cache
def load(name: str, device: torch.device | str = "cpu") -> FeatureNet:
    """Loads the shipped network of a family, frozen, on a device."""
    with torch.device("meta"):  # initial weights would draw from torch's global generator
        net = FAMILIES[name].build()
    net.load_state_dict({key: value.float() for key, value in load_file(file(name)).items()}, assign=True)
    return net.eval().requires_grad_(False).to(device)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for family_name in sys.argv[1:] or FAMILIES:
        if family_name not in FAMILIES:
            raise SystemExit(str(unknown("feature network", family_name, sorted(FAMILIES))))
        save(train(family_name))
        print(f"{file(family_name).name}: accuracy {recorded_accuracy(family_name):.4f} on the test split")
