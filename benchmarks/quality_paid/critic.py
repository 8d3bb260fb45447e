"""Asks what an agent's critic knows: its values of one decision beside what that decision really brings.

python benchmarks/quality_paid/critic.py ddpg-learning-rate-digits    # two minutes; writes critic.json beside its rows

The agent is trained again from its config.json, to the same bits. Then, at the start, at a quarter and at three
quarters of the runs of 16 seeds of the split "tune", the discriminator's action takes nine values over its range: for
one decision, after which the agent goes on ("one"), and for the rest of the run ("rest"). Both are measured by the
discounted sum of the rewards that follow, in the units in which the critic is trained.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from stable_baselines3 import TD3

from agents.comparison.seeds import split_seeds
from agents.training.meta_training import MetaTraining
from agents.training.train_config import read_config, training_game
from gan_env import GANVectorEnv

RESULTS = Path(__file__).parents[1] / "results" / "quality-paid"
SEEDS, ACTIONS = 16, np.linspace(-1, 1, 9)
AT = (0.0, 0.25, 0.75)


class Probe:
    """A trained agent in runs that it can be put back into."""

    def __init__(self, training: MetaTraining):
        assert isinstance(training.model, TD3)
        self.model, config = training.model, training.config
        self.env = GANVectorEnv(SEEDS, control=config.control, autoreset_mode="SameStep", config=training_game(config))
        moments = training.state().get("normalizer")
        self.scale = 1.0 if moments is None else float(np.sqrt(moments["var"]))
        """What the critic's rewards are divided by."""
        self.gamma = config.settings["gamma"]
        self.decisions = config.horizon
        self.observations, _ = self.env.reset(seed=split_seeds("tune", SEEDS))
        self.decided = 0
        self.alive = np.ones(SEEDS, bool)
        """Runs that have not failed; what follows a failure is another run, and does not count."""

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """Returns what the agent does, without noise."""
        return self.model.predict(observations, deterministic=True)[0]

    def go_to(self, decision: int) -> None:
        """Lets the agent decide until then."""
        for _ in range(self.decided, decision):
            self.observations, _, terminated, _, _ = self.env.step(self.actions(self.observations))
            self.alive &= ~terminated
        self.decided = decision

    def critic(self, action: float) -> np.ndarray:
        """Returns the critic's value of D's action in each run, the other actions being the agent's own."""
        actions = self.actions(self.observations)
        actions[:, 0] = action
        with torch.no_grad():
            values = self.model.critic(torch.as_tensor(self.observations), torch.as_tensor(actions))
        return torch.cat(values, 1).min(1).values.numpy()

    def truth(self, action: float, *, rest: bool) -> np.ndarray:
        """Returns the discounted rewards that follow D's action, and leaves the runs as they were."""
        before, observations = self.env.snapshot(), self.observations
        total, discount, alive = np.zeros(SEEDS), 1.0, self.alive.copy()
        for decision in range(self.decided, self.decisions):
            actions = self.actions(observations)
            if rest or decision == self.decided:
                actions[:, 0] = action
            observations, rewards, terminated, truncated, _ = self.env.step(actions)
            total += np.where(alive, discount * rewards, 0.0)
            discount *= self.gamma
            alive &= ~(terminated | truncated)
            if not alive.any():
                break
        self.env.restore(before)
        return total / self.scale


def described(values: np.ndarray) -> dict[str, object]:
    """Returns means over the runs for each action, what actions change, and what runs differ by; values (A, N)."""
    return {
        "mean": values.mean(1).round(4).tolist(),
        "spread_over_actions": round(float(np.ptp(values.mean(1))), 4),
        "sd_over_runs": round(float(values.std(1, ddof=1).mean()), 4),
        "sd_of_difference": round(float((values - values[len(values) // 2]).std(1, ddof=1).mean()), 4),
        "best_action": float(ACTIONS[values.mean(1).argmax()]),
    }


def profile(name: str) -> dict[str, object]:
    """Trains the agent again and measures."""
    training = MetaTraining(read_config(RESULTS / name / "config.json"))
    training.run()
    probe = Probe(training)
    found: dict[str, object] = {"actions": ACTIONS.tolist(), "scale": round(probe.scale, 4)}
    for share in AT:
        probe.go_to(round(share * probe.decisions))
        critic = np.array([probe.critic(action)[probe.alive] for action in ACTIONS])
        one, rest = (
            np.array([probe.truth(action, rest=rest)[probe.alive] for action in ACTIONS]) for rest in (False, True)
        )
        agrees = {
            f"critic_to_{what}": round(float(np.asarray(spearmanr(critic.mean(1), true.mean(1)))[0]), 3)
            for what, true in (("one", one), ("rest", rest))
        }
        own = probe.actions(probe.observations)[probe.alive, 0].mean()
        found[f"decision {probe.decided}"] = {
            "agent": round(float(own), 3), "runs": int(probe.alive.sum()),
            "critic": described(critic), "one": described(one), "rest": described(rest),
            **agrees,
        }  # fmt: skip
        print(name, share, json.dumps(found[f"decision {probe.decided}"]), flush=True)
    training.close()
    return found


def main() -> None:
    """Profiles the agents that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("agents", nargs="+", help="folders of benchmarks/results/quality-paid")
    for name in parser.parse_args().agents:
        (RESULTS / name / "critic.json").write_text(json.dumps(profile(name), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
