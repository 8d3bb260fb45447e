"""GAN updates per second: a plain PyTorch loop, the batched engine, and the environment, interleaved in one run.

    python benchmarks/speed.py            # ring on one thread
    python benchmarks/speed.py --task digits --rows 1 16 64
    python benchmarks/speed.py --device cuda --rows 1024 16384

Every repeat runs each contender once, in turn, so that a machine whose speed drifts drifts for all; medians are over
repeats, and ratios are taken within a repeat. One GAN update is one V3: a step of each player.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import softplus
from tqdm import tqdm

from gan_env.config import EnvConfig
from gan_env.env import GANVectorEnv, make_trainer
from gan_env.records import Control
from gan_env.trainer import Trainer


class PlainLoop:
    """What a user would write instead: two modules, fused Adam, a D step and a G step on one batch."""

    def __init__(self, config: EnvConfig):
        task = config.build_task()
        device = config.torch_device
        torch.manual_seed(0)
        self.generator, self.discriminator = task.generator().to(device), task.discriminator().to(device)
        betas = config.optimizer_spec.betas
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), task.g_lr, betas, fused=True)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), task.d_lr, betas, fused=True)
        # Real batches are made ahead and used in turn: the loop's own data loading is not what is measured.
        codes = torch.from_numpy(task.data.codes(np.random.default_rng(0), task.batch_size))
        self.real = [task.data.batch(c.to(device)) for c in codes[:8]]
        self.batch_size, self.latent_size, self.device = task.batch_size, task.latent_size, device

    def run(self, updates: int) -> None:
        for i in range(updates):
            latents = torch.randn(self.batch_size, self.latent_size, device=self.device)
            fake = self.generator(latents)
            self.d_optimizer.zero_grad()
            real_logits = self.discriminator(self.real[i % len(self.real)])
            d_loss = softplus(-real_logits).mean() + softplus(self.discriminator(fake.detach())).mean()
            d_loss.backward()
            self.d_optimizer.step()
            self.g_optimizer.zero_grad()
            softplus(-self.discriminator(fake)).mean().backward()
            self.g_optimizer.step()


def _trainer(config: EnvConfig, rows: int) -> Trainer:
    trainer = make_trainer(config, rows)
    trainer.reset(np.arange(rows), np.zeros(rows, np.int64))
    return trainer


def contenders(config: EnvConfig, rows: list[int]) -> dict[str, tuple[Callable[[int], None], int]]:
    """Name → (run that many updates of every row, rows)."""
    found: dict[str, tuple[Callable[[int], None], int]] = {"plain loop": (PlainLoop(config).run, 1)}
    for n in rows:
        trainer, control = _trainer(config, n), Control.of(n, device=config.torch_device)

        def engine(updates: int, trainer: Trainer = trainer, control: Control = control) -> None:
            for _ in range(updates):  # a decision every update, as the environment has it
                trainer.advance(control)

        found[f"engine, N = {n}"] = (engine, n)
        env = GANVectorEnv(n, config=EnvConfig.of(config, score=False, episode_updates=10**9))
        env.reset(seed=0)
        actions = np.zeros((n, 1), np.float32)

        def step(updates: int, env: GANVectorEnv = env, actions: np.ndarray = actions) -> None:
            for _ in range(updates):
                env.step(actions)

        found[f"env.step, N = {n}"] = (step, n)
    return found


def measure(config: EnvConfig, rows: list[int], repeats: int, seconds: float) -> list[dict]:
    """Rates of every contender; each repeat of each takes about `seconds`."""
    found = contenders(config, rows)
    synchronize = torch.cuda.synchronize if config.torch_device.type == "cuda" else lambda: None

    def timed(run: Callable[[int], None], updates: int) -> float:
        synchronize()
        start = time.perf_counter()
        run(updates)
        synchronize()
        return time.perf_counter() - start

    updates = {}
    for name, (run, _) in found.items():
        run(3)
        updates[name] = max(3, int(seconds / (timed(run, 5) / 5)))
    rates: dict[str, list[float]] = {name: [] for name in found}
    for _ in tqdm(range(repeats), desc="repeats", disable=None):
        for name, (run, n) in found.items():
            rates[name].append(n * updates[name] / timed(run, updates[name]))
    table = []
    for name, (_, n) in found.items():
        ratios = [a / b for a, b in zip(rates[name], rates["plain loop"], strict=True)]
        row = {
            "name": name,
            "rows": n,
            "updates_per_s": statistics.median(rates[name]),
            "least": min(rates[name]),
            "most": max(rates[name]),
            "times_plain": statistics.median(ratios),
        }
        if name.startswith("env.step"):
            costs = [a / b for a, b in zip(rates[f"engine, N = {n}"], rates[name], strict=True)]
            row["times_engine_cost"] = statistics.median(costs)
        table.append(row)
    return table


def matmul_gflops(device: torch.device) -> float:
    """The machine's own matrix-multiply rate in float32, for scale."""
    size = 4096 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device)
    times = []
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="ring")
    parser.add_argument("--loss", default="bce")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=0.15, help="about how long one repeat of one contender takes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config = EnvConfig(task=given.task, loss=given.loss, device=given.device)
    device = config.torch_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    result = {
        "task": given.task,
        "loss": given.loss,
        "device": name,
        "threads": given.threads,
        "torch": torch.__version__,
        "matmul_gflops": matmul_gflops(device),
        "table": measure(config, given.rows, given.repeats, given.seconds),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if given.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{given.task}, {given.loss}; {name}, {given.threads} thread(s), torch {torch.__version__}, "
        f"matrix multiply {result['matmul_gflops']:.0f} GFLOP/s, peak memory {result['peak_memory_mb']:.0f} MB\n"
        f"{'':<22}{'GAN updates/s':>14}{'least':>9}{'most':>9}{'÷ plain':>9}{'cost ÷ engine':>15}"
    )
    for row in result["table"]:
        cost = f"{row['times_engine_cost']:.3f}" if "times_engine_cost" in row else ""
        print(
            f"{row['name']:<22}{row['updates_per_s']:>14.0f}{row['least']:>9.0f}{row['most']:>9.0f}"
            f"{row['times_plain']:>9.2f}{cost:>15}"
        )


if __name__ == "__main__":
    main()
