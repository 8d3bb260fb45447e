"""Sets the learning rates of both players for one iteration, and restores them after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


class HasGroups(Protocol):
    """What is needed of an optimiser; torch's own have it, and the wrappers of Lightning and Accelerate."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters, each with its "lr"."""
        ...


@dataclass(frozen=True)
class _Rate:
    """A learning rate that was set for one iteration."""

    optimizer: HasGroups
    group: dict[str, Any]
    base: Any
    set_to: float


class Rates:
    """Learning rates of the generator's and the discriminator's optimisers.

    Args:
        opt_g, opt_d: The optimiser of each player, or a list of them.

    Raises:
        ValueError: If something is no optimiser, or one optimiser is given twice.
    """

    def __init__(self, opt_g: HasGroups | Sequence[HasGroups], opt_d: HasGroups | Sequence[HasGroups]):
        self.optimizers = {"opt_g": _optimizers("opt_g", opt_g), "opt_d": _optimizers("opt_d", opt_d)}
        every = [id(optimizer) for given in self.optimizers.values() for optimizer in given]
        if len(set(every)) < len(every):
            raise ValueError(
                "opt_g and opt_d name an optimiser twice; each player needs its own, each of them once. For one "
                "optimiser with a group for each player, build two, over the parameters of one player each"
            )
        self._held: list[_Rate] | None = None

    @property
    def held(self) -> bool:
        """Whether an iteration is under way, so that the optimisers do not hold their base rates."""
        return self._held is not None

    def common(self, player: str) -> float:
        """Returns the learning rate of all groups of "opt_g" or "opt_d"; 0 where they differ."""
        found = {float(group["lr"]) for optimizer in self.optimizers[player] for group in optimizer.param_groups}
        return found.pop() if len(found) == 1 else 0.0

    def kind(self, player: str) -> str:
        """Returns the class' name, in lower case, of the optimisers of "opt_g" or "opt_d"; several joined by "+"."""
        return "+".join(sorted({type(optimizer).__name__.lower() for optimizer in self.optimizers[player]}))

    def set(self, g_multiplier: float, d_multiplier: float) -> None:
        """Sets every group's rate to base x multiplier; a tensor that groups share is multiplied once.

        Raises:
            ValueError: If both players share one learning-rate tensor.
        """
        multipliers = {"opt_g": g_multiplier, "opt_d": d_multiplier}
        groups = [(name, o, group) for name in multipliers for o in self.optimizers[name] for group in o.param_groups]
        owner: dict[int, str] = {}  # of rates that are tensors: groups may share one, players may not
        for name, _, group in groups:
            if isinstance(group["lr"], Tensor) and owner.setdefault(id(group["lr"]), name) != name:
                raise ValueError("opt_g and opt_d share one learning-rate tensor; give each one of its own")
        held: list[_Rate] = []
        for name, optimizer, group in groups:
            lr = group["lr"]
            if isinstance(lr, Tensor) and owner.pop(id(lr), None) is None:
                continue  # it was set with another group
            base = lr.clone() if isinstance(lr, Tensor) else lr
            _set_rate(group, base * multipliers[name])
            held.append(_Rate(optimizer, group, base, float(group["lr"])))
        self._held = held

    def restore(self) -> None:
        """Restores the base rates.

        Raises:
            ValueError: If a rate was changed since `set`, or a group was replaced; every rate that was found is back
                at its base by then.
        """
        held, self._held = self._held or [], None
        found = [(rate, float(rate.group["lr"])) for rate in held]
        for rate in held:
            _set_rate(rate.group, rate.base)
        for rate, now in found:
            if not any(rate.group is group for group in rate.optimizer.param_groups):
                raise ValueError(
                    "an optimiser's groups were replaced between steer(...) and steer.done(); load its state after "
                    "done(), for what was loaded now would pass for base rates"
                )
            if now != rate.set_to:
                raise ValueError(
                    f"a learning rate was changed from {rate.set_to:g} to {now:g} between steer(...) and steer.done(), "
                    "and is back at its base; step schedulers after done()"
                )


def _optimizers(name: str, given: Any) -> list[HasGroups]:
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    if not found or not all(hasattr(optimizer, "param_groups") for optimizer in found):
        raise ValueError(
            f"{name}={type(given).__name__} is no optimiser; give a torch.optim.Optimizer or a list of them"
        )
    return found


def _set_rate(group: dict[str, Any], rate: Any) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(rate))  # in place: a compiled step or a CUDA graph holds this tensor
    else:
        group["lr"] = float(rate)
