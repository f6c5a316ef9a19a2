"""Why scores of the zoo deviate from what is published."""

from __future__ import annotations

import pytest

from experiments.zoo_deviations import operations
from greenmachine.benchmarks import load_benchmark
from greenmachine.tables.published import RANKING
from greenmachine.tables.sources import DATASETS


@pytest.mark.data
def test_published_flops_count_pools() -> None:
    rows = {(row["dataset"], row["setting"]): row for row in operations(load_benchmark("nats-tss"))}
    for dataset, known in zip(DATASETS, RANKING["nats-tss", "live", "tau", "flops"], strict=True):
        with_pools, without = (
            rows[dataset, f"operations a pooled output: {pool}"]["tau"] for pool in (9, 0)
        )
        assert with_pools == pytest.approx(known, abs=0.004)
        assert without != pytest.approx(known, abs=0.04)
