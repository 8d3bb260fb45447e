"""rl-zoo3 with the hyper-parameters that ship with gan-env; then `gan-env bench` judges what it trained.

    pip install gan-env rl-zoo3
    python examples/rl/train_rl_zoo3.py

The command in `train` is what one types in a shell. The hyper-parameters name a callback that writes each agent as a
controller file into controllers/, which `gan-env bench --controllers` takes. Leave out -n for a whole training.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from judge import report

from agents import load_controller

STEPS = 300


def train(env_id, algorithm, folder):
    settings = "task:'ring' updates_per_step:5 episode_updates:250 score:False".split()
    command = f"-m rl_zoo3.train --algo {algorithm} --env {env_id} --gym-packages gan_env --conf-file agents.zoo.{algorithm}"
    options = f"--eval-freq -1 --num-threads 1 --seed 0 -n {STEPS} --log-interval 1".split()
    done = subprocess.run(
        [sys.executable, *command.split(), *options, "--env-kwargs", *settings],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    fps = float(re.findall(r"fps +\| (\d+)", done.stdout)[-1])
    controller = load_controller(folder / re.findall(r"(controllers/\S+): the controller", done.stdout)[-1])
    report(env_id, algorithm.upper(), 1, STEPS, STEPS / fps, lambda seen: controller.actions(seen[None])[0])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        train("gan_env/LearningRate-v0", "ddpg", Path(folder))
        train("gan_env/LearningRate-v0", "td3", Path(folder))
        train("gan_env/UpdateChoice-v0", "ppo", Path(folder))
        train("gan_env/Joint-v0", "td3", Path(folder))
