"""Global settings of our commands and worker processes; importing the package or making an environment sets none."""

from __future__ import annotations

import torch


def settle(threads: int = 1) -> None:
    """Sets the number of torch threads, and full float32 precision for products and convolutions on a GPU.

    Two threads on a busy machine can be ten times slower than one. TF32, torch's default for convolutions, keeps ten
    bits of the mantissa: results could not be compared with a CPU's.
    """
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
