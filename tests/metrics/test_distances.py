"""Metrics: agree with brute force and with independent formulas; one row never disturbs another."""

import copy
import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

import gan_env.tasks  # noqa: F401  registers the tasks
from gan_env.data.datasets import PlaneData, ring
from gan_env.metrics import classifiers as feature_nets
from gan_env.metrics import distances as metrics
from gan_env.metrics.scores import PlaneScore
from gan_env.tasks.task import TASKS


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fakes(task, count: int, seed: int = 0) -> torch.Tensor:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        return task.generator()(torch.randn(count, task.latent_size))


# Exact and sliced W1


def test_exact_w1_is_the_best_of_all_matchings():
    real, fake = points(6, 2), points(6, 2, seed=1)
    cost = torch.cdist(real.double(), fake.double()).numpy()
    best = min(cost[range(6), order].mean() for order in itertools.permutations(range(6)))
    assert metrics.wasserstein1(real, fake) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_exact_w1_agrees_with_an_assignment_solver(dimensions):
    real, fake = points(300, dimensions), 2 * points(300, dimensions, seed=1) + 0.5
    x, y = real.double().numpy(), fake.double().numpy()
    cost = np.linalg.norm(x[:, None] - y[None], axis=-1)
    i, j = linear_sum_assignment(cost)
    assert metrics.wasserstein1(real, fake) == pytest.approx(cost[i, j].mean(), abs=1e-10)


def test_exact_w1_of_a_moved_set_is_the_distance_moved():
    real = points(200, 2)
    assert metrics.wasserstein1(real, real + torch.tensor([3.0, 4.0])) == pytest.approx(5.0, abs=1e-6)
    assert metrics.wasserstein1(real, real.flip(0)) == pytest.approx(0.0, abs=1e-12)


def test_exact_w1_refuses_what_it_cannot_compare():
    real = points(5, 2)
    with pytest.raises(ValueError, match="equally many"):
        metrics.wasserstein1(real, real[:4])
    bad = real.clone()
    bad[0, 0], bad[1, 1] = torch.nan, torch.inf
    with pytest.raises(ValueError, match="2 of 10 values"):
        metrics.wasserstein1(real, bad)


def test_sliced_w1_is_the_mean_over_projections():
    real, fake = points(50, 2), points(50, 2, seed=1) + 1
    expected = np.mean([wasserstein_distance(real.double() @ v, fake.double() @ v) for v in metrics.directions(12)])
    got = metrics.sliced_wasserstein1(metrics.sorted_projections(real, 12), fake)
    assert got.item() == pytest.approx(expected, abs=1e-6)
    assert got.item() <= metrics.wasserstein1(real, fake)


def test_sliced_w1_of_a_moved_set_is_two_over_pi_of_the_distance():
    real = points(100, 2)
    reference = metrics.sorted_projections(real, 64)
    moved = metrics.sliced_wasserstein1(reference, torch.stack([real, real + torch.tensor([3.0, 4.0])]))
    assert moved.tolist() == pytest.approx([0.0, 5 * 2 / np.pi], rel=1e-3, abs=1e-7)


# Frechet distance


def test_frechet_distance_agrees_with_the_matrix_square_root():
    real, fake = points(400, 12).double(), (points(400, 12, seed=1) @ points(12, 12, seed=2) + 1).double()
    (m1, s1), (m2, s2) = metrics.moments(real), metrics.moments(fake)
    np.testing.assert_allclose(s2.numpy(), np.cov(fake.numpy(), rowvar=False), atol=1e-10)
    root = np.real(scipy.linalg.sqrtm(s1.numpy() @ s2.numpy()))
    expected = ((m1 - m2) ** 2).sum().item() + np.trace(s1.numpy() + s2.numpy() - 2 * root)
    assert metrics.frechet_distance(m1, s1, m2, s2).item() == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_known_gaussians():
    # Independent axes: |m|^2 plus the squared differences of the standard deviations; a flat Gaussian is allowed.
    one = torch.eye(3, dtype=torch.float64)
    flat = torch.diag(torch.tensor([9.0, 4.0, 0.0])).double()
    mean = torch.zeros(3, dtype=torch.float64)
    assert metrics.frechet_distance(mean, one, mean + 2, flat).item() == pytest.approx(12 + 4 + 1 + 1)
    assert metrics.frechet_distance(mean, flat, mean, flat).item() == pytest.approx(0, abs=1e-12)


