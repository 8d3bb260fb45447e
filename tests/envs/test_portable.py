"""Portable features: what they are by definition, and that loss, network, batch and neighbours do not move them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from agents import Steer
from agents.policies.policy import Eyes, PolicyController, PolicySpec
from agents.policies.policy_files import load_controller, save_controller
from gan_env import LOSSES
from gan_env.envs.config import EnvConfig
from gan_env.envs.gradient_noise import GRADIENT_NOISE
from gan_env.envs.observations import FEATURES, FeatureMemory
from gan_env.envs.portable import PORTABLE_FEATURES, PortableMemory, pairs_ranked, separation
from gan_env.envs.vector_env import GANVectorEnv
from gan_env.types import Control, GameFacts, Measurement, PlayersSeen
from gan_env.weight_sample import SAMPLE, sample_places

HORIZON = 1_000
EVERY = (*PORTABLE_FEATURES, *GRADIENT_NOISE)


def seen(real, fake, loss="wgan", update=0, players=None) -> Measurement:
    """A measurement of N rows from their scores (N, B)."""
    loss, real, fake = LOSSES[loss], torch.as_tensor(real), torch.as_tensor(fake)
    return Measurement(
        real_logits=real,
        fake_logits=fake,
        g_loss=loss.generator(fake).mean(-1),
        d_loss_real=loss.real(real).mean(-1),
        d_loss_fake=loss.fake(fake).mean(-1),
        update=torch.full((len(real),), update),
        progress=torch.full((len(real),), update / HORIZON, dtype=torch.float64),
    ).telling(None if players is None else lambda: players)


def scores(batch: int, rows: int = 1, seed: int = 0, decisions: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores of runs in which D gains on G steadily, differently in each row."""
    found = []
    for t in range(decisions):
        rng = [np.random.default_rng([seed, row, t]) for row in range(rows)]
        real = np.stack([r.normal(0.02 * t + 0.1 * row, 1 + 0.01 * t, batch) for row, r in enumerate(rng)])
        found.append((real, np.stack([r.normal(-0.03 * t, 1.5, batch) for r in rng])))
    return found


def weights(count: int, rows: int = 1, decisions: int = 40) -> list[np.ndarray]:
    """Samples of weights of nets of `count` weights whose updates have the same relative size."""
    start = np.random.default_rng(1).normal(0, count**-0.25, (rows, 2, count))
    move = np.random.default_rng(2).normal(0, count**-0.25, (2, rows, 2, count))
    places = sample_places(count)
    return [(start + 3e-3 * (t * move[0] + np.sin(t) * move[1]))[..., places] for t in range(decisions)]


def features(runs, of_weights, scale=1.0, loss="wgan") -> dict[str, np.ndarray]:
    """Every feature free of the loss' scale at the end of the runs, (N,) each."""
    rows = len(runs[0][0])
    facts = LOSSES[loss].game_facts("plane", episode_updates=HORIZON)
    memory = FeatureMemory(EVERY, (), "mean", rows, facts)
    control, rates = Control.of(rows, d_multiplier=4.0, g_multiplier=0.5), np.tile([1e-3, 2e-4], (rows, 1))
    for t, ((real, fake), sample) in enumerate(zip(runs, of_weights, strict=True)):
        measured = seen(scale * real, scale * fake, loss, t, PlayersSeen(sample, rates))
        if t == 0:
            memory.start(np.arange(rows), measured)
        else:
            memory.push(measured, control, np.zeros((rows, 0)), np.ones(rows, bool))
    return dict(zip(memory.names, memory.observe(measured).T.astype(np.float64), strict=True))


