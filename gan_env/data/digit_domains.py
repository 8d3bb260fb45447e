"""Domain adaptation between two kinds of handwritten digits: data, networks, and reference errors of plain training.

The source is MNIST with labels, the target scikit-learn's digits without, both at 16 x 16 pixels in [-1, 1].

Source of the method: Ganin & Lempitsky 2015, arXiv:1409.7495 (gradient reversal).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, softplus

from gan_env.data.datasets import digits_splits
from gan_env.data.images import picture_splits
from gan_env.networks.mlp import mlp
from gan_env.random.streams import seeded

SIDE, FEATURES, CLASSES = 16, 32, 10
UPDATES, BATCH_SIZE, RATE, STRENGTH = 1_200, 64, 1e-3, 0.3
"""Updates of both players, images of each domain per update, Adam's rate, weight of the reversed gradient."""


@dataclass(frozen=True)
class Domain:
    """Digits of one domain."""

    images: Float[Tensor, "M 1 16 16"]
    labels: Int64[Tensor, " M"]


@cache
def source() -> Domain:
    """Returns MNIST's training split without its empty border of 4 pixels, because scikit-learn's digits have none."""
    split = picture_splits("mnist", None, 28)["train"]
    assert split.labels is not None
    inner = split.pixels.float()[:, :, 4:-4, 4:-4]
    images = interpolate(inner, size=SIDE, mode="bilinear", align_corners=False, antialias=True)
    return Domain(images / 127.5 - 1, split.labels)


@cache
def target(part: str) -> Domain:
    """Returns scikit-learn's digits, "train" (whose labels only `error_of("target")` reads), "validation" or "test"."""
    split = digits_splits()[part]
    images = interpolate(split.images, size=SIDE, mode="bilinear", align_corners=False)
    return Domain(images, split.labels)


class Extractor(nn.Module):
    """Maps images to features and class logits, side by side: (B, 32 + 10)."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(1)
        )
        self.features = nn.Sequential(nn.Linear(32 * 16, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, images: Float[Tensor, "B 1 16 16"]) -> Float[Tensor, "B 42"]:
        """Returns the features, then the logits of the classes."""
        features = self.features(self.trunk(images))
        return torch.cat([features, self.head(features)], dim=1)


def domain_classifier() -> nn.Sequential:
    """Builds the network from features (B, 32) to the logit that they come from the source."""
    return mlp((FEATURES, 64, 64, 1), lambda: nn.LeakyReLU(0.2))


def guesses(out: Float[Tensor, "*n 42"]) -> Int64[Tensor, "*n"]:
    """Returns the likeliest class of each image from the extractor's output."""
    return out[..., FEATURES:].argmax(-1)


@torch.no_grad()
def error(net: nn.Module, domain: Domain) -> float:
    """Computes the share of a domain's images that the label head classifies wrongly."""
    return float((guesses(net(domain.images)) != domain.labels).double().mean())


def train(
    way: str,
    seed: int = 0,
    *,
    updates: int = UPDATES,
    batch_size: int = BATCH_SIZE,
    rate: float = RATE,
    strength: float = STRENGTH,
) -> nn.Module:
    """Trains an extractor by a plain loop, as a reference for the engine and for the marks beside the score.

    Args:
        way: "source" (labels of the source only), "target" (labels of the target, which adaptation does without) or
            "adversarial" (source labels, and a domain classifier whose gradient is reversed).
        seed: Seed of weights and batches; torch's global generator is left as it was.
        updates: Number of updates of both players.
        batch_size: Images of each domain in an update.
        rate: Adam's learning rate, for both players.
        strength: Final weight of the reversed gradient, after a ramp over the first half.

    Raises:
        ValueError: If the way is unknown.
    """
    if way not in ("source", "target", "adversarial"):
        raise ValueError(f"way={way!r} is unknown; use 'source', 'target' or 'adversarial'")
    labelled, other = (target("train") if way == "target" else source()), target("train")
    with seeded(seed):
        net, judge = Extractor(), domain_classifier()
        players = [torch.optim.Adam(module.parameters(), lr=rate, betas=(0.5, 0.999)) for module in (net, judge)]
        for update in range(updates):
            ours = torch.randint(len(labelled.images), (batch_size,))
            theirs = torch.randint(len(other.images), (batch_size,))
            seen = net(labelled.images[ours])
            loss = cross_entropy(seen[:, FEATURES:], labelled.labels[ours])
            if way == "adversarial":
                unlabelled = net(other.images[theirs])
                both = [side[:, :FEATURES] for side in (seen, unlabelled)]
                d_loss = softplus(-judge(both[0].detach())).mean() + softplus(judge(both[1].detach())).mean()
                players[1].zero_grad()
                d_loss.backward()
                players[1].step()
                reversed_loss = softplus(-judge(both[0])).mean() + softplus(judge(both[1])).mean()
                loss = loss - strength * min(1.0, 2 * update / updates) * reversed_loss
            players[0].zero_grad()
            loss.backward()
            players[0].step()
    return net.eval().requires_grad_(False)


@cache
def marks(seed: int = 0) -> dict[str, float]:
    """Returns test errors without adaptation ("source_only", the ceiling) and with target labels ("target_trained")."""
    return {
        "source_only": error(train("source", seed), target("test")),
        "target_trained": error(train("target", seed), target("test")),
    }
