"""Domain adaptation between two kinds of digits: the engine does what a plain loop with reversed gradients does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.nn.functional import cross_entropy

from gan_env.data import digit_domains as domains
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import GANEnv, make_trainer
from gan_env.losses.losses import get_loss
from gan_env.random.streams import Purpose, rng
from gan_env.rendering.draw import COLUMNS, draw_guesses
from gan_env.rendering.painter import Painter, Scene
from gan_env.tasks.domains import DomainQuality, Domains, DomainScore
from gan_env.tasks.task import Data, Quality, Score, Wiring, make_task
from gan_env.types import Control


def trainer(rows: int = 2, **settings):
    made = make_trainer(EnvConfig(task="digits-domains", device="cpu", **settings), rows)
    made.reset(np.arange(rows) + 40, np.zeros(rows, np.int64))
    return made


def test_both_domains_are_digits_of_one_size_and_range():
    for domain in (domains.source(), domains.target("train"), domains.target("test")):
        assert domain.images.shape[1:] == (1, 16, 16) and domain.labels.unique().tolist() == list(range(10))
        assert domain.images.min() >= -1.001 and domain.images.max() <= 1.001
    assert len(domains.source().images) == 3572 and len(domains.target("test").images) == 400


def test_the_parts_are_what_a_task_is_made_of():
    task = make_task("digits-domains")
    assert isinstance(task.data, Data) and isinstance(task.wiring, Wiring) and task.kind == "domains"
    assert isinstance(task.quality, Quality) and isinstance(task.score, Score)
    made = domains.Extractor()(domains.target("test").images[:3])
    assert made.shape == (3, 42) and domains.domain_classifier()(made[:, :32]).shape == (3, 1)


def test_an_epoch_of_codes_pairs_each_source_image_once_with_the_target_in_turns():
    data = Domains()
    codes = data.codes(rng(0, 0, Purpose.REAL), 64).reshape(-1, 2)
    assert len(codes) == data.block(64) * 64 and len(set(codes[:, 0])) == len(codes)
    counts = np.bincount(codes[:, 1], minlength=997)
    assert trainer(1).facts.updates_per_epoch == data.block(64)
    assert counts.min() >= len(codes) // 997 and counts.max() <= len(codes) // 997 + 1
    with pytest.raises(ValueError, match="batch_size=998 must be at least 1 and at most 997"):
        data.block(998)


class Plain:
    """One extractor and one domain classifier in a plain loop: gradients by autograd, steps by torch's Adam."""

    def __init__(self, start, row: int, loss: str, order: str):
        self.net, self.judge = start.generator(row), start.discriminator(row)
        self.loss, self.order, self.updates = get_loss(loss), order, start.episode_updates
        self.steps = [
            torch.optim.Adam(m.parameters(), lr=1e-3, betas=(0.5, 0.999), eps=1e-8) for m in (self.net, self.judge)
        ]
        self.done = 0

    def losses(self, codes):
        source, target = domains.source(), domains.target("train")
        seen, other = (self.net(d.images[codes[:, i]].double()) for i, d in enumerate((source, target)))
        label = cross_entropy(seen[:, 32:], source.labels[codes[:, 0]])
        told = self.loss.real(self.judge(seen[:, :32])).mean() + self.loss.fake(self.judge(other[:, :32])).mean()
        return label, told

    def update(self, codes):
        judge = list(self.judge.parameters())
        strength = domains.STRENGTH * min(1.0, 2 * self.done / self.updates)
        self.done += 1
        d_grads = torch.autograd.grad(self.losses(codes)[1], judge)
        if self.order == "alternating":
            self.apply(1, judge, d_grads)
        label, told = self.losses(codes)
        net = list(self.net.parameters())
        g_grads = torch.autograd.grad(label - strength * told, net)
        if self.order == "simultaneous":
            self.apply(1, judge, d_grads)
        self.apply(0, net, g_grads)

    def apply(self, player, parameters, grads):
        for p, grad in zip(parameters, grads, strict=True):
            p.grad = grad
        self.steps[player].step()


