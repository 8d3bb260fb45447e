"""Records a controller's decisions and replays them open-loop, without feedback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from gan_env.io.tensor_files import write_tensors
from gan_env.types import Control, GameFacts, Measurement, Transition

from ..base import Controller, NeedsTrainer, shown_controller
from ..policies.policy_files import ControllerFileError, read_checked

FORMAT = "gan-env recording"
VERSION = 2
_FIELDS = tuple(f.name for f in fields(Control))
_UPDATE = "update"


class Recorder:
    """Wraps a controller and records every decision, for `save` and `replay:FILE`.

    Examples:
        >>> from agents import make_controller
        >>> from gan_env import GANVectorEnv
        >>> envs, recorder = GANVectorEnv(2, task="ring"), Recorder(make_controller("dyn-gda"))
        >>> _ = envs.reset(seed=0)
        >>> recorder.reset([0, 1], envs.facts)
        >>> _ = envs.step_control(recorder.act(envs.measurement))
        >>> recorder
        Recorder(dyn-gda(...), 1 decisions)
    """

    def __init__(self, controller: Controller):
        self.controller = controller
        self.name = f"{getattr(controller, 'name', type(controller).__name__)}"
        self.controls: list[Control] = []
        self._updates: list[Tensor] = []  # when each decision was made
        self._seeds: list[int] = []
        if isinstance(controller, NeedsTrainer):
            self.bind = controller.bind

    def __repr__(self) -> str:
        return f"Recorder({self.controller!r}, {len(self.controls)} decisions)"

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts the controller afresh, with an empty record."""
        self.controller.reset(row_seeds, game)
        self.controls, self._updates, self._seeds = [], [], [int(seed) for seed in row_seeds]

    def act(self, measurement: Measurement) -> Control:
        """Returns the controller's decision and records it."""
        control = self.controller.act(measurement)
        self.controls.append(Control(**{k: v.cpu() for k, v in control.state().items()}))
        self._updates.append(measurement.update.cpu().clone())
        return control

    def learn(self, transition: Transition) -> None:
        """Passes the transition to the controller."""
        self.controller.learn(transition)

    def state_dict(self) -> dict:
        """Returns the controller's state and the record."""
        record = [control.state() for control in self.controls]
        updates = [update.clone() for update in self._updates]
        return {"controller": self.controller.state_dict(), "seeds": list(self._seeds), "record": record} | {
            "updates": updates
        }

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`."""
        self.controller.load_state_dict(state["controller"])
        self.controls, self._seeds = [Control(**held) for held in state["record"]], list(state["seeds"])
        self._updates = [update.clone() for update in state["updates"]]

    def save(self, path: Path | str) -> None:
        """Writes the record, (decisions, rows) of each field of a control and of the update that it was made at.

        Decisions equal to the previous one in every row are omitted, because the previous one holds anyway. Raises
        ValueError if there are none.
        """
        if not self.controls:
            raise ValueError(f"{self.name} has decided nothing yet; run it before saving its record")
        tensors = {name: torch.stack([getattr(c, name) for c in self.controls]) for name in _FIELDS}
        kept = torch.ones(len(self.controls), dtype=torch.bool)
        kept[1:] = torch.stack([(t[1:] != t[:-1]).flatten(1).any(1) for t in tensors.values()]).any(0)
        kept[-2:] = True  # they say until when the record goes
        tensors[_UPDATE] = torch.stack(self._updates)
        header = {"name": self.name, "seeds": self._seeds}
        write_tensors(path, FORMAT, VERSION, header, {name: t[kept] for name, t in tensors.items()})


class Replay:
    """Repeats recorded decisions, each at the update it was made at and held until the next, whatever it is shown.

    Row i repeats the recorded run number i + `shift`, counted round. The default, 1, gives every run the decisions made
    for another: the same schedule without feedback. With 0 and the seeds of the recording, it is the same run again.

    Args:
        path: A file that `Recorder.save` wrote.
        shift: Which recorded run a row repeats.

    Raises:
        ControllerFileError: If the file cannot be used.
    """

    name = "replay"

    def __init__(self, path: Path | str, shift: int = 1):
        if isinstance(shift, bool) or not isinstance(shift, int):
            raise ValueError(f"replay: shift={shift!r} must be a whole number")
        self.path, self.shift = Path(path), shift
        header, tensors = read_checked(path, FORMAT, VERSION)
        shapes = {tuple(t.shape) for t in tensors.values()}
        if set(tensors) != {*_FIELDS, _UPDATE} or len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise ControllerFileError(f"{path}: holds {sorted(tensors)} of shapes {sorted(shapes)}; record it again")
        booleans = [name for name in _FIELDS if tensors[name].dtype == torch.bool]
        updates = tensors.pop(_UPDATE)
        if booleans != ["update_g", "update_d", "reuse_real"] or updates.dtype != torch.int64:
            raise ControllerFileError(f"{path}: its decisions have other types than a recording's; record it again")
        self._record = tensors
        self.recorded, self.seeds = str(header.get("name")), list(header.get("seeds") or [])
        self.decisions, runs = next(iter(shapes))
        try:
            for t in range(self.decisions):
                Control(**{name: value[t] for name, value in tensors.items()}).check(runs)
        except ValueError as error:
            raise ControllerFileError(f"{path}: holds an invalid decision ({error}); record it again") from error
        steps = updates.diff(dim=0)
        if updates.min() < 0 or (steps <= 0).any():
            raise ControllerFileError(f"{path}: its decisions do not follow one another; record it again")
        self._updates = updates.T.contiguous()
        """When each run's decisions were made, (runs, decisions)."""
        self._ends = updates[-1] + (steps[-1] if len(steps) else 1)
        """Update of each run at which the next decision would have been made."""
        self._places = torch.zeros(0, dtype=torch.int64)

    def __repr__(self) -> str:
        return shown_controller(self.name, {"path": str(self.path), "shift": self.shift})

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts at the first recorded decision; raises ValueError if the recording is shorter than the run."""
        runs = self._record["update_g"].shape[1]
        self._places = (torch.arange(len(row_seeds)) + self.shift) % runs
        if game.episode_updates > (held := int(self._ends[self._places].min())):
            raise ValueError(
                f"{self.path} holds decisions for {held} updates, the run has {game.episode_updates}; "
                "record a longer run"
            )

    def act(self, measurement: Measurement) -> Control:
        """Returns the decision recorded for each row's update; raises ValueError after the last."""
        if len(measurement) != len(self._places):
            raise ValueError(f"replay has {len(self._places)} rows and was shown {len(measurement)}; reset it first")
        now, device = measurement.update.cpu(), measurement.g_loss.device
        if (now >= self._ends[self._places]).any():
            raise ValueError(f"{self.path} ends after {int(self._ends.min())} updates; record a longer run")
        at = torch.searchsorted(self._updates[self._places], now.unsqueeze(1), right=True).squeeze(1) - 1
        if (at < 0).any():
            raise ValueError(f"{self.path} begins at update {int(self._updates[:, 0].max())}; record from the start")
        return Control(**{k: v[at, self._places].to(device) for k, v in self._record.items()})

    def learn(self, transition: Transition) -> None:
        """Does nothing: the decisions are fixed."""

    def state_dict(self) -> dict:
        """Returns the recorded runs that its rows repeat; the update determines the next decision."""
        return {"places": self._places.clone()}

    def load_state_dict(self, state: dict) -> None:
        """Restores a `state_dict`."""
        self._places = state["places"].clone()


def make_replay(text: str | None = None, *, shift: int = 1) -> Replay:
    """Makes `replay:FILE`.

    Args:
        text: FILE, which `Recorder` wrote.
        shift: How many runs further on in the record each row looks.
    """
    if not text:
        raise ValueError(
            "replay:FILE needs a file that agents.rules.replay.Recorder wrote; e.g. replay:run.safetensors"
        )
    return Replay(text, shift)
