"""PPO: `--algo ppo --conf-file agents.zoo.ppo`."""

from . import on_policy

hyperparams = {
    "gan_env/LearningRate-v0": on_policy(
        learning_rate=1e-3, gamma=0.95, n_steps=25, n_epochs=10, ent_coef=0.0, net_arch=(64, 64), norm_reward=True
    ),
    "gan_env/UpdateChoice-v0": on_policy(
        learning_rate=1e-3, gamma=0.95, n_steps=25, n_epochs=10, ent_coef=0.0, net_arch=(64, 64), norm_reward=True
    ),
    "gan_env/Joint-v0": on_policy(
        learning_rate=1e-3, gamma=0.95, n_steps=25, n_epochs=10, ent_coef=0.0, net_arch=(64, 64), norm_reward=True
    ),
}
