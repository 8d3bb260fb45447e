"""TD3: `--algo td3 --conf-file agents.zoo.td3`."""

from . import off_policy

hyperparams = {
    "gan_env/LearningRate-v0": off_policy(
        learning_rate=1e-3, gamma=0.99, noise_std=0.1, tau=0.005, net_arch=(64, 64), norm_reward=False
    ),
    "gan_env/Joint-v0": off_policy(
        learning_rate=3e-4, gamma=0.8, noise_std=0.1, tau=0.02, net_arch=(64, 64), norm_reward=True
    ),
}
hyperparams["gan_env/Rates-v0"] = hyperparams["gan_env/LearningRate-v0"]  # not searched for
