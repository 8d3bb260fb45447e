"""The engine against plain PyTorch: the same updates as modules, autograd and torch.optim make them."""

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.networks.parameters import flatten, unflatten
from gan_env.random.streams import BlockStream, Purpose, normal_block
from gan_env.training.batches import LATENT_BLOCK
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
