"""Benchmark tables: one Parquet file with one row per architecture, checked before use.

Columns: ``index`` (0 to n-1), ``arch``, ``isomorph`` if the space has it, and for each data set its
accuracy, ``<dataset>.test`` or ``.valid`` (percent). Optional columns: the other of these two,
either after fewer epochs (``.test@12``) or for one training seed (``.test.seed1``), in percent, NaN
if unknown; ``.params``, and ``.flops_m`` or ``.flops`` (see ``COSTS``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from pyarrow import parquet

from greenmachine.errors import DataError, one_line
from greenmachine.files import replace_file, sha256

__all__ = [
    "ACCURACY",
    "COSTS",
    "TableSchema",
    "check_table",
    "checksum",
    "load_table",
    "read_table",
    "save_table",
    "truth_of",
]

COSTS: tuple[str, ...] = ("params", "flops_m", "flops")
"""``params`` is the number of trainable parameters. ``flops_m`` is the number of
multiply-accumulates, in millions, of the convolutions and of the linear layer, whose bias counts as
one more input. ``flops`` is the number of multiply-accumulates without that bias.
"""

ACCURACY = re.compile(r"(test|valid)(@\d+)?(\.seed\d+)?")
"""What follows ``<dataset>.`` in the name of a column of accuracies."""

# What pandas and pyarrow raise on a damaged file, depending on where the damage is.
_UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError,
    OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class TableSchema:
    """The columns that a table must have.

    Attributes:
        datasets: names of the data sets, each with a column ``<dataset>.test``.
        isomorph: whether the column ``isomorph`` is required.
        command: the command that makes the file, named in error messages.
        address: where the authors offer the file that the command reads.
        truths: kinds of accuracy that may be the true one: ``test``, ``valid``. The table must
            have one of them; if it has several, the first one is used.
        others: names of other columns that are required.
    """

    datasets: tuple[str, ...]
    isomorph: bool
    command: str
    address: str = ""
    truths: tuple[str, ...] = ("test",)
    others: tuple[str, ...] = ()


def truth_of(frame: pd.DataFrame, schema: TableSchema) -> str:
    """Return which kind of accuracy is the true one in ``frame``, for all its data sets."""
    for kind in schema.truths:
        if all(f"{name}.{kind}" in frame.columns for name in schema.datasets):
            return kind
    return schema.truths[0]


def load_table(path: Path, schema: TableSchema) -> pd.DataFrame:
    """Return the table in ``path``, checked against ``schema``, rows 0 to n-1.

    Raises:
        DataError: the file is missing, is not a complete Parquet file, or violates ``schema``.
    """
    if not path.is_file():
        source = f", from the file that {schema.address} offers" if schema.address else ""
        raise DataError(f"no table at {path}; make it with `{schema.command}`{source}")
    frame = read_table(path, schema.command)
    check_table(frame, schema, source=path)
    return frame


def read_table(path: Path, command: str) -> pd.DataFrame:
    """Return the unchecked table in a Parquet file, or in a ``.csv`` file.

    Raises:
        DataError: the file cannot be read as a table; the message names ``command``.
    """
    try:
        if path.suffix == ".csv":
            # Architectures are text, also if they look like numbers: 02012100.
            return pd.read_csv(path, dtype={"arch": str, "canonical": str})
        return pd.read_parquet(path)
    except _UNREADABLE as error:
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        reason = one_line(error, 200)
        raise DataError(
            f"{path} is not a complete {kind} file ({reason}); make it again with `{command}`"
        ) from error


def check_table(frame: pd.DataFrame, schema: TableSchema, *, source: Path) -> None:
    """Check the columns, types and values of ``frame``.

    Raises:
        DataError: the first fault found, with its column and row.
    """
    fix = f"make the table again with `{schema.command}`"
    truth = truth_of(frame, schema)
    required = ["index", "arch", *(["isomorph"] if schema.isomorph else []), *schema.others]
    required += [f"{name}.{truth}" for name in schema.datasets]
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise DataError(f"{source} has no column {', '.join(missing)}; {fix}")
    if frame.empty:
        raise DataError(f"{source} has no rows; {fix}")
    for name in ("index", "isomorph"):
        if name in required and not _is_integer(frame[name]):
            raise DataError(
                f"{source}: column {name} holds {frame[name].dtype}, not integers; {fix}"
            )
    _check_archs(frame["arch"], source, fix)
    index = frame["index"].to_numpy()
    wrong = np.flatnonzero(index != np.arange(len(frame)))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{source} is not a complete benchmark: row {row} has index {index[row]}, "
            f"but rows 0 to n-1 must have index 0 to n-1; {fix} from complete files"
        )
    for dataset in schema.datasets:
        for column in frame.columns:
            kind = column.removeprefix(f"{dataset}.")
            if kind != column and ACCURACY.fullmatch(kind):
                _check_percent(frame, column, source, fix, required=kind == truth)
        for kind in COSTS:
            if f"{dataset}.{kind}" in frame.columns:
                _check_numbers(frame, f"{dataset}.{kind}", source, fix)


def save_table(frame: pd.DataFrame, path: Path) -> None:
    """Write ``frame`` to ``path`` as Parquet, atomically.

    Raises:
        DataError: ``path`` has a table with more rows; a damaged one is replaced.
    """
    held = _rows(path)
    if held > len(frame):
        raise DataError(
            f"{path} has {held:,} architectures, and the new table only {len(frame):,}: to replace "
            "it, remove it first"
        )
    replace_file(
        path, lambda temporary: frame.to_parquet(temporary, index=False, compression="zstd")
    )


def _rows(path: Path) -> int:
    """Return the number of rows of a table; 0 if there is none, or it is damaged."""
    try:
        return int(parquet.ParquetFile(path).metadata.num_rows)
    except _UNREADABLE:
        return 0


def checksum(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a table file."""
    return sha256(path)


def _is_integer(values: pd.Series[Any]) -> bool:
    return types.is_integer_dtype(values) and not values.isna().any()


def _check_numbers(frame: pd.DataFrame, column: str, source: Path, fix: str) -> None:
    held = frame[column].dtype
    if not types.is_numeric_dtype(held) or types.is_bool_dtype(held):
        raise DataError(f"{source}: column {column} holds {held}, not numbers; {fix}")


def _check_archs(archs: pd.Series[str], source: Path, fix: str) -> None:
    values = archs.tolist()
    first: dict[str, int] = {}
    for row, arch in enumerate(values):
        if not isinstance(arch, str):
            raise DataError(f"{source}: column arch holds {arch!r} in row {row}, not text; {fix}")
        if first.setdefault(arch, row) != row:
            raise DataError(f"{source}: rows {first[arch]} and {row} are both {arch}; {fix}")


def _check_percent(
    frame: pd.DataFrame, column: str, source: Path, fix: str, *, required: bool
) -> None:
    _check_numbers(frame, column, source, fix)
    values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    good = (values >= 0.0) & (values <= 100.0)
    if not required:
        good |= np.isnan(values)
    wrong = np.flatnonzero(~good)
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{source}: {column} is {values[row]} in row {row}, "
            f"not a percentage from 0 to 100; {fix}"
        )
