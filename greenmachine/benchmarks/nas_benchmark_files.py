"""Import the published files of NAS-Bench-101, NAS-Bench-Macro and Channel-Bench-Macro.

The first is a TFRecord (``nasbench_only108.tfrecord``, or ``nasbench_full.tfrecord``, which has
also 4, 12 and 36 epochs), the others are JSON. No content of these files is executed.
"""

from __future__ import annotations

import base64
import json
import math
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greenmachine.benchmarks.checks import verify_benchmark
from greenmachine.benchmarks.nas_benchmarks import CHANNEL_RESNET_TABLE, MACRO_TABLE, TABLE_101
from greenmachine.benchmarks.table import check_table, save_table
from greenmachine.benchmarks.table_benchmark import TableBenchmark
from greenmachine.benchmarks.tfrecord import fields_of, read_records
from greenmachine.errors import DataError, one_line
from greenmachine.networks import hash_101

__all__ = ["CELLS_101", "import_channel_resnet", "import_macro", "import_nas_bench_101"]

Progress = Callable[[int, int], None]

_AGAIN = "download it again"
_FOREIGN = (LookupError, TypeError, ValueError, OverflowError, RecursionError, DataError)
"""Errors of reading a record that is not one of NAS-Bench-101."""

FULL_EPOCHS = 108
CELLS_101 = 423_624
"""Number of cells in the published files of NAS-Bench-101; a table may have a part of them."""

_OPS = {"conv3x3-bn-relu": "3", "conv1x1-bn-relu": "1", "maxpool3x3": "m"}

# Fields of the messages ModelMetrics and EvaluationData.
_EVALUATIONS, _PARAMETERS = 1, 2
_SECONDS, _VALID, _TEST = 2, 4, 5


def import_macro(source: Path, out: Path) -> Path:
    """Write the table of ``nas-bench-macro_cifar10.json`` into data folder ``out``.

    Returns:
        The path of the table.

    Raises:
        DataError: ``source`` is not that file, or not whole.
    """
    frame = _json_table(source, MACRO_TABLE, seeds="test_acc", mean="mean_acc")
    canonical = MACRO_TABLE.space.canonical
    assert canonical is not None
    try:
        frame["canonical"] = [canonical(arch) for arch in frame["arch"]]
        frame["isomorph"] = MACRO_TABLE.space.isomorph(frame["arch"].tolist())
    except DataError as error:  # an architecture is not one of this space
        raise DataError(f"{source}: {error}; {_AGAIN}") from None
    return _saved(frame, MACRO_TABLE, source, out)


def import_channel_resnet(source: Path, out: Path) -> Path:
    """Write the table of ``Results_ResNet.json`` into data folder ``out``.

    Returns:
        The path of the table.

    Raises:
        DataError: ``source`` is not that file, or not whole.
    """
    frame = _json_table(source, CHANNEL_RESNET_TABLE, seeds="acc", mean="mean")
    return _saved(frame, CHANNEL_RESNET_TABLE, source, out)


def _json_table(source: Path, table: TableBenchmark, *, seeds: str, mean: str) -> pd.DataFrame:
    """Return the columns of a file with one JSON object of numbers per architecture."""
    if not source.is_file():
        raise DataError(f"no file {source}; give the published JSON file of {table.name}")
    try:
        contents = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} is not a JSON file ({error}); {_AGAIN}") from error
    if not isinstance(contents, dict):
        raise DataError(f"{source} does not contain architectures; {_AGAIN}")
    rows = []
    for arch, entry in contents.items():
        try:
            rows.append({"arch": arch, **_figures(entry, seeds, mean)})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{source}: the entry of {arch!r} differs from the published format "
                f"({type(error).__name__}: {one_line(error, 200)}); {_AGAIN}"
            ) from error
    if len(rows) != table.space.rows:
        raise DataError(
            f"{source} has {len(rows)} architectures, but {table.name} has {table.space.rows}; "
            f"{_AGAIN}"
        )
    frame = pd.DataFrame(rows)
    if frame.isna().any(axis=None):
        arch = frame["arch"][frame.isna().any(axis=1)].iloc[0]
        raise DataError(f"{source}: {arch} has fewer seeds than others; {_AGAIN}")
    frame.insert(0, "index", np.arange(len(frame)))
    return frame


def _figures(entry: Mapping[str, Any], seeds: str, mean: str) -> dict[str, float | int]:
    accuracies = entry[seeds]
    if not isinstance(accuracies, list):
        raise TypeError(f"{seeds} is not a list")
    deviation = _number(entry["std"])
    if deviation < 0:
        raise ValueError(f"std is {deviation}")
    return {
        "cifar10.test": _number(entry[mean]),
        "cifar10.std": deviation,
        "cifar10.params": _whole(entry["params"]),
        "cifar10.flops": _whole(entry["flops"]),
        **{f"cifar10.test.seed{k}": _number(each) for k, each in enumerate(accuracies, start=1)},
    }


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _whole(value: object) -> int:
    if not _number(value).is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(_number(value))


