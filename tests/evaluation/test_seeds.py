"""Sweeps with several seeds, and what they say of the noise of one."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greenmachine.benchmarks import load_benchmark
from greenmachine.errors import ConfigError, RunError
from greenmachine.evaluation import (
    OF_SEEDS,
    capture_spec,
    checkpoint,
    direction_of,
    estimate_sweep,
    read_scores,
    score_columns,
    score_networks,
    score_to_file,
    seed_spread,
    seed_table,
    tau_table,
)
from greenmachine.evaluation.combining import rank_sums_of, with_rank_sums
from greenmachine.evaluation.score_file import seed_columns
from greenmachine.language import parse
from greenmachine.proxies.combinations import read_rank_sum

NORM = "sum_layers(l2_norm(noise_weight_grad))"
PROXIES = {"a": "nwot", "norm": NORM, "sed": "sed", "params": "params"}
INDICES = [*range(4), *range(100, 108)]  # nwot fails on some
SPEC = capture_spec(
    "nats-tss", "cifar10", [parse(NORM)], batch=2, seed=3, options={"cells": 1, "channels": 4}
)


@pytest.mark.usefixtures("synthetic_data")
class TestSweep:
    def test_columns_of_seeds_are_sweeps_with_one_seed(self, tmp_path: Path) -> None:
        out = tmp_path / "scores.parquet"
        told: list[tuple[int, int]] = []
        frame = score_to_file(
            PROXIES,
            SPEC,
            INDICES,
            out,
            seeds=2,
            workers=1,
            combined=[read_rank_sum("rank_sum(norm, -a, sed)")],
            progress=lambda *of: told.append(of),
        )
        assert told[-1] == (24, 24)
        seeds = [
            score_networks(PROXIES, replace(SPEC, seed=seed), INDICES, workers=1) for seed in (3, 4)
        ]
        for name in ("a", "norm", "params"):
            alone = np.stack([one[name] for one in seeds])
            columns = frame[[f"{name}.seed{seed}" for seed in (3, 4)]]
            np.testing.assert_array_equal(columns.to_numpy().T, alone)
            np.testing.assert_allclose(frame[name], alone.mean(axis=0))  # NaN where one failed
        assert 0 < frame["a"].isna().sum() < len(frame)
        assert (frame["norm.seed3"] != frame["norm.seed4"]).sum() > 6  # some have no convolution
        assert frame["params"].equals(frame["params.seed4"].rename("params"))
        assert frame["sed"].equals(seeds[0]["sed"]) and "sed.seed3" not in frame
        joined = read_rank_sum("rank_sum(norm, -a, sed)")
        for seed in ("", ".seed4"):
            found = joined({n: frame.get(f"{n}{seed}", frame[n]) for n in ("norm", "a", "sed")})
            np.testing.assert_array_equal(frame[f"{joined.text}{seed}"], found)

        read = read_scores([out])
        pd.testing.assert_frame_equal(read, frame)
        assert read.attrs["seed"] == 3 and read.attrs["seeds"] == 2
        assert score_columns(read) == [*PROXIES, joined.text]
        assert score_columns(read, "norm.seed4,norm") == ["norm.seed4", "norm"]

    @pytest.mark.parametrize("done", [8, 12, 20])
    def test_a_stopped_sweep_goes_on(
        self, done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the first seed, between two seeds, and in the second."""
        monkeypatch.setattr(checkpoint, "PART_NETWORKS", 8)
        out = tmp_path / "scores.parquet"
        asked = {"norm": NORM}

        def stop(now: int, total: int) -> None:
            if now == done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            score_to_file(asked, SPEC, INDICES, out, seeds=2, workers=1, progress=stop)
        with pytest.raises(RunError, match="parts of other work"):
            score_to_file(asked, SPEC, INDICES, out, seeds=3, workers=1)
        lines: list[str] = []
        frame = score_to_file(asked, SPEC, INDICES, out, seeds=2, workers=1, announce=lines.append)
        assert lines == [
            f"12 networks, 12 distinct, 2 seeds: {done} scored before, {24 - done} to go"
        ]
        whole = score_networks(asked, SPEC, INDICES, seeds=2, workers=1)
        pd.testing.assert_frame_equal(frame, whole)

    def test_architectures_alone_need_no_seeds(self, tmp_path: Path) -> None:
        frame = score_to_file({"sed": "sed"}, SPEC, INDICES, tmp_path / "a.parquet", seeds=5)
        assert list(frame) == ["index", "arch", "sed"]

    def test_cells_that_compute_the_same_share_each_seed(self) -> None:
        frame = score_networks(
            {"norm": NORM}, SPEC, range(20), distinct=True, seeds=2, workers=1
        ).set_index("index")
        twins = load_benchmark("nats-tss").twins[:20]
        copies = [index for index in range(20) if twins[index] != index]
        assert copies
        for index in copies:
            same = frame.loc[index, ["norm", "norm.seed3", "norm.seed4"]]
            first = frame.loc[twins[index], ["norm", "norm.seed3", "norm.seed4"]]
            np.testing.assert_array_equal(same.astype(float), first.astype(float))

    def test_the_cost_counts_the_seeds(self) -> None:
        one = estimate_sweep({"norm": NORM}, SPEC, INDICES, workers=1)
        five = estimate_sweep({"norm": NORM}, SPEC, INDICES, seeds=5, workers=1)
        assert five.disk_bytes > one.disk_bytes
        assert five.seconds["score"] > 1.5 * one.seconds["score"]


