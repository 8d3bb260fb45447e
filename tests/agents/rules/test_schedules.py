"""Open-loop schedules, held to torch's own learning-rate schedulers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR

from agents import Steer, make_controller
from agents.comparison.batch import Comparison, run_batch
from agents.comparison.contestants import make_contestant
from agents.comparison.seeds import split_seeds
from benchmarks.rate_grid import load
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.types import GameFacts, Measurement

pytestmark = pytest.mark.filterwarnings("ignore:.* found for Adam")  # SGD's steps are easy to follow
UPDATES, FLOOR = 40, 1e-3


def rates(name: str, base: tuple[float, float], updates: int = UPDATES) -> np.ndarray:
    """Rates of D and G, (updates, 2), that a controller gives a run with these base rates."""
    controller = make_controller(name)
    controller.reset([0], GameFacts(episode_updates=updates, d_lr=base[0], g_lr=base[1]))
    blank, found = torch.zeros(1, 1, dtype=torch.float64), []
    for update in range(updates):
        progress = torch.tensor([update / updates], dtype=torch.float64)
        control = controller.act(
            Measurement(
                real_logits=blank, fake_logits=blank, g_loss=blank[0], d_loss_real=blank[0], d_loss_fake=blank[0],
                update=torch.tensor([update]), progress=progress,
            )
        )  # fmt: skip
        assert control.update_d.all() and control.update_g.all()
        found.append([base[0] * control.d_multiplier.item(), base[1] * control.g_multiplier.item()])
    return np.array(found)


def reference(shape: str, first: float, updates: int = UPDATES) -> np.ndarray:
    """The same of one of torch's schedulers."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], first)
    scheduler = {
        "constant": lambda: LambdaLR(optimizer, lambda update: 1.0),
        "linear": lambda: LinearLR(optimizer, 1.0, FLOOR, updates),
        "cosine": lambda: CosineAnnealingLR(optimizer, updates, FLOOR * first),
    }[shape]()
    found = []
    for _ in range(updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_a_schedule_moves_both_rates_as_the_schedulers_of_torch(shape):
    found = rates(f"schedule(d=10, g=0.3, shape={shape!r})", (1e-3, 2e-4))
    np.testing.assert_allclose(found[:, 0], reference(shape, 1e-2), rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], reference(shape, 6e-5), rtol=1e-9)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_a_decay_that_ends_early_is_the_whole_decay_of_a_shorter_run_and_then_stays(shape):
    found = rates(f"{shape}-decay(floor=0.001, until=0.4)", (1e-2, 6e-5))
    first = UPDATES * 2 // 5
    for player, base in enumerate((1e-2, 6e-5)):
        np.testing.assert_allclose(found[:first, player], reference(shape, base, first), rtol=1e-9)
        np.testing.assert_allclose(found[first:, player], FLOOR * base, rtol=1e-12)


def test_r3gans_rate_falls_from_2e_4_to_5e_5():
    """Half a cosine to a quarter, as in its published code: 2e-4, 2e-4 - (1.5e-4) / 2 half-way, and 5e-5 from then."""
    found = rates("cosine-decay(floor=0.25, until=0.5)", (2e-4, 2e-4))
    assert found[[0, 10, 20, 39], 0] == pytest.approx([2e-4, 1.25e-4, 5e-5, 5e-5], rel=1e-12)


def test_ttur_decay_has_the_same_rates_whatever_the_base_rates():
    for base in ((1e-4, 1e-2), (0.1, 0.1)):
        found = rates("ttur-decay", base)
        np.testing.assert_allclose(found[:, 0], reference("linear", 5e-3), rtol=1e-9)
        np.testing.assert_allclose(found[:, 1], reference("linear", 2e-3), rtol=1e-9)
    assert rates("ttur-decay(d_lr=2e-2, g_lr=5e-3, shape='cosine')", (1e-3, 1e-3))[0].tolist() == [2e-2, 5e-3]


def test_the_constants_of_ttur_decay_are_those_that_the_committed_search_chose():
    from benchmarks import tune_ttur_decay

    rows = load(tune_ttur_decay.Options().out / "rows.jsonl.gz")
    shape, d_lr, g_lr = tune_ttur_decay.best(rows)[0]
    law = make_controller("ttur-decay").law
    assert (law.shape, law.d, law.g) == (shape, d_lr, g_lr)
    assert {row["seed"] for row in rows} == set(split_seeds("tune", 3))


