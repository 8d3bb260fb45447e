"""GAN updates per second: plain PyTorch loops, the batched engine, the environment and training on it.

    python benchmarks/speed.py                          # every section on one thread: about ten minutes
    python benchmarks/speed.py --sections ring losses
    python benchmarks/speed.py --sections ring --device cuda --rows 1024 16384

Within a section every repeat runs each contender once, in turn, so that a machine whose speed drifts drifts for all;
medians are over repeats, and ratios are taken within a repeat. Of several sections each has a process of its own: what
one leaves in the allocator makes another's page faults come or go. One GAN update is one V3: a step of each player.
"""

from __future__ import annotations

import atexit
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import gymnasium as gym
import numpy as np
import torch
import tyro
from plain_loop import PlainLoop
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANEnv, GANVectorEnv, make_trainer
from gan_env.io.process import settle
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.tasks.task import Task
from gan_env.training.trainer import Trainer
from gan_env.types import Control

THESIS_LOSSES = ("bce", "instance-noise", "wgan", "wgan-gp", "js-reg", "sn", "r2", "gran")
Section = Literal["ring", "losses", "threads", "vector", "training", "digits", "wide", "mlp", "dcgan", "memory"]
SECTIONS: tuple[Section, ...] = get_args(Section)


@dataclass(frozen=True)
class Options:
    """What is measured, and how long."""

    sections: tuple[Section, ...] = SECTIONS
    """Parts of the table."""
    rows: tuple[int, ...] = (1, 16, 64, 256, 1024)
    """N in the section `ring`."""
    repeats: int = 15
    """Turns of every contender."""
    seconds: float = 0.2
    """About how long one turn takes."""
    threads: int = 1
    """Threads of torch."""
    device: str = "cpu"
    """"cpu" or "cuda"."""
    json: bool = False
    """Print one JSON document."""


@dataclass(frozen=True)
class Contender:
    """Something that does GAN updates."""

    name: str
    run: Callable[[int], None]
    """Does that many updates of every row."""
    rows: int = 1
    against: str | None = None
    """The contender whose rate it is divided by."""
    gflop: float = 0.0
    """Matrix products and convolutions of one row's update."""


def trainer(config: EnvConfig, rows: int) -> Trainer:
    made = make_trainer(config, rows)
    made.reset(np.arange(rows), np.zeros(rows, np.int64))
    return made


def plain(config: EnvConfig, *, tutorial: bool = False, name: str = "") -> Contender:
    return Contender(name or ("tutorial loop" if tutorial else "plain loop"), PlainLoop(config, tutorial=tutorial).run)


def engine(config: EnvConfig, rows: int, against: str | None, name: str = "engine", every: int = 1) -> Contender:
    """An engine with a decision every so many updates; by default at each, as the environment has it."""
    made, control = trainer(config, rows), Control.of(rows, device=config.torch_device)
    with FlopCounterMode(display=False) as counter:  # which sees torch's alone
        made.advance(control)

    def run(updates: int) -> None:
        for at in range(0, updates, every):
            made.advance(control, min(every, updates - at))

    return Contender(f"{name}, N = {rows}", run, rows, against, counter.get_total_flops() / rows / 1e9)


def engines(config: EnvConfig, rows: int, against: str) -> list[Contender]:
    """Each engine that trains the game, and on a card torch's updates replayed as CUDA graphs, too."""
    found = [engine(EnvConfig.of(config, engine="torch"), rows, against)]
    if make_trainer(config, 1).engine == "native":
        found.append(engine(config, rows, against, "native"))
        found.append(engine(config, rows, against, "native, 100 updates a decision", 100))
    if config.torch_device.type == "cuda":
        found.append(engine(EnvConfig.of(config, cuda_graphs=True), rows, against, "graphs"))
    return found


def stepping(env: gym.Env | gym.vector.VectorEnv, rows: int, name: str, against: str) -> Contender:
    env.reset(seed=0)
    action = np.zeros((rows, 1), np.float32)

    def run(updates: int) -> None:
        for _ in range(updates):
            env.step(action)

    return Contender(f"{name}, N = {rows}", run, rows, against)


def endless(config: EnvConfig) -> EnvConfig:
    return EnvConfig.of(config, score=False, episode_updates=10**9)