def import_nas_bench_101(source: Path, out: Path, progress: Progress | None = None) -> Path:
    """Write the table of a TFRecord of NAS-Bench-101 into data folder ``out``.

    Rows are in the order of the benchmark's keys. Accuracies are means over the runs; those of the
    runs after 108 epochs have columns ``.seed1``, ``.seed2``, …, in the order of the file.

    Args:
        source: ``nasbench_only108.tfrecord`` or ``nasbench_full.tfrecord``.
        out: the data folder.
        progress: called with (bytes read, total bytes).

    Returns:
        The path of the table.

    Raises:
        DataError: ``source`` is missing, damaged, or another file.
    """
    if not source.is_file():
        raise DataError(f"no file {source}; give nasbench_only108.tfrecord or nasbench_full")
    cells: dict[str, tuple[str, int]] = {}  # by key: architecture and parameters
    numbers: dict[str, int] = {}
    # One array per column, because a full file has five million runs.
    cell, epochs = array("l"), array("l")
    figures = {name: array("d") for name in ("valid", "test", "train_seconds")}
    size, read = source.stat().st_size, 0
    for count, record in enumerate(read_records(source)):
        read += len(record) + 16
        try:
            key, budget, matrix, ops, metrics = json.loads(record)
            if not isinstance(key, str):
                raise TypeError("the key is not a text")
            parameters, seconds, valid, test = _metrics(base64.b64decode(metrics, validate=True))
            one = _arch(matrix, ops), parameters
            if key not in cells:
                cells[key] = one
                numbers[key] = len(numbers)
            elif cells[key] != one and hash_101(one[0]) != key:
                raise ValueError(f"another cell has the key {key}")
            epochs.append(int(budget))
        except _FOREIGN as error:
            raise DataError(
                f"record {count} of {source} is not from NAS-Bench-101 "
                f"({type(error).__name__}: {one_line(error, 200)}); {_AGAIN}"
            ) from error
        cell.append(numbers[key])
        for name, value in (
            ("valid", 100 * valid),
            ("test", 100 * test),
            ("train_seconds", seconds),
        ):
            figures[name].append(value)
        if progress is not None and count % 1000 == 0:
            progress(read, size)
    if not cells:
        raise DataError(f"{source} contains no cell; {_AGAIN}")
    runs = pd.DataFrame({"cell": cell, "epochs": epochs, **figures})
    return _saved(_table_101(cells, runs, source), TABLE_101, source, out)


def _metrics(message: bytes) -> tuple[int, float, float, float]:
    """Return parameters, and the seconds and accuracies (valid, test) at the end of training."""
    evaluations = [value for number, value in fields_of(message) if number == _EVALUATIONS]
    parameters = dict(fields_of(message))[_PARAMETERS]
    last = evaluations[2]  # before training, half-way, at the end
    if not isinstance(last, bytes):
        raise TypeError("an evaluation is not a message")
    end = dict(fields_of(last))
    return int(parameters), float(end[_SECONDS]), float(end[_VALID]), float(end[_TEST])


def _arch(matrix: str, ops: str) -> str:
    """Return the text for ``parse_101``, from a whole adjacency matrix and named operations."""
    first, *inner, last = ops.split(",")
    vertices = len(inner) + 2
    if (first, last) != ("input", "output") or len(matrix) != vertices**2 or set(matrix) - {*"01"}:
        raise ValueError(f"a cell of {len(matrix)} bits and the operations {ops}")
    bits = "".join(matrix[v * vertices + v + 1 : (v + 1) * vertices] for v in range(vertices))
    return f"{bits};{''.join(_OPS[op] for op in inner)}"


def _table_101(
    cells: Mapping[str, tuple[str, int]], runs: pd.DataFrame, source: Path
) -> pd.DataFrame:
    """Return the table of cells, ordered by their keys, and of their runs."""
    full = runs[runs["epochs"] == FULL_EPOCHS]
    if full["cell"].nunique() < len(cells):
        raise DataError(
            f"{source} has cells without a run of {FULL_EPOCHS} epochs; give "
            "nasbench_only108.tfrecord or nasbench_full"
        )
    archs, parameters = zip(*cells.values(), strict=True)
    frame = pd.DataFrame({"arch": archs, "key": list(cells)})
    for budget, part in runs.groupby("epochs"):
        mark = "" if budget == FULL_EPOCHS else f"@{budget}"
        means = part.groupby("cell")[["valid", "test"]].mean().reindex(range(len(cells)))
        for kind in ("valid", "test"):
            frame[f"cifar10.{kind}{mark}"] = means[kind]
    numbered = full.assign(run=full.groupby("cell").cumcount() + 1)
    if int(numbered["run"].max()) > 1:
        for kind in ("valid", "test"):
            each = numbered.pivot(index="cell", columns="run", values=kind)
            for run in each:
                frame[f"cifar10.{kind}.seed{run}"] = each[run]
    frame["cifar10.params"] = parameters
    frame["cifar10.train_seconds"] = full.groupby("cell")["train_seconds"].mean()
    frame = frame.sort_values("key", ignore_index=True)
    frame.insert(0, "index", np.arange(len(frame)))
    return frame


def _saved(frame: pd.DataFrame, table: TableBenchmark, source: Path, out: Path) -> Path:
    """Write a table, if it is what `greenmachine data verify` would pass, and return its path."""
    check_table(frame, table.schema, source=source)
    try:
        checks = verify_benchmark(table.of(frame, source, out))
    except DataError as error:  # an architecture is not one of this space
        raise DataError(f"{source}: {one_line(error, 200)}; {_AGAIN}") from None
    for check in checks:
        if not check.passed:
            raise DataError(f"{source}: {check.subject}: {check.detail}; {_AGAIN}")
    path = table.path(out)
    save_table(frame, path)
    return path
