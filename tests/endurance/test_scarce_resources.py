"""Promises of bad weather: memory that does not suffice, folders that fill up, runs that never end."""

import errno
import gc
import os
import re
from pathlib import Path

import numpy as np
import pytest
from tensorboard.summary.writer.record_writer import RecordWriter

from agents.learned.settings import AgentConfig
from agents.training.meta_training import train_meta
from agents.training.train_config import TrainConfig
from gan_env import GANVectorEnv, Snapshot
from gan_env.cli import main
from gan_env.envs.config import EnvConfig
from gan_env.training.trainer import Trainer

SMALL = {"task": "ring", "batch_size": 8, "episode_updates": 10, "score": False}


def test_rows_that_do_not_fit_into_memory_say_how_many_would():
    with pytest.raises(ValueError, match="num_envs=1000000000000 does not fit into memory") as caught:
        GANVectorEnv(10**12, **SMALL)
    assert "\n" not in str(caught.value)
    fits = int(re.search(r"about num_envs=(\d+) does", str(caught.value)).group(1))
    assert 100 < fits < 10**9  # a row of this takes some 50 kilobytes


def test_a_command_that_runs_out_of_memory_says_so_on_one_line(tmp_path, capsys):
    assert main(["train", "--task", "ring", "--batch-size", str(10**12), "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("gan-env: out of memory (") and said.count("\n") == 1


def test_another_error_while_building_stays_what_it_is(monkeypatch):
    def broken(self, *_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Trainer, "_allocate", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        GANVectorEnv(2, **SMALL)


@pytest.mark.parametrize("moment", ["reset", "step"])
def test_memory_that_runs_out_later_on_says_how_many_rows_would_fit(moment, monkeypatch):
    env = GANVectorEnv(4, engine="torch", **SMALL)
    seen, _ = env.reset(seed=0)
    kept = env.snapshot()

    def full(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] can't allocate memory: you tried 1 byte\nframes")

    with monkeypatch.context() as patch, pytest.raises(MemoryError, match="num_envs=4 does not.*num_envs=2 does") as c:
        patch.setattr(Trainer, "_look", full)
        env.reset(seed=1) if moment == "reset" else env.step(env.action_space.sample())
    assert "\n" not in str(c.value)
    env.restore(kept)
    ahead = GANVectorEnv(4, engine="torch", **SMALL)
    np.testing.assert_array_equal(ahead.reset(seed=0)[0], seen)
    for one, other in zip(ahead.step(np.zeros((4, 1))), env.step(np.zeros((4, 1))), strict=True):
        np.testing.assert_equal(one, other)


def test_a_disk_too_full_for_the_log_stops_a_training_with_one_error(tmp_path, capsys, monkeypatch):
    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    env = EnvConfig(**SMALL, updates_per_step=5)
    agent = AgentConfig(learning_starts=4, batch_size=4, buffer_size=50)
    config = TrainConfig(env=env, agent=agent, decisions=40, num_envs=2, controllers=(), progress=False)
    with pytest.raises(OSError, match="No space left"):
        train_meta(config, tmp_path)
    assert "Traceback" not in capsys.readouterr().err


def test_a_snapshot_goes_into_no_folder_that_is_not_there_and_disturbs_nothing(tmp_path):
    env = GANVectorEnv(1, **SMALL)
    env.reset(seed=0)
    kept = env.snapshot()
    kept.save(tmp_path / "kept")
    with pytest.raises(OSError, match="cannot be written"):
        kept.save(tmp_path / "nowhere" / "kept")
    assert len(Snapshot.load(tmp_path / "kept")) == 1 and os.listdir(tmp_path) == ["kept"]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.endurance
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's account of this process")
def test_a_hundred_thousand_decisions_grow_neither_memory_nor_open_files(no_shape_checks):
    env = GANVectorEnv(1, task="dirac", normalise=True, episode_updates=1_000, batch_size=1, score=False)
    env.reset(seed=0)
    action = np.zeros((1, 1), np.float32)

    def decide(count: int) -> tuple[int, int]:
        for at in range(count):
            env.step(action)
            if at % 500 == 0:
                env.restore(env.snapshot())
                env.fork()
        gc.collect()
        return resident_bytes(), len(os.listdir("/proc/self/fd"))

    memory, files = decide(5_000)
    later, files_later = decide(95_000)
    assert later - memory < 8 * 2**20 and files_later == files
    env.close()
    env.close()