def section(name: Section, options: Options) -> Iterator[tuple[str, list[Contender]]]:
    """Titles and contenders that are measured against each other."""

    def game(task: str, loss: str = "bce") -> EnvConfig:
        return EnvConfig(task=task, loss=loss, device=options.device)

    ring = game("ring")
    if name == "ring":
        found = [plain(ring)]
        for n in options.rows:
            found += engines(ring, n, "plain loop")
            env = GANVectorEnv(n, config=endless(ring))
            beside = "native" if env.trainer.engine == "native" else "engine"
            found.append(stepping(env, n, "env.step", f"{beside}, N = {n}"))
        yield "ring, bce: rows", found
    elif name == "losses":
        for loss in THESIS_LOSSES:
            yield f"ring, {loss}", [plain(game("ring", loss)), *engines(game("ring", loss), 64, "plain loop")]
    elif name == "threads":
        one = engine(ring, 64, "plain loop", "native, 100 updates a decision", 100)
        two = engine(EnvConfig.of(ring, num_threads=2), 64, one.name, "native, 2 threads, 100 updates a decision", 100)
        yield "ring, bce: threads of the kernel", [plain(ring), one, two]
    elif name == "vector":
        yield "ring, bce: vector environments", list(vector(ring))
    elif name == "training":
        yield "ring, bce: DDPG of Stable-Baselines3 in training", list(training(ring))
    elif name == "digits":
        yield "digits, bce", [plain(game("digits")), *engines(game("digits"), 64, "plain loop")]
    elif name == "wide":
        config = EnvConfig.of(game("digits"), task=wide_digits(128))
        yield "digits with layers 128 wide, bce", [plain(config), *engines(config, 64, "plain loop")]
    elif name == "mlp":
        config = game("fashion-mlp")
        yield "fashion-mlp, bce", [plain(config), *engines(config, 1, "plain loop"), *engines(config, 8, "plain loop")]
    elif name == "dcgan":
        config = game("fashion")
        yield "fashion (DCGAN), bce", [
            plain(config, tutorial=True), *(engine(config, n, "tutorial loop") for n in (1, 4)),
        ]  # fmt: skip


def wide_digits(width: int) -> Task:
    """The digits with hidden layers of another width, as many."""
    task = EnvConfig(task="digits").build_task()
    return replace(
        task,
        name=f"digits-{width}",
        generator=partial(mlp_generator, (task.latent_size, width, width, 64), task.data.shape, bounded=True),
        discriminator=partial(mlp_discriminator, (64, width, width, 1), task.data.shape),
    )


def vector(config: EnvConfig, rows: int = 64) -> Iterator[Contender]:
    """The native batch against Gymnasium's own, of single environments."""
    single = endless(config)
    makers = [lambda: GANEnv(config=single)] * rows
    asynchronous = f"AsyncVectorEnv, N = {rows}"
    workers = gym.vector.AsyncVectorEnv(makers)
    atexit.register(workers.close)
    yield stepping(workers, rows, "AsyncVectorEnv", asynchronous)
    yield stepping(gym.vector.SyncVectorEnv(makers), rows, "SyncVectorEnv", asynchronous)
    yield stepping(GANVectorEnv(rows, config=single), rows, "native", asynchronous)
    # AsyncVectorEnv has every core; so many threads are like for like.
    for threads in range(2, 1 + min(os.cpu_count() or 1, 4)):
        both = EnvConfig.of(single, num_threads=threads)
        yield stepping(GANVectorEnv(rows, config=both), rows, f"native, {threads} threads", asynchronous)


def training(config: EnvConfig, rows: int = 16) -> Iterator[Contender]:
    """The agent's learning included: a decision is one update of each row, with one gradient step for each row."""
    from agents.learned.fsco import FscoConfig, make_ddpg
    from agents.learned.sb3.vec_env import SB3VecEnv

    yield engine(config, rows, None)  # whichever the environment has
    env = GANVectorEnv(rows, autoreset_mode="SameStep", config=endless(config))
    model = make_ddpg(FscoConfig(learning_starts=16), SB3VecEnv(env), 0, gradient_steps=rows)

    def learn(updates: int) -> None:
        model.learn(updates * rows, reset_num_timesteps=False)

    yield Contender(f"DDPG in training, N = {rows}", learn, rows, f"engine, N = {rows}")


def measure(contenders: list[Contender], options: Options, bar: tqdm) -> list[dict]:
    """Rates of every contender; each turn of each takes about `seconds`."""
    synchronize = torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None

    def timed(run: Callable[[int], None], updates: int) -> float:
        synchronize()
        start = time.perf_counter()
        run(updates)
        synchronize()
        return time.perf_counter() - start

    updates = {}
    for each in contenders:
        each.run(3)
        updates[each.name] = max(2, int(options.seconds / (timed(each.run, 3) / 3)))
    rates: dict[str, list[float]] = {each.name: [] for each in contenders}
    for _ in range(options.repeats):
        for each in contenders:
            rates[each.name].append(each.rows * updates[each.name] / timed(each.run, updates[each.name]))
        bar.update()
    table = []
    for each in contenders:
        row = {
            "name": each.name,
            "rows": each.rows,
            "updates_per_s": statistics.median(rates[each.name]),
            "least": min(rates[each.name]),
            "most": max(rates[each.name]),
            "gflop_per_update": each.gflop,
        }
        if each.against and each.against != each.name:
            ratios = [a / b for a, b in zip(rates[each.name], rates[each.against], strict=True)]
            row |= {"against": each.against, "ratio": statistics.median(ratios)}
        table.append(row)
    return table


