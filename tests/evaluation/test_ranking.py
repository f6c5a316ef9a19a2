"""What stands beside the columns of a score file: joins of them, and one training seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from greenmachine.benchmarks import load_benchmark
from greenmachine.evaluation import tau_table
from greenmachine.evaluation.ranking import ONE_SEED, seed_row
from greenmachine.fitness import rank_row
from greenmachine.proxies.combinations import COMBINATIONS, combined_scores
from greenmachine.proxies.zoo.az_nas import az_nas
from greenmachine.proxies.zoo.swap import swap_regularised

AZ = COMBINATIONS["az_nas"].components


def test_one_seed_is_judged_by_the_others() -> None:
    seeds = np.random.default_rng(0).normal(90, 1, (3, 50)) + np.linspace(0, 3, 50)
    row = seed_row(seeds)
    pairs = [(0, (1, 2)), (1, (0, 2)), (2, (0, 1))]
    taus = [stats.kendalltau(seeds[a], seeds[b, :].mean(0))[0] for a, b in pairs]
    assert row["tau"] == pytest.approx(np.mean(taus))
    assert row["networks"] == 50 and row["failed"] == 0


@pytest.mark.parametrize("name", ["digits-tss", "digits-sss"])
def test_seeds_of_the_benchmark_make_a_row(name: str) -> None:
    benchmark = load_benchmark(name)
    indices = np.arange(3, 60)
    frame = pd.DataFrame({"index": indices, "mine": np.arange(57.0)})
    rows = tau_table(frame, benchmark, "digits", {"mine": 1}).set_index("proxy")
    seeds = benchmark.seed_accuracies("digits")[:, indices]
    assert rows.loc[ONE_SEED, "tau"] == pytest.approx(seed_row(seeds)["tau"])
    assert rows.loc[ONE_SEED, "tau"] > rows.loc["(params)", "tau"]


def test_columns_that_belong_together_are_joined() -> None:
    rng = np.random.default_rng(1)
    scores = {name: rng.normal(size=30) for name in (*AZ, "swap", "params")}
    found = combined_scores(scores)
    assert set(found) == {"az_nas", "swap_regularised"}  # vkdnw_agg lacks vkdnw
    np.testing.assert_array_equal(found["az_nas"], az_nas({name: scores[name] for name in AZ}))
    np.testing.assert_array_equal(
        found["swap_regularised"], swap_regularised(scores["swap"], scores["params"])
    )
    assert set(combined_scores({**scores, "vkdnw": rng.normal(size=30)})) == set(COMBINATIONS)
    assert set(combined_scores(scores | found)) == set()


@pytest.mark.parametrize("failed", ["swap", "params", *AZ])
def test_a_failed_network_ends_no_join(failed: str) -> None:
    benchmark = load_benchmark("digits-tss")
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({name: 1 + rng.random(30) for name in (*AZ, "swap", "params")})
    frame.insert(0, "index", np.arange(30))
    frame.loc[7, failed] = np.nan
    whole = frame.assign(**{failed: frame[failed].fillna(0)})  # below all others
    tables = [
        tau_table(each, benchmark, "digits", dict.fromkeys(each.columns[1:], 1)).set_index("proxy")
        for each in (frame, whole)
    ]
    assert tables[0].loc[failed, "failed"] == 1
    assert np.isfinite(tables[0]["tau"]).all()
    # A failed network is the last, as one with the lowest score is.
    assert tables[0].loc["az_nas", "tau"] == tables[1].loc["az_nas", "tau"]
    if failed == "swap":
        assert tables[0].loc["swap_regularised", "tau"] == tables[1].loc["swap_regularised", "tau"]


def test_joins_follow_the_directions_of_a_file() -> None:
    benchmark = load_benchmark("digits-tss")
    rng = np.random.default_rng(2)
    columns = {name: rng.normal(size=40) for name in AZ}
    directions = dict.fromkeys(AZ, 1) | {"flops": -1}
    frame = pd.DataFrame({"index": np.arange(40), **columns})
    rows = tau_table(frame, benchmark, "digits", directions).set_index("proxy")
    joined = az_nas(columns | {"flops": -columns["flops"]})
    accuracy = benchmark.accuracy("digits")[:40]
    assert rows.loc["az_nas", "tau"] == pytest.approx(rank_row(joined, accuracy, 1)["tau"])
