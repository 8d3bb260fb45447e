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

from judge import GAME, report

from agents import load_controller

STEPS = 300


def train(env_id, algorithm, folder):
    settings = [f"{name}:{value!r}" for name, value in GAME.items()]
    command = f"""-m rl_zoo3.train --algo {algorithm} --env {env_id} --gym-packages gan_env
        --conf-file agents.zoo.{algorithm} --eval-freq -1 --num-threads 1 --seed 0 -n {STEPS} --log-interval 1"""
    words = [sys.executable, *command.split(), "--env-kwargs", *settings]
    done = subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    steps, fps = (int(re.findall(rf"{name} +\| (\d+)", done.stdout)[-1]) for name in ("total_timesteps", "fps"))
    controller = load_controller(folder / re.findall(r"(controllers/\S+): the controller", done.stdout)[-1])
    report(env_id, algorithm.upper(), 1, steps, steps / fps, lambda seen: controller.actions(seen[None])[0])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        train("gan_env/LearningRate-v0", "ddpg", Path(folder))
        train("gan_env/LearningRate-v0", "td3", Path(folder))
        train("gan_env/UpdateChoice-v0", "ppo", Path(folder))
        train("gan_env/Joint-v0", "td3", Path(folder))
