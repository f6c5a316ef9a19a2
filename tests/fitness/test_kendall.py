"""Kendall's tau-b equals SciPy's on whatever path it takes, and failures rank last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from greenmachine.fitness import TauReference, directed_tau, kendall_tau
from greenmachine.fitness.kendall import _BLOCK, _FEWEST_ROWS, _LARGEST_PAIRWISE

Floats = npt.NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


def by_scipy(scores: Floats, truth: Floats) -> Floats:
    if len(truth) < 2:
        return np.full(len(scores), np.nan)
    return np.array([stats.kendalltau(row, truth).statistic for row in scores])


def assert_equals_scipy(scores: Floats, truth: Floats) -> None:
    np.testing.assert_allclose(
        kendall_tau(scores, truth), by_scipy(scores, truth), rtol=0, atol=1e-12, equal_nan=True
    )


@given(SEEDS, st.integers(1, 24), st.integers(1, 12), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_equals_scipy_with_any_ties(seed: int, n: int, rows: int, levels: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    assert_equals_scipy(
        rng.integers(levels, size=(rows, n)) / 7.0, rng.integers(steps, size=n) / 3.0
    )


@pytest.mark.parametrize("rows", [_FEWEST_ROWS - 1, _FEWEST_ROWS, _BLOCK + 3])
@pytest.mark.parametrize("n", [2, 3, 255, 256, 257, 513])
def test_equals_scipy_where_the_integers_change(n: int, rows: int) -> None:
    rng = np.random.default_rng(n)
    truth = np.round(rng.normal(size=n), 1)
    scores = truth + rng.normal(size=(rows, n))
    scores[::2] = np.round(scores[::2])
    scores[-1] = np.sort(scores[-1])[::-1]
    assert_equals_scipy(scores, truth)


@pytest.mark.parametrize("n", [_LARGEST_PAIRWISE - 1, _LARGEST_PAIRWISE, _LARGEST_PAIRWISE + 1])
@pytest.mark.parametrize("levels", [2, 10_000])
def test_equals_scipy_around_the_switch(n: int, levels: int) -> None:
    rng = np.random.default_rng(n)
    truth = rng.integers(levels, size=n).astype(np.float64)
    assert_equals_scipy(truth * np.linspace(-1, 1, 9)[:, None] + rng.normal(size=(9, n)), truth)


@pytest.mark.parametrize("n", [1024, 1500, 2049])
@pytest.mark.parametrize("steps", [2, 40, 10_000])
def test_equals_scipy_on_thousands_of_networks(n: int, steps: int) -> None:
    rng = np.random.default_rng(n + steps)
    truth = rng.integers(steps, size=n).astype(float)
    levels = np.array([[3], [n // 4], [10 * n]] * _FEWEST_ROWS)
    scores = rng.integers(levels, size=(len(levels), n)) + truth * rng.normal(size=(len(levels), 1))
    assert_equals_scipy(scores, truth)


@given(SEEDS, st.integers(2, 300))
@settings(max_examples=40, deadline=None)
def test_a_row_alone_has_the_same_bits_as_in_a_block(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores, reference = rng.integers(n, size=(10, n)), TauReference(rng.integers(n, size=n))
    np.testing.assert_array_equal(reference(scores), [reference(row[None])[0] for row in scores])


@pytest.mark.parametrize("n", [300, 1500])
def test_extreme_orders(n: int) -> None:
    truth = np.arange(n, dtype=np.float64)
    scores = np.repeat([truth, -truth], 5, axis=0)
    assert kendall_tau(scores, truth).tolist() == pytest.approx([1.0] * 5 + [-1.0] * 5)


@pytest.mark.parametrize("rows", [2, 20])
def test_constant_rows_and_nan_rows_are_nan_and_infinities_are_extremes(rows: int) -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    scores = np.tile(truth, (rows, 1))
    scores[0] = 5.0
    scores[1, 2] = np.nan
    tau = kendall_tau(scores, truth)
    assert np.isnan(tau[:2]).all() and (tau[2:] == 1.0).all()
    scores[:] = [-np.inf, 0.0, 1.0, np.inf]
    assert kendall_tau(scores, truth) == pytest.approx(1.0)
    scores[:] = np.inf
    assert np.isnan(kendall_tau(scores, truth)).all()


def test_undefined_where_the_truth_is_constant_or_too_short() -> None:
    assert np.isnan(kendall_tau(np.random.default_rng(0).normal(size=(9, 4)), np.ones(4))).all()
    assert np.isnan(kendall_tau(np.ones((9, 1)), np.ones(1))).all()
    assert np.isnan(kendall_tau(np.ones((9, 0)), np.ones(0))).all()
    assert kendall_tau(np.ones((0, 3)), np.arange(3)).shape == (0,)


def test_zero_has_one_sign() -> None:
    scores = np.array([[0.0, -0.0, 1.0]] * _FEWEST_ROWS)
    assert_equals_scipy(scores, np.array([1.0, 2.0, 3.0]))


def test_one_reference_serves_many_calls_and_leaves_its_arguments_alone() -> None:
    rng = np.random.default_rng(1)
    truth, scores = rng.normal(size=50), rng.normal(size=(30, 50))
    kept_truth, kept_scores = truth.copy(), scores.copy()
    reference = TauReference(truth)
    once = reference(scores)
    truth[:] = 0.0
    np.testing.assert_array_equal(reference(scores), once)
    np.testing.assert_array_equal(scores, kept_scores)
    np.testing.assert_array_equal(reference.truth, kept_truth)
    assert len(reference) == 50


@pytest.mark.parametrize("bad", [[1.0, np.nan], [1.0, np.inf], [[1.0, 2.0]]])
def test_truth_must_be_a_finite_vector(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        kendall_tau(np.ones((1, 2)), bad)


def test_scores_must_fit_the_truth() -> None:
    with pytest.raises(ValueError, match=r"shape \(rows, 3\)"):
        kendall_tau(np.ones((2, 4)), np.arange(3))
    with pytest.raises(ValueError, match=r"shape \(rows, 3\)"):
        kendall_tau(np.ones(3), np.arange(3))


@pytest.mark.parametrize("failure", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 20])
def test_a_failed_network_ranks_last_in_both_directions(failure: float, rows: int) -> None:
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    rising = np.tile([failure, 5.0, 6.0, 7.0], (rows, 1))
    falling = np.tile([failure, 7.0, 6.0, 5.0], (rows, 1))
    assert directed_tau(rising, truth, 1) == pytest.approx(1.0)
    assert directed_tau(falling, truth, -1) == pytest.approx(1.0)
    assert directed_tau(falling, truth, 1) == pytest.approx(0.0)


def test_failures_of_every_sort_are_tied() -> None:
    scores = np.array([[np.nan, np.inf, -np.inf, 1.0, 2.0]])
    expected = by_scipy(np.array([[0.0, 0.0, 0.0, 1.0, 2.0]]), np.arange(5.0))
    np.testing.assert_allclose(directed_tau(scores, np.arange(5), 1), expected)
    assert np.isnan(directed_tau(scores[:, :3], np.arange(3), 1)).all()


@given(SEEDS, st.integers(2, 30))
@settings(max_examples=50, deadline=None)
def test_directions_mirror_without_failures(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores, truth = rng.integers(5, size=(9, n)), rng.integers(5, size=n)
    np.testing.assert_array_equal(directed_tau(scores, truth, 1), -directed_tau(scores, truth, -1))


def test_direction_must_be_a_sign() -> None:
    with pytest.raises(ValueError, match="direction"):
        directed_tau(np.ones((1, 2)), np.arange(2), 0)
