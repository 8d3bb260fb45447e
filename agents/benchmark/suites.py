"""Named benchmarks, as data: `gan-env bench --suite NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from gan_env.envs.config import EnvConfig
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.registry import Registry, unknown

from ..registry import TUNED_CONSTANT, TUNED_SCHEDULE
from .bench_config import BenchConfig, Part

SUITES: Registry[tuple[Part, ...]] = Registry("suite")
"""Name to parts."""

ORDERS = ("sim-gda", "alt-gda-1", "alt-gda-5", "dyn-gda")
THESIS_LOSSES = ("bce", "instance-noise", "wgan", "wgan-gp", "js-reg", "sn", "r2", "gran")

_QUICK = Part(
    controllers=(*ORDERS, "gap-aware", TUNED_CONSTANT, TUNED_SCHEDULE),
    updates=1_000,
    d_multipliers=(1.0, 3.0, 10.0, 30.0),
    g_multipliers=(0.3, 1.0, 3.0),
    shapes=("constant", "cosine"),
    tune_seeds=4,
)
SUITES.add(
    # A minute on two cores: does everything work, and what does an official ranking look like. Each controller runs in
    # both games, on enough seeds for intervals.
    "quick",
    (
        replace(_QUICK, name="digits", tasks=("digits",), updates=300),
        replace(_QUICK, name="ring", d_lr=(1e-3,), g_lr="same"),
    ),
)

SUITES.add(
    # DeOliveira 2023, the 2-D half of its table: 30,000 updates at 2e-4, batch 128, latents N(0, I_10), both gradients
    # at the old weights; Adam for bounded discriminators and RMSprop for wgan and wgan-gp, whose arguments it does not
    # name (here Adam β₁ = 0.5, β₂ = 0.999, RMSprop α = 0.99). One run a cell there, ten here.
    "dynamic-gda-table-1",
    (Part(tasks=("ring", "circle", "spiral", "line"), losses=THESIS_LOSSES, updates=30_000, seeds=10),),
)

BETAS = (0.5, 0.9)
"""Adam's β₁, which the thesis does not name and its results may depend on."""
READINGS = {"wgan": "wgan:0.1", "gran": "gn:0.83"}
"""What takes the place of the thesis' losses whose defaults do not learn here; see benchmarks/readings/PROTOCOL.md."""


def _readings(name: str, losses: Sequence[str], **game: Any) -> tuple[Part, ...]:
    """Makes the parts of the table for some losses: 30,000 updates, and rounds of the alternating orders with 30,000 G.

    Args:
        name: Of the parts, which add what is counted.
        losses: The thesis' names.
        **game: Fields of `EnvConfig`.
    """
    read = tuple(READINGS.get(loss, loss) for loss in losses)
    part = Part(tasks=("ring", "circle", "spiral", "line"), losses=read, seeds=10, game=EnvConfig(**game))
    return (
        replace(part, name=f"{name}, updates", updates=30_000),
        replace(part, name=f"{name}, rounds of 2", controllers=("alt-gda-1",), updates=60_000),
        replace(part, name=f"{name}, rounds of 6", controllers=("alt-gda-5",), updates=180_000),
    )


_BY_RMSPROP = ("wgan", "wgan-gp")
SUITES.add(
    # The same table under readings that the thesis leaves open: both β₁ where Adam is used, both meanings of 30,000
    # iterations of an alternating order (one field each; or whole rounds, with 30,000 G updates), a clip and a gradient
    # normalisation that learn. `benchmarks/table_1.py` joins the parts.
    "dynamic-gda-table-1-readings",
    (
        *_readings("rmsprop", _BY_RMSPROP),
        *(
            part
            for beta in BETAS
            for part in _readings(
                f"beta1={beta}",
                [loss for loss in THESIS_LOSSES if loss not in _BY_RMSPROP],
                optimizer=OptimizerSpec(betas=(beta, 0.999)),
            )
        ),
    ),
)

_IMAGE_LOSSES = tuple(READINGS.get(loss, loss) for loss in THESIS_LOSSES)
SUITES.add(
    # The image half, on the pictures that ship. The thesis: 30,000 updates of batch 128 on one GPU, layers of 1024. On
    # two cores that would be months; this is an hour, and says nothing about what 30,000 updates would.
    "dynamic-gda-table-2",
    (
        Part(name="mlp", tasks=("fashion-mlp-small",), losses=_IMAGE_LOSSES, updates=2_000, seeds=3),
        Part(
            name="dcgan",
            tasks=("fashion", "emoji32"),
            losses=_IMAGE_LOSSES,
            updates=500,
            seeds=3,
            game=EnvConfig(batch_size=32),
        ),
    ),
)
SUITES.add(
    "dynamic-gda-table-2-gpu",  # the same at full size
    (
        Part(
            tasks=("fashion-mlp", "fashion", "emoji32"),
            losses=_IMAGE_LOSSES,
            updates=30_000,
            seeds=10,
            game=EnvConfig(batch_size=128, device="cuda"),
        ),
    ),
)

