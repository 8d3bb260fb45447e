"""Refuses far more work than any of ours if only a folder's `config.json` asks for it.

A folder may come from somebody else, whose configuration must not decide that a machine is busy for months.
"""

from __future__ import annotations

from pathlib import Path

from gan_env.envs.config import EnvConfig

MOST_SAMPLES = 10**12
"""Most real samples that a folder may ask to be trained on, all GANs together: a hundred times our largest suite's."""
MOST_UPDATES = 10**7
"""Most updates that it may ask for one after another, of one run or of the training of an agent."""
LEAST_BATCH = 64
"""Samples that an update counts at least: smaller batches are hardly faster."""
MOST_ROWS = 20_000
"""Most GANs that it may ask to be trained side by side."""
SAMPLES_A_SECOND = 10**6
"""How many samples one core takes, about, on the small games."""


def samples_of(game: EnvConfig, runs: int) -> int:
    """Returns how many real samples so many whole runs of a game train on; a task of pictures is read for it."""
    task = None if game.episode_updates and game.batch_size else game.build_task()
    updates = game.episode_updates or (task.episode_updates if task else 0)
    return runs * updates * max(game.batch_size or (task.batch_size if task else 0) or 0, LEAST_BATCH)


def refuse_costly(folder: Path, samples: int, updates: int, rows: int) -> None:
    """Raises ValueError, on one line and naming the file, for more than a folder may ask for by itself.

    Args:
        folder: The folder.
        samples: Samples that its configuration asks to be trained on, see `samples_of`.
        updates: Updates that it asks for one after another.
        rows: GANs that it asks to be trained side by side.
    """
    hours = samples / SAMPLES_A_SECOND / 3600
    for count, most, what in (
        (samples, MOST_SAMPLES, f"samples to be trained on, about {hours:,.0f} hours of a core"),
        (updates, MOST_UPDATES, "updates one after another"),
        (rows, MOST_ROWS, "GANs to be trained side by side"),
    ):
        if count > most:
            raise ValueError(
                f"{str(folder / 'config.json')!r} asks for {count:,} {what}, where {most:,} are the most that a folder "
                "may ask for by itself; if you want it, say so by --trust, or name another folder"
            )
