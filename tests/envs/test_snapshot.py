"""Promises of snapshots: run, snapshot, restore and go on is to run straight through; a fork's parent never notices."""

import itertools
import json
import multiprocessing
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from torch import nn

import gan_env
from gan_env import Control, GANVectorEnv, Snapshot, SnapshotError, Task
from gan_env.io.tensor_files import write_tensors
from gan_env.training.snapshot import FORMAT, VERSION
from tests.support.own_task import OWN

IDS = list(gan_env.ENV_IDS)
SHORT = {"batch_size": 8, "episode_updates": 6, "score": False, "d_lr": 3e-3, "g_lr": 3e-3}
MODES = ("NextStep", "SameStep")


def points(seed: int = 0) -> torch.Tensor:
    return torch.randn(200, 2, generator=torch.Generator().manual_seed(seed))


def make(env_id: str = IDS[0], rows: int = 3, **settings):
    settings = {"task": "ring"} | SHORT | settings
    return gym.make_vec(env_id, num_envs=rows, **settings)


def actions(env, decisions: int, seed: int = 0) -> list:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(decisions)]


def assert_same(ours, theirs) -> None:
    """Results of a step or a reset, to the bit, `info` and all that it holds included."""
    assert type(ours) is type(theirs)
    if isinstance(ours, (tuple, list)):
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert_same(value, theirs[name])
    elif isinstance(ours, np.ndarray) and ours.dtype == object:
        assert_same(ours.tolist(), theirs.tolist())
    else:
        np.testing.assert_array_equal(ours, theirs)


def assert_alike(ours, theirs) -> None:
    a, b = ours.snapshot(), theirs.snapshot()
    assert a.settings == b.settings and a.np_random == b.np_random and a.rows.keys() == b.rows.keys()
    for name, value in a.rows.items():
        assert torch.equal(value, b.rows[name]) or bool(value.isnan().any()), name


def go_on(env, plan: list) -> list:
    return [env.step(action) for action in plan]


GAMES = {
    "ring": {"task": "ring"},
    "ring, portable": {"task": "ring", "features": "portable"},
    "ring, penalty": {"task": "ring", "loss": "wgan-gp", "reward": "quality", "quality_every": 2},
    "ring, noise": {"task": "ring", "loss": "instance-noise", "optimizer": "rmsprop"},
    "dirac": {"task": "dirac", "loss": "wgan", "normalise": True, "d_lr": 0.1, "g_lr": 0.1, "track_quality": True},
    "digits": {"task": "digits", "reward": "quality_gain", "quality_every": 3},
    "running statistics": {"task": OWN, "order": "alternating"},
    "sgd": {"task": "ring", "optimizer": "sgd", "order": "alternating", "reward": "log_quality_gain"},
    "spectral": {"task": "ring", "loss": "sn", "dtype": "float64"},
}


cases = {
    "env_id": st.sampled_from(IDS),
    "game": st.sampled_from(sorted(GAMES)),
    "rows": st.integers(1, 4),
    "mode": st.sampled_from(MODES),
    "updates_per_step": st.sampled_from([1, 2, 3]),
    "moment": st.integers(0, 9),
    "seed": st.integers(0, 2**31),
    "through_file": st.booleans(),
}


def round_trip(tmp_path, through_file: bool):
    def through(kept: Snapshot) -> Snapshot:
        if not through_file:
            return kept
        kept.save(tmp_path / "kept.safetensors")
        return Snapshot.load(tmp_path / "kept.safetensors")

    return through


@pytest.mark.filterwarnings("ignore:Normed keeps state")
def check_case(tmp_path, env_id, game, rows, mode, updates_per_step, moment, seed, through_file):
    build = lambda: make(env_id, rows, autoreset_mode=mode, updates_per_step=updates_per_step, **GAMES[game])  # noqa: E731
    env, twin = build(), build()
    plan = actions(env, moment + 6, seed % 1000)
    env.reset(seed=seed)
    go_on(env, plan[:moment])
    kept = round_trip(tmp_path, through_file)(env.snapshot())
    straight = go_on(env, plan[moment:])
    twin.restore(kept)
    for ours, theirs in zip(straight, go_on(twin, plan[moment:]), strict=True):
        assert_same(ours, theirs)
    assert_alike(env, twin)
    assert_same((env.reset()[0], {}), (twin.reset()[0], {}))  # unseeded: each row's own next episode


