"""The sweep of the zoo and the checks of its deviations, without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import zoo_sweep
from experiments.zoo_deviations import operations
from experiments.zoo_tables import published
from greenmachine.benchmarks import load_benchmark
from greenmachine.cli.score import sampled
from greenmachine.proxies import PROXIES

SIZE = 15_625


def test_rounds_are_the_sample_of_the_command_line() -> None:
    rounds = [zoo_sweep.networks(SIZE, number) for number in range(zoo_sweep.ROUNDS)]
    assert [len(found) for found in rounds] == [1000, 1000, 1000]
    assert sorted(place for found in rounds for place in found) == sampled(
        SIZE, zoo_sweep.NETWORKS, seed=0
    )


def test_every_proxy_of_the_zoo_is_swept() -> None:
    swept = [name for group in zoo_sweep.GROUPS for name in group.proxies]
    assert sorted(swept) == sorted(proxy.name for proxy in PROXIES)


def test_all_of_a_round_comes_before_the_next() -> None:
    order = list(zoo_sweep.pieces())
    assert [piece.round for piece in order] == sorted(piece.round for piece in order)
    assert len({piece.path(Path()) for piece in order}) == len(order)


def test_only_whole_rounds_are_joined(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    of_sss = [p for p in zoo_sweep.pieces() if p.space == "nats-sss" and p.dataset == "cifar100"]
    for place, piece in enumerate(of_sss[:-1]):  # the last round lacks a file
        index = np.arange(2) + 10 * piece.round
        frame = pd.DataFrame({"index": index, f"proxy{place % 3}": np.ones(2)})
        frame.to_parquet(piece.path(tmp_path))
    zoo_sweep.join(tmp_path)
    joined = pd.read_parquet(tmp_path / "nats-sss-cifar100.parquet")
    assert joined["index"].tolist() == [0, 1, 10, 11]
    assert len(list(tmp_path.glob("*.parquet"))) == 1


@pytest.mark.data
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16-120"])
def test_published_flops_count_pools(dataset: str) -> None:
    benchmark = load_benchmark("nats-tss")
    rows = {str(row["setting"]): row for row in operations(benchmark) if row["dataset"] == dataset}
    known = published("nats-tss", dataset, "live", "tau", "flops")
    assert rows["operations a pooled output: 9"]["tau"] == pytest.approx(known, abs=0.004)
    assert rows["operations a pooled output: 0"]["tau"] != pytest.approx(known, abs=0.04)
