"""TD3: `--algo td3 --conf-file agents.zoo.td3`."""

from . import off_policy

hyperparams = {
    "gan_env/LearningRate-v0": off_policy(
        learning_rate=3e-3, gamma=0.95, noise_std=0.3, tau=0.005, net_arch=(32, 32), norm_reward=False
    ),
    "gan_env/Joint-v0": off_policy(
        learning_rate=3e-3, gamma=0.95, noise_std=0.3, tau=0.005, net_arch=(32, 32), norm_reward=False
    ),
}
