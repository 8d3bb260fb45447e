"""Promises of controller files: an export acts to the bit as its agent; any other bytes raise the one error."""

import json
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents import ControllerFileError, load_controller, save_controller
from agents.policies.policy import PolicyController, PolicySpec
from agents.policies.policy_files import FORMAT, VERSION
from gan_env.io.tensor_files import digest
from gan_env.types import GameFacts, Measurement

SPEC = PolicySpec(provenance={"task": "ring", "seed": 0})


def made(spec: PolicySpec = SPEC, features: int = 9, actions: int = 1, seed: int = 0) -> PolicyController:
    """A policy of two layers with weights of their own."""
    rng = torch.Generator().manual_seed(seed)
    shapes = ((8, features), (actions, 8))
    layers = [(torch.randn(*s, generator=rng), torch.randn(s[0], generator=rng)) for s in shapes]
    return PolicyController(spec, layers, "policy")


@pytest.fixture
def file(tmp_path):
    save_controller(made(), tmp_path / "agent.safetensors")
    return tmp_path / "agent.safetensors"


def seen(rows: int) -> Measurement:
    rng = torch.Generator().manual_seed(rows)
    one = torch.rand(3, rows, generator=rng)
    return Measurement(
        real_logits=torch.randn(rows, 8, generator=rng),
        fake_logits=torch.randn(rows, 8, generator=rng),
        g_loss=one[0],
        d_loss_real=one[1],
        d_loss_fake=one[2],
        update=torch.zeros(rows, dtype=torch.int64),
        progress=torch.zeros(rows, dtype=torch.float64),
    )


def test_a_file_holds_the_whole_controller(file):
    controller, loaded = made(), load_controller(file)
    assert (loaded.spec, loaded.name) == (controller.spec, controller.name)
    for (a, b), (c, d) in zip(controller.layers, loaded.layers, strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    for each in (controller, loaded):
        each.reset([0, 1], GameFacts())
    for _ in range(5):
        assert torch.equal(controller.act(seen(2)).d_multiplier, loaded.act(seen(2)).d_multiplier)
    assert [p.name for p in file.parent.iterdir()] == [file.name]  # nothing partial is left


@pytest.mark.parametrize(("control", "actions", "features"), [("learning-rate", 1, 9), ("joint", 3, 11)])
@pytest.mark.parametrize("hidden", [(64, 64), (16,)])
def test_an_export_acts_bit_for_bit_as_the_sb3_agent_it_came_from(control, actions, features, hidden, tmp_path):
    from agents.learned.fsco import FscoConfig, _Spaces, make_ddpg
    from agents.learned.sb3.actor import actor_of
    from agents.learned.sb3.vec_env import PrivateRandomness

    with PrivateRandomness(0)():
        spaces = _Spaces(np.full(features, -10, np.float32), np.full(features, 10, np.float32), actions)
        model = make_ddpg(FscoConfig(hidden=hidden), spaces, 0)
    spec = replace(SPEC, control=control)
    save_controller(PolicyController(spec, actor_of(model).layers), tmp_path / "agent.safetensors")
    loaded = load_controller(tmp_path / "agent.safetensors")
    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 10.0):
        observations = rng.normal(0, scale, (2_000, features)).clip(-10, 10).astype(np.float32)
        assert np.array_equal(loaded.actions(observations), model.predict(observations, deterministic=True)[0])
        for one in observations[:200]:
            assert np.array_equal(loaded.actions(one[None])[0], model.predict(one, deterministic=True)[0])


