"""The greedy search for products of powers."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.products import Task, expression, search, usable
from greenmachine.language import parse

FACTORS = [
    "sum_layers(l2_norm(weight))",
    "max_layers(std(weight))",
    "last_layer(mean_abs(weight))",
    "mean_log_layers(numel(weight))",
]


def tasks(number: int = 2) -> list[Task]:
    """Accuracies that are the product of the first factor and a power of the third one."""
    found = []
    for seed in range(number):
        values = np.exp(np.random.default_rng(seed).normal(size=(len(FACTORS), 80)))
        found.append(Task(f"task {seed}", values, values[0] * values[2] ** -0.5))
    return found


@pytest.mark.parametrize("worst", [0.0, 0.5])
def test_a_product_is_found_and_is_an_expression(worst: float) -> None:
    given = tasks()
    kept = usable(given, FACTORS, None)
    assert kept == [0, 1, 2, 3]
    best = search(given, kept, worst=worst, factors=2, beam=4)
    assert [len(each[0]) for each in best] == [1, 2]
    product = best[1][0]
    assert dict(product) in ({0: 1.0, 2: -0.5}, {0: 2.0, 2: -1.0})
    assert [task.tau(product) for task in given] == pytest.approx([1, 1])
    parsed = parse(expression(product, FACTORS))
    assert parsed.terminals == {"weight"}


def test_a_search_begins_with_a_product() -> None:
    given = tasks()
    best = search(given, [1, 2, 0], worst=0, factors=1, beam=2, start=((0, 1.0),))
    assert best[0][0] == ((0, 1.0), (2, -0.5))


def test_factors_that_are_not_positive_or_alike_are_left_out() -> None:
    given = tasks()
    given[1].values[1, 3] = 0  # no logarithm
    for task in given:
        task.values[3] = task.values[0] * 5  # ranks alike
    assert usable(given, FACTORS, None) in ([0, 2], [2, 3])
    given[0].values[2, 5] = np.nan
    assert len(usable(given, FACTORS, None)) == 1


def test_a_network_without_a_value_ranks_last() -> None:
    (task,) = tasks(1)
    whole = task.tau(((0, 1.0), (2, -0.5)))
    task.values[0, int(task.accuracy.argmax())] = np.nan
    assert task.tau(((0, 1.0), (2, -0.5))) < whole - 0.01
