"""The small classifier that judges generated digits: its features give the Frechet distance, its classes the coverage.

`python -m gan_env.digits_classifier` trains it again on the training split, in seconds, and writes the shipped file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gan_env.datasets import LabelledImages, digits_splits
from gan_env.networks import mlp

FILE = Path(__file__).parent / "weights" / "digits_classifier.safetensors"


class DigitsClassifier(nn.Module):
    """64 pixels - 128 - 32 features - 10 classes, in float32 whatever the images are."""

    classes = 10

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(1), *mlp((64, 128, 32), nn.ReLU, nn.ReLU))
        self.head = nn.Linear(32, self.classes)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits of the ten digits."""
        return self.head(self.trunk(images.float()))

    @torch.no_grad()
    def features(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """The 32 activations, none negative, that the classes are read from."""
        return self.trunk(images.float())

    @torch.no_grad()
    def labels(self, images: Float[Tensor, "B C H W"]) -> Int64[Tensor, " B"]:
        """The likeliest digit of each image."""
        return self(images).argmax(dim=-1)


def train(seed: int = 0, *, epochs: int = 60, batch_size: int = 64, noise: float = 0.2) -> DigitsClassifier:
    """A classifier of the training split; the same seed gives the same weights on the same class of machine.

    Args:
        seed: Of initial weights, order and noise. Torch's global generator is left as it was.
        epochs: Passes over the training split, with Adam at 1e-3.
        batch_size: Images in an update; the incomplete last batch counts too.
        noise: Standard deviation of what is added to the pixels, which 997 images are too few to do without.
    """
    split = digits_splits()["train"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = DigitsClassifier()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(epochs):
            for batch in torch.randperm(len(split.labels)).split(batch_size):
                images = split.images[batch]
                loss = cross_entropy(net(images + noise * torch.randn_like(images)), split.labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net.eval().requires_grad_(False)


def accuracy(net: DigitsClassifier, split: LabelledImages) -> float:
    """Share of the images given their own label."""
    return float((net.labels(split.images) == split.labels).double().mean())


def save(net: DigitsClassifier, path: Path = FILE) -> None:
    """Writes the weights, with the accuracy on the test split as metadata `test_accuracy`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), path, metadata={"test_accuracy": repr(accuracy(net, digits_splits()["test"]))})


def recorded_accuracy(path: Path = FILE) -> float:
    """The accuracy on the test split that the file claims."""
    with safe_open(path, framework="pt") as file:
        return float(file.metadata()["test_accuracy"])


@cache
def load(device: torch.device | str = "cpu") -> DigitsClassifier:
    """The shipped classifier, frozen, on a device."""
    with torch.device("meta"):  # initial weights would draw from torch's global generator
        net = DigitsClassifier()
    net.load_state_dict(load_file(FILE), assign=True)
    return net.eval().requires_grad_(False).to(device)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train())
    print(f"{FILE.name}: accuracy {recorded_accuracy():.4f} on the test split")
