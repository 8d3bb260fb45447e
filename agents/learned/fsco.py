"""FSCO, our reading: DDPG sets the discriminator's learning rate by the gap between the two players' losses.

Source: Fast-Slow Co-advancing Optimizer, arXiv 2504.15099, of which the abstract and reviews could be read: the actor
outputs a multiplier u on D's learning rate, η_D,used = η_D · u, and r = −|L_G − L_D|. State, bounds, sizes and schedule
are not stated; `FscoConfig` says what we chose (algorithms §1.3).

Two modes, never mixed in one table: *embedded*, a fresh agent that learns while its one GAN trains; *meta*, an agent
trained over many short runs (`agents.training.meta_training`) and then frozen (`policy.PolicyController`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DDPG
from stable_baselines3.common.logger import Logger
from torch import Tensor

from gan_env.envs.observations import DEFAULT_FEATURES
from gan_env.envs.rewards import fsco_reward, losses_apart
from gan_env.random.streams import Purpose, key
from gan_env.registry import unknown
from gan_env.training.trainer import Trainer
from gan_env.types import Control, GameFacts, Measurement, Transition

from ..base import shown_controller
from ..policies.policy import Eyes, PolicyController, PolicySpec, check_game
from .sb3.actor import actor_of
from .sb3.algorithms import make_model
from .sb3.state import load_model, model_state
from .sb3.vec_env import PrivateRandomness
from .settings import DEFAULTS, check_settings

FSCO_RANGE = (0.1, 10.0)
"""Our reading of FSCO's range of multipliers, whatever an environment's own is."""


@dataclass(frozen=True, kw_only=True)
class FscoConfig:
    """The agent's settings. The paper leaves all of them open; these are ours.

    >>> FscoConfig(hidden=(32,), gradient_steps=2).gamma
    0.99
    """

    learning_rate: float = 1e-3
    """Of actor and critic; SB3's default."""
    buffer_size: int = 100_000
    """Transitions kept."""
    learning_starts: int = 200
    """Decisions at random before the first gradient step; a tenth of an embedded run where that is less."""
    batch_size: int = 64
    """Transitions in one gradient step."""
    tau: float = 0.005
    """Soft target update: θ' ← τθ + (1 − τ)θ'."""
    gamma: float = 0.99
    """Discount per decision."""
    noise: float = 0.1
    """Standard deviation of the exploration noise on the action; SB3's DDPG has none unless told."""
    actor_learning_rate: float | None = None
    """Of the actor, if it is not `learning_rate`."""
    last_layer: float | None = None
    """Half the width of the uniform distribution of the last layers' first weights, if it is not torch's."""
    gradient_steps: int = 1
    """Gradient steps for each decision of one GAN."""
    hidden: tuple[int, ...] = (64, 64)
    """Hidden layers of actor and critic."""
    updates_per_step: int = 1
    """Embedded: updates that one decision holds for."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    """Embedded: what it observes."""
    d_loss_scale: str = "mean"
    """Embedded: which D loss the reward and the features read. The sum's gap is zero away from the equilibrium."""
    d_lr_range: tuple[float, float] = FSCO_RANGE
    """Embedded: multipliers at -1 and +1."""

    def __post_init__(self) -> None:
        check_settings({f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None})
        if not self.hidden:
            raise ValueError("hidden=() must be widths of at least 1, e.g. (64, 64)")


def make_ddpg(config: FscoConfig, env: Any, seed: int, **more: Any) -> DDPG:
    """Makes SB3's DDPG with our settings; call inside a `PrivateRandomness`, for it seeds the global generators."""
    settings = {name: getattr(config, name) for name in DEFAULTS["ddpg"]}
    model = make_model("ddpg", settings, env, seed, **more)
    assert isinstance(model, DDPG)
    return model


class _Spaces(gym.Env):
    """The two spaces that an embedded agent needs to be built; there is no environment behind them."""

    def __init__(self, low: np.ndarray, high: np.ndarray, axes: int):
        self.observation_space = gym.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (axes,), np.float32)


