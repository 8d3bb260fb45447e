"""Promises of evolution strategies: they climb, they are restored by what they were told, and only ranks count."""

import numpy as np
import pytest

from agents.learned.evolution import CMA_MOST, CmaSearch, GradientSearch, PolicyShape, centred_ranks, make_search

SETTINGS = {"population": 12, "sigma": 0.3, "learning_rate": 0.05}
SIZES = [7, CMA_MOST + 5]


def score(vectors: np.ndarray) -> np.ndarray:
    target = np.linspace(-1, 1, vectors.shape[1])
    return -((vectors - target) ** 2).sum(1)


@pytest.mark.parametrize("size", SIZES)
def test_a_search_climbs_to_the_best_weights(size):
    search = make_search(np.zeros(size), SETTINGS, 0)
    assert isinstance(search, CmaSearch if size <= CMA_MOST else GradientSearch)
    before = score(search.mean[None])[0]
    for _ in range(150):
        search.tell(score(search.ask()))
    assert score(search.mean[None])[0] > 0.05 * before


@pytest.mark.parametrize("size", SIZES)
def test_vectors_come_in_pairs_about_the_mean(size):
    search = make_search(np.zeros(size), SETTINGS, 3)
    for _ in range(3):
        asked, mean = search.ask(), search.mean
        assert asked.shape == (12, size) and np.allclose((asked[:6] + asked[6:]) / 2, mean, atol=1e-12)
        search.tell(score(asked))


@pytest.mark.parametrize("size", SIZES)
def test_told_the_same_scores_a_search_goes_on_to_the_bit(size):
    one, told = make_search(np.zeros(size), SETTINGS, 5), []
    for _ in range(20):
        told.append(score(one.ask()))
        one.tell(told[-1])
    np.random.seed(123)  # nothing of it comes from the global generator
    other = make_search(np.zeros(size), SETTINGS, 5)
    for scores in told:
        other.ask()
        other.tell(scores)
    assert np.array_equal(one.ask(), other.ask()) and np.array_equal(one.mean, other.mean)
    assert not np.array_equal(one.mean, make_search(np.zeros(size), SETTINGS, 6).ask()[0])


@pytest.mark.parametrize("size", SIZES)
def test_the_global_generators_are_left_alone(size):
    before = np.random.get_state()[1].copy()
    search = make_search(np.zeros(size), SETTINGS, 1)
    search.tell(score(search.ask()))
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("size", SIZES)
def test_ranks_alone_count(size):
    one, other = (make_search(np.zeros(size), SETTINGS, 2) for _ in range(2))
    for _ in range(5):
        found = score(one.ask())
        other.ask()
        one.tell(found)
        other.tell(np.exp(found / 10) * 1e6)
    assert np.array_equal(one.mean, other.mean)


def test_the_gradient_is_that_of_the_paper():
    search = GradientSearch(np.zeros(3), {"population": 4, "sigma": 0.5, "learning_rate": 0.1}, 0)
    asked = search.ask()
    scores = np.array([3.0, 1.0, 2.0, 4.0])
    gradient = sum(u * x for u, x in zip(centred_ranks(scores), asked / 0.5, strict=True)) / (4 * 0.5)
    search.tell(scores)
    assert np.allclose(search.mean, 0.1 * np.sign(gradient), atol=1e-6)  # Adam's first step


def test_layers_are_read_from_a_vector_each_policy_on_its_own_rows():
    shape, draw = PolicyShape(4, (3,), 2), np.random.default_rng(0)
    vectors, seen = draw.normal(size=(5, shape.weights)), draw.normal(size=(5, 6, 4))
    assert shape.weights == 4 * 3 + 3 + 3 * 2 + 2
    found = shape.outputs(shape.split(vectors), seen)
    for vector, rows, out in zip(vectors, seen, found, strict=True):
        hidden = np.tanh(rows @ vector[:12].reshape(3, 4).T + vector[12:15])
        assert np.allclose(out, hidden @ vector[15:21].reshape(2, 3).T + vector[21:], atol=1e-5)
    start = shape.start(0)
    assert start[:12].any() and not start[12:].any()
