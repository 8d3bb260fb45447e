"""SGD, Adam and RMSprop for N rows at once, with a learning rate per row; rows that do not step stay unchanged."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gan_env.optimizer_spec import OptimizerSpec


class RowOptimizer:
    """One optimiser for the flat weights (N, P) of N rows; steps only the chosen rows.

    Each row has its own moments and step counts. `lr` is the base learning rate of each row, (N,) float64.
    """

    spec: OptimizerSpec
    flat: Float[Tensor, "N P"]
    lr: Float[Tensor, " N"]
    moments: list[Tensor]

    def __init__(self, spec: OptimizerSpec, flat: Float[Tensor, "N P"], lr: Float[Tensor, " N"]):
        self.spec, self.flat, self.lr = spec, flat, lr
        moments = {"adam": 2, "rmsprop": 1, "sgd": 1 if spec.momentum else 0}[spec.name]
        self.moments = [torch.zeros_like(flat) for _ in range(moments)]
        self._scratch = torch.empty_like(flat)
        self.steps: Int64[Tensor, " N"] = torch.zeros(flat.shape[0], dtype=torch.int64, device=flat.device)

    def reset(self, rows: Tensor) -> None:
        """Resets the moments of the rows."""
        for moment in self.moments:
            moment[rows] = 0
        self.steps[rows] = 0

    def step(
        self, rows: slice | Tensor, grad: Float[Tensor, "n P"], multiplier: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Steps the chosen rows at learning rate base × multiplier.

        Returns each row's sum of gradient entries, a cheap check: it is non-finite if an entry is.
        """
        self.steps[rows] += 1
        total = grad.sum(1)
        lr, steps = self.lr[rows] * multiplier, self.steps[rows]
        flat, moments = self.flat[rows], [m[rows] for m in self.moments]
        getattr(self, f"_{self.spec.name}")(flat, moments, grad, lr, steps)
        if not isinstance(rows, slice):  # an index gave copies, a slice gave views
            self.flat[rows] = flat
            for whole, part in zip(self.moments, moments, strict=True):
                whole[rows] = part
        return total

    def _adam(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, steps: Tensor) -> None:
        """Kingma & Ba 2015, in torch's order of operations; bias corrections in float64 for every row."""
        (b1, b2), (first, second) = self.spec.betas, moments
        first.lerp_(grad, 1 - b1)
        second.mul_(b2).addcmul_(grad, grad, value=1 - b2)
        age = steps.double()
        scale = (lr / (1 - b1**age)).to(flat.dtype).unsqueeze(-1)
        root = (1 - b2**age).sqrt().to(flat.dtype).unsqueeze(-1)
        denominator = torch.sqrt(second, out=self._scratch[: len(second)]).div_(root).add_(self.spec.eps)
        flat.sub_(torch.div(first, denominator, out=denominator).mul_(scale))

    def _rmsprop(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, steps: Tensor) -> None:
        (second,) = moments
        second.mul_(self.spec.alpha).addcmul_(grad, grad, value=1 - self.spec.alpha)
        denominator = torch.sqrt(second, out=self._scratch[: len(second)]).add_(self.spec.eps)
        flat.sub_(torch.div(grad, denominator, out=denominator).mul_(lr.to(flat.dtype).unsqueeze(-1)))

    def _sgd(self, flat: Tensor, moments: list[Tensor], grad: Tensor, lr: Tensor, steps: Tensor) -> None:
        if moments:
            grad = moments[0].mul_(self.spec.momentum).add_(grad)
        flat.sub_(grad * lr.to(flat.dtype).unsqueeze(-1))

    def state(self) -> dict[str, Tensor]:
        """Returns everything that a step changes besides the weights."""
        return {"steps": self.steps, **{f"moment{i}": m for i, m in enumerate(self.moments)}}
