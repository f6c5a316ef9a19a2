"""NATS-Bench (Dong et al., TPAMI 2021) from the tables in the data folder."""

from __future__ import annotations

from pathlib import Path

from greenmachine.benchmarks.datasets import CIFAR10, CIFAR100, IMAGENET16_120, ImageSet
from greenmachine.benchmarks.spaces import SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.table import TableSchema
from greenmachine.benchmarks.table_benchmark import TableBenchmark

__all__ = ["IMAGE_SETS", "SIZE_TABLE", "TABLES", "TOPOLOGY_TABLE"]

IMAGE_SETS: tuple[ImageSet, ...] = (CIFAR10, CIFAR100, IMAGENET16_120)


def _table(space: Space) -> TableBenchmark:
    return TableBenchmark(
        name=f"nats-{space.name}",
        space=space,
        place=Path("nats-bench") / f"{space.name}.parquet",
        image_sets=IMAGE_SETS,
        schema=TableSchema(
            datasets=tuple(images.name for images in IMAGE_SETS),
            isomorph=space.canonical is not None,
            command="greenmachine data import-nats SOURCE",
            address="https://github.com/D-X-Y/NATS-Bench#preparation-and-download",
        ),
    )


TOPOLOGY_TABLE = _table(TOPOLOGY)
"""15,625 cells, test accuracy after 200 epochs, mean over the seeds."""

SIZE_TABLE = _table(SIZE)
"""32,768 width settings, test accuracy after 90 epochs."""

TABLES: tuple[TableBenchmark, ...] = (TOPOLOGY_TABLE, SIZE_TABLE)