_PICTURES = EnvConfig(batch_size=32, updates_per_step=10)
_SMALL_BATCHES = EnvConfig(batch_size=16, updates_per_step=10)
SUITES.add(
    # FSCO where its paper has it: 28, 64 and 128 pixels a side, over base rates of D. A trained agent joins the first
    # part by --also.
    "fsco-pictures",
    (
        Part(
            name="28",
            tasks=("fashion",),
            controllers=("sim-gda", "fsco", "constant:0.1", "constant:10"),
            d_lr=(5e-5, 1e-4, 2e-4, 4e-4, 8e-4),
            g_lr="same",
            updates=1_000,
            seeds=5,
            game=_PICTURES,
        ),
        Part(
            name="64",
            tasks=("emoji64",),
            controllers=("sim-gda", "fsco", "constant:0.1"),
            d_lr=(1e-4, 2e-4, 4e-4),
            g_lr="same",
            updates=500,
            seeds=5,
            game=_SMALL_BATCHES,
        ),
        Part(
            name="128", tasks=("emoji128",), controllers=("sim-gda", "fsco"), updates=500, seeds=1, game=_SMALL_BATCHES
        ),
    ),
)
_GCANN = ("sim-gda", "gcann", "gcann:image", "gcann:voxels", "gcann:literal")
SUITES.add(
    # On pictures and voxels, its README's own ground; at 28 pixels and on voxels with its diversity term, too.
    "gcann-pictures",
    tuple(
        Part(
            name=name,
            tasks=(task,),
            losses=losses,
            controllers=_GCANN,
            updates=updates,
            seeds=5,
            game=EnvConfig(batch_size=batch_size),
        )
        for name, task, losses, updates, batch_size in (
            ("28", "fashion", ("bce", "bce+diversity"), 1_000, 32),
            ("64", "emoji64", ("bce",), 500, 16),
            ("voxels", "furniture", ("bce", "bce+diversity:voxels"), 400, 8),
        )
    ),
)
SUITES.add(
    "gcann-voxels",  # the reading that was best there, on fresh seeds: benchmarks/results/gcann-voxels/PROTOCOL.md
    (
        Part(
            tasks=("furniture",),
            controllers=("sim-gda", "gcann"),
            updates=400,
            seeds=15,
            game=EnvConfig(batch_size=8),
        ),
    ),
)

MODERN = (
    *("sim-gda", "alt-gda-1", "alt-gda-5", "dyn-gda", "fsco", "gcann", "gcann:image", "gap-aware", "ttur"),
    *("ttur-decay", "auto", "linear-decay", "cosine-decay", "constant:0.3", "constant:3", "d-accuracy-gate"),
    *("loss-rate-balance", "autoloss", "began", "pi", "weaker-only", "random-order:0.45", "random"),
)
"""Every controller but those of `modern-players-others`, further presets of GCANN and those of one game or file."""
SUITES.add(
    "modern-players",  # networks of today's kinds, each with its paper's loss and rates
    tuple(
        Part(name=name, tasks=(f"emoji32-{name}",), controllers=MODERN, updates=200, seeds=3, game=_SMALL_BATCHES)
        for name in ("stylegan2", "r3gan")
    ),
)
SUITES.add(
    "modern-players-others",  # who trains copies beside the run or before it, and other optimisers
    tuple(
        Part(
            name=name,
            tasks=(f"emoji32-{name}",),
            controllers=(
                *("sim-gda", "frozen-d", "ddpg", "lookahead", TUNED_CONSTANT, TUNED_SCHEDULE),
                *("oadam", "extra-adam", "lookahead-minimax", "negative-momentum"),
            ),
            updates=200,
            seeds=3,
            tune_seeds=3,
            game=_SMALL_BATCHES,
        )
        for name in ("stylegan2", "r3gan")
    ),
)

RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
"""Seven base rates over two decades."""
DECIDES = EnvConfig(updates_per_step=10)
"""Games in which an agent decides every ten updates."""
ROBUST = (
    *("sim-gda", "alt-gda-5", "gcann", "gap-aware", "dyn-gda", "fsco", "random"),
    *("oadam", "ttur-decay", "auto", TUNED_CONSTANT, TUNED_SCHEDULE),
)
_ROBUSTNESS = Part(controllers=ROBUST, d_lr=RATES, g_lr="same", seeds=10, game=replace(DECIDES, g_ema=200.0))
SUITES.add(
    "lr-robustness",  # over how wide a range of base rates does each controller train a GAN
    (
        replace(_ROBUSTNESS, name="plane", tasks=("ring", "circle", "grid"), updates=5_000),
        replace(_ROBUSTNESS, name="digits", tasks=("digits",), updates=2_000),
    ),
)

