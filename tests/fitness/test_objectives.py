"""Objectives: against plain formulas, in both directions, with ties and failures; of functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from greenmachine.config import RunConfig, load_config
from greenmachine.errors import ConfigError, RunError
from greenmachine.fitness import Fitness, KendallTau, Objective, Task, directed_tau
from greenmachine.fitness.measures import weighted_tau
from greenmachine.fitness.objectives import objective

Floats = npt.NDArray[np.float64]

N = 40
RNG = np.random.default_rng(7)
TRUTH = np.round(RNG.uniform(20, 95, N), 0)  # with ties
SCHEMES = ("kendall", "spearman", "weighted_tau", "tau_of_best", "ndcg_of_best")


@pytest.fixture(autouse=True)
def own_members() -> Iterator[None]:
    """Take out what a test has registered."""
    known = dict(Objective.members)
    yield
    Objective.members.clear()
    Objective.members.update(known)


def plain_gain(scores: Floats, truth: Floats, first: int) -> float:
    """nDCG by its definition; ties share the mean of the gains of their places' networks."""
    gains = 2**truth - 1

    def total(values: Floats) -> float:
        ranked = sorted(range(len(values)), key=lambda i: -values[i])
        shared = [gains[values == values[i]].mean() for i in ranked]
        return sum(g / math.log2(2 + j) for j, g in enumerate(shared[:first]))

    best = sum(g / math.log2(2 + j) for j, g in enumerate(sorted(gains, reverse=True)[:first]))
    return total(scores) / best


def plain_of_best(scores: Floats, truth: Floats) -> float:
    best = np.sort(truth)[-math.ceil(0.1 * len(truth))]
    inside = truth >= best
    return float(stats.kendalltau(scores[inside], truth[inside]).statistic)


PLAIN: dict[str, Callable[[Floats, Floats], float]] = {
    "kendall": lambda s, t: float(stats.kendalltau(s, t).statistic),
    "spearman": lambda s, t: float(stats.spearmanr(s, t).statistic),
    "weighted_tau": lambda s, t: float(stats.weightedtau(s, t).statistic),
    "tau_of_best": plain_of_best,
    "ndcg_of_best": lambda s, t: plain_gain(s, t, math.ceil(0.1 * len(t))),
}


def made(scheme: str) -> Objective:
    return Objective.make({"scheme": scheme, "parsimony": 0})


def fitness(scheme: str, truth: Floats = TRUTH) -> Fitness:
    return Fitness([Task("a", "x", np.arange(len(truth)), truth)], made(scheme))


def matrix(rows: int, n: int = N) -> Floats:
    """Scores of all sorts: continuous, and with many ties."""
    scores = RNG.normal(size=(rows, n)) + np.linspace(-1, 1, rows)[:, None] * np.arange(n) / n
    scores[::2] = np.round(scores[::2], 1)
    return scores


