"""Promises of every GAN loss: its declared properties are true, and GANs train with it."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_env.losses.losses import Loss, get_loss
from gan_env.testing.promises import keep_all, require, trains_from_the_seed_alone

PARTS = ("real", "fake", "generator")


def logits() -> Tensor:
    """Logits (3, 80) from -20 to 20, float64."""
    return torch.linspace(-20, 20, 240, dtype=torch.float64).view(3, 80)


def a_loss_is_finite_and_of_each_logit_by_itself(loss: Loss) -> None:
    """The same shape; no logit notices another."""
    at = logits()
    for part in PARTS:
        whole = getattr(loss, part)(at)
        require(whole.shape == at.shape, f"{part} of logits {tuple(at.shape)} has shape {tuple(whole.shape)}")
        require(torch.isfinite(whole).all(), f"{part} is not finite for logits between -20 and 20")
        alone = torch.stack([getattr(loss, part)(row[:5]) for row in at])
        require(torch.equal(alone, whole[:, :5]), f"{part} of a logit depends on the others in the batch")


def a_written_out_derivative_is_the_one_that_autograd_finds(loss: Loss) -> None:
    """The derivative of each row's mean; the logits are left alone."""
    for part in PARTS:
        at, leaf = logits(), logits().requires_grad_()
        (wanted,) = torch.autograd.grad(getattr(loss, part)(leaf).mean(-1).sum(), leaf)
        found = loss.logit_gradient(part, at)
        require(torch.equal(at, logits()), f"{part}_gradient changed the logits")
        gap = float((found - wanted).abs().max())
        require(gap <= 1e-12, f"{part}_gradient is up to {gap:.2g} off the derivative of {part}")


def a_loss_that_can_be_negative_says_so(loss: Loss) -> None:
    """`signed`, by which gaps and ratios between losses are refused."""
    least = min(float(getattr(loss, part)(logits()).min()) for part in PARTS)
    require(loss.signed or least >= 0, f"signed is False, but it can be {least:.3g}")


def the_ideal_loss_of_d_is_the_least_where_real_and_fake_are_alike(loss: Loss) -> None:
    """V* by its search, which needs a sum without a second valley."""
    total = loss.real(logits()) + loss.fake(logits())
    require(loss.ideal_d_loss <= float(total.min()) + 1e-6, f"real + fake falls to {float(total.min()):.6g}, below V*")


def logits_that_are_said_to_be_probabilities_are(loss: Loss) -> None:
    """Where a share p of the samples at a point is real, D is at its best with sigmoid(logit) = p."""
    if not loss.probability:
        return
    at = torch.linspace(-4, 4, 8_001, dtype=torch.float64)
    for share in (0.1, 0.5, 0.8):
        best = at[(share * loss.real(at) + (1 - share) * loss.fake(at)).argmin()].sigmoid()
        require(abs(float(best) - share) < 1e-3, f"probability is True, but where {share} is real D says {best:.3f}")


def gans_train_under_it_from_the_seed_alone(loss: Loss) -> None:
    """Ten updates of `ring`, with every penalty and regulariser."""
    trains_from_the_seed_alone(10, task="ring", loss=loss.name, batch_size=16)


PROMISES = (
    a_loss_is_finite_and_of_each_logit_by_itself,
    a_written_out_derivative_is_the_one_that_autograd_finds,
    a_loss_that_can_be_negative_says_so,
    the_ideal_loss_of_d_is_the_least_where_real_and_fake_are_alike,
    logits_that_are_said_to_be_probabilities_are,
    gans_train_under_it_from_the_seed_alone,
)


def check_loss(name: str) -> None:
    """Raises BrokenPromise unless the loss of this name does what trainer, rewards and controllers count on.

    Raises:
        BrokenPromise: Naming the first promise that it breaks, and what was found.
        ValueError: If nobody registered the name.
    """
    loss = get_loss(name)
    require(loss.name == name, f"loss {name!r} calls itself {loss.name!r}; rows would be filed under another name")
    keep_all(f"loss {name!r}", PROMISES, loss)
