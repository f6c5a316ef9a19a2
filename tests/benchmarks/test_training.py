"""What training costs: by the clock where the table has it, else from FLOPs and epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from greenmachine.benchmarks import Benchmark, load_benchmark, training_cost
from greenmachine.benchmarks.training import training_hours


@pytest.mark.parametrize("name", ["digits-tss", "digits-sss"])
def test_embedded_tables_have_a_clock(name: str) -> None:
    space = load_benchmark(name)
    cost = training_cost(space, "digits", np.array([0, 5]))
    assert cost is not None
    seconds = space.frame["digits.seconds"]
    assert cost["used"] == {"networks": 2, "hours": round((seconds[0] + seconds[5]) / 3600, 4)}
    assert cost["others"]["networks"] == len(space) - 2
    both = cost["used"]["hours"] + cost["others"]["hours"]
    assert both == pytest.approx(seconds.sum() / 3600, abs=2e-4)
    assert "clock" in cost["basis"]


@pytest.mark.parametrize(
    ("name", "dataset", "images", "epochs"),
    [("tss", "cifar10", 50_000, 200), ("sss", "imagenet16-120", 151_700, 90)],
)
def test_nats_costs_follow_flops(
    name: str, dataset: str, images: int, epochs: int, synthetic_folder: Path
) -> None:
    space = load_benchmark(f"nats-{name}", synthetic_folder)
    known = training_hours(space, dataset)
    assert known is not None
    flops = 6 * 1e6 * space.frame[f"{dataset}.flops_m"].to_numpy() * images * epochs
    np.testing.assert_allclose(known[0] * 3600 * 15.7e12, flops)
    assert "15.7 TFLOP/s" in known[1]


def test_isomorphic_networks_are_trained_once(synthetic_folder: Path) -> None:
    space = load_benchmark("nats-tss", synthetic_folder)
    groups = space.groups
    twin = int(np.flatnonzero(groups != np.arange(len(groups)))[0])
    cost = training_cost(space, "cifar10", np.array([twin, groups[twin]]))
    assert cost is not None
    assert cost["used"]["networks"] == 1
    assert cost["others"]["networks"] == len(np.unique(groups)) - 1


def test_nothing_is_made_up(synthetic_folder: Path) -> None:
    nats = load_benchmark("nats-tss", synthetic_folder)
    unknown: Benchmark = replace(nats, name="mine")
    assert training_cost(unknown, "cifar10", np.array([0])) is None
    text = replace(unknown, frame=nats.frame.assign(**{"cifar10.seconds": "long"}))
    assert training_cost(text, "cifar10", np.array([0])) is None
