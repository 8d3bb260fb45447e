"""Promises of `Steer`: the same decisions as in the environment, and the user's optimisers left as they should be."""

import io
import math
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from agents import list_controllers, make_controller
from agents.base import NeedsTrainer
from agents.rules.replay import Recorder
from agents.steer import Steer
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANVectorEnv, make_trainer
from gan_env.random.streams import BlockStream, Purpose, normal_block
from gan_env.training.batches import LATENT_BLOCK
from gan_env.types import Control, GameFacts, Measurement

pytestmark = pytest.mark.filterwarnings("ignore:.* found for Adam")  # SGD's steps are easy to follow
DECISIONS = 500
NEEDS_TRAINER = [n for n in list_controllers() if n != "fsco" and isinstance(make_controller(n), NeedsTrainer)]
STEERING = [n for n in list_controllers() if n not in NEEDS_TRAINER]


def pair(lr=1e-3, **options) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Optimisers of two players with one weight each."""
    g, d = (torch.optim.SGD([nn.Parameter(torch.ones(1))], lr, **options) for _ in range(2))
    return g, d


def rates(optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def level(b: int = 4) -> torch.Tensor:
    return torch.linspace(-1, 1, b)


@cache
def recorded() -> tuple[tuple[Measurement, ...], GameFacts]:
    """What one ring GAN shows over 500 updates at random rates, fast enough to be lively."""
    # A loop works its losses out with torch, so that the bits are those of torch's engine.
    game = EnvConfig(task="ring", d_lr=3e-3, g_lr=3e-3, batch_size=32, episode_updates=DECISIONS, engine="torch")
    trainer = make_trainer(game, 1)
    trainer.reset(np.array([5]), np.array([0]))
    driver = make_controller("random")
    driver.reset([5], trainer.facts)
    seen = []
    for _ in range(DECISIONS):
        seen.append(Measurement(**trainer.measurement.state()))  # what it tells of the players is of that moment alone
        trainer.advance(driver.act(trainer.measurement))
    return tuple(seen), trainer.facts


def assert_decides_alike(d, control: Control) -> None:
    assert (d.update_g, d.update_d, d.reuse_real) == tuple(
        bool(v) for v in (control.update_g, control.update_d, control.reuse_real)
    )
    assert (d.g_multiplier, d.d_multiplier) == (float(control.g_multiplier), float(control.d_multiplier))


# The same decisions as in the environment

READS_WEIGHTS = ("auto",)
"""Read the weights too, which recorded measurements do not have; tests/envs/test_portable.py holds these alike."""


def check_parity(name: str, iterations: int) -> None:
    seen, facts = recorded()
    g, d = pair(2e-4)
    steer, controller = Steer(name, g, d, seed=5, kind="plane", episode_updates=DECISIONS), make_controller(name)
    controller.reset([5], replace(facts, d_lr=2e-4, g_lr=2e-4))
    for measurement in seen[:iterations]:
        control = controller.act(measurement)
        assert_decides_alike(steer(measurement.real_logits[0], measurement.fake_logits[0][:, None]), control)
        assert rates(d) == [2e-4 * float(control.d_multiplier)] and rates(g) == [2e-4 * float(control.g_multiplier)]
        steer.done()
        assert rates(g) == rates(d) == [2e-4]


@pytest.mark.parametrize("name", [n for n in STEERING if n not in ("fsco", *READS_WEIGHTS)])
def test_a_loop_decides_bit_for_bit_as_the_environment(name, no_shape_checks):
    check_parity(name, 30)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in STEERING if n not in READS_WEIGHTS])
def test_a_loop_decides_bit_for_bit_as_the_environment_over_500_iterations(name, no_shape_checks):
    check_parity(name, DECISIONS)


class PlainLoop:
    """The GAN of row 0 of a trainer as a user would train it, on the same batches and latents."""

    def __init__(self, config: EnvConfig, seed: int):
        start = make_trainer(config, 1)
        start.reset(np.array([seed]), np.array([0]))
        self.generator, self.discriminator, self.task = start.generator(), start.discriminator(), start.task
        self.key = np.array([seed]), np.array([0])
        batch, size, data = start.batch_size, self.task.latent_size, self.task.data
        self.latents = BlockStream(1, LATENT_BLOCK, Purpose.LATENTS, [normal_block(LATENT_BLOCK, batch, size)])
        self.reals = BlockStream(1, data.block(batch), Purpose.REAL, [lambda rng: data.codes(rng, batch)])
        betas = config.optimizer_spec.betas
        self.opt_g = torch.optim.Adam(self.generator.parameters(), config.g_lr, betas)
        self.opt_d = torch.optim.Adam(self.discriminator.parameters(), config.d_lr, betas)
        self.iteration = self.real_index = 0

    def iterate(self, steer: Steer) -> None:
        """Simultaneous: both gradients are taken at the old weights."""
        row, (seed, episode) = slice(0, 1), self.key
        z = self.latents.at(row, np.array([self.iteration]), seed, episode)[0].double()
        codes = self.reals.at(row, np.array([self.real_index]), seed, episode)
        fake = self.generator(z)
        real_logits = self.discriminator(self.task.data.batch(codes)[0].double()).flatten()
        fake_logits = self.discriminator(fake.detach()).flatten()
        d_loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
        g_loss = softplus(-self.discriminator(fake)).mean()
        d = steer(real_logits, fake_logits, g_loss=g_loss, d_loss=d_loss)
        for wanted, optimizer, loss in ((d.update_g, self.opt_g, g_loss), (d.update_d, self.opt_d, d_loss)):
            if wanted:
                grads = torch.autograd.grad(loss, optimizer.param_groups[0]["params"], retain_graph=True)
                for p, grad in zip(optimizer.param_groups[0]["params"], grads, strict=True):
                    p.grad = grad
        for wanted, optimizer in ((d.update_g, self.opt_g), (d.update_d, self.opt_d)):
            if wanted:
                optimizer.step()
        steer.done()
        self.iteration += 1
        self.real_index += not d.reuse_real


def unless_slow(names: list[str]) -> list:
    return [n if n in ("dyn-gda", "gap-aware") else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", unless_slow([n for n in STEERING if n not in READS_WEIGHTS]))
def test_a_plain_loop_steered_beside_the_environment_stays_with_it_for_200_updates(name, no_shape_checks):
    check_loop_stays(name, 200, atol=1e-8)


@pytest.mark.parametrize("name", READS_WEIGHTS)
def test_a_policy_that_reads_the_weights_stays_with_the_environment_but_for_its_float32_features(name, no_shape_checks):
    check_loop_stays(
        name, 30, atol=1e-6
    )  # weights that differ in the last bit of float64 can differ in that of float32


def check_loop_stays(name: str, updates: int, atol: float) -> None:
    config = EnvConfig(
        task="ring", d_lr=1e-3, g_lr=1e-3, batch_size=32, episode_updates=200, dtype="float64", score=False
    )
    env, controller, loop = GANVectorEnv(1, config=config), make_controller(name), PlainLoop(config, seed=3)
    env.reset(seed=3)
    controller.reset([3], env.facts)
    steer = Steer(name, loop.opt_g, loop.opt_d, seed=3, kind="plane", episode_updates=200)
    for _ in range(updates):
        env.step_control(controller.act(env.measurement))
        loop.iterate(steer)
    pairs = ((env.generator(), loop.generator), (env.discriminator(), loop.discriminator))
    for theirs, mine in pairs:
        for a, b in zip(theirs.parameters(), mine.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=atol)


# The user's optimisers


def test_every_group_keeps_its_own_base_and_nothing_compounds():
    weights = [nn.Parameter(torch.ones(1)) for _ in range(3)]
    g = torch.optim.Adam([{"params": weights[:1], "lr": 1e-3}, {"params": weights[1:2], "lr": 1e-5}])
    d = torch.optim.Adam([weights[2]], lr=torch.tensor(2e-3))  # a tensor, as compiled and captured steps use
    held = d.param_groups[0]["lr"]
    steer = Steer("ttur", g, d)
    for _ in range(3):
        steer(level(), level())
        assert rates(g) == [1e-3, 1e-5] and rates(d) == [pytest.approx(8e-3)]
        assert d.param_groups[0]["lr"] is held
        steer.done()
        assert rates(d) == [pytest.approx(2e-3)]


def test_a_player_may_have_several_optimisers_and_groups_added_later():
    (a, d), (b, _) = pair(), pair(1e-2)
    steer = Steer("constant:2", [a, b], d)
    d.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 5e-3})
    steer(level(), level())
    assert rates(d) == [2e-3, 1e-2] and rates(a) == [1e-3] and rates(b) == [1e-2]
    steer.done()
    assert rates(d) == [1e-3, 5e-3]


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5),  # from the rate that it finds
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: 0.5**t),  # from the rate that it remembers
    ],
)
def test_a_scheduler_that_steps_after_done_moves_the_base(schedule):
    g, d = pair()
    steer, scheduler = Steer("constant:4", g, d), schedule(d)
    for t in range(4):
        steer(level(), level())
        assert rates(d) == [pytest.approx(4e-3 * 0.5**t)]
        g.step(), d.step()
        steer.done()
        scheduler.step()


def test_a_scheduler_in_the_wrong_place_is_named():
    g, d = pair()
    steer, scheduler = Steer("constant:4", g, d), torch.optim.lr_scheduler.ExponentialLR(d, 0.5)
    steer(level(), level())
    d.step()
    scheduler.step()
    with pytest.raises(ValueError, match=r"changed from 0.004 to 0.002.*step schedulers after done"):
        steer.done()


def test_closures_repeated_and_left_out_steps_use_the_decided_rate():
    w = nn.Parameter(torch.zeros(1))
    g, d = torch.optim.SGD([w], 0.5), pair()[1]
    steer = Steer("cosine-decay", g, d, episode_updates=2)

    def closure():
        w.grad = torch.ones(1)
        return w.sum()

    steer(level(), level())
    for _ in range(3):
        g.step(closure)
    steer.done()  # D did not step at all
    assert w.item() == -1.5
    steer(level(), level())
    g.step(closure)
    assert w.item() == pytest.approx(-1.5 - 0.5 * (1e-3 + 0.999 * 0.5))
    steer.done()


def test_gradient_accumulation_decides_by_the_joined_scores():
    real, fake = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    (a, b), (c, e) = pair(), pair()
    whole, parts = Steer("gap-aware", a, b), Steer("gap-aware", c, e)
    for _ in range(5):
        first = whole(real, fake)
        second = parts(torch.cat(list(real.chunk(4))), torch.cat(list(fake.chunk(4))))
        assert first == second
        whole.done(), parts.done()


def test_a_step_that_the_scaler_skips_leaves_the_rates_in_order():
    g, d = pair(1e-2)
    steer = Steer("constant:3", g, d)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    weight = d.param_groups[0]["params"][0]
    moved = []
    for factor in (1.0, math.inf, 1.0):
        steer(level() * factor, level())  # 0 * inf among the scores as well
        d.zero_grad()
        scaler.scale(weight * factor).backward()
        before = weight.item()
        scaler.step(d)
        scaler.update()
        moved.append(before - weight.item())
        steer.done()
        assert rates(d) == [1e-2]
    assert moved == [pytest.approx(0.03, abs=1e-6), 0.0, pytest.approx(0.03, abs=1e-6)]


@pytest.mark.parametrize("name", [n for n in STEERING if n != "fsco"])
def test_scores_that_are_not_finite_pass_and_leave_nothing_broken_behind(name):
    g, d = pair()
    steer = Steer(name, g, d, episode_updates=20)
    for t in range(9):
        broken = {3: math.nan, 4: math.inf, 5: -math.inf}.get(t, 0.0)
        decision = steer(level() + broken, level() - broken)
        assert math.isfinite(decision.d_multiplier) and (decision.update_g or decision.update_d)
        steer.done()


# What goes wrong


def test_calling_twice_or_done_without_a_decision_is_refused():
    steer = Steer("sim-gda", *pair())
    with pytest.raises(ValueError, match="without a decision"):
        steer.done()
    steer(level(), level())
    with pytest.raises(ValueError, match=r"again before steer.done\(\)"):
        steer(level(), level())
    for method in (steer.state_dict, lambda: steer.load_state_dict({})):
        with pytest.raises(ValueError, match="within an iteration"):
            method()
    steer.done()
    with pytest.raises(ValueError, match="without a decision"):
        steer.done()


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (torch.zeros(4, 2), r"real_logits has shape \(4, 2\); give one score a sample"),
        (torch.zeros(()), r"shape \(\)"),
        (torch.zeros(0), r"shape \(0,\)"),
        (torch.zeros(4, dtype=torch.int64), "a tensor of torch.int64"),
        (torch.ones(4, dtype=torch.bool), "a tensor of torch.bool"),
        ([0.0, 1.0], r"real_logits\[0\] is float"),
    ],
)
def test_scores_of_a_wrong_shape_or_type_are_refused_and_change_nothing(real, message):
    g, d = pair()
    steer = Steer("constant:2", g, d)
    with pytest.raises(ValueError, match=message):
        steer(real, level())
    assert rates(d) == [1e-3]
    steer(level().half(), level(6))  # half precision and another batch size are fine
    steer.done()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("gap-awar",), {}, "did you mean 'gap-aware'"),
        (("cosine-decay",), {}, "set episode_updates"),
        (("gcann",), {"loss": "hinge"}, "'hinge'"),
        (("sim-gda",), {"loss": "bec"}, "did you mean 'bce'"),
        (("sim-gda",), {"kind": "images"}, "did you mean 'image'"),
        (("sim-gda",), {"losses": "mine"}, "unknown losses 'mine'"),
        (("sim-gda",), {"seed": -1}, "seed=-1"),
        (("sim-gda",), {"episode_updates": 1.5}, "episode_updates=1.5"),
        ((3,), {}, "neither a name, nor a file, nor a controller"),
        (("nowhere.safetensors",), {}, "nowhere.safetensors: cannot be read"),
    ],
)
def test_a_mistake_in_building_is_named_with_the_way_out(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Steer(*arguments, *pair(), **options)


@pytest.mark.parametrize("name", NEEDS_TRAINER)
def test_controllers_that_fork_the_gan_are_refused(name):
    with pytest.raises(ValueError, match="choose another controller for your own loop"):
        Steer(name, *pair())


def test_what_is_no_optimiser_or_the_same_one_twice_is_refused():
    g, _ = pair()
    with pytest.raises(ValueError, match="opt_d=Parameter is no optimiser"):
        Steer("sim-gda", g, nn.Parameter(torch.ones(1)))
    with pytest.raises(ValueError, match="name an optimiser twice"):
        Steer("sim-gda", g, g)
    with pytest.raises(ValueError, match="name an optimiser twice"):
        Steer("sim-gda", [g, g], pair()[1])


def scores() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.5])


def test_a_rate_that_groups_share_is_multiplied_once_and_one_that_players_share_is_refused():
    weights = [nn.Parameter(torch.ones(1)) for _ in range(3)]
    groups = [{"params": [weights[0]]}, {"params": [weights[1]]}]
    shared = torch.optim.Adam(groups, lr=torch.tensor(1e-3))
    steer = Steer("constant:2", torch.optim.Adam([weights[2]]), shared)
    steer(*scores())
    assert [float(group["lr"]) for group in shared.param_groups] == pytest.approx([2e-3, 2e-3])
    steer.done()
    assert [float(group["lr"]) for group in shared.param_groups] == pytest.approx([1e-3, 1e-3])
    lr = torch.tensor(1e-3)
    both = [torch.optim.Adam([w], lr=lr) for w in weights[:2]]
    for optimizer in both:
        optimizer.param_groups[0]["lr"] = lr
    with pytest.raises(ValueError, match="share one learning-rate tensor"):
        Steer("constant:2", *both)(*scores())


def test_after_a_rate_was_changed_within_an_iteration_the_loop_can_go_on():
    g, d = pair()
    base = d.param_groups[0]["lr"]
    steer = Steer("constant:2", g, d)
    steer(*scores())
    d.param_groups[0]["lr"] = 7.0
    with pytest.raises(ValueError, match="is back at its base"):
        steer.done()
    assert d.param_groups[0]["lr"] == base
    steer(*scores())
    steer.done()
    assert d.param_groups[0]["lr"] == base and steer.update == 2


def test_a_state_loaded_into_an_optimiser_within_an_iteration_is_noticed():
    g, d = pair()
    steer, state = Steer("constant:2", g, d), d.state_dict()
    steer(*scores())
    d.load_state_dict(state)
    with pytest.raises(ValueError, match="groups were replaced"):
        steer.done()
    steer(*scores())
    steer.done()


def test_given_losses_are_read_although_a_score_is_infinite():
    g, d = pair()
    steer = Steer("gap-aware", g, d, losses="given")
    steer(torch.tensor([float("-inf"), 1.0]), torch.tensor([0.0, 1.0]), g_loss=0.5, d_loss=1.5)
    before, _ = steer._last
    assert before.d_sum.item() == pytest.approx(1.5) and before.g_loss.item() == pytest.approx(0.5)


def test_names_that_take_a_file_are_no_controller_files(tmp_path):
    with pytest.raises(ValueError, match="none.safetensors"):
        Steer(f"replay:{tmp_path}/none.safetensors", *pair())
    recorder = Recorder(make_controller("constant:3"))
    recorder.reset([0], GameFacts())
    steer = Steer(recorder, *pair())
    for _ in range(3):
        steer(*scores())
        steer.done()
    recorder.save(tmp_path / "run.safetensors")
    g, d = pair()
    steer = Steer(f"replay:{tmp_path}/run.safetensors", g, d)
    assert steer(*scores()).d_multiplier == 3.0


# Checkpoints


@pytest.mark.parametrize("name", [n for n in STEERING if n != "fsco"] + [pytest.param("fsco", marks=pytest.mark.slow)])
def test_a_checkpointed_loop_goes_on_as_if_nothing_had_happened(name):
    rng = torch.Generator().manual_seed(1)
    tale = [torch.randn(2, 8, generator=rng) for _ in range(40 if name == "fsco" else 14)]
    steer = Steer(name, *pair(), seed=2, episode_updates=40)
    for real, fake in tale[: len(tale) // 2]:
        steer(real, fake)
        steer.done()
    file = io.BytesIO()
    torch.save({"steer": steer.state_dict()}, file)
    file.seek(0)
    later = Steer(name, *pair(), seed=9, episode_updates=40)
    later.load_state_dict(torch.load(file, weights_only=True)["steer"])
    assert later.update == steer.update
    for real, fake in tale[len(tale) // 2 :]:
        assert steer(real, fake) == later(real, fake)
        steer.done(), later.done()


def test_a_state_of_another_controller_loss_or_version_is_refused():
    state = Steer("sim-gda", *pair()).state_dict()
    for other, message in (
        (Steer("dyn-gda", *pair()), "controller is 'sim-gda', this Steer's is 'dyn-gda'"),
        (Steer("sim-gda", *pair(), loss="lsgan"), "loss is 'bce'"),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)
    for broken in ({**state, "format": "gan-env steer 9"}, {}, None):
        with pytest.raises(ValueError, match="format is"):
            Steer("sim-gda", *pair()).load_state_dict(broken)


# What it needs

BLOCKED = """
import sys
sys.modules |= dict.fromkeys({blocked})  # None there: importing it fails as if it were not installed
import torch
from agents.steer import Steer
from agents.rules.replay import Recorder
from agents import load_controller, make_controller
w = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
opts = [torch.optim.Adam([p], lr=1e-3) for p in w]
for name in {names}:
    steer = Steer(name, *opts, episode_updates=10)
    for _ in range(3):
        steer(torch.zeros(4), torch.zeros(4))
        steer.done()
    torch.save(steer.state_dict(), "/dev/null")
