"""Promises of snapshots, forks, recordings and look-ahead: nothing leaks, and what is repeated is repeated exactly."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from agents import ControllerFileError, compare, make_controller
from agents.report.text import summary
from agents.rules.replay import Recorder, Replay
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv, make_trainer
from gan_env.random.streams import Purpose
from gan_env.tasks.task import TASKS
from gan_env.training.snapshot import fork, restore, snapshot
from gan_env.types import Control, GameFacts

SEEDS = np.array([4, 5, 6])


def started(rows: int = 3, **settings):
    settings = {"task": "ring", "batch_size": 16, "d_lr": 3e-3, "g_lr": 3e-3, "episode_updates": 40} | settings
    trainer = make_trainer(EnvConfig(**settings), rows)
    trainer.reset(SEEDS[:rows], np.zeros(rows, np.int64))
    return trainer


def run(trainer, controller, updates: int) -> None:
    for _ in range(updates):
        trainer.advance(controller.act(trainer.measurement))


def ready(name: str, trainer, **options):
    controller = make_controller(name, **options)
    if hasattr(controller, "bind"):
        controller.bind(trainer)
    controller.reset(trainer.seed.tolist(), trainer.facts)
    return controller


def assert_same_bits(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


# Snapshots and forks


@pytest.mark.parametrize("loss", ["bce", "wgan-gp", "instance-noise", "wgan"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_restored_trainer_goes_on_to_the_bit(loss, optimizer):
    trainer = started(loss=loss, optimizer=optimizer)
    order = ready("dyn-gda", trainer)  # real batches kept, players resting: every counter differs
    run(trainer, order, 11)
    kept = snapshot(trainer)
    measured = trainer.measurement.state()
    run(trainer, ready("random-order:0.5", trainer), 9)
    first = snapshot(trainer)
    restore(trainer, kept)
    assert_same_bits(trainer.measurement.state(), measured)
    assert_same_bits(snapshot(trainer), kept)
    run(trainer, ready("random-order:0.5", trainer), 9)
    assert_same_bits(snapshot(trainer), first)


def test_a_snapshot_of_some_rows_moves_them_alone_and_to_any_place():
    trainer = started()
    run(trainer, ready("sim-gda", trainer), 5)
    kept = snapshot(trainer, [1])
    run(trainer, ready("sim-gda", trainer), 5)
    before = snapshot(trainer)
    restore(trainer, kept, [2])
    after = snapshot(trainer)
    for name, value in after.items():
        assert torch.equal(value[:2], before[name][:2]) and torch.equal(value[2], kept[name][0])
    assert trainer.seed.tolist() == [4, 5, 5]


def test_a_fork_meets_what_its_original_will_and_leaves_it_alone():
    trainer = started(dtype="float64")
    run(trainer, ready("sim-gda", trainer), 7)
    before = snapshot(trainer)
    branch = fork(trainer, [2, 0, 2])
    run(branch, ready("sim-gda", branch), 20)
    assert_same_bits(snapshot(trainer), before)
    run(trainer, ready("sim-gda", trainer), 20)
    for name, value in snapshot(trainer, [2, 0, 2]).items():  # rounding depends on the place among the rows
        torch.testing.assert_close(snapshot(branch)[name], value, rtol=0, atol=1e-9)


def test_a_snapshot_that_does_not_fit_is_refused():
    trainer = started()
    kept = snapshot(trainer)
    for other, rows, message in (
        (started(optimizer="sgd"), None, "differ in their setup"),
        (started(dtype="float64"), None, "torch.float32"),
        (trainer, [0, 1], r"2 rows here need"),
        (trainer, [0, 1, 3], "rows from 0 to 2"),
        (trainer, [], "at least one"),
    ):
        with pytest.raises(ValueError, match=message):
            restore(other, kept, rows)


# Look-ahead


def test_look_ahead_keeps_the_candidate_with_the_best_validation_quality_and_touches_nothing():
    trainer = started()
    run(trainer, ready("sim-gda", trainer), 20)
    before = snapshot(trainer)
    controller = ready("lookahead", trainer, candidates=(0.1, 1.0, 10.0), horizon=15)
    control = controller.act(trainer.measurement)
    assert_same_bits(snapshot(trainer), before)
    quality, found = trainer.task.quality, []
    for candidate in (0.1, 1.0, 10.0):
        restore(trainer, before)
        trainer.advance(Control.of(3, d_multiplier=candidate), 15)
        found.append(quality(trainer.samples(quality.samples, Purpose.QUALITY)))
    best = torch.stack(found).argmin(0)
    assert control.d_multiplier.tolist() == [(0.1, 1.0, 10.0)[i] for i in best]
    assert control.update_d.all() and control.update_g.all() and (control.g_multiplier == 1).all()


def test_look_ahead_decides_anew_after_its_horizon_and_holds_in_between(monkeypatch):
    trainer = started(rows=1)
    controller = ready("lookahead", trainer, horizon=10)
    asked = []
    monkeypatch.setattr(controller, "try_out", lambda t: (asked.append(int(t.updates[0])), torch.ones(1, 5))[1])
    for _ in range(30):
        control = controller.act(trainer.measurement)
        assert control.d_multiplier.item() == 1.0  # on a tie the rate stays as it is
        trainer.advance(control)
    assert asked == [0, 10, 20]


def test_look_ahead_prefers_what_is_defined_and_bears_a_dead_row():
    trainer = started()
    trainer.g.flat[1] = math.nan
    trainer.look()
    controller = ready("lookahead", trainer, horizon=2)
    controller.act(trainer.measurement).check(3)


def test_look_ahead_runs_in_the_environment_and_says_what_it_needs():
    env = GANVectorEnv(2, task="ring", batch_size=16, episode_updates=20, score=False)
    controller = make_controller("lookahead", horizon=10, candidates=[0.5, 2])
    with pytest.raises(ValueError, match=r"call bind\(env.unwrapped.trainer\) before reset"):
        controller.reset([0, 1], env.facts)
    controller.bind(env.unwrapped.trainer)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="bound to 2 rows and was given 3"):
        controller.reset([0, 1, 2], env.facts)
    controller.reset([0, 1], env.facts)
    for _ in range(20):
        env.step_control(controller.act(env.measurement))
    for options, message in (({"horizon": 0}, "horizon=0"), ({"candidates": [0.0]}, r"candidates=\(0.0,\)")):
        with pytest.raises(ValueError, match=message):
            make_controller("lookahead", **options)


class Middle:
    """A score that takes no time: how far the samples' mean is from the origin."""

    name, samples = "middle", 16

    def __call__(self, fake: torch.Tensor) -> float:
        return float(fake.mean(0).norm())

    def floor(self) -> float:
        return 0.0

    def details(self, fake: torch.Tensor) -> dict[str, float]:
        return {}


