"""Each row's optimiser against that of torch, or against its paper's algorithm written for one number at a time."""

import numpy as np
import pytest
import torch
from torch import nn

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.losses.losses import LOSSES
from gan_env.optimizer_spec import OPTIMIZERS as KNOWN
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.players.players import EVERY
from gan_env.tasks.task import Task, make_task
from gan_env.training.optimizers import RowOptimizer
from gan_env.training.snapshot import fork, restore, snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control

OPTIMIZERS = {
    "adam": (OptimizerSpec(name="adam", betas=(0.9, 0.99)), lambda p, lr: torch.optim.Adam([p], lr, betas=(0.9, 0.99))),
    "adam, beta1 = 0": (OptimizerSpec(betas=(0.0, 0.9)), lambda p, lr: torch.optim.Adam([p], lr, betas=(0.0, 0.9))),
    "rmsprop": (
        OptimizerSpec(name="rmsprop", alpha=0.9, eps=1e-5),
        lambda p, lr: torch.optim.RMSprop([p], lr, alpha=0.9, eps=1e-5),
    ),
    "sgd": (OptimizerSpec(name="sgd"), lambda p, lr: torch.optim.SGD([p], lr)),
    "sgd with momentum": (
        OptimizerSpec(name="sgd", momentum=0.9),
        lambda p, lr: torch.optim.SGD([p], lr, momentum=0.9),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_row_steps_as_torchs_optimiser_does_at_its_own_rate(name):
    spec, build = OPTIMIZERS[name]
    rng = torch.Generator().manual_seed(1)
    flat = torch.randn(4, 7, generator=rng, dtype=torch.float64)
    lr = torch.tensor([1e-1, 1e-3, 3e-2, 1e-4], dtype=torch.float64)
    params = [nn.Parameter(row.clone()) for row in flat]
    theirs = [build(p, float(rate)) for p, rate in zip(params, lr, strict=True)]
    ours = RowOptimizer(spec, flat, lr)
    for step in range(50):
        grad = torch.randn(4, 7, generator=rng, dtype=torch.float64) * 10.0 ** torch.randint(
            -4, 3, (4, 1), generator=rng
        )
        multiplier = 0.1 + torch.rand(4, generator=rng, dtype=torch.float64)
        # Now and then a row sits out: its age and moments must stand still, as if nobody had called.
        stepping = torch.rand(4, generator=rng) < 0.7 if step % 3 else torch.ones(4, dtype=torch.bool)
        index = EVERY if stepping.all() else stepping.nonzero()[:, 0]
        ours.step(index, grad[index], multiplier[index])
        for row in stepping.nonzero()[:, 0].tolist():
            theirs[row].param_groups[0]["lr"] = float(lr[row] * multiplier[row])
            params[row].grad = grad[row]
            theirs[row].step()
        gap = (flat - torch.stack([p.detach() for p in params])).abs().max()
        assert float(gap) <= 1e-12, f"step {step}"


def test_resetting_a_rows_optimiser_forgets_that_row_alone():
    flat = torch.zeros(2, 3, dtype=torch.float64)
    ours = RowOptimizer(OptimizerSpec(), flat, torch.full((2,), 0.1, dtype=torch.float64))
    for _ in range(3):
        ours.step(EVERY, torch.ones(2, 3, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    ours.reset(torch.tensor([1]))
    assert ours.steps.tolist() == [3, 0]
    assert all(bool((m[0] > 0).all()) and bool((m[1] == 0).all()) for m in ours.moments)


# Algorithms of papers, one weight at a time in plain Python


class PlainAdam:
    """Kingma & Ba 2015, algorithm 1; β₁ may be negative."""

    def __init__(self, spec, weight):
        (self.b1, self.b2), self.eps, self.weight = spec.betas, spec.eps, weight
        self.m = self.v = self.t = 0

    def direction(self, g):
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        m_hat, v_hat = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        return m_hat / (v_hat**0.5 + self.eps)

    def step(self, g, lr):
        self.weight -= lr * self.direction(g)


class PlainOptimisticAdam(PlainAdam):
    """Daskalakis et al. 2018, algorithm 1."""

    last = 0.0

    def step(self, g, lr):
        direction = self.direction(g)
        self.weight = self.weight - 2 * lr * direction + lr * self.last
        self.last = direction


class PlainExtraAdam(PlainAdam):
    """Gidel et al. 2019, algorithm 4 with option 1: each iteration takes two gradients, which come one by one."""

    held = None

    def step(self, g, lr):
        if self.held is None:
            self.held = self.weight
            self.weight = self.held - lr * self.direction(g)
        else:
            self.weight, self.held = self.held - lr * self.direction(g), None


PAPERS = {
    "oadam": (OptimizerSpec(name="oadam", betas=(0.5, 0.9)), PlainOptimisticAdam),
    "oadam, negative beta1": (OptimizerSpec(name="oadam", betas=(-0.3, 0.9)), PlainOptimisticAdam),
    "extra-adam": (OptimizerSpec(name="extra-adam", betas=(0.5, 0.9)), PlainExtraAdam),
    "lookahead-minimax between two syncs": (OptimizerSpec(name="lookahead-minimax", betas=(0.5, 0.9)), PlainAdam),
    "adam, negative beta1": (OptimizerSpec(betas=(-0.5, 0.999)), PlainAdam),
    "adam, beta1 near -1": (OptimizerSpec(betas=(-0.99, 0.999)), PlainAdam),
}


@pytest.mark.parametrize("name", PAPERS)
def test_each_row_steps_by_the_algorithm_of_its_paper(name):
    spec, build = PAPERS[name]
    rng = torch.Generator().manual_seed(1)
    flat = torch.randn(4, 5, generator=rng, dtype=torch.float64)
    lr = torch.tensor([1e-1, 1e-3, 3e-2, 1e-4], dtype=torch.float64)
    plain = [[build(spec, weight) for weight in row] for row in flat.tolist()]
    ours = RowOptimizer(spec, flat, lr)
    for step in range(60):
        grad = torch.randn(4, 5, generator=rng, dtype=torch.float64)
        multiplier = 0.1 + torch.rand(4, generator=rng, dtype=torch.float64)
        stepping = torch.rand(4, generator=rng) < 0.7 if step % 3 else torch.ones(4, dtype=torch.bool)
        index = EVERY if stepping.all() else stepping.nonzero()[:, 0]
        ours.step(index, grad[index], multiplier[index])
        for row in stepping.nonzero()[:, 0].tolist():
            for each, g in zip(plain[row], grad[row].tolist(), strict=True):
                each.step(g, float(lr[row] * multiplier[row]))
        wanted = torch.tensor([[each.weight for each in row] for row in plain], dtype=torch.float64)
        torch.testing.assert_close(flat, wanted, rtol=0, atol=1e-9, msg=lambda text, at=step: f"step {at}: {text}")


def stepped(spec, gradients, lr=0.1):
    """A weight that begins at 1, after each of the gradients."""
    flat = torch.ones(1, 1, dtype=torch.float64)
    ours, found = RowOptimizer(spec, flat, torch.full((1,), lr, dtype=torch.float64)), []
    for g in gradients:
        ours.step(EVERY, torch.full((1, 1), g, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
        found.append(flat.item())
    return found


def test_the_first_steps_are_the_hand_worked_ones():
    # With β = (0, 0) Adam's direction is the gradient's sign, so each step is a whole rate.
    signs, gradients = {"betas": (0.0, 0.0), "eps": 1e-12}, (3.0, 5.0, -2.0, -1.0)
    assert stepped(OptimizerSpec(**signs), gradients) == pytest.approx([0.9, 0.8, 0.9, 1.0])
    # 1 - .2 + 0; .8 - .2 + .1; .7 + .2 + .1; 1 + .2 - .1
    assert stepped(OptimizerSpec(name="oadam", **signs), gradients) == pytest.approx([0.8, 0.7, 1.0, 1.1])
    # out to .9, and from 1 by the gradient met there to .9; out to 1, and from .9 to 1
    assert stepped(OptimizerSpec(name="extra-adam", **signs), gradients) == pytest.approx([0.9, 0.9, 1.0, 1.0])
    # β₁ = -1/2: m = 3/2 · 1 = 1.5, over 1 + 1/2: 1; then -.75 + 1.5 = .75, over 1 - 1/4: 1: exact
    assert stepped(OptimizerSpec(betas=(-0.5, 0.0), eps=1e-12), (1.0, 1.0, 1.0)) == pytest.approx([0.9, 0.8, 0.7])
    # and one that turns is met by a larger step: m = -.75 - 1.5 = -2.25, over .75: -3
    assert stepped(OptimizerSpec(betas=(-0.5, 0.0), eps=1e-12), (1.0, -1.0)) == pytest.approx([0.9, 1.2])


# In the trainer

SETTINGS = {"task": "ring", "dtype": "float64", "batch_size": 8, "device": "cpu", "engine": "torch"}
NEW = {
    "oadam": "oadam",
    "extra-adam": "extra-adam",
    "lookahead-minimax": {"name": "lookahead-minimax", "lookahead_every": 3, "lookahead_share": 0.25},
    "negative beta1": {"betas": (-0.5, 0.999)},
}


def trainer(rows=3, **settings):
    made = make_trainer(EnvConfig(**SETTINGS | settings), rows)
    made.reset(np.arange(5, 5 + rows), np.zeros(rows, np.int64))
    return made


def test_lookahead_takes_both_players_back_together_after_every_k_th_update():
    """Chavdarova et al. 2021, algorithm 1, with the fast steps from a trainer with plain Adam."""
    ours, fast = (trainer(optimizer=each) for each in (NEW["lookahead-minimax"], "adam"))
    fast.look()
    slow = {name: getattr(fast, name).flat.clone() for name in "gd"}
    for update in range(1, 10):
        # Also where G alone moves, or D: k counts the row's updates.
        control = Control.of(3, update_g=update % 4 != 1, update_d=update % 4 != 2)
        for made in (ours, fast):
            made.advance(control)
        if update % 3 == 0:
            for name in "gd":
                weights = getattr(fast, name).flat
                slow[name] += 0.25 * (weights - slow[name])
                weights.copy_(slow[name])
            fast.look()
        for name in "gd":
            torch.testing.assert_close(getattr(ours, name).flat, getattr(fast, name).flat, rtol=0, atol=1e-12)


def test_lookahead_counts_each_rows_own_updates_and_leaves_resting_rows_alone():
    ours = trainer(optimizer=NEW["lookahead-minimax"])
    ours.advance(Control.of(3), 2)
    ours.advance(Control.of(3), 1, np.array([True, False, True]))  # the third update of rows 0 and 2
    is_slow = (ours.d.flat == ours.d_optimizer.moments[2]).all(1)
    assert is_slow.tolist() == [True, False, True]


@pytest.mark.parametrize("name", NEW)
def test_several_updates_in_a_decision_are_the_same_as_one_by_one(name):
    at_once, singly = (trainer(optimizer=NEW[name], loss="wgan-gp") for _ in range(2))
    at_once.advance(Control.of(3), 7)
    for _ in range(7):
        singly.advance(Control.of(3))
    for key, value in snapshot(at_once).items():
        assert torch.equal(value, snapshot(singly)[key]), key


@pytest.mark.parametrize("name", NEW)
def test_a_restored_row_a_fork_and_a_row_alone_go_on_as_the_original(name):
    made = trainer(optimizer=NEW[name])
    made.advance(Control.of(3), 4)
    other = trainer(optimizer=NEW[name])
    other.advance(Control.of(3, update_d=False), 2)
    restore(other, snapshot(made))
    branch, alone = fork(made, [0, 1, 2]), trainer(1, optimizer=NEW[name])
    alone.advance(Control.of(1), 4)
    for each in (made, other, branch, alone):
        each.advance(Control.of(each.n), 5)
    for key, value in snapshot(made).items():
        assert torch.equal(value, snapshot(other)[key]) and torch.equal(value, snapshot(branch)[key]), key
        torch.testing.assert_close(value[:1], snapshot(alone)[key], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NEW)
def test_rows_in_chunks_train_as_rows_in_one_piece(name):
    task, spec = make_task("ring"), OptimizerSpec.of(NEW[name])
    made = []
    for chunk in (2, 5):
        each = Trainer(
            task, LOSSES["bce"], 5, d_lr=1e-3, g_lr=1e-3, d_optimizer=spec, g_optimizer=spec, batch_size=8,
            dtype=torch.float64, chunk=chunk, engine="torch",
        )  # fmt: skip
        each.reset(np.arange(5), np.zeros(5, np.int64))
        for _ in range(8):
            each.advance(Control.of(5, update_d=torch.tensor([True, False, True, True, True])))
        made.append(each)
    for a, b in zip(*(snapshot(each).values() for each in made), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NEW)
def test_a_nan_stays_in_its_row(name):
    clean, spoilt = (trainer(optimizer=NEW[name]) for _ in range(2))
    spoilt.d.flat[1, 0] = torch.nan
    spoilt.look()
    for made in (clean, spoilt):
        made.advance(Control.of(3), 7)
    assert not spoilt.g.flat[1].isfinite().all()
    for key, value in snapshot(spoilt).items():
        assert torch.equal(value[[0, 2]], snapshot(clean)[key][[0, 2]]), key


@pytest.mark.parametrize("name", ["extra-adam", "lookahead-minimax"])
def test_buffers_of_a_module_are_not_taken_back(name):
    def g() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))

    def d() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))

    task = Task(generator=g, discriminator=d, data=torch.randn(100, 2), latent_size=2)
    with pytest.warns(UserWarning, match="keeps state"):
        made = trainer(2, task=task, optimizer=NEW[name], dtype=None)
    made.advance(Control.of(2), 6)
    assert int(made.generator()[1].num_batches_tracked) >= 6
    weights = made.g.weights
    assert (made.g.flat[:, weights:] != made.g_optimizer.moments[2][:, weights:]).any()


def test_every_optimizer_names_its_source_and_trains_both_players():
    for name, text in KNOWN.items():
        assert "arXiv" in text or name in ("rmsprop", "sgd")
        made = trainer(optimizer=name)
        before = made.g.flat.clone(), made.d.flat.clone()
        made.advance(Control.of(3), 4)
        assert all((now != then).any(1).all() for now, then in zip((made.g.flat, made.d.flat), before, strict=True))


def test_rows_and_hashes_hold_the_arguments_that_they_did_before_there_was_lookahead():
    assert list(OptimizerSpec().as_json()) == ["name", "betas", "alpha", "momentum", "eps"]
    held = OptimizerSpec(name="lookahead-minimax").as_json()
    assert held["lookahead_every"] == 5 and OptimizerSpec.of(held) == OptimizerSpec(name="lookahead-minimax")
