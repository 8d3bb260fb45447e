"""Scores that are not finite are named, once, when they keep coming; a single one is not."""

import warnings

import pytest
import torch

from agents import Steer


@pytest.fixture
def steer():
    players = [torch.nn.Linear(1, 1) for _ in "gd"]
    return Steer("gap-aware", *(torch.optim.SGD(player.parameters(), 0.1) for player in players))


def iterate(steer, scores):
    steer(scores, torch.zeros(4))
    steer.done()


def test_scores_that_stay_nan_are_named_once(steer):
    bad = torch.full((4,), torch.nan)
    with pytest.warns(UserWarning, match="held NaN or infinity in 10 iterations in a row") as said:
        for _ in range(20):
            iterate(steer, bad)
    assert len(said) == 1


def test_one_batch_that_overflows_is_not_named(steer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scores in (torch.ones(4), torch.full((4,), torch.inf), torch.ones(4), torch.full((4,), torch.nan)):
            iterate(steer, scores)
