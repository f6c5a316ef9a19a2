"""The greedy search for sums."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.sums import (
    SOURCES,
    Cells,
    Doubles,
    Task,
    expression,
    rounded,
    search,
    terms_of,
    total,
)
from greenmachine.language import canonical, parse
from greenmachine.proxies import ExpressionProxy

FACTORS = [
    "sum_layers(l2_norm(noise_weight_grad))",
    "max_layers(std(noise_weight_grad))",
    "last_layer(mean_abs(noise_weight_grad))",
    "min_layers(largest(noise_weight_grad))",
]
FUNCTIONS = 60


@pytest.fixture
def values() -> dict[str, Doubles]:
    """Scores of the factors on each function, by data set."""
    return {
        name: np.random.default_rng(seed).normal(size=(len(FACTORS), FUNCTIONS))
        for seed, name in enumerate(dict.fromkeys(SOURCES.values()))
    }


def cells_of(values: dict[str, Doubles]) -> Cells:
    """Cells whose accuracy is the first score less .4 of tanh of the third one; one large group."""
    function = np.concatenate([np.arange(FUNCTIONS), np.zeros(30, dtype=np.int64)])
    truth = {name: v[0] - 0.4 * np.tanh(v[2]) / np.tanh(v[2]).std() for name, v in values.items()}
    noise = np.random.default_rng(5).normal(size=len(function)) * 1e-6
    return Cells(function, {name: truth[at][function] + noise for name, at in SOURCES.items()})


def test_the_missing_term_is_found_and_is_an_expression(values: dict[str, Doubles]) -> None:
    cells = cells_of(values)
    terms = terms_of(FACTORS, values)
    start = {name: v[0].astype(np.float32) for name, v in values.items()}
    every = np.ones(FUNCTIONS, dtype=bool)
    before = cells.tau(start, every)
    (best, *_), *_ = search(start, terms, cells, every, length=1, beam=2, seed=1)
    ((term, number),) = best
    assert terms.texts[term] == f"tanh({FACTORS[2]})"
    assert number == -0.4
    after = cells.tau(total(start, terms, best), every)
    assert (after > before).all() and (after[:, 1] > 0.97).all()
    ((same, factor),) = factors = rounded(terms, best, 2.0)
    assert same == term and factor == float(f"{-0.8 / terms.scales[term]:.2g}")
    sums = [expression(FACTORS[0], direction, terms, factors) for direction in (1, -1)]
    starts = (FACTORS[0], f"scale({FACTORS[0]}, -1.0)")
    for text, first in zip(sums, starts, strict=True):
        expected = parse(f"add({first}, scale(tanh({FACTORS[2]}), {factor}))")
        assert text == str(canonical(expected))


def test_a_search_sees_only_the_allowed_functions(values: dict[str, Doubles]) -> None:
    cells = cells_of(values)
    terms = terms_of(FACTORS, values)
    start = {name: v[0].astype(np.float32) for name, v in values.items()}
    allowed = np.arange(FUNCTIONS) < 40
    found = search(start, terms, cells, allowed, length=1, beam=2, seed=1)
    for accuracy in cells.accuracy.values():
        accuracy[~allowed[cells.function]] *= -1
    assert search(start, terms, cells, allowed, length=1, beam=2, seed=1) == found


def test_a_function_counts_once_or_as_often_as_the_space_has_it(values: dict[str, Doubles]) -> None:
    cells = cells_of(values)
    assert cells.large.tolist() == [True] + [False] * (FUNCTIONS - 1)
    every = np.ones(FUNCTIONS, dtype=bool)
    assert len(cells.of(every)) == FUNCTIONS + 30
    once = cells.different(cells.of(every), np.random.default_rng(0))
    assert sorted(cells.function[once]) == list(range(FUNCTIONS))


def test_terms_without_values_or_with_outliers_or_alike_are_left_out(
    values: dict[str, Doubles],
) -> None:
    for each in values.values():
        each[1] = 3.0  # constant
        each[2, 4] = np.nan
        each[3] = each[0] * 5 + 1  # the same, but for a unit: changes differ
    texts = terms_of(FACTORS, values).texts
    assert not any("max_layers" in text or "last_layer" in text for text in texts)
    assert FACTORS[0] in texts and FACTORS[3] not in texts
    values["cifar10"][0, 7] = 1e6
    assert FACTORS[0] not in terms_of(FACTORS, values).texts


def test_a_fold_is_tested_alone_and_with_the_large_functions(values: dict[str, Doubles]) -> None:
    cells = cells_of(values)
    start = {name: v[0].astype(np.float32) for name, v in values.items()}
    proxy = ExpressionProxy(name="start", expression=FACTORS[0], reference="here")
    task = Task(proxy, 1.0, start, terms_of(FACTORS, values), cells)
    rows = task.folds(2, 1, 2)
    assert [(row["fold"], row["terms"]) for row in rows] == [(0, 1), (1, 1)]
    assert np.all([np.array(row["fold_alone"]) > 0 for row in rows])
    best, *_ = task.sums(1, 2)
    assert parse(best["expression"]).terminals == {"noise_weight_grad"}
    assert f"scale(tanh({FACTORS[2]}), -" in best["expression"]
    assert np.all(np.array(best["tau"])[:, 1] > 0.97)
