"""Promises of rows that diverge: a cause out of a closed list, finite values handed out, neighbours untouched."""

import math
import random
from functools import lru_cache

import numpy as np
import pytest
import torch

from gan_env.envs.env import FAILURES, FINITE, GANVectorEnv
from gan_env.envs.failures import EXAMINE_EVERY
from tests.support.own_task import OWN

ROWS, DECISIONS = 8, 24
VALUES = (math.nan, math.inf, -math.inf)

GAMES = {
    "bce": {"task": "ring"},
    "several updates": {"task": "ring", "updates_per_step": 3, "order": "alternating"},
    "penalty": {"task": "ring", "loss": "wgan-gp", "reward": "quality", "quality_every": 3},
    "rmsprop": {"task": "ring", "optimizer": "rmsprop", "reward": "quality_gain"},
    "modules": {"task": OWN},
}
IN_LOSS = {"non-finite loss", "non-finite logits"}
MEANWHILE = {"weights": {"non-finite gradient"}, "moments": {"non-finite gradient", "non-finite loss"}}
"""What weights and moments spoil before they are looked at, where a decision has several updates."""
CAUSES = {
    "weights": {"non-finite weights", "non-finite gradient"},  # an infinite weight behind a resting unit is not seen
    "moments": {"non-finite moments"},
    "gradient": {"non-finite gradient"},
    "data": IN_LOSS,
    "latents": IN_LOSS,
    "logits": IN_LOSS,
}


def make(game: str, **more) -> GANVectorEnv:
    # Rows that rest change the rounding of their neighbours' products where 32 does not divide the batch.
    settings = {"batch_size": 32, "episode_updates": 300, "score": False, "d_lr": 3e-3, "g_lr": 3e-3, "engine": "torch"}
    settings |= {"d_lr_range": (0.1, 10.0)}  # with the default one random actions diverge by themselves
    settings |= GAMES[game]
    env = GANVectorEnv(ROWS, **settings | more)
    env.reset(seed=0)
    return env


def plan() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (DECISIONS, ROWS, 1)).astype(np.float32)


@lru_cache
@torch.no_grad()
def healthy(game: str):
    env = make(game)
    return [env.step(action) for action in plan()], env.snapshot().rows


class Injection:
    """One value at one place in one row, before one decision."""

    def __init__(self, row: int, rng: random.Random):
        self.row, self.place, self.value = row, rng.choice(sorted(CAUSES)), rng.choice(VALUES)
        self.moment, self.player, self.entry = rng.randrange(9), rng.choice("gd"), rng.random()

    def into(self, env: GANVectorEnv, patch: pytest.MonkeyPatch) -> None:
        getattr(self, f"_{self.place}")(env.trainer, patch)

    def _spoil(self, vector: torch.Tensor) -> None:
        vector.view(-1)[int(self.entry * vector.numel())] = self.value

    def _weights(self, trainer, patch) -> None:
        self._spoil(getattr(trainer, self.player).flat[self.row])
        trainer.look()

    def _moments(self, trainer, patch) -> None:
        moments = getattr(trainer, f"{self.player}_optimizer").moments
        self._spoil(moments[int(self.entry * len(moments))][self.row])

    def _gradient(self, trainer, patch) -> None:
        optimizer = getattr(trainer, f"{self.player}_optimizer")
        step = optimizer.step

        def spoilt(rows, grad, multiplier):
            grad, numbers = grad.clone(), torch.arange(ROWS)[rows]
            for place in (numbers == self.row).nonzero().flatten():
                self._spoil(grad[place])
            return step(rows, grad, multiplier)

        patch.setattr(optimizer, "step", spoilt)

    def _data(self, trainer, patch) -> None:
        self._stream(trainer, patch, "reals", trainer.real_index)

    def _latents(self, trainer, patch) -> None:
        self._stream(trainer, patch, "latents", trainer.updates)

    def _stream(self, trainer, patch, name: str, counter: np.ndarray) -> None:
        """The batch that is looked at next, within the coming decision."""
        stream, wanted = getattr(trainer.feed, name), counter[self.row] + 1
        at = stream.at

        def spoilt(rows, index, seed, episode):
            batch = at(rows, index, seed, episode)
            if index[self.row] == wanted and batch.is_floating_point():
                batch = batch.clone()
                self._spoil(batch[self.row])
            return batch

        patch.setattr(stream, "at", spoilt)
        data = trainer.task.data
        if name == "reals" and not stream.at(slice(None), counter, trainer.seed, trainer.episode).is_floating_point():
            make_batch, count = data.batch, iter(range(100))

            def spoilt_batch(codes):
                batch = make_batch(codes)
                if next(count) == 0:
                    batch = batch.clone()
                    self._spoil(batch[self.row])
                return batch

            patch.setattr(data, "batch", spoilt_batch)

    def _logits(self, trainer, patch) -> None:
        pair = trainer.d.pair

        def spoilt(*arguments):
            found = pair(*arguments)
            for logits in (found.real_logits, found.fake_logits):
                logits[self.row, int(self.entry * logits.shape[1])] = self.value
            return found

        patch.setattr(trainer.d, "pair", spoilt)