quick = effort(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.filterwarnings("ignore:Normed keeps state")
@quick
@given(**cases)
def test_going_on_from_a_snapshot_is_to_run_straight_through(tmp_path_factory, **case):
    check_case(tmp_path_factory.mktemp("case"), **case)


@pytest.mark.endurance
@pytest.mark.filterwarnings("ignore:Normed keeps state")
@effort(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(**cases)
def test_going_on_from_any_snapshot_is_to_run_straight_through(tmp_path_factory, **case):
    check_case(tmp_path_factory.mktemp("case"), **case)


@pytest.mark.filterwarnings("ignore:Normed keeps state")
@pytest.mark.parametrize("game", ["ring", "running statistics", "dirac"])
def test_a_single_environment_goes_on_from_its_snapshot(game):
    settings = SHORT | GAMES[game]
    env, twin = (gym.make(IDS[0], **settings).unwrapped for _ in range(2))
    env.reset(seed=2)
    plan = actions(env, 6)
    go_on(env, plan[:3])
    kept = env.snapshot()
    straight = go_on(env, plan[3:])
    twin.restore(kept)
    for ours, theirs in zip(straight, go_on(twin, plan[3:]), strict=True):
        assert_same(ours, theirs)
    assert env.np_random.random() == twin.np_random.random()


def continued(path: str, plan: list, answer) -> None:
    torch.set_num_threads(1)
    env = make(rows=2, reward="quality")
    env.restore(Snapshot.load(path))
    answer.put([[np.asarray(part) for part in step[:4]] for step in go_on(env, plan)])


def test_another_process_goes_on_from_the_file(tmp_path):
    env = make(rows=2, reward="quality")
    env.reset(seed=3)
    plan = actions(env, 7)
    go_on(env, plan[:2])
    env.snapshot().save(tmp_path / "kept.safetensors")
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    other = context.Process(target=continued, args=(str(tmp_path / "kept.safetensors"), plan[2:], answer))
    other.start()
    theirs = answer.get(timeout=120)
    other.join()
    for step, found in zip(go_on(env, plan[2:]), theirs, strict=True):
        for a, b in zip(step[:4], found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_row_moves_to_another_place_and_another_number_of_rows():
    env = make(rows=3, dtype="float64")
    env.reset(seed=0)
    go_on(env, actions(env, 2))
    kept = env.snapshot([1])
    other = make(rows=2, dtype="float64")
    other.reset(seed=50)
    neighbour = other.snapshot([1])
    other.restore(kept, [0])
    assert all(torch.equal(value, neighbour.rows[name]) for name, value in other.snapshot([1]).rows.items())
    alone = gym.make(IDS[0], task="ring", dtype="float64", **SHORT).unwrapped
    alone.restore(kept)
    action = np.full((3, 1), 0.4, np.float32)
    for _ in range(3):
        ours, theirs, single = env.step(action), other.step(action[:2]), alone.step(action[0])
        np.testing.assert_allclose(theirs[0][0], ours[0][1], rtol=0, atol=1e-9)
        np.testing.assert_allclose(single[0], ours[0][1], rtol=0, atol=1e-9)
        assert theirs[1][0] == pytest.approx(ours[1][1], abs=1e-9) and single[1] == pytest.approx(ours[1][1], abs=1e-9)


def test_branches_of_a_fork_stay_equal_under_the_same_actions_and_leave_their_parent_untouched():
    env = make(rows=2)
    env.reset(seed=0)
    plan = actions(env, 8)
    go_on(env, plan[:3])
    before = env.snapshot()
    one, other = env.fork(), env.fork()
    assert one.trainer.task is env.trainer.task
    for action in plan[3:]:
        assert_same(one.step(action), other.step(action))
    different = env.fork()
    go_on(different, [-action for action in plan[3:]])
    assert not torch.equal(different.trainer.d.flat, one.trainer.d.flat)
    assert all(torch.equal(value, before.rows[name]) for name, value in env.snapshot().rows.items())
    for action, branch in zip(plan[3:], itertools.repeat(env.fork()), strict=False):
        assert_same(env.step(action), branch.step(action))
    assert_alike(env, one)


def test_a_fork_of_chosen_rows_has_them_in_that_order():
    env = make(rows=3)
    env.reset(seed=0)
    go_on(env, actions(env, 2))
    branch = env.fork([2, 0, 2, 2])
    assert branch.num_envs == 4 and branch.trainer.seed.tolist() == [2, 0, 2, 2]
    assert branch.action_space.shape == (4, 1) and branch.single_action_space == env.single_action_space
    observations = branch.step(np.full((4, 1), 0.3, np.float32))[0]
    np.testing.assert_array_equal(observations[2], observations[3])
    again = branch.fork()
    assert_same(again.step(np.zeros((4, 1))), branch.step(np.zeros((4, 1))))


def test_a_fork_draws_its_actions_for_itself():
    env = make(rows=2)
    env.reset(seed=0)
    env.action_space.seed(1)
    branch = env.fork()
    branch.action_space.seed(1)
    first = branch.action_space.sample()
    assert np.array_equal(env.action_space.sample(), first)
    single = gym.make(IDS[0], task="ring", **SHORT).unwrapped
    single.reset(seed=0)
    twin = single.fork()
    assert_same(single.step(np.zeros(1)), twin.step(np.zeros(1)))
    assert twin.action_space is not single.action_space


def test_pictures_go_on_with_their_history():
    env = make(rows=2, render_mode="rgb_array")
    env.reset(seed=0)
    go_on(env, actions(env, 3))
    twin = make(rows=2, render_mode="rgb_array")
    twin.restore(env.snapshot())
    for ours, theirs in zip(env.render(), twin.render(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    blind = make(rows=2)
    blind.restore(env.snapshot())
    twin.restore(blind.snapshot())
    assert len(twin.render()) == 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"d_lr": 1e-3}, "d_lr=0.003"),
        ({"batch_size": 9}, "batch_size"),
        ({"loss": "lsgan"}, "loss"),
        ({"task": "circle"}, "task='ring'"),
        ({"reward": "quality"}, "reward"),
        ({"optimizer": {"betas": (0.9, 0.99)}}, "optimizer"),
        ({"features": ("g_loss",)}, "features"),
        ({"dtype": "float64"}, "dtype='float32'"),
    ],
)
def test_an_environment_with_other_settings_refuses_and_stays_as_it_was(settings, named):
    env, other = make(), make(**settings)
    env.reset(seed=0), other.reset(seed=9)
    other.step(np.zeros((3, 1)))
    before = other.snapshot()
    with pytest.raises(SnapshotError, match=named):
        other.restore(env.snapshot())
    assert all(torch.equal(value, before.rows[name]) for name, value in other.snapshot().rows.items())


def test_two_own_tasks_of_one_name_are_told_apart():
    def own(seed: int, activation=nn.ReLU) -> Task:
        return Task(
            generator=lambda: nn.Sequential(nn.Linear(4, 8), activation(), nn.Linear(8, 2)),
            discriminator=lambda: nn.Sequential(nn.Linear(2, 8), activation(), nn.Linear(8, 1)),
            data=points(seed),
            latent_size=4,
        )

    env = make(task=own(0))
    env.reset(seed=0)
    make(task=own(0)).restore(env.snapshot())
    for other in (own(1), own(0, nn.Tanh)):
        with pytest.raises(SnapshotError, match="task='custom"):
            make(task=other).restore(env.snapshot())


def test_after_a_decision_that_was_cut_short_the_next_one_is_made_on_what_is_there(monkeypatch):
    env, twin = make(rows=2, engine="torch"), make(rows=2, engine="torch")
    env.reset(seed=0)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(env.trainer.g_optimizer, "step", interrupted)  # D has stepped by then
        env.step(np.zeros((2, 1)))
    twin.restore(env.snapshot())
    assert_same(env.step(np.zeros((2, 1))), twin.step(np.zeros((2, 1))))


def test_settings_written_out_are_the_same_as_those_left_to_the_task():
    env, other = make(), make(optimizer="adam", loss="bce", dtype="float32", order="simultaneous", device="cpu")
    if env.settings["device"] == "cpu":
        env.reset(seed=0)
        other.restore(env.snapshot())
        assert torch.equal(other.trainer.g.flat, env.trainer.g.flat)


def test_an_id_refuses_the_snapshot_of_another():
    env, other = make(IDS[0]), make(IDS[2])
    env.reset(seed=0)
    with pytest.raises(SnapshotError, match="control='learning-rate'"):
        other.restore(env.snapshot())


def spoilt(kept: Snapshot, name: str, value) -> Snapshot:
    tensor = kept.rows[name].clone()
    tensor[0] = value
    return replace(kept, rows=kept.rows | {name: tensor})


def test_what_no_environment_could_have_said_is_refused_and_nothing_changes():
    env = make()
    env.reset(seed=0)
    kept = env.snapshot()
    env.step(np.zeros((3, 1)))
    before = env.snapshot()
    bad = [
        spoilt(kept, "updates", -1),
        spoilt(kept, "updates", 7),
        spoilt(kept, "env.decisions", 2**62),
        spoilt(kept, "seed", -5),
        spoilt(kept, "g.lr", float("nan")),
        spoilt(kept, "d.lr", -1.0),
        spoilt(kept, "env.quality", float("inf")),
        replace(kept, rows={k: v for k, v in kept.rows.items() if k != "d.flat"}),
        replace(kept, rows=kept.rows | {"g.flat": kept.rows["g.flat"].double()}),
        replace(kept, rows=kept.rows | {"g.flat": kept.rows["g.flat"][:, 1:]}),
        replace(kept, np_random={"seed": 0, "state": {"bit_generator": "MT19937"}}),
        replace(kept, np_random={}),
        env.snapshot([0, 1]),
        {"not": "a snapshot"},
    ]
    for snapshot in bad:
        with pytest.raises(SnapshotError) as caught:
            env.restore(snapshot)
        assert "\n" not in str(caught.value)
        assert all(torch.equal(value, before.rows[name]) for name, value in env.snapshot().rows.items())
    for rows in ([0, 3], [-1], [], [0.5], [[0]], "ab"):
        with pytest.raises(ValueError, match="rows"):
            env.snapshot(rows)
    with pytest.raises(SnapshotError, match="twice"):
        env.restore(env.snapshot([0, 0]), [1, 1])


def test_before_the_first_reset_there_is_nothing_to_take():
    for env in (make(), gym.make(IDS[0], task="ring", **SHORT).unwrapped):
        for take in (env.snapshot, env.fork):
            with pytest.raises(gym.error.ResetNeeded):
                take()
    ready = make()
    ready.reset(seed=0)
    with pytest.raises(gym.error.ResetNeeded):
        make().restore(ready.snapshot([0]), [0])


def test_an_ended_row_is_no_start_for_an_environment_that_resets_at_once():
    env = make(autoreset_mode="NextStep")
    env.reset(seed=0)
    go_on(env, actions(env, 6))
    with pytest.raises(SnapshotError, match="SameStep"):
        make(autoreset_mode="SameStep").restore(env.snapshot())


@pytest.mark.parametrize("how", ["truncated", "altered", "other", "version", "missing", "no rows", "empty"])
def test_any_other_file_raises_the_one_error(tmp_path, how):
    env = make(rows=1)
    env.reset(seed=0)
    kept, path = env.snapshot(), tmp_path / "kept.safetensors"
    kept.save(path)
    content = {"settings": kept.settings, "np_random": None}
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-7])
    elif how == "altered":
        whole = bytearray(path.read_bytes())
        whole[-9] ^= 1
        path.write_bytes(bytes(whole))
    elif how == "other":
        write_tensors(path, "gan-env controller", VERSION, content, kept.rows)
    elif how == "version":
        write_tensors(path, FORMAT, VERSION + 1, content, kept.rows)
    elif how == "missing":
        path.unlink()
    elif how == "no rows":
        write_tensors(path, FORMAT, VERSION, content, {"x": torch.zeros(1)})
    else:
        path.write_bytes(b"")
    with pytest.raises(SnapshotError, match="kept.safetensors") as caught:
        Snapshot.load(path)
    assert "\n" not in str(caught.value)


def test_a_snapshot_file_holds_tensors_and_json_alone(tmp_path):
    env = make(rows=2)
    env.reset(seed=0)
    env.snapshot().save(tmp_path / "kept.safetensors")
    raw = (tmp_path / "kept.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["gan_env"])["settings"]["task"] == "ring"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.safetensors"]


def test_a_control_given_after_a_restore_does_what_it_would_have_done():
    env = make(rows=2)
    env.reset(seed=0)
    env.step_control(Control.of(2, reuse_real=True))
    kept = env.snapshot()
    first = env.step_control(Control.of(2, update_d=False))
    env.restore(kept)
    assert_same(first, env.step_control(Control.of(2, update_d=False)))


def test_closing_twice_is_harmless():
    for env in (make(rows=1), gym.make(IDS[0], task="ring", **SHORT), GANVectorEnv(1, **SHORT)):
        env.reset(seed=0)
        env.close()
        env.close()
        assert env.unwrapped.trainer.updates.sum() == 0  # still there to be looked at
