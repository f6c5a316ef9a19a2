"""Forests: scikit-learn's trees as arrays and JSON."""

from __future__ import annotations

import builtins
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestRegressor

from greenmachine.errors import ConfigError, DataError
from greenmachine.forest.forest import Forest


def data(seed: int = 0, n: int = 50) -> tuple[pd.DataFrame, np.ndarray]:
    """Scores of several scales, with ties and failures, and accuracies that follow them."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    scores = pd.DataFrame(
        {
            "close": 1e-9 * (quality + rng.normal(0, 0.2, n)),
            "huge": 1e200 * np.exp(quality + rng.normal(0, 0.5, n)),
            "tied": np.round(quality + rng.normal(0, 0.5, n)),
        }
    )
    scores.loc[rng.choice(n, 6, replace=False), "huge"] = [np.nan, np.inf, -np.inf] * 2
    return scores, 60 + 10 * quality


SCORES, ACCURACY = data()
FOREST = Forest.fit(SCORES, ACCURACY, seed=4, trees=12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.sampled_from([2, 3, 50]))
def test_predicts_what_scikit_learn_does_on_the_ranks(seed: int, trees: int, n: int) -> None:
    """Scores of new networks have the rank of the nearest score in training."""
    scores, accuracy = data(seed, max(n, 6))
    scores, accuracy = scores[:n], accuracy[:n]
    forest = Forest.fit(scores, accuracy, seed=seed, trees=trees)
    new = data(seed + 1, 40)[0]
    trained, asked = [], []
    for name in scores:
        levels = np.unique(scores[name][np.isfinite(scores[name])])
        middles = levels[:-1] / 2 + levels[1:] / 2
        for frame, ranks in ((scores, trained), (new, asked)):
            rank = np.searchsorted(middles, frame[name], side="left")
            ranks.append(np.where(np.isfinite(frame[name]), rank, -len(levels)))
    plain = RandomForestRegressor(n_estimators=trees, random_state=seed)
    plain.fit(np.column_stack(trained), accuracy)
    expected = plain.predict(np.column_stack(asked))
    np.testing.assert_allclose(forest.predict(new), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        forest.predict(scores), plain.predict(np.column_stack(trained)), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(forest.importances, plain.feature_importances_)


def test_is_scikit_learns_forest_on_ordinary_scores() -> None:
    """On whole numbers scikit-learn's own thresholds and ours part the same networks."""
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({name: rng.permutation(80) * 1.0 for name in "abc"})
    accuracy = rng.normal(70, 5, 80)
    plain = RandomForestRegressor(n_estimators=20, random_state=7).fit(scores, accuracy)
    ours = Forest.fit(scores, accuracy, seed=7, trees=20)
    np.testing.assert_allclose(ours.predict(scores), plain.predict(scores), rtol=0, atol=1e-9)


def test_scores_that_scikit_learn_cannot_tell_apart_are_told_apart() -> None:
    accuracy = np.linspace(50, 90, 40)
    for scale in (1e-12, 1e300):
        scores = pd.DataFrame({"score": scale * np.arange(40)})
        forest = Forest.fit(scores, accuracy, seed=0, trees=30)
        assert np.corrcoef(forest.predict(scores), accuracy)[0, 1] > 0.99


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=30, unique=True))
@settings(max_examples=25, deadline=None)
def test_rank_alone_counts(values: list[float]) -> None:
    scores = np.sort(values)
    accuracy = np.random.default_rng(0).normal(70, 5, len(scores))
    ours, ranked = (
        Forest.fit(pd.DataFrame({"a": a}), accuracy, seed=1, trees=3).predict(
            pd.DataFrame({"a": a})
        )
        for a in (scores, np.arange(len(scores)))
    )
    np.testing.assert_array_equal(ours, ranked)


def test_failures_are_set_apart() -> None:
    """In training they are the bad networks; a low score is no failure, also a new one."""
    scores = np.array([np.nan, np.inf, np.nan, -np.inf, *np.linspace(5, 9, 16)])
    accuracy = np.array([10.0] * 4 + [80.0] * 16)
    forest = Forest.fit(pd.DataFrame({"a": scores}), accuracy, seed=0, trees=20)
    new = pd.DataFrame({"a": [np.nan, -np.inf, np.inf, 5.0, -1e308, 1e308]})
    predicted = forest.predict(new)
    assert len(set(predicted[:3])) == 1 and predicted[0] < 20  # some trees saw no failure
    assert predicted[3:].tolist() == [80.0] * 3


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "forest.json"
    FOREST.save(path)
    loaded = Forest.load(path)
    new = data(9)[0]
    np.testing.assert_array_equal(loaded.predict(new), FOREST.predict(new))
    np.testing.assert_array_equal(loaded.importances, FOREST.importances)
    assert (loaded.features, loaded.facts) == (FOREST.features, FOREST.facts)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_blocks_of_networks_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FOREST.predict(SCORES)
    monkeypatch.setattr("greenmachine.forest.trees._WALKERS", 84)
    np.testing.assert_array_equal(FOREST.predict(SCORES), whole)
    assert FOREST.predict(SCORES[:0]).shape == (0,)


