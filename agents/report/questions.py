"""What each suite asks: the title of its page, and the figure that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Question:
    """What a benchmark asks."""

    title: str
    text: str
    """Ends with a question mark."""
    figure: Literal["scores", "medians", "rates", "budget"] = "scores"
    """What answers it: every run's score, medians of all configurations, score against base rate, or score against
    the number of rates tried."""


_BEST = "Which controller trains a GAN best?"
QUESTIONS = {
    "quick": Question("Seven controllers in a minute", _BEST),
    "dynamic-gda-table-1": Question(
        "Dynamic-GDA's 2-D table", "In which order should the two players be updated?", "medians"
    ),
    "dynamic-gda-table-1-readings": Question(
        "Dynamic-GDA's 2-D table under other readings",
        "In which order should the two players be updated, whatever the thesis leaves open?",
        "medians",
    ),
    "dynamic-gda-table-2": Question(
        "Dynamic-GDA's image table, in a night", "In which order should the two players be updated?", "medians"
    ),
    "dynamic-gda-table-2-gpu": Question(
        "Dynamic-GDA's image table", "In which order should the two players be updated?", "medians"
    ),
    "lr-robustness": Question(
        "Robustness to the learning rate", "Over how wide a range of base rates does a controller train a GAN?", "rates"
    ),
    "fsco-ablation": Question("FSCO's open choices", "Which reading of FSCO trains a GAN best?", "rates"),
    "tuning-budget": Question("Tuning budget", "How good is a GAN after a few trials of the learning rate?", "budget"),
    "tuning-budget-pictures": Question(
        "Tuning budget on pictures", "How good is a GAN of pictures after a few trials of the learning rate?", "budget"
    ),
    "fsco-pictures": Question(
        "FSCO on pictures", "Does FSCO train a GAN of pictures better, and at which rates?", "rates"
    ),
    "gcann-pictures": Question("GCANN on pictures and voxels", "Does GCANN make better pictures and shapes?"),
    "gcann-voxels": Question("GCANN on voxels", "Does GCANN make better shapes, on fresh seeds?"),
    "modern-players": Question(
        "Modern players", "Which controller trains StyleGAN2-like and R3GAN-like networks best?"
    ),
    "modern-players-others": Question(
        "Modern players, others",
        "Do search, look-ahead or another optimiser train StyleGAN2-like and R3GAN-like networks better?",
    ),
    "overhead": Question("Overhead", "What does a controller cost, and what does it gain?"),
    "generalisation": Question("Generalisation", "Does what was chosen on one game help on others?"),
}
"""By the name of the suite."""


def question(
    config: dict[str, Any], tasks: Sequence[str], controllers: int, rates: int, configurations: int
) -> Question:
    """Returns a benchmark's question: its suite's, or a general one.

    Args:
        config: Its configuration, {} where there is none.
        tasks: Its tasks.
        controllers: How many it compares.
        rates: How many base rates share a curve; 0 without curves.
        configurations: How many it has.
    """
    suite = config.get("suite")
    if isinstance(suite, str) and suite in QUESTIONS:
        return QUESTIONS[suite]
    shown = ", ".join(tasks[:4]) + (f" and {len(tasks) - 4} more" if len(tasks) > 4 else "")
    figure = "rates" if rates > 2 else "medians" if configurations > 6 else "scores"
    return Question(f"{controllers} controller{'s' * (controllers != 1)} on {shown}", _BEST, figure)
