"""``greenmachine forest`` on the embedded benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import Benchmark, load_benchmark
from greenmachine.forest.forest import Forest

from .conftest import Call

FAST = ("--trees", "8", "--workers", "1")


def write(path: Path, space: Benchmark) -> pd.DataFrame:
    """Scores of 100 networks: two that follow the accuracy, one of them failing, and noise."""
    rng = np.random.default_rng(0)
    index = rng.choice(len(space), 100, replace=False)
    accuracy = space.accuracy("digits")[index]
    frame = pd.DataFrame({"index": index, "arch": [space.archs[i] for i in index]})
    frame["good"] = accuracy + rng.normal(0, 1, 100)
    frame["fair"] = (accuracy + rng.normal(0, 5, 100)) * np.where(rng.random(100) < 0.1, np.nan, 1)
    frame["noise"] = rng.normal(size=100)
    frame.to_parquet(path, index=False)
    return frame


@pytest.fixture
def scores(tmp_path: Path) -> pd.DataFrame:
    return write(tmp_path / "scores.parquet", load_benchmark("digits-tss"))


@pytest.mark.parametrize("space", ["digits-tss", "digits-sss"])
def test_fit_says_what_it_is_worth(call: Call, tmp_path: Path, space: str) -> None:
    frame = write(tmp_path / "scores.parquet", load_benchmark(space))
    done = call("forest", "fit", "scores.parquet", "--on", space, "--json", *FAST)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    rows = {row["protocol"]: row for row in said["protocols"]}
    assert rows["all"]["networks"] == 100 and rows["held_out"]["networks"] == 20
    assert {row["trained"] for row in rows.values()} == {80}
    assert rows["all"]["tau"] > 0.8 and rows["all"]["r2"] > 0.8 and 0 < rows["all"]["mae"] < 5
    assert next(iter(said["importances"])) == "good"
    assert sum(said["importances"].values()) == pytest.approx(1)
    assert f"fair failed on {frame['fair'].isna().sum()} of 100 networks" in done.stderr
    forest = Forest.load(tmp_path / "forest.json")
    assert forest.features == ("good", "fair", "noise")
    assert (forest.facts["benchmark"], forest.facts["networks"]) == (space, 80)


def test_predictions_can_be_evaluated(call: Call, scores: pd.DataFrame, tmp_path: Path) -> None:
    shown = call("forest", "fit", "scores.parquet", "--train", "90", "--out", "my.json", *FAST)
    assert shown.returncode == 0 and "held_out" in shown.stdout and "importance" in shown.stdout
    done = call(
        "forest", "predict", "my.json", "scores.parquet", "--out", "predicted.parquet", "--json"
    )
    assert done.returncode == 0, done.stderr
    predicted = pd.read_parquet(tmp_path / "predicted.parquet")
    expected = Forest.load(tmp_path / "my.json").predict(scores)
    np.testing.assert_array_equal(predicted["predicted_accuracy"], expected)
    best = json.loads(done.stdout)
    assert len(best) == 10
    assert best[0]["predicted_accuracy"] == pytest.approx(expected.max())
    rows = json.loads(call("evaluate", "predicted.parquet", "--json").stdout)
    assert rows[0]["proxy"] == "predicted_accuracy" and rows[0]["tau"] > 0.8


def test_one_seed_one_file(call: Call, scores: pd.DataFrame, tmp_path: Path) -> None:
    scores[["index", "arch", "good"]].to_parquet(tmp_path / "a.parquet")
    scores[["index", "noise", "fair"]].to_parquet(tmp_path / "b.parquet")
    for out, files, workers in (
        ("1.json", ["scores.parquet"], "1"),
        ("2.json", ["a.parquet", "b.parquet"], "2"),
    ):
        words = ("--features", "good,noise", "--out", out, "--seed", "3", "--trees", "8")
        assert call("forest", "fit", *files, *words, "--workers", workers).returncode == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (["fit", "none.parquet"], "no scores at none.parquet", 1),
        (["fit", "scores.parquet", "--on", "digits-sss"], "--on", 1),
        (["fit", "scores.parquet", "--features", "god"], "good", 1),
        (["fit", "scores.parquet", "--train", "0"], "cannot train on 0 of 100", 1),
        (["fit", "scores.parquet", "--train", "101"], "cannot train on 101 of 100", 1),
        (["fit", "scores.parquet", "--train", "0.001"], "cannot train on 0 of 100", 1),
        (["fit", "scores.parquet", "--train", "1.5"], "--train 1.5: use a share", 1),
        (["fit", "scores.parquet", "--train", "nan"], "--train nan: use a share", 1),
        (["fit", "scores.parquet", "--train", "most"], "--train most: use a share", 1),
        (["fit", "scores.parquet", "--seed", "4294967296"], "seed 4294967296", 1),
        (["fit", "scores.parquet", "--trees", "0"], "--trees", 2),
        (["fit"], "Missing argument", 2),
        (["predict", "forest.json", "scores.parquet"], "forest.json", 1),
        (["predict", "scores.parquet", "scores.parquet"], "is not a complete forest", 1),
        (["predict", "forest.json"], "Missing argument", 2),
    ],
)
def test_bad_usage_says_what_to_do(
    call: Call, scores: pd.DataFrame, tmp_path: Path, words: list[str], says: str, code: int
) -> None:
    done = call("forest", *words)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "forest.json").exists()


def test_scores_that_the_forest_does_not_know(
    call: Call, scores: pd.DataFrame, tmp_path: Path
) -> None:
    assert call("forest", "fit", "scores.parquet", *FAST).returncode == 0
    scores.drop(columns="fair").to_parquet(tmp_path / "less.parquet")
    done = call("forest", "predict", "forest.json", "less.parquet")
    assert done.returncode == 1 and "the forest needs scores of fair" in done.stderr


def test_rank_sums_are_no_features_unless_they_are_asked_for(
    call: Call, scores: pd.DataFrame, tmp_path: Path
) -> None:
    joined = "rank_sum(good, noise)"
    scores[joined] = scores["good"].rank() + scores["noise"].rank()
    scores.to_parquet(tmp_path / "scores.parquet", index=False)
    for words, features in (
        ((), ("good", "fair", "noise")),
        (("--features", f"good,{joined}"), ("good", joined)),
    ):
        done = call("forest", "fit", "scores.parquet", *words, *FAST)
        assert done.returncode == 0, done.stderr
        assert Forest.load(tmp_path / "forest.json").features == features
