"""TorchRL: PPO on the native batch.

pip install gan-env torchrl
python examples/rl/train_torchrl.py
"""

import time

import gymnasium as gym
import torch
from judge import GAME, report
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import OneHotCategorical
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper
from torchrl.modules import NormalParamExtractor, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import gan_env  # noqa: F401  (importing registers the ids)

ROWS, HORIZON, STEPS = 4, 50, 400


def train(env_id):
    torch.manual_seed(0)
    # TorchRL puts the last observation of an episode back in its place only with SAME_STEP.
    env = GymWrapper(gym.make_vec(env_id, num_envs=ROWS, autoreset_mode="SameStep", **GAME))
    inputs, discrete = env.observation_spec["observation"].shape[-1], env_id.startswith("gan_env/UpdateChoice")
    body = [nn.Linear(inputs, 64), nn.Tanh()]
    if discrete:
        heads, keys, distribution = [nn.Linear(64, 3)], ["logits"], OneHotCategorical
    else:
        axes = env.action_spec.shape[-1]
        heads, keys, distribution = [nn.Linear(64, 2 * axes), NormalParamExtractor()], ["loc", "scale"], TanhNormal
    decide = TensorDictModule(nn.Sequential(*body, *heads), ["observation"], keys)
    actor = ProbabilisticActor(decide, in_keys=keys, distribution_class=distribution, return_log_prob=True)
    critic = ValueOperator(nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1)))
    advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic)
    loss = ClipPPOLoss(actor, critic)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    frames = {"frames_per_batch": ROWS * HORIZON, "total_frames": STEPS}
    collector = Collector(env, actor, auto_register_policy_transforms=True, **frames)
    began = time.perf_counter()
    for batch in collector:
        for _ in range(10):
            advantage(batch)
            found = loss(batch.reshape(-1))
            total = found["loss_objective"] + found["loss_critic"] + found["loss_entropy"]
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
    elapsed_s = time.perf_counter() - began
    collector.shutdown()

    def act(seen):
        with torch.no_grad():
            out = decide(TensorDict({"observation": torch.as_tensor(seen)}))
        return out["logits"].argmax().numpy() if discrete else out["loc"].tanh().numpy()

    report(env_id, "PPO", ROWS, STEPS, elapsed_s, act)


if __name__ == "__main__":
    for name in ("LearningRate", "UpdateChoice", "Joint"):
        train(f"gan_env/{name}-v0")
