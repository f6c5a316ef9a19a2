"""Search by a proxy alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("optuna")
import greenmachine
from greenmachine.benchmarks import load_benchmark
from greenmachine.files import write_json
from greenmachine.tables import TABLES, Stored, search
from greenmachine.tables.pool import Pool
from greenmachine.tables.search import found, found_among_all, searched

KEYS = ["space", "proxy", "protocol", "metric"]


@pytest.fixture(autouse=True)
def few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(search.SEARCHES, 100, 3)
    monkeypatch.setitem(search.SEARCHES, 1000, 2)


def test_what_is_found() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(10, 90, 300)
    pool = Pool(accuracy, {"true": accuracy, "opposite": -accuracy, "failed": accuracy * np.nan})
    searches = [rng.integers(300, size=50) for _ in range(40)]
    choices = found(pool, searches)
    assert (choices["true"] == choices["(oracle)"]).all()
    assert (choices["opposite"] == [accuracy[visited].min() for visited in searches]).all()
    # Where all tie the mean is found: what a random choice finds.
    assert choices["failed"].mean() == pytest.approx(choices["(random)"].mean(), abs=8)
    assert choices["(random)"].std() > 5 > choices["failed"].std()
    # A network that two trials came to counts once.
    assert found(pool, [np.array([3, 3, 4])])["failed"] == accuracy[[3, 4]].mean()


@pytest.mark.parametrize("sampler", ["random", "exhaustive"])
def test_a_proxy_finds_what_a_search_by_it_finds(sampler: str, stored: Stored) -> None:
    scored = stored.scored[0]
    indices = scored.frame["index"]
    archs = [scored.benchmark.archs[index] for index in indices]
    accuracy, name = scored.pool.accuracy, scored.benchmark.name
    for seed in (0, 1):
        result = greenmachine.search_networks(
            "nwot",
            on=name,
            dataset=scored.dataset,
            scores=next(iter(scored.paths.values())),
            suggest=lambda trial: archs[trial.suggest_int("network", 0, len(archs) - 1)],
            sampler=sampler,
            trials=60 if sampler == "random" else None,
            ask=len(archs),
            seed=seed,
        )
        chosen = accuracy[archs.index(result.best["arch"].iloc[0])]
        pool = scored.pool.only(lambda proxy: proxy == "nwot")
        if sampler == "random":  # 200 networks have scores; one of them failed
            searches = searched(name, archs, 60, 2)
            assert len(searches[seed]) == 60 > len(set(searches[seed]))
            assert {archs[place] for place in searches[seed]} >= set(result.best["arch"])
            assert found(pool, searches)["nwot"][seed] == chosen
        else:
            assert found_among_all(pool)["nwot"] == chosen


def test_rows(stored: Stored, told: list[str]) -> None:
    write_json(stored.folder / "cost.json", {"seconds": {"nats-tss": {"nwot": [0.5, 1.5]}}})
    rows = TABLES["nas"].rows(stored).set_index(KEYS).sort_index()
    assert sum("too few to search 1000" in line for line in told) == 2
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
