"""skrl: PPO on the native batch.

pip install gan-env skrl
python examples/rl/train_skrl.py
"""

import time

import gymnasium as gym
import torch
from judge import GAME, report
from skrl.agents.torch.ppo import PPO
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import CategoricalMixin, DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

import gan_env  # noqa: F401  (importing registers the ids)

ROWS, HORIZON, STEPS = 4, 50, 400


def network(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, outputs))


class Chooser(CategoricalMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        CategoricalMixin.__init__(self)
        self.net = network(self.num_observations, self.num_actions)

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {}


class Steerer(GaussianMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        GaussianMixin.__init__(self, clip_actions=True)
        self.net = network(self.num_observations, self.num_actions)
        self.log_std = nn.Parameter(torch.full((self.num_actions,), -0.5))

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = network(self.num_observations, 1)

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {}


def train(env_id):
    set_seed(0)
    # SAME_STEP: with NEXT_STEP skrl would learn from the steps that only reset a row.
    env = wrap_env(gym.make_vec(env_id, num_envs=ROWS, autoreset_mode="SameStep", **GAME))
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space, "device": env.device}
    discrete = isinstance(env.action_space, gym.spaces.Discrete)
    models = {"policy": (Chooser if discrete else Steerer)(**spaces), "value": Value(**spaces)}
    quiet = {"write_interval": 0, "checkpoint_interval": 0}
    settings = {"rollouts": HORIZON, "time_limit_bootstrap": True, "experiment": quiet}
    agent = PPO(models=models, memory=RandomMemory(memory_size=HORIZON, num_envs=ROWS), cfg=settings, **spaces)
    length = {"timesteps": STEPS // ROWS, "disable_progressbar": True, "headless": True}
    trainer = SequentialTrainer(env=env, agents=agent, cfg=length)
    began = time.perf_counter()
    trainer.train()
    elapsed_s = time.perf_counter() - began

    def act(seen):
        with torch.no_grad():
            best = models["policy"].net(torch.as_tensor(seen))
        return best.argmax().numpy() if discrete else best.clamp(-1, 1).numpy()

    report(env_id, "PPO", ROWS, STEPS, elapsed_s, act)


if __name__ == "__main__":
    for name in ("LearningRate", "UpdateChoice", "Joint"):
        train(f"gan_env/{name}-v0")
