"""Reads a small sample of both players' weights, and their base rates, from the optimisers of a training loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gan_env.types import PlayersSeen
from gan_env.weight_sample import sample_places

from .rates import HasGroups


class WeightSample:
    """Reads what portable features need of the players; costs a few microseconds for each tensor of weights.

    Args:
        optimizers: Each player's, by "opt_g" and "opt_d".
    """

    def __init__(self, optimizers: dict[str, list[HasGroups]]):
        self._optimizers = [optimizers["opt_d"], optimizers["opt_g"]]
        self._places: list[list[tuple[Tensor, Tensor, np.ndarray]]] = []
        self._sizes: list[list[int]] = []

    @torch.no_grad()
    def read(self) -> PlayersSeen:
        """Reads them as they are now, between iterations, when the optimisers hold their base rates."""
        parameters = [_parameters(optimizers) for optimizers in self._optimizers]
        sizes = [[id(parameter) for parameter in of_player] for of_player in parameters]
        if sizes != self._sizes:  # at first, and when a group was added or replaced
            self._sizes, self._places = sizes, [_places(of_player) for of_player in parameters]
        weights = [_sample(places) for places in self._places]
        rates = [_base_rate(optimizers) for optimizers in self._optimizers]
        return PlayersSeen(np.stack(weights)[None], np.array([rates]))


def _parameters(optimizers: Sequence[HasGroups]) -> list[Tensor]:
    return [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]


def _places(parameters: list[Tensor]) -> list[tuple[Tensor, Tensor, np.ndarray]]:
    """Returns each sampled parameter, the places in it, and where in the sample these stand."""
    ends = np.cumsum([parameter.numel() for parameter in parameters])
    places = sample_places(int(ends[-1]))
    owner = np.searchsorted(ends, places, side="right")
    found = []
    for number in np.unique(owner):
        parameter, mine = parameters[number], owner == number
        within = places[mine] - (ends[number] - parameter.numel())
        found.append((parameter, torch.from_numpy(within).to(parameter.device), np.flatnonzero(mine)))
    return found


def _sample(places: list[tuple[Tensor, Tensor, np.ndarray]]) -> np.ndarray:
    """Returns the sampled weights, (SAMPLE,) float64, from the device in one transfer."""
    values = torch.cat([parameter.take(within).float() for parameter, within, _ in places]).cpu().numpy()
    sample = np.empty(len(values))
    sample[np.concatenate([at for *_, at in places])] = values
    return sample


def _base_rate(optimizers: Sequence[HasGroups]) -> float:
    """Returns the geometric mean of the groups' learning rates."""
    rates = [float(group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(rates).mean()))
