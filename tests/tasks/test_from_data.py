"""A GAN of the user's own: any modules, any data, any measure; what does not fit is said before training."""

import dataclasses
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import gan_env
from gan_env.data.datasets import ArrayData
from gan_env.envs.config import EnvConfig
from gan_env.envs.env import make_trainer
from gan_env.networks.parameters import flatten
from gan_env.optimizer_spec import OptimizerSpec
from gan_env.random.streams import Purpose
from gan_env.tasks.task import Task
from gan_env.types import Control
from tests.support.coming import coming_real


class TutorialGenerator(nn.Module):
    """In the manner of PyTorch's tutorial, for 8 x 8 pixels: running statistics and latents (B, nz, 1, 1)."""

    def __init__(self, nz: int = 6):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, 8, 4, 1, 0, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, latents):
        return self.main(latents)


class TutorialDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, 4, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(4, 8, 3, 1, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, images):
        return self.main(images)


def images(count: int = 140) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.uniform(-1, 1, (count, 1, 8, 8)).astype(np.float32))


def tutorial_task(**settings) -> Task:
    with pytest.warns(UserWarning, match="ends in a sigmoid"):
        return Task(
            generator=TutorialGenerator,
            discriminator=TutorialDiscriminator,
            data=images(),
            latent_size=6,
            batch_size=8,
            **settings,
        )


def trainer(task, seeds, **settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*keeps state outside its weights")
        made = make_trainer(EnvConfig(task=task, dtype="float64", device="cpu", **settings), len(seeds))
    made.reset(np.array(seeds), np.zeros(len(seeds), np.int64))
    return made


def linear_task(data, **settings) -> Task:
    return Task(
        generator=lambda: nn.Linear(4, 3), discriminator=lambda: nn.Linear(3, 1), data=data, latent_size=4, **settings
    )


def points(count: int = 100) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32)


# A tutorial's DCGAN


def test_a_tutorials_dcgan_runs_in_every_environment_with_one_warning_a_module():
    task = tutorial_task()
    for env_id in gan_env.ENV_IDS:
        with pytest.warns(UserWarning, match="keeps state outside its weights .*running_mean"):
            env = gym.make_vec(env_id, num_envs=2, task=task, episode_updates=2, device="cpu")
        env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(2):
            _, reward, _, truncated, info = env.step(env.action_space.sample())
        assert np.isfinite(reward).all() and truncated.all() and np.isfinite(info["score"]).all()
        module = env.unwrapped.generator(0)
        assert isinstance(module, TutorialGenerator) and module(torch.randn(5, 6, 1, 1)).shape == (5, 1, 8, 8)


def test_running_statistics_belong_to_the_row_and_move_with_its_updates_alone():
    task = tutorial_task()
    two = trainer(task, [3, 4])
    before = [two.g.flat.clone(), two.d.flat.clone()]
    two.look()
    two.samples(5, Purpose.SAMPLE)
    assert torch.equal(two.g.flat, before[0]) and torch.equal(two.d.flat, before[1])
    two.advance(Control.of(2), 3, active=np.array([True, False]))
    assert torch.equal(two.g.flat[1], before[0][1]) and torch.equal(two.d.flat[1], before[1][1])
    statistics = two.discriminator(0).main[3]
    assert not torch.equal(statistics.running_mean, torch.zeros(8, dtype=torch.float64))
    two.advance(Control.of(2, update_g=torch.tensor([False, False])), 1)
    assert torch.equal(flatten(two.generator(0)), two.g.flat[0])


