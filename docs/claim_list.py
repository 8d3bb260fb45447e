"""Every claim of every source, with what answers it.

A claim without rows is open and has the command that would make them. `claim_tables.py` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import claim_answers as answers
import claim_scripts as scripts
import claim_thesis as thesis
from claim_verdicts import Answer

from agents.benchmark.suites import READINGS


@dataclass(frozen=True)
class Claim:
    """What a source says, and where the answer comes from."""

    says: str
    answer: Callable[[], Answer]
    command: str
    rows: str
    """File to read beside the rows, from the root."""


@dataclass(frozen=True)
class Open:
    """A claim that no committed row answers yet."""

    says: str
    hours: float
    """Of one core, from measured seconds an update."""
    command: str


# -- what answers them --------------------------------------------------------------------------------------------

RESULTS = "benchmarks/results"
TRAIN, TRAIN_ROWS = "`make train`", f"{RESULTS}/train-digits/table.txt"
AUTO, AUTO_ROWS = "`python benchmarks/auto/judge.py`", f"{RESULTS}/auto/figures.md"
DIRAC, DIRAC_ROWS = "`python -m benchmarks.dirac`", f"{RESULTS}/dirac/table.txt"
LOOPS, LOOPS_ROWS = (
    "`python benchmarks/practitioners/run.py`",
    f"{RESULTS}/practitioners/README.md",
)
LOOK = "`python benchmarks/lookahead_on_ring.py`"
LOOK_ROWS = f"{RESULTS}/lookahead_on_ring/table.txt"
SWEEP, SWEEP_ROWS = "`python -m benchmarks.readings.sweep`", f"{RESULTS}/readings/README.md"
TABLE_1, TABLE_2, READ = (
    "dynamic-gda-table-1",
    "dynamic-gda-table-2",
    "dynamic-gda-table-1-readings",
)
"""Suites of the thesis' tables."""
OPTIONS = {
    "lr-robustness": " --also AGENTS",
    "fsco-pictures": " --also benchmarks/agents/fsco-fashion.safetensors",
    "modern-players": " --skip-undefined",
}
"""Options beside the suite with which rows were made; the page says which files AGENTS are."""
FSCO = ("fsco-ring", "fsco (embedded)")
GCANN = ("gcann", "gcann:image", "gcann:voxels", "gcann:literal")
"""Its published settings and the damped one."""
PICTURES = ("fashion", "28 × 28 (Fashion-MNIST)"), ("emoji64", "64 × 64 (emoji)")
VOXELS = "furniture"
"""Tasks of its own kinds."""


def _command(suite: str) -> str:
    return f"`gan-env bench --suite {suite}{OPTIONS.get(suite, '')}`"


def _suite(
    says: str, suite: str, answer: Callable[..., Answer], *what: str | tuple[str, ...]
) -> Claim:
    """A claim that the rows of a suite answer, which lie in the folder of its name."""
    return Claim(
        says, partial(answer, suite, *what), _command(suite), f"{RESULTS}/{suite}/README.md"
    )


def _robust(says: str, answer: Callable[..., Answer], *what: str | tuple[str, ...]) -> Claim:
    """A claim that the rows of `lr-robustness` answer."""
    return _suite(says, "lr-robustness", answer, *what)


def _held_out(says: str, answer: Callable[..., Answer], *what: str) -> Claim:
    """A claim that the rows of the 13 games on which `auto` is judged answer."""
    return Claim(says, partial(answer, "auto/ranks", *what), AUTO, AUTO_ROWS)