# -- definitions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_share_of_ranked_pairs_is_that_of_all_pairs_ties_half(dtype):
    rng = np.random.default_rng(0)
    for trial in range(60):
        rows, real_size, fake_size = rng.integers(1, 9, 3)
        real, fake = rng.normal(0.5, 1, (rows, real_size)).astype(dtype), rng.normal(0, 1, (rows, fake_size))
        if trial % 2:
            real, fake = real.round(), fake.round()  # many ties, -0.0 beside 0.0
        above = real[:, :, None] - fake.astype(dtype)[:, None]
        assert pairs_ranked(real, fake.astype(dtype)) == pytest.approx(((np.sign(above) + 1) / 2).mean((1, 2)))
    assert pairs_ranked(np.full((2, 3), np.inf), np.array([[0.0, np.inf], [-np.inf, 1]])).tolist() == [0.75, 1.0]


def test_separation_is_asinh_of_the_distance_in_pooled_deviations():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(3, 2, (4, 50)), rng.normal(-1, 1, (4, 70))
    pooled = np.sqrt((real.var(1) + fake.var(1)) / 2)
    assert separation(real, fake) == pytest.approx(np.arcsinh((real.mean(1) - fake.mean(1)) / pooled))
    with np.errstate(all="ignore"):
        assert separation(np.ones((1, 3)), np.ones((1, 3))).tolist() == [0.0]
        assert separation(np.ones((1, 3)), np.zeros((1, 3))).tolist() == [5.0]


def test_averages_begin_as_the_mean_and_forget_at_their_time_constant():
    memory = PortableMemory(1, GameFacts(episode_updates=1_000), 1)
    mean, variance = np.zeros(4), np.zeros(4)
    for t, (real, fake) in enumerate(scores(8)):
        measured = seen(real, fake)
        if t == 0:
            memory.start(np.array([0]), measured)
        else:
            memory.push(measured, Control.of(1), np.ones(1, bool))
        value = -fake.mean()  # wgan's L_G
        for i, tau in enumerate((1, 10, 100, 1_000)):
            share = max(1 / tau, 1 / (t + 1))
            off = value - mean[i]
            mean[i] += share * off
            variance[i] = (1 - share) * (variance[i] + share * off**2)
    assert memory.means[0, 2] == pytest.approx(mean) and memory.variances[0, 2] == pytest.approx(variance)
    level = (mean[0] - mean[2]) / variance[2] ** 0.5
    memory.write(table := np.empty((len(PORTABLE_FEATURES), 1)), measured)
    assert table[PORTABLE_FEATURES.index("g_loss_level")] == pytest.approx(level)
    assert memory.means[0, 2, 3] == pytest.approx(np.mean([-fake.mean() for _, fake in scores(8)]))


def test_a_step_is_the_relative_change_of_the_weights_for_each_update():
    memory = PortableMemory(2, GameFacts(), updates_per_step=10)
    before = np.random.default_rng(0).normal(0, 0.02, (2, 2, SAMPLE))
    after = before + np.array([1e-3, 0.0])[:, None] * before  # D by a thousandth in ten updates, G not at all
    real, fake = scores(8, 2)[0]
    rates = np.array([[1e-3, 1e-4]] * 2)
    memory.start(np.arange(2), seen(real, fake, players=PlayersSeen(before, rates)))
    assert not memory.log_steps.any()
    memory.push(seen(real, fake, players=PlayersSeen(after, rates)), Control.of(2), np.array([True, False]))
    assert memory.log_steps[0] == pytest.approx([-1, -3], abs=1e-3) and not memory.log_steps[1].any()
    assert memory.log_rates[0] == pytest.approx([0, -1])


# -- invariance ---------------------------------------------------------------------------------------------------