_AGENTS = (
    "fsco",
    "fsco(d_loss_scale='sum')",
    "fsco(d_lr_range=(0.1, 2.0))",
    "fsco(d_loss_scale='sum', d_lr_range=(0.1, 2.0))",
    "fsco(reward='normalised_gap')",
    "fsco(reward='accuracy_gap')",
    "fsco(reward='quality_gain')",
    "fsco(reward='quality_gain', d_lr_range=(0.1, 2.0))",
)
SUITES.add(
    "fsco-ablation",  # what the paper leaves open: the scale of D's loss, and the range; and another reward
    (
        Part(
            name="ring",
            controllers=(*_AGENTS, "sim-gda", "random", "constant:0.1", "frozen-d"),
            d_lr=(2e-4, 1e-3, 4e-3),
            g_lr="same",
            updates=5_000,
            seeds=10,
            game=DECIDES,
        ),
        Part(
            name="digits",
            tasks=("digits",),
            controllers=(*_AGENTS, "sim-gda", "random", "constant:0.1", "frozen-d"),
            updates=2_000,
            seeds=10,
            game=DECIDES,
        ),
    ),
)

TRIALS = (6e-5, 1e-4, 1.7e-4, 2.9e-4, 4.8e-4, 8e-4, 1.3e-3, 2.2e-3, 3.7e-3, 6.2e-3, 1e-2, 1.7e-2)
"""Rates that a search would draw from, log-spaced."""
SUITES.add(
    # Hazimeh & Ponomareva 2023 claim a tenth of the tuning: of k random trials, choose by `quality`, judge by `score`.
    "tuning-budget",
    tuple(
        Part(
            name=f"beta1={beta}",
            tasks=("ring", "digits"),
            controllers=("sim-gda", "gap-aware", "gcann", "dyn-gda", "fsco"),
            d_lr=TRIALS,
            g_lr="same",
            updates=2_000,
            seeds=4,
            game=replace(DECIDES, optimizer=OptimizerSpec(betas=(beta, 0.999))),
        )
        for beta in (0.0, 0.5, 0.9)
    ),
)

SUITES.add(
    # The same on pictures, where its paper has it; shorter, and without the others.
    "tuning-budget-pictures",
    (
        Part(
            tasks=("fashion",),
            controllers=("sim-gda", "gap-aware"),
            d_lr=TRIALS,
            g_lr="same",
            updates=500,
            seeds=4,
            game=_PICTURES,
        ),
    ),
)

SUITES.add(
    "overhead",  # what a controller costs: `control_s` of `wall_s`; run it with --jobs 1 on a quiet machine
    (
        Part(
            tasks=("ring", "digits"),
            controllers=(
                *ORDERS,
                *("gap-aware", "gcann", "autoloss", "pi", "began", "loss-rate-balance", "d-accuracy-gate"),
                *("random", "fsco", "ddpg", "lookahead"),
            ),
            updates=500,
            seeds=4,
        ),
    ),
)

SUITES.add(
    # What was chosen on one game, on others. A trained agent joins by --also runs/NAME/agent.safetensors.
    "generalisation",
    (
        Part(
            tasks=("circle", "spiral", "grid", "digits"),
            controllers=(
                *(*ORDERS, "gap-aware", "autoloss", "ttur-decay"),
                *("best-constant", "best-constant:ring", "best-schedule", "best-schedule:ring"),
            ),
            d_lr=(1e-3,),
            g_lr="same",
            updates=2_000,
            seeds=10,
        ),
    ),
)


def configure(suite: str, changes: dict[str, Any], also: Sequence[str] = ()) -> BenchConfig:
    """Makes a benchmark of a suite, or of one part if `suite` is "", with changes in every part.

    Args:
        suite: Its name.
        changes: Fields of `Part`, of `EnvConfig` and of `BenchConfig`, by name.
        also: Controllers beside those that are there.

    Raises:
        ValueError: If a name is unknown or a value does not fit.
    """
    parts = SUITES[suite] if suite else (Part(),)
    if not suite:
        changes = {"losses": (), **changes}  # of the tasks that are asked for
    own = {f.name for f in fields(Part)}
    game = {f.name for f in fields(EnvConfig)} - own - {"task", "loss"}
    whole = {"skip_undefined"}
    for name in changes:
        if name not in own | game | whole:
            raise unknown("setting", name, sorted(own | game | whole))
    made = []
    for part in parts:
        changed = replace(
            part,
            game=EnvConfig.of(part.game, **{k: v for k, v in changes.items() if k in game}),
            **{k: v for k, v in changes.items() if k in own},
        )
        made.append(replace(changed, controllers=(*changed.controllers, *also)))
    return BenchConfig(parts=tuple(made), suite=suite, **{name: changes[name] for name in whole if name in changes})
