"""One direction for all tasks, failures last, parsimony subtracted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from greenmachine.errors import ConfigError
from greenmachine.fitness import Fitness, KendallTau, Task, directed_tau

N = 12
RISING = np.arange(N, dtype=np.float64)
ALL = np.arange(N)


def task(name: str, truth: Any = RISING, scores: str = "x", index: Any = ALL) -> Task:
    return Task(name, scores, np.asarray(index), np.asarray(truth, dtype=np.float64))


def fitness(tasks: list[Task], **settings: Any) -> Fitness:
    return Fitness(tasks, KendallTau(**{"parsimony": 0.0, **settings}))


def shuffled(seed: int) -> Any:
    return np.random.default_rng(seed).permutation(RISING)


def test_the_better_direction_is_chosen_and_parsimony_subtracted() -> None:
    scores = {"x": np.stack([RISING, -RISING])}
    result = fitness([task("a")], parsimony=0.01).evaluate(scores, sizes=[3, 5])
    assert result.direction.tolist() == [1, -1]
    np.testing.assert_allclose(result.tau, [[1.0], [1.0]])
    np.testing.assert_allclose(result.aggregate, [1.0, 1.0])
    np.testing.assert_allclose(result.fitness, [0.97, 0.95])
    assert result.failures.tolist() == [0, 0]


def test_one_direction_holds_for_all_tasks() -> None:
    tasks = [task("a"), task("b", -RISING), task("c", -RISING)]
    for aggregate, direction, value in (("mean", -1, 1 / 3), ("min", 1, -1.0)):
        result = fitness(tasks, aggregate=aggregate).evaluate({"x": RISING[None]}, [1])
        assert result.direction.tolist() == [direction]
        np.testing.assert_allclose(result.tau, direction * np.array([[1.0, -1.0, -1.0]]))
        np.testing.assert_allclose(result.fitness, [value])


def test_mean_and_minimum_of_many() -> None:
    rng = np.random.default_rng(0)
    scores = {"x": rng.normal(size=(40, N)), "y": rng.normal(size=(40, N))}
    tasks = [task("a"), task("b", shuffled(1), "y"), task("c", shuffled(2)[:7], "y", ALL[::-1][:7])]
    up = np.stack([directed_tau(scores[t.scores][:, t.index], t.truth, 1) for t in tasks], axis=1)
    mean = fitness(tasks).evaluate(scores, np.ones(40))
    np.testing.assert_allclose(mean.fitness, np.abs(up.mean(axis=1)))
    least = fitness(tasks, aggregate="min").evaluate(scores, np.ones(40))
    np.testing.assert_allclose(least.fitness, np.maximum(up.min(axis=1), (-up).min(axis=1)))
    np.testing.assert_allclose(least.tau, least.direction[:, None] * up)


def test_fixed_directions_are_kept() -> None:
    scores = {"x": np.stack([RISING, RISING, np.full(N, np.nan)])}
    result = fitness([task("a")]).evaluate(scores, [1, 1, 1], directions=[1, -1, -1])
    assert result.direction.tolist() == [1, -1, -1]
    np.testing.assert_allclose(result.fitness, [1.0, -1.0, -1.0])


def test_constant_individuals_are_worst() -> None:
    tasks = [task("a"), task("b", index=ALL[:6], truth=RISING[:6])]
    scores = np.stack([np.ones(N), np.maximum(RISING, 5.0)])
    result = fitness(tasks, parsimony=0.1).evaluate({"x": scores}, [2, 0])
    np.testing.assert_allclose(result.tau[0], [-1.0, -1.0])
    assert result.fitness[0] == pytest.approx(-1.2)
    assert result.tau[1, 0] > 0.5 and result.tau[1, 1] == -1.0


def test_failures_rank_last_whatever_the_direction() -> None:
    truth = np.array([0.0, 1.0, 2.0, 3.0])
    scores = np.array([[np.nan, 5.0, 6.0, 7.0], [np.inf, 7.0, 6.0, 5.0]])
    result = fitness([task("a", truth, index=ALL[:4])]).evaluate({"x": scores}, [1, 1])
    np.testing.assert_allclose(result.fitness, [1.0, 1.0])
    assert result.direction.tolist() == [1, -1]
    assert result.failures.tolist() == [1, 1]


@pytest.mark.parametrize(("failed", "worst"), [(6, False), (7, True)])
def test_failing_on_more_than_half_is_worst_everywhere(failed: int, worst: bool) -> None:
    scores = RISING.copy()
    scores[:failed] = np.nan
    tasks = [task("a"), task("b", RISING[7:], index=ALL[7:])]
    result = fitness(tasks).evaluate({"x": scores[None]}, [1])
    assert result.failures.tolist() == [failed]
    assert (result.tau == -1.0).all() == worst
    if not worst:
        assert result.tau[0, 1] == pytest.approx(1.0)


def test_failures_count_a_network_once_a_matrix_and_only_where_used() -> None:
    x, y = np.tile(RISING, (1, 1)), np.tile(RISING, (1, 1))
    x[0, [0, 1]] = np.nan
    y[0, [0, 11]] = np.inf
    tasks = [task("a"), task("b"), task("c", RISING[:6], "y", ALL[:6])]
    assert fitness(tasks).evaluate({"x": x, "y": y}, [1]).failures.tolist() == [3]


def test_results_do_not_depend_on_the_company() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(30, N))
    scores[rng.random(scores.shape) < 0.1] = np.nan
    objective = fitness([task("a", shuffled(1)), task("b", shuffled(2))], aggregate="min")
    together = objective.evaluate({"x": scores}, np.ones(30))
    alone = [objective.evaluate({"x": row[None]}, [1]).fitness[0] for row in scores]
    np.testing.assert_array_equal(together.fitness, alone)


def test_nobody_to_judge() -> None:
    result = fitness([task("a")]).evaluate({"x": np.ones((0, N))}, [])
    assert result.fitness.shape == (0,) and result.tau.shape == (0, 1)


@pytest.mark.parametrize(
    ("tasks", "message"), [([], "no task"), ([task("a"), task("a")], "the same name")]
)
def test_bad_lists_of_tasks(tasks: list[Task], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fitness(tasks)


@pytest.mark.parametrize(
    "settings", [{"aggregate": "max"}, {"parsimony": -0.1}, {"parsimony": float("nan")}]
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        fitness([task("a")], **settings)


def test_bad_tasks_and_arguments() -> None:
    with pytest.raises(ConfigError, match="are equal"):
        task("a", np.ones(N))
    with pytest.raises(ValueError, match="shape"):
        task("a", RISING[:3])
    objective = fitness([task("a")])
    with pytest.raises(ValueError, match="1 or -1"):
        objective.evaluate({"x": RISING[None]}, [1], directions=[0])
    with pytest.raises(ValueError, match="shape"):
        objective.evaluate({"x": RISING[None]}, [1, 2])
    with pytest.raises(KeyError):
        objective.evaluate({"y": RISING[None]}, [1])
