"""Search by a proxy alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.files import write_json
from greenmachine.tables import TABLES, Stored
from greenmachine.tables.pool import Pool
from greenmachine.tables.search import found

KEYS = ["space", "proxy", "protocol", "metric"]


def test_what_is_found() -> None:
    accuracy = np.random.default_rng(0).uniform(10, 90, 300)
    pool = Pool(accuracy, {"true": accuracy, "opposite": -accuracy, "failed": accuracy * np.nan})
    choices = found(pool, 50)
    assert (choices["true"] == choices["(oracle)"]).all()
    assert (choices["opposite"] <= choices["(random)"]).all()
    # Where all tie the mean is found: what a random choice is worth.
    assert choices["failed"].mean() == pytest.approx(choices["(random)"].mean(), abs=8)
    assert choices["(random)"].std() > 5 > choices["failed"].std()
    assert len(choices["true"]) >= 30


def test_rows(stored: Stored, told: list[str]) -> None:
    write_json(stored.folder / "cost.json", {"seconds": {"nats-tss": {"nwot": [0.5, 1.5]}}})
    rows = TABLES["nas"].rows(stored).set_index(KEYS).sort_index()
    assert sum("too few to draw 1000" in line for line in told) == 2
    assert set(rows.index.get_level_values("protocol")) == {"of 100", "of all"}
    space = stored.scored[0].space
    oracle = rows.loc[("nats-tss", "(oracle)", "of all", "accuracy")]
    assert oracle["mean"] == space.accuracy.max() and oracle["networks"] == len(space) > 200
    assert rows.loc[("nats-tss", "nwot", "of 100", "seconds"), "mean"] == 100
    # It scored 200 networks: what it would find among more is not known.
    assert set(rows.loc[("nats-tss", "nwot")].index.get_level_values("protocol")) == {"of 100"}
    assert ("nats-sss", "nwot", "of 100", "seconds") not in rows.index
    regret = rows.xs("regret", level="metric")["mean"]
    assert (regret >= 0).all() and (regret.xs("(oracle)", level="proxy") == 0).all()


def test_where_all_scored_the_whole_space(stored: Stored, told: list[str]) -> None:
    accuracy = load_benchmark("nats-sss").accuracy("cifar10")
    frame = pd.DataFrame({"index": np.arange(len(accuracy)), "nwot": accuracy})
    frame.to_parquet(stored.folder / "nats-sss-cifar10.parquet", index=False)
    rows = TABLES["nas"].rows(stored).set_index(KEYS).sort_index()
    assert not any("nats-sss" in line and "too few" in line for line in told)
    assert set(rows.loc[("nats-sss", "nwot")].index.get_level_values("protocol")) > {"of all"}
    assert rows.loc[("nats-sss", "nwot", "of all", "regret"), "mean"] == 0
