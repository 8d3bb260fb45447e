"""Settings of an optimizer: by name, with the arguments of its namesake in `torch.optim` or of its paper."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from gan_env.registry import unknown

OPTIMIZERS = {
    "adam": "Adam. Kingma & Ba 2015, arXiv:1412.6980, algorithm 1",
    "oadam": "optimistic Adam: each step counts twice, less the step before. Daskalakis et al. 2018, arXiv:1711.00141, "
    "algorithm 1",
    "extra-adam": "extragradient Adam: every second update steps from where the one before it extrapolated from. Gidel "
    "et al. 2019, arXiv:1802.10551, algorithm 4",
    "lookahead-minimax": "Adam whose weights, of both players at once, go back to slow + α (fast − slow) every k "
    "updates. Chavdarova et al. 2021, arXiv:2006.14567, algorithm 1",
    "rmsprop": "RMSprop of torch",
    "sgd": "gradient descent, with momentum if set",
}
"""What each optimiser does, and its source."""
_LOOKAHEAD = ("lookahead_every", "lookahead_share")


def _is_share(value: object) -> bool:
    return _is_decay(value) and float(value) >= 0  # type: ignore[arg-type]


def _is_decay(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and -1 < float(value) < 1


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """An optimiser by name, with the arguments of its namesake in `torch.optim` or of its paper.

    Examples:
        >>> from gan_env import GANEnv
        >>> env = GANEnv(task="ring", optimizer={"name": "rmsprop", "alpha": 0.9})
        >>> env.unwrapped.trainer.d_optimizer.spec.alpha
        0.9
    """

    name: str = "adam"
    """"adam", "oadam", "extra-adam", "lookahead-minimax", "rmsprop" or "sgd"."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam and its kin: decay of the first moment, above -1, and of the second. β₁ = 0.5 is usual for GANs (DCGAN); a
    negative one is negative momentum (Gidel et al. 2019, arXiv:1807.04740)."""
    alpha: float = 0.99
    """RMSprop: decay of the second moment."""
    momentum: float = 0.0
    """SGD: momentum."""
    eps: float = 1e-8
    """All but SGD: added to the root of the second moment."""
    lookahead_every: int = 5
    """Lookahead-minimax: k, a row's updates between two steps of the slow weights; 5 as in the paper."""
    lookahead_share: float = 0.5
    """Lookahead-minimax: α, how far the slow weights go towards the fast ones; 0.5 as in the paper."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in OPTIMIZERS:
            raise unknown("optimizer", self.name, list(OPTIMIZERS))
        two = isinstance(self.betas, tuple) and len(self.betas) == 2
        if not (two and _is_decay(self.betas[0]) and _is_share(self.betas[1])):
            raise ValueError(
                f"optimizer betas={self.betas!r} must be a number in (-1, 1) and one in [0, 1), e.g. (0.5, 0.999)"
            )
        if not _is_share(self.alpha):
            raise ValueError(f"optimizer alpha={self.alpha!r} must be a number in [0, 1), e.g. 0.99")
        if not (isinstance(self.momentum, Real) and self.momentum >= 0):
            raise ValueError(f"optimizer momentum={self.momentum!r} must be a number >= 0, e.g. 0.9")
        if not (isinstance(self.eps, Real) and self.eps > 0):
            raise ValueError(f"optimizer eps={self.eps!r} must be a number > 0, e.g. 1e-8")
        every = self.lookahead_every
        if not (isinstance(every, Integral) and not isinstance(every, bool) and every >= 1):
            raise ValueError(f"optimizer lookahead_every={every!r} must be a whole number of at least 1, e.g. 5")
        share = self.lookahead_share
        if not (isinstance(share, Real) and not isinstance(share, bool) and 0 < float(share) <= 1):
            raise ValueError(f"optimizer lookahead_share={share!r} must be a number in (0, 1], e.g. 0.5")

    @classmethod
    def of(cls, value: OptimizerSpec | str | dict[str, Any]) -> OptimizerSpec:
        """Makes a spec from a name, a dict of fields, or a spec."""
        if isinstance(value, OptimizerSpec):
            return value
        if isinstance(value, str):
            return cls(name=value)
        if not isinstance(value, dict):
            raise ValueError(
                f"optimizer={value!r} must be a name ({', '.join(OPTIMIZERS)}), a dict of arguments or an OptimizerSpec"
            )
        known = set(cls.__dataclass_fields__)
        for field in value:
            if field not in known:
                raise unknown("optimizer argument", field, sorted(known))
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return cls(**arguments)

    @property
    def is_adam(self) -> bool:
        """Whether it is Adam or one of its kin, with two moments and `betas`."""
        return self.name not in ("rmsprop", "sgd")

    def as_json(self) -> dict[str, Any]:
        """Returns the arguments by name, as rows, hashes and snapshots hold them; lookahead's only if it has them."""
        left_out = () if self.name == "lookahead-minimax" else _LOOKAHEAD
        return {name: value for name, value in vars(self).items() if name not in left_out}
