"""Worker processes and Ray give the rows that this process gives."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest

from agents.benchmark import running as benchmark
from agents.benchmark.contestants import refusal
from agents.benchmark.executors import Failed, local_executor, ray_executor
from agents.benchmark.folder import open_folder
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from tests.support.small_benchmark import GAME, config, ran, told


def test_ray_that_is_not_installed_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'gan-env\[ray\]'"):
        ray_executor(None)


def test_a_stand_in_for_ray_is_driven_as_its_documentation_says(tmp_path, monkeypatch, finished):
    # Not Ray itself: it holds our side to the calls (init, remote, wait, get) and to what each gives.
    class Lost(Exception):
        pass

    def remote(**options):
        assert options["max_retries"] == 3 and OSError in options["retry_exceptions"]
        lost = []

        def submit(function):
            def call(job):
                if not lost:
                    lost.append(job)
                    return ("lost", id(job))
                return ("done", function(job))

            return types.SimpleNamespace(remote=lambda job: _Future(call(job)))

        return submit

    class _Future:
        def __init__(self, value):
            self.value = value

    def get(future):
        if future.value[0] == "lost":
            raise Lost("a machine went away")
        return future.value[1]

    fake = types.SimpleNamespace(
        init=lambda **options: None,
        cluster_resources=lambda: {"CPU": 2.0},
        remote=remote,
        wait=lambda futures, num_returns, timeout: (futures[:1], futures[1:]),
        get=get,
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    folder = open_folder(tmp_path, config())
    done = benchmark.run(folder, ray_executor("somewhere"))
    assert done.complete and folder.failures and told(folder.all_rows()) == told(finished.all_rows())


@pytest.fixture
def cluster():
    """Ray on this machine with two workers, and nothing of it afterwards."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
def test_two_ray_workers_give_the_same_rows(tmp_path, finished, cluster):
    folder = open_folder(tmp_path, config())
    assert benchmark.run(folder, ray_executor(None)).complete
    assert told(folder.all_rows()) == told(finished.all_rows())


def ray_workers_at_work():
    """Processes of our Ray workers that are at a job now."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    parents, names = {}, {}
    for pid, parent, name in (line.split(None, 2) for line in listed.splitlines()):
        parents[int(pid)], names[int(pid)] = int(parent), name

    def ours(pid):
        return pid == os.getpid() or (pid in parents and ours(parents[pid]))

    return {pid for pid, name in names.items() if name.startswith("ray::attempt") and ours(pid)}


@pytest.mark.slow
def test_a_ray_worker_that_is_killed_in_mid_cell_costs_a_retry_and_no_row(tmp_path, cluster):
    asked = config(updates=300)
    expected = ran(tmp_path / "local", asked).all_rows()
    folder, killed = open_folder(tmp_path / "ray", asked), []

    def kill():
        while not (before := ray_workers_at_work()):
            time.sleep(0.02)
        time.sleep(0.2)  # into the training
        killed.append(min(before & ray_workers_at_work()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    done = benchmark.run(folder, ray_executor(None))
    assert killed and done.complete and done.ran == 2 and not folder.failures
    assert told(folder.all_rows()) == told(expected)


@pytest.mark.slow
def test_workers_give_the_same_rows_and_one_that_is_killed_loses_nothing(tmp_path, finished):
    folder = open_folder(tmp_path, config(updates=6))
    killed, heard = [], {}
    engine = local_executor(2)

    def take():
        job = folder.take()
        if job is not None and not killed and (children := multiprocessing.active_children()):
            killed.append(children[0].pid)
            os.kill(children[0].pid, signal.SIGKILL)
        return job

    while folder.possible:
        for job, outcome in engine(take, heard.__setitem__):
            if isinstance(outcome, Failed):
                assert "worker process died" in outcome.why
                folder.fail(job.group, outcome.why)
            else:
                folder.put(job.group, outcome)
    assert killed and folder.failures and not folder.left
    assert told(folder.all_rows()) == told(finished.all_rows())
    assert heard == {group.id: group.steps for group in folder.groups}  # the last row that is scored is always told
    assert not multiprocessing.active_children()


def test_a_refusal_is_asked_of_one_row_without_training():
    game = EnvConfig.of(GAME, task="digits", loss="wgan", episode_updates=6)
    trainer = make_trainer(game, 1)
    trainer.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert "wgan" in refusal("gcann", game, trainer) and refusal("lookahead", game, trainer) == ""
    assert int(trainer.updates[0]) == 0
