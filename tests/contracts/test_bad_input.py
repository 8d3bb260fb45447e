"""A call that cannot be meant gets one clear error: it names the field, the value and the way out."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch

import gan_env
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANEnv, GANVectorEnv
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.types import Control

SMALL = {"episode_updates": 4, "score": False, "batch_size": 8}

pytestmark = pytest.mark.usefixtures("no_shape_checks")  # users do not have them


def settings(**changes):
    return {**SMALL, **changes}


@pytest.fixture(scope="module")
def rows() -> GANVectorEnv:
    env = GANVectorEnv(2, autoreset_mode="Disabled", **SMALL)
    env.reset(seed=0)
    return env


# Settings: (what is wrong, words that the message must hold)

NAMES = [
    ({"task": "rign"}, ["task", "'rign'", "did you mean 'ring'?", "digits"]),
    ({"task": 7}, ["task", "7", "ring"]),
    ({"task": (torch.zeros(50, 2), 1)}, ["task", "tensor([[0., 0.]", "... (tuple)", "ring"]),
    ({"task": ["ring"]}, ["task", "['ring']", "ring"]),
    ({"task": None}, ["task", "None", "ring"]),
    ({"loss": "hing"}, ["loss", "'hing'", "did you mean 'hinge'?", "lsgan"]),
    ({"loss": ["bce"]}, ["loss", "['bce']"]),
    ({"reward": "los_gap"}, ["reward", "'los_gap'", "did you mean 'loss_gap'?"]),
    ({"reward": 5}, ["reward", "5"]),
    ({"reward": None}, ["reward", "None"]),
    ({"features": ("g_los",)}, ["feature", "'g_los'", "did you mean 'g_loss'?"]),
    ({"features": ()}, ["features", "()", "g_loss"]),
    ({"features": "g_loss"}, ["features", "'g_loss'", "('g_loss',)"]),
    ({"features": 3}, ["features", "3"]),
    ({"features": (3,)}, ["feature", "3", "g_loss"]),
    ({"control": "joints"}, ["control", "'joints'", "did you mean 'joint'?"]),
    ({"optimizer": "adm"}, ["optimizer", "'adm'", "did you mean 'adam'?"]),
    ({"optimizer": 3}, ["optimizer", "3", "adam"]),
    ({"optimizer": {"name": "adam", "beta": (0.5, 0.9)}}, ["optimizer", "'beta'", "did you mean 'betas'?"]),
    ({"order": "alternate"}, ["order", "'alternate'", "did you mean 'alternating'?"]),
    ({"d_loss_scale": "summ"}, ["d_loss_scale", "'summ'", "did you mean 'sum'?"]),
    ({"dtype": "float16"}, ["dtype", "'float16'", "float32"]),
    ({"dtype": torch.float32}, ["dtype", "torch.float32", "float32"]),
    ({"render_mode": "gui"}, ["render_mode", "'gui'", "rgb_array", "human"]),
    ({"config": {"task": "ring"}}, ["config", "EnvConfig"]),
]
NUMBERS = [
    *[({name: value}, [name, repr(value)]) for name in ("d_lr", "g_lr") for value in (0, 0.0, -1e-3, "1e-3", True)],
    *[({name: value}, [name, repr(value)]) for name in ("d_lr", "g_lr") for value in (float("nan"), float("inf"))],
    *[
        ({name: value}, [name, repr(value)])
        for name in ("batch_size", "episode_updates", "updates_per_step", "quality_every")
        for value in (0, -1, 1.5, "4", True)
    ],
    *[
        ({name: value}, [name, repr(value)])
        for name in ("loss_bound", "weight_bound")
        for value in (0, -1.0, float("nan"), "1e4", True)
    ],
    *[({name: value}, [name, repr(value)]) for name in ("score", "normalise") for value in ("yes", 1, None)],
    *[
        ({name: value}, [name, repr(value)])
        for name in ("d_lr_range", "g_lr_range")
        for value in ((0.1,), (0.1, 2, 3), 5, ("a", "b"), (10.0, 0.1), (0.0, 2.0), (1.0, 2.0), (0.1, float("inf")))
    ],
    *[
        ({"optimizer": {"betas": value}}, ["betas", repr(value)])
        for value in (0.5, (0.5,), (0.5, 1.0), (-1.0, 0.9), (1.0, 0.9), (0.5, -0.1), ("a", "b"), (float("nan"), 0.9))
    ],
    ({"optimizer": {"name": "rmsprop", "alpha": 1.0}}, ["alpha", "1.0"]),
    ({"optimizer": {"name": "rmsprop", "alpha": "x"}}, ["alpha", "'x'"]),
    ({"optimizer": {"name": "sgd", "momentum": -0.1}}, ["momentum", "-0.1"]),
    ({"optimizer": {"name": "sgd", "momentum": float("nan")}}, ["momentum", "nan"]),
    ({"optimizer": {"eps": 0}}, ["eps", "0"]),
    *[({"optimizer": {"lookahead_every": value}}, ["lookahead_every", repr(value)]) for value in (0, 2.5, True, "5")],
    *[({"optimizer": {"lookahead_share": value}}, ["lookahead_share", repr(value)]) for value in (0, 1.5, "x", True)],
    ({"episode_updates": 5, "updates_per_step": 2}, ["episode_updates=5", "updates_per_step=2", "multiple"]),
    ({"episode_updates": None, "updates_per_step": 3}, ["episode_updates=5000", "updates_per_step=3", "multiple"]),
    ({"task": "digits", "batch_size": 998}, ["batch_size=998", "997"]),
]
DEVICES = [
    ({"device": "cuda:99"}, ["device='cuda:99'", "cpu"]),
    ({"device": "cupcake"}, ["device='cupcake'", "cpu"]),
    ({"device": "meta"}, ["device='meta'", "cpu"]),
    ({"device": 5}, ["device=5", "cpu"]),
]
if not torch.cuda.is_available():
    DEVICES.append(({"device": "cuda"}, ["device='cuda'", "0 CUDA device(s)", "cpu"]))


@pytest.mark.parametrize(("wrong", "words"), NAMES + NUMBERS + DEVICES, ids=str)
def test_a_setting_that_cannot_be_meant_is_named(wrong, words):
    for build in (GANEnv, lambda **s: GANVectorEnv(2, **s)):
        with pytest.raises(ValueError) as error:
            build(**settings(**wrong))
        for word in words:
            assert word in str(error.value)


def test_an_unknown_setting_is_refused_as_python_refuses_it_with_the_nearest_name():
    for build in (GANEnv, lambda **s: GANVectorEnv(2, **s), EnvConfig):
        with pytest.raises(TypeError, match="got an unexpected keyword argument 'episode_update'"):
            build(episode_update=4)
    with pytest.raises(TypeError, match="did you mean 'episode_updates'"):
        gym.make("gan_env/LearningRate-v0", episode_update=4)


def test_a_signed_loss_gets_a_reward_that_means_something_unless_one_is_asked_for():
    for wrong in ({"reward": "loss_gap"}, {"config": EnvConfig()}):
        with pytest.raises(ValueError, match="loss_gap.*'hinge' is signed"):
            GANEnv(loss="hinge", **wrong)
    for task, loss in (("ring", "hinge"), ("dirac", None)):
        env = gym.make("gan_env/LearningRate-v0", task=task, loss=loss, episode_updates=2, score=False)
        assert env.unwrapped.config.reward == "quality"
        env.reset(seed=0)
        reward = env.step(env.action_space.sample())[1]
        assert env.unwrapped.batch.reward.low <= reward <= 0
    assert GANEnv(loss="hinge", normalise=True).config.reward == "loss_gap"


@pytest.mark.parametrize(
    "wrong", [{"num_envs": 0}, {"num_envs": -1}, {"num_envs": "2"}, {"num_envs": 1.0}, {"num_envs": True}]
)
def test_a_count_of_rows_that_cannot_be_meant_is_named(wrong):
    with pytest.raises(ValueError, match=f"num_envs={wrong['num_envs']!r}.* at least 1"):
        GANVectorEnv(**wrong, **SMALL)


def test_a_count_of_rows_may_be_numpys_and_goes_to_a_batch_alone():
    assert GANVectorEnv(np.int64(2), **SMALL).num_envs == 2
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'num_envs': .*gym.make_vec\(..., num_envs=3\)"):
        gym.make("gan_env/LearningRate-v0", num_envs=3, **SMALL)


@pytest.mark.parametrize("mode", ["NextSteps", "", 3, None])
def test_an_unknown_autoreset_mode_is_named(mode):
    with pytest.raises(ValueError, match="autoreset_mode.*NextStep"):
        GANVectorEnv(2, autoreset_mode=mode, **SMALL)


@pytest.mark.parametrize(
    "mode", ["NextStep", "next_step", "SAME_STEP", "SameStep", "disabled", gym.vector.AutoresetMode.DISABLED]
)
def test_every_usual_spelling_of_an_autoreset_mode_is_known(mode):
    env = GANVectorEnv(1, autoreset_mode=mode, **SMALL)
    assert env.metadata["autoreset_mode"] is env.autoreset_mode
    assert str(mode).split(".")[-1].replace("_", "").lower() == env.autoreset_mode.name.replace("_", "").lower()


@pytest.mark.parametrize(
    "right",
    [
        {"d_lr": np.float32(0.001), "batch_size": np.int64(8), "episode_updates": np.int32(4)},
        {"d_lr": 1, "loss_bound": 10, "optimizer": {"name": "sgd", "momentum": 0}},
        {"features": ["g_loss", "d_loss"], "d_lr_range": [0.5, 2]},
        {"optimizer": {"betas": [0.5, 0.9]}},
        {"device": torch.device("cpu")},
        {"config": EnvConfig(**SMALL), "loss": "lsgan"},
    ],
    ids=str,
)
def test_settings_that_are_right_in_other_clothes_are_taken(right):
    env = GANVectorEnv(1, **settings(**right))
    env.reset(seed=0)
    observation, *_ = env.step(env.action_space.sample())
    assert np.isfinite(observation).all()


# Order of calls


@pytest.mark.parametrize("env_id", gan_env.ENV_IDS)
def test_a_step_before_any_reset_asks_for_one(env_id):
    for env in (gym.make(env_id, **SMALL).unwrapped, gym.make_vec(env_id, 2, **SMALL).unwrapped):
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            env.step(env.action_space.sample())


def test_rendering_before_any_reset_asks_for_one():
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        GANEnv(render_mode="rgb_array", **SMALL).render()


def test_a_step_after_the_end_asks_for_a_reset():
    env = GANEnv(**settings(episode_updates=1))
    env.reset(seed=0)
    env.step(env.action_space.sample())
    with pytest.raises(gym.error.ResetNeeded, match=r"^the episode has ended; call reset\(\) first$"):
        env.step(env.action_space.sample())
    env.reset()
    env.step(env.action_space.sample())


# Seeds and masks


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "7", float("nan"), True, np.float64(3), [1, 2, 3]], ids=str)
def test_a_seed_that_cannot_be_meant_is_named(seed):
    single = GANEnv(**SMALL)
    with pytest.raises(ValueError, match="seed"):
        single.reset(seed=seed)
    many = GANVectorEnv(2, **SMALL)
    with pytest.raises(ValueError, match="seed"):
        many.reset(seed=seed)


@pytest.mark.parametrize("seed", [[1], [1, 2, 3], [], [1, -2], [1, "2"], [True, False], [0.0, 1.0]], ids=str)
def test_a_list_of_seeds_that_does_not_fit_is_named(seed, rows):
    with pytest.raises(ValueError, match="seed"):
        rows.reset(seed=seed)


def test_the_greatest_seed_and_numpy_seeds_are_taken():
    env = GANVectorEnv(2, **SMALL)
    env.reset(seed=2**63 - 2)
    assert env.trainer.seed.tolist() == [2**63 - 2, 2**63 - 1]
    env.reset(seed=np.int64(3))
    assert env.trainer.seed.tolist() == [3, 4]
    env.reset(seed=np.array([8, 5]))
    assert env.trainer.seed.tolist() == [8, 5]
    with pytest.raises(ValueError, match="seed=9223372036854775808"):
        env.reset(seed=2**63 - 1)


@pytest.mark.parametrize(
    "mask", [np.array([True]), np.zeros(2, bool), np.array([1, 0]), [1, 0], "no", np.ones((2, 1), bool)], ids=str
)
def test_a_reset_mask_that_does_not_fit_is_named(mask, rows):
    with pytest.raises(ValueError, match=r"reset_mask.*\(2,\) bool"):
        rows.reset(options={"reset_mask": mask})


def test_what_is_no_control_and_no_options_is_named(rows):
    with pytest.raises(ValueError, match=r"control=None is no Control"):
        rows.step_control(None)
    with pytest.raises(ValueError, match=r"options=\[1\] must be a dict"):
        rows.reset(options=[1])


def test_the_first_reset_must_be_of_every_row():
    env = GANVectorEnv(2, autoreset_mode="Disabled", **SMALL)
    with pytest.raises(ValueError, match="first reset"):
        env.reset(options={"reset_mask": np.array([True, False])})


# Actions

BAD_BOX = [
    (np.zeros(2), "shape"),
    (np.zeros((2, 1, 1)), "shape"),
    (np.array([[np.nan]]), "NaN"),
    (np.array([[1.01]]), r"outside \[-1, 1\]"),
    (np.array([[-np.inf]]), r"outside \[-1, 1\]"),
    (np.array([[-128]], np.int8), r"outside \[-1, 1\]"),  # whose absolute value is itself
    (np.array([["0"]]), "type"),
    (np.array([[True]]), "type"),
    (None, "action"),
    ([[0.0], [0.0, 1.0]], "action"),
]
BAD_CHOICE = [
    (3, "not one of 0"),
    (-1, "not one of 0"),
    (1.0, "type"),
    (None, "action"),
    ("2", "type"),
    ([1, 2], "shape"),
]


@pytest.mark.parametrize("env_id", ["gan_env/LearningRate-v0", "gan_env/Joint-v0"])
@pytest.mark.parametrize(("action", "words"), BAD_BOX, ids=str)
def test_an_action_that_cannot_be_meant_is_named_and_changes_nothing(env_id, action, words):
    axes = gym.make(env_id, **SMALL).action_space.shape[0]
    env = GANVectorEnv(1, control=gan_env.ENV_IDS[env_id], **SMALL)
    env.reset(seed=0)
    if isinstance(action, np.ndarray) and action.shape == (1, 1):
        action = action.repeat(axes, 1)
    with pytest.raises(ValueError, match=words):
        env.step(action)
    assert env.trainer.updates.tolist() == [0]


@pytest.mark.parametrize(("action", "words"), BAD_CHOICE, ids=str)
def test_a_choice_that_cannot_be_meant_is_named(action, words):
    env = GANEnv(control="update-choice", **SMALL)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=words):
        env.step(action)


@pytest.mark.parametrize(
    ("control", "action", "said"),
    [
        ("learning-rate", 2, r"action has shape \(\); this environment needs \(1,\)"),
        ("update-choice", [1, 2], r"action has shape \(2,\); this environment needs \(\)"),
        ("learning-rate", [np.nan], r"action \[nan\] holds NaN"),
        ("learning-rate", [2.0], r"action \[2.\] lies outside \[-1, 1\]"),
    ],
    ids=str,
)
def test_a_single_environment_speaks_of_one_action_also_when_it_came_out_of_a_pickle_or_a_fork(control, action, said):
    env = GANEnv(control=control, **SMALL)
    env.reset(seed=0)
    for each in (env, env.fork(), pickle.loads(pickle.dumps(env))):
        with pytest.raises(ValueError, match=f"^{said}") as caught:
            each.step(action)
        assert "row" not in str(caught.value)


def test_the_row_of_a_bad_action_is_named(rows):
    with pytest.raises(ValueError, match="row 1"):
        rows.step(np.array([[0.0], [1.5]]))
    with pytest.raises(ValueError, match="row 1"):
        rows.step(np.array([[0.0], [np.nan]]))
    choices = GANVectorEnv(3, control="update-choice", **SMALL)
    choices.reset(seed=0)
    with pytest.raises(ValueError, match="action 5 of row 2 is not one of 0"):
        choices.step([0, 1, 5])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"update_g": False, "update_d": False}, "row 0 updates neither"),
        ({"d_multiplier": 0.0}, r"d_multiplier\[0\] is 0.0"),
        ({"d_multiplier": float("nan")}, r"d_multiplier\[0\] is nan"),
        ({"g_multiplier": torch.tensor([1.0, -1.0])}, r"g_multiplier\[1\] is -1.0"),
        ({"g_multiplier": float("inf")}, r"g_multiplier\[0\] is inf"),
    ],
    ids=str,
)
def test_a_control_that_cannot_be_meant_is_named(wrong, words, rows):
    with pytest.raises(ValueError, match=words):
        rows.step_control(Control.of(2, **wrong))
    with pytest.raises(ValueError, match=words):
        rows.encode(Control.of(2, **wrong))


def test_a_control_of_another_number_of_rows_is_refused(rows):
    with pytest.raises(ValueError, match="2 rows"):
        rows.step_control(Control.of(3))


@pytest.mark.parametrize("row", [2, -1, 0.5, "0", True, None])
def test_a_row_that_does_not_exist_is_named(row, rows):
    for ask in (rows.generator, rows.discriminator, rows.sample):
        with pytest.raises(ValueError, match=f"row={row!r}.*0 to 1"):
            ask(row)


# Rewards of one's own


def test_a_reward_without_finite_bounds_is_refused():
    from gan_env.envs.rewards import Reward

    for low, high in ((-np.inf, 0.0), (0.0, 0.0), (1.0, 0.0), (np.nan, 1.0)):
        with pytest.raises(ValueError, match="bounds"):
            Reward("mine", lambda outcome: outcome.g_losses[0], low, high)


def test_a_spec_given_by_name_and_by_record_is_the_same():
    assert OptimizerSpec.of("sgd") == OptimizerSpec.of({"name": "sgd"}) == OptimizerSpec.of(OptimizerSpec(name="sgd"))
