"""GreenMachine's and MeCo's tables: values, protocols, published figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greenmachine.benchmarks import load_benchmark
from greenmachine.tables import TABLES, Stored
from greenmachine.tables.draws import DRAWS, SIZE, random_draws
from greenmachine.tables.pool import Pool
from greenmachine.tables.ranking import at_once, drawn, top_accuracy

from .conftest import make_folder

KEYS = ["space", "dataset", "proxy", "protocol", "metric"]
TSS = ("nats-tss", "cifar100")


@pytest.fixture(scope="module")
def folder(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("scores"))


@pytest.fixture(scope="module")
def rows(folder: Path) -> pd.DataFrame:
    stored = Stored(folder, lambda line: None)
    return TABLES["greenmachine"].rows(stored).set_index(KEYS).sort_index()


def test_scored_and_live(rows: pd.DataFrame, folder: Path) -> None:
    assert not rows.index.has_duplicates
    space = load_benchmark("nats-tss")
    frame = pd.read_parquet(folder / "nats-tss-cifar100.parquet")
    live = space.live[frame["index"]]
    for protocol, chosen in (("scored", np.full(200, True)), ("live", live)):
        values = frame["nwot"].fillna(-np.inf)[chosen]
        accuracy = space.accuracy("cifar100")[frame["index"]][chosen]
        tau = rows.loc[(*TSS, "nwot", protocol, "tau")]
        assert tau["mean"] == pytest.approx(stats.kendalltau(values, accuracy).statistic)
        assert (tau["n"], tau["networks"], tau["failed"]) == (1, chosen.sum(), chosen[3])
        assert 0 < tau["std"] < 0.1
        rho = rows.loc[(*TSS, "nwot", protocol, "spearman")]
        assert rho["mean"] == pytest.approx(stats.spearmanr(values, accuracy).statistic)
        top = rows.loc[(*TSS, "nwot", protocol, "top_accuracy"), "mean"]
        assert top == accuracy[np.argmax(values)]
        assert rows.loc[(*TSS, "nwot", protocol, "optimum"), "mean"] == accuracy.max()
        assert rows.loc[(*TSS, "nwot", protocol, "regret"), "mean"] == accuracy.max() - top
    assert rows.loc[(*TSS, "ntk", "scored", "tau"), "mean"] > 0.5  # low is good
    every = rows.loc[(*TSS, "(params)", "live_space", "tau")]
    params = space.baseline_scores("cifar100", np.arange(len(space)))["params"][space.live]
    tau = stats.kendalltau(params, space.accuracy("cifar100")[space.live]).statistic
    assert (every["mean"], every["networks"]) == (pytest.approx(tau), space.live.sum())
    sizes = rows.xs("nats-sss", level="space").index.get_level_values("protocol")
    assert not {"live", "live_space"} & set(sizes)


def test_draws(rows: pd.DataFrame, stored: Stored) -> None:
    pool = stored.scored[0].pool
    scores = np.where(np.isnan(pool.scores["nwot"]), -np.inf, pool.scores["nwot"])
    for metric, measure in (("tau", stats.kendalltau), ("spearman", stats.spearmanr)):
        found = [measure(scores[c], pool.accuracy[c])[0] for c in random_draws(200)]
        row = rows.loc[(*TSS, "nwot", "random", metric)]
        assert (row["mean"], row["std"]) == pytest.approx((np.mean(found), np.std(found, ddof=1)))
        assert (row["n"], row["networks"]) == (DRAWS, SIZE)
    row = rows.loc[(*TSS, "nwot", "stratified", "tau")]
    assert row["n"] == DRAWS and 50 < row["networks"] <= SIZE


def test_whole_space(rows: pd.DataFrame) -> None:
    space = load_benchmark("nats-tss")
    params = space.baseline_scores("cifar100")["params"]
    row = rows.loc[(*TSS, "(params)", "space", "tau")]
    expected = stats.kendalltau(params, space.accuracy("cifar100")).statistic
    assert row["mean"] == pytest.approx(expected) and row["networks"] == len(space)
    assert (*TSS, "nwot", "space", "tau") not in rows.index
    poor, rich = (
        rows.loc[(*TSS, "(params)", protocol, "tau")]
        for protocol in ("stratified", "stratified_space")
    )
    assert poor["networks"] <= rich["networks"] and rich["n"] == DRAWS
    assert (*TSS, "nwot", "stratified_space", "tau") not in rows.index


def test_published_figures_are_mixed_with_nothing(rows: pd.DataFrame) -> None:
    assert rows.loc[(*TSS, "nwot", "live", "tau"), "published"] == 0.648
    alone = rows.loc[(*TSS, "greenmachine", "stratified", "tau")]
    assert alone["published"] == 0.71 and np.isnan(alone["mean"])
    assert (
        rows.loc[("nats-sss", "cifar10", "greenmachine", "stratified", "tau")]["published"] == 0.89
    )
    assert np.isnan(rows.loc[(*TSS, "nwot", "scored", "tau"), "published"])
    assert "cifar10" not in set(rows.loc["nats-tss"].index.get_level_values("dataset"))


def test_meco(stored: Stored) -> None:
    rows = TABLES["meco"].rows(stored).set_index(KEYS).sort_index()
    names = set(rows.index.get_level_values("proxy"))
    assert {"meco_modules", "(params)"} < names and not names & {"nwot", "mine"}
    assert set(rows.index.get_level_values("metric")) == {"spearman"}
    row = rows.loc[(*TSS, "meco_modules", "scored", "spearman")]
    assert row["published"] == 0.883 and np.isfinite(row["mean"])
    frame = stored.scored[1].frame  # widths, CIFAR-10
    for dataset, published in (("cifar10", -0.79), ("imagenet16-120", -0.86)):
        row = rows.loc[("nats-sss", dataset, "meco_modules", "cifar10_image", "spearman")]
        accuracy = load_benchmark("nats-sss").accuracy(dataset)[frame["index"]]
        rho = stats.spearmanr(frame["meco_modules"], accuracy).statistic
        assert (row["mean"], row["published"]) == (pytest.approx(rho), published)


def test_ties_at_the_top_share() -> None:
    accuracy = np.array([50.0, 60.0, 90.0, 70.0])
    assert top_accuracy(np.array([1.0, 1.0, 0.0, np.nan]), accuracy) == 55
    assert top_accuracy(np.full(4, np.nan), accuracy) == accuracy.mean()


def test_constant_scores_and_small_pools() -> None:
    accuracy = np.linspace(10, 90, 150)
    pool = Pool(accuracy, {"flat": np.zeros(150), "failed": np.full(150, np.nan)})
    assert list(drawn(pool, accuracy)) == []
    rows = {(r["proxy"], r["metric"]): r["mean"] for r in at_once("scored", pool)}
    assert np.isnan(rows["flat", "tau"]) and rows["failed", "top_accuracy"] == accuracy.mean()
    small = pool.part(np.arange(150) < 2)
    assert list(drawn(small, accuracy)) == list(at_once("scored", small)) == []
