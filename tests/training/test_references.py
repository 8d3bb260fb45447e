"""The engine against plain PyTorch: the same updates as modules, autograd and torch.optim make them."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.losses.losses import LOSSES
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.networks.parameters import flatten, unflatten
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.players.mlp import MLPPlayers
from gan_env.players.modules import ModulePlayers, make_players
from gan_env.players.players import EVERY, Asked, Buffers
from gan_env.random.streams import BlockStream, Purpose, normal_block
from gan_env.tasks.task import TASKS
from gan_env.training.batches import LATENT_BLOCK
from gan_env.training.optimizers import RowOptimizer
from gan_env.training.trainer import Trainer
from gan_env.types import Control
from tests.support.coming import coming_real

UPDATES = 200
SEEDS = (3, 11)


def trainer(rows: int = len(SEEDS), dtype: str = "float64", **settings) -> Trainer:
    made = make_trainer(EnvConfig(dtype=dtype, **settings), rows)
    seed = torch.tensor(SEEDS[:rows]).numpy()
    made.reset(seed, 0 * seed)
    return made


class PlainGAN:
    """One GAN as anybody would write it: two modules, two optimisers, the same batches as a row of the trainer."""

    def __init__(self, like: Trainer, row: int, dtype: torch.dtype = torch.float64):
        task, self.row, self.dtype = like.task, row, dtype
        self.g, self.d = like.generator(row).to(dtype), like.discriminator(row).to(dtype)
        self.g_adam, self.d_adam = (
            torch.optim.Adam(player.parameters(), lr=float(own.lr[row]), betas=own.spec.betas, eps=own.spec.eps)
            for player, own in ((self.g, like.g_optimizer), (self.d, like.d_optimizer))
        )
        self.at = like.seed[row : row + 1], like.episode[row : row + 1]
        size, data = like.batch_size, task.data
        self.data, self.order = data, like.order
        latents = normal_block(LATENT_BLOCK, size, task.latent_size)
        self.latents = BlockStream(1, LATENT_BLOCK, Purpose.LATENTS, [latents])
        self.reals = BlockStream(1, data.block(size), Purpose.REAL, [lambda rng: data.codes(rng, size)])

    def batch(self, update: int) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.tensor([update]).numpy()
        real = self.data.batch(self.reals.at(slice(0, 1), index, *self.at))[0]
        return real.to(self.dtype), self.latents.at(slice(0, 1), index, *self.at)[0].to(self.dtype)

    def d_step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        logits = self.d(real), self.d(fake.detach())
        loss = sum(
            binary_cross_entropy_with_logits(f, torch.full_like(f, y)) for f, y in zip(logits, (1.0, 0.0), strict=True)
        )
        self.d_adam.zero_grad()
        loss.backward()
        self.d_adam.step()

    def g_gradient(self, latents: torch.Tensor) -> None:
        logits = self.d(self.g(latents))
        self.g_adam.zero_grad()
        binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()

    def update(self, number: int, *, d: bool = True, g: bool = True) -> None:
        real, latents = self.batch(number)
        fake = self.g(latents)
        if g and self.order == "simultaneous":
            self.g_gradient(latents)
        if d:
            self.d_step(real, fake)
        if g and self.order == "alternating":
            self.g_gradient(latents)
        if g:
            self.g_adam.step()

    def gap(self, like: Trainer) -> float:
        """Largest difference of any weight of either player to the trainer's row."""
        pairs = (self.g, like.g), (self.d, like.d)
        return max(float((flatten(plain) - own.flat[self.row]).abs().max()) for plain, own in pairs)


