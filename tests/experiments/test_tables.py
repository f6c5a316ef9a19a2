"""The studies of score files, on invented tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments import green_factory, zoo_tables
from greenmachine.benchmarks import load_benchmark
from greenmachine.evaluation import try_forest

STUDIES = {"zoo": zoo_tables.main, "green_factory": green_factory.main}


@pytest.fixture
def scores(synthetic_data: Path, tmp_path: Path) -> Path:
    """A folder with scores of both spaces, four of six files missing."""
    folder = tmp_path / "scores"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for space, dataset in (("nats-tss", "cifar100"), ("nats-sss", "cifar10")):
        accuracy = load_benchmark(space).accuracy(dataset)
        frame = pd.DataFrame({"index": np.arange(len(accuracy))})
        frame["nwot"] = accuracy + rng.normal(0, 20, len(accuracy))
        frame.loc[3, "nwot"] = np.nan
        frame["mine"] = rng.normal(size=len(accuracy))
        frame.to_parquet(folder / f"{space}-{dataset}.parquet", index=False)
    return folder


def test_zoo(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_tables.main(["--scores", str(scores), "--out", str(tmp_path / "zoo")]) == 0
    assert capsys.readouterr().err.count("is missing") == 4
    table = pd.read_csv(tmp_path / "zoo" / "table.csv")
    place = ["space", "dataset", "cells", "metric", "proxy"]
    rows = table.set_index(place)
    assert not rows.index.has_duplicates
    space = load_benchmark("nats-tss")
    frame = pd.read_parquet(scores / "nats-tss-cifar100.parquet")
    for cells, chosen in (("all", np.full(len(space), True)), ("live", space.live)):
        values = frame["nwot"].fillna(-np.inf)[chosen]
        accuracy = space.accuracy("cifar100")[chosen]
        row = rows.loc[("nats-tss", "cifar100", cells, "tau", "nwot")]
        assert row["value"] == pytest.approx(stats.kendalltau(values, accuracy).statistic)
        assert row["networks"] == chosen.sum()
    assert rows.loc[("nats-tss", "cifar100", "live", "tau", "nwot"), "published"] == 0.648
    assert set(table[table["space"] == "nats-sss"]["cells"]) == {"all"}
    assert {"(params)", "(flops)", "(convolutions)", "mine"} < set(table["proxy"])
    text = (tmp_path / "zoo" / "table.md").read_text()
    assert "## nats-tss, cifar100, live" in text and "| 0.648 |" in text
    assert (tmp_path / "zoo" / "manifest.json").is_file()


def test_az_nas_joins_its_components(scores: Path, tmp_path: Path) -> None:
    path = scores / "nats-sss-cifar10.parquet"
    frame = pd.read_parquet(path)
    rng = np.random.default_rng(1)
    parts = ("az_expressivity", "az_progressivity", "az_trainability", "flops")
    frame = frame.assign(**{name: rng.normal(size=len(frame)) for name in parts})
    frame.to_parquet(path, index=False)
    assert zoo_tables.main(["--scores", str(scores), "--out", str(tmp_path / "zoo")]) == 0
    rows = pd.read_csv(tmp_path / "zoo" / "table.csv").set_index(["space", "metric", "proxy"])
    ranks = sum(np.log(frame[name].rank()) for name in parts)
    accuracy = load_benchmark("nats-sss").accuracy("cifar10")
    expected = stats.spearmanr(ranks, accuracy).statistic
    assert rows.loc[("nats-sss", "spearman", "az_nas"), "value"] == pytest.approx(expected)


def test_green_factory(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scores", str(scores), "--out", str(tmp_path / "out"), "--seeds", "2"]
    words += ["--trees", "5", "--workers", "1"]
    assert green_factory.main([*words, "--train", "40", "1000", "0.8"]) == 0
    told = capsys.readouterr().err
    assert told.count("is missing") == 4 and told.count("too few to train on 1000") == 2
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    columns = "proxy,space,dataset,protocol,train,metric,mean,std,n,published"
    assert list(table.columns) == columns.split(",")
    tss, sss = (table[table["space"] == space] for space in ("nats-tss", "nats-sss"))
    assert set(sss["protocol"]) == {"all", "held_out"}
    assert set(tss["protocol"]) == {"all", "held_out", "held_out_classes"}
    assert (set(tss["train"]), set(sss["train"])) == ({40, 240}, {40, 194})
    known = table[table["published"].notna()]
    assert set(zip(known["space"], known["published"], strict=True)) == {
        ("nats-tss", 0.929),
        ("nats-sss", 0.907),
    }
    assert set(known["proxy"]) == {"green_factory"} and set(known["metric"]) == {"tau"}
    frame = pd.read_parquet(scores / "nats-sss-cifar10.parquet")
    accuracy = load_benchmark("nats-sss").accuracy("cifar10")
    runs = [
        try_forest(frame[["nwot", "mine"]], accuracy, np.arange(len(frame)), 40, seed=s, trees=5)
        for s in range(2)
    ]
    taus = [run.measures.set_index("protocol").loc["held_out", "tau"] for run in runs]
    rows = sss.set_index(["proxy", "protocol", "train", "metric"])
    row = rows.loc[("green_factory", "held_out", 40, "tau")]
    assert (row["mean"], row["std"], row["n"]) == pytest.approx(
        (np.mean(taus), np.std(taus, ddof=1), 2)
    )
    text = (tmp_path / "out" / "table.md").read_text()
    assert "## nats-sss, cifar10" in text and "over 2 seeds" in text


def test_encodings_tell_architectures_apart(synthetic_data: Path) -> None:
    for space in ("nats-tss", "nats-sss"):
        benchmark = load_benchmark(space)
        encoded = green_factory.encoding(benchmark, pd.Series(range(len(benchmark))))
        assert not encoded.duplicated().any()


@pytest.mark.parametrize("main", STUDIES.values(), ids=STUDIES)
def test_a_folder_without_scores(
    main: Callable[[list[str]], int],
    synthetic_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--scores", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "has no scores: `greenmachine score" in capsys.readouterr().err
    (tmp_path / "nats-tss-cifar10.parquet").write_bytes(b"no Parquet")
    assert main(["--scores", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "is not a whole Parquet file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["--scores"])
    assert ended.value.code == 2
