"""What tables say of one proxy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from greenmachine.fitness import rank_row, tau_row
from greenmachine.fitness.report import best_tenth


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(91, 140), st.sampled_from([1, -1]))
def test_row_is_that_of_scipy(seed: int, n: int, direction: int) -> None:
    rng = np.random.default_rng(seed)
    scores, accuracy = rng.integers(9, size=n) / 1.0, rng.integers(30, size=n) / 1.0
    row = rank_row(scores, accuracy, direction)
    plain = tau_row(scores, accuracy, direction)
    assert {name: row[name] for name in plain} == pytest.approx(plain, nan_ok=True)
    expected = stats.spearmanr(direction * scores, accuracy).statistic
    assert row["spearman"] == pytest.approx(expected, abs=1e-12)
    best = accuracy >= sorted(accuracy)[-int(np.ceil(n / 10))]
    inside = stats.kendalltau(direction * scores[best], accuracy[best]).statistic
    assert row["tau_best"] == pytest.approx(inside, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("direction", [1, -1])
def test_failures_rank_last_in_either_direction(direction: int) -> None:
    accuracy = np.arange(12.0)
    scores = direction * accuracy
    scores[[0, 1, 2]] = np.nan, np.inf, -np.inf
    row = rank_row(scores, accuracy, direction)
    assert row["failed"] == 3
    tied = np.concatenate([[0.0] * 3, accuracy[3:]])
    assert row["spearman"] == pytest.approx(stats.spearmanr(tied, accuracy).statistic)


@pytest.mark.parametrize("scores", [np.full(30, np.nan), np.ones(30)])
def test_nothing_to_rank_is_undefined(scores: np.ndarray) -> None:
    row = rank_row(scores, np.arange(30.0), 1)
    assert all(np.isnan(row[name]) for name in ("tau", "spearman", "tau_best"))
    assert row["networks"] == 30


@pytest.mark.parametrize("networks", [5, 30, 90])
def test_few_of_the_best_have_no_tau(networks: int) -> None:
    row = rank_row(np.arange(float(networks)), np.arange(float(networks)), 1)
    assert row["tau"] == pytest.approx(1)
    assert np.isnan(row["tau_best"]) and np.isnan(row["standard_error_best"])


def test_best_tenth_is_rounded_up_and_keeps_ties() -> None:
    assert best_tenth(np.arange(21.0)).sum() == 3
    assert best_tenth(np.array([1.0, 5.0, 5.0, 2.0])).tolist() == [False, True, True, False]
