"""What a table's return is: the environment's own, with failures paid in full."""

import numpy as np
import pytest
import torch
from torch import nn

from agents import make_controller
from agents.comparison.compare import SPLIT_SIZE, Entry, run_group, split_seeds
from agents.learned.fsco import FscoConfig
from agents.policies.policy import PolicyController, PolicySpec
from agents.training.main_job import TrainConfig
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv, make_trainer
from gan_env.types import Control

SMALL = {"task": "digits", "batch_size": 8, "episode_updates": 12}


@pytest.mark.parametrize("reward", ["loss_gap", "quality", "quality_gain"])
@pytest.mark.parametrize("k", [1, 4])
def test_a_return_in_a_table_is_the_environments(reward, k):
    config = EnvConfig(**SMALL, reward=reward, updates_per_step=k, quality_every=2)
    rows = run_group(config, [Entry("sim", make_controller("sim-gda"))], [3, 4], "tune").rows
    env = GANVectorEnv(2, config=config, autoreset_mode="Disabled")
    env.reset(seed=3)
    total = np.zeros(2)
    for _ in range(12 // k):
        _, earned, _, _, infos = env.step(np.zeros((2, 1)))
        total += earned
    np.testing.assert_allclose([row["return"] for row in rows], total, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose([row["score"] for row in rows], infos["score"], rtol=1e-9)


class _Breaks:
    """Sim-GDA until a moment, then a rate that no GAN survives."""

    def __init__(self, moment):
        self.moment = moment

    def reset(self, row_seeds, game):
        self.rows, self.age = len(row_seeds), 0

    def act(self, measurement):
        self.age += 1
        return Control.of(self.rows, d_multiplier=1e9 if self.age > self.moment else 1.0)


def test_diverging_earlier_never_adds_up_to_more():
    config = EnvConfig(**{**SMALL, "episode_updates": 300})
    entries = [Entry(f"{moment}", _Breaks(moment)) for moment in (5, 60, 150)]
    rows = run_group(config, entries, [0, 1], "tune").rows
    assert all(row["status"] == "diverged" and row["score"] is None for row in rows)
    by_seed = np.array([row["return"] for row in rows]).reshape(3, 2)
    assert (np.diff(by_seed, axis=0) > 0).all()


@pytest.mark.parametrize("rows", [1, 5])
def test_modules_that_are_no_mlps_train_in_one_chunk_whatever_is_asked(rows):
    trainer = make_trainer(EnvConfig(task="fashion", batch_size=4, episode_updates=10), rows)
    assert len(trainer._chunks) == 1


def test_more_rows_than_fit_a_chunk_of_mlps_train_as_modules():
    from gan_env.losses.losses import LOSSES
    from gan_env.optimizer_spec import OptimizerSpec
    from gan_env.tasks.task import make_task
    from gan_env.training.trainer import Trainer

    task, spec = make_task("digits"), OptimizerSpec()
    made = [
        Trainer(
            task, LOSSES["bce"], 5, d_lr=1e-3, g_lr=1e-3, d_optimizer=spec, g_optimizer=spec, batch_size=8,
            dtype=torch.float64, way=way, chunk=2,
        )
        for way in ("loop", "mlp")
    ]  # fmt: skip
    for trainer in made:
        trainer.reset(np.arange(5), np.zeros(5, np.int64))
        trainer.advance(Control.of(5), 5)
    torch.testing.assert_close(made[0].d.flat, made[1].d.flat, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize(
    ("seeds", "split", "message"),
    [
        ([1], "evalute", "unknown split 'evalute'; did you mean 'evaluate'"),
        ([], "tune", r"seeds=\[\] must name at least one"),
        ([1, 1], "tune", r"seeds=\[1, 1\] must name at least one row seed, and none twice"),
    ],
)
def test_seeds_and_split_of_a_group_are_checked(seeds, split, message):
    with pytest.raises(ValueError, match=message):
        run_group(EnvConfig(task="digits"), [Entry("sim-gda", make_controller("sim-gda"))], seeds, split)


def test_splits_of_seeds_never_meet():
    with pytest.raises(ValueError, match="count=1000001"):
        split_seeds("tune", SPLIT_SIZE + 1)
    with pytest.raises(ValueError, match="seed=9999"):
        TrainConfig(seed=9999, num_envs=128)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gradient_steps": -5},
        {"hidden": (0,)},
        {"buffer_size": 0},
        {"learning_rate": -1.0},
        {"gamma": 2.0},
        {"tau": 0.0},
    ],
)
def test_an_agents_setting_that_cannot_work_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FscoConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decisions": 100},
        {"decisions": "x"},
        {"controllers": ("sim-gda", "sim-gda")},
        {"num_envs": 10**11},
        {"num_envs": 2.5},
        {"seed": None},
        {"save_every": "often"},
        {"save_every": float("nan")},
    ],
)
def test_a_training_that_could_not_be_judged_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainConfig(**wrong)


def test_a_policy_holds_its_decision_for_its_updates_in_any_environment():
    spec = PolicySpec(updates_per_step=4)
    layers = [(m.weight.detach() * 3, m.bias.detach()) for m in (nn.Linear(9, 8), nn.Linear(8, 1))]

    def multipliers(k):
        env = GANVectorEnv(1, **SMALL, updates_per_step=k, autoreset_mode="Disabled", score=False)
        env.reset(seed=0)
        policy = PolicyController(spec, layers)
        policy.reset([0], env.facts)
        found = {}
        while int(env.trainer.updates[0]) < 12:
            update = int(env.trainer.updates[0])
            control = policy.act(env.measurement)
            found[update] = float(control.d_multiplier)
            env.step_control(control)
        return found

    every, fourth = multipliers(1), multipliers(4)
    assert [every[u] for u in (0, 4, 8)] == [fourth[u] for u in (0, 4, 8)]
    assert every[1] == every[0] and every[4] != every[0]


def test_rows_say_that_the_gap_of_signed_losses_was_normalised():
    rivals = [Entry("sim-gda", make_controller("sim-gda"))]

    def row(loss: str, **settings) -> dict:
        config = EnvConfig(task="ring", loss=loss, batch_size=8, episode_updates=2, score=False, **settings)
        return run_group(config, rivals, split_seeds("tune", 1), "tune").rows[0]

    said, forced = row("wgan"), row("wgan", normalise=True)
    assert said["normalise"] and not row("bce")["normalise"]
    assert (said["return"], said["group"]) == (forced["return"], forced["group"])
