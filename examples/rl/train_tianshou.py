"""Tianshou: PPO on four single environments, which is the only kind of batch that it takes.

pip install gan-env tianshou
python examples/rl/train_tianshou.py
"""

import time

import gymnasium as gym
import torch
from judge import GAME, report
from tianshou.algorithm.modelfree.ppo import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy, ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorProbabilistic, ContinuousCritic
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from torch.distributions import Independent, Normal

import gan_env  # noqa: F401  (importing registers the ids)

ENVS, STEPS = 4, 400


def train(env_id):
    torch.manual_seed(0)
    envs = DummyVectorEnv([lambda: gym.make(env_id, **GAME) for _ in range(ENVS)])
    envs.seed(0)
    seen, action = envs.observation_space[0], envs.action_space[0]
    body, other = (Net(state_shape=seen.shape, hidden_sizes=(64,)) for _ in range(2))
    if isinstance(action, gym.spaces.Discrete):
        actor = DiscreteActor(preprocess_net=body, action_shape=action.n, softmax_output=False)
        policy = DiscreteActorPolicy(actor=actor, action_space=action, deterministic_eval=True)
        critic = DiscreteCritic(preprocess_net=other)
    else:
        actor = ContinuousActorProbabilistic(preprocess_net=body, action_shape=action.shape, unbounded=True)
        normal = lambda given: Independent(Normal(*given), 1)  # noqa: E731
        policy = ProbabilisticActorPolicy(actor=actor, dist_fn=normal, action_space=action, deterministic_eval=True)
        critic = ContinuousCritic(preprocess_net=other)
    algorithm = PPO(policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=1e-3))
    collector = Collector(algorithm, envs, VectorReplayBuffer(STEPS, ENVS))
    began = time.perf_counter()
    result = algorithm.run_training(
        OnPolicyTrainerParams(
            training_collector=collector,
            max_epochs=1,
            epoch_num_steps=STEPS,
            collection_step_num_env_steps=STEPS // 2,
            update_step_num_repetitions=10,
            verbose=False,
            show_progress=False,
        )
    )
    elapsed_s = time.perf_counter() - began

    def act(seen):
        with torch.no_grad():
            return policy.map_action(policy(Batch(obs=seen[None], info={})).act)[0]

    report(env_id, "PPO", 1, result.train_step, elapsed_s, act)


if __name__ == "__main__":
    for name in ("LearningRate", "UpdateChoice", "Joint"):
        train(f"gan_env/{name}-v0")
