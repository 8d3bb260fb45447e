"""Promises of every registered part: the kit that others check theirs with, `gan_env.testing`, over all of ours."""

import pytest

from agents import list_controllers
from agents import testing as controllers
from gan_env.envs.rewards import REWARDS
from gan_env.losses.losses import LOSSES
from gan_env.tasks.task import TASKS, make_task
from gan_env.testing import check_reward, check_task, losses, rewards, tasks

SCORING = (tasks.real_samples_beat_an_untrained_generator, tasks.the_score_repeats_and_refuses_what_it_cannot_judge)
QUICK, COSTLY_SCORE = ("digits", "dirac"), ("circle", "digits-domains", "grid", "line", "ring", "spiral")
ELSEWHERE = {"folder", "meshes", "celeba", "cifar10"}
"""The first two are made below; the others do not ship."""
LEARNING = ("ddpg", "fsco", "lookahead")


def effort(name, promise=None):
    """Marks of a case: a score of the plane is half a minute's work, a DCGAN's or a shape's promise a minute's."""
    if name in QUICK or (name in COSTLY_SCORE and promise not in SCORING):
        return ()
    return pytest.mark.slow if name in (*COSTLY_SCORE, *LEARNING, "emoji32", "fashion") else pytest.mark.endurance


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        pytest.param(name, promise, marks=effort(name, promise), id=f"{name}-{promise.__name__}")
        for name in TASKS
        if name not in ELSEWHERE
        for promise in tasks.PROMISES
    ],
)
def test_every_task_keeps(name, promise):
    task = make_task(name)
    assert task.name == name
    promise(task)


@pytest.mark.slow
def test_a_folder_of_pictures_keeps_them_too(tmp_path):
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(120):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    check_task(f"folder:{tmp_path}@32")


@pytest.mark.parametrize("promise", losses.PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps(name, promise):
    promise(LOSSES[name])


@pytest.mark.parametrize("promise", rewards.PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_keeps(name, promise):
    promise(rewards.reward_of(name))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_keeps_them_under_every_loss_that_it_takes(name, loss):
    if name == "loss_gap" and LOSSES[loss].signed:
        with pytest.raises(ValueError, match="signed"):
            check_reward(name, loss)
    else:
        check_reward(name, loss)


@pytest.mark.parametrize("promise", controllers.PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=effort(name) if name in LEARNING else ()) for name in list_controllers()]
)
def test_every_controller_keeps(name, promise):
    promise(controllers.subject_of(name))