"""


def test_a_loop_needs_neither_gymnasium_nor_sb3_nor_scipy_nor_matplotlib(tmp_path):
    from agents.policies.policy import PolicyController, PolicySpec
    from agents.policies.policy_files import save_controller

    layers = [(torch.zeros(4, 9), torch.zeros(4)), (torch.zeros(1, 4), torch.zeros(1))]
    save_controller(PolicyController(PolicySpec(), layers), tmp_path / "agent.safetensors")
    names = [n for n in STEERING if n != "fsco"] + [str(tmp_path / "agent.safetensors")]
    blocked = {"gymnasium", "stable_baselines3", "scipy", "matplotlib", "sklearn", "ot", "torchvision", "tensorboard"}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(blocked=blocked, names=names)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_auto_says_what_it_assumes_of_a_run_whose_length_it_does_not_know_and_refuses_rates_out_of_its_reach():
    with pytest.warns(UserWarning, match="assumes 1,000 updates.*give episode_updates"):
        make_controller("auto").reset([0], GameFacts(d_lr=2e-4, g_lr=2e-4))
    for rates in ({"d_lr": 1e-9, "g_lr": 2e-4}, {"d_lr": 2e-4, "g_lr": 1e3}):
        with pytest.raises(ValueError, match="_lr=.* is outside of 1e-07 to 10"):
            make_controller("auto").reset([0], GameFacts(episode_updates=100, **rates))
