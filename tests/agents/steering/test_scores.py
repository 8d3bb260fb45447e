"""Promises of `Steer` about the scores that it reads: every usual shape, as the loss reads it, and no classes."""

import math

import pytest
import torch
from torch import nn

from agents.steer import Steer
from agents.steering.scores import read_scores
from gan_env.losses.losses import get_loss


def pair() -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    g, d = (torch.optim.SGD([nn.Parameter(torch.ones(1))], 1e-3) for _ in range(2))
    return g, d


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def d_loss_read(real, fake, loss: str) -> float:
    """D's loss that the controller reads; a `d_loss` of another value would be warned of, an error in the tests."""
    loss_d = get_loss(loss)
    listed = [x if isinstance(x, (list, tuple)) else [x] for x in (real, fake)]
    own = sum(loss_d.real(r).mean() + loss_d.fake(f).mean() for r, f in zip(*listed, strict=True))
    steer = Steer("gap-aware", *pair(), loss=loss)
    steer(real, fake, d_loss=own)
    steer.done()
    own /= len(listed[0])
    assert float(steer.controller.memory["average"]) == pytest.approx(
        0.95 * loss_d.ideal_d_loss + 0.05 * float(own), rel=1e-5
    )
    return float(own)


@pytest.mark.parametrize(
    "shape",
    [(8,), (8, 1), (8, 1, 1, 1), (4, 1, 6, 6), (1, 1, 30, 30), (4, 6, 6, 1), (4, 1, 50), (4, 50, 1), (2, 1, 3, 4, 5)],
)
@pytest.mark.parametrize("loss", ["bce", "lsgan", "hinge"])
def test_scores_of_samples_and_patches_are_averaged_as_the_loss_averages_them(shape, loss):
    d_loss_read(draw(*shape) + 1, draw(*shape), loss)


@pytest.mark.parametrize(
    "shapes",
    [
        [(4, 1, 8, 8), (4, 1, 4, 4)],  # pix2pixHD
        [(4, 30), (4, 17), (4, 11)],  # HiFi-GAN
        [(8, 1), (8, 1)],
        [(4, 1), (4, 1, 5, 5)],
    ],
)
def test_scores_of_several_discriminators_are_averaged_for_each_and_then_over_them(shapes):
    d_loss_read([draw(*shape) + 1 for shape in shapes], [draw(*shape) for shape in shapes], "lsgan")


def test_lists_in_a_list_hold_one_output_each_or_are_refused_with_the_last_one_named():
    one = read_scores("real_logits", [[draw(2, 1, 4, 4)], [draw(2, 1, 2, 2)]])
    assert [output.shape for output in one.outputs] == [(1, 32), (1, 8)]
    with pytest.raises(ValueError, match=r"real_logits\[0\] holds 2 entries.*the scores are.*real_logits\[0\]\[-1\]"):
        read_scores("real_logits", [[draw(2, 64, 4, 4), draw(2, 1, 4, 4)]])


def test_each_output_has_the_same_share_of_the_logits_and_keeps_all_of_its_own():
    small, large = torch.tensor([1.0, 2.0, 3.0]), torch.arange(10.0) + 10
    logits = read_scores("real_logits", [small, large]).logits[0]
    assert (logits < 10).sum() == (logits >= 10).sum() == 10
    assert set(logits.tolist()) == {*small.tolist(), *large.tolist()}


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (draw(16, 2), r"Of two classes give the difference, logits\[:, 1\] - logits\[:, 0\] where class 1 is real"),
        (draw(16, 2, 5, 5), r"\(logits\[:, 1\] - logits\[:, 0\]\)\[:, None\]"),
        (draw(16, 2, 1, 1), "Of two classes"),
        (draw(16, 10), r"classes or features.* give real_logits\[:, None\]"),
        (draw(4, 64, 8, 8), "classes or features"),
        ([draw(16, 1), draw(16, 10)], r"real_logits\[1\] has shape \(16, 10\)"),
        ([draw(16, 2), draw(16, 2)], "Of two classes"),
        ((draw(16, 1), draw(16, 10)), r"is a tuple; give the scores alone, e.g. real_logits\[0\]"),
        (draw(16).mean(), "not their mean"),
        ([], "real_logits is empty"),
        ({"scale0": draw(4)}, "real_logits is dict"),
        (draw(4).numpy(), "real_logits is ndarray"),
    ],
)
def test_what_are_no_scores_is_refused_with_what_to_give_instead(scores, message):
    with pytest.raises(ValueError, match=message):
        read_scores("real_logits", scores)


def test_both_batches_come_from_the_same_discriminators():
    with pytest.raises(ValueError, match="real_logits holds the scores of 2 discriminators, fake_logits of 1"):
        Steer("sim-gda", *pair())([draw(4), draw(4)], [draw(4)])


def test_the_difference_of_two_classes_has_the_loss_of_the_classes():
    real, fake = draw(16, 2), draw(8, 2)
    own = nn.functional.cross_entropy(real, torch.ones(16).long())
    own = own + nn.functional.cross_entropy(fake, torch.zeros(8).long())
    Steer("gap-aware", *pair())(real[:, 1] - real[:, 0], fake[:, 1] - fake[:, 0], d_loss=own)  # a warning is an error


@pytest.mark.parametrize("shape", [(8,), (4, 1, 6, 6)])
def test_a_loss_of_pairs_compares_the_scores_one_by_one(shape):
    real, fake = draw(*shape) + 1, draw(*shape) * 2
    steer = Steer("gap-aware", *pair(), loss="r3gan")
    own = nn.functional.softplus(fake - real).mean()
    steer(real, fake, d_loss=own, g_loss=nn.functional.softplus(real - fake).mean())  # no warning, an error here
    steer.done()
    average = 0.95 * math.log(2) + 0.05 * float(own)
    assert float(steer.controller.memory["average"]) == pytest.approx(average, rel=1e-5)
    scales = [torch.cat([real, real]).flatten(), real.flatten()], [torch.cat([fake, fake]).flatten(), fake.flatten()]
    steer(*scales, d_loss=own)  # of two scales, each with the same weight
    steer.done()
    with pytest.raises(ValueError, match="compares the scores by pairs.*give as many of both"):
        steer(real, fake[:3])


def test_labels_the_other_way_round_are_noticed_for_a_loss_of_pairs():
    real, fake = draw(8) + 1, draw(8) * 2
    steer = Steer("gap-aware", *pair(), loss="r3gan")
    with pytest.warns(UserWarning, match="with real and generated exchanged"):
        for _ in range(10):
            steer(-real, -fake, d_loss=nn.functional.softplus(fake - real).mean())
            steer.done()
