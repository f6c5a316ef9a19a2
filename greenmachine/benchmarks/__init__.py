"""Benchmarks: tables of architectures with true accuracies, their networks and images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.datasets import ImageSet
from greenmachine.benchmarks.nats import LOADERS
from greenmachine.benchmarks.paths import data_folder
from greenmachine.benchmarks.spaces import SIZE, TOPOLOGY, Space
from greenmachine.errors import DataError

__all__ = [
    "BENCHMARKS",
    "SIZE",
    "TOPOLOGY",
    "Benchmark",
    "ImageSet",
    "Space",
    "data_folder",
    "load_benchmark",
]

BENCHMARKS: dict[str, Callable[[Path], Benchmark]] = {**LOADERS}
"""Loaders by name; each takes the data folder."""


def load_benchmark(name: str, folder: Path | None = None) -> Benchmark:
    """Return the benchmark ``name``, its table checked.

    Args:
        name: a key of ``BENCHMARKS``.
        folder: the data folder; default ``data_folder()``.

    Raises:
        DataError: unknown name, or the data is missing or broken.
    """
    if name not in BENCHMARKS:
        raise DataError(f"no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](data_folder() if folder is None else folder)
