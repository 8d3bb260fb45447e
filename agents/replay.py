"""Recorded decisions, and a controller that repeats them blindly: what is left when feedback is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from gan_env.durable import write_tensors
from gan_env.records import Control, GameFacts, Measurement, Transition

from .base import Controller, NeedsTrainer
from .files import ControllerFileError, read_checked

FORMAT = "gan-env recording"
VERSION = 1
_FIELDS = tuple(f.name for f in fields(Control))


class Recorder:
    """A controller that does what another decides and keeps every decision, for `save` and `replay:FILE`."""

    def __init__(self, controller: Controller):
        self.controller = controller
        self.name = f"{getattr(controller, 'name', type(controller).__name__)}"
        self.controls: list[Control] = []
        self._seeds: list[int] = []
        if isinstance(controller, NeedsTrainer):
            self.bind = controller.bind

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts the controller afresh, with an empty record."""
        self.controller.reset(row_seeds, game)
        self.controls, self._seeds = [], [int(seed) for seed in row_seeds]

    def act(self, measurement: Measurement) -> Control:
        """The controller's decision, recorded."""
        control = self.controller.act(measurement)
        self.controls.append(Control(**{k: v.cpu() for k, v in control.state().items()}))
        return control

    def learn(self, transition: Transition) -> None:
        """The controller's own."""
        self.controller.learn(transition)

    def state_dict(self) -> dict:
        """The controller's state and the record."""
        record = [control.state() for control in self.controls]
        return {"controller": self.controller.state_dict(), "seeds": list(self._seeds), "record": record}

    def load_state_dict(self, state: dict) -> None:
        """Takes over what `state_dict` gave."""
        self.controller.load_state_dict(state["controller"])
        self.controls, self._seeds = [Control(**held) for held in state["record"]], list(state["seeds"])

    def save(self, path: Path | str) -> None:
        """Writes the record, (decisions, rows) of each field of a control; raises ValueError where there is none."""
        if not self.controls:
            raise ValueError(f"{self.name} has decided nothing yet; run it before saving its record")
        tensors = {name: torch.stack([getattr(c, name) for c in self.controls]) for name in _FIELDS}
        write_tensors(path, FORMAT, VERSION, {"name": self.name, "seeds": self._seeds}, tensors)


class Replay:
    """Repeats recorded decisions, update by update, whatever it is shown. See `base.Controller` for its methods.

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
        if set(tensors) != set(_FIELDS) or len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise ControllerFileError(f"{path}: holds {sorted(tensors)} of shapes {sorted(shapes)}; record it again")
        booleans = [name for name in _FIELDS if tensors[name].dtype == torch.bool]
        if booleans != ["update_g", "update_d", "reuse_real"]:
            raise ControllerFileError(f"{path}: its decisions have other types than a recording's; record it again")
        self._record = tensors
        self.recorded, self.seeds = str(header.get("name")), list(header.get("seeds") or [])
        self.decisions, runs = next(iter(shapes))
        try:
            for t in range(self.decisions):
                Control(**{name: value[t] for name, value in tensors.items()}).check(runs)
        except ValueError as error:
            raise ControllerFileError(f"{path}: holds an invalid decision ({error}); record it again") from error
        self._places = torch.zeros(0, dtype=torch.int64)
        self._age = 0

    def reset(self, row_seeds: Sequence[int], game: GameFacts = GameFacts()) -> None:
        """Starts at the first recorded decision; raises ValueError if the recording is shorter than the run."""
        if game.episode_updates > self.decisions:
            raise ValueError(
                f"{self.path} holds {self.decisions} decisions, the run has {game.episode_updates} updates; "
                "record a longer run"
            )
        runs = self._record["update_g"].shape[1]
        self._places, self._age = (torch.arange(len(row_seeds)) + self.shift) % runs, 0

    def act(self, measurement: Measurement) -> Control:
        """The next recorded decision; raises ValueError after the last."""
        if len(measurement) != len(self._places):
            raise ValueError(f"replay has {len(self._places)} rows and was shown {len(measurement)}; reset it first")
        if self._age >= self.decisions:
            raise ValueError(f"{self.path} ends after {self.decisions} decisions; record a longer run")
        device = measurement.g_loss.device
        self._age += 1
        return Control(**{k: v[self._age - 1][self._places].to(device) for k, v in self._record.items()})

    def learn(self, transition: Transition) -> None:
        """Nothing: it repeats."""

    def state_dict(self) -> dict:
        """Which decision comes next, in which runs."""
        return {"age": self._age, "places": self._places.clone()}

    def load_state_dict(self, state: dict) -> None:
        """Takes over what `state_dict` gave."""
        self._age, self._places = int(state["age"]), state["places"].clone()


def make_replay(text: str | None = None, *, shift: int = 1) -> Replay:
    """`replay:FILE`; option: `shift`, how many runs further on in the record each row looks."""
    if not text:
        raise ValueError("replay:FILE needs a file that agents.replay.Recorder wrote; e.g. replay:run.safetensors")
    return Replay(text, shift)
