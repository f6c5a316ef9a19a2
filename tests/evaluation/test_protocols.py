"""Forests under the four protocols."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score

from greenmachine.errors import ConfigError
from greenmachine.evaluation import try_forest
from greenmachine.fitness import class_sample, random_sample
from greenmachine.forest.forest import Forest

N = 60


def data(classes: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    groups = rng.integers(classes, size=N)
    quality = rng.normal(size=classes)[groups]
    scores = pd.DataFrame({"a": quality + rng.normal(0, 0.3, N), "b": rng.normal(size=N)})
    return scores, 70 + 5 * quality + rng.normal(0, 0.1, N), groups


def test_measures_are_those_of_the_forest_on_the_stated_networks() -> None:
    scores, accuracy, groups = data(20)
    unseen = np.arange(N) % 3 > 0
    trial = try_forest(scores, accuracy, groups, 40, seed=3, trees=8, unseen=unseen)
    rows = trial.measures.set_index("protocol")
    assert list(rows.index) == ["all", "held_out", "held_out_unseen", "held_out_classes"]
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(3).spawn(2)]
    train = random_sample(np.arange(N), 40, streams[0])
    held_out = np.setdiff1d(np.arange(N), train)
    predicted = trial.forest.predict(scores)
    judged = {
        "all": np.arange(N),
        "held_out": held_out,
        "held_out_unseen": np.intersect1d(held_out, np.flatnonzero(unseen)),
    }
    for protocol, chosen in judged.items():
        p, a = predicted[chosen], accuracy[chosen]
        row = rows.loc[protocol]
        assert (row["trained"], row["networks"]) == (40, len(chosen))
        assert row["tau"] == pytest.approx(stats.kendalltau(p, a).statistic)
        assert row["r2"] == pytest.approx(r2_score(a, p))
        assert row["mae"] == pytest.approx(mean_absolute_error(a, p))
    sample = class_sample(groups, 40, streams[1])
    rest = np.setdiff1d(np.arange(N), sample)
    assert not set(groups[sample]) & set(groups[rest])
    forest = Forest.fit(scores.iloc[sample], accuracy[sample], seed=3, trees=8)
    tau = stats.kendalltau(forest.predict(scores)[rest], accuracy[rest]).statistic
    whole = rows.loc["held_out_classes"]
    assert (whole["trained"], whole["networks"]) == (len(sample), len(rest))
    assert whole["tau"] == pytest.approx(tau)
    assert rows.loc["all", "tau"] > rows.loc["held_out", "tau"] > whole["tau"]


def test_without_isomorphic_networks_two_protocols_are_left() -> None:
    scores, accuracy, _ = data(5)
    trial = try_forest(scores, accuracy, np.arange(N), 30, seed=0, trees=2)
    assert list(trial.measures["protocol"]) == ["all", "held_out"]


def test_trained_on_everything_nothing_is_held_out() -> None:
    scores, accuracy, groups = data(5)
    trial = try_forest(scores, accuracy, groups, N, seed=0, trees=2)
    assert list(trial.measures["protocol"]) == ["all"]
    assert trial.forest.facts["networks"] == N


def test_seed_decides_and_workers_do_not() -> None:
    scores, accuracy, groups = data(20)
    told: list[tuple[int, int]] = []
    first = try_forest(
        scores, accuracy, groups, 30, seed=5, trees=12, progress=lambda *of: told.append(of)
    )
    assert told == [(10, 24), (12, 24), (22, 24), (24, 24)]
    again = try_forest(scores, accuracy, groups, 30, seed=5, trees=12, workers=2)
    other = try_forest(scores, accuracy, groups, 30, seed=6, trees=12)
    pd.testing.assert_frame_equal(first.measures, again.measures)
    assert not first.measures["tau"].equals(other.measures["tau"])


@pytest.mark.parametrize("size", [-1, 0, 1, N + 1])
def test_sizes_out_of_range(size: int) -> None:
    scores, accuracy, groups = data(5)
    with pytest.raises(ConfigError, match=f"cannot train on {size} of 60"):
        try_forest(scores, accuracy, groups, size, seed=0)
