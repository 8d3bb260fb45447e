"""Settings of an optimizer: SGD, Adam or RMSprop by name, with the arguments of its namesake in `torch.optim`."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from gan_env.registry import unknown


def _is_share(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < 1


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """An optimiser by name, with the arguments of its namesake in `torch.optim`."""

    name: str = "adam"
    """"adam", "rmsprop" or "sgd"."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam: decay of the first and second moment. β₁ = 0.5 is usual for GANs (DCGAN)."""
    alpha: float = 0.99
    """RMSprop: decay of the second moment."""
    momentum: float = 0.0
    """SGD: momentum."""
    eps: float = 1e-8
    """Adam and RMSprop: added to the root of the second moment."""

    def __post_init__(self) -> None:
        if self.name not in ("adam", "rmsprop", "sgd"):
            raise unknown("optimizer", self.name, ["adam", "rmsprop", "sgd"])
        if not (isinstance(self.betas, tuple) and len(self.betas) == 2 and all(map(_is_share, self.betas))):
            raise ValueError(f"optimizer betas={self.betas!r} must be two numbers in [0, 1), e.g. (0.5, 0.999)")
        if not _is_share(self.alpha):
            raise ValueError(f"optimizer alpha={self.alpha!r} must be a number in [0, 1), e.g. 0.99")
        if not (isinstance(self.momentum, Real) and self.momentum >= 0):
            raise ValueError(f"optimizer momentum={self.momentum!r} must be a number >= 0, e.g. 0.9")
        if not (isinstance(self.eps, Real) and self.eps > 0):
            raise ValueError(f"optimizer eps={self.eps!r} must be a number > 0, e.g. 1e-8")

    @classmethod
    def of(cls, value: OptimizerSpec | str | dict[str, Any]) -> OptimizerSpec:
        """Makes a spec from a name, a dict of fields, or a spec."""
        if isinstance(value, OptimizerSpec):
            return value
        if isinstance(value, str):
            return cls(name=value)
        if not isinstance(value, dict):
            raise ValueError(
                f"optimizer={value!r} must be a name (adam, rmsprop, sgd), a dict of arguments or an OptimizerSpec"
            )
        known = set(cls.__dataclass_fields__)
        for field in value:
            if field not in known:
                raise unknown("optimizer argument", field, sorted(known))
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return cls(**arguments)
