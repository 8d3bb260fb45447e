"""sb3-contrib on the native batch: TQC, QR-DQN and TRPO.

pip install gan-env sb3-contrib
python examples/rl/train_sb3_contrib.py
"""

from sb3_contrib import QRDQN, TQC, TRPO
from train_sb3 import train  # these algorithms are SB3's kind, and are trained as those are

if __name__ == "__main__":
    train("gan_env/LearningRate-v0", TQC, learning_starts=100)
    train("gan_env/UpdateChoice-v0", QRDQN, learning_starts=100)
    train("gan_env/Joint-v0", TRPO, n_steps=50, batch_size=50)
