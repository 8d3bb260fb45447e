"""Batched players against the module and autograd."""

import pytest
import torch
from torch import nn

from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.networks.parameters import flatten, unflatten
from gan_env.players.batched_mlp import MLPPlayers
from gan_env.players.batched_modules import ModulePlayers, make_players
from gan_env.players.players import Asked, Buffers
from gan_env.tasks.task import TASKS


def modules() -> dict[str, tuple[nn.Module, tuple[int, ...], tuple[int, ...]]]:
    """Name to module, input shape, output shape."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        found = {
            "generator of points": (mlp_generator((3, 6, 5, 2), (2,)), (3,), (2,)),
            "discriminator of points": (mlp_discriminator((2, 6, 5, 1), (2,)), (2,), ()),
            "generator of images": (mlp_generator((3, 6, 16), (1, 4, 4), bounded=True), (3,), (1, 4, 4)),
            "layers without biases": (
                nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)),
                (3,),
                (2,),
            ),
            "discriminator of images": (mlp_discriminator((16, 6, 1), (1, 4, 4)), (1, 4, 4), ()),
        }
        for name in ("ring", "digits"):
            task = TASKS[name]()
            found[f"generator of {name}"] = (task.generator(), (task.latent_size,), task.data.shape)
            found[f"discriminator of {name}"] = (task.discriminator(), task.data.shape, ())
    return {name: (module.double(), *shapes) for name, (module, *shapes) in found.items()}


MODULES = modules()
ROWS, BATCH = 4, 6


def drawn(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights of every row, inputs, and a gradient at the outputs."""
    module, in_shape, out_shape = MODULES[name]
    rng = torch.Generator().manual_seed(2)
    noise = torch.randn(ROWS, flatten(module).numel(), generator=rng, dtype=torch.float64)
    inputs = torch.randn(ROWS, BATCH, *in_shape, generator=rng, dtype=torch.float64)
    return (
        flatten(module) + 0.1 * noise,
        inputs,
        torch.randn(ROWS, BATCH, *out_shape, generator=rng, dtype=torch.float64),
    )


def by_autograd(name: str, flat: torch.Tensor, inputs: torch.Tensor, grad: torch.Tensor):
    """Output, weight gradient and input gradient of one row: the module itself, differentiated."""
    module = unflatten(MODULES[name][0], flat)
    inputs = inputs.clone().requires_grad_()
    out = module(inputs).reshape(grad.shape)
    module.zero_grad()
    out.backward(grad)
    return out.detach(), torch.cat([p.grad.reshape(-1) for p in module.parameters()]), inputs.grad


def assert_close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", ["mlp", "vmap", "loop"])
@pytest.mark.parametrize("name", MODULES)
def test_players_compute_what_the_module_and_autograd_compute(name, way):
    flat, inputs, grad = drawn(name)
    players = make_players(MODULES[name][0], flat, MODULES[name][2], way)
    assert isinstance(players, MLPPlayers if way == "mlp" else ModulePlayers)
    tape_buffers, buffers = Buffers(), Buffers()
    for _ in range(2):  # the second time, buffers hold the first one's numbers
        out, tape = players.forward(flat, inputs, tape_buffers)
        weights, at_inputs = players.backward(tape, grad, buffers, Asked(weights=True, inputs=True))
        assert_close(players.functional(flat, inputs), out)
        for row in range(ROWS):
            for ours, theirs in zip(
                (out, weights, at_inputs), by_autograd(name, flat[row], inputs[row], grad[row]), strict=True
            ):
                assert_close(ours[row], theirs)


@pytest.mark.parametrize("way", ["mlp", "vmap", "loop"])
@pytest.mark.parametrize("name", MODULES)
def test_gradients_of_some_rows_are_those_rows_of_the_whole(name, way):
    flat, inputs, grad = drawn(name)
    players = make_players(MODULES[name][0], flat, MODULES[name][2], way)
    out, tape = players.forward(flat, inputs, Buffers())
    whole = [g.clone() for g in players.backward(tape, grad, Buffers(), Asked(weights=True, inputs=True))]
    buffers = Buffers()  # shared, as the trainer shares them: counts of rows shrink and grow
    for rows in ([2], [0, 1, 3], [1, 3], [0, 1, 2, 3]):
        index = torch.tensor(rows)
        some = players.backward(tape, grad[index], buffers, Asked(weights=True, inputs=True, rows=index))
        for ours, all_rows in zip(some, whole, strict=True):
            assert_close(ours, all_rows[index])
    only_weights = players.backward(tape, grad, buffers, Asked(weights=True, inputs=False))
    assert only_weights[1] is None
    assert_close(only_weights[0], whole[0])
    only_inputs = players.backward(tape, grad, buffers, Asked(weights=False, inputs=True))
    assert only_inputs[0] is None
    assert_close(only_inputs[1], whole[1])


@pytest.mark.parametrize("way", ["mlp", "vmap", "loop"])
@pytest.mark.parametrize("name", ["generator of images", "discriminator of points"])
def test_the_functional_form_can_be_differentiated_twice(name, way):
    module, in_shape, out_shape = MODULES[name]
    flat, inputs, _ = drawn(name)
    players = make_players(module, flat, out_shape, way)
    flat, inputs = flat[:2].clone().requires_grad_(), inputs[:2, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(players.functional, (flat, inputs), fast_mode=True)
    assert torch.autograd.gradgradcheck(players.functional, (flat, inputs), fast_mode=True)


def test_backward_leaves_the_callers_gradient_and_the_weights_as_they_were():
    for name in MODULES:
        flat, inputs, grad = drawn(name)
        players = make_players(MODULES[name][0], flat, MODULES[name][2])
        before = [x.clone() for x in (flat, inputs, grad)]
        _, tape = players.forward(flat, inputs, Buffers())
        players.backward(tape, grad, Buffers(), Asked(weights=True, inputs=True))
        assert all(torch.equal(was, now) for was, now in zip(before, (flat, inputs, grad), strict=True))


def test_a_module_with_running_statistics_is_refused_by_vmap():
    with pytest.raises(ValueError, match="track_running_stats=False"):
        make_players(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), torch.zeros(1, 10), (2,), "vmap")


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.ReLU(), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.ReLU()),
        nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(-0.1)),
        nn.Sequential(nn.Linear(2, 2), nn.GELU()),
        nn.Linear(2, 2),
    ],
)
def test_what_is_no_plain_mlp_runs_by_another_way_and_agrees_with_itself(module):
    module = module.double()
    flat = torch.stack([flatten(module), 2 * flatten(module)])
    players = make_players(module, flat, (2,))
    assert isinstance(players, ModulePlayers)
    inputs = torch.linspace(-1, 1, 12, dtype=torch.float64).view(2, 3, 2)
    out, _ = players.forward(flat, inputs, Buffers())
    for row in range(2):
        assert_close(out[row], unflatten(module, flat[row])(inputs[row]).detach())
    with pytest.raises(ValueError, match="not a plain MLP"):
        make_players(module, flat, (2,), "mlp")
