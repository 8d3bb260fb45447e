"""Objects that show themselves: one short line with what a person asks of them, and no addresses."""

import dataclasses

import gymnasium as gym
import pytest
import torch

from agents import compare, list_controllers, make_controller
from agents.rules.replay import Recorder
from agents.rules.scripted import Scripted
from gan_env import Control, GANEnv, GANVectorEnv, make_task


@pytest.mark.parametrize("name", list_controllers())
def test_every_controller_shows_its_name_and_settings_on_a_line(name):
    controller = make_controller(name)
    shown = repr(controller)
    assert shown.startswith(controller.name) and "\n" not in shown and " at 0x" not in shown and len(shown) < 160


def test_a_controllers_settings_are_those_that_it_was_made_with():
    assert repr(make_controller("gap-aware", alpha=0.9)).startswith("gap-aware(alpha=0.9, ")
    assert repr(make_controller("constant:2")) == "constant(multiplier=2)"
    assert repr(make_controller("gcann:image", alpha=0.2)) == "gcann(preset='image', alpha=0.2)"
    assert repr(Recorder(make_controller("alt-gda-5"))) == "Recorder(alt-gda(d_updates=5), 0 decisions)"


RULES = [name for name in list_controllers() if isinstance(make_controller(name), Scripted)]


@pytest.mark.parametrize("name", RULES)
def test_what_a_rule_shows_makes_it_again(name):
    shown = repr(make_controller(name))
    assert repr(make_controller(shown)) == shown


@pytest.mark.parametrize("name, options", [("constant", {"multiplier": 1 / 3}), ("lookahead", {"candidates": (0.7,)})])
def test_settings_are_shown_exactly(name, options):
    made = make_controller(name, **options)
    again = make_controller(repr(made))
    assert repr(again) == repr(made) and vars(again).get("law") == vars(made).get("law")


def test_an_environment_shows_its_game_and_how_far_it_is():
    env = GANEnv(episode_updates=40, updates_per_step=10)
    assert repr(env) == "GANEnv(ring, bce, update 0/40)"
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert repr(env) == "GANEnv(ring, bce, update 10/40)" == repr(env.fork())
    assert repr(GANVectorEnv(3, episode_updates=40)) == "GANVectorEnv(3 × ring, bce, update 0/40)"
    made = gym.make("gan_env/LearningRate-v0", episode_updates=40)
    assert repr(made.unwrapped) == "GANEnv(ring, bce, update 0/40)"


def test_measurements_and_controls_show_numbers_instead_of_tensors():
    env = GANVectorEnv(2, episode_updates=40)
    env.reset(seed=0)
    shown = repr(env.measurement)
    assert shown.startswith("Measurement(2 rows, batch of 128, update 0: L_G ") and "tensor" not in shown
    low, high = env.measurement.g_loss.min().item(), env.measurement.g_loss.max().item()
    assert f"L_G {low:.3g} to {high:.3g}," in shown
    moves = Control.of(3, update_d=torch.tensor([True, False, False]), d_multiplier=2.0)
    assert repr(moves) == "Control(3 rows: V1 2, V3 1; D × 2, G × 1)"
    assert (
        repr(Control.of(1, update_g=False, reuse_real=True))
        == "Control(1 row: V2 1; D × 1, G × 1, real batch kept in 1)"
    )


def test_a_task_shows_what_is_trained_and_how_it_is_judged():
    shown = repr(make_task("ring"))
    assert shown == "Task(ring: plane, bce, 5,000 updates of batch 128 at 0.0002; score w1, quality sliced_w1)"
    assert "batch 1 at 0.1;" in repr(make_task("dirac"))


def test_a_result_shows_itself_as_a_table_a_figure_and_a_frame():
    result = compare("dirac", ["sim-gda", "alt-gda-1"], seeds=5, updates=40)
    shown = result._repr_html_()
    assert shown.count("<tr>") == 3 and "alt-gda-1" in shown and "color:#" in shown  # a difference that is shown
    assert result.plot().axes and "minus sim-gda" in result.table() and "alt-gda-1" in repr(result)
    hostile = [{**row, "controller": row["controller"].replace("alt", "<b>")} for row in result.rows]
    assert "<b>-gda" not in dataclasses.replace(result, rows=hostile)._repr_html_()
