"""DDPG."""

from . import entry

hyperparams = {
    "gan_env/LearningRate-v0": entry(n_timesteps=5_000, learning_starts=200),
    "gan_env/Joint-v0": entry(n_timesteps=5_000, learning_starts=200),
}
