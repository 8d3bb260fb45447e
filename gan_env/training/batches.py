"""Random draws of a trainer's rows: real batches, latents, and what a loss needs at each update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from gan_env.losses.losses import Loss
from gan_env.random.streams import BlockStream, DeviceDraw, Draw, Purpose, normal_block, uniform_block
from gan_env.tasks.task import Task

LATENT_BLOCK = 8
"""Updates whose latents are drawn at once. Every result depends on this number."""


def latent_block(task: Task, batches: int, batch_size: int) -> Draw:
    """Draws latents, (batches, batch_size, latent_size)."""
    shape = (batches, batch_size, task.latent_size)
    if task.latents == "ones":
        return lambda generator: np.ones(shape, np.float32)
    return normal_block(*shape)


def _sized(codes: Callable[[Any, int], Any], batch_size: int) -> Callable[[Any], Any]:
    """Binds the batch size of a data set's draw, whatever the name of that argument."""
    return lambda source: codes(source, batch_size)


class Feed:
    """The random streams of N rows, each made on first use.

    Args:
        tasks: Distinct tasks of the rows, which agree on everything but their data.
        which: Index into `tasks` for each row, int64 (N,), read when something is drawn.
        loss: GAN loss, which may need noise or interpolation weights.
        rows: N.
        batch_size: B.
        seen_shape: Shape of one sample as D sees it.
        device: Device of the batches.

    Raises:
        ValueError: If the data have no batches of that size.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        which: np.ndarray,
        loss: Loss,
        rows: int,
        batch_size: int,
        seen_shape: tuple[int, ...],
        device: torch.device,
    ):
        self._tasks, self._which, self._loss, self._rows, self._batch_size = tasks, which, loss, rows, batch_size
        self._seen_shape, self._device = seen_shape, device
        self._real_block = tasks[0].data.block(batch_size)

    @cached_property
    def reals(self) -> BlockStream:
        """The stream of codes of real batches, which the task's data converts to samples."""
        size = self._batch_size
        # A user's own data may come from the CPU alone.
        on_device = [getattr(task.data, "device_codes", None) for task in self._tasks]
        return BlockStream(
            self._rows,
            self._real_block,
            Purpose.REAL,
            [_sized(task.data.codes, size) for task in self._tasks],
            [None if each is None else _sized(each, size) for each in on_device],
            self._device,
            self._which,
        )

    @cached_property
    def latents(self) -> BlockStream:
        """The stream of latents of one update, (N, B, latent_size)."""
        task = self._tasks[0]
        shape = (LATENT_BLOCK, self._batch_size, task.latent_size)
        normal: DeviceDraw | None = None
        if task.latents == "normal":
            normal = lambda draws: draws.normal(*shape)  # noqa: E731
        return self._stream(Purpose.LATENTS, latent_block(task, LATENT_BLOCK, self._batch_size), normal)

    @cached_property
    def probes(self) -> BlockStream:
        """The stream of what the loss draws at each update.

        Noise on D's two batches, (N, 2, B, *shape), or interpolation weights of real and generated samples, (N, B).
        """
        if self._loss.noisy:
            noise = (LATENT_BLOCK, 2, self._batch_size, *self._seen_shape)
            return self._stream(Purpose.PENALTY, normal_block(*noise), lambda draws: draws.normal(*noise))
        places = (LATENT_BLOCK, self._batch_size)
        return self._stream(Purpose.PENALTY, uniform_block(*places), lambda draws: draws.uniform(*places))

    def forget(self, rows: np.ndarray) -> None:
        """Drops the cached draws of the rows, because their seed or episode changed."""
        for stream in vars(self).values():
            if isinstance(stream, BlockStream):
                stream.forget(rows)

    def _stream(self, purpose: Purpose, draw: Draw, device_draw: DeviceDraw | None) -> BlockStream:
        """Makes a stream that is the same for every task."""
        return BlockStream(self._rows, LATENT_BLOCK, purpose, [draw], [device_draw], self._device)
