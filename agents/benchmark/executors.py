"""Executors run jobs, such as a benchmark's groups: in this process, in worker processes, or on a Ray cluster.

An executor is one function. It calls `take` for a job whenever it has room, and yields each job with its outcome, in
any order; it returns when `take` returns None and nothing is running. It calls `report` with a running job's id and
how many updates of it are done.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save
from torch import nn

from gan_env.io.files import own_folder, write_whole
from gan_env.io.process import settle

from ..comparison.batch import Comparison, run_batch
from ..comparison.rows import Row
from .contestants import resolve_contestant
from .folder import Job
from .sample_grids import checkpoints, draw_sample_grid

REPORT_S = 0.2
"""Seconds between two reports of a worker."""


@dataclass(frozen=True)
class Failed:
    """A job without rows, for a reason outside its controllers: their own failures are rows."""

    why: str


class Work(Protocol):
    """A job as executors see it; other processes are given it pickled."""

    @property
    def id(self) -> str:
        """Its name, for reports."""
        ...

    @property
    def updates(self) -> int:
        """Updates after which it is done, but for what follows training."""
        ...


Outcome = Any
"""What a job gave (the rows of a group), never an int; or a `Failed`."""
TakeJob = Callable[[], Any]
"""Returns the next job (`Work`), or None."""
Report = Callable[[str, int], object]
Runs = Generator[tuple[Any, Outcome], None, None]
"""Jobs with their outcomes; `close` ends the processes."""
Executor = Callable[[TakeJob, Report], Runs]
Run = Callable[[Any, Callable[[int], object]], Outcome]
"""Runs a job, calling the second argument with how many updates are done; a function of a module, for it is pickled."""


def run_job(job: Job, progress: Callable[[int], object] = lambda updates: None) -> list[Row]:
    """Runs a group and returns its rows; a function of the job alone, on one class of machine."""
    group = job.group
    comparisons = [
        Comparison(
            planned.resolved,
            [resolve_contestant(name, planned.game, runs_as.get(name, "")) for name in planned.controllers],
            group.labels(planned),
        )
        for planned, runs_as in zip(group.comparisons, job.runs_as or [{}] * len(group.comparisons), strict=True)
    ]
    results = run_batch(
        comparisons,
        group.seeds,
        group.split,
        raise_at_start=False,
        keep=None if job.keep is None else functools.partial(keep_generator, job.keep),
        samples_at=() if job.pictures is None else checkpoints(group.updates),
        progress=progress,
    )
    if job.pictures is not None:
        for planned, result in zip(group.comparisons, results, strict=True):
            draw_sample_grid(group, planned, result, job.pictures)
    rows = [row for result in results for row in result.rows]
    if group.rung:  # there are hundreds of these, and nobody draws them
        for row in rows:
            del row["trace"]
    return rows


def keep_generator(folder: Path, row: Row, generator: nn.Module) -> None:
    """Writes a generator's weights as `KEY.safetensors`; `make_task(task).generator()` can load them."""
    weights = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    metadata = {name: str(row[name]) for name in ("task", "loss", "controller", "seed", "score", "key")}
    write_whole(own_folder(folder) / f"{row['key']}.safetensors", save(weights, metadata))


def local_executor(jobs: int, run: Run = run_job) -> Executor:
    """Returns an executor: this process for one job at a time, else as many worker processes of one torch thread."""
    if jobs < 1:
        raise ValueError(f"jobs={jobs} must be at least 1")
    if jobs == 1:
        return lambda take, report: _here(run, take, report)
    return lambda take, report: _workers(jobs, run, take, report)


def _attempt(run: Run, job: Work, progress: Callable[[int], object]) -> Outcome:
    try:
        return run(job, progress)
    except Exception as error:  # the other groups go on; the caller says what failed
        return Failed(f"{type(error).__name__}: {error}")


def _here(run: Run, take: TakeJob, report: Report) -> Runs:
    while (job := take()) is not None:
        yield job, _attempt(run, job, lambda done, id=job.id: report(id, done))


class _Worker:
    """A worker process and this end of its pipe."""

    def __init__(self, run: Run):
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, run), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when either process does
        self.job: Work | None = None

    def give(self, job: Work) -> None:
        self.job = job
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: its pipe has ended
            self.pipe.send(job)

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        self.process.close()


def _work(pipe: Connection, run: Run) -> None:
    """Runs job after job until the pipe ends, which it also does when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    settle()
    reported = time.monotonic()

    def progress(done: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > REPORT_S or done == job.updates:  # the last one always: scoring begins
            reported = time.monotonic()
            pipe.send(done)

    try:
        while True:
            job = pipe.recv()
            outcome = _attempt(run, job, progress)
            pipe.send(outcome)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _workers(jobs: int, run: Run, take: TakeJob, report: Report) -> Runs:
    """Starts workers as jobs come in; one that dies takes only its job with it."""
    workers: list[_Worker] = []
    try:
        while True:
            while (idle := next((w for w in workers if w.job is None), None)) or len(workers) < jobs:
                job = take()
                if job is None:
                    break
                if idle is None:
                    workers.append(idle := _Worker(run))
                idle.give(job)
            busy = {w.pipe: w for w in workers if w.job is not None}
            if not busy:
                return
            for pipe in wait(list(busy), timeout=1.0):
                worker = busy[pipe]  # type: ignore[index]
                job, received = worker.job, _received(worker)
                assert job is not None
                if isinstance(received, int):
                    report(job.id, received)
                    continue
                worker.job = None
                if not worker.process.is_alive():
                    workers.remove(worker)
                    worker.stop()
                yield job, received
    finally:
        for worker in workers:
            worker.stop()


def _received(worker: _Worker) -> Any:
    """Receives what a worker sent; returns a `Failed` if it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return Failed(f"its worker process died (exit code {worker.process.exitcode}; -9: killed, or out of memory)")


def ray_executor(address: str | None, run: Run = run_job) -> Executor:
    """Returns an executor of Ray tasks, one job each, tried again where a machine is lost.

    Args:
        address: Of the cluster; None for one that Ray starts on this machine.
        run: What runs a job.

    Raises:
        ValueError: If Ray is not installed.

    Source: Ray's documentation, "Fault tolerance: tasks" (max_retries, retry_exceptions) and `ray.wait`.
    """
    try:
        import ray  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise ValueError("executor='ray' needs Ray: pip install 'gan-env[ray]'; or use executor='local'") from error

    def attempt(job: Work) -> Outcome:
        settle()
        return run(job, lambda done: None)

    def execute(take: TakeJob, report: Report) -> Runs:
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

    return execute
