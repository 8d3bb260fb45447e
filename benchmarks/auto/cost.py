"""What `Steer("auto")` costs in PyTorch's tutorial DCGAN at its full size: 64 × 64 pixels, 64 filters, batches of 128.

python benchmarks/auto/cost.py      # some minutes on one core; pictures are noise, which take as long as others
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

import agents
from agents.learned.auto import Auto
from gan_env import EnvConfig
from gan_env.data.torchvision_guard import torchvision

EXAMPLE = Path(__file__).parents[2] / "examples" / "tutorial_dcgan_steered.py"
PICTURES = 512


class Timed(agents.Steer):
    """Steers by `auto` whoever is asked for, and keeps how long each iteration and each of its calls took."""

    calls: list[float] = []
    starts: list[float] = []

    def __init__(self, _: str, *args, **kwargs):
        super().__init__("auto", *args, **kwargs)

    def __call__(self, *args, **kwargs):
        start = time.perf_counter()
        self.starts.append(start)
        decision = super().__call__(*args, **kwargs)
        self.calls.append(time.perf_counter() - start)
        return decision

    def done(self) -> None:
        start = time.perf_counter()
        super().done()
        self.calls[-1] += time.perf_counter() - start


def main() -> None:
    """Trains for 20 iterations, then a GAN on the plane for its decisions, and prints medians."""
    torch.set_num_threads(1)
    torchvision()  # so that the example can import it beside a torch of another build
    decisions: list[float] = []
    act = Auto.act

    def timed(self, measurement):
        start, held = time.perf_counter(), self._last
        control = act(self, measurement)
        if control is not held:  # between decisions the last one is held
            decisions.append(time.perf_counter() - start)
        return control

    Auto.act, agents.Steer = timed, Timed
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "noise").mkdir()
        for i in range(PICTURES):
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(Path(folder) / "noise" / f"{i}.png")
        sys.argv = [str(EXAMPLE), folder]
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(EXAMPLE))
    iterations = np.diff(Timed.starts)
    call, iteration = median(Timed.calls[1:]), float(np.median(iterations))
    print(f"an iteration {iteration * 1e3:.0f} ms (median of {len(iterations)}), one thread, torch {torch.__version__}")
    print(f"Steer's calls in it {call * 1e3:.2f} ms, {call / iteration:.2%} of it")
    decisions.clear()
    agents.compare(EnvConfig(task="ring", episode_updates=3_000, score=False), ["auto"], seeds=[0], split="tune")
    decision = median(decisions) * 1e6
    print(f"a decision of auto, its features included: {decision:.0f} us (median of {len(decisions)})")


if __name__ == "__main__":
    main()
