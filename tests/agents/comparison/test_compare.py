"""Comparisons of controllers: who takes part, what the result shows, and what a row's return is."""

import html
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from agents import compare, make_controller
from agents.comparison.contestants import make_contestants
from agents.comparison.seeds import SPLIT_SIZE, split_seeds
from agents.learned.fsco import FscoConfig
from agents.policies.policy import PolicyController, PolicySpec
from agents.training.main_job import TrainConfig
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv, make_trainer
from gan_env.envs.rewards import FAILURE_DECISIONS, REWARDS
from gan_env.tasks.task import make_task
from gan_env.types import Control

SMALL = {"task": "digits", "batch_size": 8, "episode_updates": 12}


@pytest.mark.parametrize("reward", list(REWARDS))
@pytest.mark.parametrize("k", [1, 4])
def test_a_return_in_a_table_is_the_environments(reward, k):
    config = EnvConfig(**SMALL, reward=reward, updates_per_step=k, quality_every=2)
    rows = compare(config, ["sim-gda"], seeds=[3, 4], split="tune").rows
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
    rows = compare(config, {moment: _Breaks(moment) for moment in (5, 60, 150)}, seeds=[0, 1], split="tune").rows
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
        compare(EnvConfig(task="digits"), ["sim-gda"], seeds=seeds, split=split)


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
    def row(loss: str, **settings) -> dict:
        config = EnvConfig(task="ring", loss=loss, batch_size=8, episode_updates=2, score=False, **settings)
        return compare(config, ["sim-gda"], seeds=1, split="tune").rows[0]

    said, forced = row("wgan"), row("wgan", normalise=True)
    assert said["normalise"] and not row("bce")["normalise"]
    assert (said["return"], said["group"]) == (forced["return"], forced["group"])


# -- who takes part, and what the result shows -------------------------------------------------------------------------


class Mine(_Breaks):
    """Plain training, without a name of its own."""

    def __init__(self):
        super().__init__(moment=10**9)


def labels(controllers) -> list[str]:
    return [each.label for each in make_contestants(controllers, EnvConfig())]


def test_names_files_and_objects_take_part_under_labels_of_their_own():
    frozen = make_controller("frozen-d")
    assert labels(["sim-gda", "fsco", frozen, Mine(), Mine()])[:2] == ["sim-gda", "fsco (embedded)"]
    assert labels([Mine(), Mine(), Mine()]) == ["Mine", "Mine (2)", "Mine (3)"]
    assert labels([make_controller("sim-gda"), "sim-gda"]) == [f"{make_controller('sim-gda').name} (2)", "sim-gda"]
    assert labels({"a": "sim-gda", "b": "sim-gda", "c": Mine()}) == ["a", "b", "c"]


def test_an_embedded_agent_by_name_shares_the_settings_of_its_game():
    (contestant,) = make_contestants(["fsco"], EnvConfig(updates_per_step=7, d_lr_range=(0.5, 2.0)))
    assert contestant.controller.config.updates_per_step == 7 and contestant.controller.spec.d_lr_range == (0.5, 2.0)


@pytest.mark.parametrize(
    ("controllers", "message"),
    [
        (["sim-gda", "sim-gda"], "controllers name 'sim-gda' twice"),
        (["sim-gdb"], "unknown controller 'sim-gdb'; did you mean 'sim-gda'"),
        ("sim-gda", r"controllers='sim-gda' is one controller; give a list"),
        ([3], "3 is no controller's name, file or object"),
        ([Mine], "is no controller's name, file or object"),
        (["best-constant"], "chosen on tune seeds"),
        ([], "name at least one controller"),
        (["nobody.safetensors"], "nobody.safetensors"),
    ],
)
def test_who_cannot_take_part_is_named(controllers, message):
    with pytest.raises((ValueError, OSError), match=message):
        compare("dirac", controllers, seeds=1, updates=2)


def test_one_object_cannot_take_part_twice():
    mine = Mine()
    with pytest.raises(ValueError, match="stands for two contestants"):
        compare("dirac", [mine, mine], seeds=1, updates=2)