def test_look_ahead_is_labelled_in_every_table_and_its_rows_are_its_own():
    task = replace(TASKS["ring"](), score=Middle())
    config = EnvConfig(task=task, batch_size=16, episode_updates=10)
    entries = ("sim-gda", "lookahead")
    both = compare(config, entries, seeds=2, split="tune").rows
    assert "lookahead: head-room, not ranked" in summary(both)
    alone = compare(config, entries[:1], seeds=2, split="tune").rows
    assert [row["score"] for row in both[:2]] == [row["score"] for row in alone]


# Recordings


@pytest.fixture
def recording(tmp_path):
    """A recorded run of Dynamic-GDA on three rows, and where it ended."""
    trainer = started()
    recorder = Recorder(make_controller("dyn-gda"))
    recorder.reset(trainer.seed.tolist(), trainer.facts)
    run(trainer, recorder, 40)
    recorder.save(tmp_path / "run.safetensors")
    return tmp_path / "run.safetensors", recorder, snapshot(trainer)


def test_a_replay_on_its_own_seeds_is_the_same_run_again_to_the_bit(recording):
    path, recorder, end = recording
    trainer = started()
    replay = ready(f"replay:{path}", trainer, shift=0)
    assert (replay.recorded, replay.seeds) == ("dyn-gda", [4, 5, 6])
    run(trainer, replay, 40)
    assert_same_bits(snapshot(trainer), end)
    with pytest.raises(ValueError, match="ends after 40 updates"):
        replay.act(trainer.measurement)


def test_a_decision_that_changes_nothing_is_left_out_of_the_record_and_held_as_long(tmp_path):
    trainer, path = started(), tmp_path / "run.safetensors"
    recorder = Recorder(make_controller("constant:3"))
    recorder.reset(trainer.seed.tolist(), trainer.facts)
    run(trainer, recorder, 40)
    recorder.save(path)
    end = snapshot(trainer)
    again = started()
    replay = ready(f"replay:{path}", again)
    assert replay.decisions == 3  # the first, and the last two, which say until when
    run(again, replay, 40)
    assert_same_bits(snapshot(again), end)
    with pytest.raises(ValueError, match="ends after 40 updates"):
        replay.act(again.measurement)


def test_by_default_each_run_gets_the_decisions_made_for_another(recording):
    path, recorder, _ = recording
    trainer = started()
    replay = ready(f"replay:{path}", trainer)
    for made in recorder.controls[:10]:
        control = replay.act(trainer.measurement)
        trainer.advance(Control.of(3))
        for f in fields(Control):
            assert torch.equal(getattr(control, f.name), getattr(made, f.name)[[1, 2, 0]])
    state = replay.state_dict()
    later = ready(f"replay:{path}", trainer)
    later.load_state_dict(state)
    assert torch.equal(later.act(trainer.measurement).update_g, recorder.controls[10].update_g[[1, 2, 0]])


