"""PPO."""

from . import on_ring

hyperparams = {
    "gan_env/LearningRate-v0": on_ring(n_timesteps=5_000),
    "gan_env/UpdateChoice-v0": on_ring(n_timesteps=5_000),
    "gan_env/Joint-v0": on_ring(n_timesteps=5_000),
}
