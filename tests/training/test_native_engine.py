"""The compiled kernel against the torch engine, against itself on other instruction sets, and against NumPy's draws."""

import hashlib
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gan_env.envs.config import EnvConfig, make_trainer
from gan_env.envs.env import GANVectorEnv
from gan_env.losses.losses import LOSSES
from gan_env.native import library as lib
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.optimizer_spec import OPTIMIZERS
from gan_env.random.streams import Purpose
from gan_env.tasks.task import TASKS, Task
from gan_env.training.native_coverage import not_covered
from gan_env.training.native_engine import NativeEngine, State
from gan_env.training.snapshot import fork, restore, snapshot
from gan_env.training.trainer import Trainer
from gan_env.types import Control

pytestmark = pytest.mark.skipif(not lib.instruction_sets(), reason="the compiled kernel is not installed")
ROWS = 3


def trainer(engine: str = "native", rows: int = ROWS, seeds=None, **settings: Any) -> Trainer:
    given: dict[str, Any] = {"task": "ring", "device": "cpu", "engine": engine, **settings}
    made = make_trainer(EnvConfig(**given), rows)
    made.reset(np.arange(5, 5 + rows) if seeds is None else np.array(seeds), np.zeros(rows, np.int64))
    return made


def controls(rows: int, updates: int):
    """V1, V2, V3 and learning rates, at random for each row; now and then a reused real batch."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(updates):
        who = torch.randint(3, (rows,), generator=draw)
        rate = 0.5 + torch.rand(rows, generator=draw, dtype=torch.float64)
        yield Control.of(
            rows, update_g=who != 1, update_d=who != 0, d_multiplier=rate, g_multiplier=1 / rate, reuse_real=who == 0
        )


def state(made: Trainer) -> dict[str, torch.Tensor]:
    return snapshot(made) | {"real": made.measurement.real_logits, "fake": made.measurement.fake_logits}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


# The torch engine's numbers

DESCENTS: dict[str, dict[str, Any]] = {
    **{loss: {"loss": loss} for loss in LOSSES},
    "gran of another K and ε": {"loss": "gran:5:10"},
    "digits": {"task": "digits", "batch_size": 40},
    "digits, wgan-gp": {"task": "digits", "loss": "wgan-gp", "batch_size": 33, "optimizer": "adam"},
    "sgd with momentum": {"optimizer": {"name": "sgd", "momentum": 0.9}},
    "sgd": {"optimizer": "sgd"},
    "rmsprop": {"optimizer": {"name": "rmsprop", "alpha": 0.9}},
    "negative beta1": {"optimizer": {"betas": (-0.5, 0.999)}},
    "beta1 = 0": {"optimizer": {"betas": (0.0, 0.99)}},
    "oadam": {"optimizer": {"name": "oadam", "betas": (0.5, 0.9)}},
    "extra-adam": {"optimizer": {"name": "extra-adam", "betas": (0.5, 0.9)}},
    "lookahead-minimax": {
        "optimizer": {"name": "lookahead-minimax", "lookahead_every": 7, "lookahead_share": 0.25},
    },
    "annealed r3gan": {
        "loss": "r3gan:10",
        "optimizer": {"betas": (0.0, 0.9)},
        "episode_updates": 300,
        "annealing": {"coefficient": 1.0, "beta2": 0.99, "until": 0.5},
    },
    "annealed noise": {
        "loss": "instance-noise",
        "optimizer": "oadam",
        "episode_updates": 300,
        "annealing": {"coefficient": 0, "beta2": 0.9, "until": 0.4},
    },
    "curve": {"task": "spiral"},
    "dirac": {"task": "dirac", "loss": "wgan-unclipped"},
    "one sample": {"batch_size": 1},
    "more than a tile": {"batch_size": 70},
}


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize("name", DESCENTS)
def test_200_updates_are_the_torch_engines_in_float64(name, order, no_shape_checks):
    settings = {"dtype": "float64", "order": order} | DESCENTS[name]
    torch_made, native = (trainer(engine, **settings) for engine in ("torch", "native"))
    for at, control in enumerate(controls(ROWS, 200)):
        active = np.array([True, at % 7 > 0, True])
        traces = [made.advance(control, 1, active) for made in (torch_made, native)]
        for field in ("losses", "gradient"):
            torch.testing.assert_close(*(getattr(trace, field) for trace in traces), rtol=1e-7, atol=1e-7)
        ours, theirs = snapshot(native), snapshot(torch_made)
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-9, msg=lambda text, at=at: f"{at}: {text}")
        if at % 20 == 0:
            assert_close_measurements(native, torch_made)
        if name.split()[0] in ("gran", "gn", "sn") and at % 10 == 9:
            # A difference of an ulp between two torch engines grows past 1e-9 in 200 updates, too.
            restore(native, theirs)


def assert_close_measurements(a: Trainer, b: Trainer) -> None:
    ours, theirs = a.measurement, b.measurement
    for field in fields(ours):
        torch.testing.assert_close(getattr(ours, field.name), getattr(theirs, field.name), rtol=0, atol=1e-7)
    np.testing.assert_allclose(ours.summary, theirs.summary, rtol=0, atol=1e-7)
    torch.testing.assert_close(a.coming_fake, b.coming_fake, rtol=0, atol=1e-7)


def own_task(g, d) -> Task:
    """Of functions that build the players."""
    data = torch.linspace(-1, 1, 400).view(200, 2)
    return Task(generator=g, discriminator=d, data=data, latent_size=3, batch_size=9)


@pytest.mark.parametrize("loss", ["bce", "sn", "instance-noise", "js-reg", "gran"])
def test_layers_of_any_size_with_and_without_biases_and_activations_train_as_torchs(loss, no_shape_checks):
    bent = nn.LeakyReLU(0.1) if loss in ("js-reg", "gran") else nn.Tanh()

    def g() -> nn.Module:
        first = nn.Linear(3, 17, bias=False), nn.Tanh(), nn.Linear(17, 5), nn.LeakyReLU(0.3)
        return nn.Sequential(*first, nn.Linear(5, 2))

    def d() -> nn.Module:
        first = nn.Linear(2, 33), bent, nn.Linear(33, 6, bias=False), nn.Linear(6, 7), nn.ReLU()
        return nn.Sequential(*first, nn.Linear(7, 1), nn.LeakyReLU(0.5))

    pair = [trainer(e, task=own_task(g, d), loss=loss, dtype="float64") for e in ("torch", "native")]
    for control in controls(ROWS, 50):
        for made in pair:
            made.advance(control)
        for a, b in zip(*(snapshot(made).values() for made in pair), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_rows_of_several_tasks_train_on_their_own_data(no_shape_checks):
    tasks = [TASKS[name]() for name in ("ring", "grid", "ring", "spiral")]
    pair = []
    for engine in ("torch", "native"):
        made = make_trainer(EnvConfig(task=tasks[0], dtype="float64", device="cpu", engine=engine), 4, tasks)
        made.reset(np.zeros(4, np.int64), np.zeros(4, np.int64))
        for control in controls(4, 40):
            made.advance(control)
        pair.append(snapshot(made))
    assert not torch.equal(pair[1]["d.flat"][0], pair[1]["d.flat"][1])
    for a, b in zip(*(each.values() for each in pair), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


# The same bits, however it is asked


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DESCENTS)
def test_every_instruction_set_gives_the_same_bits(name, dtype, no_shape_checks):
    found = {}
    for isa in lib.instruction_sets():
        made = trainer(dtype=dtype, rows=2, **DESCENTS[name])
        made._native = on(made, isa)
        for control in controls(2, 12):
            made.advance(control)
        digest = hashlib.sha256()
        for value in state(made).values():
            digest.update(value.numpy().tobytes())
        found[isa] = digest.hexdigest()
    assert len(found) > 1 and len(set(found.values())) == 1, found


def on(made: Trainer, isa: str, threads: int = 1) -> NativeEngine:
    """The kernel on a trainer's rows, by an instruction set."""
    held = State(**{field.name: getattr(made, field.name) for field in fields(State)})
    return NativeEngine(made.tasks, made.loss, made.order, made.batch_size, made.feed, held, threads=threads, isa=isa)