MEMORY = """
import re, sys, numpy as np, torch
torch.set_num_threads(1)
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.types import Control
def peak():  # not ru_maxrss, which begins with the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
make_trainer(EnvConfig(task="ring", device="cpu"), 1)
before, n = peak(), int(sys.argv[1])
t = make_trainer(EnvConfig(task="ring", device="cpu"), n)
t.reset(np.arange(n), np.zeros(n, np.int64))
t.advance(Control.of(n), 20)
early = peak()
t.advance(Control.of(n), int(sys.argv[2]))
held = [t.g.flat, t.d.flat, *t.g_optimizer.moments, *t.d_optimizer.moments]
print(early - before, peak() - early, sum(x.numel() * x.element_size() for x in held) / 2**20)
"""


def memory(bar: tqdm) -> list[dict]:
    """Peak memory of processes of their own, in MB above an engine of one row, and what weights and moments take."""
    found = []
    for n, updates in ((1, 100_000), (64, 2_000), (256, 200), (1024, 200), (4096, 50)):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(n), str(updates)], capture_output=True, text=True, check=True
        )
        above, growth, weights = map(float, done.stdout.split())
        found.append(
            {"rows": n, "peak_mb": above, "weights_and_moments_mb": weights, "growth_mb": growth, "over": updates}
        )
        bar.update()
    return found


def matmul_gflops(device: str) -> float:
    """The machine's own matrix-multiply rate in float32, for scale."""
    size = 4096 if device.startswith("cuda") else 1024
    a = torch.randn(size, size, device=device)
    times = []
    for _ in range(5):
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times) / 1e9


def show(title: str, table: list[dict], peak: float) -> None:
    print(f"\n{title}")
    if title == "memory":
        print(f"{'':<30}{'peak, MB':>14}{'weights and moments':>22}{'growth after 20 updates':>26}")
        for row in table:
            grown = f"{row['growth_mb']:.1f} over {row['over']}"
            print(f"N = {row['rows']:<26}{row['peak_mb']:>14.0f}{row['weights_and_moments_mb']:>22.1f}{grown:>26}")
        return
    print(f"{'':<40}{'GAN updates/s':>14}{'least':>9}{'most':>9}{'ratio':>9}  {'to':<22}{'of matmul rate':>15}")
    for row in table:
        ratio = f"{row['ratio']:>9.3g}  {row['against']:<22}" if "ratio" in row else f"{'':>9}  {'':<22}"
        share = row["gflop_per_update"] * row["updates_per_s"] / peak
        whole = [
            f"{value:,.0f}" if value >= 100 else f"{value:.4g}"
            for value in (row["updates_per_s"], row["least"], row["most"])
        ]
        rates = "".join(f"{text:>{width}}" for text, width in zip(whole, (14, 9, 9), strict=True))
        print(f"{row['name']:<40}{rates}{ratio}{f'{share:.0%}' if share else '':>15}")


def in_a_process_of_its_own(name: Section, options: Options) -> dict:
    """What `main` finds of one section, where no other one has left its mark on the allocator."""
    call = [sys.executable, __file__, "--sections", name, "--rows", *map(str, options.rows), "--json"]
    for each in ("repeats", "seconds", "threads", "device"):
        call += [f"--{each}", str(getattr(options, each))]
    return json.loads(subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measured(name: Section, options: Options) -> dict:
    """One section's tables, and what they were measured on."""
    settle(options.threads)
    on_card = options.device.startswith("cuda")
    with tqdm(
        total=5 if name == "memory" else options.repeats * (len(THESIS_LOSSES) if name == "losses" else 1),
        desc=name,
        disable=not sys.stderr.isatty(),
        leave=False,
    ) as bar:
        rate = matmul_gflops(options.device)
        if name == "memory":
            tables = {"memory": memory(bar)}
        else:
            tables = {title: measure(found, options, bar) for title, found in section(name, options)}
    return {
        "device": torch.cuda.get_device_name(options.device) if on_card else platform.processor() or platform.machine(),
        "threads": options.threads,
        "torch": torch.__version__,
        "sections": {name: {"matmul_gflops": rate, "tables": tables}},
    }


def main(options: Options) -> None:
    result: dict = {}
    for name in options.sections:
        alone = len(options.sections) == 1
        found = measured(name, options) if alone else in_a_process_of_its_own(name, options)
        if not options.json:
            if not result:
                print(f"{found['device']}, {found['threads']} thread(s), torch {found['torch']}")
            print(f"\n{name}: matrix multiply {found['sections'][name]['matmul_gflops']:.0f} GFLOP/s")
            for title, table in found["sections"][name]["tables"].items():
                show(title, table, found["sections"][name]["matmul_gflops"])
        result = {**found, "sections": result.get("sections", {}) | found["sections"]}
    if options.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(tyro.cli(Options))
