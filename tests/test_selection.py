"""Who breeds: epsilon-lexicase selection by the tasks."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greenmachine.evolution.individual import Individual
from greenmachine.evolution.operators import owned_random
from greenmachine.language import terminal
from greenmachine.selection import Lexicase, ObjectiveFitness

TAUS = st.floats(-1, 1).map(lambda tau: round(tau, 3))


def individual(tau: tuple[float, ...], size: int = 3) -> Individual:
    made = Individual([0] * size, ObjectiveFitness, terminal("depth"))
    made.values, made.text = tau, f"{tau} {size}"
    made.fitness.values = [sum(tau) / len(tau)]
    return made


def drawn(
    pool: list[Individual], count: int, parsimony: float = 0.0, epsilon: float | None = None
) -> Counter[str]:
    with owned_random(random.Random(0).getstate()):
        chosen = Lexicase(epsilon=epsilon).parents(pool, count, parsimony)
    return Counter(i.text for i in chosen)


def test_specialists_breed_and_not_who_is_best_on_average() -> None:
    first, second = individual((0.9, 0.1)), individual((0.1, 0.9))
    average = individual((0.55, 0.55))
    found = drawn([first, second, average, individual((0.3, 0.3))], 200)
    assert found.keys() == {first.text, second.text}
    assert 60 < found[first.text] < 140


def test_one_who_is_nearly_best_on_every_task_wins_over_who_fails_on_one() -> None:
    best = individual((0.9, 0.2))
    near = individual((0.8, 0.8))
    others = [individual((tau, tau)) for tau in (0.0, 0.1, 0.3, 0.5)]
    assert drawn([best, near, *others], 50).keys() == {near.text}


def test_of_equals_the_smaller_breeds_where_nodes_cost() -> None:
    small, large = individual((0.5, 0.5), 2), individual((0.5, 0.5), 9)
    pool = [small, large, individual((0.5, 0.5), 8)]
    assert len(drawn(pool, 60)) == 3
    # One median absolute deviation is the cost of one node: 9 - 8.
    assert drawn(pool, 60, parsimony=0.01).keys() == {small.text}


def test_epsilon_may_be_given() -> None:
    best, near, far = individual((0.9, 0.9)), individual((0.85, 0.9)), individual((0.5, 0.9))
    assert drawn([best, near, far], 50, epsilon=0.0).keys() == {best.text}
    assert drawn([best, near, far], 50, epsilon=0.1).keys() == {best.text, near.text}


@given(taus=st.lists(st.tuples(TAUS, TAUS, TAUS), min_size=1, max_size=12, unique=True))
def test_a_parent_is_near_the_best_on_some_task(taus: list[tuple[float, float, float]]) -> None:
    table = np.array(taus)
    deviation = np.median(np.abs(table - np.median(table, axis=0)), axis=0)
    near = (table >= table.max(axis=0) - deviation).any(axis=1)
    allowed = {individual(tau).text for tau, good in zip(taus, near, strict=True) if good}
    assert drawn([individual(tau) for tau in taus], 20).keys() <= allowed
