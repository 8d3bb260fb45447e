"""The Dirac-GAN: one weight per player, a saddle at the origin, dynamics known in closed form.

Real data are the point 0, the latent is the number 1: G(1) = θ, D(x) = ψ x. With the linear loss D's gradient step is
ψ ← ψ − ηθ and G's θ ← θ + ηψ (Mescheder et al. 2018, arXiv:1801.04406; signs as in DeOliveira 2023, D high on real).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor, nn

from gan_env.optimizer_spec import OptimizerSpec
from gan_env.random.counters import Draws
from gan_env.tasks.task import TASKS, Task, described


def _weight() -> nn.Sequential:
    """Makes one weight without bias, drawn from N(0, 1); fixed starts at a multiple of the learning rate can stall."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.normal_(layer.weight)
    return nn.Sequential(layer)


class DiracData:
    """Data that are the point 0; a code is the point."""

    shape: tuple[int, ...] = (1,)

    def block(self, batch_size: int) -> int:
        """Returns the number of batches in one block: 8."""
        return 8

    def codes(self, rng: np.random.Generator, batch_size: int) -> Float32[np.ndarray, "K B 1"]:
        """Returns zeros; draws nothing."""
        return np.zeros((8, batch_size, 1), np.float32)

    def device_codes(self, draws: Draws, batch_size: int) -> Float32[Tensor, "m K B 1"]:
        """Returns zeros for m rows, on the draws' device."""
        return torch.zeros_like(draws.uniform(8, batch_size, 1))

    def batch(self, codes: Tensor) -> Tensor:
        """Returns the codes themselves."""
        return codes

    def validation(self) -> Float32[Tensor, "1 1"]:
        """The point."""
        return torch.zeros(1, 1)

    def test(self) -> Float32[Tensor, "1 1"]:
        """The point."""
        return torch.zeros(1, 1)


class DiracQuality:
    """|θ|, the distance of G's sample to the data."""

    name = "distance"
    samples = 1
    worst = 4.0
    """θ starts at N(0, 1); beyond this bound it has diverged."""

    def __call__(self, fake: Float[Tensor, "N 1 1"]) -> Float64[Tensor, " N"]:
        """Computes distances; `worst` for a row that is NaN or infinite."""
        distance = fake.detach().double().abs().flatten()
        return torch.where(torch.isfinite(distance), distance, self.worst)


class DiracScore:
    """|θ| of samples; a row's own score is the distance from the saddle, see `distance_from_the_saddle`."""

    name = "saddle_distance"
    samples = 1

    def __call__(self, fake: Tensor) -> float:
        """Computes |θ|."""
        return float(fake.double().abs().mean())

    def floor(self) -> float:
        """Returns 0: the saddle can be reached exactly."""
        return 0.0

    def details(self, fake: Tensor) -> dict[str, float]:
        """Returns |θ|, the generator's part of the distance."""
        return {"theta": float(fake.double().abs().mean())}


def distance_from_the_saddle(generator: nn.Module, discriminator: nn.Module) -> float:
    """Computes √(θ² + ψ²)."""
    weights = [next(iter(module.parameters())).detach().double() for module in (generator, discriminator)]
    return float(torch.cat([w.flatten() for w in weights]).norm())


TASKS.add(
    "dirac",
    described(
        partial(
            Task,
            name="dirac",
            kind="dirac",
            generator=_weight,
            discriminator=_weight,
            latent_size=1,
            latents="ones",
            data=DiracData(),
            quality=DiracQuality(),
            score=DiracScore(),
            distance=distance_from_the_saddle,
            batch_size=1,
            d_lr=0.1,
            g_lr=0.1,
            optimizer=OptimizerSpec(name="sgd"),
            loss="wgan-unclipped",
            dtype="float64",
        ),
        "Dirac-GAN: two players of one weight each around a saddle.",
    ),
)
