"""Samples have the sizes asked for, are disjoint, and never split an isomorphism class."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenmachine.errors import ConfigError
from greenmachine.fitness import (
    SampleSpec,
    Split,
    class_sample,
    draw_split,
    random_sample,
    stratified_sample,
)

SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(["random", "equal_width", "quantile"])
N = 300


def space(seed: int, classes: int = 100) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(classes, size=N)
    # Isomorphs share their accuracy; most are good, as in the real spaces.
    return (10 + 84 * rng.beta(5, 1, size=classes))[groups], groups


def draw(seed: int, **specs: SampleSpec) -> Split:
    accuracy, groups = space(seed)
    default = {
        "train": SampleSpec(20),
        "validation": SampleSpec(20, "equal_width", 5),
        "test": SampleSpec(None),
    }
    return draw_split(accuracy, groups, seed=seed, **(default | specs))


@given(SEEDS, KINDS, KINDS, KINDS, st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_samples_are_disjoint_and_split_no_class(
    seed: int, first: Any, second: Any, third: Any, bins: int
) -> None:
    split = draw(
        seed,
        train=SampleSpec(20, first, bins),
        validation=SampleSpec(15, second, bins),
        test=SampleSpec(12, third, bins),
    )
    groups = space(seed)[1]
    samples = (split.train, split.validation, split.test)
    assert [len(s) for s in samples] == [20, 15, 12]
    for sample in samples:
        assert sample.dtype == np.int64
        assert (np.diff(sample) > 0).all()
    for one, other in combinations(samples, 2):
        assert not set(groups[one]) & set(groups[other])


@given(SEEDS, KINDS)
@settings(max_examples=50, deadline=None)
def test_train_and_validation_do_not_depend_on_test(seed: int, kind: Any) -> None:
    split, again = draw(seed), draw(seed)
    other = draw(seed, test=SampleSpec(30, kind))
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(split, name), getattr(again, name))
    np.testing.assert_array_equal(split.train, other.train)
    np.testing.assert_array_equal(split.validation, other.validation)
    assert set(other.test) <= set(split.test)


def test_train_does_not_depend_on_validation_but_on_the_seed() -> None:
    np.testing.assert_array_equal(draw(3).train, draw(3, validation=SampleSpec(7)).train)
    accuracy, groups = space(3)
    specs = {"train": SampleSpec(20), "validation": SampleSpec(20), "test": SampleSpec(20)}
    one, other = (draw_split(accuracy, groups, seed=seed, **specs) for seed in (1, 2))
    assert one.train.tolist() != other.train.tolist()


def test_the_rest_is_every_network_of_an_untouched_class() -> None:
    split, groups = draw(5), space(5)[1]
    touched = groups[np.concatenate([split.train, split.validation])]
    np.testing.assert_array_equal(split.test, np.flatnonzero(~np.isin(groups, touched)))


def test_without_groups_the_rest_is_the_complement() -> None:
    split = draw_split(
        space(0)[0],
        None,
        train=SampleSpec(20),
        validation=SampleSpec(20),
        test=SampleSpec(None),
        seed=0,
    )
    everything = np.concatenate([split.train, split.validation, split.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(N))


def test_a_random_train_sample_is_uniform_over_networks() -> None:
    groups = np.array([0] * 9 + list(range(1, 10)))  # one class holds half of the 18 networks
    specs = {"train": SampleSpec(2), "validation": SampleSpec(2), "test": SampleSpec(2)}
    drawn = [draw_split(np.arange(18), groups, seed=s, **specs).train for s in range(600)]
    counts = np.bincount(np.concatenate(drawn), minlength=18)
    assert abs(counts - 1200 / 18).max() < 5 * np.sqrt(1200 / 18)


@given(SEEDS, KINDS, st.integers(1, 40), st.integers(0, 10))
@settings(max_examples=100, deadline=None)
def test_a_sample_of_functions_holds_as_many_and_leaves_none_of_their_networks(
    seed: int, kind: Any, number: int, other: int
) -> None:
    accuracy, groups = space(seed)
    own = np.zeros(N, dtype=bool)
    own[np.unique(groups, return_index=True)[1]] = True  # as in a bank: one network of each
    split = draw_split(
        accuracy,
        groups,
        train=SampleSpec(2, kind, groups=number + 1),
        validation=SampleSpec(3) if other == 0 else SampleSpec(2, groups=other + 1),
        test=SampleSpec(None),
        seed=seed,
        own=own,
    )
    used = len(np.unique(groups)) - len(split.test)
    assert used == number + 1 + (3 if other == 0 else other + 1)
    assert own[split.test].all()
    assert own[split.validation].all() or other
    for one, two in combinations(vars(split).values(), 2):
        assert not set(groups[one]) & set(groups[two])


def test_functions_count_as_often_as_the_space_contains_them() -> None:
    groups = np.repeat(np.arange(20), np.arange(1, 21))
    specs = {"train": SampleSpec(9, groups=12), "validation": SampleSpec(2), "test": SampleSpec(2)}
    drawn = [draw_split(np.arange(210), groups, seed=s, **specs).train for s in range(2000)]
    share = np.bincount(groups[np.concatenate(drawn)], minlength=20) / 18_000
    np.testing.assert_allclose(share, np.arange(1, 21) / 210, rtol=0.25)
    assert all(len(set(groups[sample])) <= 12 for sample in drawn)


def test_more_functions_than_there_are() -> None:
    with pytest.raises(ConfigError, match="train sample: functions: 500, but 9[0-9] are available"):
        draw(0, train=SampleSpec(5, groups=500))
    with pytest.raises(ConfigError, match="0 functions"):
        SampleSpec(5, groups=0)


@given(SEEDS, st.integers(1, 12), st.integers(1, N), st.sampled_from(["equal_width", "quantile"]))
@settings(max_examples=100, deadline=None)
def test_bins_are_as_even_as_they_can_be(
    seed: int, bins: int, n: int, scheme: Literal["equal_width", "quantile"]
) -> None:
    values = space(seed)[0]
    sample = stratified_sample(values, n, bins, scheme, np.random.default_rng(seed))
    assert len(np.unique(sample)) == n
    if scheme == "equal_width":
        edges = np.linspace(values.min(), values.max(), bins + 1)
    else:
        edges = np.quantile(values, np.linspace(0, 1, bins + 1))
    place = np.digitize(values, edges[1:-1])
    capacity = np.bincount(place, minlength=bins)
    taken = np.bincount(place[sample], minlength=bins)
    roomy = taken < capacity
    if roomy.any():  # a full bin has no more than a bin with room, and those differ by one at most
        assert np.ptp(taken[roomy]) <= 1
        assert taken.max() <= taken[roomy].min() + 1


def test_ten_by_ten() -> None:
    values = np.linspace(0.0, 100.0, 1000)
    sample = stratified_sample(values, 100, 10, "equal_width", np.random.default_rng(0))
    assert (np.histogram(values[sample], bins=10, range=(0, 100))[0] == 10).all()


def test_candidates_limit_the_draw_but_not_the_bins() -> None:
    values = np.arange(100.0)
    rng = np.random.default_rng(0)
    sample = stratified_sample(values, 10, 10, "equal_width", rng, candidates=np.arange(50))
    assert sample.max() < 50
    assert (np.bincount((values[sample] // 9.9).astype(int), minlength=5)[:5] == 2).all()
    assert set(random_sample([3, 5, 8], 3, rng)) == {3, 5, 8}


def test_a_sample_of_the_best_alone() -> None:
    accuracy, groups = space(3)
    best = accuracy >= np.quantile(accuracy, 0.7)
    split = draw(3, train=SampleSpec(20, best=0.3), test=SampleSpec(None, best=0.3))
    assert best[split.train].all() and not best[split.validation].all()
    taken = np.isin(groups, groups[np.concatenate([split.train, split.validation])])
    assert set(split.test) == set(np.flatnonzero(best & ~taken))
    with pytest.raises(ConfigError, match="train sample: size 20"):
        draw(3, train=SampleSpec(20, best=0.01))


def test_equal_values_make_one_bin() -> None:
    for scheme in ("equal_width", "quantile"):
        sample = stratified_sample(np.ones(20), 7, 10, scheme, np.random.default_rng(0))
        assert len(sample) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 1}, "size of 2"),
        ({"size": 10, "bins": 0}, "1 or more"),
        ({"size": 10, "kind": "best"}, "use random, equal_width or quantile"),
        ({"size": None, "kind": "quantile"}, "needs a size"),
        ({"size": 10, "best": 0.0}, "above 0 and at most 1"),
    ],
)
def test_bad_specs(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SampleSpec(**arguments)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"train": SampleSpec(N + 1)}, "train sample: size 301, but 300 networks are available"),
        ({"train": SampleSpec(N)}, "validation sample: size 20, but 0 networks are available"),
        ({"test": SampleSpec(N)}, "test sample"),
        ({"train": SampleSpec(None)}, "only the test sample"),
    ],
)
def test_samples_that_cannot_be_drawn(specs: dict[str, SampleSpec], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(0, **specs)


def test_bad_arguments() -> None:
    specs = {"train": SampleSpec(2), "validation": SampleSpec(2), "test": SampleSpec(None)}
    with pytest.raises(ConfigError, match="0 networks remain"):
        draw_split(np.arange(4), None, seed=0, **specs)
    with pytest.raises(ConfigError, match="negative"):
        draw_split(np.arange(9), None, seed=-1, **specs)
    with pytest.raises(ValueError, match="finite"):
        draw_split([1.0, np.nan] * 5, None, seed=0, **specs)
    with pytest.raises(ValueError, match="groups"):
        draw_split(np.arange(9), np.arange(8), seed=0, **specs)
    with pytest.raises(ConfigError, match="stratification"):
        stratified_sample(np.arange(9), 3, 3, "log", np.random.default_rng(0))  # type: ignore[arg-type]


@given(SEEDS, st.integers(1, N), st.integers(0, N))
@settings(max_examples=50, deadline=None)
def test_a_sample_of_classes_holds_whole_ones(seed: int, classes: int, n: int) -> None:
    groups = np.random.default_rng(seed).integers(classes, size=N)
    chosen = class_sample(groups, n, np.random.default_rng(seed))
    assert (np.diff(chosen) > 0).all()
    rest = np.setdiff1d(np.arange(N), chosen)
    assert not set(groups[chosen]) & set(groups[rest])
    assert n - np.bincount(groups).max() < len(chosen) <= n
    again = class_sample(groups, n, np.random.default_rng(seed))
    np.testing.assert_array_equal(chosen, again)


def test_more_than_the_classes_hold() -> None:
    with pytest.raises(ConfigError, match="size 5, but 4 networks are available"):
        class_sample([0, 0, 1, 2], 5, np.random.default_rng(0))
