"""The conformance kit catches what it promises to catch: for each promise a part that breaks it, and it alone."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from agents.rules.scripted import Scripted
from agents.testing import check_controller
from gan_env import Control, Task
from gan_env.envs.rewards import Reward
from gan_env.losses.losses import LOSSES
from gan_env.networks.mlp import mlp_discriminator, mlp_generator
from gan_env.testing import BrokenPromise, check_loss, check_reward, check_task, losses
from gan_env.testing.promises import keep_all

POINTS = torch.randn(280, 2, generator=torch.Generator().manual_seed(0))


def caught(check, promise: str, found: str) -> None:
    with pytest.raises(BrokenPromise, match=f"breaks '[^']*{promise}.*{found}"):
        check()


# Controllers


class Rule:
    """Plain training with a memory: the rate falls from decision to decision."""

    def start(self, row_seeds, game):
        return {"rate": torch.ones(len(row_seeds), dtype=torch.float64)}

    def decide(self, seen, memory):
        return self.control(seen, memory["rate"]), {"rate": memory["rate"] * 0.9}

    def control(self, seen, rate):
        return Control.of(len(seen), d_multiplier=rate)


class Nobody(Rule):
    def control(self, seen, rate):
        return Control.of(len(seen), update_g=False, update_d=False)


class Trusting(Rule):
    def control(self, seen, rate):
        return Control.of(len(seen), d_multiplier=seen.g_loss.exp())


class Averaging(Rule):
    def control(self, seen, rate):
        return Control.of(len(seen), d_multiplier=1 + seen.d_sum.nan_to_num(1, 1, 1).mean())


class Drawing(Rule):
    def control(self, seen, rate):
        return Control.of(len(seen), d_multiplier=rate * (0.5 + torch.rand(())))


class Meddling(Rule):
    def control(self, seen, rate):
        seen.g_loss.mul_(2)
        return Control.of(len(seen), d_multiplier=rate)


class Forgetful(Scripted):
    def state_dict(self):
        return {key: torch.ones_like(v) if key == "rate" else v for key, v in super().state_dict().items()}


class Shared(Scripted):
    def state_dict(self):
        return {"rows": self._rows, **self.memory}


class Stubborn(Scripted):
    def reset(self, row_seeds, game=None):
        if not self.memory:
            super().reset(row_seeds, game)


def test_a_sound_controller_passes():
    check_controller(lambda: Scripted("rule", Rule()))


@pytest.mark.parametrize(
    ("make", "promise", "found"),
    [
        (partial(Scripted, "own", Nobody()), "valid control", "row 0 updates neither player"),
        (partial(Scripted, "own", Trusting()), "broken measurement", "must be finite"),
        (partial(Scripted, "own", Averaging()), "harms its own row alone", "beside a broken row"),
        (partial(Scripted, "own", Drawing()), "same decisions|same seeds|broken", ""),
        (partial(Forgetful, "own", Rule()), "goes on as if nothing", "after loading"),
        (partial(Shared, "own", Rule()), "do not follow each other", "save a copy"),
        (partial(Stubborn, "own", Rule()), "same seeds", "after a second reset"),
    ],
)
def test_a_controller_that_breaks_a_promise_is_told_which(make, promise, found):
    caught(lambda: check_controller(make), promise, found)


def test_what_a_controller_must_not_touch_is_watched():
    from agents import testing as kit

    for rule, found in ((Drawing(), "global generator of torch"), (Meddling(), "changed g_loss")):
        subject = kit.subject_of(partial(Scripted, "own", rule))
        kit.story.cache_clear()
        with pytest.raises(BrokenPromise, match=found):
            kit.deciding_leaves_measurements_and_global_generators_alone(subject)
        kit.story.cache_clear()


def test_a_row_that_notices_its_neighbours_is_found():
    from agents import testing as kit

    with pytest.raises(BrokenPromise, match="beside two other rows"):
        kit.a_row_does_not_notice_its_neighbours(kit.subject_of(partial(Scripted, "own", Averaging())))


# Rewards


def spoil(outcome):
    outcome.g_losses[:] = 0
    return np.zeros(outcome.g_losses.shape[1])


@dataclass(frozen=True)
class Unclipped(Reward):
    def __call__(self, outcome, failed, decisions_left):
        return self.compute(outcome)


@pytest.mark.parametrize(
    ("reward", "promise", "found"),
    [
        (
            Unclipped("own", lambda o: np.full(o.g_losses.shape[1], 3.0), -1, 1),
            "bounds are finite and kept",
            "outside its bounds",
        ),
        (Reward("own", lambda o: o.g_losses - o.g_losses.mean(), -1, 1), "bounds|updates", ""),
        (Reward("own", lambda o: o.g_losses[0] - o.g_losses.mean(), -9, 9), "in any company", "beside others"),
        (Reward("own", lambda o: o.g_losses[3] / 9, -9, 9), "", "IndexError"),
        (Reward("own", lambda o: np.random.rand(o.g_losses.shape[1]), -9, 9), "company|outcome alone", ""),
        (Reward("own", spoil, -9, 9), "outcome alone", "changed g_losses"),
        (Reward("own", lambda o: -o.quality_after, -9, 9), "", "TypeError"),
    ],
)
def test_a_reward_that_breaks_a_promise_is_told_which(reward, promise, found):
    caught(lambda: check_reward(reward), promise, found)


# Losses


@pytest.mark.parametrize(
    ("changes", "promise", "found"),
    [
        ({"real_gradient": torch.sigmoid}, "written out derivative", "real_gradient is up to"),
        ({"generator": lambda f: f, "generator_gradient": None}, "negative says so", "signed is False"),
        ({"fake": lambda f: f - f.mean(), "fake_gradient": None}, "of each logit by itself", "depends on the others"),
        ({"real": lambda f: (f - 1) ** 2, "real_gradient": None}, "probabilities are", "probability is True"),
        ({"real": torch.log, "real_gradient": None}, "finite", "not finite for logits"),
    ],
)
def test_a_loss_that_breaks_a_promise_is_told_which(changes, promise, found):
    caught(lambda: keep_all("loss", losses.PROMISES, replace(LOSSES["bce"], **changes)), promise, found)


def test_a_loss_under_another_name_is_refused(monkeypatch):
    monkeypatch.setitem(LOSSES._parts, "mine", LOSSES["bce"])
    with pytest.raises(BrokenPromise, match="calls itself 'bce'"):
        check_loss("mine")


# Tasks


class Noisy(nn.Sequential):
    def forward(self, latents):
        return super().forward(latents) + 0.1 * torch.rand_like(latents[:, :2])


class Leaky:
    """Data whose test split is its training split."""

    shape = (2,)

    def block(self, batch_size):
        return len(POINTS) // batch_size

    def codes(self, rng, batch_size):
        return rng.permutation(len(POINTS))[: self.block(batch_size) * batch_size].reshape(-1, batch_size)

    def batch(self, codes):
        return POINTS[codes]

    def validation(self):
        return POINTS[:100] + 1

    def test(self):
        return POINTS[:100]


def task(**changes) -> Task:
    settings = {
        "generator": partial(mlp_generator, (4, 8, 2), (2,)),
        "discriminator": partial(mlp_discriminator, (2, 8, 1), (2,)),
        "latent_size": 4,
        "data": POINTS,
        "batch_size": 16,
    }
    return Task(**(settings | changes))


def test_a_sound_task_passes():
    check_task(task())


@pytest.mark.parametrize(
    ("changes", "promise", "found"),
    [
        ({"data": Leaky()}, "share no sample", "training samples are in the test split"),
        ({"generator": lambda: Noisy(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))}, "seed alone", "global generator"),
        ({"quality": lambda real, fake: 1 / (1e-3 + (real.mean() - fake.mean()).abs())}, "real samples beat", "lower"),
        (
            {"discriminator": lambda: nn.Sequential(nn.Linear(2, 1), nn.Threshold(1e9, 3.0))},
            "seed",
            "moved",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:generator draws from torch's global generator")  # said when it is made, too
def test_a_task_that_breaks_a_promise_is_told_which(changes, promise, found):
    caught(lambda: check_task(task(**changes)), promise, found)