def test_gans_of_unlike_base_rates_are_the_same_gan_under_ttur_decay():
    def trained(rate: float) -> torch.Tensor:
        game = EnvConfig(task="ring", d_lr=rate, g_lr=rate, batch_size=16, episode_updates=30, dtype="float64")
        trainer, controller = make_trainer(game, 2), make_controller("ttur-decay")
        trainer.reset(np.array([3, 4]), np.zeros(2, np.int64))
        controller.reset([3, 4], trainer.facts)
        for _ in range(30):
            trainer.advance(controller.act(trainer.measurement))
        return trainer.g.flat

    torch.testing.assert_close(trained(1e-4), trained(1e-2), rtol=1e-9, atol=1e-9)


def test_a_schedule_without_decay_is_plain_training_times_its_multipliers():
    plain, scheduled = rates("constant:3", (1e-3, 1e-3)), rates("schedule(d=3)", (1e-3, 1e-3))
    assert (plain == scheduled).all()
    make_controller("schedule(d=3)").reset([0], GameFacts())  # it need not know when the run ends


def test_schedules_that_decide_together_are_those_that_decide_alone():
    names = [
        f"schedule(d={d}, g=0.5, shape={shape!r})" for d in (0.5, 2.0) for shape in ("linear", "cosine", "constant")
    ]
    names += ["ttur-decay", "linear-decay", "cosine-decay(floor=0.1)", "cosine-decay(until=0.3)"]
    game = EnvConfig(task="ring", loss="bce", batch_size=32, episode_updates=20, score=False)

    def trained(contestants: list[str]) -> list[dict]:
        made = [make_contestant(name, game) for name in contestants]
        rows = run_batch([Comparison(game, made)], [5, 6], "tune")[0].rows
        return [{k: v for k, v in row.items() if k in ("controller", "seed", "quality", "trace")} for row in rows]

    apart = [each for at, name in enumerate(names) for each in (name, f"constant:{1 + at}")]
    alone = [row for row in trained(apart) if row["controller"] in names]
    assert trained(names) == alone


def player(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates], 1.0)


def test_ttur_decay_steers_a_loop_of_your_own():
    g, d = player(1e-4), player(5e-4, 5e-4)
    steer, scores = Steer("ttur-decay", g, d, episode_updates=10), torch.zeros(4)
    for update in range(10):
        steer(scores, scores)
        left = FLOOR + (1 - FLOOR) * (1 - update / 10)
        assert [group["lr"] for group in d.param_groups] == pytest.approx([5e-3 * left] * 2, rel=1e-9)
        assert g.param_groups[0]["lr"] == pytest.approx(2e-3 * left, rel=1e-9)
        steer.done()
    assert g.param_groups[0]["lr"] == 1e-4


def test_a_loop_that_cannot_tell_its_base_rate_or_its_end_is_told_what_is_missing():
    with pytest.raises(ValueError, match="ttur-decay must know when the run ends; set episode_updates"):
        Steer("ttur-decay", player(1e-4), player(1e-4))
    with pytest.raises(ValueError, match="d_lr is unknown.*one learning rate for all groups of a player"):
        Steer("ttur-decay", player(1e-4), player(1e-4, 2e-4), episode_updates=10)


def test_rows_with_unlike_base_rates_have_no_common_one():
    game = EnvConfig(task="ring", batch_size=8, d_lr=1e-3, g_lr=2e-3)
    facts = make_trainer(game, 2).facts
    assert (facts.d_lr, facts.g_lr) == (1e-3, 2e-3)
    trainer = make_trainer(game, 2)
    trainer.d_optimizer.lr[1] = 5e-3
    assert (trainer.facts.d_lr, trainer.facts.g_lr) == (0.0, 2e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("schedule(shape='linaer')", "unknown schedule shape 'linaer'; did you mean 'linear'"),
        ("schedule(d=0)", "schedule: d=0 must be a finite number > 0"),
        ("schedule(shape='linear', floor=0.0)", "floor=0.0 must be in"),
        ("linear-decay(until=0.0)", "linear-decay: until=0.0 must be a share of the episode"),
        ("ttur-decay(g_lr=-1.0)", "ttur-decay: g_lr=-1.0 must be a finite number > 0"),
        ("schedule:3", "schedule takes no argument"),
    ],
)
def test_a_mistake_in_a_schedule_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        make_controller(name)
