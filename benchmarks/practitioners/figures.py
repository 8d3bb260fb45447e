"""Writes README.md and samples.png of the results from the rows: the figures of PROTOCOL.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread
from single_run import CONTESTANTS, PICTURES, PLAIN, SEEDS, SHOWN, picture_score

from agents.report.cells import interval
from agents.report.html.figures import COLOURS, png_of
from agents.report.statistics import Interval, mean_interval
from gan_env.data.images import picture_data
from gan_env.io.files import write_whole
from gan_env.rendering.draw import image_grid

Rows = dict[tuple[str, str, int], dict[str, Any]]
"""By loop, contestant and seed."""
TITLES = {
    "dcgan": "PyTorch's tutorial DCGAN, 64 × 64 emoji",
    "r3gan": "A loop after R3GAN, 32 × 32 emoji",
    "ctgan": "CTGAN on iris",
}
SCORES = {"dcgan": "Fréchet distance", "r3gan": "Fréchet distance", "ctgan": "W1"}
TOP = """# Where practitioners are: three loops under `auto` and under their own defaults

Written by `python benchmarks/practitioners/run.py figures` from `rows.jsonl.gz`. The loops, the contestants and what is
measured are in the [protocol](../../practitioners/PROTOCOL.md), which is older than the rows. Means with 95 % t
intervals; differences to `plain`, each loop's own default, paired by seed; lower scores are better. Cost is the time in
`Steer`'s calls as a share of an iteration: the median over iterations and, in brackets, the sum over the run. Rates are
geometric means over the run.
"""
LIMITS = """
## What it does not show

These runs are short, so that each fits into a minute of one core. At 2e-4 and after 600 iterations of 32 pictures the
tutorial's DCGAN has hardly begun; its own length is 7,900 iterations of 128. A controller that raises the
rates can gain here by that alone, and what is left of it in a run of that length was not measured. The loop after R3GAN
is as short: 400 iterations of 32 pictures, where the original's schedules alone take 20 million pictures.
CTGAN runs at its own length, on a table of 112 rows. Each loop is one data set and one size.
"""
ALT = "Samples of each contestant below real emoji, a line each"
SCORE_HEAD = (
    "| contestant | {score} | minus `plain` | better than `plain` | failed | rates of D, G | cost of `Steer` "
    "| an iteration |\n|---|---|---|---|---|---|---|---|\n"
)
ACCURACY_HEAD = """
Balanced accuracy on real rows of a classifier that was trained on the samples, higher is better:

| contestant | accuracy | minus `plain` | better than `plain` |
|---|---|---|---|
"""


def values(rows: Rows, loop: str, name: str, figure: str) -> dict[int, float]:
    """Returns a figure by seed, of the runs that did not fail."""
    found = {seed: rows.get((loop, name, seed)) for seed in range(SEEDS[loop])}
    return {seed: row[figure] for seed, row in found.items() if row is not None and row["status"] == "ok"}


def difference(rows: Rows, loop: str, name: str, figure: str) -> Interval | None:
    """Returns the mean paired difference to `plain`; None if no seed has both."""
    mine, plain = values(rows, loop, name, figure), values(rows, loop, PLAIN, figure)
    gaps = [mine[seed] - plain[seed] for seed in mine if seed in plain]
    return mean_interval(gaps) if gaps else None


def wins(rows: Rows, loop: str, name: str, figure: str, sign: int) -> str:
    """Counts the seeds in which the figure, times sign, is below that of `plain`; a failed run loses."""
    mine, plain = ({s: sign * v for s, v in values(rows, loop, each, figure).items()} for each in (name, PLAIN))
    both = [seed for seed in range(SEEDS[loop]) if all((loop, each, seed) in rows for each in (name, PLAIN))]
    count = sum(mine.get(seed, np.inf) < plain.get(seed, np.inf) for seed in both)
    return f"{count} of {len(both)}"


def compared(rows: Rows, loop: str, name: str, figure: str, sign: int) -> list[str]:
    """Returns the cells of a contestant: mean, difference to `plain`, wins."""
    found = list(values(rows, loop, name, figure).values())
    mean = interval(mean_interval(found) if found else None)
    if name == PLAIN:
        return [mean, "", ""]
    return [mean, interval(difference(rows, loop, name, figure), sign=True), wins(rows, loop, name, figure, sign)]


def steered(runs: list[dict[str, Any]]) -> list[str]:
    """Returns the cells of the rates that were set and of what `Steer` costs, medians over runs."""
    if "steer_share" not in runs[0]:
        return ["", "", ""]
    rates = [np.exp(np.mean([np.log(run[name]) for run in runs])) for name in ("d_rates", "g_rates")]
    share, whole, took = (
        np.median([run[n] for run in runs]) for n in ("steer_share", "steer_share_of_run", "iteration_ms")
    )
    return [", ".join(f"{rate:.1e}" for rate in rates), f"{share:.1%} ({whole:.1%})", f"{took:.0f} ms"]


def verdict(rows: Rows, loop: str, name: str) -> str:
    """Says in a sentence whether a contestant is better than the loop's default."""
    gap = difference(rows, loop, name, "score")
    if gap is None or not gap.bounded:
        return f"`{name}`: too few runs."
    word = "better than" if gap.high < 0 else "worse than" if gap.low > 0 else "not shown to differ from"
    return f"`{name}` is {word} the loop's own default."


