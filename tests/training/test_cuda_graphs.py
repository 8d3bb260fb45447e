"""A recorded engine trains as the plain one does, to the bit. Tapes stand for CUDA graphs, which test_gpu.py makes."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.losses.losses import LOSSES
from gan_env.optimizer_spec import OPTIMIZERS
from gan_env.training.cuda_graphs import WARM_UPS, RecordedEngine
from gan_env.training.snapshot import fork, restore, snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control

ROWS = 5
EVERYBODY = {"V1": Control.of(ROWS, update_d=False), "V2": Control.of(ROWS, update_g=False), "V3": Control.of(ROWS)}
MIXED = Control.of(
    ROWS,
    update_g=torch.tensor([True, False, True, True, False]),
    update_d=torch.tensor([True, True, False, True, True]),
    d_multiplier=torch.linspace(0.3, 3, ROWS),
    reuse_real=torch.tensor([False, True, False, True, True]),
)


class Taped:
    """Puts down every operation on tensors below autograd and does these again, as a graph would: no Python, no look.

    What a graph cannot hold (a number that is read off a tensor, a shape that depends on numbers) is refused.
    """

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, work):
        for _ in range(WARM_UPS):
            work()
        with _Tape() as tape:
            work()
        self.recorded += 1

        def replay():
            self.replayed += 1
            with torch.no_grad():
                for function, args, kwargs, out in tape.calls:
                    for old, new in zip(tree_leaves(out), tree_leaves(function(*args, **kwargs)), strict=True):
                        if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                            old.detach().copy_(new)

        return replay


class _Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not any(name in func.name() for name in ("_local_scalar_dense", "nonzero", "masked_select", "equal"))
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


def trainer(record=None, task="ring", **settings) -> Trainer:
    config = EnvConfig(task=task, batch_size=8, episode_updates=50, device="cpu", **settings)
    of = config.build_task()
    made = Trainer(
        of, config.gan_loss, ROWS, d_lr=1e-2, g_lr=1e-2, d_optimizer=config.optimizer_spec,
        g_optimizer=config.optimizer_spec, batch_size=8, order=config.order, record=record,
        engine="torch", episode_updates=50, annealing=config.annealing,
    )  # fmt: skip
    made.reset(np.arange(ROWS) + 3, np.zeros(ROWS, np.int64))
    return made


def states(made: Trainer) -> dict[str, torch.Tensor]:
    seen = made.measurement
    return {**snapshot(made), **{f"seen {name}": value for name, value in seen.state().items()}}


def same(one: Trainer, other: Trainer) -> None:
    theirs = states(other)
    for name, value in states(one).items():
        assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize("loss", [*LOSSES, "bce+diversity"])
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_a_recorded_engine_trains_to_the_bit_as_the_plain_one(loss, order):
    record = Taped()
    plain, recorded = (trainer(each, loss=loss, order=order) for each in (None, record))
    active = np.array([True, False, True, True, True])
    for name in ("V3", "V3", "V1", "V2", "mixed", "V3", "mixed", "V1", "V3"):
        control = MIXED if name == "mixed" else EVERYBODY[name]
        traces = [each.advance(control, 2) for each in (plain, recorded)]
        assert torch.equal(traces[0].losses, traces[1].losses) and torch.equal(traces[0].gradient, traces[1].gradient)
        same(plain, recorded)
    for each in (plain, recorded):
        each.advance(EVERYBODY["V3"], 1, active)
        each.reset(np.array([77]), np.array([1]), np.array([3]))
        each.advance(EVERYBODY["V3"])
    same(plain, recorded)
    assert record.recorded == 4 and record.replayed > 20  # a look, V1, V2, V3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_recorded_and_replayed_to_the_bit(optimizer):
    record = Taped()
    plain, recorded = (trainer(each, optimizer=optimizer) for each in (None, record))
    for name in ("V3", "V3", "V1", "mixed", "V3", "V2", "V3", "V3"):
        for each in (plain, recorded):
            each.advance(MIXED if name == "mixed" else EVERYBODY[name], 2)
        same(plain, recorded)
    assert record.recorded == 4 and record.replayed > 10


def test_an_annealed_game_is_recorded_once_and_replayed_to_the_bit():
    record = Taped()
    settings = {"loss": "r3gan", "annealing": {"coefficient": 0.1, "beta2": 0.9, "until": 0.5}}
    plain, recorded = (trainer(each, **settings) for each in (None, record))
    for name in ("V3", "V3", "mixed", "V3", "V1", "V2", "V3", "V3", "V3"):
        for each in (plain, recorded):
            each.advance(MIXED if name == "mixed" else EVERYBODY[name], 4)
        same(plain, recorded)
    assert record.recorded == 4 and record.replayed > 10


def test_a_measurement_outlives_the_next_look():
    made = trainer(Taped())
    seen = made.measurement
    before = {name: value.clone() for name, value in seen.state().items()}
    made.advance(EVERYBODY["V3"], 3)
    assert all(torch.equal(value, before[name]) for name, value in seen.state().items())
    assert not torch.equal(made.measurement.real_logits, seen.real_logits)


def test_a_recorded_trainer_forks_and_goes_back():
    made = trainer(Taped())
    made.advance(EVERYBODY["V3"], 3)
    held, branch = snapshot(made), fork(made, range(ROWS))
    for each in (made, branch):
        each.advance(MIXED, 2)
        each.advance(EVERYBODY["V3"], 2)
    same(made, branch)
    restore(made, held)
    made.advance(MIXED, 2)
    made.advance(EVERYBODY["V3"], 2)
    same(made, branch)


def test_a_recording_that_fails_leaves_the_rows_as_they_were():
    calls = []

    def breaks(work):
        calls.append(work())
        if len(calls) > 1:  # the look is recorded, the update is not
            raise MemoryError("no room for a graph")
        return work

    made = trainer(breaks)
    before = states(made)
    with pytest.raises(MemoryError, match="no room"):
        made.advance(EVERYBODY["V3"])
    assert all(torch.equal(value, before[name]) for name, value in snapshot(made).items())


def test_only_plain_mlps_are_recorded():
    for task in ("fashion", "digits-domains"):
        with pytest.raises(ValueError, match="records plain MLPs of a plain GAN alone"):
            trainer(Taped(), task=task)
    assert isinstance(trainer(Taped())._engine, RecordedEngine)


def test_graphs_without_a_card_are_refused():
    with pytest.raises(ValueError, match="cuda_graphs=True needs a CUDA device, got cpu"):
        make_trainer(EnvConfig(device="cpu", cuda_graphs=True), 2)
    with pytest.raises(ValueError, match="cuda_graphs='yes' must be True or False"):
        EnvConfig(cuda_graphs="yes")