@cache
def two(what: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every feature of the same runs seen in two ways, which differ in what is named."""
    if what == "times 37":
        one, other = (features(scores(64), weights(5_000), scale) for scale in (1.0, 37.0))
    elif what == "batch":
        one, other = (features(scores(batch), weights(5_000), loss="bce") for batch in (2_000, 8_000))
    elif what == "width":
        one, other = (features(scores(64), weights(count)) for count in (5_000, 20_000))
    else:
        runs, of_weights = scores(64, rows=5), weights(500, rows=5)
        one = features(runs, of_weights)
        alone = [features([(a[[r]], b[[r]]) for a, b in runs], [w[[r]] for w in of_weights]) for r in range(5)]
        other = {name: np.concatenate([each[name] for each in alone]) for name in one}
    return one, other


@cache
def odd_features(loss: str) -> dict[str, np.ndarray]:
    """Every feature where scores and weights are infinite, huge or NaN."""
    rng = np.random.default_rng(0)
    odd = np.array([0.0, -0.0, 1e-30, 1.0, -1e30, np.inf, -np.inf, np.nan])
    runs = [(rng.choice(odd, (6, 3)), rng.choice(odd, (6, 4))) for _ in range(40)]
    return features(runs, [rng.choice(odd, (6, 2, SAMPLE)) for _ in runs], loss=loss)


@pytest.mark.parametrize("name", EVERY)
class TestEveryPortableFeature:
    """Contract of every registered portable feature."""

    def test_is_the_same_for_scores_times_a_number(self, name):
        one, other = two("times 37")
        assert other[name] == pytest.approx(one[name], abs=1e-5)

    def test_is_the_same_for_another_batch_size_up_to_sampling(self, name):
        one, other = two("batch")
        assert other[name] == pytest.approx(one[name], abs=0.1)

    def test_is_the_same_for_a_wider_net_up_to_sampling(self, name):
        one, other = two("width")
        assert other[name] == pytest.approx(one[name], abs=0.1)

    def test_is_the_same_alone_and_beside_others(self, name):
        one, other = two("rows")
        assert other[name] == pytest.approx(one[name], abs=1e-6)

    def test_is_finite_and_within_its_bounds_whatever_is_seen(self, name):
        for loss in ("bce", "wgan"):
            found = odd_features(loss)[name]
            assert ((FEATURES[name].low <= found) & (found <= FEATURES[name].high)).all()

    def test_is_at_its_neutral_value_where_nothing_is_known(self, name):
        memory = FeatureMemory(EVERY, (), "mean", 1)
        nothing = np.full((1, 4), np.nan)
        memory.start(np.array([0]), seen(nothing, nothing))
        neutral = 0.5 if name.startswith("auc") or name in GRADIENT_NOISE else 0.0
        if name.startswith("ramp"):
            neutral = np.tanh(-8 * int(name.removeprefix("ramp_")) / 100)
        assert memory.observe(seen(nothing, nothing))[0, memory.names.index(name)] == pytest.approx(neutral)


def test_a_value_that_is_not_finite_leaves_averages_as_they_were():
    runs, of_weights = scores(64), weights(500)
    broken = [*runs[:20], (np.full((1, 64), np.inf), runs[0][1]), *runs[20:]]
    once = features(broken, [*of_weights[:20], of_weights[20], *of_weights[20:]])
    for name, value in features(runs, of_weights).items():
        if not name.startswith("ramp"):
            assert once[name] == pytest.approx(value, abs=1e-6), name


# -- one object everywhere ----------------------------------------------------------------------------------------


def policy(config: EnvConfig) -> PolicyController:
    """A small actor with random weights on both rates."""
    spec = PolicySpec.of(config, "rates")
    torch.manual_seed(0)
    inputs = len(spec.features)
    return PolicyController(spec, [(torch.randn(8, inputs), torch.randn(8)), (torch.randn(2, 8), torch.randn(2))])


@pytest.mark.parametrize("features", ["portable", ("portable", "gradient_noise")])
@pytest.mark.parametrize("k", [1, 5])
def test_the_environment_a_policys_file_and_a_users_loop_see_the_same(engine, k, features, tmp_path):
    config = EnvConfig(
        task="ring", features=features, reward="log_quality", engine=engine, updates_per_step=k, episode_updates=40
    )
    assert config.features == (PORTABLE_FEATURES if features == "portable" else EVERY)
    save_controller(policy(config), tmp_path / "policy.safetensors")
    mine = load_controller(tmp_path / "policy.safetensors")
    env = GANVectorEnv(1, control="rates", config=replace(config, score=False), autoreset_mode="Disabled")
    observation, _ = env.reset(seed=0)
    mine.reset([0], env.facts)
    nets = env.generator(0), env.discriminator(0)
    opt_g, opt_d = (
        torch.optim.SGD(net.parameters(), lr=rate)
        for net, rate in zip(nets, (env.trainer.task.g_lr, env.trainer.task.d_lr), strict=True)
    )
    steer = Steer(tmp_path / "policy.safetensors", opt_g, opt_d, episode_updates=40, losses="scores")
    eyes = Eyes(mine.spec, mine.codec, 1, env.facts)
    control = None
    for _ in range(40 // k):
        for net, now in zip(nets, (env.generator(0), env.discriminator(0)), strict=True):
            net.load_state_dict(now.state_dict())
        seen_now = env.measurement
        np.testing.assert_array_equal(eyes.look(seen_now, control), observation)
        control = mine.act(seen_now)
        decision = steer(seen_now.real_logits[0], seen_now.fake_logits[0])
        steer.done()
        for _ in range(k - 1):  # the policy holds its decision
            steer(seen_now.real_logits[0], seen_now.fake_logits[0])
            steer.done()
        assert decision.d_multiplier == pytest.approx(float(control.d_multiplier[0]), rel=1e-4)
        assert decision.g_multiplier == pytest.approx(float(control.g_multiplier[0]), rel=1e-4)
        observation = env.step(env.encode(control))[0]


def test_a_run_of_unknown_length_has_neutral_features_for_it_and_a_policy_works():
    controller = policy(EnvConfig(features="portable", reward="log_quality"))
    nets = [torch.nn.Linear(2, 1) for _ in range(2)]
    steer = Steer(controller, *(torch.optim.Adam(net.parameters(), 1e-3) for net in nets), loss="wgan")
    for _ in range(5):
        steer(torch.randn(8), torch.randn(8))
        steer.done()
    memory = controller._eyes.memory
    found = dict(zip(memory.names, memory.observe(seen(*scores(8)[0]))[0], strict=True))
    assert found["log_horizon"] == 0 and found["ramp_0"] == 0 and found["d_log_rate"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("features", ["portable", ("portable", "gradient_noise")])
def test_a_policy_goes_on_from_its_state_in_a_new_controller(features):
    config = EnvConfig(task="ring", features=features, reward="log_quality", episode_updates=40, score=False)
    env = GANVectorEnv(2, control="rates", config=config, autoreset_mode="Disabled")
    env.reset(seed=0)
    first, second = policy(config), policy(config)
    first.reset([0, 1], env.facts)
    for t in range(20):
        control = first.act(env.measurement)
        if t >= 10:
            other = second.act(env.measurement)
            assert torch.equal(control.d_multiplier, other.d_multiplier)
            assert torch.equal(control.g_multiplier, other.g_multiplier)
        env.step_control(control)
        if t == 9:
            second.load_state_dict(first.state_dict())


def test_a_measurement_of_the_past_does_not_tell_of_the_players():
    env = GANVectorEnv(1, task="ring", episode_updates=10, score=False)
    env.reset(seed=0)
    past = env.measurement
    env.step(np.zeros((1, 1)))
    with pytest.raises(ValueError, match="moved on"):
        _ = past.players
    assert env.measurement.players.weights.shape == (1, 2, SAMPLE)


def test_places_of_the_weight_sample_are_spread_over_all_weights():
    assert sample_places(1).tolist() == [0] * SAMPLE and set(sample_places(10)) == set(range(10))
    places = np.sort(sample_places(10_000))
    assert len(set(places)) == SAMPLE and np.diff(places).max() < 3 * 10_000 / SAMPLE
    assert len(set(sample_places(128 * 128) % 128)) > SAMPLE / 2  # not the same inputs of every unit