def test_a_task_a_name_and_a_whole_configuration_are_the_same_game():
    given = ("dirac", make_task("dirac"), EnvConfig(task="dirac", episode_updates=20))
    found = [compare(game, ["alt-gda-1"], seeds=[7], updates=6, d_lr=0.2).rows[0] for game in given]
    assert {(row["score"], row["updates"], row["d_lr"]) for row in found} == {(found[0]["score"], 6, 0.2)}
    with pytest.raises(TypeError, match="unknown setting 'd_lrr'; did you mean 'd_lr'"):
        compare("dirac", ["sim-gda"], d_lrr=1.0)


def test_controllers_of_a_comparison_start_from_the_same_gans():
    rows = compare("dirac", ["sim-gda", "constant:1"], seeds=2, updates=5).rows
    assert [row["score"] for row in rows[:2]] == [row["score"] for row in rows[2:]]
    assert rows[0]["seed"] == split_seeds("evaluate", 1)[0] and len({row["group"] for row in rows}) == 1


@pytest.fixture(scope="module")
def result():
    return compare("dirac", ["constant:0.5", "alt-gda-1", Mine()], seeds=3, updates=20)


def test_a_result_shows_itself(result):
    assert repr(result).startswith("<ComparisonResult: 3 controllers × 3 seeds on dirac")
    assert "lowest mean score: " in repr(result)
    table = result.table()
    assert "minus constant:0.5" in table and all(name in table for name in result.controllers)
    assert "minus Mine" in result.table(baseline="Mine")
    with pytest.raises(ValueError, match="baseline='sim-gda' takes no part; use one of constant:0.5, alt-gda-1, Mine"):
        result.table(baseline="sim-gda")
    shown = result._repr_html_()
    assert shown.count("<tr>") == 4 and all(f">{html.escape(name)}<" in shown for name in result.controllers)
    assert [text.get_text() for text in result.plot().axes[0].get_yticklabels()]


def test_a_label_cannot_write_into_the_page_of_a_notebook():
    shown = compare("dirac", {"<script>": "sim-gda"}, seeds=2, updates=2)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_runs_that_are_not_scored_have_rows_alone():
    result = compare("dirac", ["sim-gda"], seeds=1, updates=2, score=False)
    assert (
        result.rows[0]["score"] is None
        and repr(result).endswith("not scored>")
        and "not scored" in result._repr_html_()
    )
    for look in (result.table, result.plot):
        with pytest.raises(ValueError, match="not scored"):
            look()


def test_runs_that_all_failed_still_show_themselves():
    result = compare("dirac", [_Breaks(1)], seeds=2, updates=9, loss_bound=1e3)
    assert "every run failed" in repr(result) and "every run failed" in result.table()


def test_a_frame_has_a_line_for_each_run_or_says_what_is_missing(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match="to_frame.. needs pandas: pip install pandas"):
        result.to_frame()
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=list))
    frame = result.to_frame()
    assert [line["seed"] for line in frame] == [row["seed"] for row in result.rows] and "trace" not in frame[0]


def test_progress_is_shown_where_it_is_asked_for_and_else_on_a_terminal_alone(capsys):
    compare("dirac", ["sim-gda"], seeds=1, updates=5)
    assert capsys.readouterr().err == ""
    compare("dirac", ["sim-gda"], seeds=1, updates=5, progress=True)
    assert "training 1 controllers × 1 seeds: 100 %" in capsys.readouterr().err


# -- what a failure pays -----------------------------------------------------------------------------------------------


def test_a_controller_that_learns_is_paid_for_a_failure_as_in_the_environment():
    class Learner(_Breaks):
        learns = True

        def __init__(self):
            super().__init__(moment=3)
            self.rewards = []

        def learn(self, transition):
            self.rewards.append(float(transition.reward[0]))

    learner = Learner()
    config = EnvConfig(**{**SMALL, "episode_updates": 300})
    rows = compare(config, [learner], seeds=[0]).rows
    env = GANVectorEnv(1, config=config, autoreset_mode="Disabled")
    env.reset(seed=0)
    earned, failed = [], [False]
    while not failed[0]:
        multiplier = 1e9 if len(earned) >= 3 else 1.0
        _, reward, failed, _, _ = env.step_control(Control.of(1, d_multiplier=multiplier))
        earned.append(float(reward[0]))
    assert learner.rewards[: len(earned)] == pytest.approx(earned) and not any(learner.rewards[len(earned) :])
    assert earned[-1] == -10.0 * FAILURE_DECISIONS
    assert rows[0]["return"] == pytest.approx(sum(earned[:-1]) - 10.0 * (300 - rows[0]["ended"] + 1))
