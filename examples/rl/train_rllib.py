"""RLlib: PPO in one process, on one GAN at a time and on the native batch. `rllib_cluster.py` spreads it out.

    pip install gan-env "ray[tune]" dm-tree ormsgpack lz4
    python examples/rl/train_rllib.py

RLlib's own extra would pin an old Gymnasium, hence its parts by name.
"""

import time

import ray
import torch
from judge import GAME, report
from ray.rllib.algorithms.ppo import PPOConfig

STEPS = 400


def train(env_id, rows):
    config = (
        PPOConfig()
        .environment(f"gan_env:{env_id}", env_config=GAME)  # the package before the colon is imported first
        .env_runners(num_env_runners=0, num_envs_per_env_runner=rows, gym_env_vectorize_mode="vector_entry_point")
        .training(train_batch_size_per_learner=STEPS // 2, minibatch_size=50, num_epochs=5, lr=1e-3)
        .rl_module(model_config={"fcnet_hiddens": [64]})
        .debugging(seed=0)
    )
    if rows == 1:
        config.env_runners(gym_env_vectorize_mode="sync")
    algorithm = config.build_algo()
    began = time.perf_counter()
    for _ in range(2):
        result = algorithm.train()
    elapsed_s = time.perf_counter() - began
    module = algorithm.get_module()

    def act(seen):
        with torch.no_grad():
            out = module.forward_inference({"obs": torch.as_tensor(seen[None])})["action_dist_inputs"][0]
        return out.argmax().numpy() if "UpdateChoice" in env_id else out.chunk(2)[0].clamp(-1, 1).numpy()

    report(env_id, "PPO", rows, int(result["num_env_steps_sampled_lifetime"]), elapsed_s, act)
    algorithm.stop()


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False)
    train("gan_env/LearningRate-v0", rows=1)
    for name in ("LearningRate", "UpdateChoice", "Joint"):
        train(f"gan_env/{name}-v0", rows=4)
