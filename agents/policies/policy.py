"""A trained actor as a controller: plain weights, the features it reads, and its action encoding.

It needs torch and NumPy, but neither Gymnasium nor Stable-Baselines3, so it runs in a user's own loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gan_env.envs.actions import CODECS, Codec, LogRange
from gan_env.envs.observations import DEFAULT_FEATURES, FeatureMemory, named_features
from gan_env.types import Control, GameFacts, Measurement, Transition

from ..base import shown_controller

if TYPE_CHECKING:
    from gan_env.envs.config import EnvConfig


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """Meaning of an actor's inputs and outputs: its features, and how its output becomes an action."""

    control: str = "learning-rate"
    """What an action encodes: "learning-rate", "update-choice", "rates" or "joint", as in the environment's ids."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    """Names of the features, in order; "portable" stands for all portable ones."""
    d_loss_scale: str = "mean"
    """Which discriminator loss the features read."""
    d_lr_range: tuple[float, float] = (0.1, 10.0)
    """Multipliers on the discriminator's rate at -1 and +1."""
    g_lr_range: tuple[float, float] = (0.1, 10.0)
    """The same for the generator's."""
    updates_per_step: int = 1
    """Updates that one decision holds for."""
    signed_losses: bool = False
    """Whether it supports losses that can be negative."""
    activation: str = "relu"
    """Between the layers: "relu" or "tanh"."""
    output: str = "tanh"
    """How the last layer's numbers become an action: "tanh"; "clip" to [-1, 1]; "argmax"."""
    provenance: dict[str, object] = field(default_factory=dict)
    """Origin: tasks, seeds, versions, scores."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", named_features(self.features))

    @classmethod
    def of(cls, env: EnvConfig, control: str, **more: Any) -> PolicySpec:
        """Makes the spec of an environment's actions and observations."""
        d_lr_range, g_lr_range = env.action_ranges
        return cls(
            control=control,
            features=env.features,
            d_loss_scale=env.d_loss_scale,
            d_lr_range=d_lr_range,
            g_lr_range=g_lr_range,
            updates_per_step=env.updates_per_step,
            signed_losses=env.normalise or env.reward != "loss_gap",
            **more,
        )

    def codec(self) -> Codec:
        """Codec between actions and controls."""
        return CODECS[self.control](LogRange(*self.d_lr_range), LogRange(*self.g_lr_range))


ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
OUTPUTS: dict[str, Callable[[Tensor], np.ndarray]] = {
    # SB3 squashes to [-1, 1] and scales to the space's bounds, which costs a rounding even where they are the same.
    "tanh": lambda h: np.clip(-1.0 + 0.5 * (torch.tanh(h).numpy() + 1.0) * 2.0, -1.0, 1.0).astype(np.float32),
    "clip": lambda h: np.clip(h.numpy(), -1.0, 1.0),
    "argmax": lambda h: h.argmax(1).numpy(),
}