def test_a_recording_of_decisions_that_held_for_ten_updates_replays_in_its_own_rhythm_and_update_by_update(tmp_path):
    trainer, path = started(), tmp_path / "slow.safetensors"
    recorder = Recorder(make_controller("random"))
    recorder.reset(trainer.seed.tolist(), trainer.facts)
    for _ in range(4):
        trainer.advance(recorder.act(trainer.measurement), 10)
    recorder.save(path)
    end = snapshot(trainer)
    for rhythm in (10, 1):
        again = started()
        replay = ready(f"replay:{path}", again, shift=0)
        for _ in range(40 // rhythm):
            again.advance(replay.act(again.measurement), rhythm)
        assert_same_bits(snapshot(again), end)
    with pytest.raises(ValueError, match="the run has 41"):
        replay.reset([4, 5, 6], GameFacts(episode_updates=41))


def test_lookahead_tries_after_so_many_updates_however_many_a_decision_holds_for():
    tried = {}
    for rhythm in (1, 10):
        trainer = started()
        controller = ready("lookahead", trainer, horizon=20, candidates=(1.0, 2.0))
        found, plain = [], controller.try_out
        controller.try_out = lambda t, found=found, plain=plain: (found.append(int(t.updates[0])), plain(t))[1]
        for _ in range(60 // rhythm):
            trainer.advance(controller.act(trainer.measurement), rhythm)
        tried[rhythm] = found
    assert tried[1] == tried[10] == [0, 20, 40]


def test_lookahead_never_prefers_a_fork_that_blew_up(monkeypatch):
    trainer = started()
    controller = ready("lookahead", trainer, horizon=2, candidates=(1.0, 2.0))
    sound = type(trainer).samples

    def samples(self, *given, **more):
        made = sound(self, *given, **more) + 1e3  # worse than `worst`
        made[1::2] = float("nan")
        return made

    monkeypatch.setattr(type(trainer), "samples", samples)
    distance = controller.try_out(trainer)
    assert torch.isinf(distance[:, 1]).all() and (distance[:, 0] > trainer.task.quality.worst).all()


def test_a_recording_that_is_too_short_damaged_or_none_is_refused(recording, tmp_path):
    path, _, _ = recording
    with pytest.raises(ValueError, match="holds decisions for 40 updates, the run has 41"):
        make_controller(f"replay:{path}").reset([0], GameFacts(episode_updates=41))
    with pytest.raises(ValueError, match="replay:FILE needs a file"):
        make_controller("replay")
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 4
    path.write_bytes(bytes(whole))
    with pytest.raises(ControllerFileError, match="was altered"):
        Replay(path)
    with pytest.raises(ControllerFileError, match="cannot be read"):
        Replay(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="has decided nothing yet"):
        Recorder(make_controller("sim-gda")).save(path)


def test_a_recorder_decides_as_its_controller_and_can_be_saved_half_way():
    trainer = started()
    recorder = Recorder(make_controller("gcann"))
    recorder.reset([4, 5, 6], trainer.facts)
    run(trainer, recorder, 5)
    later = Recorder(make_controller("gcann"))
    later.load_state_dict(recorder.state_dict())
    assert len(later.controls) == 5
    assert torch.equal(later.act(trainer.measurement).d_multiplier, recorder.act(trainer.measurement).d_multiplier)


# The same agent on quality: `ddpg`


def test_ddpg_is_rewarded_by_the_fall_of_the_distance_over_each_decision():
    options = {"hidden": (8,), "learning_starts": 100, "updates_per_step": 5}
    trainer = started(rows=2)
    agent = ready("ddpg", trainer, **options)
    quality = trainer.task.quality
    distances = []
    for t in range(15):
        if t % 5 == 0:
            distances.append(quality(trainer.samples(quality.samples, Purpose.QUALITY)).clamp(max=quality.worst))
        trainer.advance(agent.act(trainer.measurement))
    for row in range(2):
        buffer = agent._agents[row]._model.replay_buffer
        wanted = [float(a[row] - b[row]) for a, b in zip(distances, distances[1:], strict=False)]
        assert buffer.rewards[: len(wanted), 0].tolist() == pytest.approx(wanted, abs=1e-6)
        assert buffer.actions.shape[-1] == 3
    later = ready("ddpg", trainer, **options)
    later.load_state_dict(agent.state_dict())
    control, again = agent.act(trainer.measurement), later.act(trainer.measurement)
    for f in fields(Control):
        assert torch.equal(getattr(control, f.name), getattr(again, f.name))


def test_ddpg_says_that_it_needs_the_trainer():
    with pytest.raises(ValueError, match=r"bind\(env.unwrapped.trainer\) before reset"):
        make_controller("ddpg").reset([0])
