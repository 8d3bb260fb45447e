"""The GAN losses: what D and G minimise, and the quantities that follow from it.

A loss is three functions of a logit: D's on a real sample, D's on a generated one, and G's. D minimises the *sum*
of the two batch means, plus a penalty if there is one. Everything else is computed from these functions, so that scales
agree: the ideal discriminator loss V*, signedness, gradients.

Some regularisers change the discriminator itself (instance noise, spectral norm, gradient normalisation). They apply
only when gradients are computed; measurements, which controllers read, use the discriminator without them (DeOliveira
2023, appendix F).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

from gan_env.losses.diversity import DIVERSITIES, Diversity
from gan_env.losses.penalties import (
    Discriminator,
    GradientNormalisation,
    InputGradient,
    bounded_normalisation,
    gradient_penalty,
    js_penalty,
    r1_penalty,
    r1_r2_penalty,
    r2_penalty,
)
from gan_env.losses.spectral_norm import spectral_norm
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.registry import Registry, unknown
from gan_env.types import GameFacts

Elementwise = Callable[[Tensor], Tensor]
Penalty = Callable[[Discriminator, Tensor, Tensor, Tensor], Tensor]
"""Maps (discriminator, real, fake, mix (n, B) in [0, 1)) to one unweighted penalty per row, (n,)."""
Normalise = Callable[[InputGradient, float], Tensor]
"""Maps (D's logits and input gradients, coefficient) to the logits (n, B) that replace them."""
Reparametrise = Callable[[Tensor, list[tuple[int, int, int]]], Tensor]
"""Maps (flat weights (n, P), where the matrices lie) to the weights (n, P) that replace them."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A GAN loss. `real`, `fake` and `generator` map logits to losses of the same shape.

    Examples:
        >>> mine = Loss(name="mine", real=lambda f: (f - 1) ** 2, fake=lambda f: f**2, generator=lambda f: (f - 1) ** 2)
        >>> round(mine.ideal_d_loss, 6)
        0.5

        `LOSSES.add("mine", mine)` then lets an environment train with it: `loss="mine"`.
    """

    name: str
    real: Elementwise
    """D's loss on the logit of a real sample."""
    fake: Elementwise
    """D's loss on the logit of a generated sample."""
    generator: Elementwise
    """G's loss on the logit of a generated sample."""
    formulas: tuple[str, str, str] = ("", "", "")
    """The three functions as Python expressions of the logit f, for the documentation; a test compares them."""
    real_gradient: Elementwise | None = None
    """Derivative of `real`, and so on; if one is missing, autograd computes it, a tenth slower for one GAN."""
    fake_gradient: Elementwise | None = None
    generator_gradient: Elementwise | None = None
    penalty: Penalty | None = None
    """Added to D's loss, times `coefficient`."""
    normalise: Normalise | None = None
    """Replaces D's logits in the players' losses by a function of its logits and input gradients."""
    paired: bool = False
    """Whether it compares pairs: the i-th real sample x and the i-th generated one x̂. `real` is then a function of
    f(x) − f(x̂), the other two of f(x̂) − f(x); of any other loss, each is a function of its sample's logit."""
    reparametrise: Reparametrise | None = None
    """Replaces D's weights in the players' losses by a function of its own, which must be plain parameters."""
    noisy: bool = False
    """Whether noise N(0, coefficient²) is added to D's inputs when gradients are computed."""
    clipped: bool = False
    """Whether D's weights are clipped to [-coefficient, coefficient] after each of its steps."""
    coefficient: float = 0.0
    """The parameter of the regulariser: weight, standard deviation, bound or Lipschitz constant."""
    coefficient_is: str = ""
    """Meaning and source of the coefficient."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """Default optimiser of both players."""
    probability: bool = False
    """Whether sigmoid(logit) estimates the probability that a sample is real."""
    signed: bool = False
    """Whether losses can be negative; a gap or a ratio between them is then meaningless."""
    source: str = ""
    diversity: Diversity | None = None
    """Added to G's loss, the more so the more its samples are alike; see `gan_env.losses.diversity`."""

    @cached_property
    def ideal_d_loss(self) -> float:
        """V*: the lowest `d_sum` of a discriminator that cannot distinguish real from fake.

        Where real and fake have one distribution, D is at best a constant f, so V* = min over f of real(f) + fake(f)
        (Hazimeh & Ponomareva 2023, arXiv:2302.00089, our reading); of a loss of pairs, at a difference of 0. Penalties
        are left out.
        """

        def total(f: float) -> float:
            logit = torch.tensor(f, dtype=torch.float64)
            return float(self.real(logit) + self.fake(logit))

        if self.paired:
            return total(0.0)
        low, high = -20.0, 20.0
        while high - low > 1e-9:  # by thirds, for the sum has no second valley; SciPy would be another dependency
            third = (high - low) / 3
            if total(low + third) < total(high - third):
                high -= third
            else:
                low += third
        return total((low + high) / 2)

    def _compared(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `real` is a function of, and what `fake` and `generator` are: of pairs, the differences."""
        return (real - fake, fake - real) if self.paired else (real, fake)

    def terms(self, real: Float[Tensor, "n B"], fake: Float[Tensor, "n B"]) -> tuple[Tensor, Tensor, Tensor]:
        """Computes G's loss and D's two losses of the logits of both batches, (n, B) each, not yet averaged.

        A loss of pairs needs as many generated samples as real ones.
        """
        on_real, on_fake = self._compared(real, fake)
        return self.generator(on_fake), self.real(on_real), self.fake(on_fake)

    def d_gradient(self, real: Float[Tensor, "n B"], fake: Float[Tensor, "n B"]) -> tuple[Tensor, Tensor]:
        """Differentiates D's loss, the sum of each row's two means, in the logits of both batches, (n, B) each."""
        on_real, on_fake = self._compared(real, fake)
        at_real, at_fake = self.logit_gradient("real", on_real), self.logit_gradient("fake", on_fake)
        if not self.paired:
            return at_real, at_fake
        apart = at_real - at_fake
        return apart, -apart

    def g_gradient(self, real: Float[Tensor, "n B"] | None, fake: Float[Tensor, "n B"]) -> Float[Tensor, "n B"]:
        """Differentiates each row's mean G loss in the generated logits; only a loss of pairs needs the real ones."""
        if self.paired:
            assert real is not None
            fake = self._compared(real, fake)[1]
        return self.logit_gradient("generator", fake)

    def logit_gradient(self, part: str, logits: Float[Tensor, "n B"]) -> Float[Tensor, "n B"]:
        """Differentiates each row's mean of one function in its argument, (n, B): logits, or as `paired` says.

        `part` is "real", "fake" or "generator".
        """
        written = getattr(self, f"{part}_gradient")
        if written is not None:
            return written(logits).div_(logits.shape[-1])
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            (found,) = torch.autograd.grad(getattr(self, part)(leaf).mean(-1).sum(), leaf)
        return found

    def game_facts(self, kind: str = "plane", **known: Any) -> GameFacts:
        """Returns what a controller may know of a game with this loss; `known` are other fields of `GameFacts`.

        >>> LOSSES["wgan"].game_facts("image").signed
        True
        """
        return GameFacts(
            loss=self.name,
            ideal_d_loss=self.ideal_d_loss,
            signed=self.signed,
            probability=self.probability,
            kind=kind,
            **known,
        )

    @property
    def measured_as_trained(self) -> bool:
        """Whether gradients are computed from the measured forward pass."""
        return self.normalise is None and self.reparametrise is None and not self.noisy


LOSSES: Registry[Loss] = Registry("GAN loss", "gan_env.losses", lambda part: isinstance(part, Loss))


def get_loss(name: str) -> Loss:
    """Returns the loss called `name`; `name:X` sets its coefficient, `name+diversity` adds a term to G's loss.

    Examples:
        >>> get_loss("wgan-gp:5").coefficient
        5.0

    Args:
        name: E.g. `bce`, `wgan-gp:10`, `bce+diversity`, `bce+diversity:voxels`, `wgan-gp:10+diversity`; `gran:K:ε` sets
            the ε of gradient normalisation, too.

    Raises:
        ValueError: If the name or the term is unknown, X is not a number > 0, or the loss has no coefficient.
    """
    stem, plus, term = name.partition("+") if isinstance(name, str) else (name, "", "")
    loss = _with_coefficient(stem)
    if not plus:
        return loss
    if term.split(":")[0] != "diversity":
        raise unknown("term of a GAN loss", term, ["diversity", *(f"diversity:{kind}" for kind in DIVERSITIES)])
    kind = term.partition(":")[2] if ":" in term else "image"
    if kind not in DIVERSITIES:
        raise unknown("diversity setting", kind, list(DIVERSITIES))
    return replace(loss, name=name, diversity=DIVERSITIES[kind])


def _with_coefficient(name: str) -> Loss:
    stem, colon, text = name.partition(":") if isinstance(name, str) else (name, "", "")
    loss = LOSSES[stem]
    if not colon:
        return loss
    if not loss.coefficient_is:
        raise ValueError(f"loss {stem!r} has no coefficient, got {name!r}; write {stem!r}")
    first, second, eps = text.partition(":")
    loss = replace(loss, name=name, coefficient=_positive(name, first, f"{stem}:{loss.coefficient:g}"))
    if not second:
        return loss
    if not isinstance(loss.normalise, GradientNormalisation):
        raise ValueError(f"loss {stem!r} has one coefficient, got {name!r}; write {stem}:{first}")
    usual = f"{stem}:{first}:{loss.normalise.eps:g}"
    return replace(loss, normalise=GradientNormalisation(_positive(name, eps, usual)))


def _positive(name: str, text: str, example: str) -> float:
    """Reads a number of a loss' name; raises ValueError unless it is positive and finite."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ValueError(f"loss {name!r}: {text!r} is no number > 0; e.g. {example}")
    return value


def _add(loss: Loss) -> Loss:
    return LOSSES.add(loss.name, loss)


BCE = _add(
    Loss(
        name="bce",
        real=lambda f: softplus(-f),
        fake=softplus,
        generator=lambda f: softplus(-f),
        formulas=("softplus(-f)", "softplus(f)", "softplus(-f)"),
        real_gradient=lambda f: torch.sigmoid(-f).neg_(),
        fake_gradient=torch.sigmoid,
        generator_gradient=lambda f: torch.sigmoid(-f).neg_(),
        probability=True,
        source="Goodfellow et al. 2014, arXiv:1406.2661, eq. 1 with the non-saturating generator of section 3",
    )
)
_add(
    replace(
        BCE,
        name="instance-noise",
        noisy=True,
        coefficient=0.02**0.5,
        coefficient_is="standard deviation of the noise on both batches; the thesis has N(0, 0.02 I), a variance",
        source="Sønderby et al. 2017, arXiv:1610.04490; coefficient of DeOliveira 2023, where it stays",
    )
)
WGAN = _add(
    Loss(
        name="wgan",
        real=torch.neg,
        fake=lambda f: f,
        generator=torch.neg,
        formulas=("-f", "f", "-f"),
        real_gradient=lambda f: torch.full_like(f, -1.0),
        fake_gradient=torch.ones_like,
        generator_gradient=lambda f: torch.full_like(f, -1.0),
        clipped=True,
        coefficient=0.01,
        coefficient_is="bound of D's weights; not given in the thesis, the original's",
        optimizer=OptimizerSpec(name="rmsprop"),
        signed=True,
        source="Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1 (RMSprop as there)",
    )
)
_add(
    replace(
        WGAN,
        name="wgan-unclipped",
        clipped=False,
        coefficient_is="",
        source="the linear loss of the Dirac-GAN, Mescheder et al. 2018, arXiv:1801.04406; unbounded without a clip",
    )
)
_add(
    replace(
        WGAN,
        name="wgan-gp",
        penalty=gradient_penalty,
        clipped=False,
        coefficient=3.0,
        coefficient_is="weight of the penalty; the thesis' 3, the original has 10",
        source="Gulrajani et al. 2017, arXiv:1704.00028, eq. 3; RMSprop as in the thesis",
    )
)
_add(
    replace(
        BCE,
        name="js-reg",
        penalty=js_penalty,
        coefficient=3.0,
        coefficient_is="γ; the thesis' 3, the original anneals from 2",
        source="Roth et al. 2017, arXiv:1705.09367, eq. 21",
    )
)
_add(
    replace(
        BCE,
        name="sn",
        reparametrise=spectral_norm,
        source="Miyato et al. 2018, arXiv:1802.05957, eq. 8, with the bce loss",
    )
)
_add(
    replace(
        BCE,
        name="r2",
        penalty=r2_penalty,
        coefficient=3.0,
        coefficient_is="γ; the thesis' 3, the original code has 10 without the factor ½",
        source="Mescheder et al. 2018, arXiv:1801.04406, eq. 10",
    )
)
_add(
    replace(
        BCE,
        name="gran",
        normalise=GradientNormalisation(),
        coefficient=0.83,
        coefficient_is="Lipschitz constant K, as a factor on the normalised logit; the thesis' 0.83. gran:K:ε sets ε",
        source="Bhaskara et al. 2022 (GraN-GAN), arXiv:2111.03162; the thesis' Piecewise-GP",
    )
)
_add(
    replace(
        BCE,
        name="gn",
        normalise=bounded_normalisation,
        coefficient=1.0,
        coefficient_is="bound K of the normalised logit; the original's 1",
        source="Wu et al. 2021 (GN-GAN), arXiv:2109.02235, with the bce loss",
    )
)
_add(
    replace(
        BCE,
        name="r1",
        penalty=r1_penalty,
        coefficient=10.0,
        coefficient_is="γ; the original's 10",
        source="Mescheder et al. 2018, arXiv:1801.04406, eq. 9",
    )
)
_add(
    Loss(
        name="r3gan",
        real=lambda f: softplus(-f) / 2,  # both are one half of softplus(f(x̂) − f(x)), D's loss of the pair
        fake=lambda f: softplus(f) / 2,
        generator=lambda f: softplus(-f),
        formulas=("softplus(-f) / 2", "softplus(f) / 2", "softplus(-f)"),
        real_gradient=lambda f: torch.sigmoid(-f).div_(-2),
        fake_gradient=lambda f: torch.sigmoid(f).div_(2),
        generator_gradient=lambda f: torch.sigmoid(-f).neg_(),
        paired=True,
        penalty=r1_r2_penalty,
        coefficient=1.0,
        coefficient_is="γ of both penalties, the original's on ImageNet-64, where it falls to 0.1: see annealing",
        optimizer=OptimizerSpec(betas=(0.0, 0.99)),
        source="Huang et al. 2024 (R3GAN), arXiv:2501.05441, the loss of its section 2, with Adam's last β of its code",
    )
)
_add(
    Loss(
        name="hinge",
        real=lambda f: relu(1 - f),
        fake=lambda f: relu(1 + f),
        generator=torch.neg,
        formulas=("relu(1 - f)", "relu(1 + f)", "-f"),
        real_gradient=lambda f: (f < 1).to(f.dtype).neg_(),
        fake_gradient=lambda f: (f > -1).to(f.dtype),
        generator_gradient=lambda f: torch.full_like(f, -1.0),
        signed=True,
        source="Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16-17",
    )
)
_add(
    Loss(
        name="lsgan",
        real=lambda f: (f - 1).square(),
        fake=torch.square,
        generator=lambda f: (f - 1).square(),
        formulas=("(f - 1)**2", "f**2", "(f - 1)**2"),
        real_gradient=lambda f: (f - 1).mul_(2),
        fake_gradient=lambda f: f * 2,
        generator_gradient=lambda f: (f - 1).mul_(2),
        source="Mao et al. 2017, arXiv:1611.04076, targets 1 and 0, without the factor 1/2",
    )
)
