"""The jackknife equals leaving networks out, and predicts the spread over samples."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from greenmachine.fitness import kendall_tau, tau_difference_error, tau_standard_error


@given(st.integers(0, 2**32 - 1), st.integers(3, 20), st.integers(2, 20), st.integers(2, 20))
@settings(max_examples=100, deadline=None)
def test_equals_leaving_each_network_out(seed: int, n: int, levels: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(levels, size=n) / 1.0, rng.integers(steps, size=n) / 1.0
    left = [stats.kendalltau(np.delete(x, i), np.delete(y, i)).statistic for i in range(n)]
    tau = np.array(left)
    expected = np.sqrt((n - 1) / n * np.sum((tau - tau.mean()) ** 2))
    assert tau_standard_error(x, y) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("noise", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("digits", [0, 6])
def test_predicts_the_spread_over_samples(noise: float, digits: int) -> None:
    rng = np.random.default_rng(0)
    n, draws = 150, 400
    truth = rng.normal(size=(draws, n))
    scores = np.round(truth + noise * rng.normal(size=(draws, n)), digits)
    tau = [kendall_tau(s[None], t)[0] for s, t in zip(scores, truth, strict=True)]
    errors = [tau_standard_error(s, t) for s, t in zip(scores[:40], truth[:40], strict=True)]
    assert np.mean(errors) == pytest.approx(np.std(tau), rel=0.15)


def test_a_whole_space_takes_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    truth = np.round(rng.normal(size=32_768), 2)
    start = time.perf_counter()
    error = tau_standard_error(truth + rng.normal(size=len(truth)), truth)
    assert time.perf_counter() - start < 1.0
    assert 0.001 < error < 0.01


def test_failures_are_tied_last() -> None:
    truth = np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0])
    failed = np.array([np.nan, np.inf, -np.inf, 2.0, 1.0, 3.0])
    low = np.array([0.0, 0.0, 0.0, 2.0, 1.0, 3.0])
    assert tau_standard_error(failed, truth) == pytest.approx(tau_standard_error(low, truth))


def test_undefined_and_wrong_arguments() -> None:
    assert np.isnan(tau_standard_error([1.0, 2.0], [1.0, 2.0]))
    assert np.isnan(tau_standard_error(np.ones(5), np.arange(5)))
    assert tau_standard_error(np.arange(9), np.arange(9)) == 0.0
    with pytest.raises(ValueError, match="one length"):
        tau_standard_error(np.arange(3), np.arange(4))
    with pytest.raises(ValueError, match="finite"):
        tau_standard_error(np.arange(3), [1.0, np.nan, 2.0])


@given(st.integers(0, 2**32 - 1), st.integers(4, 20))
@settings(max_examples=50, deadline=None)
def test_difference_leaves_each_network_out_of_both(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, z = rng.normal(size=(3, n))

    def tau(scores: np.ndarray, i: int) -> float:
        return float(stats.kendalltau(np.delete(scores, i), np.delete(z, i)).statistic)

    left = np.array([tau(x, i) - tau(y, i) for i in range(n)])
    expected = np.sqrt((n - 1) / n * np.sum((left - left.mean()) ** 2))
    assert tau_difference_error(x, y, z) == pytest.approx(expected, abs=1e-9)
    assert tau_difference_error(x, x, z) == 0


def test_difference_of_scores_that_agree_is_surer_than_either() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=100)
    shared = truth + rng.normal(size=100)
    first, second = shared + rng.normal(0, 0.1, (2, 100))
    assert tau_difference_error(first, second, truth) < tau_standard_error(first, truth) / 3
