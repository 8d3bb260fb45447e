"""Estimates and intervals: each against SciPy or a calculation by hand, and their coverage as published."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from agents.report import statistics as stats

RNG = np.random.default_rng(7)
A, B = RNG.normal(3, 1, 10), RNG.lognormal(0, 1, 13)


def test_the_t_interval_is_scipys():
    expected = scipy_stats.ttest_1samp(A, 0).confidence_interval(0.95)
    np.testing.assert_allclose(stats.t_bounds(A), [A.mean(), *expected], rtol=1e-12)


def test_over_two_strata_the_t_interval_is_welchs():
    expected = scipy_stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    found = stats.t_bounds(A, -B)  # half of mean(A) - mean(B)
    np.testing.assert_allclose(2 * np.array(found), [A.mean() - B.mean(), *expected], rtol=1e-12)


def test_intervals_of_a_batch_are_those_of_its_members():
    batch = RNG.normal(size=(4, 8))
    for function in (stats.t_bounds, stats.bootstrap_t_bounds, lambda x: stats.bootstrap_bounds(stats.iqm, x)):
        together = np.array(function(batch))
        np.testing.assert_allclose(together, np.array([function(one) for one in batch]).T, rtol=1e-10)


def test_one_value_has_an_unbounded_interval_and_equal_values_one_of_width_0():
    for function in (stats.t_bounds, stats.bootstrap_t_bounds):
        assert tuple(map(float, function(np.array([2.0])))) == (2.0, -np.inf, np.inf)
        np.testing.assert_allclose(function(np.full(5, 2.0)), [2.0, 2.0, 2.0])


def test_bootstrap_t_is_that_of_a_plain_loop():
    rng, error, t = np.random.default_rng(0), B.std(ddof=1) / np.sqrt(len(B)), []
    for _ in range(20_000):
        drawn = rng.choice(B, len(B))
        t.append((drawn.mean() - B.mean()) / (drawn.std(ddof=1) / np.sqrt(len(B))))
    low, high = np.quantile(t, [0.025, 0.975])
    found = stats.bootstrap_t_bounds(B)
    np.testing.assert_allclose(found, [B.mean(), B.mean() - high * error, B.mean() - low * error], rtol=0.06)
    assert found.high - B.mean() > 1.3 * (B.mean() - found.low)  # skewed as the values are


@pytest.mark.parametrize("statistic", [stats.mean, stats.median, stats.iqm])
def test_the_percentile_bootstrap_is_scipys_but_for_the_draws(statistic):
    expected = scipy_stats.bootstrap(
        (B,), lambda x, axis: statistic(x), method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    found = stats.bootstrap_bounds(statistic, B)
    assert float(found.value) == statistic(B)
    np.testing.assert_allclose([found.low, found.high], expected, rtol=0.04)


def test_strata_are_drawn_within_themselves():
    found = stats.bootstrap_bounds(stats.mean, np.full(5, 1.0), np.full(5, 3.0))
    assert tuple(map(float, found)) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("n", [3, 4, 10, 11])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n):
    values = RNG.lognormal(size=n)
    assert stats.iqm(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25), rel=1e-12)


def test_the_probability_of_improvement_is_mann_and_whitneys():
    expected = 1 - scipy_stats.mannwhitneyu(A, A[::-1] + 0.5).statistic / 100
    assert float(stats.improvement_bounds((A, A[::-1] + 0.5)).value) == pytest.approx(expected)


def test_failures_lose_to_all_and_tie_with_each_other():
    first, second = np.array([1.0, np.inf]), np.array([2.0, np.inf])
    assert float(stats.improvement_bounds((first, second)).value) == (1 + 1 + 0 + 0.5) / 4


def test_improvement_is_averaged_over_configurations():
    better, worse = (np.zeros(4), np.ones(4)), (np.ones(4), np.zeros(4))
    assert tuple(map(float, stats.improvement_bounds(better, worse))) == (0.5, 0.5, 0.5)


def test_a_profile_is_the_share_at_or_below_with_failures_never():
    found = stats.profile_bounds(np.array([1.0, 2.0, 1e9]), np.array([1.0, 2.0, 3.0, np.inf]), np.array([2.0, 2.0]))
    np.testing.assert_allclose(found.value, [0.125, 0.75, 0.875])
    assert (found.low <= found.value).all() and (found.value <= found.high).all()


@pytest.mark.parametrize(("failed", "n"), [(0, 10), (3, 10), (10, 10), (7, 50)])
def test_the_failure_rates_interval_is_wilsons(failed, n):
    expected = scipy_stats.binomtest(failed, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(stats.wilson_bounds(np.array(failed), n), [failed / n, *expected], atol=1e-12)


def test_the_area_over_log_rate_by_hand():
    rates = np.array([1e-4, 1e-3, 1e-1])
    assert stats.area_over_log_rate(rates, np.full(3, 5.0)) == pytest.approx(5.0)
    # Two trapezoids, one decade wide and two: (1·(2 + 4)/2 + 2·(4 + 1)/2) / 3
    assert stats.area_over_log_rate(rates, np.array([2.0, 4.0, 1.0])) == pytest.approx(8 / 3)
    with pytest.raises(ValueError, match="two or more positive rates that rise"):
        stats.area_over_log_rate(rates[::-1], np.ones(3))


def test_intervals_are_seeded_and_leave_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    first, again = (stats.bootstrap_bounds(stats.median, A) for _ in range(2))
    assert first == again and first != stats.bootstrap_bounds(stats.median, A, seed=1)
    assert (np.random.get_state()[1] == before).all()


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="inf is not finite"):
        stats.mean_interval([1.0, np.inf])
    with pytest.raises(ValueError, match="at least one value"):
        stats.mean_interval([])


def test_the_published_coverage_is_the_simulations():
    lines = (Path(__file__).parents[3] / "benchmarks/results/coverage.txt").read_text().splitlines()[2:]
    found = [re.fullmatch(r"(.+?) +([\d.]+) +([\d.]+)", line) for line in lines]
    assert {m[1]: (float(m[2]), float(m[3])) for m in found if m} == stats.COVERAGE
    assert 0.93 <= stats.COVERAGE["t of paired differences"][0] <= 0.97


@pytest.mark.slow
def test_simulated_coverage_is_what_is_published_and_paired_means_cover_as_they_say():
    from benchmarks.coverage import simulate

    found = simulate(repeats=4_000, seed=1)
    assert found.keys() == stats.COVERAGE.keys()
    for kind, covered in found.items():
        # Four standard errors of a share near 0.95 from 4,000 and 10,000 data sets.
        np.testing.assert_allclose(covered, stats.COVERAGE[kind], atol=0.025, err_msg=kind)
    for kind in ("t of paired differences", "bootstrap-t of paired differences"):
        assert 0.93 <= found[kind][0] <= 0.97
