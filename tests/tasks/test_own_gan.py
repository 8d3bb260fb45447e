"""What is said of a GAN of the user's own before it trains: ranges that do not meet, modules that cannot be run."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from gan_env.tasks.task import Task

UNIT = torch.from_numpy(np.random.default_rng(0).random((60, 1, 4, 4)).astype(np.float32))


def pictures(last: nn.Module, data, **settings) -> Task:
    return Task(
        generator=lambda: nn.Sequential(nn.Linear(4, 16), last, nn.Unflatten(1, (1, 4, 4))),
        discriminator=lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 1)),
        data=data,
        latent_size=4,
        **settings,
    )


@pytest.mark.parametrize(
    ("last", "data", "cure"),
    [
        (nn.Tanh(), UNIT, r"0 to 1|\(tanh\): give 2 \* data - 1, or end in a sigmoid"),
        (nn.Tanh(), UNIT * 255, r"\(tanh\): give data / 127\.5 - 1"),
        (nn.Tanh(), (UNIT * 255).int().numpy(), r"\(tanh\): give data / 127\.5 - 1"),
        (nn.Tanh(), UNIT * 65_535, r"\(tanh\): give data / 3\.27.*e\+04 - 1"),
        (nn.Tanh(), UNIT * 6 - 3, r"\(tanh\): scale the data to these bounds"),
        (nn.Sigmoid(), UNIT * 2 - 1, r"\(sigmoid\): end in a tanh, or give \(data \+ 1\) / 2"),
        (nn.Sigmoid(), (UNIT * 255).to(torch.uint8), r"\(sigmoid\): end in a tanh"),
        (nn.Sigmoid(), UNIT * 255, r"\(sigmoid\): scale the data to these bounds"),
        (nn.ReLU(), UNIT * 2 - 1, "the generator's samples never below 0: leave its last activation out"),
        (nn.Softplus(), UNIT * 2 - 1, "the generator's samples never below 0"),
        (nn.LogSigmoid(), UNIT, "the generator's samples never above 0"),
    ],
)
def test_pixels_that_the_last_activation_cannot_make_are_warned_of_with_the_cure(last, data, cure):
    with pytest.warns(UserWarning, match=cure) as said:
        pictures(last, data)
    assert len(said) == 1 and said[0].filename == __file__


@pytest.mark.parametrize(
    ("last", "data"),
    [
        (nn.Tanh(), UNIT * 2 - 1),
        (nn.Tanh(), (UNIT * 255).to(torch.uint8)),
        (nn.Tanh(), (UNIT * 55 + 200).to(torch.uint8)),  # bright pictures, but bytes: their scale is known
        (nn.Sigmoid(), UNIT),
        (nn.Identity(), UNIT * 255),
        (nn.ReLU(), UNIT * 255),
        (nn.Softmax(1), UNIT / 16),
    ],
)
def test_ranges_that_meet_are_not_warned_of(last, data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures(last, data)


def points(**changes) -> Task:
    return Task(
        **{
            "generator": lambda: nn.Linear(4, 2),
            "discriminator": lambda: nn.Linear(2, 1),
            "data": torch.randn(50, 2),
            "latent_size": 4,
            **changes,
        }
    )


class Through(nn.Module):
    """A layer, and something behind it."""

    def __init__(self, then, size: int = 4, out: int = 2):
        super().__init__()
        self.layer, self.then = nn.Linear(size, out), then

    def forward(self, x):
        return self.then(self.layer(x))


class Blind(nn.Module):
    """A discriminator that looks at its samples where no gradient passes."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x.detach())


class Needy:
    """A builder of layers that is itself built: only what it is called with counts."""

    def __init__(self, size, out):
        self.size, self.out = size, out

    def __call__(self, depth):
        return nn.Linear(self.size, self.out)


