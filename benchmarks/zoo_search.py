"""Chooses the hyper-parameters in `agents/zoo/`: random search on ring, judged by what a trained actor earns.

    python benchmarks/zoo_search.py --out benchmarks/results/zoo_search       # about half an hour on one core

For each algorithm and id, candidate 0 has SB3's defaults (but the width of the networks) and the others are drawn. All
are trained once, the best two once more with another seed; the one with the higher mean wins. Training is on the native
batch, which learns as rl-zoo3 does with as many environments. What an actor earns is its mean return, without
exploration, on runs of the split "tune", which neither training nor any final judgement meets.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from stable_baselines3 import DDPG, PPO, TD3
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecNormalize

import gan_env  # noqa: F401  (importing registers the ids)
from agents.comparison.seeds import SPLITS
from agents.learned.sb3.vec_env import SB3VecEnv
from agents.zoo import GAME

ALGORITHMS: dict[str, Any] = {"ddpg": DDPG, "td3": TD3, "ppo": PPO}
IDS = {
    "ddpg": ("LearningRate", "Joint"),
    "td3": ("LearningRate", "Joint"),
    "ppo": ("LearningRate", "UpdateChoice", "Joint"),
}
OFF_POLICY = {
    "learning_rate": (3e-4, 1e-3, 3e-3),
    "gamma": (0.8, 0.95, 0.99),
    "noise_std": (0.1, 0.3),
    "tau": (0.005, 0.02),
    "net_arch": ((32, 32), (64, 64)),
    "norm_reward": (False, True),
}
ON_POLICY = {
    "learning_rate": (3e-4, 1e-3, 3e-3),
    "gamma": (0.8, 0.95, 0.99),
    "n_steps": (10, 25, 50),
    "n_epochs": (5, 10),
    "ent_coef": (0.0, 0.003),
    "net_arch": ((32, 32), (64, 64)),
    "norm_reward": (False, True),
}
OFF_START = {
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "noise_std": 0.1,
    "tau": 0.005,
    "net_arch": (64, 64),
    "norm_reward": False,
}
ON_START = {
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "n_steps": 50,
    "n_epochs": 10,
    "ent_coef": 0.0,
    "net_arch": (64, 64),
    "norm_reward": False,
}


@dataclass(frozen=True)
class Options:
    """How wide and how long the search is."""

    out: Path
    """Gets rows.jsonl; what stands there already is not run again."""
    candidates: int = 3
    """For each algorithm and id, SB3's defaults among them."""
    decisions: int = 1_600
    """Of one training."""
    rows: int = 16
    """GANs side by side, in training and judgement."""


def make(env_id: str, rows: int) -> SB3VecEnv:
    """The game that the hyper-parameters are for."""
    return SB3VecEnv(gym.make_vec(f"gan_env/{env_id}-v0", num_envs=rows, autoreset_mode="SameStep", **GAME))  # type: ignore[arg-type]


def trained(algorithm: str, env_id: str, chosen: dict[str, Any], seed: int, options: Options) -> Any:
    """The model after its training."""
    held, env = dict(chosen), make(env_id, options.rows)
    wrapped = VecNormalize(env, norm_obs=False, gamma=held["gamma"]) if held.pop("norm_reward") else env
    held["policy_kwargs"] = {"net_arch": list(held.pop("net_arch"))}
    if algorithm == "ppo":
        held["batch_size"] = 80  # divides what 16 rows bring
    else:
        axes = env.action_space.shape[0]  # type: ignore[index]
        held["action_noise"] = NormalActionNoise(np.zeros(axes), np.full(axes, held.pop("noise_std")))
        held |= {"learning_starts": 400, "train_freq": (1, "step"), "gradient_steps": -1}
    model = ALGORITHMS[algorithm]("MlpPolicy", wrapped, seed=SPLITS["train-agent"] + seed, device="cpu", **held)
    return model.learn(options.decisions)


def earned(model: Any, env_id: str, rows: int) -> float:
    """Mean return over as many runs of the split "tune", without exploration."""
    env, returns = make(env_id, rows), np.zeros(rows)
    env.seed(SPLITS["tune"])
    seen = env.reset()
    for _ in range(GAME["episode_updates"] // GAME["updates_per_step"]):
        seen, rewards, _, _ = env.step(model.predict(seen, deterministic=True)[0])
        returns += rewards
    return float(returns.mean())


def candidates(algorithm: str, count: int) -> list[dict[str, Any]]:
    """SB3's defaults, then draws."""
    space, start = (ON_POLICY, ON_START) if algorithm == "ppo" else (OFF_POLICY, OFF_START)
    rng = np.random.default_rng(0)
    drawn = [{name: values[rng.integers(len(values))] for name, values in space.items()} for _ in range(count - 1)]
    return [start, *drawn]


def main(options: Options) -> None:
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = {(r["algorithm"], r["id"], r["candidate"], r["seed"]): r["return"] for r in rows}

    def run(algorithm: str, env_id: str, candidate: int, seed: int) -> float:
        cell, began = (algorithm, env_id, candidate, seed), time.perf_counter()
        if cell not in found:
            chosen = candidates(algorithm, options.candidates)[candidate]
            found[cell] = earned(trained(algorithm, env_id, chosen, seed, options), env_id, options.rows)
            row = dict(zip(("algorithm", "id", "candidate", "seed"), cell, strict=True))
            row |= {"return": found[cell], "wall_s": round(time.perf_counter() - began, 1), **chosen}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return found[cell]

    for algorithm, env_id in ((a, i) for a in ALGORITHMS for i in IDS[a]):
        once = {candidate: run(algorithm, env_id, candidate, 0) for candidate in range(options.candidates)}
        best = sorted(once, key=once.__getitem__, reverse=True)[:2]
        twice = {candidate: (once[candidate] + run(algorithm, env_id, candidate, 1)) / 2 for candidate in best}
        winner = max(twice, key=twice.__getitem__)
        chosen = candidates(algorithm, options.candidates)[winner]
        print(
            f"{algorithm} {env_id}: candidate {winner}, return {twice[winner]:.3f} (defaults {once[0]:.3f}): {chosen}"
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
