"""TD3."""

from . import on_ring

hyperparams = {
    "gan_env/LearningRate-v0": on_ring(n_timesteps=5_000, learning_starts=200),
    "gan_env/Joint-v0": on_ring(n_timesteps=5_000, learning_starts=200),
}
