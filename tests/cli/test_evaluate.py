"""``greenmachine evaluate`` on the embedded benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greenmachine.benchmarks import load_benchmark

from .conftest import Call

TSS, SSS = load_benchmark("digits-tss"), load_benchmark("digits-sss")


@pytest.fixture
def scores(tmp_path: Path) -> pd.DataFrame:
    """Scores of 120 cells, in ``scores.parquet``: good, good but failing, bad, all failed."""
    rng = np.random.default_rng(0)
    index = rng.choice(len(TSS), 120, replace=False)
    accuracy = TSS.accuracy("digits")[index]
    frame = pd.DataFrame({"index": index, "arch": [TSS.archs[i] for i in index]})
    frame["mine"] = accuracy + rng.normal(0, 5, 120)
    frame["l2_norm"] = frame["mine"].where(rng.random(120) > 0.1)
    frame["opposite"] = -accuracy
    frame["broken"] = np.nan
    frame.to_parquet(tmp_path / "scores.parquet", index=False)
    return frame


def test_rows_stand_beside_trivial_ones(call: Call, scores: pd.DataFrame) -> None:
    done = call("evaluate", "scores.parquet", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    trivial = {"(params)", "(flops)", "(convolutions)", "(one seed)"}
    assert set(rows) == {"mine", "l2_norm", "opposite", "broken"} | trivial
    accuracy = TSS.accuracy("digits")[scores["index"]]
    assert rows["mine"]["tau"] == pytest.approx(stats.kendalltau(scores["mine"], accuracy)[0])
    assert rows["mine"]["spearman"] == pytest.approx(stats.spearmanr(scores["mine"], accuracy)[0])
    assert rows["opposite"]["tau"] == rows["opposite"]["tau_best"] == -1
    failed = int(scores["l2_norm"].isna().sum())
    assert rows["l2_norm"]["failed"] == failed > 0
    assert rows["broken"]["failed"] == 120 and rows["broken"]["tau"] is None
    assert all(row["networks"] == 120 for row in rows.values())
    assert list(rows)[-1] == "broken"


def test_a_file_tells_its_benchmark_and_directions(
    call: Call, scores: pd.DataFrame, tmp_path: Path
) -> None:
    index = np.arange(40)
    accuracy = SSS.accuracy("digits")[index]
    frame = pd.DataFrame({"index": index, "mine": -accuracy})
    frame.attrs = {"benchmark": "digits-sss", "dataset": "digits", "directions": {"mine": -1}}
    frame.to_parquet(tmp_path / "told.parquet", index=False)
    rows = {
        row["proxy"]: row for row in json.loads(call("evaluate", "told.parquet", "--json").stdout)
    }
    assert rows["mine"]["tau"] == 1
    assert "(sum_log_channels)" in rows


def test_a_person_sees_errors_beside_values(call: Call, scores: pd.DataFrame) -> None:
    done = call("evaluate", "scores.parquet", "--columns", "mine,broken")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("120 networks")
    (mine,) = (line.split() for line in lines if line.startswith("mine"))
    assert mine[1] == "high" and mine[3] == "±"
    assert not any(line.startswith("opposite") for line in lines)


def test_live_cells_alone(call: Call, scores: pd.DataFrame) -> None:
    rows = json.loads(call("evaluate", "scores.parquet", "--live", "--json").stdout)
    live = int(TSS.live[scores["index"]].sum())
    assert 0 < live < 120
    assert {row["networks"] for row in rows} == {live}


def test_files_are_joined(call: Call, scores: pd.DataFrame, tmp_path: Path) -> None:
    more = pd.DataFrame({"index": scores["index"][::-1][:50], "more": np.arange(50.0)})
    more.to_parquet(tmp_path / "more.parquet", index=False)
    done = call("evaluate", "scores.parquet", "more.parquet", "--json")
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert {"mine", "more"} < set(rows) and rows["more"]["networks"] == 50


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (["none.parquet"], "no scores at none.parquet", 1),
        (["broken.parquet"], "is not a complete Parquet file", 1),
        (["scores.parquet", "--on", "digits-sss"], "name the benchmark of the scores with --on", 1),
        (["scores.parquet", "--on", "digits"], "no benchmark 'digits'", 1),
        (["scores.parquet", "--dataset", "svhn"], "no data set 'svhn'", 1),
        (
            ["scores.parquet", "--columns", "mien"],
            "the scores have no column 'mien'; they have mine",
            1,
        ),
        (["sss.parquet", "--on", "digits-sss", "--live"], "unused operations are not defined", 1),
        (["two.parquet"], "2 networks are too few to rank: score 3 or more", 1),
        (["scores.parquet", "--rows", "3"], "No such option", 2),
        ([], "Missing argument", 2),
    ],
)
def test_bad_usage_says_what_to_do(
    call: Call, scores: pd.DataFrame, tmp_path: Path, words: list[str], says: str, code: int
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"no Parquet")
    scores[:2].to_parquet(tmp_path / "two.parquet", index=False)
    pd.DataFrame({"index": range(9), "a": range(9)}).to_parquet(tmp_path / "sss.parquet")
    done = call("evaluate", *words)
    assert done.returncode == code
    assert says in done.stderr
    assert code == 2 or len(done.stderr.strip().splitlines()) == 1


def test_another_accuracy_of_the_table_counts(call: Call, tmp_path: Path) -> None:
    index = np.arange(60)
    accuracy = TSS.frame["digits.test.seed1"].to_numpy()[index]
    pd.DataFrame({"index": index, "mine": accuracy}).to_parquet(tmp_path / "one.parquet")
    done = call("evaluate", "one.parquet", "--target", "test.seed1", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert rows["mine"]["tau"] == pytest.approx(1)
    assert "(one seed)" not in rows  # of which there are no others
    refused = call("evaluate", "one.parquet", "--target", "valid@7")
    assert refused.returncode == 1 and "valid@7" in refused.stderr and "test" in refused.stderr
    for words in (("score", "params"), ("evaluate", "one.parquet")):
        assert call(*words, "--target", "nothing").returncode == 1


def test_columns_are_combined(call: Call, scores: pd.DataFrame) -> None:
    texts = ["rank_sum(mine,-opposite)", "log_rank_sum(mine, l2_norm, broken)"]
    words = [word for text in texts for word in ("--combine", text)]
    done = call("evaluate", "scores.parquet", *words, "--columns", "mine", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    accuracy = TSS.accuracy("digits")[scores["index"]]
    ranks = [scores["mine"].rank(), (-scores["opposite"]).rank()]
    tau = stats.kendalltau(sum(ranks), accuracy)[0]
    assert rows["rank_sum(mine, -opposite)"]["tau"] == pytest.approx(tau)
    low = scores["l2_norm"].fillna(-1e9).rank()
    joined = np.log(scores["mine"].rank()) + np.log(low)  # what always fails decides nothing
    row = rows["log_rank_sum(mine, l2_norm, broken)"]
    assert row["tau"] == pytest.approx(stats.kendalltau(joined, accuracy)[0])
    assert row["failed"] == 0 and "opposite" not in rows
    few = call("evaluate", "scores.parquet", *words, "--live", "--json")
    rows = {row["proxy"]: row for row in json.loads(few.stdout)}
    live = TSS.live[scores["index"]]
    part = scores[live]
    tau = stats.kendalltau(part["mine"].rank() + (-part["opposite"]).rank(), accuracy[live])[0]
    assert rows["rank_sum(mine, -opposite)"]["tau"] == pytest.approx(tau)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rank_sum(mine, wrong)", "no column 'wrong'"),
        ("rank_sum(mine, rank_sum(wrong, broken))", "no column 'wrong'"),
        ("rank_sum(mine, mine)", "different"),
        ("rank_sum(mine", "brackets"),
        ("mine", "rank_sum(a, b)"),
        ("", "rank_sum(a, b)"),
        ("az_nas", "no column 'az_expressivity'"),
    ],
)
def test_what_cannot_be_combined_is_one_line(
    call: Call, scores: pd.DataFrame, text: str, says: str
) -> None:
    done = call("evaluate", "scores.parquet", "--combine", text)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert says in line


def test_a_file_with_seeds_shows_their_noise(
    call: Call, scores: pd.DataFrame, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    for seed in range(3):
        scores[f"mine.seed{seed}"] = scores["mine"] + rng.normal(0, 3, 120)
    scores.to_parquet(tmp_path / "scores.parquet", index=False)
    done = call("evaluate", "scores.parquet", "--json")
    rows = {row["proxy"]: row for row in json.loads(done.stdout)}
    assert rows["mine"]["seeds"] == 3 and rows["opposite"]["seeds"] is None
    assert rows["mine"]["tau_one_seed"] < rows["mine"]["tau"]
    assert "mine.seed0" not in rows
    shown = call("evaluate", "scores.parquet").stdout
    assert f"{rows['mine']['tau_between_seeds']:.3f}" in shown
    one = call("evaluate", "scores.parquet", "--columns", "mine.seed2", "--json")
    rows = {row["proxy"]: row for row in json.loads(one.stdout)}
    accuracy = TSS.accuracy("digits")[scores["index"]]
    tau = stats.kendalltau(scores["mine.seed2"], accuracy)[0]
    assert rows["mine.seed2"]["tau"] == pytest.approx(tau)