# One update after the other


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_200_updates_agree_with_modules_and_torch_adam_in_float64(order, engine, no_shape_checks):
    own = trainer(order=order, engine=engine)
    plain = PlainGAN(own, 1)
    start = own.g.flat.clone()
    for update in range(UPDATES):
        own.advance(Control.of(own.n))
        plain.update(update)
    assert plain.gap(own) <= 1e-9
    assert float((own.g.flat - start).abs().amax(1).min()) > 1e-3  # they did move


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_taking_turns_agrees_with_a_plain_loop_and_spares_the_frozen_players_moments(order, engine, no_shape_checks):
    own = trainer(order=order, engine=engine)
    plain = PlainGAN(own, 1)
    for update in range(UPDATES):
        turn = update % 2 == 0
        frozen, weights = (own.g_optimizer, own.g.flat) if turn else (own.d_optimizer, own.d.flat)
        before = [weights.clone(), *(value.clone() for value in frozen.state().values())]
        own.advance(Control.of(own.n, update_d=turn, update_g=not turn))
        for was, now in zip(before, [weights, *frozen.state().values()], strict=True):
            assert torch.equal(was, now)
        plain.update(update, d=turn, g=not turn)
    assert plain.gap(own) <= 1e-9
    assert own.d_updates.tolist() == own.g_updates.tolist() == [UPDATES // 2] * own.n


def test_rows_that_do_different_things_each_agree_with_their_own_plain_loop(engine, no_shape_checks):
    own = trainer(engine=engine)
    plain = [PlainGAN(own, row) for row in range(own.n)]
    rng = torch.Generator().manual_seed(0)
    for update in range(UPDATES):
        who = torch.randint(3, (own.n,), generator=rng)
        own.advance(Control.of(own.n, update_g=who != 1, update_d=who != 0))
        for gan in plain:
            gan.update(update, d=bool(who[gan.row] != 0), g=bool(who[gan.row] != 1))
    assert max(gan.gap(own) for gan in plain) <= 1e-9


def test_multipliers_scale_the_base_rate_and_do_not_compound(engine):
    own = trainer(rows=1, engine=engine)
    plain = PlainGAN(own, 0)
    for update in range(50):
        d_multiplier, g_multiplier = 0.5 + update % 3, 2.0 - update % 2
        own.advance(Control.of(1, d_multiplier=d_multiplier, g_multiplier=g_multiplier))
        plain.d_adam.param_groups[0]["lr"] = d_multiplier * float(own.d_optimizer.lr[0])
        plain.g_adam.param_groups[0]["lr"] = g_multiplier * float(own.g_optimizer.lr[0])
        plain.update(update)
    assert plain.gap(own) <= 1e-9


def test_a_reused_real_batch_comes_again_while_latents_go_on(engine):
    own = trainer(rows=1, engine=engine)
    plain = PlainGAN(own, 0)
    own.advance(Control.of(1, reuse_real=True))
    torch.testing.assert_close(coming_real(own)[0], plain.batch(0)[0], rtol=0, atol=0)
    torch.testing.assert_close(own.coming_fake[0], own.generator()(plain.batch(1)[1]), rtol=0, atol=1e-12)
    own.advance(Control.of(1))
    torch.testing.assert_close(coming_real(own)[0], plain.batch(1)[0], rtol=0, atol=0)


def test_each_float32_update_is_torchs_up_to_rounding(engine, no_shape_checks):
    # Rounding grows over a whole run, so every update starts from the float64 run's state, weights and moments cast.
    exact, own = trainer(rows=1, engine=engine), trainer(rows=1, dtype="float32", engine=engine)
    plain, gaps = PlainGAN(exact, 0, torch.float32), []
    lr = float(own.g_optimizer.lr[0])
    for update in range(UPDATES):
        for mine, theirs, there, adam, module in (
            (own.g_optimizer, exact.g_optimizer, exact.g, plain.g_adam, plain.g),
            (own.d_optimizer, exact.d_optimizer, exact.d, plain.d_adam, plain.d),
        ):
            mine.flat.copy_(there.flat)
            for name, value in theirs.state().items():
                mine.state()[name].copy_(value)
            unflatten(module, mine.flat[0])
            set_adam(adam, module, [m[0] for m in mine.moments], update)
        own.updates[:], own.real_index[:] = exact.updates, exact.real_index
        own.look()
        own.advance(Control.of(1))
        exact.advance(Control.of(1))
        plain.update(update)
        gaps.append(plain.gap(own))
    assert max(gaps) <= 0.5 * lr
    assert float(torch.tensor(gaps).median()) <= 1e-3 * lr


def set_adam(adam: torch.optim.Adam, module: nn.Module, moments: list[torch.Tensor], step: int) -> None:
    """Puts flat moments into torch's own Adam."""
    at = 0
    for p in module.parameters():
        first, second = (m[at : at + p.numel()].view_as(p).clone() for m in moments)
        adam.state[p] = {"step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second}
        at += p.numel()


# Optimisers

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


# Losses


@pytest.mark.parametrize(("name", "ideal"), [("bce", math.log(4)), ("hinge", 2.0), ("lsgan", 0.5)])
def test_the_ideal_discriminator_loss_is_the_hand_worked_one(name, ideal):
    assert LOSSES[name].ideal_d_loss == pytest.approx(ideal, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("bce", math.log1p(math.exp(-2)), math.log1p(math.exp(2)), math.log1p(math.exp(-2))),
        ("hinge", 0.0, 3.0, -2.0),
        ("lsgan", 1.0, 4.0, 1.0),
    ],
)
def test_losses_of_a_logit_of_two_are_the_hand_worked_ones(name, real, fake, generator):
    loss, two = LOSSES[name], torch.tensor(2.0, dtype=torch.float64)
    for part, value in ((loss.real, real), (loss.fake, fake), (loss.generator, generator)):
        assert float(part(two)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_declared_signed_exactly_if_it_can_be_negative(name):
    f = torch.linspace(-50, 50, 1001, dtype=torch.float64)
    loss = LOSSES[name]
    lowest = min(float(part(f).min()) for part in (loss.real, loss.fake, loss.generator))
    assert loss.signed == (lowest < 0)


# Players


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
