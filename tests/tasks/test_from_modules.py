"""Modules of any make: hooks, ties, frozen weights and buffers train as a plain torch loop would train them."""

import warnings
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrizations, prune

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import failures, make_trainer
from gan_env.losses.losses import get_loss
from gan_env.networks.parameters import flatten, parts, unflatten
from gan_env.players.batched_mlp import MLPPlayers, mlp_layers
from gan_env.players.batched_modules import AutogradPlayers, ModulePlayers
from gan_env.players.players import Asked, Buffers
from gan_env.tasks.task import Task
from gan_env.types import Control
from tests.support.coming import coming_real

RATE = 1e-2


def points(count: int = 60, size: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, size)).astype(np.float32))


def generator() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))


def discriminator(*, layer=lambda m: m, middle=nn.ReLU) -> nn.Sequential:
    return nn.Sequential(layer(nn.Linear(2, 6)), middle(), nn.Linear(6, 1))


def task(d=discriminator, g=generator, **settings) -> Task:
    settings = {"data": points(), "d_lr": RATE, "g_lr": RATE, **settings}
    return Task(generator=g, discriminator=d, latent_size=3, batch_size=8, **settings)


def trainer(d=discriminator, g=generator, rows: int = 1, loss: str = "bce", **settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*keeps state outside its weights")
        made = make_trainer(EnvConfig(task=task(d, g), loss=loss, dtype="float64", device="cpu", **settings), rows)
    made.reset(np.arange(rows) + 4, np.zeros(rows, np.int64))
    return made


def by_a_plain_loop(make, updates: int, normalise=None) -> tuple[nn.Module, nn.Module]:
    """The players after V3 updates with torch alone: D on real, D on fake, both gradients, both steps."""
    probe = make()
    g, d = probe.generator(), probe.discriminator()
    judge = d if normalise is None else lambda x: normalise(d, x)
    steps = [torch.optim.Adam(m.parameters(), lr=RATE, betas=(0.5, 0.999)) for m in (g, d)]
    for _ in range(updates):
        latents = probe.feed.latents.at(slice(0, 1), probe.updates, probe.seed, probe.episode)[0].double()
        fake = g(latents)
        real_logits, fake_logits = judge(coming_real(probe)[0]), judge(fake)
        d_loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
        trained = [[p for p in m.parameters() if p.requires_grad] for m in (g, d)]
        d_grads = torch.autograd.grad(d_loss, trained[1], retain_graph=True)
        g_grads = torch.autograd.grad(softplus(-fake_logits).mean(), trained[0])
        for step, params, grads in zip(steps, trained, (g_grads, d_grads), strict=True):
            for p, grad in zip(params, grads, strict=True):
                p.grad = grad
            step.step()
        probe.advance(Control.of(1), 1)
    return g, d


def assert_trains_as_a_plain_loop(d=discriminator, g=generator, *, updates: int = 4, loss: str = "bce", normalise=None):
    def make():
        return trainer(d, g, loss=loss)

    plain = by_a_plain_loop(make, updates, normalise)
    own = make()
    start = own.d.flat.clone()
    own.advance(Control.of(1), updates)
    assert not torch.equal(own.d.flat, start)
    for players, module in zip((own.g, own.d), plain, strict=True):
        # Batch normalisation makes a bias' gradient 0 up to rounding, which Adam divides by its size and ε.
        torch.testing.assert_close(players.flat[0], flatten(module).double(), rtol=1e-8, atol=1e-7)
    return own


# What is no plain MLP


def hooked() -> nn.Sequential:
    module = discriminator()
    module[0].register_forward_hook(lambda m, inputs, out: out * 3)
    return module


def tied() -> nn.Sequential:
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Tanh(), nn.Linear(2, 1))


def tied_weight() -> nn.Sequential:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    module[2].weight = module[0].weight
    return module


def frozen() -> nn.Sequential:
    module = discriminator()
    module[0].weight.requires_grad_(False)
    return module


def replaced_forward() -> nn.Sequential:
    module = discriminator()
    module[1].forward = torch.sigmoid
    return module


def with_buffer() -> nn.Sequential:
    module = discriminator()
    module[0].register_buffer("scale", torch.ones(1))
    return module


def legacy(norm):
    def build() -> nn.Sequential:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return discriminator(layer=norm)

    return build


