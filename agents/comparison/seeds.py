"""Row seeds in disjoint named splits: for choosing, for training agents, for judging."""

from __future__ import annotations

from gan_env.registry import unknown

SPLITS = {"tune": 1_000_000, "train-agent": 2_000_000, "evaluate": 3_000_000}
"""First row seed of each named split of seeds."""
SPLIT_SIZE = 1_000_000


def split_seeds(split: str, count: int) -> list[int]:
    """Returns the first `count` row seeds of a split.

    >>> split_seeds("evaluate", 3)
    [3000000, 3000001, 3000002]

    Raises:
        ValueError: If the split is unknown or does not hold so many seeds.
    """
    check_split(split)
    if not 0 < count <= SPLIT_SIZE:
        raise ValueError(f"count={count} seeds were asked for; a split holds 1 to {SPLIT_SIZE}")
    return list(range(SPLITS[split], SPLITS[split] + count))


def check_split(split: str) -> None:
    """Raises ValueError for an unknown split."""
    if split not in SPLITS:
        raise unknown("split", split, list(SPLITS))
