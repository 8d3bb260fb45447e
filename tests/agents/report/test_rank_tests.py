"""Ranks and their tests: against SciPy, published tables and calculations by hand."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from agents.report.rank_tests import (
    against,
    block_ranks,
    cliques,
    critical_difference,
    friedman,
    holm,
    nemenyi,
)

DEMSAR = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}
"""Critical values for 2 to 10 classifiers, Demsar 2006, table 5(a)."""


def friedman_of_ranks(average, blocks):
    """The statistic and p from average ranks alone, without ties: Demsar 2006 (JMLR 7), §3.2.2."""
    k = len(average)
    chi2 = 12 * blocks / (k * (k + 1)) * float(((np.asarray(average) - (k + 1) / 2) ** 2).sum())
    return chi2, float(scipy_stats.chi2.sf(chi2, k - 1))


def test_friedmans_test_is_demsars_formula():
    scores = np.random.default_rng(0).normal(size=(12, 4))
    found = friedman(scores)
    assert (found.chi2, found.p) == pytest.approx(friedman_of_ranks(block_ranks(scores).mean(0), 12), rel=1e-12)


def test_friedmans_test_corrects_for_ties_and_takes_failures():
    scores = np.array([[1.0, 2.0, np.inf], [1.0, 1.0, 2.0], [3.0, 1.0, np.inf], [1.0, 2.0, 3.0]])
    plain, _ = friedman_of_ranks(block_ranks(scores).mean(0), 4)
    found = friedman(scores)
    assert found.chi2 == pytest.approx(plain / (1 - 6 / (4 * 24)), rel=1e-12)  # one tie of two in four blocks of three


def test_the_thesis_own_ranks_give_p_0052_and_not_its_0192():
    # Sim, Alt 1, Alt 5, Dynamic over 56 cells, ranks rounded to two digits; recomputed from the cells: χ² = 12.77.
    chi2, p = friedman_of_ranks([2.86, 2.43, 2.68, 2.04], 56)
    assert chi2 == pytest.approx(12.77, abs=0.1)
    assert p == pytest.approx(0.0052, abs=0.0002)
    assert friedman_of_ranks([2.88, 1.92, 2.92, 2.29], 24)[1] == pytest.approx(0.018, abs=0.0005)


@pytest.mark.parametrize("alpha", DEMSAR)
def test_nemenyis_critical_values_are_demsars(alpha):
    for k, expected in enumerate(DEMSAR[alpha], 2):
        error = np.sqrt(k * (k + 1) / (6 * 30))
        assert critical_difference(k, 30, alpha) / error == pytest.approx(expected, abs=0.002)


def test_nemenyis_p_is_alpha_at_the_critical_difference():
    apart = critical_difference(3, 20)
    p = nemenyi(np.array([1.0, 1.0 + apart, 1.0]), 20)
    assert p[0, 1] == p[1, 0] == pytest.approx(0.05, abs=1e-6)
    assert p[0, 2] == pytest.approx(1) and (np.diag(p) == 1).all()


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_p_against_a_control_by_hand():
    # Standard error √(3·4 / (6·8)) = 1/2: the differences are 1 and 2 standard errors.
    p = against(np.array([2.0, 1.5, 3.0]), 8, control=0)
    one, two = 2 * scipy_stats.norm.sf([1, 2])
    np.testing.assert_allclose(p, [1.0, max(one, 2 * two), 2 * two])


def test_failures_rank_last_and_share_their_rank():
    assert block_ranks(np.array([[np.inf, 3.0, 1.0, np.inf]])).tolist() == [[3.5, 2.0, 1.0, 3.5]]


def test_when_all_tie_there_is_no_difference():
    assert friedman(np.full((5, 3), np.inf)).p == 1.0


def test_too_little_to_test_is_refused():
    for shape in ((1, 4), (9, 2)):
        with pytest.raises(ValueError, match="needs 2 blocks and 3 controllers"):
            friedman(np.ones(shape))


def test_cliques_are_the_longest_runs_within_the_critical_difference():
    assert cliques(np.array([1.0, 1.5, 2.2, 4.0]), 1.0) == [(0, 1), (1, 2)]
    assert cliques(np.array([1.0, 1.1, 1.2]), 1.0) == [(0, 2)]
    assert cliques(np.array([1.0, 3.0, 5.0]), 1.0) == []