def test_a_thousand_damaged_files_load_right_or_raise_the_one_error_and_run_nothing(file, monkeypatch):
    whole, right = file.read_bytes(), load_controller(file)
    observations = np.random.default_rng(0).normal(size=(16, 9)).astype(np.float32)
    wanted = right.actions(observations)
    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(f"builtins.{name}", lambda *a, **k: pytest.fail("a controller file ran code"))
    monkeypatch.setattr("pickle.loads", lambda *a, **k: pytest.fail("a controller file was unpickled"))
    monkeypatch.setattr("torch.load", lambda *a, **k: pytest.fail("a controller file was unpickled"))
    rng, outcomes = random.Random(0), {"loaded": 0, "refused": 0}
    for i in range(1_000):
        damaged = bytearray(whole)
        if i % 4 == 0:
            damaged = damaged[: rng.randrange(len(whole))]
        elif i % 4 == 1:
            for _ in range(rng.choice((1, 1, 1, 8))):
                damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        elif i % 4 == 2:
            at = rng.randrange(len(whole))
            damaged[at : at + rng.randrange(1, 64)] = rng.randbytes(rng.randrange(64))
        else:  # another file, whole, under this name: or this one, renamed
            damaged = rng.choice((whole, b"", rng.randbytes(200), b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04"))
        path = file.with_name(rng.choice(("agent.safetensors", "agent.zip", "agent.pkl", "agent", "a b.safetensors")))
        path.write_bytes(bytes(damaged))
        try:
            loaded = load_controller(path)
        except ControllerFileError as error:
            outcomes["refused"] += 1
            assert str(path) in str(error)
        else:
            outcomes["loaded"] += 1
            assert np.array_equal(loaded.actions(observations), wanted)
            assert loaded.spec == right.spec
    assert outcomes["loaded"] > 20 and outcomes["refused"] > 700


def test_every_bit_of_a_weight_matters(file):
    whole = file.read_bytes()
    start = len(whole) - 4 * (8 * 9 + 8 + 8 + 1)  # the tensors come last
    for at in range(start, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        file.write_bytes(bytes(damaged))
        with pytest.raises(ControllerFileError, match="was altered"):
            load_controller(file)


def write(path, header, tensors, metadata=None):
    text = json.dumps(header)
    save_file(tensors, path, metadata=metadata or {"gan_env": text, "blake2b": digest(text, tensors)})


def test_a_well_formed_file_that_makes_no_sense_is_refused(tmp_path):
    path, good = tmp_path / "agent.safetensors", made()
    tensors = {
        f"layer{i}.{k}": t for i, p in enumerate(good.layers) for k, t in zip(("weight", "bias"), p, strict=True)
    }
    header = {"format": FORMAT, "version": VERSION, "name": "x", "spec": asdict(SPEC)}
    spec = header["spec"]
    broken = {**tensors, "layer0.bias": torch.full((8,), torch.nan)}
    cases = [
        ({**header, "version": 2}, tensors, "version 2 is unknown here, only 1 is; update gan-env"),
        ({**header, "format": "other"}, tensors, "holds no gan-env controller"),
        ([1], tensors, "holds no gan-env controller"),
        ({**header, "spec": {**spec, "feature": 1}}, tensors, "unknown controller field 'feature'"),
        ({**header, "spec": {**spec, "features": ["g_los"]}}, tensors, "did you mean 'g_loss'"),
        ({**header, "spec": {**spec, "features": ["g_loss"]}}, tensors, "layer 0 takes 1 numbers but has weight"),
        ({**header, "spec": {**spec, "control": "joint"}}, tensors, "layer 0 takes 11 numbers"),
        ({**header, "spec": {**spec, "control": "other"}}, tensors, "unknown control 'other'"),
        ({**header, "spec": {**spec, "d_lr_range": [2, 10]}}, tensors, "0 < low < 1 < high"),
        ({**header, "spec": {**spec, "d_loss_scale": "max"}}, tensors, "unknown d_loss_scale 'max'"),
        ({**header, "spec": {**spec, "updates_per_step": 0}}, tensors, "updates_per_step=0"),
        ({k: v for k, v in header.items() if k != "spec"}, tensors, "'spec'"),
        (header, broken, "holds a number that is not finite"),
        (header, {"layer0.weight": torch.zeros(1, 9)}, "a weight and a bias for each layer"),
        (header, {k: v.double() for k, v in tensors.items()}, "not torch.float32"),
        (header, {**tensors, "layer1.weight": torch.zeros(2, 8), "layer1.bias": torch.zeros(2)}, "gives 2 numbers"),
        (header, {**tensors, "layer1.weight": torch.zeros(1, 7)}, "layer 1 takes 8 numbers"),
    ]
    for bad, weights, message in cases:
        write(path, bad, weights)
        with pytest.raises(ControllerFileError, match=message):
            load_controller(path)
    write(path, header, tensors, {"format": "pt"})
    with pytest.raises(ControllerFileError, match="holds no gan-env controller"):
        load_controller(path)
    write(path, header, tensors)
    load_controller(path)  # the header itself is fine


def test_missing_files_folders_and_huge_ones_are_refused(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ControllerFileError, match="cannot be read"):
            load_controller(path)
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(ControllerFileError, match="larger than"):
        load_controller(tmp_path / "huge.safetensors")


def test_what_could_not_be_loaded_again_is_not_written(tmp_path):
    path = tmp_path / "agent.safetensors"
    for bad in (made(features=8), made(replace(SPEC, provenance={"x": object()}))):
        with pytest.raises(ControllerFileError, match="cannot be written"):
            save_controller(bad, path)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_does_not_stay_in_the_averages():
    hurt, sound = made(), made()
    for each in (hurt, sound):
        each.reset([0, 1], GameFacts())
    for t in range(200):
        one = replace(seen(2), update=torch.full((2,), t))  # a policy counts its decisions in updates
        if t in (0, 3, 4):
            state = one.state()
            state["g_loss"][1], state["d_loss_real"][1] = torch.nan, torch.inf
            hurt.act(Measurement(**state)).check(2)
        else:
            hurt.act(one)
        sound.act(one)
    last = replace(seen(2), update=torch.full((2,), 200))
    torch.testing.assert_close(hurt.act(last).d_multiplier, sound.act(last).d_multiplier)
