"""Promises of AutoLoss beyond those of every scripted controller: its features, its training, its file."""

import math

import pytest
import torch

from agents import ControllerFileError, make_controller
from agents.learned.autoloss import SHIPPED, g_logit, load_weights, read_features, save_weights
from agents.training.autoloss_training import AutoLossConfig, _longest_run, train_autoloss
from gan_env.types import GameFacts, Measurement


def seen(real: float, fake: float, g_loss: float = 1.0, d_loss: float = 1.0) -> Measurement:
    one = torch.ones(1, dtype=torch.float64)
    return Measurement(
        real_logits=torch.full((1, 4), real),
        fake_logits=torch.full((1, 4), fake),
        g_loss=one * g_loss,
        d_loss_real=one * d_loss,
        d_loss_fake=one * d_loss,
        update=torch.zeros(1, dtype=torch.int64),
        progress=0 * one,
    )


def test_the_features_are_what_their_names_say():
    level = torch.full((1,), math.log(2), dtype=torch.float64)
    # At the equilibrium D's two slopes are 1/2 each and G's is 1/2, so that the ratio is 2.
    features, g_ema, d_ema = read_features(seen(0.0, 0.0, 2.0, 3.0), level, level)
    averages = 0.9 * math.log(2) + 0.2, 0.9 * math.log(2) + 0.3
    assert (g_ema.item(), d_ema.item()) == pytest.approx(averages)
    assert features[0].tolist() == pytest.approx([math.log(2), averages[0] - 1, averages[1], -0.5])
    ahead, _, _ = read_features(seen(3.0, -3.0), level, level)  # D is right about all: small slopes, G's is large
    assert ahead[0, 0] < -2 and ahead[0, 3] == 0.5


def test_training_moves_towards_what_is_rewarded_and_repeats(tmp_path):
    config = AutoLossConfig(updates=30, episodes=8, rows=4)
    first, second = (train_autoloss(config, say=lambda text: None) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["out.weight"].abs().sum() > 0  # it began at zero
    save_weights(first, tmp_path / "own.safetensors", {"task": "ring"})
    make_controller(f"autoloss:{tmp_path / 'own.safetensors'}").reset([0])


def test_a_collapse_is_the_longest_run_of_one_choice():
    moves = torch.tensor([[1, 1], [1, 0], [1, 1], [0, 0], [0, 1]], dtype=torch.bool)
    assert _longest_run(moves).tolist() == [3, 1]


def test_the_greedy_rule_follows_the_odds():
    weights, provenance = load_weights(SHIPPED)
    assert provenance["task"] == "ring" and provenance["episodes"] >= 400
    controller = make_controller("autoloss", greedy=True)
    controller.reset([0])
    level = torch.full((1,), math.log(2), dtype=torch.float64)
    for real, fake in ((0.0, 0.0), (4.0, -4.0), (-4.0, 4.0)):
        controller.reset([0])
        features, _, _ = read_features(seen(real, fake), level, level)
        control = controller.act(seen(real, fake))
        assert bool(control.update_g) == bool(g_logit(weights, features) > 0)
        assert bool(control.update_d) != bool(control.update_g)


def test_files_and_games_that_do_not_suit_are_refused(tmp_path):
    weights, _ = load_weights(SHIPPED)
    save_weights({**weights, "out.bias": torch.zeros(2)}, tmp_path / "bad.safetensors", {})
    with pytest.raises(ControllerFileError, match="not {'hidden.weight'"):
        load_weights(tmp_path / "bad.safetensors")
    save_weights({**weights, "out.bias": torch.tensor([math.nan])}, tmp_path / "nan.safetensors", {})
    with pytest.raises(ControllerFileError, match="not a finite number"):
        load_weights(tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match="none.safetensors: cannot be read"):
        make_controller(f"autoloss:{tmp_path / 'none.safetensors'}")
    with pytest.raises(ValueError, match="reads logits as probabilities"):
        make_controller("autoloss").reset([0], GameFacts(loss="hinge", probability=False))
