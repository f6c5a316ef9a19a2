"""What tables say of one proxy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from greenmachine.fitness import ndcg, rank_row, tau_row
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


def plain_ndcg(order: list[int], accuracy: np.ndarray, first: int) -> float:
    def gain(places: list[int]) -> float:
        return sum(
            (2.0 ** accuracy[place] - 1) / np.log2(j + 1)
            for j, place in enumerate(places[:first], start=1)
        )

    return gain(order) / gain(sorted(range(len(accuracy)), key=lambda k: -accuracy[k]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([1, -1]), st.integers(1, 50))
def test_gain_is_that_of_its_definition(seed: int, n: int, direction: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    scores, accuracy = rng.normal(size=n), rng.uniform(80, 95, n)
    order = sorted(range(n), key=lambda place: -direction * scores[place])
    expected = plain_ndcg(order, accuracy, first)
    assert ndcg(scores, accuracy, direction, first) == pytest.approx(expected)
    assert ndcg(accuracy, accuracy, 1, first) == pytest.approx(1)
    assert rank_row(scores, accuracy, direction)["ndcg"] == pytest.approx(
        plain_ndcg(order, accuracy, 1000)
    )


def test_tied_networks_share_their_gain() -> None:
    accuracy = np.array([90.0, 80.0, 85.0])
    either = [plain_ndcg(order, accuracy, 2) for order in ([0, 1, 2], [1, 0, 2])]
    assert ndcg(np.array([1.0, 1.0, 0.0]), accuracy, 1, 2) == pytest.approx(np.mean(either))


def test_failed_networks_gain_last() -> None:
    accuracy = np.array([90.0, 80.0, 85.0])
    for bad in (np.nan, np.inf, -np.inf):
        found = ndcg(np.array([bad, 1.0, 2.0]), accuracy, 1)
        assert found == pytest.approx(plain_ndcg([2, 1, 0], accuracy, 1000))


def test_gain_of_no_accuracy_is_undefined() -> None:
    assert np.isnan(ndcg(np.arange(3.0), np.zeros(3), 1))
