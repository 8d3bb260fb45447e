"""Names of distances for people; rows and code call them by their short ones."""

from __future__ import annotations

NAMES = {
    "w1": "Wasserstein distance",
    "sliced_w1": "sliced Wasserstein distance",
    "frechet": "Fréchet distance",
    "chamfer": "Chamfer distance",
    "saddle_distance": "distance from the saddle",
    "target_error": "error on the target domain",
}


def measure_name(name: str) -> str:
    """Returns the name of a score or quality for people; a task's own as it is, with spaces for underscores.

    >>> measure_name("sliced_w1"), measure_name("my_distance")
    ('sliced Wasserstein distance', 'my distance')
    """
    return NAMES.get(name, name.replace("_", " "))