def test_seed_decides_and_workers_do_not(tmp_path: Path) -> None:
    files = []
    for number, (seed, workers) in enumerate([(4, 1), (4, 2), (5, 1)]):
        path = tmp_path / f"{number}.json"
        Forest.fit(SCORES, ACCURACY, seed=seed, trees=12, workers=workers).save(path)
        files.append(path.read_bytes())
    assert files[0] == files[1] != files[2]


def test_fitting_with_threads_says_nothing_and_leaves_the_filters() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.resetwarnings()  # as threads of scikit-learn leave them
        Forest.fit(SCORES, ACCURACY, seed=0, trees=20, workers=2)
        assert not said and not warnings.filters


def test_features_are_found_by_name() -> None:
    shuffled = SCORES[["tied", "close", "huge"]].assign(more=1.0, index=3)
    np.testing.assert_array_equal(FOREST.predict(shuffled), FOREST.predict(SCORES))
    with pytest.raises(ConfigError, match="needs scores of close, tied"):
        FOREST.predict(SCORES[["huge"]])


def _tree(content: dict[str, Any]) -> dict[str, Any]:
    return content["trees"][3]


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "format": (lambda c: c.update(format="other"), "another format"),
    "version": (lambda c: c.update(version=2), "version 2, not 1"),
    "key too many": (lambda c: c.update(extra=1), "wrong keys: extra"),
    "key too few": (lambda c: c.pop("facts"), "wrong keys: facts"),
    "no features": (lambda c: c.update(features=[]), "not a list of names"),
    "feature twice": (lambda c: c.update(features=["a", "a", "b"]), "a feature occurs twice"),
    "importances": (lambda c: c["importances"].pop(), "one number per feature"),
    "importances of text": (lambda c: c.update(importances=["a"] * 3), "one number per feature"),
    "no trees": (lambda c: c.update(trees=[]), "not a list of trees"),
    "tree of another kind": (lambda c: c["trees"].append(3), "tree 12: its keys"),
    "tree with a key": (lambda c: _tree(c).update(more=[]), "tree 3: its keys"),
    "empty": (lambda c: _tree(c).update(value=[]), "value is not a list of numbers"),
    "length": (lambda c: _tree(c)["value"].pop(), "differ in length"),
    "text": (lambda c: _tree(c)["value"].__setitem__(0, "x"), "value is not a list of numbers"),
    "ragged": (lambda c: _tree(c)["value"].__setitem__(0, [1.0]), "tree 3"),
    "NaN": (lambda c: _tree(c)["threshold"].__setitem__(0, float("nan")), "not finite"),
    "infinity": (lambda c: _tree(c)["value"].__setitem__(1, float("inf")), "not finite"),
    "half a node": (lambda c: _tree(c)["left"].__setitem__(0, 1.5), "not integers"),
    "feature": (lambda c: _tree(c)["feature"].__setitem__(0, 3), "features other than the 3"),
    "circle": (lambda c: _tree(c)["left"].__setitem__(0, 0), "not those of a tree"),
    "outside": (lambda c: _tree(c)["right"].__setitem__(0, 999), "not those of a tree"),
    "shared child": (lambda c: _tree(c).update(left=_tree(c)["right"]), "not those of a tree"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "forest.json"
    FOREST.save(path)
    content = json.loads(path.read_text())
    change, says = DAMAGE[damage]
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=says) as raised:
        Forest.load(path)
    assert "forest fit" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"format": "greenmachine forest"}', "[" * 9999]
)
def test_what_is_no_forest_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "forest.json"
    path.write_text(text)
    with pytest.raises(DataError, match="not a complete forest"):
        Forest.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a complete forest"):
        Forest.load(path)
    with pytest.raises(DataError, match="cannot read"):
        Forest.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scores": SCORES[:1], "accuracy": ACCURACY[:1]}, "on 1 networks"),
        ({"scores": SCORES[[]]}, "needs scores"),
        ({"scores": pd.concat([SCORES, SCORES], axis=1)}, "each proxy once"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed 4294967296"),
        ({"trees": 0}, "0 trees"),
    ],
)
def test_bad_settings_say_what_to_do(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Forest.fit(**({"scores": SCORES, "accuracy": ACCURACY, "seed": 0} | change))


@pytest.mark.parametrize("accuracy", [ACCURACY[:-1], np.where(ACCURACY > 60, np.nan, 1.0)])
def test_accuracies_must_be_there(accuracy: np.ndarray) -> None:
    with pytest.raises(ValueError, match="accuracy"):
        Forest.fit(SCORES, accuracy, seed=0)


def test_fitting_alone_needs_scikit_learn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FOREST.save(tmp_path / "forest.json")
    expected = FOREST.predict(SCORES)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "sklearn":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'greenmachine\[forest\]'"):
        Forest.fit(SCORES, ACCURACY, seed=0)
    loaded = Forest.load(tmp_path / "forest.json")
    np.testing.assert_array_equal(loaded.predict(SCORES), expected)
