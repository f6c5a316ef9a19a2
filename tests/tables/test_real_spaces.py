"""Trivial scores on the real spaces: known figures that the protocols must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenmachine.benchmarks import load_benchmark
from greenmachine.tables.pool import Pool
from greenmachine.tables.ranking import at_once, drawn

# What the tables of the whole spaces say, whoever reads them (CIFAR-10, CIFAR-100, ImageNet16-120).
WHOLE = {
    ("nats-tss", "(params)"): (0.578, 0.553, 0.520),
    ("nats-tss", "(flops)"): (0.578, 0.553, 0.520),
    ("nats-tss", "(convolutions)"): (0.580, 0.594, 0.575),
    ("nats-sss", "(params)"): (0.690, 0.533, 0.677),
    ("nats-sss", "(flops)"): (0.442, 0.192, 0.415),
    ("nats-sss", "(sum_log_channels)"): (0.813, 0.617, 0.781),
    ("nats-sss", "(depth2_log_channels)"): (0.515, 0.827, 0.616),
}
STRATIFIED = {
    ("nats-tss", "(params)"): (0.391, 0.513, 0.531),
    ("nats-sss", "(params)"): (0.866, 0.719, 0.821),
    ("nats-sss", "(sum_log_channels)"): (0.909, 0.809, 0.854),
}


@pytest.mark.data
@pytest.mark.parametrize("space", ["nats-tss", "nats-sss"])
def test_trivial_rows_of_the_real_spaces(space: str, real_folder: Path) -> None:
    benchmark = load_benchmark(space, real_folder)
    for place, dataset in enumerate(benchmark.datasets):
        baselines = benchmark.baseline_scores(dataset)
        scores = {f"({name})": values for name, values in baselines.items()}
        pool = Pool(benchmark.accuracy(dataset), scores)
        whole = {r["proxy"]: r["mean"] for r in at_once("space", pool) if r["metric"] == "tau"}
        draws = {
            r["proxy"]: r["mean"]
            for r in drawn(pool, pool.accuracy)
            if r["metric"] == "tau" and r["protocol"] == "stratified"
        }
        expected = {name: v[place] for (s, name), v in WHOLE.items() if s == space}
        assert whole == pytest.approx(expected, abs=6e-4)
        for (named, name), values in STRATIFIED.items():
            if named == space:  # the mean of a hundred draws moves by a hundredth
                assert draws[name] == pytest.approx(values[place], abs=0.012)
