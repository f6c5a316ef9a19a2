"""The best formula of each size that a run has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.evolution.equations import equations, network_passes
from greenmachine.evolution.run_files import Checkpoint

FORMULAS = [
    "sum_layers(depth)",
    "mean_layers(depth)",
    "sum_layers(l2_norm(weight))",
    "mean_layers(l2_norm(weight))",
    "sum_layers(square(l2_norm(weight)))",
    "add(sum_layers(depth), sum_layers(l2_norm(weight)))",
    "a_word_of_another_version(depth)",
]


def checkpoint(
    hall: Sequence[tuple[str, float]], population: Sequence[tuple[str, float]]
) -> Checkpoint:
    """Return the state of a run whose formulas have these taus on train."""
    famous = [
        {
            "expression": text,
            "direction": 1,
            "size": 9,
            "train": 0.1,
            "validation": 0.2,
            "objective": {"train": [tau], "validation": [0.5]},
            "tau": {"train": [tau, tau], "validation": [0.5, 0.7]},
            "generation": 1,
        }
        for text, tau in hall
    ]
    individuals = [
        {"tree": t, "fitness": [x], "direction": -1, "values": [x], "tau": [x], "failures": 0}
        for t, x in population
    ]
    state = {
        "generation": 1,
        "individuals": 2,
        "random": (3, [1], None),
        "population": individuals,
        "hall": famous,
    }
    row = [{"generation": 1}]
    return Checkpoint.model_validate(
        {"search": state, "history": row, "primitives": row, "seconds": 1.0}
    )


ROWS = st.lists(st.tuples(st.sampled_from(FORMULAS), st.floats(-1, 1)), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(ROWS, ROWS)
def test_no_smaller_formula_is_as_good(
    hall: list[tuple[str, float]], population: list[tuple[str, float]]
) -> None:
    front = equations(checkpoint(hall, population))
    assert [e.size for e in front] == sorted({e.size for e in front})
    assert [e.train for e in front] == sorted({e.train for e in front})
    known = [(text, tau) for text, tau in [*hall, *population] if "version" not in text]
    first = {}  # of one formula twice, the first row counts
    for text, tau in known:
        first.setdefault(text, tau)
    if first:
        assert front[-1].train == pytest.approx(max(first.values()))
    assert len({e.formula for e in front}) == len(front)


def test_the_hall_of_fame_alone_has_a_validation() -> None:
    front = equations(checkpoint([(FORMULAS[0], 0.3)], [(FORMULAS[2], 0.4), (FORMULAS[0], 0.9)]))
    assert [(e.formula, e.train, e.direction) for e in front] == [
        (FORMULAS[0], 0.3, 1),
        (FORMULAS[2], 0.4, -1),
    ]
    assert front[0].validation == pytest.approx(0.6)
    assert math.isnan(front[1].validation)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("sum_layers(l2_norm(weight))", 1),
        ("sum_layers(l2_norm(noise_input))", 1),
        ("sum_layers(l2_norm(noise_weight_grad))", 2),
        ("sum_layers(l2_norm(perturbed_weight_grad))", 4),
        ("sum_layers(dot(data_weight_grad, noise_weight_grad))", 4),
        ("mean_valid_layers(layer_mean(random_wt))", 1),
        ("mean_valid_layers(layer_mean(pass_grad))", 2),
    ],
)
def test_cost_counts_passes(text: str, passes: int) -> None:
    assert network_passes(text) == passes
