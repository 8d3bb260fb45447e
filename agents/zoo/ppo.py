"""PPO: `--algo ppo --conf-file agents.zoo.ppo`."""

from . import on_policy

hyperparams = {
    "gan_env/LearningRate-v0": on_policy(
        learning_rate=3e-4, gamma=0.8, n_steps=50, n_epochs=10, ent_coef=0.003, net_arch=(64, 64), norm_reward=True
    ),
    "gan_env/UpdateChoice-v0": on_policy(
        learning_rate=3e-4, gamma=0.8, n_steps=50, n_epochs=10, ent_coef=0.003, net_arch=(64, 64), norm_reward=True
    ),
    "gan_env/Joint-v0": on_policy(
        learning_rate=3e-3, gamma=0.95, n_steps=25, n_epochs=5, ent_coef=0.0, net_arch=(32, 32), norm_reward=False
    ),
}
hyperparams["gan_env/Rates-v0"] = hyperparams["gan_env/LearningRate-v0"]  # not searched for