@pytest.mark.parametrize("seeds", [0, -1, 2.5, True, "3", None])
def test_a_number_of_seeds_that_is_none_is_refused(seeds: object) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        score_networks({"sed": "sed"}, replace(SPEC, benchmark="digits-tss"), [1], seeds=seeds)


@pytest.fixture
def frame() -> pd.DataFrame:
    """Four seeds of two proxies, of which one sometimes fails and of one low is good."""
    rng = np.random.default_rng(0)
    index = np.arange(100, 160)
    truth = load_benchmark("digits-tss").accuracy("digits")[index]
    good = truth + rng.normal(0, 5, (4, 60))
    low = -truth + rng.normal(0, 9, (4, 60))
    low[2, :5] = np.nan
    columns = {"good": good.mean(axis=0), "low": low.mean(axis=0), "alone": rng.normal(size=60)}
    for seed in range(4):
        columns |= {f"good.seed{seed}": good[seed], f"low.seed{seed}": low[seed]}
    made = pd.DataFrame({"index": index, **columns})
    made.attrs["directions"] = {"low": -1}
    return made


def test_noise_of_a_seed_by_hand(frame: pd.DataFrame) -> None:
    benchmark = load_benchmark("digits-tss")
    truth = benchmark.accuracy("digits")[frame["index"]]
    names = score_columns(frame)
    assert names == ["good", "low", "alone"]
    directions = {name: direction_of(frame, name) for name in names}
    assert directions == {"good": 1, "low": -1, "alone": 1}
    assert direction_of(frame, "low.seed2") == -1
    table = seed_table(frame, truth, directions).set_index("proxy")
    assert list(table.index) == ["good", "low"] and (table["seeds"] == 4).all()
    for name, sign in (("good", 1), ("low", -1)):
        seeds = [(sign * frame[c]).fillna(-1e9) for c in seed_columns(frame)[name]]
        taus = [stats.kendalltau(one, truth)[0] for one in seeds]
        mean = stats.kendalltau((sign * frame[name]).fillna(-1e9), truth)[0]
        pairs = [stats.kendalltau(one, other)[0] for one, other in combinations(seeds, 2)]
        row = table.loc[name]
        assert row["tau_one_seed"] == pytest.approx(np.mean(taus))
        assert row["deviation_one_seed"] == pytest.approx(np.std(taus, ddof=1))
        assert row["gain_of_mean"] == pytest.approx(mean - np.mean(taus))
        assert row["tau_between_seeds"] == pytest.approx(np.mean(pairs))
        assert row["gain_of_mean"] > 0  # noise of one seed, averaged out
    rows = tau_table(frame, benchmark, "digits", directions).set_index("proxy")
    for name in ("good", "low"):
        assert rows.loc[name, [*OF_SEEDS]].tolist() == pytest.approx(table.loc[name].tolist())
    assert rows.loc["alone", [*OF_SEEDS]].isna().all()
    plain = tau_table(frame, benchmark, "digits", {"alone": 1})
    assert "seeds" not in plain


