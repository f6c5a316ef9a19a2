"""Evolved proxies are judged on networks that did not choose them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greenmachine.benchmarks import load_benchmark
from greenmachine.proxies import EVOLVED
from greenmachine.tables import TABLES, Stored, reproduce
from greenmachine.tables.generalisation import unseen

from .conftest import Change

KEYS = ["space", "dataset", "proxy", "protocol", "metric"]


@pytest.fixture
def evolved(folder: Path, change: Change, stored: Stored) -> Stored:
    def add(frame: pd.DataFrame) -> pd.DataFrame:
        scores = np.random.default_rng(1).normal(size=(len(EVOLVED), len(frame)))
        return frame.assign(**{p.name: s for p, s in zip(EVOLVED, scores, strict=True)})

    change("nats-tss-cifar100", add)
    return stored


def test_no_network_that_chose_one_counts(evolved: Stored) -> None:
    space = load_benchmark("nats-tss")
    scored = evolved.scored[0]
    chose = {i for proxy in EVOLVED for i in proxy.seen("nats-tss") if i < len(space)}
    classes = {space.functions[i] for i in chose}
    indices = scored.frame["index"].to_numpy()
    left = unseen(scored, indices)
    assert chose and 0 < (~left).sum() < len(indices)
    assert left.tolist() == [space.functions[i] not in classes for i in indices]

    rows = TABLES["generalisation"].rows(evolved).set_index(KEYS)
    assert not rows.index.has_duplicates
    row = rows.loc[("nats-tss", "cifar100", "nats_tss_cifar10", "unseen", "tau")]
    part = scored.frame[left]
    accuracy = space.accuracy("cifar100")[part["index"]]
    expected = stats.kendalltau(part["nats_tss_cifar10"], accuracy).statistic
    assert row["mean"] == pytest.approx(expected)
    assert (row["networks"], row["evolved_on"]) == (left.sum(), "nats-tss cifar10")
    names = set(rows.index.get_level_values("proxy"))
    assert {proxy.name for proxy in EVOLVED} < names and "nwot" not in names


def test_more_networks_than_others_were_scored_on(folder: Path, stored: Stored) -> None:
    space = load_benchmark("nats-tss")
    compared = pd.read_parquet(folder / "nats-tss-cifar100.parquet")["index"]
    index = np.union1d(compared, np.arange(0, len(space), 3))
    scores = np.random.default_rng(1).normal(size=len(index))
    frame = pd.DataFrame({"index": index, "nats_tss_cifar10": scores})
    frame.to_parquet(folder / "nats-tss-cifar100.evolved.parquet", index=False)

    scored = stored.scored[0]
    rows = TABLES["generalisation"].rows(stored).set_index(KEYS).sort_index()
    row = rows.loc[("nats-tss", "cifar100", "nats_tss_cifar10")].xs("tau", level="metric")
    left = unseen(scored, index)
    accuracy = space.accuracy("cifar100")[index]
    for protocol, part in (("scored", np.ones_like(left)), ("unseen", left)):
        expected = stats.kendalltau(scores[part], accuracy[part]).statistic
        assert row.loc[protocol, "mean"] == pytest.approx(expected)
        assert row.loc[protocol, "networks"] == part.sum()


def test_what_was_scored_on_fewer_networks_is_judged_on_those_of_the_zoo(
    folder: Path, change: Change, stored: Stored
) -> None:
    change("nats-tss-cifar100", lambda frame: frame.assign(digits_tss=-1.0 * frame["index"]))
    index = np.arange(len(load_benchmark("nats-tss")))
    frame = pd.DataFrame({"index": index, "nats_tss_cifar10": np.sin(index)})
    frame.to_parquet(folder / "nats-tss-cifar100.evolved.parquet", index=False)

    rows = TABLES["generalisation"].rows(stored).set_index(KEYS).sort_index()
    taus = rows.loc[("nats-tss", "cifar100")].xs("tau", level="metric")["networks"]
    scored = stored.scored[0]
    compared = len(scored.frame)
    left = unseen(scored, scored.frame["index"].to_numpy()).sum()
    assert taus["digits_tss"][["scored", "unseen"]].tolist() == [compared, left]
    assert taus["nats_tss_cifar10"]["scored"] == len(index) > compared
    assert not rows.index.has_duplicates


def test_its_files(evolved: Stored, tmp_path: Path) -> None:
    made = reproduce(TABLES["generalisation"], evolved, tmp_path / "out")
    text = made[1].read_text()
    assert "| `nats_tss_cifar10` | `nats-tss cifar10` |" in text
    assert "| `(convolutions)` | `baseline` |" in text
