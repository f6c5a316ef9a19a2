"""Random and stratified draws."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.tables.draws import BINS, accuracy_bins, random_draws, stratified_draws

values = st.lists(st.floats(10, 95), min_size=1, max_size=80)


@given(values, values)
def test_every_network_has_one_bin_of_the_space(scored: list[float], others: list[float]) -> None:
    bins = accuracy_bins(scored, scored + others)
    assert len(bins) == BINS
    assert sorted(np.concatenate(bins).tolist()) == list(range(len(scored)))
    edges = np.linspace(min(scored + others), max(scored + others), BINS + 1)
    for place, held in enumerate(bins):
        inside = np.array(scored)[held]
        assert (inside >= edges[place] - 1e-9).all() and (inside <= edges[place + 1] + 1e-9).all()


@settings(max_examples=30)
@given(values, st.integers(1, 9))
def test_a_poor_bin_gives_what_it_has(scored: list[float], share: int) -> None:
    bins = accuracy_bins(scored, scored)
    expected = sum(min(share, len(held)) for held in bins)
    draws = list(stratified_draws(bins, share * BINS, draws=3))
    assert len(draws) == 3
    for chosen in draws:
        assert len(set(chosen.tolist())) == len(chosen) == expected


def test_draws_repeat_and_differ() -> None:
    first, again = (np.array(list(random_draws(50, 10, draws=30))) for _ in range(2))
    assert first.shape == (30, 10) and (first == again).all()
    assert len({tuple(sorted(row)) for row in first.tolist()}) == 30
    assert all(len(set(row)) == 10 for row in first.tolist())
