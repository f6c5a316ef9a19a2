"""Benchmark tables: one Parquet file, one row an architecture, checked before use.

Columns: ``index`` (0 to n-1), ``arch``, ``isomorph`` where the space has one, and for each
data set ``<dataset>.test`` (percent). Optional: ``.valid``, ``.test@12``, ``.valid@12``
(percent, NaN where unknown), ``.params`` and ``.flops_m``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from greenmachine.errors import DataError, one_line
from greenmachine.files import replace_file, sha256

__all__ = ["TableSchema", "check_table", "checksum", "load_table", "read_table", "save_table"]

OPTIONAL_ACCURACIES: tuple[str, ...] = ("valid", "test@12", "valid@12")
COSTS: tuple[str, ...] = ("params", "flops_m")

# What pandas and pyarrow raise on a damaged file, depending on where the damage is.
_UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError,
    OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class TableSchema:
    """What a table must hold.

    Attributes:
        datasets: names of the data sets, each with a column ``<dataset>.test``.
        isomorph: whether the column ``isomorph`` is required.
        command: the command that makes the file, named in errors.
    """

    datasets: tuple[str, ...]
    isomorph: bool
    command: str


def load_table(path: Path, schema: TableSchema) -> pd.DataFrame:
    """Return the table in ``path``, checked against ``schema``, rows 0 to n-1.

    Raises:
        DataError: the file is missing, not a whole Parquet file, or not what ``schema`` says.
    """
    if not path.is_file():
        raise DataError(f"no table at {path}; make it with `{schema.command}`")
    frame = read_table(path, schema.command)
    check_table(frame, schema, source=path)
    return frame


def read_table(path: Path, command: str) -> pd.DataFrame:
    """Return the unchecked table in a Parquet file, or in a ``.csv`` file.

    Raises:
        DataError: the file cannot be read as a table; the message names ``command``.
    """
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except _UNREADABLE as error:
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        reason = one_line(error, 200)
        raise DataError(
            f"{path} is not a whole {kind} file ({reason}); make it again with `{command}`"
        ) from error


def check_table(frame: pd.DataFrame, schema: TableSchema, *, source: Path) -> None:
    """Check the columns, types and values of ``frame``.

    Raises:
        DataError: the first fault found, with its column and row.
    """
    fix = f"make the table again with `{schema.command}`"
    required = ["index", "arch", *(["isomorph"] if schema.isomorph else [])]
    required += [f"{name}.test" for name in schema.datasets]
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise DataError(f"{source} lacks column {', '.join(missing)}; {fix}")
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
            f"{source} is not a whole benchmark: row {row} has index {index[row]}, "
            f"where rows 0 to n-1 should have index 0 to n-1; {fix} from complete files"
        )
    for dataset in schema.datasets:
        _check_percent(frame, f"{dataset}.test", source, fix, required=True)
        for kind in OPTIONAL_ACCURACIES:
            if f"{dataset}.{kind}" in frame.columns:
                _check_percent(frame, f"{dataset}.{kind}", source, fix, required=False)
        for kind in COSTS:
            if f"{dataset}.{kind}" in frame.columns:
                _check_numbers(frame, f"{dataset}.{kind}", source, fix)


def save_table(frame: pd.DataFrame, path: Path) -> None:
    """Write ``frame`` to ``path`` as Parquet, atomically."""
    replace_file(
        path, lambda temporary: frame.to_parquet(temporary, index=False, compression="zstd")
    )


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
            f"where a percentage from 0 to 100 should be; {fix}"
        )