X_WITH_GAPS = {"a": np.arange(50.0), "b": np.array([np.nan, np.inf, *range(48)])}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generator": lambda: nn.DataParallel(nn.Linear(4, 2))},
            "generator is a DataParallel.* give the module inside",
        ),
        ({"generator": lambda: Through(torch.detach)}, r"generator gives no gradient to its weights.*detach\(\)"),
        ({"generator": lambda: Through(lambda h: h.argmax(1, True), out=5)}, "generator gives torch.int64; a gradient"),
        ({"discriminator": Blind}, "discriminator gives no gradient to its samples"),
        (
            {"discriminator": lambda: Through(lambda h: (h, h), 2, 1)},
            "discriminator gives a tuple of 2, not one tensor",
        ),
        ({"discriminator": lambda: Through(lambda h: h.sum(), 2, 1)}, r"gives \(\) for 8 samples; one logit each"),
        ({"data": torch.rand(50, 2, 1, 1)}, "the counts agree: end in nn.Unflatten, or reshape the data"),
        ({"data": torch.rand(50)}, r"of single numbers, give data\[:, None\]"),
        ({"data": X_WITH_GAPS}, "data: 2 of 50 samples hold NaN or infinity in 'b'; leave them out or fill them"),
        ({"data": torch.rand(50, 2).double() * 1e300}, "data: values up to .* do not fit float32; scale them"),
        ({"generator": nn.Linear}, "generator=Linear needs 'in_features', 'out_features'.*lambda: Linear.in_features="),
        ({"discriminator": Needy(1, 2)}, "discriminator=Needy needs 'depth', which nobody gives it; fix them"),
        ({"name": 3}, "name=3 must be a text"),
        ({"name": "a\x1b[31m"}, "name='a.x1b.31m' must be at most"),
        ({"data": __file__}, "is a file; name a folder of pictures, or read it first"),
        ({"data": "no/such/folder"}, "no/such/folder is no folder"),
    ],
)
def test_what_no_run_could_use_is_refused_before_it_starts(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        points(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("last", [nn.ReLU, nn.Softplus, nn.LogSigmoid, nn.Tanh])
def test_scores_that_an_activation_bounds_are_warned_of(last):
    with pytest.warns(UserWarning, match="the discriminator's scores stay .* leave its last activation out"):
        points(discriminator=lambda: nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1), last()))


def test_scores_without_bounds_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for width in (1, 2, 8, 32):
            points(discriminator=lambda: nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 1)))  # noqa: B023


def test_players_that_always_start_alike_are_warned_of():
    def seeded() -> nn.Module:
        torch.manual_seed(0)
        return nn.Linear(4, 2)

    with pytest.warns(UserWarning, match=r"generator\(\) gives the same first weights at every call"):
        points(generator=seeded)


def test_colours_and_greys_are_told_apart():
    for made, held, hint in ((3, 1, "the data are grey"), (1, 3, "the data have colours")):
        with pytest.raises(ValueError, match=hint):
            Task(
                generator=lambda: nn.Sequential(nn.Linear(4, made * 16), nn.Unflatten(1, (made, 4, 4))),  # noqa: B023
                discriminator=lambda: nn.Sequential(nn.Flatten(), nn.Linear(held * 16, 1)),  # noqa: B023
                data=torch.rand(30, held, 4, 4),
                latent_size=4,
            )


def test_pictures_with_their_channels_elsewhere_are_told_apart():
    for data, hint in (
        (torch.rand(40, 4, 4, 3), r"data\.permute\(0, 3, 1, 2\)"),
        (torch.rand(40, 4, 4), r"data\[:, None\]"),
    ):
        channels = 3 if data.dim() == 4 else 1
        with pytest.raises(ValueError, match=hint):
            Task(
                generator=lambda c=channels: nn.Sequential(nn.Linear(4, 16 * c), nn.Unflatten(1, (c, 4, 4))),
                discriminator=lambda c=channels: nn.Sequential(nn.Flatten(), nn.Linear(16 * c, 1)),
                data=data,
                latent_size=4,
            )


@pytest.mark.parametrize("precision", [torch.float64, torch.float16, torch.bfloat16])
def test_modules_of_another_precision_are_trained_in_the_tasks(precision):
    task = points(generator=lambda: nn.Linear(4, 2).to(precision), discriminator=lambda: nn.Linear(2, 1).to(precision))
    env = gym.make("gan_env/LearningRate-v0", task=task, episode_updates=2)
    env.reset(seed=0)
    for _ in range(2):
        *_, info = env.step(env.action_space.sample())
    assert np.isfinite(info["score"]) and env.unwrapped.generator().weight.dtype == torch.float32


def test_forty_pictures_are_enough_for_the_quality_that_they_get():
    task = pictures(nn.Tanh(), UNIT[:40] / 2 - 1)
    assert len(task.data) == 30 and len(task.data.validation()) == len(task.data.test()) == 5
    assert 0 <= task.score.floor() < task.quality.worst


class GroupsOfTwo(nn.Module):
    def forward(self, samples):
        groups = samples.view(2, -1, samples.shape[-1])  # as a minibatch's standard deviation is computed
        return samples + groups.std(0, unbiased=False).mean()


@pytest.mark.parametrize(("layer", "batch_size"), [(lambda: nn.BatchNorm1d(16), 1), (GroupsOfTwo, 5)])
@pytest.mark.filterwarnings("ignore:.*keeps state")
def test_a_batch_size_that_a_layer_refuses_is_named(layer, batch_size):
    task = Task(
        generator=lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)),
        discriminator=lambda: nn.Sequential(nn.Linear(2, 16), layer(), nn.LeakyReLU(0.2), nn.Linear(16, 1)),
        data=torch.randn(96, 2),
        latent_size=4,
    )
    env = gym.make("gan_env/LearningRate-v0", task=task, batch_size=batch_size)
    with pytest.raises(ValueError, match=f"^batch_size={batch_size} does not go through .*; choose another"):
        env.reset(seed=0)
