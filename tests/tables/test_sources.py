"""The folder of stored scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import DataError
from greenmachine.proxies.zoo.az_nas import az_nas
from greenmachine.proxies.zoo.entropy import topology_entropy
from greenmachine.tables import TABLES, Stored, reproduce
from greenmachine.tables.sources import AZ_NAS, DATASETS, SPACES

from .conftest import STORED, Change


def test_missing_files_are_said(stored: Stored, told: list[str]) -> None:
    assert [(s.benchmark.name, s.dataset) for s in stored.scored] == list(STORED)
    lost = {line.partition(" is missing")[0].rpartition("/")[2] for line in told}
    places = {(space, dataset) for space in SPACES for dataset in DATASETS}
    assert lost == {
        f"{space}-{dataset}{'.evolved' if (space, dataset) in STORED else ''}.parquet"
        for space, dataset in places
    }
    assert not any("\n" in line for line in told)


def test_all_scores_are_higher_is_better(stored: Stored, folder: Path) -> None:
    pool = stored.scored[0].pool
    frame = pd.read_parquet(folder / "nats-tss-cifar100.parquet")
    assert (pool.scores["ntk"] == -frame["ntk"]).all()
    assert np.isnan(pool.scores["nwot"][3]) and pool.matrix()[0, 3] == -np.inf
    space = load_benchmark("nats-tss")
    assert (pool.accuracy == space.accuracy("cifar100")[frame["index"]]).all()
    baselines = space.baseline_scores("cifar100")
    assert {f"({name})" for name in baselines} < set(pool.scores)
    whole = stored.scored[0].space.scores
    assert set(whole) == {"sed", *(f"({name})" for name in baselines)}
    assert (whole["sed"] == topology_entropy(space.archs)).all()
    assert (stored.scored[0].space.scores["(params)"] == baselines["params"]).all()


def test_what_every_network_has_joins(stored: Stored, folder: Path) -> None:
    size = len(load_benchmark("nats-tss"))
    values = np.random.default_rng(1).normal(size=size)
    whole = pd.DataFrame({"index": np.arange(size)[::-1], "found": values, "mine": 0.0})
    whole.attrs = {"directions": {"found": -1}}
    whole.to_parquet(folder / "nats-tss-cifar100.all.parquet", index=False)
    scored = stored.scored[0]
    assert len(scored.pool) == 200 and len(scored.space) == size
    index = scored.frame["index"].to_numpy()
    assert (scored.pool.scores["found"] == -values[::-1][index]).all()
    assert (scored.space.scores["found"] == -values).all()
    assert scored.pool.scores["mine"].std() > 0  # the narrower file's own
    whole[:-1].to_parquet(folder / "nats-tss-cifar100.all.parquet", index=False)
    with pytest.raises(DataError, match=f"has {size - 1} networks of {size}"):
        _ = Stored(folder, print).scored


def test_what_evolved_joins_where_it_has_the_networks(
    stored: Stored, folder: Path, told: list[str]
) -> None:
    frame = pd.read_parquet(folder / "nats-tss-cifar100.parquet")
    path = folder / "nats-tss-cifar100.evolved.parquet"
    more = [i for i in range(len(load_benchmark("nats-tss"))) if i not in set(frame["index"])][:50]
    found = pd.DataFrame({"index": [*frame["index"], *more], "gm_tss": range(250)})
    found.to_parquet(path, index=False)
    scored = stored.scored[0]
    assert scored.pool.scores["gm_tss"].tolist() == list(range(200))
    baselines = {name for name in scored.pool.scores if name.startswith("(")}
    assert set(scored.space.scores) == {"sed", *baselines}
    found[1:].to_parquet(path, index=False)
    scored = Stored(folder, told.append).scored[0]
    assert "gm_tss" not in scored.pool.scores
    assert any(line.startswith(f"{path} does not have all networks of") for line in told)


def test_az_nas_joins_its_components(stored: Stored, change: Change) -> None:
    rng = np.random.default_rng(1)
    parts = {name: rng.normal(size=200) for name in AZ_NAS}
    change("nats-sss-cifar10", lambda frame: frame.assign(**parts))
    pools = [scored.pool.scores for scored in stored.scored]
    assert "az_nas" not in pools[0] and pools[1]["az_nas"] == pytest.approx(az_nas(parts))


def test_a_folder_without_scores(synthetic_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no scores: `greenmachine reproduce .* makes them"):
        _ = Stored(tmp_path, lambda line: None).scored
    (tmp_path / "nats-tss-cifar10.parquet").write_bytes(b"no Parquet")
    with pytest.raises(DataError, match="Parquet file"):
        _ = Stored(tmp_path, lambda line: None).scored


@pytest.mark.parametrize("name", ["greenmachine", "meco", "nas"])
def test_very_few_networks(
    name: str, stored: Stored, change: Change, told: list[str], tmp_path: Path
) -> None:
    for space, dataset in STORED:
        change(f"{space}-{dataset}", lambda frame: frame[:2])
    csv = reproduce(TABLES[name], stored, tmp_path / "out")[0]
    rows = pd.read_csv(csv)
    ours = rows[rows["mean"].notna()]  # others are published alone
    sampled = ours["protocol"].isin(["random", "stratified", "scored", "live"])
    assert not sampled.any()
    # What is searched is the space alone: two networks are nothing to draw from.
    assert set(ours["proxy"]) <= {"sed", *ours["proxy"][ours["proxy"].str.startswith("(")]}


def test_networks_of_another_space(stored: Stored, change: Change) -> None:
    change("nats-sss-cifar10", lambda frame: frame.assign(index=frame["index"] + 10_000))
    with pytest.raises(DataError, match="nats-sss has no network"):
        _ = stored.scored
