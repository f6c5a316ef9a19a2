"""GreenFactory's table: forests fitted, kept, and read again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import DataError
from greenmachine.evaluation import try_forest
from greenmachine.proxies import EVOLVED
from greenmachine.tables import TABLES, Stored
from greenmachine.tables.base import COLUMNS
from greenmachine.tables.forests import Study, fit_forests
from greenmachine.tables.inputs import encoding

from .conftest import Change, no_bar

STUDY = Study(train=(40, 1000, 0.8), seeds=2, trees=5)


def test_forests(stored: Stored, told: list[str], folder: Path) -> None:
    fit_forests(stored, no_bar, 1, STUDY)
    assert sum("too few to fit 1000" in line for line in told) == 6
    table = TABLES["greenfactory"].rows(stored)
    assert list(table.columns) == [*COLUMNS, "train"]
    tss, sss = (table[table["space"] == space] for space in ("nats-tss", "nats-sss"))
    assert set(sss["protocol"]) == {"all", "held_out"}
    assert set(tss["protocol"]) == {"all", "held_out", "held_out_classes"}
    assert set(tss["train"]) == set(sss["train"]) == {0, 40, 160}
    assert set(tss["proxy"]) > {"green_factory", "(encoding)", "(params)"}
    known = table[table["published"].notna()]
    assert set(zip(known["space"], known["published"], strict=True)) == {
        ("nats-tss", 0.929),
        ("nats-sss", 0.907),
    }
    assert set(known["proxy"]) == {"green_factory", "green_factory_trivial"}
    assert set(known["metric"]) == {"tau"}
    frame = pd.read_parquet(folder / "nats-sss-cifar10.parquet")
    accuracy = load_benchmark("nats-sss").accuracy("cifar10")[frame["index"]]
    columns = frame[["nwot", "meco_modules", "ntk"]]  # "mine" is not of the zoo
    trivial = load_benchmark("nats-sss").baseline_scores("cifar10", frame["index"].to_numpy())
    rows = sss.set_index(["proxy", "protocol", "train", "metric"])
    for name, inputs in (
        ("green_factory", columns),
        ("green_factory_trivial", columns.assign(**trivial)),
    ):
        runs = [try_forest(inputs, accuracy, np.arange(200), 40, seed=s, trees=5) for s in (0, 1)]
        taus = [run.measures.set_index("protocol").loc["held_out", "tau"] for run in runs]
        row = rows.loc[(name, "held_out", 40, "tau")]
        assert (row["mean"], row["std"], row["n"], row["networks"]) == pytest.approx(
            (np.mean(taus), np.std(taus, ddof=1), 2, 160)
        )


def test_forests_of_other_scores_are_fitted_again(
    stored: Stored, folder: Path, told: list[str], change: Change
) -> None:
    study = Study(train=(40,), seeds=1, trees=2)
    fit_forests(stored, no_bar, 1, study)
    held = (folder / "forests.json").read_bytes()
    fit_forests(stored, no_bar, 1, study)
    assert (folder / "forests.json").read_bytes() == held
    change("nats-tss-cifar100", lambda frame: frame.assign(nwot=frame["nwot"] + 1))
    fresh = Stored(folder, told.append)
    rows = TABLES["greenfactory"].rows(fresh)
    assert set(rows["space"]) == {"nats-sss"}
    assert any("nats-tss-cifar100: no forests of these scores" in line for line in told)
    fit_forests(fresh, no_bar, 1, study)
    assert set(TABLES["greenfactory"].rows(fresh)["space"]) == {"nats-tss", "nats-sss"}
    held = json.loads((folder / "forests.json").read_text())
    for one in held["forests"].values():  # as if this had not been asked for then
        one["inputs"].pop("(encoding)")
        one["rows"] = [row for row in one["rows"] if row["proxy"] != "(encoding)"]
        one["rows"][0]["tau"] = 0.125  # what was fitted stays
    (folder / "forests.json").write_text(json.dumps(held))
    before = TABLES["greenfactory"].rows(fresh)
    fit_forests(fresh, no_bar, 1, study)
    rows = TABLES["greenfactory"].rows(fresh)
    assert set(rows["proxy"]) - set(before["proxy"]) == {"(encoding)"}
    assert (rows["mean"] == 0.125).sum() == 2
    fit_forests(fresh, no_bar, 1, Study(train=(50,), seeds=1, trees=2))
    assert set(TABLES["greenfactory"].rows(fresh)["train"]) == {0, 50}


def test_forests_of_whole_spaces(stored: Stored, folder: Path) -> None:
    space = load_benchmark("nats-tss")
    accuracy = space.accuracy("cifar100")
    frame = pd.DataFrame({"index": np.arange(len(space)), "sed": accuracy, "found": accuracy})
    frame.to_parquet(folder / "nats-tss-cifar100.all.parquet", index=False)
    fit_forests(stored, no_bar, 1, Study(train=(40,), seeds=1, trees=2))
    rows = TABLES["greenfactory"].rows(stored).set_index(["proxy", "protocol", "metric"])
    assert rows.loc[("green_factory_space", "all", "tau"), "networks"] == len(space)


def test_forests_of_what_evolved(stored: Stored, folder: Path) -> None:
    """They alone read what evolved, and are judged apart where no accuracy chose it."""
    accuracy = load_benchmark("nats-sss").accuracy("cifar10")
    frame = pd.DataFrame({"index": np.arange(len(accuracy)), "gm_sss": accuracy})
    frame.to_parquet(folder / "nats-sss-cifar10.evolved.parquet", index=False)
    fit_forests(stored, no_bar, 1, Study(train=(40,), seeds=1, trees=2))
    rows = TABLES["greenfactory"].rows(stored).set_index(["space", "proxy", "protocol", "metric"])
    rows = rows.sort_index()
    assert "green_factory_evolved" not in rows.loc["nats-tss"].index
    found = rows.loc[("nats-sss", "green_factory_evolved")]
    assert found.loc[("held_out", "tau"), "mean"] > 0.9  # it has the accuracies themselves
    assert rows.loc[("nats-sss", "green_factory", "held_out", "tau"), "mean"] < 0.9
    judged = found["networks"].xs("tau", level="metric")
    chose = {index for proxy in EVOLVED for index in proxy.seen("nats-sss")}
    assert judged["all"] == len(accuracy) and judged["held_out"] == len(accuracy) - 40
    assert rows.loc[("nats-sss", "(encoding_space)", "all", "tau"), "networks"] == len(accuracy)
    unseen = len(accuracy) - len(chose & set(range(len(accuracy))))
    assert unseen - 40 <= judged["held_out_unseen"] <= min(unseen, judged["held_out"])


def test_no_forests(stored: Stored, folder: Path) -> None:
    with pytest.raises(DataError, match="has no forests: `greenmachine reproduce greenfactory"):
        TABLES["greenfactory"].rows(stored)
    (folder / "forests.json").write_text("[]")
    with pytest.raises(DataError, match="is damaged"):
        TABLES["greenfactory"].rows(stored)


def test_encodings_tell_architectures_apart(synthetic_data: Path) -> None:
    for space in ("nats-tss", "nats-sss"):
        benchmark = load_benchmark(space)
        encoded = encoding(benchmark, pd.Series(range(len(benchmark))))
        assert not encoded.duplicated().any()