def test_frechet_distance_of_a_batch_is_that_of_each_row():
    reference = metrics.moments(points(50, 4))
    mean, cov = metrics.moments(points(6, 30, 4, seed=1))
    together = metrics.frechet_distance(*reference, mean, cov)
    alone = torch.stack([metrics.frechet_distance(*reference, mean[i], cov[i]) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)


# Coverage


def test_modes_hit_and_share_good_count_by_the_stated_rule():
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    at = torch.zeros(100, 2)
    at[:5, 0] = 1.0 + 0.29  # a tenth of the second mode's fair share of 50, within 3 std of it
    at[5:15, 1] = 0.31  # just beyond 3 std of the first
    assert metrics.mode_coverage(at, centres, 0.1) == (2, pytest.approx(0.9))
    at[0, 0] = 2.0
    assert metrics.mode_coverage(at, centres, 0.1) == (1, pytest.approx(0.89))
    with pytest.raises(ValueError, match="NaN"):
        metrics.mode_coverage(at * torch.nan, centres, 0.1)


def test_class_coverage_counts_classes_and_compares_shares():
    reference = torch.arange(4).repeat(25)
    assert metrics.class_coverage(reference, reference, 4) == (4, 0.0)
    assert metrics.class_coverage(torch.zeros(100, dtype=torch.long), reference, 4) == (1, pytest.approx(0.75))
    one_stray = torch.cat([torch.zeros(199), torch.ones(1)]).long()
    assert metrics.class_coverage(one_stray, reference, 4)[0] == 1


# The small tasks; pictures and shapes have files of their own

OWN_TASKS = ["ring", "grid", "circle", "spiral", "line", "digits"]


@pytest.mark.parametrize("name", OWN_TASKS)
def test_players_map_the_shapes_of_their_task(name):
    task = TASKS[name]()
    assert task.name == name
    fake = fakes(task, 5)
    assert fake.shape == (5, *task.data.shape) and fake.dtype == torch.float32
    assert task.discriminator()(fake).shape in ((5,), (5, 1))


@pytest.mark.parametrize("name", OWN_TASKS)
def test_real_samples_beat_an_untrained_generator_by_far(name):
    task = TASKS[name]()
    real, fake = task.data.test(), fakes(task, max(task.quality.samples, task.score.samples))
    quality = task.quality(torch.stack([real[: task.quality.samples], fake[: task.quality.samples]]))
    if len(real) == task.quality.samples:  # a part of a balanced draw is no fair draw
        assert quality[0] < 0.1 * quality[1]
    score = copy.copy(task.score)
    if isinstance(score, PlaneScore):
        score.floor_draws = 1  # on the copy alone: half a second each
    floor, untrained = score.floor(), task.score(fake[: task.score.samples].double().requires_grad_())
    assert 0 < floor < 0.1 * untrained


@pytest.mark.parametrize("name", OWN_TASKS)
def test_worst_is_about_what_an_untrained_generator_gets(name):
    task = TASKS[name]()
    untrained = task.quality(torch.stack([fakes(task, task.quality.samples, seed) for seed in range(8)]))
    assert untrained.mean().item() == pytest.approx(task.quality.worst, rel=0.1)


@pytest.mark.parametrize("name", OWN_TASKS)
def test_a_score_refuses_bad_samples_and_wrong_counts(name):
    task = TASKS[name]()
    fake = fakes(task, task.score.samples)
    fake.flatten()[7] = torch.nan
    with pytest.raises(ValueError, match="1 of .* NaN"):
        task.score(fake)
    with pytest.raises(ValueError, match=str(task.score.samples)):
        task.score(fake[:-1])
    with pytest.raises(ValueError, match=f"{task.quality.samples} .* got 1"):
        task.quality(fake[None, :1])


def test_details_tell_a_collapsed_generator_from_a_good_one():
    task = TASKS["ring"]()
    assert task.score.details(task.data.test())["modes_hit"] == 8
    assert task.score.details(task.data.test())["share_good"] == pytest.approx(0.989, abs=0.005)
    collapsed = torch.tensor([[0.5, 0.0]]).repeat(task.score.samples, 1)
    assert task.score.details(collapsed) == {"modes_hit": 1.0, "share_good": 1.0}
    task = TASKS["digits"]()
    assert task.score.details(task.data.test())["classes_hit"] == 10
    details = task.score.details(task.data.test()[:1].repeat(400, 1, 1, 1))
    assert details["classes_hit"] == 1 and details["class_distance"] == pytest.approx(0.9)
    assert details["network"] == "digits" and details["samples"] == 400


def test_the_floors_of_the_ring_are_those_of_the_design():
    # Two balanced draws of 2,000 points: .013. A perfect generator draws independently, hence the floor is higher.
    data, other = PlaneData(ring(), test_size=2_000), PlaneData(ring(), validation_size=2_000)
    assert metrics.wasserstein1(data.test(), other.validation()) == pytest.approx(0.0135, abs=0.001)
    assert TASKS["ring"]().score.floor() == pytest.approx(0.0235, abs=0.004)
    small, other = PlaneData(ring(), test_size=1_000), PlaneData(ring(), validation_size=1_000)
    assert metrics.wasserstein1(small.test(), other.validation()) == pytest.approx(0.018, abs=0.0015)


# The feature networks


@pytest.mark.parametrize("name", list(feature_nets.FAMILIES))
def test_a_shipped_network_is_as_good_as_its_file_says(name):
    family = feature_nets.FAMILIES[name]
    found = feature_nets.accuracy(feature_nets.load(name), family.split("test"))
    assert found == pytest.approx(feature_nets.recorded_accuracy(name), abs=0.005)
    assert found >= family.least_accuracy
    assert feature_nets.file(name).stat().st_size < 300_000


def test_training_a_network_repeats_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    a, b = (feature_nets.train("digits", epochs=2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y)


def test_every_disguise_of_a_picture_is_another():
    picture = torch.rand(1, 3, 6, 6).repeat(12, 1, 1, 1)
    worn = feature_nets.disguised(picture, torch.arange(12))
    assert torch.equal(worn[0], picture[0]) and len({x.numpy().tobytes() for x in worn}) == 12
    torch.testing.assert_close(worn.flatten(1).sort().values, picture.flatten(1).sort().values)
