"""Promises of what is said of a policy: how often it is at a bound, and whether a constant does as well."""

import json

import numpy as np
import pytest
import torch

from agents.comparison.compare import compare
from agents.comparison.contestants import Contestant
from agents.policies.policy import PolicyController, PolicySpec
from agents.training.behaviour import Behaviour, Recorded, described
from gan_env.envs.config import EnvConfig

GAME = EnvConfig(task="dirac", loss="bce", episode_updates=40, d_lr=0.05, g_lr=0.05)
SEEDS = range(8)


def linear(control: str, weight, bias, output: str = "tanh") -> PolicyController:
    spec = PolicySpec(control=control, features=("progress",), output=output, signed_losses=True)
    layer = (torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32))
    return PolicyController(spec, [layer], "mine (meta)")


def judged(policy: PolicyController) -> tuple[Behaviour, Contestant]:
    recorded = Recorded(policy)
    rows = compare(GAME, [Contestant("mine (meta)", recorded)], seeds=list(SEEDS), split="tune").rows
    constant = recorded.constant()
    rows += compare(GAME, [constant], seeds=list(SEEDS), split="tune").rows
    return Behaviour.of(recorded, constant, rows), constant


def test_a_policy_that_sits_at_a_bound_has_learned_a_constant():
    found, constant = judged(linear("learning-rate", [[0.0]], [9.0]))
    assert found.at_bound == 1.0 and found.variance == (0.0,) and found.decisions == 40 * len(SEEDS)
    assert found.gain == pytest.approx(0, abs=1e-9) and found.is_constant and constant.runs_as.startswith("D ×10,")
    assert "100% of its decisions at a bound" in str(found) and "it learned a constant" in str(found)
    assert json.loads(json.dumps(found.as_json()))["is_constant"] is True


def test_a_policy_that_a_constant_cannot_replace_is_not_called_one():
    recorded = Recorded(linear("rates", [[-8.0], [-8.0]], [4.0, 4.0]))  # from ×10 to ×0.1 in the course of a run
    rows = compare(GAME, [Contestant("mine (meta)", recorded)], seeds=list(SEEDS), split="tune").rows
    constant = recorded.constant()
    better = [{**row, "score": row["score"] + 0.1, "controller": constant.label} for row in rows]
    found = Behaviour.of(recorded, constant, rows + better)
    assert found.gain == pytest.approx(-0.1) and found.interval == pytest.approx((-0.1, -0.1))
    assert not found.is_constant and "does worse" in str(found) and "it learned" not in str(found)
    share = (np.abs(np.tanh(4 - 8 * np.arange(40) / 40)) > 0.99).mean()
    assert found.at_bound == pytest.approx(share) and min(found.variance) > 0.5


def test_the_constant_of_a_policy_is_the_mean_of_its_actions():
    recorded = Recorded(linear("rates", [[-1.0], [0.5]], [0.2, 0.1]))
    compare(GAME, [Contestant("mine (meta)", recorded)], seeds=[0, 1], split="tune")
    seen = np.linspace(0, 39 / 40, 40)
    mean = np.tanh(np.stack([0.2 - seen, 0.1 + 0.5 * seen])).mean(1)
    constant = recorded.constant().controller
    assert isinstance(constant, PolicyController)
    assert np.allclose(constant.actions(np.zeros((3, 1), np.float32)), mean, atol=1e-5)


def test_the_constant_of_choices_is_the_most_frequent():
    # 0 (G) while progress < 1/4, then 1 (D).
    found, constant = judged(linear("update-choice", [[0.0], [4.0], [0.0]], [1.0, 0.0, -9.0], "argmax"))
    assert constant.runs_as == "D ×1, G ×1, D alone updates" and found.at_bound is None
    shares = np.array([11, 29]) / 40
    assert found.variance[0] == pytest.approx(1 - (shares**2).sum())
    assert "most frequent choice" in str(found)


def test_too_few_seeds_tell_nothing():
    recorded = Recorded(linear("learning-rate", [[1.0]], [0.0]))
    rows = compare(GAME, [Contestant("mine (meta)", recorded)], seeds=[0, 1], split="tune").rows
    constant = recorded.constant()
    rows += compare(GAME, [constant], seeds=[0, 1], split="tune").rows
    found = Behaviour.of(recorded, constant, rows)
    assert (
        found.is_constant is None and "too few scores" in str(found) and "Infinity" not in json.dumps(found.as_json())
    )


def test_actions_are_described_by_what_they_do():
    codec = PolicySpec(control="rates").codec()
    found = described(codec, np.array([[1.0, 0.0], [1.0, -1.0]], np.float32))
    assert found == pytest.approx(
        {"mean_multiplier": 10.0, "mean_g_multiplier": 10**-0.5, "share_at_bounds": 0.75}, rel=1e-6
    )
    choices = described(PolicySpec(control="update-choice").codec(), np.array([0, 2, 2, 1]))
    assert choices == {"share_G_alone": 0.25, "share_D_alone": 0.25, "share_both": 0.5}


def test_a_policy_that_its_own_constant_beats_is_said_to_be_beaten():
    recorded = Recorded(linear("rates", [[-8.0], [-8.0]], [4.0, 4.0]))
    rows = compare(GAME, [Contestant("mine (meta)", recorded)], seeds=list(SEEDS), split="tune").rows
    constant = recorded.constant()
    better = [{**row, "score": row["score"] - 0.1, "controller": constant.label} for row in rows]
    found = Behaviour.of(recorded, constant, rows + better)
    assert found.is_constant and "does better" in str(found) and "it learned" not in str(found)