def test_seeds_without_a_value_are_undefined_not_an_error(frame: pd.DataFrame) -> None:
    truth = load_benchmark("digits-tss").accuracy("digits")[frame["index"]]
    frame[["low", *(f"low.seed{seed}" for seed in range(4))]] = np.nan
    row = seed_table(frame, truth, {"low": -1}).iloc[0]
    assert row["seeds"] == 4 and row[list(OF_SEEDS[1:])].isna().all()
    frame["good.seed1"] = 1.0  # tied everywhere: no tau
    assert np.isnan(seed_table(frame, truth, {"good": 1})["tau_one_seed"].iloc[0])


def test_spread_of_single_networks(frame: pd.DataFrame) -> None:
    spread = seed_spread(frame.head(2))
    assert spread["index"].tolist() == [100, 100, 101, 101]
    row = spread.iloc[0]
    seeds = frame.loc[0, [f"good.seed{seed}" for seed in range(4)]].astype(float)
    assert row["mean"] == frame.loc[0, "good"]
    assert row["deviation"] == pytest.approx(seeds.std())
    assert [row[f"seed{seed}"] for seed in range(4)] == seeds.tolist()


def test_rank_sums_rank_the_networks_that_are_there(frame: pd.DataFrame) -> None:
    (joined,) = rank_sums_of(frame, ["rank_sum(good,low)"])
    whole = with_rank_sums(frame, [joined])
    assert whole.attrs == frame.attrs
    expected = joined({"good": frame["good"], "low": -frame["low"]})
    np.testing.assert_array_equal(whole[joined.text], expected)
    few = whole.iloc[::3]
    benchmark = load_benchmark("digits-tss")
    rows = tau_table(few, benchmark, "digits", {joined.text: 1}).set_index("proxy")
    truth = benchmark.accuracy("digits")[few["index"]]
    anew = joined({"good": few["good"], "low": -few["low"]})
    assert rows.loc[joined.text, "tau"] == pytest.approx(stats.kendalltau(anew, truth)[0])
    assert rows.loc[joined.text, "seeds"] == 4
    lost = few.drop(columns="good")  # what cannot be joined anew is read as it is
    rows = tau_table(lost, benchmark, "digits", {joined.text: 1}).set_index("proxy")
    stored = stats.kendalltau(few[joined.text], truth)[0]
    assert rows.loc[joined.text, "tau"] == pytest.approx(stored)


@pytest.mark.parametrize("text", ["rank_sum(good, wrong)", "good", "rank_sum(good)", "rank_sum("])
def test_rank_sums_of_what_is_not_there(frame: pd.DataFrame, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        rank_sums_of(frame, [text])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["rank_sum(", "rank_sum(a,b)", "x.seed1", "index.seed0", ".seed1"])
def test_a_column_of_any_name_is_a_proxy(name: str) -> None:
    """Only what has the columns that it is made of is a rank sum or a seed."""
    frame = pd.DataFrame({"index": np.arange(5), "a": np.arange(5.0), name: [3.0, 1, 4, 1, 5]})
    assert score_columns(frame) == ["a", name]
    benchmark = load_benchmark("digits-tss")
    rows = tau_table(frame, benchmark, "digits", {name: 1}).set_index("proxy")
    truth = benchmark.accuracy("digits")[:5]
    assert rows.loc[name, "tau"] == pytest.approx(stats.kendalltau(frame[name], truth)[0])
