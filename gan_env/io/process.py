"""What our commands and workers set for their whole process; importing the package or constructing never does."""

from __future__ import annotations

import torch


def settle(threads: int = 1) -> None:
    """So many torch threads, and float32 in products and convolutions of a GPU, too.

    Two threads on a busy machine can be ten times slower than one. TF32, which torch takes for convolutions unless it
    is told otherwise, keeps ten bits of the mantissa: results could not be compared with a CPU's.
    """
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
