"""`digits-domains`: domain adaptation as a game between a feature extractor and a domain classifier.

The extractor learns labels on MNIST while it hides an image's domain from the classifier; the controller sets the
classifier's learning rate. The score is the error on scikit-learn's digits, whose labels no player saw.

Source: Ganin & Lempitsky 2015, arXiv:1409.7495.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from gan_env.data.digit_domains import (
    BATCH_SIZE,
    CLASSES,
    FEATURES,
    RATE,
    SIDE,
    STRENGTH,
    UPDATES,
    Extractor,
    domain_classifier,
    guesses,
    marks,
    source,
    target,
)
from gan_env.random.streams import Purpose
from gan_env.tasks.task import TASKS, Task


class Domains:
    """Both domains as the data (`task.Data`) and the wiring (`task.Wiring`) of the game.

    A code is the index of a source image and of a target image; D's real side is the source's features.
    """

    shape = (1, SIDE, SIDE)
    out_shape = (FEATURES + CLASSES,)
    seen_shape = (FEATURES,)

    def __init__(self) -> None:
        self._source, self._target = source(), target("train")

    def __len__(self) -> int:
        """Number of labelled images of the source, which make an epoch."""
        return len(self._source.images)

    def block(self, batch_size: int) -> int:
        """Counts the batches in an epoch of the source; raises ValueError if a domain is smaller than one batch."""
        fewest = min(len(self._source.images), len(self._target.images))
        if not 1 <= batch_size <= fewest:
            raise ValueError(
                f"batch_size={batch_size} must be at least 1 and at most {fewest}, the images of the smaller domain"
            )
        return len(self._source.images) // batch_size

    def codes(self, rng: np.random.Generator, batch_size: int) -> Int64[np.ndarray, "K B 2"]:
        """Draws an epoch of the source and as many images of the target, without repeats while a domain lasts."""
        batches = self.block(batch_size)
        wanted, there = batches * batch_size, len(self._target.images)
        ours = rng.permutation(len(self._source.images))[:wanted]
        theirs = np.concatenate([rng.permutation(there) for _ in range(-(-wanted // there))])[:wanted]
        return np.stack([ours, theirs], -1).reshape(batches, batch_size, 2)

    def batch(self, codes: Int64[Tensor, "*lead 2"]) -> Float[Tensor, "*lead 1 16 16"]:
        """Returns the target's images of the codes."""
        return self._target.images.to(codes.device)[codes[..., 1]]

    def validation(self) -> Float[Tensor, "V 1 16 16"]:
        """Returns the target's validation images."""
        return target("validation").images

    def test(self) -> Float[Tensor, "T 1 16 16"]:
        """Returns the target's test images."""
        return target("test").images

    def inputs(self, codes: Int64[Tensor, "n B 2"]) -> Float[Tensor, "n M 1 16 16"]:
        """Returns source images, then target images; M = 2 B."""
        return torch.cat([self._source.images.to(codes.device)[codes[..., 0]], self.batch(codes)], 1)

    def sides(self, out: Float[Tensor, "n M 42"]) -> tuple[Tensor, Tensor]:
        """Returns the features of the source (real) and of the target (fake), (n, B, 32) each."""
        real, fake = out[..., :FEATURES].chunk(2, 1)
        return real, fake

    def own_loss(self, out: Float[Tensor, "n M 42"], codes: Int64[Tensor, "n B 2"]) -> Float[Tensor, " n"]:
        """Computes the mean cross-entropy of the source's labels, in nats."""
        logits = out.chunk(2, 1)[0][..., FEATURES:]
        labels = self._source.labels.to(codes.device)[codes[..., 0]]
        return cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(1)

    def strength(self, progress: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """Returns a weight that rises over the first half of the run, so that features form before alignment."""
        return STRENGTH * (2 * progress).clamp(max=1.0)

    def held_out(self, purpose: Purpose, count: int) -> Float[Tensor, "K 1 16 16"]:
        """Returns the first images of the target's validation split, or of its test split for the score.

        Raises ValueError if the split has fewer.
        """
        held = self.test() if purpose is Purpose.SCORE else self.validation()
        if count > len(held):
            raise ValueError(f"{count} samples were asked for; this task makes them of {len(held)} held-out images")
        return held[:count]


class _TargetError:
    """Error rate on one of the target's held-out splits, computed on the whole split in order."""

    name = "target_error"
    worst = 1 - 1 / CLASSES
    """Error rate of chance."""

    def __init__(self, part: str):
        self._labels = target(part).labels
        self.samples = len(self._labels)

    def of(self, out: Float[Tensor, "*n K 42"]) -> Float64[Tensor, "*n"]:
        if out.shape[-2] != self.samples:
            raise ValueError(f"what G makes of all {self.samples} images is needed, got {out.shape[-2]}")
        wrong = (guesses(out) != self._labels.to(out.device)).double().mean(-1)
        return torch.where(torch.isfinite(out).flatten(-2).all(-1), wrong, self.worst)


class DomainQuality(_TargetError):
    """Errors on the target's validation labels."""

    def __init__(self) -> None:
        super().__init__("validation")

    def __call__(self, fake: Float[Tensor, "N K 42"]) -> Float64[Tensor, " N"]:
        """Computes the error of each row; `worst` where a number is not finite."""
        return self.of(fake)


class DomainScore(_TargetError):
    """Error on the target's test labels."""

    def __init__(self) -> None:
        super().__init__("test")

    def __call__(self, fake: Float[Tensor, "K 42"]) -> float:
        """Computes the error; raises ValueError if a number is not finite."""
        if not torch.isfinite(fake).all():
            raise ValueError("what G made of the test images holds NaN or infinity")
        return float(self.of(fake))

    def floor(self) -> float:
        """Returns the error of an extractor that was trained on the target's labels."""
        return marks()["target_trained"]

    def details(self, fake: Float[Tensor, "K 42"]) -> dict[str, float]:
        """Returns the count of images, and the errors of `digit_domains.marks`."""
        return {"samples": float(len(fake)), **marks()}


@TASKS.register("digits-domains")
def digits_domains() -> Task:
    """Domain-adversarial training: a classifier of digits is carried over to a shifted copy of them."""
    domains = Domains()
    return Task(
        name="digits-domains",
        kind="domains",
        generator=Extractor,
        discriminator=domain_classifier,
        latent_size=0,
        data=domains,
        quality=DomainQuality(),
        score=DomainScore(),
        batch_size=BATCH_SIZE,
        d_lr=RATE,
        g_lr=RATE,
        episode_updates=UPDATES,
        wiring=domains,
    )
