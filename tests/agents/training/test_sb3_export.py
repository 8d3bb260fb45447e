"""Promises of exports from Stable-Baselines3: a file decides as the model did, and no pickle is read unasked."""

import json
import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import gan_env  # noqa: F401  (importing registers the ids)
from agents import compare, load_controller
from agents.learned.sb3.actor import read_zip
from agents.learned.sb3.vec_env import SB3VecEnv
from agents.training.sb3_export import SaveController, controller_of
from gan_env.cli import main
from gan_env.envs.config import EnvConfig

GAME = {"task": "ring", "batch_size": 8, "episode_updates": 10, "score": False}
RELU = {"net_arch": [16, 8], "activation_fn": torch.nn.ReLU}
CASES = [
    (DDPG, "LearningRate", {}),
    (TD3, "Joint", {}),
    (SAC, "Joint", {}),
    (PPO, "LearningRate", {}),
    (PPO, "UpdateChoice", RELU),
    (A2C, "Joint", {}),
    (DQN, "UpdateChoice", {}),
]


def made(algorithm, name, policy=None, **settings):
    env = gym.make(f"gan_env/{name}-v0", **{**GAME, **settings})
    return algorithm("MlpPolicy", env, policy_kwargs=policy or {"net_arch": [16, 8]}, seed=0, device="cpu")


def assert_decides_alike(controller, model):
    space = model.observation_space
    seen = np.random.default_rng(0).uniform(space.low, space.high, (500, *space.shape)).astype(np.float32)
    assert np.array_equal(controller.actions(seen), model.predict(seen, deterministic=True)[0])


@pytest.mark.parametrize(("algorithm", "name", "policy"), CASES)
def test_a_zip_becomes_a_controller_file_that_decides_as_the_model_to_the_bit(
    algorithm, name, policy, tmp_path, capsys
):
    model = made(algorithm, name, policy)
    model.save(tmp_path / "mine.zip")
    out = tmp_path / "mine.safetensors"
    assert main(["export", "--trust-pickle", str(tmp_path / "mine.zip"), str(out), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"controller": str(out), "control": model.get_env().get_attr("control")[0]}
    assert "pickle" in printed.err
    controller = load_controller(out)
    assert controller.name == "mine" and controller.spec.control == model.get_env().get_attr("control")[0]
    assert_decides_alike(controller, model)


@pytest.mark.parametrize(("algorithm", "name"), [(TD3, "LearningRate"), (PPO, "UpdateChoice"), (PPO, "Joint")])
def test_what_was_exported_steers_in_the_benchmark(algorithm, name):
    controller = controller_of(made(algorithm, name))
    config = EnvConfig(task="ring", batch_size=8, episode_updates=4, score=False)
    rows = compare(config, {"mine": controller}, seeds=[0, 1], split="tune").rows
    assert [row["status"] for row in rows] == ["ok", "ok"]


def test_a_training_ends_with_a_controller_file_that_knows_its_game(tmp_path, capsys):
    settings = {
        "updates_per_step": 5,
        "d_lr_range": (0.1, 2.0),
        "features": ("g_loss", "progress"),
        "reward": "quality",
    }
    for number in (1, 2):  # nothing is overwritten
        model = made(TD3, "LearningRate", **settings)
        model.learn(4, callback=SaveController(tmp_path))
        path = tmp_path / f"td3-learning-rate-{number}.safetensors"
        assert str(path) in capsys.readouterr().out
        controller = load_controller(path)
        assert_decides_alike(controller, model)
        spec = controller.spec
        assert (spec.updates_per_step, spec.d_lr_range, spec.features) == (5, (0.1, 2.0), ("g_loss", "progress"))
        assert spec.signed_losses and spec.provenance["decisions"] == 4


def test_the_file_of_a_training_on_the_native_batch_is_of_the_same_kind(tmp_path):
    env = SB3VecEnv(gym.make_vec("gan_env/Joint-v0", num_envs=2, autoreset_mode="SameStep", **GAME))
    PPO("MlpPolicy", env, n_steps=2, batch_size=4, device="cpu").learn(4, callback=SaveController(tmp_path, verbose=0))
    assert load_controller(tmp_path / "ppo-joint-1.safetensors").spec.control == "joint"


def test_what_changes_observations_on_the_way_is_refused_before_training(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gym.make("gan_env/LearningRate-v0", **GAME)]))
    with pytest.raises(ValueError, match="norm_obs=False"):
        TD3("MlpPolicy", env, device="cpu").learn(4, callback=SaveController(tmp_path))
    env.norm_obs = False
    assert controller_of(TD3("MlpPolicy", env, device="cpu")).spec.control == "learning-rate"


def test_a_policy_that_is_more_than_plain_layers_is_refused_by_name():
    with pytest.raises(ValueError, match="log_std; only MlpPolicy without gSDE"):
        controller_of(PPO("MlpPolicy", gym.make("gan_env/Joint-v0", **GAME), use_sde=True, device="cpu"))
    with pytest.raises(ValueError, match="'gelu'"):
        controller_of(made(TD3, "Joint", {"net_arch": [8], "activation_fn": torch.nn.GELU}))


def test_no_zip_is_read_unless_it_is_trusted_by_name(tmp_path, capsys):
    (tmp_path / "mine.zip").write_bytes(b"anything")
    out = tmp_path / "mine.safetensors"
    assert main(["export", str(tmp_path / "mine.zip"), str(out)]) == 2
    assert "--trust-pickle" in capsys.readouterr().err and not out.exists()


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_even_a_trusted_zip_runs_no_code_of_its_own(tmp_path, capsys):
    """Both of its pickles are bombs here: that of the weights is refused, that of the settings not even read."""
    model, bomb = made(TD3, "LearningRate"), tmp_path / "exploded"
    model.save(tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        bad.writestr("data", good.read("data"))
        bad.writestr("policy.pth", pickle.dumps(_Bomb(str(bomb)), protocol=2))
    assert main(["export", "--trust-pickle", str(tmp_path / "bad.zip"), str(tmp_path / "bad.safetensors")]) == 2
    assert "bad.zip: no Stable-Baselines3 model" in capsys.readouterr().err and not bomb.exists()


def test_an_export_overwrites_nothing_and_says_what_is_wrong(tmp_path, capsys):
    model, out = made(TD3, "LearningRate"), tmp_path / "mine.safetensors"
    model.save(tmp_path / "mine.zip")
    out.write_text("precious")
    command = ["export", "--trust-pickle", str(tmp_path / "mine.zip")]
    assert main([*command, str(out)]) == 2 and out.read_text() == "precious"
    assert main([*command, str(tmp_path / "new"), "--features", "g_loss"]) == 2
    assert "layer 0 takes 1 numbers but has weight (16, 9)" in capsys.readouterr().err
    (tmp_path / "broken.zip").write_bytes((tmp_path / "mine.zip").read_bytes()[:-200])
    with pytest.raises(ValueError, match="broken.zip"):
        read_zip(tmp_path / "broken.zip")