OWN_STATE = ("oadam", "extra-adam", "lookahead-minimax", "annealed r3gan")


@pytest.mark.parametrize("name", ["bce", "gran", "wgan-gp", "digits", "curve", *OWN_STATE])
def test_a_row_among_others_is_the_row_alone_to_the_bit_on_any_number_of_threads(name, no_shape_checks):
    many = trainer(rows=5, num_threads=3, **DESCENTS[name])
    alone = [trainer(rows=1, seeds=[5 + row], **DESCENTS[name]) for row in range(5)]
    for control in controls(5, 20):
        many.advance(control)
        for row, one in enumerate(alone):
            one.advance(control.rows(slice(row, row + 1)))
    for row, one in enumerate(alone):
        assert_same({key: value[0] for key, value in state(one).items()}, {k: v[row] for k, v in state(many).items()})


@pytest.mark.parametrize("name", ["bce", "instance-noise", "digits", "curve", "dirac", *OWN_STATE])
def test_a_decision_of_many_updates_is_as_many_decisions_of_one(name, no_shape_checks):
    single, many = trainer(**DESCENTS[name]), trainer(**DESCENTS[name])
    control = next(controls(ROWS, 1))
    losses, gradients = [], []
    for _ in range(33):
        trace = single.advance(control)
        losses.append(trace.losses[:, 1])
        gradients.append(trace.gradient[0])
    trace = many.advance(control, 33)
    assert torch.equal(trace.losses[:, 1:], torch.stack(losses, 1)) and torch.equal(
        trace.gradient, torch.stack(gradients)
    )
    assert_same(state(single), state(many))


