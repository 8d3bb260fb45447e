"""Conditional GANs and scores of patches: trained as a plain loop trains them, judged within each class."""

import dataclasses
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.utils.data import TensorDataset

from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.random.streams import Purpose
from gan_env.tasks.task import Task
from gan_env.types import Control


class Generator(nn.Module):
    def __init__(self, classes: int = 3):
        super().__init__()
        self.embedding, self.layers = (
            nn.Embedding(classes, 3),
            nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 2)),
        )

    def forward(self, z, y):
        return self.layers(torch.cat([z, self.embedding(y)], 1))


class Discriminator(nn.Module):
    """With a projection: Miyato & Koyama 2018, arXiv:1802.05637."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.features, self.score = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2)), nn.Linear(16, 1)
        self.embedding = nn.Embedding(classes, 16)

    def forward(self, x, labels):
        features = self.features(x)
        return self.score(features) + (self.embedding(labels) * features).sum(1, keepdim=True)


def labelled(count: int = 210) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes, each about a place of its own."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    places = np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])[labels]
    return torch.from_numpy((places + 0.1 * rng.normal(size=(count, 2))).astype(np.float32)), torch.from_numpy(labels)


def task_of(**settings) -> Task:
    return Task(
        **{"generator": Generator, "discriminator": Discriminator, "data": labelled(), "latent_size": 4, **settings}
    )


def trainer(task: Task, seeds: list[int], **settings):
    made = make_trainer(EnvConfig(task=task, dtype="float64", device="cpu", batch_size=8, **settings), len(seeds))
    made.reset(np.array(seeds), np.zeros(len(seeds), np.int64))
    return made


def moved(optimizers, grads) -> None:
    for optimizer, each in zip(optimizers, grads, strict=True):
        for p, grad in zip(optimizer.param_groups[0]["params"], each, strict=True):
            p.grad = grad
        optimizer.step()


# Labels


def test_a_conditional_gan_trains_as_a_plain_loop_that_gives_both_players_the_real_batchs_labels():
    task = task_of(d_lr=1e-2, g_lr=1e-2)
    rows, probe = trainer(task, [5, 3]), trainer(task, [3])
    g, d = probe.generator(), probe.discriminator()
    assert isinstance(g, Generator) and isinstance(d, Discriminator)
    optimizers = [torch.optim.Adam(m.parameters(), lr=1e-2, betas=(0.5, 0.999)) for m in (g, d)]
    for _ in range(3):
        _ = probe.measurement
        codes = probe.feed.reals.at(slice(0, 1), probe.real_index, probe.seed, probe.episode)[0]
        real, labels = task.data.batch(codes).double(), task.data.batch_labels(codes)
        z = probe.feed.latents.at(slice(0, 1), probe.updates, probe.seed, probe.episode)[0].double()
        fake = g(z, labels)
        d_loss = softplus(-d(real, labels)).mean() + softplus(d(fake.detach(), labels)).mean()
        g_loss = softplus(-d(fake, labels)).mean()
        assert float(probe.measurement.g_loss[0]) == pytest.approx(g_loss.item(), rel=1e-12)
        moved(optimizers, [torch.autograd.grad(g_loss, list(g.parameters()), retain_graph=True),
                           torch.autograd.grad(d_loss, list(d.parameters()))])  # fmt: skip
        probe.advance(Control.of(1))
    rows.advance(Control.of(2), 3)
    for player, module in (("generator", g), ("discriminator", d)):
        for mine, theirs in zip(getattr(rows, player)(1).parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["wgan-gp", "r1", "instance-noise", "gran", "sn", "hinge"])
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_every_kind_of_loss_trains_a_conditional_gan_and_leaves_labels_alone(loss, order):
    made = trainer(task_of(), [0, 1], loss=loss, order=order)
    made.advance(Control.of(2), 2)
    assert torch.isfinite(made.g.flat).all() and torch.isfinite(made.d.flat).all()
    for row in (0, 1):  # a broken label would raise in the embedding, or lie between two classes
        labels = made.coming_fake[row, :, 2:]
        assert torch.equal(labels[:, 0], made.coming_labels(row).double())
    assert made.samples(5, Purpose.SAMPLE).shape == (2, 5, 2)


def test_a_term_that_compares_whole_samples_is_refused_for_a_conditional_gan():
    with pytest.raises(ValueError, match="bce\\+diversity.*conditional GAN"):
        trainer(task_of(), [0], loss="bce+diversity")


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(*labelled()),
        list(zip(*labelled(), strict=True)),
        [(x, int(y)) for x, y in zip(*labelled(), strict=True)],
        [{"point": x, "label": int(y)} for x, y in zip(*labelled(), strict=True)],
        {"x": labelled()[0], "y": labelled()[1]},
        (labelled()[0].numpy(), np.array(["a", "b", "c"])[labelled()[1]]),
    ],
    ids=["TensorDataset", "pairs", "pairs with ints", "dicts", "dict of columns", "names"],
)
def test_labels_are_read_from_whatever_holds_pairs(data):
    task, same = task_of(data=data), task_of()
    assert task.condition == same.condition and task.condition is not None and task.condition.classes == (0, 1, 2)
    assert torch.equal(task.data.batch_labels(torch.arange(9)), same.data.batch_labels(torch.arange(9)))
    assert torch.equal(task.data.test(), same.data.test())


def test_each_split_holds_each_class_in_its_share():
    x, y = labelled(300)
    order = y.argsort()  # sorted by class, as folders are
    task = task_of(data=(x[order], y[order]))
    share = torch.bincount(y) / len(y)
    for labels in task.data.labels:
        assert (torch.bincount(labels) / len(labels) - share).abs().max() < 0.02


def test_quality_tells_a_generator_that_heeds_labels_from_one_that_mixes_them_up():
    task = task_of()
    real, labels = task.data.test(), task.data.labels[2]
    mixed = real[(labels + 1).argsort(stable=True).argsort()]  # the same points under other labels
    details = task.score.details(real)
    assert task.score(real) == 0 and details["overall"] == 0 and details["class 1"] == 0
    assert task.score(mixed) > 0.5 and task.score.details(mixed)["overall"] < 1e-6
    assert 0 < task.score.floor() < 0.2
    counts = torch.bincount(labels)
    within = [task.score.details(mixed)[f"class {k}"] for k in range(3)]
    assert task.score(mixed) == pytest.approx(float((counts * torch.tensor(within)).sum() / counts.sum()), rel=1e-6)


@pytest.mark.filterwarnings("ignore:data lie in .* never below 0")
def test_samples_are_judged_under_the_labels_of_the_held_out_samples_that_they_stand_beside():
    class Teller(Generator):
        """Makes a point of the class alone."""

        def forward(self, z, y):
            return super().forward(z, y) * 0 + torch.stack([y.to(z), y.to(z)], 1)

    made = trainer(task_of(generator=Teller), [0])
    for purpose, part in ((Purpose.SCORE, 2), (Purpose.QUALITY, 1)):
        labels = made.task.data.labels[part]
        assert torch.equal(made.samples(len(labels), purpose)[0, :, 0], labels.double())


def test_a_quality_may_read_the_labels_itself():
    seen = []

    def own(real, fake, real_labels, fake_labels):
        seen.append((len(real), len(real_labels), torch.equal(real_labels, fake_labels)))
        return float((real.mean(0) - fake.mean(0)).norm())

    task = task_of(quality=own)
    env = gym.make("gan_env/LearningRate-v0", task=task, reward="quality", episode_updates=2)
    env.reset(seed=0)
    for _ in range(2):
        *_, info = env.step(env.action_space.sample())
    assert np.isfinite(info["score"]) and all(a == b and same for a, b, same in seen)


def test_classes_too_rare_to_be_held_out_are_warned_of():
    x, labels = labelled()
    labels = torch.zeros_like(labels)
    labels[7], labels[9] = 1, 2
    with pytest.warns(
        UserWarning, match="classes 1, 2 have too few samples to hold one out: they are trained, but not"
    ):
        task_of(data=(x, labels))


@pytest.mark.parametrize(
    ("change", "cure"),
    [(lambda y: y[:, None], r"labels\[:, 0\]"), (lambda y: y.float(), r"labels\.long\(\)")],
)
def test_labels_of_another_form_are_refused_with_the_cure(change, cure):
    x, labels = labelled()
    with pytest.raises(ValueError, match=cure):
        task_of(data=(x, change(labels)))


def test_labels_need_not_be_classes():
    class G(nn.Linear):
        def forward(self, z, c):
            return super().forward(torch.cat([z, c], 1))

    x, _ = labelled()
    task = task_of(generator=lambda: G(6, 2), discriminator=lambda: G(4, 1), data=(x, x.flip(1)))
    made = trainer(task, [0])
    made.advance(Control.of(1), 2)
    assert torch.isfinite(made.d.flat).all() and task.condition.shape == (2,)
    assert set(task.score.details(task.data.test())) == {"samples", "overall"}


def test_players_that_could_do_without_labels_are_asked_about():
    class G(Generator):
        def forward(self, z, y=None):
            return super().forward(z, torch.zeros(len(z), dtype=torch.long) if y is None else y)

    class D(Discriminator):
        def forward(self, x, y=None):
            return super().forward(x, torch.zeros(len(x), dtype=torch.long) if y is None else y)

    both = {"generator": G, "discriminator": D}
    with pytest.warns(UserWarning, match="conditional=True gives labels to both"):
        assert task_of(**both).condition is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert task_of(**both, conditional=True).condition is not None
        assert task_of(**both, conditional=False).condition is None


def plain(size: int, out: int):
    return lambda: nn.Linear(size, out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": labelled()[0]}, "generator takes 'y' as a second argument, but the data hold no labels"),
        ({"discriminator": plain(2, 1)}, "discriminator takes samples alone, generator takes labels too"),
        ({"generator": plain(4, 2)}, "generator takes latents alone, discriminator takes labels too"),
        ({"data": (labelled()[0], labelled()[1] + 1)}, r"generator .* labels \(B,\) int64 from 1 to 3: index out of"),
        ({"data": (labelled()[0], labelled()[1][:9])}, "210 samples and 9 labels"),
        ({"data": (labelled()[0], labelled()[1] * 2**24)}, "hold no labels .some are 16,777,216 or more"),
        ({"generator": plain(4, 2), "discriminator": plain(2, 1), "conditional": True}, "takes latents alone"),
    ],
)
def test_what_keeps_two_players_from_being_conditional_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        task_of(**changes)


def test_a_conditional_task_can_be_changed_field_by_field_and_runs_in_a_vector_environment():
    task = dataclasses.replace(task_of(), d_lr=1e-3)
    assert task.d_lr == 1e-3 and task.condition is not None
    env = gym.make_vec("gan_env/Joint-v0", num_envs=2, task=task, episode_updates=2)
    env.reset(seed=0)
    for _ in range(2):
        _, rewards, _, truncated, info = env.step(env.action_space.sample())
    assert truncated.all() and np.isfinite(info["score"]).all() and np.isfinite(rewards).all()
    g = env.unwrapped.generator(1)
    assert g(torch.randn(4, 4), torch.tensor([0, 1, 2, 0])).shape == (4, 2)


# Patches


def patch_task(discriminator=lambda: nn.Conv2d(1, 1, 4, 2, 1), **settings) -> Task:
    return Task(
        generator=lambda: nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8))),
        discriminator=discriminator,
        data=torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (60, 1, 8, 8)).astype(np.float32)),
        latent_size=4,
        **settings,
    )


def test_scores_of_patches_are_averaged_in_the_loss_as_a_plain_loop_averages_them():
    made = trainer(patch_task(d_lr=1e-2, g_lr=1e-2), [3])
    g, d = made.generator(), made.discriminator()
    assert d(torch.zeros(5, 1, 8, 8, dtype=torch.float64)).shape == (5, 1, 4, 4)
    optimizers = [torch.optim.Adam(m.parameters(), lr=1e-2, betas=(0.5, 0.999)) for m in (g, d)]
    for _ in range(3):
        measured = made.measurement
        codes = made.feed.reals.at(slice(0, 1), made.real_index, made.seed, made.episode)[0]
        real = made.task.data.batch(codes).double()
        fake = g(made.feed.latents.at(slice(0, 1), made.updates, made.seed, made.episode)[0].double())
        d_loss = softplus(-d(real)).mean() + softplus(d(fake.detach())).mean()
        g_loss = softplus(-d(fake)).mean()
        assert float(measured.g_loss[0]) == pytest.approx(g_loss.item(), rel=1e-12)
        moved(optimizers, [torch.autograd.grad(g_loss, list(g.parameters()), retain_graph=True),
                           torch.autograd.grad(d_loss, list(d.parameters()))])  # fmt: skip
        made.advance(Control.of(1))
    for player, module in ((made.generator(), g), (made.discriminator(), d)):
        for mine, theirs in zip(player.parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_a_penalty_on_patches_takes_the_slope_of_a_samples_mean_score():
    class Mean(nn.Conv2d):
        def forward(self, x):
            return super().forward(x).mean((1, 2, 3))

    made = []
    for build in (lambda: nn.Conv2d(1, 1, 4, 2, 1), lambda: Mean(1, 1, 4, 2, 1)):
        one = trainer(patch_task(build), [3], loss="wgan-gp")
        one.advance(Control.of(1))
        made.append(float(one.d_penalty[0]))
    assert made[0] == pytest.approx(made[1], rel=1e-12) and made[0] > 0


@pytest.mark.parametrize("loss", ["bce", "wgan-gp", "gran", "sn", "js-reg", "instance-noise", "bce+diversity"])
def test_every_loss_takes_patches(loss):
    made = trainer(patch_task(), [0, 1], loss=loss, order="alternating")
    made.advance(Control.of(2), 2)
    assert torch.isfinite(made.d.flat).all() and made.measurement.real_logits.shape == (2, 8 * 16)


def test_a_plain_mlp_may_score_patches_and_a_recurrent_one_steps():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.memory, self.score = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x):
            return self.score(self.memory(x)[0])

    series = Task(generator=lambda: nn.Sequential(nn.Linear(4, 10), nn.Unflatten(1, (5, 2))), discriminator=Steps,
                  data=torch.randn(50, 5, 2), latent_size=4)  # fmt: skip
    patches = patch_task(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Unflatten(1, (1, 2, 2))))
    for task, scores in ((series, 5), (patches, 4)):
        made = trainer(task, [0])
        made.advance(Control.of(1))
        assert made.measurement.fake_logits.shape == (1, 8 * scores)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), r"l\[:, 1\] - l\[:, 0\]"),
        (lambda: nn.Conv2d(1, 3, 4, 2, 1), r"gives \(3, 4, 4\) for a sample; .* map of them with one channel"),
    ],
)
def test_outputs_that_are_no_scores_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        patch_task(build)


def test_scores_of_several_scales_are_refused_with_the_way_to_join_them():
    class Scales(nn.Module):
        joined = False

        def __init__(self):
            super().__init__()
            self.fine, self.coarse = nn.Conv2d(1, 1, 4, 2, 1), nn.Conv2d(1, 1, 4, 4)

        def forward(self, x):
            scores = [self.fine(x), self.coarse(x)]
            return torch.cat([s.flatten(1) for s in scores], 1)[:, None] if self.joined else scores

    with pytest.raises(ValueError, match=r"a list of 2, not one tensor; .*torch\.cat"):
        patch_task(Scales)
    Scales.joined = True
    assert trainer(patch_task(Scales), [0]).measurement.real_logits.shape == (1, 8 * 20)


# Parts that are not trained


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_frozen_part_may_be_shared_and_is_left_as_it_was(dtype):
    features = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8)).eval().requires_grad_(False)
    before = {name: value.clone() for name, value in features.state_dict().items()}
    task = Task(
        generator=plain(4, 2),
        discriminator=lambda: nn.Sequential(features, nn.ReLU(), nn.Linear(8, 1)),
        data=labelled()[0],
        latent_size=4,
        dtype=dtype,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*keeps state outside its weights")
        made = make_trainer(EnvConfig(task=task, device="cpu", batch_size=8), 2)
    made.reset(np.array([0, 1]), np.zeros(2, np.int64))
    made.advance(Control.of(2), 3)
    assert all(torch.equal(value, before[name]) for name, value in features.state_dict().items())
    assert features[0].weight.dtype == torch.float32
    for row in (0, 1):
        held = made.discriminator(row)
        assert (
            torch.equal(held[0][0].weight.float(), before["0.weight"]) and held[0][0].weight is not features[0].weight
        )
    assert not torch.equal(made.discriminator(0)[2].weight, made.discriminator(1)[2].weight)


def test_a_shared_part_that_is_trained_is_named():
    shared = nn.Linear(2, 8)
    with pytest.raises(ValueError, match=r"same weights at every call \(0\.weight\).*requires_grad_\(False\)"):
        Task(generator=plain(4, 2), discriminator=lambda: nn.Sequential(shared, nn.Linear(8, 1)), data=labelled()[0],
             latent_size=4)  # fmt: skip