CLAIMS: dict[str, tuple[Claim | Open, ...]] = {
    "fsco": (
        Claim(
            "The agent learns to earn its reward, −|L_G − L_D|",
            answers.learned,
            TRAIN,
            TRAIN_ROWS,
        ),
        _robust("That reward stands for good training", answers.reward_agrees),
        Claim(
            "Samples are better than those of plain training, the agent trained beforehand (`digits`)",
            partial(answers.digits, "fsco (meta)"),
            TRAIN,
            TRAIN_ROWS,
        ),
        Claim(
            "The same, learning within the run",
            partial(answers.digits, "fsco (embedded)"),
            TRAIN,
            TRAIN_ROWS,
        ),
        _robust("The range of usable base rates becomes wider", answers.areas, "fsco-ring"),
        _robust(
            "Training is more stable: fewer runs fail, an agent trained on `ring`, and one that learns in the run",
            answers.failures,
            FSCO,
        ),
        Claim(
            "What the agent costs (named by reviews as missing)",
            answers.overhead,
            f"{_command('lr-robustness')}, {_command('fsco-pictures')}",
            f"{RESULTS}/lr-robustness/README.md",
        ),
        _suite(
            "Which of its reward's readings, sum or mean, and which range does better (open in the paper)",
            "fsco-ablation",
            answers.each_of,
            "fsco",
        ),
        _suite(
            "Less tuning is needed (a tenth, the yardstick of the gap-aware paper)",
            "tuning-budget",
            answers.budget,
            "fsco (embedded)",
        ),
        *(
            _suite(
                says, "fsco-pictures", answers.ratio, ("fsco (embedded)", "fsco-fashion"), task
            )
            for says, task in (
                (
                    "Samples are better at 28 × 28 (Fashion-MNIST), five base rates of both players",
                    "fashion",
                ),
                (
                    "At 64 × 64 (emoji, which the agent from Fashion-MNIST never saw), three base rates",
                    "emoji64",
                ),
                ("At 128 × 128, one run of each", "emoji128"),
            )
        ),
        _suite(
            "It steers modern players, too (a StyleGAN2-like and an R3GAN-like game; the paper's next step)",
            "modern-players",
            answers.ratio,
            "fsco (embedded)",
        ),
    ),
    "gcann": (
        _robust(
            "Both rates shifted by windows of the losses: better samples",
            answers.ranks,
            "gcann",
        ),
        _robust("It acts on the losses", answers.acts, "gcann"),
        _robust("Fewer runs fail", answers.failures, "gcann"),
        _robust(
            "More diversity (modes of `ring`)",
            answers.detail,
            "gcann",
            "modes_hit",
            "modes of eight",
            "ring",
        ),
        *(
            _suite(
                f"A lower Fréchet distance on pictures, {size}",
                "gcann-pictures",
                answers.ratio,
                GCANN,
                task,
            )
            for task, size in PICTURES
        ),
        _suite(
            "A lower Chamfer distance on voxels", "gcann-pictures", answers.ratio, GCANN, VOXELS
        ),
        *(
            _suite(
                f"The losses converge: they end nearer to each other, {where}",
                "gcann-pictures",
                answers.losses_converge,
                GCANN,
                task,
            )
            for task, where in (*PICTURES, (VOXELS, "voxels"))
        ),
        _suite(
            "More diverse shapes",
            "gcann-pictures",
            answers.detail,
            GCANN,
            "diversity",
            "mean Chamfer distance between two shapes",
            VOXELS,
        ),
        *(
            _suite(
                f"Its diversity term makes better {what}",
                "gcann-pictures",
                answers.with_diversity,
                ("sim-gda", *GCANN),
                task,
            )
            for what, task in (("pictures (28 × 28)", "fashion"), ("shapes", VOXELS))
        ),
        _suite(
            "The damped reading has a lower Chamfer distance on voxels, on fresh seeds (protocol beside the rows)",
            "gcann-voxels",
            answers.ratio_on_fresh,
            "gcann",
            "gcann-pictures",
        ),
    ),
    "dyn-gda": (
        Claim(
            "On the Dirac-GAN the oracle converges where fixed orders do not, Wasserstein loss",
            partial(scripts.oracle_converges, "wgan-unclipped"),
            DIRAC,
            DIRAC_ROWS,
        ),
        Claim(
            "The same with the bce loss, within 30,000 updates",
            partial(scripts.oracle_converges, "bce"),
            DIRAC,
            DIRAC_ROWS,
        ),
        Claim(
            "Fixed orders do not converge there with the bce loss (non-saturating here, saturating in the proof)",
            scripts.fixed_orders_stall,
            DIRAC,
            DIRAC_ROWS,
        ),
        Claim("The oracle converges from any start", scripts.starts, DIRAC, DIRAC_ROWS),
        _suite(
            "Dynamic-GDA is best in half of the 32 cells of the plane",
            TABLE_1,
            thesis.best_cells,
        ),
        _suite(
            "The orders differ significantly, whichever comes first", TABLE_1, thesis.friedman
        ),
        _suite(
            "They do over both tables (the second has `wgan:0.1` and `gn:0.83`)",
            TABLE_2,
            thesis.friedman,
            TABLE_1,
        ),
        _suite(
            "On pictures Dynamic-GDA is worst with `wgan-gp`",
            TABLE_2,
            thesis.worst_cells,
            "wgan-gp",
        ),
        _suite(
            "Dynamic-GDA ranks before Sim-GDA in that table", TABLE_1, answers.ranks, "dyn-gda"
        ),
        _suite(
            "It helps beside each of eight ways to stabilise", TABLE_1, answers.wins, "dyn-gda"
        ),
        Claim(
            "It is better on the ring at 30,000 updates",
            scripts.on_the_ring,
            "`python benchmarks/ring_thesis.py`",
            "benchmarks/results/ring-thesis/table.txt",
        ),
        Claim(
            "The choice matters, not the share of G's updates (`digits`, against a random order of that share)",
            partial(answers.digits, "dyn-gda", "random-order:0.45"),
            TRAIN,
            TRAIN_ROWS,
        ),
        Claim(
            "`wgan` learns the plane (two of its four sets are asked for)",
            partial(scripts.readings, "wgan"),
            SWEEP,
            SWEEP_ROWS,
        ),
        Claim(
            "`gran` learns the plane (likewise)",
            partial(scripts.readings, "gran", "gn"),
            SWEEP,
            SWEEP_ROWS,
        ),
        *(
            _suite(
                f"`{name}` in the place of `{loss}` learns every set on test data",
                READ,
                thesis.learns,
                loss,
                name,
            )
            for loss, name in READINGS.items()
        ),
        _suite(
            "The table under other readings: 10 seeds, both β₁, both meanings of 30,000 iterations",
            READ,
            thesis.under_readings,
        ),
        _suite(
            "Best in the image half, too, at sizes for two cores (`sim-gda` then makes twice the steps of `alt-gda-1`)",
            TABLE_2,
            thesis.best_cells,
        ),
        Open(
            "The same in the thesis' size, on a GPU (the hours are scaled from the line above)",
            1_000,
            "gan-env bench --suite dynamic-gda-table-2-gpu",
        ),
    ),
    "gap-aware": (
        _robust("Fewer runs diverge (here: fail)", answers.failures, "gap-aware"),
        Claim(
            "Better samples, up to 27 % (`digits`)",
            partial(answers.digits, "gap-aware"),
            TRAIN,
            TRAIN_ROWS,
        ),
        _robust("Better over a range of rates", answers.areas, "gap-aware"),
        _suite("A tenth of the tuning budget", "tuning-budget", answers.budget, "gap-aware"),
        _suite(
            "The same on pictures (Fashion-MNIST)",
            "tuning-budget-pictures",
            answers.budget,
            "gap-aware",
        ),
        Claim(
            "Up to 3 % better accuracy in domain adaptation",
            partial(answers.target_errors, "gap-aware"),
            "`gan-env bench --tasks digits-domains --controllers sim-gda,gap-aware,best-constant --seeds 10`",
            f"{RESULTS}/digits-domains/README.md",
        ),
    ),
    "opponents": (
        _held_out(
            "Two time scales, D four times as fast (Heusel et al. 2017)", answers.wins, "ttur"
        ),
        _held_out("A linear decay (usual)", answers.wins, "linear-decay"),
        _held_out(
            "Balance by relative change of the losses (Ouyang and Agam 2020)",
            answers.wins,
            "loss-rate-balance",
        ),
        _held_out(
            "D waits while it is accurate, G while D is not (folklore)",
            answers.wins,
            "d-accuracy-gate",
        ),
        _robust(
            "Five D updates for one of G (Arjovsky et al. 2017)", answers.wins, "alt-gda-5"
        ),
        _robust(
            "Random multipliers, which learn nothing (the control for FSCO)",
            answers.wins,
            "random",
        ),
        _robust("Optimistic Adam (Daskalakis et al. 2018)", answers.wins, "oadam"),
        _robust("Optimistic Adam: fewer runs fail", answers.failures, "oadam"),
        _robust(
            "An average of G's weights is better than G (Yazıcı et al. 2019), under plain training",
            answers.average,
        ),
        Claim(
            "Trying multipliers on copies beats plain training (ours, head-room)",
            partial(scripts.looks_ahead, "plain"),
            LOOK,
            LOOK_ROWS,
        ),
        Claim(
            "It beats the best constant",
            partial(scripts.looks_ahead, "constant"),
            LOOK,
            LOOK_ROWS,
        ),
        Claim(
            "Extragradient (Gidel et al. 2019), look-ahead (Chavdarova et al. 2021), negative momentum (Gidel et al. "
            "2019)",
            partial(answers.each_of, "optimisers"),
            "`gan-env bench --tasks ring,circle,spiral,line,grid --controllers "
            "sim-gda,oadam,extra-adam,lookahead-minimax,negative-momentum --seeds 10 --updates 5000`",
            f"{RESULTS}/optimisers/README.md",
        ),
        _suite(
            "AutoLoss learns who updates (Xu et al. 2018)",
            "generalisation",
            answers.wins,
            "autoloss",
        ),
        _suite(
            "What is chosen on tune seeds, or by trying on copies, beats the papers' rates on modern players (ours)",
            "modern-players-others",
            answers.ratio,
            ("best-constant", "best-schedule", "lookahead"),
        ),
    ),
    "ours": (
        _robust(
            "`auto` beats plain training over base rates (unranked; 21 of 28 are of the plane, which was held out)",
            answers.wins,
            "auto",
        ),
        _robust(
            "`auto` beats the best of 168 schedules chosen for each configuration",
            answers.wins,
            "auto",
            "best-schedule",
        ),
        _robust(
            "`ttur-decay` ranks before plain training over base rates",
            answers.ranks,
            "ttur-decay",
        ),
        _robust("`auto` fails less", answers.failures, "auto"),
        _suite(
            "`auto` fails less on modern players", "modern-players", answers.failures, "auto"
        ),
        *(
            Claim(
                f"`auto` helps {what}",
                partial(scripts.practitioners, loop, "auto"),
                LOOPS,
                LOOPS_ROWS,
            )
            for what, loop in (
                ("a small tutorial DCGAN", "dcgan"),
                ("a loop after R3GAN", "r3gan"),
                ("CTGAN on iris", "ctgan"),
            )
        ),
        Claim(
            "The agent paid by `log_quality` beats plain training on `digits`",
            partial(answers.digits, "ddpg (log_quality)"),
            TRAIN,
            TRAIN_ROWS,
        ),
    ),
}
"""By source."""
