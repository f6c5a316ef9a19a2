"""Benchmarks: tables of architectures with true accuracies, their networks and images."""

from __future__ import annotations

from pathlib import Path

from greenmachine.benchmarks.base import Benchmark
from greenmachine.benchmarks.custom import (
    absolute_name,
    is_custom,
    is_space,
    load_custom,
    load_space,
    refuse_unnamed_code,
    short_name,
)
from greenmachine.benchmarks.datasets import Images, ImageSet
from greenmachine.benchmarks.paths import data_folder
from greenmachine.benchmarks.registered import BENCHMARKS, register_benchmark
from greenmachine.benchmarks.spaces import (
    CELLS_101,
    CHANNEL_RESNET,
    MACRO,
    SIZE,
    SPACES,
    TOPOLOGY,
    Space,
)
from greenmachine.benchmarks.training import training_cost
from greenmachine.errors import DataError

__all__ = [
    "BENCHMARKS",
    "CELLS_101",
    "CHANNEL_RESNET",
    "MACRO",
    "SIZE",
    "SPACES",
    "TOPOLOGY",
    "Benchmark",
    "ImageSet",
    "Images",
    "Space",
    "absolute_name",
    "data_folder",
    "is_custom",
    "load_benchmark",
    "refuse_unnamed_code",
    "register_benchmark",
    "short_name",
    "training_cost",
]


def load_benchmark(name: str, folder: Path | None = None) -> Benchmark:
    """Return the benchmark ``name``, with its table checked.

    Args:
        name: a key of ``BENCHMARKS``, or ``my_space.py:accuracies.csv`` (see ``custom.py``);
            ``my_space.py`` alone is a space whose table has no network.
        folder: the data folder; default ``data_folder()``.

    Raises:
        DataError: the name is unknown, or the data are missing or damaged.
        ConfigError: it was registered outside of a plugin.
    """
    folder = data_folder() if folder is None else folder
    if is_space(name):
        return load_space(name, folder)
    if is_custom(name):
        return load_custom(name, folder)
    if name not in BENCHMARKS:
        raise DataError(
            f"no benchmark {name!r}; known: {', '.join(BENCHMARKS)}, "
            "or your own networks: my_space.py:accuracies.csv, or one of a plugin: --plugin FILE"
        )
    return BENCHMARKS[name](folder)
