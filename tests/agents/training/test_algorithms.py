"""Promises of every algorithm of `gan-env train`: it resumes to the bit, and its file decides as it did."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import load_controller
from agents.learned.settings import DEFAULTS, AgentConfig
from agents.training.checkpoints import Checkpoints, Stop, Stopped
from agents.training.evolution_training import EvolutionTraining, play
from agents.training.main_job import resume, train
from agents.training.meta_training import MetaTraining, train_meta
from agents.training.train_config import TrainConfig, plain, read_config
from gan_env.cli import main
from gan_env.envs.config import EnvConfig
from gan_env.io.tensor_files import pack

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
GAME = EnvConfig(task="dirac", episode_updates=6, updates_per_step=2, reward="quality", quality_every=1)
OFF_POLICY = {"hidden": (8,), "learning_starts": 12, "batch_size": 8, "buffer_size": 60}
DDPGS_PAPER = {"actor_learning_rate": 2e-4, "last_layer": 0.003}
OWN = {
    "ddpg": OFF_POLICY, "td3": OFF_POLICY | DDPGS_PAPER, "sac": OFF_POLICY, "dqn": OFF_POLICY,
    "ppo": {"hidden": (8,), "n_steps": 3}, "es": {"population": 4, "seeds": 2},
}  # fmt: skip
CASES = [
    ("ddpg", "rates", False), ("ddpg", "learning-rate", True), ("td3", "rates", False), ("td3", "joint", True),
    ("sac", "rates", False), ("sac", "rates", True), ("ppo", "joint", False), ("ppo", "update-choice", True),
    ("dqn", "update-choice", False), ("dqn", "update-choice", True), ("es", "rates", False),
    ("es", "update-choice", False),
]  # fmt: skip


def tiny(algorithm: str, control: str, normalise: bool = False) -> TrainConfig:
    return TrainConfig(
        env=GAME, agent=AgentConfig(**OWN[algorithm]), algorithm=algorithm, control=control, decisions=90, num_envs=3,
        normalise_returns=normalise, evaluate_seeds=2, controllers=(), progress=False,
    )  # fmt: skip


def without_times(tree):
    """The state of a training without how long episodes took and which files of logs there are."""
    tree = {name: value for name, value in tree.items() if name != "logs"}
    if "model" in tree:
        episodes = [{k: v for k, v in each.items() if k != "t"} for each in tree["model"]["episodes"]]
        log = {"values": {k: v for k, v in tree["model"]["log"]["values"].items() if not k.startswith("time/")}}
        tree["model"] = tree["model"] | {"episodes": episodes, "log": log}
    return tree


def same_trees(one, other) -> bool:
    (a, tensors), (b, others) = pack(one), pack(other)
    return a == b and tensors.keys() == others.keys() and all(torch.equal(t, others[n]) for n, t in tensors.items())


def asks_after(calls: int):
    """A `Stop` that is asked at the given place where a training can be saved."""

    class Asked(Stop):
        places = 0

        @property
        def asked(self):
            self.places += 1
            return self.places > calls

        @asked.setter
        def asked(self, value):
            pass

    return Asked("stopped")


@pytest.mark.parametrize(("algorithm", "control", "normalise"), CASES)
def test_stopped_anywhere_a_training_ends_as_if_it_had_not_been(algorithm, control, normalise, tmp_path):
    config = tiny(algorithm, control, normalise)
    straight = (EvolutionTraining if algorithm == "es" else MetaTraining)(config)
    straight.run()
    for calls in (1, 2, 1):
        with pytest.raises(Stopped):
            train_meta(config, None, Checkpoints(tmp_path, 3600.0), asks_after(calls))
    keeper = Checkpoints(tmp_path, 3600.0)
    policies = train_meta(config, None, keeper)
    end = keeper.load()["training"]
    ours, theirs = without_times(end), without_times(straight.state())
    for name in theirs:
        assert same_trees(ours[name], theirs[name]), name
    for one, other in zip(policies, straight.policies(), strict=True):
        for (weight, bias), (w, b) in zip(one.layers, other.layers, strict=True):
            assert torch.equal(weight, w) and torch.equal(bias, b)
    assert not torch.equal(policies[0].layers[-1][0], policies[1].layers[-1][0])  # it learned something


@pytest.mark.parametrize(
    ("algorithm", "control"), [("td3", "rates"), ("sac", "joint"), ("ppo", "rates"), ("ppo", "update-choice"),
                               ("dqn", "update-choice")],
)  # fmt: skip
def test_the_exported_policy_decides_as_the_model_to_the_bit(algorithm, control):
    training = MetaTraining(tiny(algorithm, control))
    training.run()
    space = training.env.single_observation_space
    seen = np.random.default_rng(0).uniform(space.low, space.high, (300, *space.shape)).astype(np.float32)
    for policy in training.policies()[:1]:
        assert np.array_equal(policy.actions(seen), training.model.predict(seen, deterministic=True)[0])


@pytest.mark.parametrize("control", ["rates", "update-choice"])
def test_an_evolved_policy_decides_in_a_file_as_it_did_in_training(control):
    training = EvolutionTraining(tiny("es", control))
    training.run()
    policy, start = training.policies()
    seen = np.random.default_rng(0).normal(size=(50, policy.layers[0][0].shape[1])).astype(np.float32)
    layers = training.shape.split(training.search.mean[None])
    expected = training.shape.outputs(layers, seen[None])[0]
    found = policy.actions(seen)
    if control == "rates":
        assert np.allclose(found, np.tanh(expected), atol=1e-6)
        assert not start.actions(seen).any()  # the neutral action
    else:
        assert (found == expected.argmax(1)).all() and (start.actions(seen) == 2).all()


@pytest.mark.slow
def test_worker_processes_evolve_the_same_policy_as_one(tmp_path):
    config = replace(tiny("es", "rates"), agent=AgentConfig(population=4, seeds=20), decisions=240 * 2)
    one = train_meta(config)[0]
    two = train_meta(replace(config, jobs=2))[0]
    assert torch.equal(one.layers[0][0], two.layers[0][0]) and one.layers[0][0].abs().sum() > 0


def test_all_policies_of_a_generation_train_the_same_gans_in_any_company():
    training = EvolutionTraining(tiny("es", "rates"))
    (job,) = training._ask()
    whole = play(job)
    for at in range(len(job.vectors)):
        alone = play(replace(job, vectors=job.vectors[at : at + 1]))
        assert np.allclose(alone.returns[0], whole.returns[at], rtol=1e-5)
    same = play(replace(job, vectors=np.repeat(job.vectors[:1], 4, 0)))
    assert (same.returns == same.returns[0]).all() and len(set(same.returns[0])) == len(job.seeds)
    assert not np.array_equal(play(replace(job, episode=1)).returns, whole.returns)


def test_a_gan_that_fails_is_paid_once_and_the_others_go_on():
    # dirac with a loss bound that fast rates pass: some rows fail early, others never.
    game = replace(GAME, episode_updates=60, loss_bound=3.0, reward="final_quality", d_lr=0.5, g_lr=0.5)
    training = EvolutionTraining(
        replace(tiny("es", "rates"), env=game, agent=AgentConfig(population=8, seeds=4, sigma=2.0))
    )
    (job,) = training._ask()
    found = play(job)
    assert 0 < found.failed.sum() < found.failed.size
    assert np.allclose(found.returns[found.failed], training.env.reward.low)
    assert (found.returns[~found.failed] > training.env.reward.low).all()
    assert len(found.taken) < found.failed.size * 30


def test_a_failed_evaluation_is_told_and_costs_nothing_that_was_saved(tmp_path, monkeypatch):
    import agents.training.evolution_training as evolution

    def fails(job, progress):
        raise MemoryError("no room")

    monkeypatch.setattr(evolution, "play", fails)
    with pytest.raises(RuntimeError, match="generation 1.*MemoryError: no room"):
        train_meta(tiny("es", "rates"), None, Checkpoints(tmp_path, 3600.0))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"algorithm": "dqn"}, "algorithm='dqn' cannot decide control='learning-rate'; use ddpg, td3, sac, ppo, es"),
        ({"algorithm": "td3", "control": "update-choice"}, "use dqn, ppo, es, or control learning-rate"),
        ({"algorithm": "a2c"}, "algorithm 'a2c'"),
        ({"algorithm": "ppo", "agent": AgentConfig(tau=0.1)}, "tau=0.1 is no setting of algorithm='ppo'"),
        ({"algorithm": "sac", "agent": AgentConfig(noise=0.1)}, "use ddpg, td3"),
        ({"algorithm": "td3", "agent": AgentConfig(hidden=())}, "es alone has"),
        ({"algorithm": "ppo", "agent": AgentConfig(batch_size=7)}, "batch_size=7 does not divide"),
        ({"algorithm": "es", "normalise_returns": True}, "normalise_returns=True"),
        ({"algorithm": "td3", "mode": "embedded"}, "mode='embedded' is FSCO's own"),
        ({"jobs": 2}, "jobs=2"),
        ({"also": "loss_gap"}, "also='loss_gap'"),
        ({"also": "qualty"}, "did you mean 'quality'"),
        ({"algorithm": "es", "address": "auto"}, "give executor ray"),
    ],
)
def test_what_does_not_fit_is_refused_on_one_line_with_the_way_out(wrong, named):
    with pytest.raises(ValueError, match=".") as caught:
        TrainConfig(**wrong)
    assert named in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"population": 5},
        {"sigma": 0.0},
        {"n_steps": 1},
        {"entropy": -1.0},
        {"exploration": 2.0},
        {"seeds": 0},
        {"last_layer": 0.0},
        {"actor_learning_rate": -1.0},
    ],
)
def test_a_setting_that_cannot_work_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AgentConfig(**wrong)


def test_every_committed_training_is_read():
    folders = [file.parent for file in (RESULTS / "quality-paid").glob("*/config.json")] + [RESULTS / "train-digits"]
    assert len(folders) > 20
    for folder in folders:
        assert read_config(folder / "config.json").decisions >= 4_000, folder


def test_a_run_begun_before_an_actor_had_a_rate_of_its_own_is_read_as_it_was(tmp_path):
    held = plain(tiny("ddpg", "rates"))
    for name in DDPGS_PAPER:
        del held["agent"][name]
    (tmp_path / "config.json").write_text(json.dumps(held))
    assert read_config(tmp_path / "config.json") == tiny("ddpg", "rates")


@pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
def test_last_layers_start_within_the_width_that_is_asked_for_and_the_actor_keeps_its_own_rate(algorithm):
    own = AgentConfig(**OFF_POLICY, **DDPGS_PAPER)
    training = MetaTraining(replace(tiny(algorithm, "rates"), agent=own))
    model = training.model
    for network in (model.actor.mu, model.actor_target.mu, *model.critic.q_networks, *model.critic_target.q_networks):
        last = [layer for layer in network if isinstance(layer, torch.nn.Linear)][-1]
        assert 0 < max(part.abs().max() for part in (last.weight, last.bias)) <= 0.003
    assert torch.equal(model.actor.mu[-2].weight, model.actor_target.mu[-2].weight)
    training.run()
    assert model.num_timesteps > OFF_POLICY["learning_starts"]
    assert [group["lr"] for group in model.actor.optimizer.param_groups] == [2e-4]
    assert [group["lr"] for group in model.critic.optimizer.param_groups] == [1e-3]


def test_every_default_is_a_setting_that_can_be_given():
    for algorithm, defaults in DEFAULTS.items():
        given = {name: value for name, value in defaults.items() if value is not None}
        assert AgentConfig(**given).of(algorithm) == AgentConfig().of(algorithm)


def test_a_run_begun_before_there_were_other_algorithms_is_read_as_it_was(tmp_path):
    held = plain(TrainConfig())
    for name in ("algorithm", "also", "normalise_returns", "jobs", "executor", "address"):
        del held[name]
    held["agent"] = {"learning_rate": 1e-3, "noise": 0.2, "hidden": [64, 64], "features": ["g_loss"],
                     "d_lr_range": [0.1, 10.0], "d_loss_scale": "mean", "updates_per_step": 1}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(held))
    config = read_config(tmp_path / "config.json")
    assert (config.algorithm, config.also, config.settings["noise"]) == ("ddpg", None, 0.2)


@pytest.mark.parametrize(("algorithm", "control"), [("sac", "rates"), ("dqn", "update-choice"), ("es", "rates")])
def test_all_write_the_same_folder(algorithm, control, tmp_path, capsys):
    own = {"es": ["--population", "4", "--seeds", "2"]}.get(algorithm, ["--num-envs", "3", "--learning-starts", "12"])
    call = ["train", "--task", "dirac", "--episode-updates", "6", "--updates-per-step", "2", "--decisions", "90",
            "--evaluate-seeds", "3", "--controllers", "sim-gda", "--no-progress"]  # fmt: skip
    reward = [] if algorithm == "es" else ["--reward", "log_quality"]
    out = tmp_path / "run"
    assert main([*call, *own, *reward, "--algorithm", algorithm, "--control", control, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"{algorithm} (meta) minus its own untrained actor" in said and "variance of its actions" in said
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", "agent.safetensors", "config.json", "curves.png", "learning.png", "policy.json", "rows.jsonl",
        "samples.png", "scores.png", "table.txt", "tensorboard",
    ]  # fmt: skip
    assert load_controller(out / "agent.safetensors").spec.control == control
    config = read_config(out / "config.json")
    assert config.env.reward == ("final_quality" if algorithm == "es" else "log_quality") and config.also is None


def test_resume_changes_nothing_that_decides_the_result(tmp_path):
    config = replace(tiny("ddpg", "rates"), out=tmp_path / "run")
    train(config, say=lambda text: None)
    with pytest.raises(ValueError, match="decisions=7 does not go with resume"):
        resume(tmp_path / "run", decisions=7)
