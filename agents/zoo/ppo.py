"""PPO."""

from . import entry

hyperparams = {
    "gan_env/LearningRate-v0": entry(n_timesteps=5_000),
    "gan_env/UpdateChoice-v0": entry(n_timesteps=5_000),
    "gan_env/Joint-v0": entry(n_timesteps=5_000),
}
