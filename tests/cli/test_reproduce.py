"""``greenmachine reproduce``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.tables import TABLES, search

from .conftest import Call


@pytest.fixture
def scores(synthetic_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "scores" / "zoo"  # where they are looked for
    folder.mkdir(parents=True)
    accuracy = load_benchmark("nats-tss").accuracy("cifar10")
    noise = np.random.default_rng(0).normal(size=len(accuracy))
    frame = pd.DataFrame({"index": np.arange(len(accuracy)), "nwot": accuracy + noise})
    frame.to_parquet(folder / "nats-tss-cifar10.parquet", index=False)
    return folder


def test_all_tables(
    call: Call, scores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(search.SEARCHES, 100, 4)  # Optuna takes half a minute for all of them
    monkeypatch.setitem(search.SEARCHES, 1000, 2)
    done = call("reproduce", "all")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is missing: its rows are left out") == 5
    without = {"abroad", "greenfactory", "cost"}
    assert all(f"{name} is left out" in done.stderr for name in without)
    made = {path.stem for path in (tmp_path / "results" / "tables").glob("*.csv")}
    assert made == set(TABLES) - without


def test_one_table_elsewhere(call: Call, scores: Path, tmp_path: Path) -> None:
    done = call("reproduce", "greenmachine", "--scores", str(scores), "--out", "there")
    assert done.returncode == 0, done.stderr
    kinds = ("csv", "json", "md", "svg")
    assert sorted(p.name for p in (tmp_path / "there").iterdir()) == [
        f"greenmachine.{kind}" for kind in kinds
    ]


def test_recompute(call: Call, scores: Path) -> None:
    done = call("reproduce", "greenfactory", "--recompute", "--scores", "none")
    assert done.returncode == 1 and "none has no scores" in done.stderr
    alone = call("reproduce", "greenfactory")
    assert alone.returncode == 1
    assert alone.stderr.splitlines()[-1].startswith(
        "greenmachine: results/scores/zoo has no forests"
    )


@pytest.mark.slow
def test_forests_are_fitted(call: Call, scores: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(scores / "nats-tss-cifar10.parquet")[:60]
    frame.to_parquet(scores / "nats-tss-cifar10.parquet", index=False)
    done = call("reproduce", "greenfactory", "--recompute", "--workers", "1")
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tmp_path / "results" / "tables" / "greenfactory.csv")
    assert set(rows["train"]) == {0, 48}


@pytest.mark.parametrize("table", ["all", "greenmachine"])
def test_nothing_stored_is_one_line(
    call: Call, synthetic_data: Path, tmp_path: Path, table: str
) -> None:
    done = call("reproduce", table, "--scores", "none")
    assert done.returncode == 1
    assert "none has no scores: `greenmachine reproduce greenmachine --recompute" in done.stderr
    assert not (tmp_path / "results").exists()


def test_unknown_table(call: Call) -> None:
    done = call("reproduce", "tables")
    assert done.returncode == 1
    assert "greenmachine, generalisation, abroad" in done.stderr
