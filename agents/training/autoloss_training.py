"""REINFORCE for `autoloss`: many short runs side by side, rewarded once, by the quality of what they end with.

    python -m agents.training.autoloss_training --out my_autoloss.safetensors

writes weights for `autoloss:my_autoloss.safetensors`; without options, those that ship with the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.random.streams import Purpose, rng
from gan_env.types import Control

from ..comparison.rows import versions
from ..comparison.seeds import SPLITS
from ..learned.autoloss import HIDDEN, SHIPPED, Weights, check_game, g_logit, read_features, save_weights


@dataclass(frozen=True, kw_only=True)
class AutoLossConfig:
    """Settings of one training; numbers marked AL are those of AutoLoss (arXiv 1810.02442 and its code)."""

    task: str = "ring"
    """What is trained."""
    rate: float = 1e-3
    """Base learning rate of both players."""
    updates: int = 1_000
    """Updates of one run; one decision each."""
    episodes: int = 400
    """Runs in all (AL)."""
    rows: int = 16
    """Runs side by side, one step of REINFORCE for all of them; AL has one."""
    learning_rate: float = 0.02
    """Of Adam (AL's rate)."""
    baseline_decay: float = 0.9
    """Of the moving average of rewards that is taken off (AL)."""
    advantage: tuple[float, float] = (1.0, 20.0)
    """Bounds of the size of an advantage (AL)."""
    repeats: int = 500
    """More identical actions in a row than this are a collapse (AL)."""
    collapse: float = -20.0
    """Reward of a collapsed run (AL)."""
    seed: int = 0
    """Of the first weights, the draws and the runs."""


def train_autoloss(config: AutoLossConfig, say: Callable[[str], None] = print) -> Weights:
    """Trains the network and returns its weights.

    The reward is 10 × (1 − distance / worst)²: AL's 10 IS², for a distance to validation data.
    """
    env = EnvConfig(task=config.task, d_lr=config.rate, g_lr=config.rate, episode_updates=config.updates)
    trainer = make_trainer(env, config.rows)
    check_game(trainer.facts)
    quality = trainer.task.quality
    draw = rng(config.seed, 0, Purpose.CONTROLLER, 2)
    first = torch.from_numpy(draw.normal(0, 0.5, (HIDDEN, 4)))
    weights = {
        "hidden.weight": first.requires_grad_(),
        "hidden.bias": torch.zeros(HIDDEN, dtype=torch.float64, requires_grad=True),
        "out.weight": torch.zeros(1, HIDDEN, dtype=torch.float64, requires_grad=True),  # even odds at the start
        "out.bias": torch.zeros(1, dtype=torch.float64, requires_grad=True),
    }
    optimizer, baseline = torch.optim.Adam(weights.values(), config.learning_rate), None
    for batch in range(-(-config.episodes // config.rows)):
        start = SPLITS["train-agent"] + 10_000 + config.rows * batch
        trainer.reset(np.arange(start, start + config.rows), np.zeros(config.rows, np.int64))
        features, moves_g = _run(trainer, weights, config.updates, draw)
        distance = quality(trainer.samples(quality.samples, Purpose.QUALITY)).cpu().double()
        share = (1 - torch.nan_to_num(distance, nan=quality.worst) / quality.worst).clamp(min=0)
        reward = torch.where(_longest_run(moves_g) > config.repeats, config.collapse, 10 * share.square())
        baseline = float(reward.mean()) if baseline is None else baseline
        gain = reward - baseline
        advantage = gain.sign() * gain.abs().clamp(*config.advantage)
        baseline = config.baseline_decay * baseline + (1 - config.baseline_decay) * float(reward.mean())
        logits = g_logit(weights, features)
        surprise = binary_cross_entropy_with_logits(logits, moves_g.double(), reduction="none").mean(0)  # −log π
        optimizer.zero_grad()
        (advantage * surprise).mean().backward()
        optimizer.step()
        say(
            f"{(batch + 1) * config.rows} runs: reward {float(reward.mean()):.2f}, "
            f"distance {float(distance.mean()):.3f}, share of G updates {float(moves_g.double().mean()):.2f}"
        )
    return {name: value.detach() for name, value in weights.items()}


@torch.no_grad()
def _run(trainer, weights: Weights, updates: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Trains one batch of runs; returns features (T, N, 4) and moves (T, N)."""
    g_ema = d_ema = torch.full((trainer.n,), np.log(2), dtype=torch.float64)
    features, moves = [], []
    for _ in range(updates):
        seen, g_ema, d_ema = read_features(trainer.measurement, g_ema, d_ema)
        move_g = g_logit(weights, seen).sigmoid() > torch.from_numpy(draw.random(trainer.n))
        trainer.advance(Control.of(trainer.n, update_g=move_g, update_d=~move_g))
        features.append(seen)
        moves.append(move_g)
    return torch.stack(features), torch.stack(moves)


def _longest_run(moves: Tensor) -> Tensor:
    """Returns the most identical moves in a row, (N,)."""
    length, longest = torch.ones(moves.shape[1]), torch.ones(moves.shape[1])
    for before, now in zip(moves, moves[1:], strict=False):
        length = torch.where(before == now, length + 1, 1.0)
        longest = torch.maximum(longest, length)
    return longest


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in asdict(AutoLossConfig()).items():
        if not isinstance(value, tuple):
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = vars(parser.parse_args())
    out = given.pop("out")
    torch.set_num_threads(1)
    config = AutoLossConfig(**given)
    save_weights(train_autoloss(config), out, {**asdict(config), "versions": versions()})


if __name__ == "__main__":
    main()
