"""Dynamic-GDA: who updates next, from how well D's scores of the coming batch tell real from fake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.types import Control, GameFacts, Measurement

from .scripted import Memory, check_positive, scripted

RULES = ("start", "inverted", "perfect", "continue-g", "g-to-d", "continue-d", "d-to-g", "invalid")
"""Names of the rules by number, in the thesis' order; "invalid" (ours) is V2 because a score or ratio is NaN."""

NOBODY, G, D = 0, 1, 2  # who made the last update
_TINY = 1e-12  # a divergence below this is zero


def wasserstein_1d(a: Float[Tensor, "N A"], b: Float[Tensor, "N B"]) -> Float[Tensor, " N"]:
    """Computes the exact W1 distance between the empirical distributions of two batches of numbers, row by row."""
    a, b = a.sort(-1).values, b.sort(-1).values
    if a.shape[-1] == b.shape[-1]:
        return (a - b).abs().mean(-1)
    # Unequal sizes: both quantile functions are constant between the merged steps 1/A, 2/A, ... and 1/B, 2/B, ...
    steps = [torch.arange(1, x.shape[-1] + 1, dtype=a.dtype, device=a.device) / x.shape[-1] for x in (a, b)]
    upper = torch.cat(steps).sort().values
    width = upper.diff(prepend=upper.new_zeros(1))
    middle = upper - width / 2
    place_a, place_b = ((middle * x.shape[-1]).long().clamp(max=x.shape[-1] - 1) for x in (a, b))
    return ((a[:, place_a] - b[:, place_b]).abs() * width).sum(-1)


@scripted("dyn-gda")
@dataclass(frozen=True, kw_only=True)
class DynamicGDA:
    """D moves until it can tell real from fake, G moves while that pays: one player an update, never both.

    With R, F the scores of the real and the generated batch and w their 1-D Wasserstein distance, in this order:

    1. first decision → V2;
    2. sup R < inf F (D is inverted) → V2;
    3. sup F < inf R (D is perfect) → V1;
    4. after V1: V1 while w / w_last < c2 (the gap still shrinks), else V2;
    5. after V2: V2 while w / w_last > c1 (the gap still grows), else V1.

    After V1 the real batch is kept for the next decision, after V2 a new one is drawn. Which rule fired is kept in
    `controller.rule`; see `RULES`.

    Source: DeOliveira, "Stabilizing GANs Under Limited Resources via Dynamic Machine Ordering", WPI 2023, Alg. 2 and
    section 4.3; thresholds from its appendix F. Ours, where it is silent: w is the empirical W1 (a ratio needs a
    distance that is never negative), on probabilities where D yields them and on raw scores otherwise; rules 2 and 3
    compare logits, which do not saturate into ties; w_last = 0 gives ratio 1 if w = 0 too, else infinity; NaN → V2.
    On mini-batches w / w_last is mostly sampling noise, so compare with `random-order:Q` at the same share of V1.
    """

    c1: float | None = None
    """Growth of w that keeps D going; None: 1.1 for plane and dirac games, 1.2 otherwise."""
    c2: float | None = None
    """Shrinking of w that keeps G going; None: 0.75 for plane and dirac games, 0.8 otherwise."""
    reuse_real: bool = True
    """Whether the real batch is kept after V1, as the thesis does."""

    def __post_init__(self):
        check_positive("dyn-gda", c1=self.c1, c2=self.c2)

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts before any move, with the thresholds for this kind of data."""
        n = len(row_seeds)
        c1, c2 = (1.1, 0.75) if game.kind in ("plane", "dirac") else (1.2, 0.8)
        return {
            "last": torch.full((n,), NOBODY, dtype=torch.int64),
            "w_last": torch.zeros(n, dtype=torch.float64),
            "rule": torch.zeros(n, dtype=torch.int64),
            "c1": torch.full((n,), c1 if self.c1 is None else self.c1, dtype=torch.float64),
            "c2": torch.full((n,), c2 if self.c2 is None else self.c2, dtype=torch.float64),
            "probability": torch.full((n,), game.probability),
        }

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Returns V1 or V2 by the first rule that applies."""
        real, fake = seen.real_logits.double(), seen.fake_logits.double()
        bounded = memory["probability"][:, None]
        w = wasserstein_1d(torch.where(bounded, real.sigmoid(), real), torch.where(bounded, fake.sigmoid(), fake))
        last, w_last = memory["last"], memory["w_last"]
        ratio = torch.where(w_last < _TINY, torch.where(w < _TINY, 1.0, torch.inf), w / w_last)

        rule = torch.where(
            last == G,
            torch.where(ratio < memory["c2"], RULES.index("continue-g"), RULES.index("g-to-d")),
            torch.where(ratio > memory["c1"], RULES.index("continue-d"), RULES.index("d-to-g")),
        )
        for name, holds in (  # from the last to the first in rank: a later line overrides
            ("invalid", ratio.isnan() | w.isnan()),
            ("perfect", fake.amax(-1) < real.amin(-1)),
            ("inverted", real.amax(-1) < fake.amin(-1)),
            ("start", last == NOBODY),
            ("invalid", real.isnan().any(-1) | fake.isnan().any(-1)),
        ):
            rule = torch.where(holds, RULES.index(name), rule)

        move_g = torch.zeros_like(holds)
        for name in ("perfect", "continue-g", "d-to-g"):
            move_g |= rule == RULES.index(name)
        after = memory | {"last": torch.where(move_g, G, D), "w_last": w, "rule": rule}
        keep = move_g if self.reuse_real else False
        return Control.of(len(seen), update_g=move_g, update_d=~move_g, reuse_real=keep, device=w.device), after