def test_a_look_that_was_kept_is_never_used_after_somebody_changed_the_row():
    changed, fresh = trainer(rows=1), trainer(rows=1)
    for made in (changed, fresh):
        made.advance(Control.of(1), 3)
    changed.d.flat[0, 5] += 0.25
    changed.look()
    fresh.d.flat[0, 5] += 0.25
    fresh._native = None  # a kernel that has seen nothing
    fresh.look()
    for made in (changed, fresh):
        made.advance(Control.of(1), 3)
    assert_same(state(changed), state(fresh))


@pytest.mark.parametrize("name", ["bce", *OWN_STATE])
def test_a_fork_and_a_restored_snapshot_go_on_to_the_bit(name):
    made = trainer(**DESCENTS[name])
    made.advance(Control.of(ROWS), 11)
    held, branch = snapshot(made), fork(made, [2, 0])
    assert branch.engine == "native"
    made.advance(Control.of(ROWS), 9)
    branch.advance(Control.of(2), 9)
    other = trainer(seeds=[90, 91, 92], **DESCENTS[name])
    restore(other, held)
    other.advance(Control.of(ROWS), 9)
    assert_same(state(made), state(other))
    assert_same({name: value[[2, 0]] for name, value in state(made).items()}, state(branch))


@pytest.mark.parametrize("name", ["bce", *OWN_STATE])
def test_a_row_that_is_reset_starts_as_a_fresh_one_and_leaves_the_others(name):
    made, other = (trainer(**DESCENTS[name]) for _ in range(2))
    for each in (made, other):
        each.advance(Control.of(ROWS), 5)
    made.reset(np.array([77]), np.array([2]), np.array([1]))
    fresh = trainer(rows=1, **DESCENTS[name])
    fresh.reset(np.array([77]), np.array([2]))
    for each in (made, other, fresh):
        each.advance(Control.of(each.n), 12)
    assert_same({name: value[1] for name, value in state(made).items()}, {k: v[0] for k, v in state(fresh).items()})
    assert_same(
        {name: value[[0, 2]] for name, value in state(made).items()}, {k: v[[0, 2]] for k, v in state(other).items()}
    )


# What is not finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["weights", "moments", "latents", "real"])
@pytest.mark.parametrize("loss", ["bce", "gran", "wgan-gp", "sn", "r1"])
def test_what_is_not_finite_is_named_and_stays_in_its_row(place, value, loss):
    settings = {"loss": loss, "optimizer": "adam", "score": False, "episode_updates": 500, "engine": "native"}
    sick, well = (GANVectorEnv(ROWS, task="ring", reward="quality", **settings) for _ in range(2))
    for env in (sick, well):
        env.reset(seed=0)
        env.step(np.zeros((ROWS, 1)))
    made = sick.trainer
    if place == "weights":
        made.g.flat[1, 3] = value
        made.look()
    elif place == "moments":
        made.d_optimizer.moments[1][1, 3] = abs(value)
    else:  # of the second batch of the block that is held, not yet used
        stream = made.feed.latents if place == "latents" else made.feed.reals
        assert stream.codes is not None
        stream.codes[1, 3].view(-1)[:4] = value
    named = None
    for _ in range(12):
        *_, terminated, _, infos = sick.step(np.zeros((ROWS, 1)))
        well.step(np.zeros((ROWS, 1)))
        if terminated.any():
            assert terminated.tolist() == [False, True, False]
            named = named or infos["failure"][1]
        if named:
            break
    assert named is not None and named.startswith("non-finite")
    ours, theirs = sick.snapshot().rows, well.snapshot().rows
    assert_same({name: ours[name][[0, 2]] for name in ours}, {name: theirs[name][[0, 2]] for name in ours})


def test_a_relu_hands_on_infinity_and_nan():
    made = trainer(task="ring")
    made.g.flat[0, :] = 1e30  # every layer overflows
    made.g.flat[1, 0] = torch.nan
    made.look()
    logits = made.measurement.fake_logits
    assert not logits[0].isfinite().any() and logits[1].isnan().any() and logits[2].isfinite().all()


# Draws