class Eyes:
    """Computes the environment's observations from measurements, at the start of every decision."""

    def __init__(self, spec: PolicySpec, codec: Codec, rows: int, game: GameFacts):
        self.memory = FeatureMemory(
            spec.features, codec.last_action_names, spec.d_loss_scale, rows, game, spec.updates_per_step
        )
        self._codec, self._everyone = codec, np.ones(rows, bool)

    def look(self, seen: Measurement, last: Control | None) -> np.ndarray:
        """Computes observations (N, F) for the coming decision; `last` is the previous control, None at the start."""
        before = self.memory.averages.copy()
        if last is None:
            self.memory.start(np.arange(len(seen)), seen)
        else:
            self.memory.push(seen, last, self._codec.position(last), self._everyone)
        averages = self.memory.averages
        np.copyto(averages, before, where=~np.isfinite(averages))  # what is not finite would stay there for ever
        return self.memory.observe(seen)

    def state(self) -> dict[str, Tensor]:
        """Returns the feature memory."""
        return {name: torch.from_numpy(array.copy()) for name, array in self.memory.state().items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restores a `state`."""
        for name, array in self.memory.state().items():
            array[...] = state[name].numpy()
        self.memory.forget()


def check_game(name: str, spec: PolicySpec, game: GameFacts) -> None:
    """Raises ValueError if the losses may be negative and the policy does not support that."""
    if game.signed and not spec.signed_losses:
        raise ValueError(
            f"{name} compares the losses of the two players, but those of loss={game.loss!r} can be negative; "
            "use a loss such as 'bce' or 'lsgan', or a controller that reads scores, such as 'dyn-gda'"
        )


class PolicyController:
    """Controls GANs by a frozen actor. See `base.Controller` for its methods.

    Args:
        spec: Meaning of its inputs and outputs.
        layers: Weight (out, in) and bias (out,) of each layer; `spec` has the activations.
        name: For messages.
    """

    def __init__(self, spec: PolicySpec, layers: list[tuple[Tensor, Tensor]], name: str = "policy"):
        self.spec, self.layers, self.name = spec, layers, name
        self.codec = spec.codec()
        self._eyes: Eyes | None = None
        self.game: GameFacts = GameFacts()
        self._rows = 0
        self._decided = 0
        self._last: Control | None = None

    def __repr__(self) -> str:
        widths = [self.layers[0][0].shape[1], *(weight.shape[0] for weight, _ in self.layers)]
        spec = self.spec
        settings = {"control": spec.control, "updates_per_step": spec.updates_per_step, "layers": tuple(widths)}
        return shown_controller(self.name, settings)

    def actions(self, observations: np.ndarray) -> np.ndarray:
        """Computes actions, (N, A) in [-1, 1], float32, or choices (N,); equal SB3's deterministic ones to the bit."""
        h = torch.from_numpy(observations)
        with torch.no_grad():
            for i, (weight, bias) in enumerate(self.layers):
                h = torch.nn.functional.linear(h if i == 0 else ACTIVATIONS[self.spec.activation](h), weight, bias)
            return OUTPUTS[self.spec.output](h)

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts N = len(row_seeds) runs afresh."""
        check_game(self.name, self.spec, game)
        self._rows = len(row_seeds)
        self.game = game
        self._eyes, self._decided, self._last = Eyes(self.spec, self.codec, self._rows, game), 0, None

    def act(self, measurement: Measurement) -> Control:
        """Returns the control for the coming update, with a new decision every `updates_per_step` updates."""
        if self._eyes is None or len(measurement) != self._rows:
            raise ValueError(f"{self.name} started {self._rows} rows and was shown {len(measurement)}; reset it first")
        # Counted in the measurement's updates, so that an environment with several updates a step is held no longer.
        update = int(measurement.update.max())
        if self._last is None or not 0 <= update - self._decided < self.spec.updates_per_step:
            seen = self._eyes.look(measurement, self._last)
            self._last, self._decided = self.codec.decode(self.actions(seen).astype(np.float64)), update
        return self._last

    def learn(self, transition: Transition) -> None:
        """Does nothing: the actor is frozen."""

    def state_dict(self) -> dict:
        """Returns the number of rows, the update of the last decision, feature memory and current control."""
        if self._eyes is None:
            raise ValueError(f"{self.name} has no state yet; call reset(row_seeds, game) first")
        return {
            "rows": self._rows,
            "game": asdict(self.game),
            "decided": self._decided,
            "eyes": self._eyes.state(),
            "control": None if self._last is None else self._last.state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`."""
        self._rows, self._decided = int(state["rows"]), int(state["decided"])
        self.game = GameFacts(**state["game"])
        self._eyes = Eyes(self.spec, self.codec, self._rows, self.game)
        self._eyes.load(state["eyes"])
        self._last = None if state["control"] is None else Control(**state["control"])
