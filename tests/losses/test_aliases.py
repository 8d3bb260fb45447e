"""Names that other repositories give to losses lead to ours, and to nothing where there is none."""

import pytest

from gan_env.losses.aliases import ALIASES, our_name
from gan_env.losses.losses import LOSSES, get_loss


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("vanilla", "bce"), ("BCEWithLogitsLoss", "bce"), ("non_saturating", "bce"), ("logistic", "bce"),
     ("binary_crossentropy", "bce"), ("wgan_softplus", "bce"), ("MSE", "lsgan"), ("least squares", "lsgan"),
     ("Hinge_Loss", "hinge"), ("Wasserstein", "wgan"), ("wgangp", "wgan-gp"), ("WGAN_GP", "wgan-gp"),
     ("wgan_gp:10", "wgan-gp:10"), ("vanilla+diversity", "bce+diversity"), ("BCE", "bce"), (" hinge ", "hinge"),
     ("wgan-gp:10", "wgan-gp:10"), ("logistic_r1", "r1"), ("lsgan loss", "lsgan")],
)  # fmt: skip
def test_names_of_other_repositories_lead_to_ours(theirs, ours):
    assert our_name(theirs) == ours
    get_loss(ours)


@pytest.mark.parametrize("theirs", ["", "dragan", "ragan", "hing", "l1", "perceptual", "bce2"])
def test_what_is_no_loss_here_has_no_name(theirs):
    assert our_name(theirs) is None


def test_every_registered_loss_is_its_own_name_and_no_alias_hides_one():
    assert all(our_name(name) == name for name in LOSSES)
    assert not set(ALIASES) & set(LOSSES) and set(ALIASES.values()) <= set(LOSSES)