@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
@pytest.mark.parametrize("loss", ["bce", "lsgan"])
def test_the_engine_agrees_with_a_plain_loop_of_reversed_gradients_in_float64(loss, order):
    ours = trainer(2, loss=loss, order=order, dtype="float64", batch_size=8, episode_updates=12)
    plain = [Plain(ours, row, loss, order) for row in range(2)]
    for _ in range(12):
        codes = ours.feed.reals.at(slice(0, 2), ours.real_index, ours.seed, ours.episode).clone()
        seen = ours.measurement
        for row, each in enumerate(plain):
            label, told = each.losses(codes[row])
            assert seen.g_loss[row].item() == pytest.approx(label.item(), rel=1e-9)
            assert seen.d_loss("sum")[row].item() == pytest.approx(told.item(), rel=1e-9)
            each.update(codes[row])
        ours.advance(Control.of(2))
    for row, each in enumerate(plain):
        for module, wanted in ((ours.generator(row), each.net), (ours.discriminator(row), each.judge)):
            for a, b in zip(module.parameters(), wanted.parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_each_player_can_rest_and_a_row_does_not_notice_its_neighbour():
    alone, pair = trainer(1, batch_size=8), trainer(2, batch_size=8)
    before = pair.g.flat.clone(), pair.d.flat.clone()
    for made in (alone, pair):
        made.advance(replace(Control.of(made.n), update_d=torch.zeros(made.n, dtype=torch.bool)), 2)
    assert torch.equal(pair.d.flat, before[1]) and not torch.equal(pair.g.flat, before[0])
    torch.testing.assert_close(alone.g.flat[0], pair.g.flat[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", ["sn", "wgan-gp", "instance-noise"])
def test_regularised_domain_classifiers_train(loss):
    made = trainer(2, loss=loss, batch_size=8)
    for order in ("simultaneous", "alternating"):
        made.order = order
        made.advance(Control.of(2), 3)
    assert torch.isfinite(made.g.flat).all() and torch.isfinite(made.d.flat).all()


def test_errors_are_the_share_of_wrong_guesses_and_chance_where_undefined():
    labels = domains.target("test").labels
    right = torch.nn.functional.one_hot(labels, 10).float()
    made = torch.cat([torch.zeros(400, 32), right], 1)
    assert DomainScore()(made) == 0.0
    made[:100, 32:] = right[:100].roll(1, 1)
    assert DomainScore()(made) == 0.25
    with pytest.raises(ValueError, match="all 400 images"):
        DomainScore()(made[:399])
    labels = domains.target("validation").labels
    made = torch.cat([torch.zeros(400, 32), torch.nn.functional.one_hot(labels, 10).float()], 1)
    both = torch.stack([made, made.index_fill(0, torch.tensor([3]), float("nan"))])
    assert DomainQuality()(both).tolist() == [0.0, 0.9]


def test_the_score_is_read_off_test_images_and_everything_else_off_validation_images():
    data = Domains()
    assert torch.equal(data.held_out(Purpose.SCORE, 400), domains.target("test").images)
    for purpose in (Purpose.SAMPLE, Purpose.QUALITY):
        assert torch.equal(data.held_out(purpose, 64), domains.target("validation").images[:64])
    with pytest.raises(ValueError, match="401 samples were asked for; this task makes them of 400 held-out images"):
        data.held_out(Purpose.SAMPLE, 401)


def test_the_env_steps_it_scores_it_and_draws_it():
    env = GANEnv(task="digits-domains", batch_size=8, episode_updates=4, updates_per_step=2, render_mode="rgb_array")
    env.reset(seed=1)
    _, _, _, truncated, info = env.step(env.action_space.sample())
    assert not truncated and info["g_loss"] > 0
    frame = env.render()
    assert frame.ndim == 3 and frame.std() > 10
    _, _, _, truncated, info = env.step(env.action_space.sample())
    assert truncated and 0 <= info["score"] <= 1
    task = make_task("digits-domains")
    scene = Scene(title="test", samples=task.data.test(), history=np.zeros((0, len(COLUMNS))), update=0)
    (picture,) = Painter(task, tracked=False).pictures([scene])
    assert picture.std() > 10
    env.close()


def test_a_picture_says_which_guesses_are_right_where_that_is_known():
    def named(labels):
        axes = Figure().subplots()
        draw_guesses(axes, torch.eye(domains.FEATURES + 10), labels)
        legend = axes.get_legend()
        return legend and [text.get_text() for text in legend.get_texts()]

    assert named(torch.zeros(domains.FEATURES + 10)) == ["right guess", "wrong guess"] and named(None) is None


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="way='sauce'"):
        domains.train("sauce")


def test_training_repeats_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    a, b = (domains.train("adversarial", 3, updates=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.slow
def test_adaptation_beats_training_on_the_source_alone_by_ten_points_over_five_seeds():
    made = trainer(5)
    made.advance(Control.of(5), made.episode_updates)
    adapted = [made.score(row)[0] for row in range(5)]
    source_only = [domains.error(domains.train("source", seed), domains.target("test")) for seed in range(5)]
    assert domains.marks()["target_trained"] < 0.1
    assert np.mean(adapted) < np.mean(source_only) - 0.1