def check_run(game: str, rng: random.Random, sick: int = 4) -> int:
    """A run with so many injections in rows of their own; gives how many."""
    env, (expected, end) = make(game), healthy(game)
    injections = [Injection(row, rng) for row in rng.sample(range(ROWS), sick)]
    well = [row for row in range(ROWS) if row not in [each.row for each in injections]]
    named: dict[int, str] = {}
    for at, action in enumerate(plan()):
        with pytest.MonkeyPatch.context() as patch:
            for each in injections:
                if each.moment == at:
                    each.into(env, patch)
            observations, rewards, terminated, truncated, infos = env.step(action)
        assert env.observation_space.contains(observations) and np.isfinite(rewards).all() and not truncated.any()
        assert all(np.isfinite(value).all() for value in infos.values() if value.dtype.kind in "fi")
        for row in np.flatnonzero(terminated):
            named.setdefault(int(row), infos["failure"][row])
            assert rewards[row] < 0 and infos["failure"][row] in FAILURES
        for ours, theirs in zip((observations, rewards, terminated), expected[at][:3], strict=True):
            np.testing.assert_array_equal(ours[well], theirs[well])
        for name, values in expected[at][4].items():
            np.testing.assert_array_equal(infos[name][well], values[well])
    for each in injections:
        wanted = CAUSES[each.place] | (MEANWHILE.get(each.place, set()) if env.config.updates_per_step > 1 else set())
        assert named.get(each.row) in wanted, vars(each)
    for name, value in env.snapshot().rows.items():
        assert torch.equal(value[well], end[name][well]), name
    return len(injections)


@pytest.mark.filterwarnings("ignore:Normed keeps state")
@pytest.mark.parametrize("game", GAMES)
def test_whatever_is_injected_is_named_and_harms_no_neighbour(game):
    rng = random.Random(game)
    assert sum(check_run(game, rng) for _ in range(4)) == 16


@pytest.mark.endurance
@pytest.mark.filterwarnings("ignore:Normed keeps state")
def test_a_thousand_injections_are_named_and_harm_no_neighbour():
    rng, cases = random.Random(0), 0
    while cases < 1_000:
        cases += check_run(rng.choice(sorted(GAMES)), rng)


@pytest.mark.parametrize("value", VALUES)
def test_an_action_that_is_no_number_is_refused_and_changes_nothing(value):
    env = make("bce")
    before = env.snapshot().rows
    action = np.zeros((ROWS, 1))
    action[3] = value
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    assert all(torch.equal(tensor, before[name]) for name, tensor in env.snapshot().rows.items())


@pytest.mark.parametrize(("player", "cause"), [("d", "dead discriminator"), ("g", "dead generator")])
def test_a_player_that_says_the_same_of_everything_is_dead_after_a_while(player, cause):
    env = make("bce", dead_updates=30, autoreset_mode="Disabled")
    getattr(env.trainer, player).flat[2] = 0.0
    env.trainer.look()
    for update in range(1, 31):
        *_, terminated, truncated, infos = env.step(np.zeros((ROWS, 1)))
        assert terminated.any() == (update == 30) and not truncated.any()
    assert infos["failure"].tolist() == [None, None, cause, *[None] * (ROWS - 3)]


def test_a_player_that_comes_back_to_life_is_not_dead():
    env = make("bce", dead_updates=30)
    alive = env.trainer.g.flat[2].clone()
    env.trainer.g.flat[2] = 0.0
    env.trainer.look()
    for update in range(1, 60):
        if update == 25:
            env.trainer.g.flat[2] = alive
            env.trainer.look()
        assert not env.step(np.zeros((ROWS, 1)))[2].any()
    assert env.trainer.g_constant[2] == 0


def test_a_critic_clipped_to_tiny_weights_rounds_to_a_constant_and_lives():
    env = GANVectorEnv(2, task="ring", loss="wgan", normalise=True, batch_size=32, episode_updates=400, score=False)
    env.reset(seed=0)
    longest = 0
    for _ in range(150):
        assert not env.step(np.array([[1.0], [-1.0]]))[2].any()
        longest = max(longest, env.trainer.d_constant.max())
    assert longest >= EXAMINE_EVERY  # it did look constant