def section(rows: Rows, loop: str) -> str:
    """Writes the section of a loop."""
    there = [name for name in CONTESTANTS if any(key[:2] == (loop, name) for key in rows)]
    lines = []
    for name in there:
        runs = [row for key, row in rows.items() if key[:2] == (loop, name)]
        failed = f"{sum(run['status'] != 'ok' for run in runs)} of {len(runs)}"
        cells = [f"`{name}`", *compared(rows, loop, name, "score", 1), failed, *steered(runs)]
        lines.append("| " + " | ".join(cells) + " |\n")
    text = f"\n## {TITLES[loop]}\n\n" + SCORE_HEAD.format(score=SCORES[loop]) + "".join(lines)
    if loop in PICTURES:
        score = picture_score(PICTURES[loop])
        text += f"\nReal pictures that no player saw have {score.floor():.3g}. "
    else:
        accuracy = [f"| `{n}` | " + " | ".join(compared(rows, loop, n, "accuracy", -1)) + " |\n" for n in there]
        text += ACCURACY_HEAD + "".join(accuracy) + "\nBy W1, "
    verdicts = [verdict(rows, loop, name) for name in there if name != PLAIN]
    verdicts += [f"`{name}` was not run with what ships now." for name in CONTESTANTS if name not in there]
    return text + " ".join(verdicts) + "\n"


def strips(out: Path, loop: str) -> dict[str, np.ndarray]:
    """Returns real test pictures and each contestant's first samples of seed 0, a strip each."""
    real = image_grid(picture_data("emoji", None, PICTURES[loop]).test()[:SHOWN], SHOWN)
    files = {name: out / "samples" / f"{loop}-{name}.png" for name in CONTESTANTS}
    return {"real": real} | {name: imread(file) for name, file in files.items() if file.exists()}


def draw_samples(out: Path) -> bytes:
    """Draws the strips of both loops of pictures below each other, as a PNG."""
    shown = {loop: strips(out, loop) for loop in PICTURES}
    lines = [(loop, name, strip) for loop, each in shown.items() if len(each) > 1 for name, strip in each.items()]
    figure = Figure(figsize=(8.2, 0.75 * len(lines)), dpi=100, layout="constrained")
    for axes, (loop, name, strip) in zip(figure.subplots(len(lines), 1, squeeze=False)[:, 0], lines, strict=True):
        axes.imshow(strip, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(f"{loop}\n{name}", rotation=0, ha="right", va="center", fontsize=10)
    return png_of(figure, COLOURS)


def write_figures(found: list[dict[str, Any]], out: Path) -> None:
    """Writes README.md and samples.png into the folder of the rows."""
    rows: Rows = {(row["loop"], row["contestant"], row["seed"]): row for row in found}
    text = TOP + "".join(section(rows, loop) for loop in TITLES if any(key[0] == loop for key in rows))
    if (out / "samples").exists():
        write_whole(out / "samples.png", draw_samples(out))
        text += f"\n## Samples\n\nThe first {SHOWN} samples of seed 0.\n\n![{ALT}](samples.png)\n"
    write_whole(out / "README.md", text + LIMITS)
