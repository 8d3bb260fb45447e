"""Films of controlled GANs: the same GAN under one or more controllers, side by side, as a GIF or an MP4."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv
from gan_env.io.files import is_there, write_by, write_whole
from gan_env.metrics.names import measure_name
from gan_env.registry import unknown
from gan_env.rendering.draw import tiled
from gan_env.rendering.painter import Scene
from gan_env.types import Control

from ..comparison.contestants import Contestant, game_of
from ..comparison.controller_runner import ControllerRunner

LAST_S = 3
"""Seconds for which a GIF shows its last frame."""


class Film:
    """A GAN's whole training under each of the controllers, from the same seed.

    Args:
        config: The game; controllers are asked before every update.
        contestants: The controllers.
        seed: Of the GAN.
        frames: About how many pictures the film has.

    Raises:
        ValueError: If a controller is not defined for the game, if contestants train it under different settings, or
            frames is less than 2.
    """

    def __init__(self, config: EnvConfig, contestants: Sequence[Contestant], seed: int, frames: int = 120):
        if frames < 2:
            raise ValueError(f"frames={frames} must be at least 2")
        self.contestants, self._seed = list(contestants), seed
        config = game_of(self.contestants, config)
        length = config.episode_updates or config.build_task().episode_updates
        self.updates, self._every = length, max(1, length // frames)
        self.env = GANVectorEnv(
            len(self.contestants),
            render_mode="rgb_array",
            config=EnvConfig.of(config, updates_per_step=1, reward="quality", quality_every=self._every),
        )
        self.outcomes: list[float | str] = [float("nan")] * len(self.contestants)
        """When all is shown, of each controller: its score, or how it failed."""
        self.env.reset(seed=[seed] * len(self.contestants))
        self._runners = [
            ControllerRunner(each, self.env.trainer, [seed], row, raise_at_start=True)
            for row, each in enumerate(self.contestants)
        ]

    def frames(self, progress: Callable[[int], object] = lambda updates: None) -> Iterator[np.ndarray]:
        """Trains and yields pictures (height, width, 3), uint8, all of one size; can be called once.

        Args:
            progress: Called after each update with how many are done.
        """
        shots: list[list[tuple[Scene, int]]] = []  # of each picture and row: the samples, and how many decisions
        ends: dict[int, Scene] = {}
        for update in range(1, self.updates + 1):
            parts = [runner.act(self.env.measurement) for runner in self._runners]
            _, rewards, failed, ended, info = self.env.step_control(Control.join(parts))
            for runner, part in zip(self._runners, parts, strict=True):
                runner.learn(part, self.env.measurement, rewards, failed, update == self.updates)
            for row in np.flatnonzero((failed | ended) & [row not in ends for row in range(len(parts))]):
                self.outcomes[row] = info["failure"][row] if failed[row] else float(info["score"][row])
                ends[int(row)] = self._scene(int(row))  # a row that failed starts again at the next update
            if update == 1 or update % self._every == 0 or len(ends) == len(parts):
                scenes = [ends.get(row) or self._scene(row) for row in range(len(parts))]
                shots.append([(replace(each, history=each.history[:0]), len(each.history)) for each in scenes])
            progress(update)
            if len(ends) == len(parts):
                break
        final = [ends[row] for row in range(len(self.contestants))]
        for shot in shots:  # now that the scale of the whole film is known
            scenes = [replace(s, history=end.history[:count]) for (s, count), end in zip(shot, final, strict=True)]
            yield tiled(self.env.painter.pictures(scenes, final))

    def _scene(self, row: int) -> Scene:
        """Returns a row's scene with its samples drawn, for these take less room than tensors of large pictures."""
        outcome, failed = self.outcomes[row], isinstance(self.outcomes[row], str)
        score = measure_name(self.env.trainer.task.score.name)
        end = f", {outcome}" if failed else "" if outcome != outcome else f", {score} {outcome:.3g}"
        end += " (broke)" * bool(self._runners[row].error)
        title = f"{self.env.trainer.task.name}, {self.contestants[row].label}{end}"
        scene = self.env.scene(row, title, failed=failed)
        return replace(scene, samples=self.env.painter.made(scene))


def _gif(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    from PIL import Image

    octree = Image.Quantize.FASTOCTREE  # a fifth of the default's time, and flat areas stay flat
    pictures = [Image.fromarray(frame).quantize(128, octree, dither=Image.Dither.NONE) for frame in frames]
    times = [round(1000 / fps)] * len(pictures)
    times[-1] = 1000 * LAST_S
    content = io.BytesIO()
    pictures[0].save(content, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0)
    write_whole(path, content.getvalue())


def _mp4(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    imageio_ffmpeg: Any = import_module("imageio_ffmpeg")
    first = next(frames)

    def write(place: Path) -> None:
        writer = imageio_ffmpeg.write_frames(str(place), (first.shape[1], first.shape[0]), fps=fps)
        writer.send(None)  # it opens the file
        writer.send(first.tobytes())
        for frame in frames:
            writer.send(frame.tobytes())
        writer.close()

    write_by(path, write)


WRITERS: dict[str, Callable[[Path, Iterator[np.ndarray], float], None]] = {".gif": _gif, ".mp4": _mp4}


def check_film(path: Path) -> None:
    """Raises ValueError for a film that could not be written: its format, its folder, a missing package.

    Raises NotOurs for a link or a folder in its place.
    """
    if path.suffix not in WRITERS:
        raise unknown("kind of film", path.suffix, list(WRITERS))
    if not path.absolute().parent.is_dir():
        raise ValueError(f"film={str(path)!r}: there is no folder {path.absolute().parent}; make it first")
    is_there(path)  # raises for what would be refused when the film is done
    if path.suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise ValueError(f"film={str(path)!r} needs imageio-ffmpeg: pip install 'gan-env[render]'; or name a .gif")


def write_film(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    """Writes frames of one size as a film, atomically; call `check_film` first."""
    WRITERS[path.suffix](path, frames, fps)