def test_rows_with_running_statistics_train_as_each_alone_and_as_a_plain_loop():
    task = tutorial_task(d_lr=1e-2, g_lr=1e-2)
    pair, alone = trainer(task, [3, 4]), trainer(task, [4])
    g, d = alone.generator(0), alone.discriminator(0)
    # The same three updates with torch alone, on the latents and images that the row draws.
    optimizers = [torch.optim.Adam(m.parameters(), lr=1e-2, betas=(0.5, 0.999)) for m in (g, d)]
    probe = trainer(task, [4])
    for _ in range(3):
        real = coming_real(probe)[0]
        rows = (slice(0, 1), probe.updates, probe.seed, probe.episode)
        latents = probe.feed.latents.at(*rows)[0].double()
        fake = g(latents)
        softplus = nn.functional.softplus
        d_loss = softplus(-d(real)).mean() + softplus(d(fake.detach())).mean()
        d_grads = torch.autograd.grad(d_loss, list(d.parameters()))
        frozen = [b.clone() for b in d.buffers()]
        g_grads = torch.autograd.grad(softplus(-d(fake)).mean(), list(g.parameters()))
        for buffer, old in zip(d.buffers(), frozen, strict=True):
            buffer.copy_(old)  # the third pass is for G alone
        for optimizer, module, grads in zip(optimizers, (g, d), (g_grads, d_grads), strict=True):
            for p, grad in zip(module.parameters(), grads, strict=True):
                p.grad = grad
            optimizer.step()
        probe.advance(Control.of(1), 1)
    pair.advance(Control.of(2), 3)
    alone.advance(Control.of(1), 3)
    torch.testing.assert_close(pair.g.flat[1:], alone.g.flat, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(alone.g.flat[0], flatten(g), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(alone.d.flat[0], flatten(d), rtol=1e-9, atol=1e-10)


def test_a_spectral_norm_keeps_its_vectors_in_the_row():
    norm = torch.nn.utils.parametrizations.spectral_norm
    task = Task(
        generator=lambda: nn.Linear(4, 3),
        discriminator=lambda: nn.Sequential(norm(nn.Linear(3, 8)), nn.Tanh(), nn.Linear(8, 1)),
        data=points(),
        latent_size=4,
        batch_size=16,
    )
    run = trainer(task, [0, 1])
    run.advance(Control.of(2), 20)
    layer = run.discriminator(1)[0]
    layer.eval()
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.02)


# Data and quality of any kind


@pytest.mark.parametrize("kind", ["tensor", "array", "dataset", "list"])
def test_data_may_be_a_tensor_an_array_or_a_data_set(kind):
    array = points()
    tensor = torch.from_numpy(array)
    data = {"tensor": tensor, "array": array, "dataset": TensorDataset(tensor, tensor), "list": list(tensor)}[kind]
    task = linear_task(data)
    assert task.data.shape == (3,) and len(task.data) == 72 and task.data.test_size == 14
    found = torch.cat([task.data.train(), task.data.validation(), task.data.test()])
    assert torch.equal(found.sort(0).values, tensor.sort(0).values)


def test_quality_may_be_a_callable_and_judges_test_data_at_the_end():
    seen = []

    def mean_gap(real, fake):
        seen.append(real)
        return float((real.mean(0) - fake.mean(0)).norm())

    task = linear_task(points(), quality=mean_gap)
    assert task.quality.name == task.score.name == "mean_gap"
    fake = torch.zeros(task.quality.samples, 3)
    assert task.quality(fake[None]).item() == pytest.approx(task.data.validation().mean(0).norm().item())
    assert torch.equal(seen[-1], task.data.validation())
    task.score(torch.zeros(task.score.samples, 3))
    assert torch.equal(seen[-1], task.data.test())
    assert task.quality(fake[None] * torch.nan).item() == task.quality.worst


def test_a_distance_gets_as_many_real_samples_as_generated_ones_from_all_over_a_sorted_split():
    sizes, reals = [], []

    def spy(real, fake):
        sizes.append((len(real), len(fake)))
        reals.append(real)
        return float((real.mean(0) - fake.mean(0)).norm())

    def part(count):
        return torch.linspace(0, 1, count)[:, None].expand(-1, 3).contiguous()

    task = linear_task(ArrayData(part(100), part(571), part(700)), quality=spy)
    assert task.quality.worst > 0 and task.quality(torch.zeros(2, 400, 3)).shape == (2,)
    assert reals[-1][0, 0] == 0 and reals[-1][-1, 0] == 1
    task.score(torch.zeros(task.score.samples, 3))
    assert task.score.floor() == pytest.approx(0, abs=1e-2)
    assert sizes == [(400, 400)] * 3 + [(700, 700), (571, 571)]


class OwnScore:
    name, samples = "own", 10

    def __call__(self, fake):
        return float(fake.mean())

    def floor(self):
        return 0.0

    def details(self, fake):
        return {}


def test_a_score_of_ones_own_goes_with_raw_data_latents_of_any_shape_and_a_plain_distance():
    with pytest.warns(UserWarning, match="ends in a sigmoid"):
        task = Task(
            generator=TutorialGenerator,
            discriminator=TutorialDiscriminator,
            data=images(),
            latent_size=6,
            batch_size=8,
            score=OwnScore(),
            quality=lambda real, fake: float((real.mean() - fake.mean()).abs()),
        )
    run = trainer(task, [3])
    run.advance(Control.of(1), 1)
    score, fake = run.score(0)
    assert fake.shape == (10, 1, 8, 8) and score == pytest.approx(float(fake.mean()))
    assert np.isfinite(task.quality(fake[None]).item())


def test_finite_points_of_the_plane_have_epochs():
    task = Task(
        generator=lambda: nn.Linear(4, 2),
        discriminator=lambda: nn.Linear(2, 1),
        data=points()[:, :2],
        latent_size=4,
        batch_size=8,
    )
    assert task.kind == "plane" and trainer(task, [0]).facts.updates_per_epoch == len(task.data) // 8


def test_an_optimizer_may_be_given_as_in_a_config():
    assert linear_task(points(), optimizer="sgd").optimizer == OptimizerSpec(name="sgd")
    assert EnvConfig(task=linear_task(points(), optimizer={"betas": (0.9, 0.999)})).optimizer_spec.betas[0] == 0.9


def test_the_default_quality_tells_near_from_far_and_is_a_distance():
    task = linear_task(points(2000))
    real = task.data.validation()[: task.quality.samples]
    near, far = task.quality(torch.stack([real, real + 1]))
    assert near < 0.2 < far and task.score.floor() < 0.2
    assert linear_task(points()).quality.worst > 0


def test_a_task_can_be_changed_field_by_field():
    task = dataclasses.replace(linear_task(points()), name="other", d_lr=1e-3)
    assert (task.name, task.d_lr, task.latent_size) == ("other", 1e-3, 4)


# What does not fit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": nn.Linear(4, 3)}, "generator is a module; give the class or function"),
        ({"generator": lambda: 3}, r"generator\(\) gave a int"),
        ({"generator": lambda: nn.Linear(4, 2)}, r"samples of shape \(2,\); the data's are \(3,\)"),
        ({"generator": lambda: nn.Linear(5, 3)}, r"does not take latents of shape \(B, 4\)"),
        ({"discriminator": lambda: nn.Linear(2, 1)}, "does not take samples of the data's shape"),
        ({"discriminator": lambda: nn.Linear(3, 2)}, "one logit is needed"),
        ({"data": points(10)}, "hold 10 samples"),
        ({"data": points() * np.nan}, "100 of 100 samples hold NaN"),
        ({"data": 3}, "data=int is not known"),
        ({"data": [["a"]] * 30}, "sample 0 of the data set is a str"),
        ({"data": [torch.zeros(3)] * 30 + [torch.zeros(4)]}, "sample 30 has shape"),
        ({"latents": "uniform"}, "unknown latents 'uniform'.* Known: normal, ones"),
        ({"d_lr": -1}, "d_lr=-1 must be a finite learning rate > 0"),
        ({"g_lr": float("nan")}, "g_lr=nan must be a finite learning rate > 0"),
        ({"loss": "bcee"}, "unknown GAN loss 'bcee'; did you mean 'bce'"),
        ({"loss": "bce+diversity:"}, "unknown diversity setting ''"),
        ({"kind": "imgae"}, "unknown kind 'imgae'; did you mean 'image'"),
        ({"episode_updates": 0}, "episode_updates=0 must be a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"latent_size": 0}, "latent_size=0 must be a whole number of at least 1"),
        ({"latent_size": (4, 0)}, "latent_size=0 must be"),
        ({"quality": [1]}, r"quality=\[1\] must be a function"),
        ({"score": 3}, "score=3 has no __call__"),
        ({"dtype": "float16"}, "unknown dtype 'float16'.* Known: float32, float64"),
        ({"optimizer": "lion"}, "unknown optimizer 'lion'"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    given = {"generator": lambda: nn.Linear(4, 3), "discriminator": lambda: nn.Linear(3, 1), "data": points()}
    with pytest.raises(ValueError, match=message):
        Task(**{"latent_size": 4, **given, **changes})


def test_dropout_is_allowed_with_a_warning():
    with pytest.warns(UserWarning, match="Dropout, which draws from torch's global generator"):
        Task(
            generator=lambda: nn.Linear(4, 3),
            discriminator=lambda: nn.Sequential(nn.Dropout(), nn.Linear(3, 1)),
            data=points(),
            latent_size=4,
        )


class Remembers(nn.Module):
    """Keeps a count (or a mean of what it made, or what it made) outside its buffers."""

    def __init__(self, what: str):
        super().__init__()
        self.layer, self.what, self.count, self.mean = nn.Linear(4, 3), what, 0, torch.zeros(3)

    def forward(self, latents):
        made = self.layer(latents)
        if self.what == "count":
            self.count += 1
        elif self.what == "mean":
            self.mean = 0.9 * self.mean + made.detach().mean(0)
        elif self.what == "activation":
            self.stored = made
        elif self.what == "noise":
            return made + torch.randn_like(made)
        elif self.what == "input":
            latents.mul_(0.5)
        return made


def task_of(generator, **changes):
    given = {"discriminator": lambda: nn.Linear(3, 1), "data": points(), "latent_size": 4}
    return Task(**{"generator": generator, **given, **changes})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("count", "generator remembers count from pass to pass, outside its buffers"),
        ("mean", "generator remembers mean from pass to pass, outside its buffers"),
        ("noise", "generator draws from torch's global generator"),
    ],
)
def test_what_rows_would_share_is_said(what, message):
    with pytest.warns(UserWarning, match=message):
        task_of(lambda: Remembers(what))


def test_a_stored_activation_is_no_memory():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task_of(lambda: Remembers("activation"))


def test_what_follows_from_buffers_is_no_memory():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task_of(lambda: nn.utils.spectral_norm(nn.Linear(4, 3)))  # its weight is an attribute, made of buffers


def test_a_module_that_changes_its_input_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"generator changes its input in place.* x = x\.clone\(\)"):
        task_of(lambda: Remembers("input"))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, latents, labels):
        return self.layer(latents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": TwoInputs}, "discriminator takes samples alone, generator takes labels too"),
        ({"discriminator": TwoInputs}, "generator takes latents alone, discriminator takes labels too"),
        ({"data": np.array([["a", "b"]] * 40)}, "data hold values of type <U1; numbers are needed"),
        ({"data": torch.ones(40, 3, dtype=torch.complex64)}, "data hold complex numbers"),
        ({"data": torch.full((40, 3), torch.nan)}, "data: 40 of 40 samples hold NaN or infinity; leave them out"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_argument(changes, message):
    with pytest.raises(ValueError, match=message):
        task_of(**{"generator": lambda: nn.Linear(4, 3), **changes})


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (lambda real, fake: float((real.mean() - fake.mean()).abs()) - 100, "quality <lambda> gives -.*1 - s"),
        (lambda real, fake: "good", "quality <lambda> gives 'good'; one number is needed"),
        (lambda real, fake: real - real, "quality <lambda> gives .*one number is needed"),
    ],
)
def test_a_quality_that_is_no_distance_is_refused_before_training(quality, message):
    task = task_of(lambda: nn.Linear(4, 3), quality=quality)
    with pytest.raises(ValueError, match=message):
        _ = task.quality.worst


def test_a_generator_that_starts_with_nan_is_blamed_itself():
    def broken():
        layer = nn.Linear(4, 3)
        nn.init.constant_(layer.weight, torch.nan)
        return layer

    with pytest.raises(ValueError, match="generator gives NaN or infinity before its first update"):
        _ = task_of(broken).quality.worst


def test_vmap_is_refused_where_there_is_state():
    from gan_env.players.batched_modules import make_players

    g = TutorialGenerator()
    with pytest.raises(ValueError, match="cannot be run by vmap"):
        make_players(g, flatten(g)[None], (1, 8, 8), "vmap")