def test_every_kind_has_a_plain_formula() -> None:
    assert tuple(Objective.members) == SCHEMES == tuple(PLAIN)
    assert isinstance(Objective.make({}), KendallTau)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_values_are_those_of_the_plain_formula_in_both_directions(scheme: str) -> None:
    scores = matrix(30)
    scores[5, :4] = np.nan  # failed: below all others in either direction
    scores[6, [3, 9]] = [np.inf, -np.inf]
    for direction in (1, -1):
        found = fitness(scheme).evaluate({"x": scores}, np.ones(30), np.full(30, direction))
        low = np.where(np.isfinite(scores), direction * scores, -1e6)
        expected = [PLAIN[scheme](row, TRUTH) for row in low]
        np.testing.assert_allclose(found.values[:, 0], expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(found.tau[:, 0], directed_tau(scores, TRUTH, direction))
        alone = [made(scheme).value(row, TRUTH, direction) for row in scores]
        np.testing.assert_array_equal(found.values[:, 0], alone)


@pytest.mark.parametrize("n", [499, 520])
def test_weighted_tau_of_large_samples(n: int) -> None:
    truth, scores = np.round(RNG.normal(size=n), 1), matrix(3, n)
    expected = [stats.weightedtau(row, truth).statistic for row in scores]
    np.testing.assert_allclose(weighted_tau(scores, truth), expected, rtol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_better_direction_is_taken(scheme: str) -> None:
    scores = np.stack([TRUTH, -TRUTH])
    found = fitness(scheme).evaluate({"x": scores}, [1, 1])
    assert found.direction.tolist() == [1, -1]
    np.testing.assert_allclose(found.values, 1.0)
    np.testing.assert_allclose(found.tau, 1.0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_ranks_nothing_is_worst(scheme: str) -> None:
    failed = np.where(np.arange(N) < N // 2 + 1, np.nan, TRUTH)
    scores = np.stack([np.ones(N), np.full(N, np.nan), failed, np.full(N, np.inf)])
    found = fitness(scheme).evaluate({"x": scores}, np.ones(4))
    assert (found.values == -1).all() and (found.tau == -1).all() and (found.fitness == -1).all()
    assert math.isnan(made(scheme).value(scores[0], TRUTH))


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_increasing_function_keeps_the_value_and_the_company_plays_no_part(
    scheme: str, data: st.DataObject
) -> None:
    numbers = st.lists(st.integers(-8, 8), min_size=N, max_size=N)
    scores = np.array([data.draw(numbers) for _ in range(3)], dtype=np.float64)
    together = fitness(scheme).evaluate({"x": scores}, np.ones(3))
    assert np.isfinite(together.values).all() and (np.abs(together.values) <= 1).all()
    again = fitness(scheme).evaluate({"x": scores**3 + 5 * scores}, np.ones(3))
    np.testing.assert_array_equal(again.values, together.values)
    for place, row in enumerate(scores):
        alone = fitness(scheme).evaluate({"x": row[None]}, [1])
        np.testing.assert_array_equal(alone.values[0], together.values[place])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_chance_is_the_spread_of_unrelated_rankings(scheme: str) -> None:
    unrelated = np.random.default_rng(1).permuted(np.tile(np.arange(N), (2000, 1)) * 1.0, axis=1)
    spread = float(np.std(made(scheme).measure(TRUTH)(unrelated)))
    assert made(scheme).chance(TRUTH) == pytest.approx(spread, rel=0.2)


def test_too_few_of_the_best_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"task a: .*larger share"):
        fitness("tau_of_best", TRUTH[:12])
    assert math.isnan(made("tau_of_best").value(TRUTH[:12], TRUTH[:12]))


def test_settings_as_they_stand_in_a_file() -> None:
    assert load_config(None, {"objective.aggregate": "min"}).objective == KendallTau(
        aggregate="min"
    )
    config = load_config(None, {"objective": "tau_of_best", "objective.share": 0.2})
    assert config.objective.written() == {
        "scheme": "tau_of_best",
        "aggregate": "mean",
        "parsimony": 0.0005,
        "share": 0.2,
    }
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ConfigError, match="share"):
        load_config(None, {"objective": {"scheme": "ndcg_of_best", "share": 0}})
    with pytest.raises(ConfigError, match=", ".join(SCHEMES)):
        load_config(None, {"objective": "tau"})


# --- functions of users ---------------------------------------------------------------------------


def regret(scores: Floats, truth: Floats) -> float:
    """Percent that the network that ranks first lacks of the best."""
    return float(truth.max() - truth[scores.argmax()])


def pearson(scores: Floats, truth: Floats) -> float:
    return float(np.corrcoef(scores, truth)[0, 1])


def pearsons(scores: Floats, truth: Floats) -> Floats:
    centred, true = scores - scores.mean(axis=1, keepdims=True), truth - truth.mean()
    length = np.linalg.norm(centred, axis=1) * np.linalg.norm(true)
    return np.asarray((centred * true).sum(axis=1) / length)


def test_a_function_is_an_objective() -> None:
    kind = objective(regret, greater_is_better=False)
    assert Objective.members["regret"] is kind
    assert load_config(None, {"objective": "regret"}).objective == kind()
    assert load_config(None, {"objective": kind}).objective == kind()
    truth = np.array([10.0, 40.0, 90.0, 85.0])
    tasks = [Task("a", "x", np.arange(4), truth)]
    scores = np.array([[1.0, 2, 3, 4], [1, 2, 4, 3], [9, 8, 1, 7], [1, 1, 1, 1]])
    found = Fitness(tasks, kind(parsimony=0)).evaluate({"x": scores}, np.ones(4))
    # Low scores are good of the third; what ranks nothing is as bad as the reversed truth.
    assert found.values[:, 0].tolist() == [-5, 0, 0, -80]
    assert found.direction.tolist()[2] == -1


def test_a_decorator_and_a_vectorised_function_say_the_same() -> None:
    one = objective(greater_is_better=True, name="one")(pearson)
    many = objective(pearsons, vectorised=True)
    scores = matrix(20)
    scores[3, :5] = np.nan
    values = [
        Fitness([Task("a", "x", np.arange(N), TRUTH)], kind()).evaluate({"x": scores}, np.ones(20))
        for kind in (one, many)
    ]
    np.testing.assert_allclose(values[0].values, values[1].values)


@pytest.mark.parametrize("low", [0.0, 1.0, -1e300, 1e-300, -1.7976931348623157e308])
def test_failed_networks_come_as_finite_scores_below_all_others(low: float) -> None:
    seen: list[Floats] = []

    def lowest(scores: Floats, truth: Floats) -> float:
        seen.append(scores.copy())
        return float(stats.kendalltau(scores, truth).statistic)

    kind = objective(lowest)
    seen.clear()
    row = np.array([np.nan, np.inf, low, low + max(1.0, abs(low) * 1e-3), -np.inf, low + 1e305])
    truth = np.arange(6.0)
    kind().value(row, truth)
    (given_scores,) = seen
    failed = ~np.isfinite(row)
    assert np.isfinite(given_scores).all()
    assert given_scores[failed].max() < given_scores[~failed].min()
    assert len(set(given_scores[failed])) == 1
    order = np.argsort(row[~failed], kind="stable")
    assert (np.argsort(given_scores[~failed], kind="stable") == order).all()


def mutating(scores: Floats, truth: Floats) -> float:
    scores.sort()
    return 1.0


def mutating_truth(scores: Floats, truth: Floats) -> float:
    value = pearson(scores, truth)
    truth[0] = 0.0
    return value


_calls = count()


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (pearson, {"greater_is_better": False}, "greater_is_better"),
        (regret, {}, "greater_is_better"),
        (lambda s, t: 1.0, {"name": "same"}, "greater_is_better"),
        (lambda s, t: math.nan, {"name": "nan"}, "finite"),
        (lambda s, t: s, {"name": "rows"}, "one number"),
        (lambda s, t: None, {"name": "none"}, "TypeError"),
        (lambda s: 1.0, {"name": "few"}, "argument"),
        (lambda s, t: 1 / 0, {"name": "raises"}, "ZeroDivisionError"),
        (lambda s, t: float(next(_calls)), {"name": "chance"}, "two calls"),
        (lambda s, t: pearsons(s, t)[:1], {"name": "shape", "vectorised": True}, "row"),
        (
            lambda s, t: pearsons(s, t) + len(s),
            {"name": "company", "vectorised": True},
            "other rows",
        ),
        (pearson, {"vectorised": True}, "pearson"),
        (mutating, {}, "copy"),
        (mutating_truth, {}, "copy"),
        (lambda s, t: 1.0, {}, "name="),
        (pearson, {"name": "kendall"}, "another name"),
        ("pearson", {}, "function"),
    ],
)
def test_what_is_no_objective_is_refused_in_one_line(
    function: Any, options: dict[str, Any], message: str
) -> None:
    known = dict(Objective.members)
    with pytest.raises(ConfigError, match=message) as raised:
        objective(function, **options)
    assert "\n" not in str(raised.value)
    assert Objective.members == known


def test_a_function_that_fails_later_is_named() -> None:
    def fragile(scores: Floats, truth: Floats) -> float:
        if len(truth) == N:
            raise KeyError("gone")
        return pearson(scores, truth)

    kind = objective(fragile)
    with pytest.raises(RunError, match=r"fragile.*gone"):
        Fitness([Task("a", "x", np.arange(N), TRUTH)], kind())