class _EmbeddedAgent:
    """One DDPG for one GAN: remembers, learns a step, acts with noise. Its randomness is its row seed's."""

    def __init__(self, config: FscoConfig, spaces: _Spaces, seed: int, learning_starts: int):
        self._config, self._learning_starts, self._decisions = config, learning_starts, 0
        start = key(seed, 0, Purpose.CONTROLLER, 1) % 2**31
        self._randomness = PrivateRandomness(start)
        with self._randomness():
            self._model = make_ddpg(config, spaces, start)
            self._model.set_logger(Logger(None, []))
        self._pending: tuple[np.ndarray, np.ndarray] | None = None

    def decide(self, observation: np.ndarray, reward: float | None) -> np.ndarray:
        """Learns a step and returns the action (A,); `reward` is that of the previous decision, None at the start."""
        model = self._model
        observation = torch.from_numpy(observation).clone().numpy()  # rounding depends on where a row lies in memory
        with self._randomness():
            if self._pending is not None and reward is not None:
                before, action = self._pending
                model.replay_buffer.add(  # type: ignore[union-attr]
                    before[None], observation[None], action[None], np.array([reward]), np.array([False]), [{}]
                )
                self._decisions += 1
                if self._decisions >= self._learning_starts:
                    with torch.enable_grad():  # whoever asks may have switched gradients off
                        model.train(self._config.gradient_steps, self._config.batch_size)
            if self._decisions < self._learning_starts:
                action = np.random.uniform(-1, 1, model.action_space.shape).astype(np.float32)
            else:
                action, _ = model.predict(observation, deterministic=True)
                noise = model.action_noise() if model.action_noise is not None else 0.0
                action = np.clip(action + noise, -1, 1).astype(np.float32)
        self._pending = observation, action
        return action

    def state(self) -> dict[str, Any]:
        """Returns networks, optimisers, replay buffer, randomness and counters, as plain values and copied tensors."""
        return {
            "model": model_state(self._model),
            "decisions": self._decisions,
            "randomness": self._randomness.state,
            "pending": None if self._pending is None else [torch.from_numpy(a.copy()) for a in self._pending],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restores a `state`."""
        load_model(self._model, state["model"])
        self._decisions, self._randomness.state = state["decisions"], state["randomness"]
        pending = state["pending"]
        self._pending = None if pending is None else (pending[0].numpy().copy(), pending[1].numpy().copy())


class _QualityGain:
    """By how much each row's distance to validation data fell since the last time it was measured."""

    def __init__(self, name: str):
        self._name, self._trainer, self._rows = name, None, np.zeros(0, np.int64)
        self.distance = np.zeros(0)

    def bind(self, trainer: Trainer, rows: slice = slice(None)) -> None:
        """Sets the trainer and the rows, see `base.NeedsTrainer`."""
        self._trainer, self._rows = trainer, np.arange(trainer.n)[rows]

    def start(self, rows: int) -> None:
        """Starts anew; raises ValueError unless bound to so many rows."""
        if self._trainer is None:
            raise ValueError(
                f"{self._name} is rewarded by quality, which only the trainer can tell; call "
                "bind(env.unwrapped.trainer) before reset"
            )
        if rows != len(self._rows):
            raise ValueError(f"{self._name} is bound to {len(self._rows)} rows and was given {rows} row seeds")
        self.distance = np.zeros(rows)

    def measure(self) -> np.ndarray:
        """Measures the gains (N,); the first ones after `start` mean nothing."""
        assert self._trainer is not None
        rows, before = self._rows.tolist(), self.distance
        worst = np.array([self._trainer.task_of(row).quality.worst for row in rows])
        self.distance = np.fmin(self._trainer.quality(rows), worst)  # of NaN and the worst, the worst
        return before - self.distance


def _loss_gap(seen: Measurement, scale: str) -> Tensor:
    return losses_apart(seen.g_loss, seen.d_loss(scale)).double()


def _normalised_gap(seen: Measurement, scale: str) -> Tensor:
    g, d = seen.g_loss.double(), seen.d_loss(scale).double()
    return losses_apart(g, d) / (g.abs() + d.abs() + 1e-8)


def _accuracy_gap(seen: Measurement, scale: str) -> Tensor:
    right = torch.cat([seen.real_logits, -seen.fake_logits], -1).double().sign().mean(-1)
    return right.abs()  # |share right − share wrong|, a logit of 0 being half of each


GAPS: dict[str, Callable[[Measurement, str], Tensor]] = {
    "loss_gap": _loss_gap,
    "normalised_gap": _normalised_gap,
    "accuracy_gap": _accuracy_gap,
}
"""What an embedded agent's reward is the negative of, averaged over the updates of a decision: |L_G − L_D|; the same
over |L_G| + |L_D|; twice the distance of D's accuracy on both batches from ½."""


class EmbeddedFSCO:
    """A fresh DDPG for each of N GANs, learning while they train. See `base.Controller` for its methods.

    >>> agent = EmbeddedFSCO(FscoConfig(updates_per_step=10))
    >>> agent.reset([0, 1])

    FSCO's reward is in the measurement that follows an update, −|L_G − L_D| averaged over the decision's updates, so it
    needs nothing but to be asked to `act` once for every update.

    Args:
        config: The agent's settings.
        control: What it decides: "learning-rate" (FSCO), or "joint", both rates and who updates.
        reward: "loss_gap" (FSCO), "normalised_gap" or "accuracy_gap", see `GAPS`; or "quality_gain", by how much the
            distance to validation data fell over the decision: then it has to be bound to its trainer, which alone
            can tell.
        name: For messages.
    """

    def __init__(
        self, config: FscoConfig, *, control: str = "learning-rate", reward: str = "loss_gap", name: str = "fsco"
    ):
        if reward not in (*GAPS, "quality_gain"):
            raise unknown("reward of an embedded agent", reward, [*GAPS, "quality_gain"])
        self.config, self.name, self.reward, self._gain = config, name, reward, None
        if reward == "quality_gain":
            self._gain = _QualityGain(name)
            self.bind = self._gain.bind  # so that it counts as a controller that needs the trainer
        self.spec = PolicySpec(
            control=control,
            signed_losses=reward != "loss_gap",
            features=config.features,
            d_loss_scale=config.d_loss_scale,
            d_lr_range=config.d_lr_range,
            updates_per_step=config.updates_per_step,
        )
        self._agents: list[_EmbeddedAgent] = []

    def __repr__(self) -> str:
        return shown_controller(self.name, {"control": self.spec.control, **vars(self.config)})

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Makes new agents, one for each row seed; raises ValueError for losses that its reward cannot read."""
        check_game(self.name, self.spec, game)
        if self.reward == "accuracy_gap" and not game.probability:
            raise ValueError(
                f"{self.name}: reward='accuracy_gap' counts logits above 0, but the loss {game.loss!r} gives raw "
                "scores, whose undecided point is unknown; use reward='normalised_gap' or 'quality_gain'"
            )
        if self._gain is not None:
            self._gain.start(len(row_seeds))
        decisions = game.episode_updates // self.config.updates_per_step
        starts = min(self.config.learning_starts, max(decisions // 10, 1)) if decisions else self.config.learning_starts
        self._begin([int(seed) for seed in row_seeds], starts, game)

    def _begin(self, row_seeds: list[int], learning_starts: int, game: GameFacts) -> None:
        self._seeds, self._learning_starts, self._game = row_seeds, learning_starts, game
        self._codec = self.spec.codec()
        self._eyes = Eyes(self.spec, self._codec, len(row_seeds), game)
        self._control: Control | None = None
        self._decided, self._gap, self._gaps = 0, np.zeros(len(row_seeds)), 0
        spaces = _Spaces(self._eyes.memory.low, self._eyes.memory.high, self._codec.axes or 1)
        self._agents = [_EmbeddedAgent(self.config, spaces, seed, learning_starts) for seed in row_seeds]

    def act(self, measurement: Measurement) -> Control:
        """Learns from what the last update did, then decides."""
        if len(measurement) != len(self._agents):
            raise ValueError(
                f"{self.name} has {len(self._agents)} rows and was shown {len(measurement)}; reset it first"
            )
        period = self.config.updates_per_step
        if self._control is not None:
            if self._gain is None:
                gap = GAPS[self.reward](measurement, self.config.d_loss_scale)
                self._gap += gap.cpu().numpy()
            self._gaps += 1
        update = int(measurement.update.max())
        if self._control is None or not 0 <= update - self._decided < period:
            observations = self._eyes.look(measurement, self._control)
            rewards = None if self._control is None else fsco_reward(self._gap, self._gaps)
            if self._gain is not None:
                gained = self._gain.measure()
                rewards = None if self._control is None else gained
            actions = [
                agent.decide(seen, None if rewards is None else float(rewards[row]))
                for row, (agent, seen) in enumerate(zip(self._agents, observations, strict=True))
            ]
            self._control = self._codec.decode(np.stack(actions).astype(np.float64))
            self._gap[:], self._gaps, self._decided = 0, 0, update
        return self._control

    def learn(self, transition: Transition) -> None:
        """Does nothing: `act` finds the reward in the measurement."""

    def state_dict(self) -> dict:
        """Returns every agent with its replay buffer, the feature memory and the control in force."""
        if not self._agents:
            raise ValueError(f"{self.name} has no state yet; call reset(row_seeds, game) first")
        return {
            "seeds": list(self._seeds),
            "game": asdict(self._game),
            "learning_starts": self._learning_starts,
            "decided": [self._decided, self._gaps],
            "gap": torch.from_numpy(self._gap.copy()),
            "quality": None if self._gain is None else torch.from_numpy(self._gain.distance.copy()),
            "eyes": self._eyes.state(),
            "control": None if self._control is None else self._control.state(),
            "agents": [agent.state() for agent in self._agents],
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`."""
        self._begin(list(state["seeds"]), int(state["learning_starts"]), GameFacts(**state["game"]))
        (self._decided, self._gaps), self._gap = state["decided"], state["gap"].numpy().copy()
        if self._gain is not None:
            self._gain.distance = state["quality"].numpy().copy()
        self._eyes.load(state["eyes"])
        self._control = None if state["control"] is None else Control(**state["control"])
        for agent, held in zip(self._agents, state["agents"], strict=True):
            agent.load(held)

    def policy(self, row: int = 0) -> PolicyController:
        """Returns the row's actor as it is now, frozen."""
        return PolicyController(self.spec, actor_of(self._agents[row]._model).layers, f"{self.name} (frozen)")


def make_fsco(text: str | None = None, *, reward: str = "loss_gap", **options: Any) -> EmbeddedFSCO:
    """Makes `fsco`, embedded. Options are the fields of `FscoConfig`, and `reward`, see `EmbeddedFSCO`."""
    if text is not None:
        raise ValueError(f"fsco takes no argument, got {text!r}; write 'fsco'")
    known = [f.name for f in fields(FscoConfig)]
    for name in options:
        if name not in known:
            raise unknown("fsco option", name, [*known, "reward"])
    return EmbeddedFSCO(FscoConfig(**options), reward=reward)


def make_joint_ddpg(text: str | None = None, **options: Any) -> EmbeddedFSCO:
    """Makes `ddpg`: FSCO's agent on both rates and who updates, rewarded by quality. Options as for `fsco`.

    Against `fsco` it tells the paper's reward from the paper's idea. A decision holds for ten updates unless told
    otherwise, for each is followed by a measurement of quality.
    """
    if text is not None:
        raise ValueError(f"ddpg takes no argument, got {text!r}; write 'ddpg'")
    known = [f.name for f in fields(FscoConfig)]
    for name in options:
        if name not in known:
            raise unknown("ddpg option", name, known)
    config = FscoConfig(**{"updates_per_step": 10, **options})
    return EmbeddedFSCO(config, control="joint", reward="quality_gain", name="ddpg")
