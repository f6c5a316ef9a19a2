"""Variation keeps trees typed, and draws only inside its own random state."""

from __future__ import annotations

import random

import pytest
from deap import gp
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.engine.graph import boundary_of
from greenmachine.evolution.operators import (
    MUTATIONS,
    Tuner,
    combine,
    crossover,
    half_and_half,
    mutate,
    owned_random,
    parts,
)
from greenmachine.language import Expression, canonical, parse
from greenmachine.language.grammar import Grammar
from greenmachine.primitives.registry import NETWORK_SCALAR

GRAMMAR = Grammar(["noise", "data"])
SEEDS = st.integers(0, 2**32 - 1)


def tree() -> gp.PrimitiveTree:
    return gp.PrimitiveTree(half_and_half(GRAMMAR, (2, 6)))


def assert_typed(changed: gp.PrimitiveTree) -> None:
    expression = GRAMMAR.expression(changed)  # raises where the kinds do not fit
    assert expression.kind == NETWORK_SCALAR
    assert expression.size == len(changed)
    assert parse(expression.text) == expression


@pytest.mark.parametrize("name", MUTATIONS)
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_mutation_keeps_trees_typed(name: str, seed: int) -> None:
    with owned_random(random.Random(seed).getstate()):
        changed = tree()
        MUTATIONS[name](changed, GRAMMAR)
    assert_typed(changed)


@pytest.mark.parametrize("leaf_bias", [0.0, 1.0])
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_crossover_keeps_trees_typed(leaf_bias: float, seed: int) -> None:
    with owned_random(random.Random(seed).getstate()):
        first, second = tree(), tree()
        size = len(first) + len(second)
        crossover(first, second, leaf_bias)
    assert len(first) + len(second) == size
    assert_typed(first)
    assert_typed(second)


def assert_a_score(made: Expression) -> None:
    """What was made as an expression is a tree of the grammar."""
    changed = GRAMMAR.tree(made)
    assert_typed(changed)
    assert GRAMMAR.expression(changed) == made


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_combine_holds_both_parents_whole(seed: int) -> None:
    with owned_random(random.Random(seed).getstate()):
        first, second = GRAMMAR.expression(tree()), GRAMMAR.expression(tree())
        child = combine(first, second, GRAMMAR)
    assert_a_score(child)
    assert child.args == (first, second)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_parts_are_the_scores_inside_the_tree(seed: int) -> None:
    with owned_random(random.Random(seed).getstate()):
        whole = tree()
    expected = [e for e in GRAMMAR.expression(whole).walk() if e.kind == NETWORK_SCALAR]
    assert parts(whole, GRAMMAR) == expected


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS)
def test_tuning_asks_for_no_new_value_of_layers(seed: int) -> None:
    with owned_random(random.Random(seed).getstate()):
        whole = tree()
        text = GRAMMAR.expression(whole).text
        tuner = Tuner(whole, GRAMMAR)
        made = [tuner() for _ in range(4)]
    known = {e.text for e in boundary_of([canonical(GRAMMAR.expression(whole))])}
    for tuned in made:
        assert_a_score(tuned)
        assert {e.text for e in boundary_of([canonical(tuned)])} <= known
    assert GRAMMAR.expression(whole).text == text  # a parent stays as it is


def test_tuning_reaches_aggregators_numbers_and_functions() -> None:
    text = "mul(power(sum_layers(l2_norm(weight)), 2.0), log_abs(max_layers(depth)))"
    with owned_random(random.Random(1).getstate()):
        tuner = Tuner(GRAMMAR.tree(parse(text)), GRAMMAR)
        made = {tuner() for _ in range(1500)}
    words = {word for expression in made for word in (node.op for node in expression.walk())}
    assert {"mean_layers", "depth2_weighted_sum", "add", "div", "1.6", "4.0", "sqrt_abs"} <= words
    assert {"l2_norm", "weight"} < words
    assert not {"l1_norm", "noise_weight_grad"} & words
    texts = {expression.text for expression in made}
    assert "mul(power(sum_layers(l2_norm(weight)), 2.0), max_layers(depth))" in texts


def test_node_mutation_reaches_the_root() -> None:
    with owned_random(random.Random(1).getstate()):
        roots = set()
        for _ in range(60):
            changed = GRAMMAR.tree(parse("sum_layers(l2_norm(weight))"))
            MUTATIONS["node"](changed, GRAMMAR)
            roots.add(GRAMMAR.expression(changed).op)
    assert len(roots) > 5


@pytest.mark.parametrize(
    ("name", "sign"), [("shrink", -1), ("hoist", -1), ("insert", 1), ("node", 0)]
)
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_mutation_changes_the_size_as_it_says(name: str, sign: int, seed: int) -> None:
    with owned_random(random.Random(seed).getstate()):
        changed = tree()
        before = len(changed)
        MUTATIONS[name](changed, GRAMMAR)
    assert (len(changed) - before) * sign >= 0
    if sign == 0:
        assert len(changed) == before


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_changes_something(name: str) -> None:
    changed = 0
    with owned_random(random.Random(1).getstate()):
        for _ in range(30):
            before = tree()
            after = gp.PrimitiveTree(before)
            mutate(after, GRAMMAR, {name: 1.0})
            changed += str(after) != str(before)
    assert changed >= 5


def test_owned_random_restores_the_callers_state_even_on_error() -> None:
    random.seed(5)
    before = random.getstate()

    def fails() -> None:
        with owned_random(random.Random(1).getstate()):
            random.random()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert random.getstate() == before


def test_one_seed_gives_one_sequence_of_trees() -> None:
    def draw() -> list[str]:
        with owned_random(random.Random(7).getstate()):
            return [GRAMMAR.expression(tree()).text for _ in range(20)]

    first = draw()
    assert draw() == first
    assert len(set(first)) > 10