def test_nothing_dies_where_it_is_switched_off_or_in_the_dirac_gan():
    env = make("bce", dead_updates=0)
    env.trainer.d.flat[2] = 0.0
    env.trainer.look()
    dirac = GANVectorEnv(2, task="dirac", normalise=True, d_lr=1e-3, g_lr=1e-3, dead_updates=10, episode_updates=100)
    dirac.reset(seed=0)
    for _ in range(3 * EXAMINE_EVERY):
        assert not env.step(np.zeros((ROWS, 1)))[2].any() and not dirac.step(np.zeros((2, 1)))[2].any()


def test_exploding_weights_and_losses_name_their_bounds():
    env = make("bce", weight_bound=5.0, loss_bound=50.0, autoreset_mode="Disabled")
    env.trainer.d.flat[1, 0], env.trainer.d.flat[2, -1] = 6.0, -4.9
    env.trainer.d.flat[4, -1] = -2e3
    env.trainer.look()
    infos = env.step(np.zeros((ROWS, 1)))[-1]
    assert infos["failure"].tolist()[:5] == [None, "weights past their bound", None, None, "loss past its bound"]


def test_a_bound_is_of_each_weight_however_many_there_are():
    env = make("bce")
    largest = max(float(players.flat.abs().max()) for players in (env.trainer.g, env.trainer.d))
    squares = sum(float(players.flat.square().sum()) for players in (env.trainer.g, env.trainer.d))
    assert squares**0.5 > 3 * largest  # all rows' weights together are past what none of them is
    for bound, fails in ((2 * largest, False), (0.5 * largest, True)):
        env = make("bce", weight_bound=bound, autoreset_mode="Disabled")
        ended = [env.step(np.zeros((ROWS, 1)))[2] for _ in range(1 if fails else 2 * EXAMINE_EVERY)]
        assert np.any(ended) == fails


@pytest.mark.parametrize("mode", ["Disabled", "NextStep", "SameStep"])
def test_a_score_that_is_no_number_is_a_failure_with_the_worst_score(mode, monkeypatch):
    env = make("bce", score=True, episode_updates=2, autoreset_mode=mode)
    monkeypatch.setattr(env.trainer, "score", lambda row, averaged=False: ((math.nan if row == 5 else 0.25), None))
    env.step(np.zeros((ROWS, 1)))
    *_, rewards, terminated, truncated, infos = env.step(np.zeros((ROWS, 1)))
    infos = infos.get("final_info", infos)
    assert terminated.tolist() == [row == 5 for row in range(ROWS)] and (truncated == ~terminated).all()
    assert infos["failure"][5] == "non-finite score" and infos["score"][5] == FINITE and rewards[5] < rewards[4]
    assert (np.delete(infos["score"], 5) == 0.25).all() and infos["_score"].all()


def test_a_failure_has_the_worst_score():
    env = make("bce", score=True, autoreset_mode="Disabled")
    env.trainer.g.flat[1] = math.nan
    env.trainer.look()
    infos = env.step(np.zeros((ROWS, 1)))[-1]
    assert infos["score"][1] == FINITE and infos["_score"].tolist() == [row == 1 for row in range(ROWS)]


def test_samples_that_are_no_numbers_spoil_one_rows_quality_alone(monkeypatch):
    env, other = make("penalty", quality_every=1), make("penalty", quality_every=1)
    samples = env.trainer.samples

    def spoilt(*arguments, **more):
        made = samples(*arguments, **more)
        made[3, 0] = math.inf
        return made

    monkeypatch.setattr(env.trainer, "samples", spoilt)
    ours, theirs = env.step(np.zeros((ROWS, 1))), other.step(np.zeros((ROWS, 1)))
    assert ours[-1]["quality"][3] == FINITE and np.isfinite(ours[1]).all()
    np.testing.assert_array_equal(np.delete(ours[-1]["quality"], 3), np.delete(theirs[-1]["quality"], 3))


@pytest.mark.filterwarnings("ignore:Normed keeps state")
@pytest.mark.parametrize("value", VALUES)
def test_a_running_statistic_that_is_not_finite_is_named_though_training_never_reads_it(value):
    env = make("modules")
    env.trainer.d.flat[2, env.trainer.d.weights] = value
    env.trainer.look()
    *_, infos = env.step(np.zeros((ROWS, 1)))
    assert infos["failure"].tolist() == [None, None, "non-finite weights", *[None] * (ROWS - 3)]
