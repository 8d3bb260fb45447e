"""What an embedded FSCO can be paid by: each gap by hand, and the games that it refuses."""

import numpy as np
import pytest
import torch

from agents import make_controller
from agents.learned.fsco import GAPS
from gan_env.envs.rewards import LOSS_GAP_LOW
from gan_env.types import GameFacts, Measurement


def seen(real=(0.5, -1.0, 2.0, 0.0), fake=(-3.0, -1.0, 1.0, -0.5), g_loss=0.9, d_real=0.2, d_fake=0.4, update=0):
    one = torch.ones(1)
    return Measurement(
        real_logits=torch.tensor([real]),
        fake_logits=torch.tensor([fake]),
        g_loss=g_loss * one,
        d_loss_real=d_real * one,
        d_loss_fake=d_fake * one,
        update=torch.tensor([update]),
        progress=torch.zeros(1, dtype=torch.float64),
    )


def test_the_gaps_are_those_of_their_formulas():
    found = {name: float(gap(seen(), "mean")) for name, gap in GAPS.items()}
    # Right are 2 and a half of 4 real ones, 3 of 4 generated ones: 5.5 of 8.
    expected = {"loss_gap": 0.6, "normalised_gap": 0.6 / 1.2, "accuracy_gap": 2 * abs(5.5 / 8 - 0.5)}
    assert found == pytest.approx(expected, rel=1e-6)
    assert float(GAPS["normalised_gap"](seen(), "sum")) == pytest.approx(0.3 / 1.5, rel=1e-6)


@pytest.mark.parametrize("reward", GAPS)
def test_an_agent_is_paid_the_mean_of_the_gaps_that_followed_its_decision(reward, monkeypatch):
    controller, paid = make_controller(f"fsco(reward={reward!r}, updates_per_step=3)"), []
    controller.reset([0], GameFacts(loss="bce", probability=True))
    monkeypatch.setattr(
        controller._agents[0], "decide", lambda observation, reward: paid.append(reward) or np.zeros(1, np.float32)
    )
    losses = [0.9, 0.1, 3.0, 0.7]
    for update, g_loss in enumerate(losses):
        controller.act(seen(g_loss=g_loss, update=update))
    each = [float(GAPS[reward](seen(g_loss=g_loss), "mean")) for g_loss in losses[1:]]
    assert paid == [None, pytest.approx(max(-np.mean(each), LOSS_GAP_LOW))]


def test_a_gap_of_accuracies_refuses_scores_that_are_no_probabilities():
    controller = make_controller("fsco(reward='accuracy_gap')")
    with pytest.raises(ValueError, match="the loss 'wgan' gives raw scores.*use reward='normalised_gap'"):
        controller.reset([0], GameFacts(loss="wgan", signed=True, probability=False))
    make_controller("fsco(reward='normalised_gap')").reset([0], GameFacts(loss="wgan", signed=True, probability=False))
