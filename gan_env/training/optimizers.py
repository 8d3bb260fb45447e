"""Optimisers of N rows at once, with a learning rate per row; rows that do not step stay unchanged.

`optimizer_spec` lists them with their sources.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_env.optimizer_spec import OptimizerSpec

_MOMENTS = {"adam": 2, "oadam": 3, "extra-adam": 3, "lookahead-minimax": 3, "rmsprop": 1}


class RowOptimizer:
    """One optimiser for the flat weights (N, P) of N rows; steps only the chosen rows.

    Each row has its own moments and step counts.

    Args:
        spec: Which optimiser.
        flat: (N, P), written in place.
        lr: (N,) float64, base learning rate of each row.
        weights: How many of the P numbers are trained, all by default; the others, such as buffers, are left alone.
        beta2: (N,) float64, each row's β₂ at its coming step, if it is annealed.
    """

    spec: OptimizerSpec
    flat: Float[Tensor, "N P"]
    lr: Float[Tensor, " N"]
    beta2: Float[Tensor, " N"] | None
    """Each row's β₂ at its coming step, float64, if it is annealed; None: that of the spec."""
    moments: list[Tensor]
    """(N, P) each: moving averages; third, of oadam the last direction, of extra-adam the point that it extrapolated
    from, of lookahead-minimax the slow weights."""

    def __init__(
        self,
        spec: OptimizerSpec,
        flat: Float[Tensor, "N P"],
        lr: Float[Tensor, " N"],
        weights: int | None = None,
        beta2: Float[Tensor, " N"] | None = None,
    ):
        self.spec, self.flat, self.lr, self.beta2 = spec, flat, lr, beta2
        self._weights = flat.shape[1] if weights is None else weights
        self._step = getattr(self, f"_{spec.name.replace('-', '_')}")
        self.moments: list[Tensor] = [
            torch.zeros_like(flat) for _ in range(_MOMENTS.get(spec.name, 1 if spec.momentum else 0))
        ]
        self.looks_back_every: int = spec.lookahead_every if spec.name == "lookahead-minimax" else 0
        """Of lookahead-minimax k: `look_back` is due for both players after every k-th update of a row. Else 0."""
        self._scratch = torch.empty_like(flat)
        self.steps: Int64[Tensor, " N"] = torch.zeros(flat.shape[0], dtype=torch.int64, device=flat.device)

    def reset(self, rows: Tensor) -> None:
        """Resets the moments of the rows, whose first weights are in place."""
        for moment in self.moments:
            moment[rows] = 0
        if self.looks_back_every:
            self.moments[2][rows] = self.flat[rows]
        self.steps[rows] = 0

    def step(
        self, rows: slice | Tensor, grad: Float[Tensor, "n P"], multiplier: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Steps the chosen rows at learning rate base × multiplier.

        Returns each row's sum of gradient entries, a cheap check: it is non-finite if an entry is.
        """
        self.steps[rows] += 1
        total = grad.sum(1)
        lr = self.lr[rows] * multiplier
        flat, moments = self.flat[rows], [m[rows] for m in self.moments]
        self._step(flat, moments, grad, lr, rows)
        if not isinstance(rows, slice):  # an index gave copies, a slice gave views
            self.flat[rows] = flat
            for whole, part in zip(self.moments, moments, strict=True):
                whole[rows] = part
        return total

    def look_back(self, rows: Int64[Tensor, " n"]) -> None:
        """Sets weights and slow weights of the rows to slow + α (fast − slow), see `looks_back_every`."""
        slow, trained = self.moments[2], slice(self._weights)
        slow[rows, trained] = self.flat[rows, trained] = slow[rows, trained].lerp(
            self.flat[rows, trained], self.spec.lookahead_share
        )

    def _adam(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, rows: slice | Tensor) -> None:
        """Kingma & Ba 2015, in torch's order of operations; bias corrections in float64 for every row."""
        direction, unbiased = self._adam_direction(moments, grad, rows)
        flat.sub_(direction.mul_((lr / unbiased).to(flat.dtype).unsqueeze(-1)))

    _lookahead_minimax = _adam

    def _adam_direction(self, moments: list[Tensor], grad: Tensor, rows: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Updates both moments; returns m/(√v̂ + ε) in scratch (n, P), and 1 − β₁ᵗ (n,) float64, by which to divide."""
        (b1, b2), (first, second) = self.spec.betas, moments[:2]
        first.lerp_(grad, 1 - b1)
        if self.beta2 is None:
            second.mul_(b2).addcmul_(grad, grad, value=1 - b2)
        else:
            b2 = self.beta2[rows]
            each = b2.unsqueeze(-1)
            second.mul_(each.to(grad.dtype)).addcmul_(grad * (1 - each).to(grad.dtype), grad)
        age = self.steps[rows].double()
        root = (1 - b2**age).sqrt().to(grad.dtype).unsqueeze(-1)
        denominator = torch.sqrt(second, out=self._scratch[: len(second)]).div_(root).add_(self.spec.eps)
        return torch.div(first, denominator, out=denominator), 1 - b1**age

    def _oadam(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, rows: slice | Tensor) -> None:
        """θ − 2η dₜ + η dₜ₋₁ with Adam's direction d, and d₀ = 0. A rate that changed applies to both."""
        direction, unbiased = self._adam_direction(moments, grad, rows)
        direction.div_(unbiased.to(flat.dtype).unsqueeze(-1))
        last = moments[2]
        flat.sub_(last.neg_().add_(direction, alpha=2).mul_(lr.to(flat.dtype).unsqueeze(-1)))
        last.copy_(direction)

    def _extra_adam(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, rows: slice | Tensor) -> None:
        """An odd step extrapolates from where the weights are, the even one after it steps from there.

        Both update the moments, so one iteration of the paper is two updates, on two batches.
        """
        start, trained = moments[2], slice(self._weights)
        extrapolates = (self.steps[rows] % 2 == 1).unsqueeze(-1)
        start.copy_(torch.where(extrapolates, flat, start))
        direction, unbiased = self._adam_direction(moments, grad, rows)
        step = direction.mul_((lr / unbiased).to(flat.dtype).unsqueeze(-1))
        flat[:, trained] = start[:, trained] - step[:, trained]

    def _rmsprop(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, rows: slice | Tensor) -> None:
        (second,) = moments
        second.mul_(self.spec.alpha).addcmul_(grad, grad, value=1 - self.spec.alpha)
        denominator = torch.sqrt(second, out=self._scratch[: len(second)]).add_(self.spec.eps)
        flat.sub_(torch.div(grad, denominator, out=denominator).mul_(lr.to(flat.dtype).unsqueeze(-1)))

    def _sgd(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, rows: slice | Tensor) -> None:
        if moments:
            grad = moments[0].mul_(self.spec.momentum).add_(grad)
        flat.sub_(grad * lr.to(flat.dtype).unsqueeze(-1))

    def state(self) -> dict[str, Tensor]:
        """Returns everything that a step changes besides the weights."""
        return {"steps": self.steps, **{f"moment{i}": m for i, m in enumerate(self.moments)}}
