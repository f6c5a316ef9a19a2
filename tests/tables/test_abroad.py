"""Families of networks beside each other: what is scored, and what the table says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greenmachine.benchmarks import BENCHMARKS, load_benchmark
from greenmachine.errors import DataError
from greenmachine.fitness import tau_difference_error
from greenmachine.tables import Stored, abroad
from greenmachine.tables.abroad import FAMILIES, MEAN, TABLE, Family
from greenmachine.tables.abroad import GROUPS as OF_TABLE
from greenmachine.tables.base import long_table
from greenmachine.tables.plan import Group
from greenmachine.tables.writing import markdown
from greenmachine.workers import Progress

SMALL = (
    Family("digits-tss", {"channels": 2}),
    Family("digits-sss"),
    Family("nats-tss"),
)
GROUPS = (Group("counts", ("params", "fired_layers"), 4), Group("norms", ("l2_norm",), 8))


@contextmanager
def bar(what: str) -> Iterator[Progress]:
    yield lambda done, total: None


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> Iterator[Stored]:
    """Two families that come with the package, scored by two groups; the third has no table."""
    folder = tmp_path_factory.mktemp("abroad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GREENMACHINE_DATA", str(folder / "nowhere"))
        patch.setattr(abroad, "FAMILIES", SMALL)
        patch.setattr(abroad, "GROUPS", GROUPS)
        patch.setattr(abroad, "NETWORKS", 20)
        patch.setattr(abroad, "WIDTH_NETWORKS", 7)
        patch.setattr(abroad, "AT_FULL_WIDTH", ("norms",))
        patch.setattr(abroad, "DATASET", "digits")
        stored = Stored(folder / "scores", told.append)
        abroad.recompute(stored, bar, workers=1)
        yield stored


def test_rows_are_those_of_the_scores(stored: Stored) -> None:
    rows = TABLE.rows(stored).set_index(["space", "proxy", "metric"])["mean"]
    errors = TABLE.rows(stored).set_index(["space", "proxy", "metric"])["std"]
    for name in ("digits-tss", "digits-sss"):
        benchmark = load_benchmark(name)
        frames = [
            pd.read_parquet(stored.folder / "abroad" / f"{name}-{group.name}.parquet")
            for group in GROUPS
        ]
        assert (name, "l2_norm", "tau_of_widths") in rows or name == "digits-sss"
        frame = frames[0].merge(frames[1], on=["index", "arch"])
        truth = benchmark.accuracy("digits")[frame["index"]]
        size = benchmark.baseline_scores("digits", frame["index"])["params"]
        norm = stats.kendalltau(frame["l2_norm"], truth)[0]
        base = stats.kendalltau(size, truth)[0]
        assert rows[name, "l2_norm", "tau"] == pytest.approx(norm)
        assert rows[name, "l2_norm", "tau_minus_params"] == pytest.approx(norm - base)
        assert errors[name, "l2_norm", "tau_minus_params"] == pytest.approx(
            tau_difference_error(frame["l2_norm"], size, truth)
        )
        assert rows[name, "(params)", "tau_minus_params"] == 0
        assert rows[name, "(one seed)", "tau"] > 0
    taus = [rows[name, "l2_norm", "tau"] for name in ("digits-tss", "digits-sss")]
    spread = [errors[name, "l2_norm", "tau"] for name in ("digits-tss", "digits-sss")]
    assert rows[MEAN, "l2_norm", "tau"] == pytest.approx(np.mean(taus))
    assert errors[MEAN, "l2_norm", "tau"] == pytest.approx(np.hypot(*spread) / 2)
    narrow, full = (
        pd.read_parquet(stored.folder / "abroad" / f"digits-tss-norms{kind}.parquet")
        for kind in ("", "-full")
    )
    assert (len(full), full.attrs["options"]) == (7, {})
    both = narrow.merge(full, on="index")
    tau = stats.kendalltau(both["l2_norm_x"], both["l2_norm_y"])[0]
    assert len(both) == 7 and tau > 0
    assert rows["digits-tss", "l2_norm", "tau_of_widths"] == pytest.approx(tau)
    # Convolutions are counted in one of the families alone, so they have no mean.
    assert (MEAN, "(convolutions)", "tau") not in rows
    assert (MEAN, "(one seed)", "tau") not in rows


def test_a_value_that_a_family_lacks_has_no_mean() -> None:
    values = {"equal": [0.5, np.nan], "differ": [0.5, 0.7]}  # tau of equal scores is not defined
    rows = [
        {"space": space, "dataset": "digits", "proxy": name, "protocol": "scored", "metric": "tau"}
        | {"mean": value, "std": 0.1, "n": 1, "networks": 9}
        for name, column in values.items()
        for space, value in zip(("a", "b"), column, strict=True)
    ]
    (mean,) = abroad._means(long_table(rows))
    assert (mean["proxy"], mean["mean"]) == ("differ", pytest.approx(0.6))


def test_a_family_without_one_file_is_said(stored: Stored, told: list[str]) -> None:
    path = stored.folder / "abroad" / "digits-sss-norms.parquet"
    away = path.rename(path.with_suffix(".away"))
    told.clear()
    rows = TABLE.rows(stored)
    assert not len(rows[(rows["proxy"] == "l2_norm") & (rows["space"] != "digits-tss")])
    lost = [line.partition(" is missing")[0] for line in told if " is missing" in line]
    assert lost == [str(path)]
    away.rename(path)


def test_the_mean_comes_first_in_what_is_read(stored: Stored) -> None:
    text = markdown(TABLE, TABLE.rows(stored))
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads[0].startswith(f"## {MEAN}") and len(heads) == 3


def test_every_family_is_scored_once(stored: Stored, told: list[str]) -> None:
    files = {path.name: path for path in (stored.folder / "abroad").glob("*.parquet")}
    assert set(files) == {
        f"{family}-{group}.parquet"
        for family in ("digits-tss", "digits-sss")
        for group in ("counts", "norms")
    } | {"digits-tss-norms-full.parquet"}
    assert any(line.startswith("nats-tss is left out: no table") for line in told)
    frame = pd.read_parquet(files["digits-tss-norms.parquet"])
    assert frame.attrs["options"] == {"channels": 2} and frame.attrs["batch"] == 8
    functions = load_benchmark("digits-tss").functions[frame["index"]]
    assert len(set(functions)) == len(frame) == 20
    before = {name: path.stat().st_mtime_ns for name, path in files.items()}
    abroad.recompute(stored, bar, workers=1)
    assert {name: path.stat().st_mtime_ns for name, path in files.items()} == before
    frame.attrs["batch"] = 4
    frame.to_parquet(files["digits-tss-norms.parquet"])
    told.clear()
    rows = TABLE.rows(stored)
    assert not ((rows["proxy"] == "l2_norm") & (rows["space"] == "digits-tss")).any()
    assert any(str(files["digits-tss-norms.parquet"]) in line for line in told)
    abroad.recompute(stored, bar, workers=1)
    again = pd.read_parquet(files["digits-tss-norms.parquet"])
    assert again.attrs["batch"] == 8, "scores that were made otherwise stayed"
    assert set(stored.files) == set(files.values())


def test_what_makes_missing_scores_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reproduce abroad --recompute --scores"):
        TABLE.rows(Stored(tmp_path, lambda line: None))


def test_families_are_benchmarks_and_groups_score_networks() -> None:
    assert {family.benchmark for family in FAMILIES} <= set(BENCHMARKS)
    names = [name for group in OF_TABLE for name in group.proxies]
    assert len(names) == len(set(names)) and "sed" not in names and "gm_any" in names