@pytest.mark.parametrize("purpose", [Purpose.LATENTS, Purpose.REAL, Purpose.PENALTY])
@pytest.mark.parametrize("isa", lib.instruction_sets())
def test_the_kernels_draws_are_numpys_to_the_bit(purpose, isa):
    for loss in ("instance-noise", "wgan-gp"):
        made = trainer(rows=40, loss=loss)
        made._native = on(made, isa)
        for _ in range(3):
            made.advance(Control.of(40), 8)
            streams = {Purpose.LATENTS: "latents", Purpose.REAL: "reals", Purpose.PENALTY: "probes"}
            stream = getattr(made.feed, streams[purpose])
            held, blocks = stream.codes.clone(), stream.held.copy()
            stream.forget()
            stream.hold(slice(0, 40), blocks * stream.block, made.seed, made.episode)
            assert torch.equal(held, stream.codes)


# What it covers


class Shifted(nn.Module):
    def forward(self, x):
        return x + 1


def test_what_is_covered_and_why_the_rest_is_not():
    g, d = partial(mlp_generator, (3, 4, 2), (2,)), partial(mlp_discriminator, (2, 4, 1), (2,))
    ring = TASKS["ring"]()
    assert trainer("auto").engine == "native" and trainer("torch").engine == "torch"

    def bent() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))

    own = replace(LOSSES["bce"], name="own", real=lambda f: f.square())
    rest: tuple[tuple[dict[str, Any], str], ...] = (
        ({"task": "digits-domains"}, "is no plain GAN"),
        ({"task": own_task(lambda: nn.Sequential(*g(), Shifted()), d)}, "the generator is no plain MLP"),
        ({"task": own_task(g, bent), "loss": "r1"}, "the discriminator is not piecewise linear"),
        ({"task": "digits", "loss": "bce+diversity"}, "has a diversity term"),
    )
    for settings, why in rest:
        assert trainer("auto", **settings).engine == "torch"
        with pytest.raises(ValueError, match=f"engine='native' cannot be used: .*{why}"):
            trainer("native", **settings)
    players = trainer("torch").g, trainer("torch").d

    def reason(loss=LOSSES["bce"], dtype=torch.float32, device="cpu") -> str:
        return not_covered([ring], loss, players, 64, dtype, device) or ""

    assert not any(reason(loss) for loss in map(LOSSES.__getitem__, LOSSES))
    for name in OPTIMIZERS:
        assert trainer("auto", optimizer=name).engine == "native"
    assert "on processors" in reason(device="cuda") and "float32 or float64" in reason(dtype=torch.bfloat16)
    assert "functions of its own" in reason(own)
    assert "functions of its own" in reason(replace(LOSSES["bce"], paired=True))
    pairs = replace(LOSSES["r3gan"], penalty=None, normalise=LOSSES["gran"].normalise)
    assert "compares normalised logits by pairs" in reason(pairs)
    assert not reason(replace(LOSSES["r3gan"], penalty=LOSSES["wgan-gp"].penalty))
    assert "regulariser of its own" in reason(replace(LOSSES["r1"], penalty=lambda *_: torch.zeros(1)))
    assert "more than one regulariser" in reason(replace(LOSSES["r1"], noisy=True))


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(ValueError, match="engine"):
        EnvConfig(engine="cuda")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="isa='mmx' is none of"):
        on(trainer(), "mmx")


def test_a_control_that_is_none_is_refused_as_the_torch_engine_refuses_it():
    for wrong in (
        Control.of(2),
        Control.of(ROWS, update_g=False, update_d=False),
        Control.of(ROWS, d_multiplier=0.0),
        Control.of(ROWS, g_multiplier=float("nan")),
        Control.of(ROWS, g_multiplier=float("inf")),
    ):
        said = []
        for engine in ("torch", "native"):
            with pytest.raises(ValueError) as error:
                trainer(engine).advance(wrong)
            said.append(str(error.value))
        assert said[0] == said[1]


def test_controls_that_share_fields_are_each_read_as_they_are():
    slow = Control.of(ROWS, d_multiplier=0.1)
    both = replace(slow, d_multiplier=torch.full((ROWS,), 7.0, dtype=torch.float64))
    narrow = replace(slow, d_multiplier=torch.full((2 * ROWS,), 7.0)[::2])  # of another type, and with gaps
    shared, apart = trainer(), trainer()
    for control in (slow, both, narrow, slow, narrow):
        shared.advance(control)
        apart.advance(Control(**control.state()))
        assert_same(state(shared), state(apart))
    with pytest.raises(ValueError, match="d_multiplier has shape"):
        shared.advance(replace(slow, d_multiplier=torch.ones(ROWS + 1)))


def test_a_library_of_other_sources_is_refused_with_the_way_to_build_it(monkeypatch):
    monkeypatch.setattr(lib, "sources_key", lambda: 1)
    with pytest.raises(OSError, match="build it anew: python -m gan_env.native.library"):
        lib.library.__wrapped__()