UNUSUAL = {
    "old-style spectral norm": legacy(nn.utils.spectral_norm),
    "old-style weight norm": legacy(nn.utils.weight_norm),
    "pruned": lambda: discriminator(layer=lambda m: prune.ln_structured(m, "weight", 0.5, n=2, dim=0)),
    "weight norm": lambda: discriminator(layer=parametrizations.weight_norm),
    "hook": hooked,
    "layer used twice": tied,
    "weight used twice": tied_weight,
    "frozen weight": frozen,
    "replaced forward": replaced_forward,
    "buffer": with_buffer,
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_sequential_with_anything_unusual_trains_as_a_plain_loop(name):
    assert mlp_layers(UNUSUAL[name]()) is None
    own = assert_trains_as_a_plain_loop(UNUSUAL[name])
    assert isinstance(own.d, ModulePlayers) and isinstance(own.g, MLPPlayers)


def test_a_hook_on_the_sequential_itself_leaves_the_mlp_path():
    for register in ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"):
        module = discriminator()
        getattr(module, register)(lambda *given: None)
        assert mlp_layers(module) is None
    assert mlp_layers(discriminator()) is not None


def test_tied_weights_lie_in_a_row_once_and_come_back_tied():
    own = trainer(tied, rows=2)
    assert own.d.flat.shape[1] == 2 * 2 + 2 + 2 + 1
    own.advance(Control.of(2), 2)
    module = own.discriminator(1)
    assert module[0] is module[2] and torch.equal(flatten(module), own.d.flat[1])


def test_frozen_weights_stay_where_they_began():
    own = trainer(frozen, loss="wgan", rows=2)
    before = own.discriminator(1)[0].weight.clone()
    own.advance(Control.of(2), 3)
    module = own.discriminator(1)
    assert torch.equal(module[0].weight, before) and not module[0].weight.requires_grad
    assert float(module[2].weight.detach().abs().max()) <= 0.01 < float(before.abs().max())  # the clip spares them


# Buffers


class Smoothed(nn.Module):
    """State of three kinds: a buffer that is bound anew, whole numbers, and a flag."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self.register_buffer("begun", torch.tensor(False))

    def forward(self, samples):
        now = samples.detach().mean(0)
        self.mean = torch.where(self.begun, 0.5 * self.mean + 0.5 * now, now)
        self.passes += 1
        self.begun.fill_(True)
        return self.layer(samples - self.mean / self.passes)


def normalised(momentum: float | None) -> nn.Sequential:
    return discriminator(middle=lambda: nn.Sequential(nn.BatchNorm1d(6, momentum=momentum), nn.Tanh()))


STATEFUL = {
    "momentum 0.9": lambda: normalised(0.9),
    "cumulative mean": lambda: normalised(None),
    "spectral norm": lambda: discriminator(layer=parametrizations.spectral_norm),
    "state of one's own": Smoothed,
}


@pytest.mark.parametrize("name", STATEFUL)
def test_buffers_pass_from_the_real_batch_to_the_generated_one_as_in_a_plain_loop(name):
    assert_trains_as_a_plain_loop(STATEFUL[name])


def test_whole_numbers_count_too():
    own = trainer(STATEFUL["cumulative mean"], rows=2)
    own.advance(Control.of(2, update_d=torch.tensor([True, False])), 5)
    counted = [own.discriminator(row)[1][0].num_batches_tracked for row in (0, 1)]
    assert [c.item() for c in counted] == [10, 0] and counted[0].dtype == torch.int64


def gradient_normalised(d: nn.Module, samples: torch.Tensor) -> torch.Tensor:
    samples = samples if samples.requires_grad else samples.clone().requires_grad_()
    logits = d(samples).squeeze(-1)
    (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    squared = slope.square().sum(-1)
    return get_loss("gran").coefficient * logits * squared.sqrt() / (squared + 0.1)


@pytest.mark.parametrize("name", STATEFUL)
def test_buffers_move_under_a_regulariser_that_dresses_the_discriminator(name):
    assert_trains_as_a_plain_loop(STATEFUL[name], loss="gran", normalise=gradient_normalised)


def test_running_statistics_move_under_spectral_normalisation():
    own = trainer(STATEFUL["momentum 0.9"], loss="sn")
    own.advance(Control.of(1), 3)
    norm = own.discriminator()[1][0]
    assert norm.num_batches_tracked.item() == 6 and float(norm.running_mean.abs().max()) > 0


def test_a_buffer_may_count_beyond_the_bound_of_the_weights():
    own = trainer(Smoothed)
    own.d.flat[0, -2] = 5_000.0  # passes
    own.look()
    trace = own.advance(Control.of(1), 1)
    config = EnvConfig(weight_bound=1e3)
    assert failures(own, trace, np.array([True]), config) is None
    own.d.flat[0, 0] = 5_000.0
    failed = failures(own, trace, np.array([True]), config)
    assert failed is not None and failed.tolist() != [-1]


def test_a_row_holds_trained_weights_then_fixed_ones_then_buffers_and_comes_back():
    module = discriminator(middle=lambda: nn.BatchNorm1d(6))
    module[0].weight.requires_grad_(False)
    names = [name for name, _ in parts(module)]
    assert names[0] == "0.bias" and names[5] == "0.weight" and names[-1] == "1.num_batches_tracked"
    module(torch.randn(4, 2))
    twin = unflatten(discriminator(middle=lambda: nn.BatchNorm1d(6)).requires_grad_(True), flatten(module) * 0)
    twin[0].weight.requires_grad_(False)
    unflatten(twin, flatten(module))
    for (name, a), (_, b) in zip(parts(module), parts(twin), strict=True):
        assert torch.equal(a, b), name


# Spectral normalisation of weights that are made of others


@pytest.mark.parametrize("name", ["weight norm", "old-style weight norm", "old-style spectral norm", "pruned"])
def test_loss_sn_refuses_weights_that_are_made_of_others(name):
    with pytest.raises(ValueError, match="loss='sn' divides D's own weights"):
        trainer(UNUSUAL[name], loss="sn")


# Where a discriminator ends in a sigmoid


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, samples):
        return torch.sigmoid(self.layer(samples))


class Twice(nn.Module):
    """One sigmoid, within and at the end."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.act = nn.Linear(2, 4), nn.Linear(4, 1), nn.Sigmoid()

    def forward(self, samples):
        return self.act(self.last(self.act(self.first(samples))))


class Gated(nn.Module):
    """A sigmoid that is registered last and used in the middle."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.gate = nn.Linear(2, 4), nn.Linear(4, 1), nn.Sigmoid()

    def forward(self, samples):
        h = self.first(samples)
        return self.last(h * self.gate(h))


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()))
        self.unused = nn.ReLU()

    def forward(self, samples):
        return self.main(samples).view(-1)


def shared_sigmoid() -> nn.Sequential:
    act = nn.Sigmoid()
    return nn.Sequential(nn.Linear(2, 4), act, nn.Linear(4, 1), act)


@pytest.mark.parametrize(
    "build",
    [lambda: nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Sigmoid(), nn.Flatten()), Nested]
    + [shared_sigmoid],
)
def test_only_the_last_sigmoid_is_left_out_wherever_it_stands(build):
    with pytest.warns(UserWarning, match="ends in a sigmoid"):
        made = task(build).discriminator()
    kept = build()
    kept.load_state_dict(made.state_dict())
    samples = points()
    torch.testing.assert_close(torch.sigmoid(made(samples)), kept(samples))


def test_a_sigmoid_in_the_middle_stays():
    assert isinstance(task(Gated).discriminator().gate, nn.Sigmoid)


@pytest.mark.parametrize("build", [Functional, Twice])
def test_probabilities_by_another_way_are_refused(build):
    with pytest.raises(ValueError, match="discriminator gives probabilities"):
        task(build)


@pytest.mark.filterwarnings("ignore:discriminator.. gives the same first weights")
def test_logits_that_lie_between_0_and_1_by_chance_are_logits():
    def small() -> nn.Module:
        layer = nn.Linear(2, 1)
        nn.init.constant_(layer.bias, 0.5)
        nn.init.zeros_(layer.weight)
        return layer

    assert task(small).discriminator is small


# What no row could copy


SHARED = nn.Linear(3, 2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SHARED, r"generator\(\) gives the same weights at every call"),
        (lambda: nn.Sequential(SHARED, nn.Linear(2, 2)), "gives the same weights at every call"),
        (lambda: nn.LazyLinear(2), "generator holds a lazy layer"),
        (lambda: nn.Linear(3, 2).requires_grad_(False), "generator has no weights to train"),
        (lambda: nn.LSTM(3, 2), "generator gives a tuple of 2, not one tensor"),
        (3, "generator=3 must be a class or function"),
    ],
)
def test_a_generator_that_cannot_be_copied_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        task(g=build)


def test_a_gradient_hook_on_a_weight_is_refused():
    def build() -> nn.Module:
        module = discriminator()
        module[0].weight.register_hook(lambda grad: grad * 0)
        return module

    with pytest.raises(ValueError, match=r"discriminator's 0\.weight has a gradient hook"):
        task(build)


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize("loss", ["bce", "instance-noise", "r1", "gran"])
def test_activations_are_gone_before_the_next_pass_needs_room(loss, order, monkeypatch):
    """Else every pass meets fresh pages, which the system zeroes one by one: a tenth of a DCGAN's time."""
    made, left, forward = [], [], AutogradPlayers.forward

    def watched(self, *args, **kwargs):
        if self is training.g:
            left.append(sum(activation() is not None for activation in made))
            made.clear()
        out, tape = forward(self, *args, **kwargs)
        made.append(weakref.ref(tape.out))
        return out, tape

    training = trainer(lambda: discriminator(middle=nn.Softplus), lambda: nn.Sequential(generator(), nn.Identity()), 2,
                       loss, order=order)  # fmt: skip
    assert isinstance(training.g, ModulePlayers) and isinstance(training.d, ModulePlayers)
    monkeypatch.setattr(AutogradPlayers, "forward", watched)
    for control in (Control.of(2), Control.of(2, update_d=False), Control.of(2, update_g=False), Control.of(2)):
        training.advance(control, 2)
    assert left == [0] * 9 and len(made) >= 3


def test_a_tape_can_be_asked_again_unless_that_was_the_last_time():
    players = trainer(g=lambda: nn.Sequential(generator(), nn.Identity())).g
    out, tape = players.forward(players.flat, torch.ones(1, 4, 3, dtype=torch.float64), Buffers())
    asked = Asked(weights=True, inputs=True)
    first = players.backward(tape, torch.ones_like(out), Buffers(), asked)
    last = players.backward(tape, torch.ones_like(out), Buffers(), asked._replace(last=True))
    assert all(torch.equal(a, b) for a, b in zip(first, last, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        players.backward(tape, torch.ones_like(out), Buffers(), asked)
