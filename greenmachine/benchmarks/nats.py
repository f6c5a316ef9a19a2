"""NATS-Bench (Dong et al., TPAMI 2021) from the tables in the data folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.datasets import CIFAR10, CIFAR100, IMAGENET16_120, ImageSet
from greenmachine.benchmarks.paths import table_path
from greenmachine.benchmarks.spaces import SIZE, TOPOLOGY, Space
from greenmachine.benchmarks.table import TableSchema, checksum, load_table

__all__ = ["IMAGE_SETS", "LOADERS", "SCHEMAS", "load_sss", "load_tss"]

IMAGE_SETS: tuple[ImageSet, ...] = (CIFAR10, CIFAR100, IMAGENET16_120)

SCHEMAS: dict[str, TableSchema] = {
    space.name: TableSchema(
        datasets=tuple(images.name for images in IMAGE_SETS),
        isomorph=space.canonical is not None,
        command="greenmachine data import-nats SOURCE",
    )
    for space in (TOPOLOGY, SIZE)
}


def load_tss(folder: Path) -> Benchmark:
    """Return ``nats-tss``: 15,625 cells, test accuracy after 200 epochs, mean over the seeds.

    Raises:
        DataError: the table in ``folder`` is missing or not whole.
    """
    return _load("nats-tss", TOPOLOGY, folder)


def load_sss(folder: Path) -> Benchmark:
    """Return ``nats-sss``: 32,768 width settings, test accuracy after 90 epochs.

    Raises:
        DataError: the table in ``folder`` is missing or not whole.
    """
    return _load("nats-sss", SIZE, folder)


def _load(name: str, space: Space, folder: Path) -> Benchmark:
    path = table_path(folder, space.name)
    frame = load_table(path, SCHEMAS[space.name])
    return Benchmark(name, space, frame, IMAGE_SETS, path, checksum(path), folder)


LOADERS: dict[str, Callable[[Path], Benchmark]] = {"nats-tss": load_tss, "nats-sss": load_sss}
"""Loaders by name of the benchmark; each takes the data folder."""
