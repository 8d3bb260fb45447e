"""Where groups are run: in this process, in worker processes, or on a Ray cluster.

An engine is one function. It asks `take` for a job whenever it has room, and yields each job with what came of it, in
whatever order; it returns when `take` has nothing and nothing is running.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from gan_env.io.files import own_folder, write_whole
from gan_env.io.process import settle

from ..comparison.compare import Rivals, run_side_by_side
from ..comparison.rows import Row
from .contestants import make_entry
from .folder import Job
from .sample_grids import draw_moments, moments

REPORT_S = 0.2
"""Seconds between two reports of a worker."""


@dataclass(frozen=True)
class Failed:
    """Nothing came of a job, for a reason outside its controllers: they would have rows that say so."""

    why: str


Outcome = list[Row] | Failed
Take = Callable[[], Job | None]
Say = Callable[[str, int], object]
"""Told a running group and how many updates of it are done."""
Engine = Callable[[Take, Say], Iterator[tuple[Job, Outcome]]]


def run_job(job: Job, progress: Callable[[int], object] = lambda updates: None) -> list[Row]:
    """The rows of a group; a function of the job alone, on one class of machine."""
    group = job.group
    games = [
        Rivals(
            contest.resolved,
            [make_entry(name, contest.game, runs_as.get(name, "")) for name in contest.controllers],
            group.labels(contest),
        )
        for contest, runs_as in zip(group.contests, job.runs_as or [{}] * len(group.contests), strict=True)
    ]
    keep = None if job.keep is None else functools.partial(keep_generator, job.keep)
    found = run_side_by_side(
        games,
        group.seeds,
        group.split,
        refuse=False,
        keep=keep,
        moments=() if job.pictures is None else moments(group.updates),
        progress=progress,
    )
    if job.pictures is not None:
        for contest, result in zip(group.contests, found, strict=True):
            draw_moments(group, contest, result, job.pictures)
    return [row for result in found for row in result.rows]


def keep_generator(folder: Path, row: Row, generator: nn.Module) -> None:
    """Writes a generator's weights as `KEY.safetensors`; `make_task(task).generator()` can load them."""
    weights = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    metadata = {name: str(row[name]) for name in ("task", "loss", "controller", "seed", "score", "key")}
    write_whole(own_folder(folder) / f"{row['key']}.safetensors", save(weights, metadata))


def local(jobs: int) -> Engine:
    """This process for one job at a time, otherwise so many worker processes of one torch thread each."""
    if jobs < 1:
        raise ValueError(f"jobs={jobs} must be at least 1")
    return _here if jobs == 1 else lambda take, say: _workers(jobs, take, say)


def _attempt(job: Job, progress: Callable[[int], object]) -> Outcome:
    try:
        return run_job(job, progress)
    except Exception as error:  # the other groups go on; the caller says what failed
        return Failed(f"{type(error).__name__}: {error}")


def _here(take: Take, say: Say) -> Iterator[tuple[Job, Outcome]]:
    while (job := take()) is not None:
        group = job.group.id
        yield job, _attempt(job, lambda done, group=group: say(group, done))


class _Worker:
    """A worker process and this end of its pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when either process does
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: its pipe has ended
            self.pipe.send(job)

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        self.process.close()


def _work(pipe: Connection) -> None:
    """A worker's life: job after job until the pipe ends, which it also does when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    settle()
    said = time.monotonic()

    def progress(done: int) -> None:
        nonlocal said
        if time.monotonic() - said > REPORT_S or done == job.group.updates:  # the last one always: scoring begins
            said = time.monotonic()
            pipe.send(done)

    try:
        while True:
            job = pipe.recv()
            outcome = _attempt(job, progress)
            pipe.send(outcome)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _workers(jobs: int, take: Take, say: Say) -> Iterator[tuple[Job, Outcome]]:
    """Workers are started as jobs come in; one that dies takes only its job with it."""
    workers: list[_Worker] = []
    try:
        while True:
            while (idle := next((w for w in workers if w.job is None), None)) or len(workers) < jobs:
                job = take()
                if job is None:
                    break
                if idle is None:
                    workers.append(idle := _Worker())
                idle.give(job)
            busy = {w.pipe: w for w in workers if w.job is not None}
            if not busy:
                return
            for pipe in wait(list(busy), timeout=1.0):
                worker = busy[pipe]  # type: ignore[index]
                job, told = worker.job, _told(worker)
                assert job is not None
                if isinstance(told, int):
                    say(job.group.id, told)
                    continue
                worker.job = None
                if not worker.process.is_alive():
                    workers.remove(worker)
                    worker.stop()
                yield job, told
    finally:
        for worker in workers:
            worker.stop()


def _told(worker: _Worker) -> Any:
    """What a worker sent; a Failed if it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return Failed(f"its worker process died (exit code {worker.process.exitcode}; -9: killed, or out of memory)")


def ray_cluster(address: str | None) -> Engine:
    """Ray tasks: one group each, tried again where a machine is lost.

    Args:
        address: Of the cluster; None for one that Ray starts on this machine.

    Raises:
        ValueError: If Ray is not installed.

    Source: Ray's documentation, "Fault tolerance: tasks" (max_retries, retry_exceptions) and `ray.wait`.
    """
    try:
        import ray  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise ValueError("engine='ray' needs Ray: pip install 'gan-env[ray]'; or use engine='local'") from error

    def attempt(job: Job) -> Outcome:
        settle()
        return run_job(job)

    def run(take: Take, say: Say) -> Iterator[tuple[Job, Outcome]]:
        ray.init(address=address, ignore_reinit_error=True)
        task = ray.remote(num_cpus=1, max_retries=3, retry_exceptions=[OSError, MemoryError])(attempt)
        room, flying = int(ray.cluster_resources().get("CPU", 1)), {}
        while True:
            while len(flying) < room and (job := take()) is not None:
                flying[task.remote(job)] = job
            if not flying:
                return
            for done in ray.wait(list(flying), num_returns=1, timeout=1.0)[0]:
                try:
                    outcome = ray.get(done)
                except Exception as error:  # Ray wraps what the task raised, and raises what befell its machine
                    outcome = Failed(f"{type(error).__name__}: {error}")
                yield flying.pop(done), outcome

    return run
