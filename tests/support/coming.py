"""What a trainer's next update will be made on, whichever engine makes it."""

from torch import Tensor

from gan_env.training.trainer import Trainer


def coming_real(trainer: Trainer) -> Tensor:
    """The real batch of every row, (N, B, *shape), in the trainer's precision."""
    rows = slice(0, trainer.n)
    codes = trainer.feed.reals.at(rows, trainer.real_index, trainer.seed, trainer.episode)
    return trainer.task.data.batch(codes).to(trainer.dtype)
