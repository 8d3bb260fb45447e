"""PPO in one file and plain torch, in the manner of CleanRL, on the native batch.

pip install gan-env torch
python examples/rl/train_cleanrl_style.py
"""

import time

import gymnasium as gym
import numpy as np
import torch
from judge import GAME, report
from torch import nn
from torch.distributions import Categorical, Normal

import gan_env  # noqa: F401  (importing registers the ids)

ROWS, HORIZON, ITERATIONS, EPOCHS, GAMMA, LAMBDA, CLIP = 8, 50, 2, 10, 0.99, 0.95, 0.2


class Agent(nn.Module):
    def __init__(self, inputs, space):
        super().__init__()
        self.discrete = isinstance(space, gym.spaces.Discrete)
        outputs = space.n if self.discrete else space.shape[0]
        self.critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1))
        self.actor = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, int(outputs)))
        self.log_std = nn.Parameter(torch.full((int(outputs),), -0.5))

    def policy(self, seen):
        return Categorical(logits=self.actor(seen)) if self.discrete else Normal(self.actor(seen), self.log_std.exp())

    def log_prob(self, policy, action):
        return policy.log_prob(action) if self.discrete else policy.log_prob(action).sum(-1)

    def act(self, seen):
        best = self.actor(torch.as_tensor(seen))
        return best.argmax(-1).numpy() if self.discrete else best.clamp(-1, 1).numpy()


def rollout(env, agent, seen):
    """HORIZON decisions of each row, and their advantages. With SAME_STEP the last observation is in `final_obs`."""
    steps = []
    for _ in range(HORIZON):
        policy, value = agent.policy(seen), agent.critic(seen).squeeze(-1)
        action = policy.sample()
        sent = action.numpy() if agent.discrete else action.clamp(-1, 1).numpy()
        coming, reward, terminated, truncated, infos = env.step(sent)
        following = coming.copy()
        for row in np.flatnonzero(terminated | truncated):
            following[row] = infos["final_obs"][row]
        bootstrap = agent.critic(torch.as_tensor(following)).squeeze(-1) * torch.as_tensor(~terminated)
        ends = torch.as_tensor(terminated | truncated)
        target = torch.as_tensor(reward, dtype=torch.float32) + GAMMA * bootstrap
        steps.append((seen, action, agent.log_prob(policy, action), value, target, ends))
        seen = torch.as_tensor(coming)
    advantages, carried = [], torch.zeros(ROWS)
    for _, _, _, value, target, ends in reversed(steps):
        carried = target - value + GAMMA * LAMBDA * carried * ~ends
        advantages.insert(0, carried)
    observations, actions, log_probs, values = (torch.cat(each) for each in list(zip(*steps, strict=True))[:4])
    return seen, observations, actions, log_probs, torch.cat(advantages), torch.cat(advantages) + values


def train(env_id):
    torch.manual_seed(0)
    env = gym.make_vec(env_id, num_envs=ROWS, autoreset_mode="SameStep", **GAME)
    agent = Agent(env.single_observation_space.shape[0], env.single_action_space)
    optimizer = torch.optim.Adam(agent.parameters(), lr=1e-3)
    began, seen = time.perf_counter(), torch.as_tensor(env.reset(seed=0)[0])
    for _ in range(ITERATIONS):
        with torch.no_grad():
            seen, observations, actions, old, advantages, returns = rollout(env, agent, seen)
        for _ in range(EPOCHS):
            ratio = (agent.log_prob(agent.policy(observations), actions) - old).exp()
            scaled = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            gain = torch.min(ratio * scaled, ratio.clamp(1 - CLIP, 1 + CLIP) * scaled).mean()
            loss = (agent.critic(observations).squeeze(-1) - returns).square().mean() / 2 - gain
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    elapsed_s = time.perf_counter() - began
    with torch.no_grad():
        report(env_id, "PPO", ROWS, ROWS * HORIZON * ITERATIONS, elapsed_s, agent.act)


if __name__ == "__main__":
    for name in ("LearningRate", "UpdateChoice", "Joint"):
        train(f"gan_env/{name}-v0")
