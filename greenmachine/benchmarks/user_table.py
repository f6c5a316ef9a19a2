"""A user's table: architectures as text, and their accuracies.

It is a CSV with a header line, a Parquet file or a data frame, with the columns

| column | content |
|---|---|
| ``arch`` | the architecture, any text (``012`` stays ``012``) |
| ``accuracy`` | test accuracy in percent, if there is one data set, which is called ``own`` |
| ``cifar10`` | or test accuracy on a data set, one column per data set |
| ``cifar10.valid``, ``cifar10.test@12`` | further accuracies, named as in ``table.py`` |
| ``isomorph`` | optional: any text; networks with the same text compute the same function |
| ``index``, unnamed, ``#note`` | ignored; beside ``accuracy``, all other names are ignored too |

``cifar10`` is short for ``cifar10.test``.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.benchmarks.table import ACCURACY, COSTS, read_table
from greenmachine.errors import DataError

__all__ = ["OWN", "UserTable", "read_accuracies"]

OWN = "own"
"""Name of the data set of the column ``accuracy``."""

_Row = tuple[str, dict[str, str]]
"""The position of a row, for messages, and its cells by the name of the column."""

_TRUTHS = ("test", "valid")
_DATASET = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class UserTable:
    """A checked table.

    Attributes:
        frame: ``index``, ``arch``, accuracies as ``<dataset>.<target>``, and possibly ``isomorph``:
            the smallest index of the networks with the same text.
        datasets: the data sets, in the order of their columns.
        truth: the accuracy that every data set and network has: ``test``, or else ``valid``.
    """

    frame: pd.DataFrame
    datasets: tuple[str, ...]
    truth: str


def read_accuracies(source: Path | pd.DataFrame, place: str | None = None) -> UserTable:
    """Read and check a table.

    Args:
        source: a CSV, a ``.parquet`` file, or a data frame.
        place: name of the table in messages; by default the path of a file.

    Raises:
        DataError: the first fault found, with its line or row.
    """
    place = str(source) if place is None else place
    names, rows = _cells(source, place)
    columns = _columns(names, place)
    truth = _truth(columns.values(), place)
    isomorph = "isomorph" in names
    found: dict[str, list[Any]] = {key: [] for key in ("arch", "isomorph", *columns.values())}
    known: dict[str, str] = {}
    for line, row in rows:
        arch, here = row["arch"], f"{place}, {line}"
        if not arch:
            raise DataError(f"{here}: no architecture; write one, or remove the line")
        if known.setdefault(arch, line) != line:
            raise DataError(
                f"{place}: {known[arch]} and {line} are both {arch!r}; keep one of them"
            )
        found["arch"].append(arch)
        if isomorph and not row["isomorph"]:
            raise DataError(
                f"{here} ({arch}): no isomorph; write a text that is equal for isomorphic "
                "networks, and different for all others"
            )
        found["isomorph"].append(row.get("isomorph"))
        for name, column in columns.items():
            required = column.endswith(f".{truth}")
            found[column].append(_percent(row[name], name, f"{here} ({arch})", required))
    if not found["arch"]:
        raise DataError(f"{place} has no rows; write one for every trained network")
    frame = pd.DataFrame(found)
    frame.insert(0, "index", range(len(frame)))
    if isomorph:
        codes, _ = pd.factorize(frame["isomorph"])
        frame["isomorph"] = frame.groupby(codes)["index"].transform("min")
    else:
        frame = frame.drop(columns="isomorph")
    for name, column in columns.items():
        if frame[column].max() <= 1.0:
            which = "accuracies" if name == "accuracy" else f"values of {name}"
            raise DataError(
                f"{place}: all {which} are at most 1; write percent (93.1), not fractions (0.931)"
            )
    datasets = dict.fromkeys(_parts(column)[0] for column in columns.values())
    return UserTable(frame, tuple(datasets), truth)


def _parts(name: str) -> tuple[str, str]:
    """Return data set and target of ``name``; the target is empty if there is none."""
    for mark in re.finditer(r"\.", name):
        if ACCURACY.fullmatch(name, mark.end()):
            return name[: mark.start()], name[mark.end() :]
    return name, ""


def _columns(names: Sequence[str], place: str) -> dict[str, str]:
    """Return ``<dataset>.<target>`` for every column of accuracies, by its name."""
    header = "write a header line such as arch,accuracy or arch,cifar10,svhn"
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise DataError(f"{place} has two columns {twice[0]}; rename or remove one")
    marks = {";": "semicolons", "\t": "tabs"}
    if other := [word for mark, word in marks.items() if len(names) == 1 and mark in names[0]]:
        raise DataError(f"{place} has {other[0]} between its columns: write commas")
    if "arch" not in names:
        raise DataError(f"{place} has no column arch (it has {_listed(names)}); {header}")
    columns: dict[str, str] = {}
    for name in names:
        dataset, target = _parts(name)
        if name in ("", "arch", "isomorph", "index") or name.startswith("#"):
            continue
        if name == "accuracy":
            dataset = OWN
        elif not target and ("accuracy" in names or name.rpartition(".")[2] in COSTS):
            continue
        if not _DATASET.fullmatch(dataset):
            raise DataError(
                f"{place}: column {name!r} cannot be the name of a data set; use letters, digits "
                "and -, or begin it with # if it contains something else"
            )
        column = f"{dataset}.{target or 'test'}"
        if column in columns.values():
            raise DataError(f"{place} has two columns that mean {column}; remove one")
        columns[name] = column
    datasets = {_parts(column)[0] for column in columns.values()}
    for name, column in columns.items():
        dataset, _, target = name.rpartition(".")
        if column == f"{name}.test" and dataset in datasets:  # such as cifar10.tset
            raise DataError(
                f"{place}: column {name}: {target} is not an accuracy; write test, valid, or "
                "test@12 (after 12 epochs), or begin the name with # if it contains something else"
            )
    if not columns:
        raise DataError(
            f"{place} has no column accuracy, or one for every data set (it has "
            f"{_listed(names)}); {header}"
        )
    return columns


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name for name in names if name) or "no columns"


def _truth(columns: Collection[str], place: str) -> str:
    """Return the target that every data set has."""
    datasets = dict.fromkeys(_parts(column)[0] for column in columns)
    lacking = {t: [d for d in datasets if f"{d}.{t}" not in columns] for t in _TRUTHS}
    for truth in _TRUTHS:
        if not lacking[truth]:
            return truth
    raise DataError(
        f"{place} has no column {lacking['test'][0]}.test; every data set needs its accuracy on "
        "test, or every one on valid"
    )


def _cells(source: Path | pd.DataFrame, place: str) -> tuple[list[str], list[_Row]]:
    """Return the names of the columns, and the rows."""
    if isinstance(source, Path):
        if not source.is_file():
            raise DataError(f"no file {source}: give a CSV with columns arch,accuracy")
        if source.suffix != ".parquet":
            return _csv(source)
        source = read_table(source, "DataFrame.to_parquet")
    if not isinstance(source, pd.DataFrame):
        raise DataError(f"{place} is {type(source).__name__}; give a path or a pandas.DataFrame")
    names = [str(name).strip() for name in source.columns]
    columns = [
        [
            "" if empty else str(value).strip()
            for value, empty in zip(cells, cells.isna(), strict=True)
        ]
        for cells in (source.iloc[:, number] for number in range(len(names)))
    ]
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return names, [(f"row {number}", row) for number, row in enumerate(rows)]


def _csv(path: Path) -> tuple[list[str], list[_Row]]:
    """Return the names of the columns, and the rows, without outer blanks."""
    try:
        # utf-8-sig, because spreadsheets write a byte order mark before the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file)
            names = [name.strip() for name in next(table, [])]
            rows: list[_Row] = []
            for fields in table:
                if not any(field.strip() for field in fields):
                    continue
                if len(fields) > len(names):
                    raise DataError(
                        f"{path}, line {table.line_num}: {len(fields)} fields for {len(names)} "
                        'columns; put quotes (") around text that contains a comma'
                    )
                fields += [""] * (len(names) - len(fields))
                row = dict(zip(names, map(str.strip, fields), strict=True))
                rows.append((f"line {table.line_num}", row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable CSV ({error}); save it as UTF-8 text") from None
    return names, rows


def _percent(text: str, name: str, place: str, required: bool) -> float:
    if not text and required:
        raise DataError(f"{place}: no {name}; write a percentage, or remove the line")
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 100.0:
        note = (
            ""
            if name == "accuracy" or "." in name
            else ("; if it is not an accuracy, begin the name of the column with #")
        )
        raise DataError(f"{place}: {name} is {text!r}; write a percentage from 0 to 100{note}")
    return value
