"""AutoLoss: a small network, trained by REINFORCE over many runs and then frozen, chooses who updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gan_env.io.tensor_files import write_tensors
from gan_env.types import Control, GameFacts, Measurement

from ..policies.policy_files import ControllerFileError, read_checked
from ..rules.gap_aware import smooth_loss
from ..rules.random_draws import uniform
from ..rules.scripted import Argument, Law, Memory, scripted

FORMAT = "gan-env autoloss"
VERSION = 1
SHIPPED = Path(__file__).parent.parent / "weights" / "autoloss.safetensors"
HIDDEN = 16
FEATURES = ("slope_ratio", "g_loss_ema", "d_loss_ema", "accuracy")
_EMA = 0.9
_SHAPES = {"hidden.weight": (HIDDEN, 4), "hidden.bias": (HIDDEN,), "out.weight": (1, HIDDEN), "out.bias": (1,)}
Weights = dict[str, Tensor]


def read_features(seen: Measurement, g_ema: Tensor, d_ema: Tensor) -> tuple[Float[Tensor, "N 4"], Tensor, Tensor]:
    """Returns the four features, float64 and finite, and the two moving averages after this measurement."""
    g_ema, d_ema = smooth_loss(g_ema, seen.g_loss, _EMA), smooth_loss(d_ema, seen.d_mean, _EMA)
    real, fake = seen.real_logits.double(), seen.fake_logits.double()
    d_slope = (-real).sigmoid().mean(-1) + fake.sigmoid().mean(-1)
    g_slope = (-fake).sigmoid().mean(-1)
    ratio = (d_slope.clamp(min=1e-6) / g_slope.clamp(min=1e-6)).log()
    accuracy = ((real > 0).double().mean(-1) + (fake < 0).double().mean(-1)) / 2
    features = torch.stack([ratio, g_ema - 1, d_ema, accuracy - 0.5], -1)
    return torch.nan_to_num(features, nan=0.0).clamp(-5, 5), g_ema, d_ema


def g_logit(weights: Weights, features: Float[Tensor, "*lead 4"]) -> Float[Tensor, "*lead"]:
    """Returns the log odds of moving G rather than D."""
    hidden = torch.tanh(features @ weights["hidden.weight"].T + weights["hidden.bias"])
    return (hidden @ weights["out.weight"].T + weights["out.bias"]).squeeze(-1)


def check_game(game: GameFacts) -> None:
    """Raises ValueError for losses whose logits are no probabilities: the slopes are those of bce."""
    if not game.probability:
        raise ValueError(
            f"autoloss reads logits as probabilities, which those of loss={game.loss!r} are not; use 'bce', or a rule "
            "such as 'dyn-gda'"
        )


@scripted(
    "autoloss",
    argument=Argument(
        option="file",
        usage="autoloss:FILE",
        needs="a file that agents.training.autoloss_training wrote",
        read=str,
        examples=(),
        required=False,
    ),
    learned=True,
)
def autoloss(*, file: str | None = None, greedy: bool = False) -> Law:
    """V1 or V2, drawn from the odds that a trained network gives; never both.

    The network has one hidden layer of 16 and reads four numbers: the log ratio of the two losses' slopes in the logits
    (D over G), the moving averages of L_G − 1 and of the mean D loss, and D's accuracy − 1/2. It was trained once, by
    REINFORCE over short `ring` runs whose only reward comes at their end (`agents.training.autoloss_training`), and is
    frozen.

    Source: Xu et al. 2018, arXiv:1810.02442 and safpla/AutoLossRelease: actions {G, D}, one hidden layer of 16,
    REINFORCE with a moving baseline, a terminal reward from sample quality. Ours: there the first feature is the ratio
    of the gradients' norms in the weights and the last is the inception score − 8, neither of which a controller sees.

    Args:
        file: Weights of your own training; None: those that ship.
        greedy: The likelier player always moves, instead of a draw.
    """
    weights, _ = load_weights(SHIPPED if file is None else file)
    return AutoLoss(weights, greedy)


@dataclass(frozen=True)
class AutoLoss:
    """The rule of `autoloss`."""

    weights: Weights
    greedy: bool

    def start(self, row_seeds: Sequence[int], game: GameFacts) -> Memory:
        """Starts the averages at the equilibrium, and each row's stream at its first number."""
        check_game(game)
        n = len(row_seeds)
        level = torch.full((n,), math.log(2), dtype=torch.float64)
        seed = torch.tensor([int(s) for s in row_seeds], dtype=torch.int64)
        return {"g_ema": level, "d_ema": level, "seed": seed, "decision": torch.zeros(n, dtype=torch.int64)}

    def decide(self, seen: Measurement, memory: Memory) -> tuple[Control, Memory]:
        """Chooses one player for each row."""
        features, g_ema, d_ema = read_features(seen, memory["g_ema"], memory["d_ema"])
        odds = g_logit({k: v.to(features.device) for k, v in self.weights.items()}, features).sigmoid()
        move_g = odds > (0.5 if self.greedy else uniform(memory["seed"], memory["decision"]))
        after = memory | {"g_ema": g_ema, "d_ema": d_ema, "decision": memory["decision"] + 1}
        return Control.of(len(seen), update_g=move_g, update_d=~move_g, device=odds.device), after


def save_weights(weights: Weights, path: Path | str, provenance: dict[str, Any]) -> None:
    """Writes trained weights."""
    write_tensors(path, FORMAT, VERSION, {"features": FEATURES, "provenance": provenance}, weights)


def load_weights(path: Path | str) -> tuple[Weights, dict[str, Any]]:
    """Reads weights, in float64, and where they come from; raises ControllerFileError for any other file."""
    content, weights = read_checked(path, FORMAT, VERSION)
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if shapes != _SHAPES or tuple(content.get("features", ())) != FEATURES:
        raise ControllerFileError(f"{path}: holds {shapes} for {content.get('features')}, not {_SHAPES} for {FEATURES}")
    if not all(value.is_floating_point() and torch.isfinite(value).all() for value in weights.values()):
        raise ControllerFileError(f"{path}: holds a weight that is not a finite number; train it again")
    return {name: value.double() for name, value in weights.items()}, dict(content.get("provenance") or {})
