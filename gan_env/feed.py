"""What the rows of a trainer draw: real batches, latents, and what a loss takes at each update."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from gan_env.losses import Loss
from gan_env.streams import BlockStream, DeviceDraw, Draw, Purpose, normal_block, uniform_block
from gan_env.task import Task

LATENT_BLOCK = 8
"""Updates whose latents are drawn at once. Part of every result: the numbers depend on it."""


def latent_block(task: Task, batches: int, batch_size: int) -> Draw:
    """A draw of latents, (batches, batch_size, latent_size)."""
    shape = (batches, batch_size, task.latent_size)
    if task.latents == "ones":
        return lambda generator: np.ones(shape, np.float32)
    return normal_block(*shape)


class Feed:
    """The streams of N rows; one is made when it is first read.

    Args:
        task: Whose data and latents.
        loss: Whose noise or places.
        rows: N.
        batch_size: B.
        seen_shape: Of one sample as D sees it.
        device: Where batches are wanted.

    Raises:
        ValueError: If the data have no batches of that size.
    """

    def __init__(
        self,
        task: Task,
        loss: Loss,
        rows: int,
        batch_size: int,
        seen_shape: tuple[int, ...],
        device: torch.device,
    ):
        self._task, self._loss, self._rows, self._batch_size = task, loss, rows, batch_size
        self._seen_shape, self._device = seen_shape, device
        self._real_block = task.data.block(batch_size)

    @cached_property
    def reals(self) -> BlockStream:
        """Codes of the real batches, which the task's data turns into samples."""
        data, size = self._task.data, self._batch_size
        on_device = getattr(data, "device_codes", None)  # a user's own data may come from the CPU alone
        return self._stream(
            self._real_block,
            Purpose.REAL,
            lambda generator: data.codes(generator, size),
            None if on_device is None else lambda draws: on_device(draws, size),
        )

    @cached_property
    def latents(self) -> BlockStream:
        """Latents of one update, (N, B, latent_size)."""
        shape = (LATENT_BLOCK, self._batch_size, self._task.latent_size)
        normal: DeviceDraw | None = None
        if self._task.latents == "normal":
            normal = lambda draws: draws.normal(*shape)  # noqa: E731
        return self._stream(
            LATENT_BLOCK, Purpose.LATENTS, latent_block(self._task, LATENT_BLOCK, self._batch_size), normal
        )

    @cached_property
    def probes(self) -> BlockStream:
        """What the loss draws at each update.

        Noise on D's two batches, (N, 2, B, *shape), or places between real and generated samples, (N, B).
        """
        if self._loss.noisy:
            noise = (LATENT_BLOCK, 2, self._batch_size, *self._seen_shape)
            return self._stream(LATENT_BLOCK, Purpose.PENALTY, normal_block(*noise), lambda draws: draws.normal(*noise))
        places = (LATENT_BLOCK, self._batch_size)
        return self._stream(LATENT_BLOCK, Purpose.PENALTY, uniform_block(*places), lambda draws: draws.uniform(*places))

    def forget(self, rows: np.ndarray) -> None:
        """Drops what the rows hold, because their seed or episode changed."""
        for stream in vars(self).values():
            if isinstance(stream, BlockStream):
                stream.forget(rows)

    def _stream(self, block: int, purpose: Purpose, draw: Draw, device_draw: DeviceDraw | None) -> BlockStream:
        return BlockStream(self._rows, block, purpose, draw, device_draw, self._device)
