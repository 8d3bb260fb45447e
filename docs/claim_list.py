"""Every claim of every source, with what answers it.

A claim without rows is open and has the command that would make them; once they are in the folder that it names, it
has an answer. `claim_tables.py` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import claim_answers as answers
import claim_scripts as scripts
import claim_thesis as thesis
from claim_verdicts import Answer
from controller_tables import RESULTS, ROOT

from agents.benchmark.suites import READINGS


@dataclass(frozen=True)
class Claim:
    """What a source says, and where the answer comes from."""

    says: str
    answer: Callable[[], Answer]
    command: str
    rows: str = ""
    """File to read beside the rows, from the root; "" where there are none."""


@dataclass(frozen=True)
class Open:
    """A claim that no committed row answers yet."""

    says: str
    hours: float
    """Of one core, from measured seconds an update."""
    command: str
    folder: str = ""
    """Folder of results in which rows will answer it."""
    then: Callable[[], Answer] | None = None
    """The answer of those rows."""


def settled(claim: Claim | Open) -> Claim | Open:
    """A claim with its answer, if its rows are there by now."""
    if isinstance(claim, Claim) or claim.then is None:
        return claim
    rows = RESULTS / claim.folder
    if not (rows / "rows.jsonl.gz").is_file():
        return claim
    beside = next(name for name in ("README.md", "config.json") if (rows / name).is_file())
    return Claim(
        claim.says, claim.then, f"`{claim.command}`", str((rows / beside).relative_to(ROOT))
    )


# -- the claims ---------------------------------------------------------------------------------------------------

ROBUST = "`gan-env bench --suite lr-robustness --also AGENTS`"
ON_PICTURES = (
    "`gan-env bench --suite fsco-pictures --also benchmarks/agents/fsco-fashion.safetensors`"
)
ROBUST_ROWS = "benchmarks/results/lr-robustness/README.md"
TRAIN, TRAIN_ROWS = "`make train`", "benchmarks/results/train-digits/table.txt"
TABLE_1 = "`gan-env bench --suite dynamic-gda-table-1`"
TABLE_1_ROWS = "benchmarks/results/dynamic-gda-table-1/README.md"
TABLE_2 = "`gan-env bench --suite dynamic-gda-table-2`"
TABLE_2_ROWS = "benchmarks/results/dynamic-gda-table-2/README.md"
AUTO, AUTO_ROWS = "`python benchmarks/auto/judge.py`", "benchmarks/results/auto/figures.md"
DIRAC, DIRAC_ROWS = "`python -m benchmarks.dirac`", "benchmarks/results/dirac/table.txt"
MODERN = "`gan-env bench --suite modern-players --skip-undefined`"
MODERN_ROWS = "benchmarks/results/modern-players/README.md"
LOOPS = "`python benchmarks/practitioners/run.py`"
LOOPS_ROWS = "benchmarks/results/practitioners/README.md"
LOOK, LOOK_ROWS = (
    "`python benchmarks/lookahead_on_ring.py`",
    "benchmarks/results/lookahead_on_ring/table.txt",
)
SWEEP = "`python -m benchmarks.readings.sweep`"
SWEEP_ROWS = "benchmarks/results/readings/README.md"


FSCO = ("fsco-ring", "fsco (embedded)")
GCANN = ("gcann", "gcann:image", "gcann:voxels", "gcann:literal")
"""Its published settings and the damped one."""
PICTURES = ("fashion", "28 × 28 (Fashion-MNIST)"), ("emoji64", "64 × 64 (emoji)")
VOXELS = "furniture"
"""Tasks of its own kinds."""


def _robust(says: str, answer: Callable[..., Answer], *what: str | tuple[str, ...]) -> Claim:
    """A claim that the rows of `lr-robustness` answer."""
    return Claim(says, partial(answer, "lr-robustness", *what), ROBUST, ROBUST_ROWS)


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
        Claim(
            "That reward stands for good training", answers.reward_agrees, ROBUST, ROBUST_ROWS
        ),
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
            f"{ROBUST}, {ON_PICTURES}",
            ROBUST_ROWS,
        ),
        Open(
            "Which of its reward's readings, sum or mean, and which range does better (open in the paper)",
            0.1,
            "gan-env bench --suite fsco-ablation",
            "fsco-ablation",
            partial(answers.each_of, "fsco-ablation", "fsco"),
        ),
        Open(
            "Less tuning is needed (a tenth, the yardstick of the gap-aware paper)",
            0.2,
            "gan-env bench --suite tuning-budget",
            "tuning-budget",
            partial(answers.budget, "tuning-budget", "fsco (embedded)"),
        ),
        *(
            Open(
                says,
                hours,
                ON_PICTURES.strip("`"),
                "fsco-pictures",
                partial(
                    answers.ratio, "fsco-pictures", ("fsco (embedded)", "fsco-fashion"), task
                ),
            )
            for says, hours, task in (
                (
                    "Samples are better at 28 × 28 (Fashion-MNIST), five base rates of both players",
                    0.6,
                    "fashion",
                ),
                (
                    "At 64 × 64 (emoji, which the agent from Fashion-MNIST never saw), three base rates",
                    0.4,
                    "emoji64",
                ),
                ("At 128 × 128, one run of each", 0.1, "emoji128"),
            )
        ),
        Open(
            "It steers modern players, too (a StyleGAN2-like and an R3GAN-like game; the paper's next step)",
            0.8,
            "gan-env bench --suite modern-players --skip-undefined",
            "modern-players",
            partial(answers.ratio, "modern-players", "fsco (embedded)"),
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
        Claim(
            "More diversity (modes of `ring`)",
            partial(
                answers.detail, "lr-robustness", "gcann", "modes_hit", "modes of eight", "ring"
            ),
            ROBUST,
            ROBUST_ROWS,
        ),
        *(
            Open(
                says,
                0.4,
                "gan-env bench --suite gcann-pictures",
                "gcann-pictures",
                partial(answer, "gcann-pictures", *what),
            )
            for says, answer, what in (
                *(
                    (
                        f"A lower Fréchet distance on pictures, {size}",
                        answers.ratio,
                        (GCANN, task),
                    )
                    for task, size in PICTURES
                ),
                ("A lower Chamfer distance on voxels", answers.ratio, (GCANN, VOXELS)),
                *(
                    (
                        f"The losses converge: they end nearer to each other, {where}",
                        answers.losses_converge,
                        (GCANN, task),
                    )
                    for task, where in (*PICTURES, (VOXELS, "voxels"))
                ),
                (
                    "More diverse shapes",
                    answers.detail,
                    (GCANN, "diversity", "mean Chamfer distance between two shapes", VOXELS),
                ),
                (
                    "Its diversity term makes better pictures (28 × 28)",
                    answers.with_diversity,
                    (("sim-gda", *GCANN), "fashion"),
                ),
                (
                    "Its diversity term makes better shapes",
                    answers.with_diversity,
                    (("sim-gda", *GCANN), VOXELS),
                ),
            )
        ),
        Open(
            "The damped reading has a lower Chamfer distance on voxels, on fresh seeds (protocol beside the rows)",
            0.3,
            "gan-env bench --suite gcann-voxels",
            "gcann-voxels",
            partial(answers.ratio_on_fresh, "gcann-voxels", "gcann", "gcann-pictures"),
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
        Claim(
            "Dynamic-GDA is best in half of the 32 cells of the plane",
            partial(thesis.best_cells, "dynamic-gda-table-1"),
            TABLE_1,
            TABLE_1_ROWS,
        ),
        Claim(
            "The orders differ significantly, whichever comes first",
            partial(thesis.friedman, "dynamic-gda-table-1"),
            TABLE_1,
            TABLE_1_ROWS,
        ),
        Claim(
            "They do over both tables (the second has `wgan:0.1` and `gn:0.83`)",
            partial(thesis.friedman, "dynamic-gda-table-1", "dynamic-gda-table-2"),
            TABLE_2,
            TABLE_2_ROWS,
        ),
        Claim(
            "On pictures Dynamic-GDA is worst with `wgan-gp`",
            partial(thesis.worst_cells, "dynamic-gda-table-2", "wgan-gp"),
            TABLE_2,
            TABLE_2_ROWS,
        ),
        Claim(
            "Dynamic-GDA ranks before Sim-GDA in that table",
            partial(answers.ranks, "dynamic-gda-table-1", "dyn-gda"),
            TABLE_1,
            TABLE_1_ROWS,
        ),
        Claim(
            "It helps beside each of eight ways to stabilise",
            partial(answers.wins, "dynamic-gda-table-1", "dyn-gda"),
            TABLE_1,
            TABLE_1_ROWS,
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
            Open(
                f"`{name}` in the place of `{loss}` learns every set on test data",
                2.7,
                "gan-env bench --suite dynamic-gda-table-1-readings",
                "dynamic-gda-table-1-readings",
                partial(thesis.learns, "dynamic-gda-table-1-readings", loss, name),
            )
            for loss, name in READINGS.items()
        ),
        Open(
            "The table under other readings: 10 seeds, both β₁, both meanings of 30,000 iterations",
            2.7,
            "gan-env bench --suite dynamic-gda-table-1-readings",
            "dynamic-gda-table-1-readings",
            partial(thesis.under_readings, "dynamic-gda-table-1-readings"),
        ),
        Open(
            "Best in the image half, too, at sizes for two cores (`sim-gda` then makes twice the steps of `alt-gda-1`)",
            1,
            "gan-env bench --suite dynamic-gda-table-2",
            "dynamic-gda-table-2",
            partial(thesis.best_cells, "dynamic-gda-table-2"),
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
        Open(
            "A tenth of the tuning budget",
            0.2,
            "gan-env bench --suite tuning-budget",
            "tuning-budget",
            partial(answers.budget, "tuning-budget", "gap-aware"),
        ),
        Open(
            "The same on pictures (Fashion-MNIST)",
            0.3,
            "gan-env bench --suite tuning-budget-pictures",
            "tuning-budget-pictures",
            partial(answers.budget, "tuning-budget-pictures", "gap-aware"),
        ),
        Open(
            "Up to 3 % better accuracy in domain adaptation",
            0.2,
            "gan-env bench --tasks digits-domains --controllers sim-gda,gap-aware,best-constant --seeds 10",
            "digits-domains",
            partial(answers.target_errors, "gap-aware"),
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
        Claim(
            "An average of G's weights is better than G (Yazıcı et al. 2019), under plain training",
            answers.average,
            ROBUST,
            ROBUST_ROWS,
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
        Open(
            "Extragradient (Gidel et al. 2019), look-ahead (Chavdarova et al. 2021), negative momentum (Gidel et al. "
            "2019)",
            0.5,
            "gan-env bench --tasks ring,circle,spiral,line,grid --controllers "
            "sim-gda,oadam,extra-adam,lookahead-minimax,negative-momentum --seeds 10 --updates 5000",
            "optimisers",
            partial(answers.each_of, "optimisers"),
        ),
        Open(
            "AutoLoss learns who updates (Xu et al. 2018)",
            0.3,
            "gan-env bench --suite generalisation",
            "generalisation",
            partial(answers.wins, "generalisation", "autoloss"),
        ),
        Open(
            "What is chosen on tune seeds, or by trying on copies, beats the papers' rates on modern players (ours)",
            1.5,
            "gan-env bench --suite modern-players-others",
            "modern-players-others",
            partial(
                answers.ratio,
                "modern-players-others",
                ("best-constant", "best-schedule", "lookahead"),
            ),
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
        Claim(
            "`auto` fails less on modern players",
            partial(answers.failures, "modern-players", "auto"),
            MODERN,
            MODERN_ROWS,
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
