"""A CSV of the user's: architectures as text, and what accuracy each reached."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from greenmachine.errors import DataError

__all__ = ["read_accuracies"]


def read_accuracies(path: Path, dataset: str) -> pd.DataFrame:
    """Return the table of a benchmark, its accuracies in column ``<dataset>.test``.

    Args:
        path: a CSV with a header line and columns ``arch`` (any text; ``012`` stays ``012``) and
            ``accuracy`` (percent), maybe ``isomorph`` (whole numbers; networks with one number
            are the same function). Other columns are ignored.
        dataset: name of the data set.

    Raises:
        DataError: the first fault found, with its line and architecture.
    """
    rows: list[tuple[str, float, int]] = []
    lines: dict[str, int] = {}
    isomorph = False
    for line, row in _rows(path):
        isomorph = "isomorph" in row
        arch = row["arch"]
        place = f"{path}, line {line}"
        if not arch:
            raise DataError(f"{place}: no architecture; write one, or remove the line")
        if lines.setdefault(arch, line) != line:
            raise DataError(
                f"{path}: lines {lines[arch]} and {line} are both {arch!r}; keep one of them"
            )
        group = _integer(row["isomorph"], f"{place} ({arch})") if isomorph else 0
        rows.append((arch, _percent(row["accuracy"], f"{place} ({arch})"), group))
    if not rows:
        raise DataError(f"{path} has no rows; write one for every trained network")
    if max(accuracy for _, accuracy, _ in rows) <= 1.0:
        raise DataError(
            f"{path}: all accuracies are at most 1; write percent (93.1), not fractions (0.931)"
        )
    frame = pd.DataFrame(rows, columns=["arch", f"{dataset}.test", "isomorph"])
    frame.insert(0, "index", range(len(frame)))
    return frame if isomorph else frame.drop(columns="isomorph")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each row's last line, and its fields by column, without outer blanks."""
    try:
        # utf-8-sig: spreadsheets put a mark before the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file)
            names = [name.strip() for name in next(table, [])]
            missing = [name for name in ("arch", "accuracy") if name not in names]
            if missing:
                found = ", ".join(names) or "no columns"
                raise DataError(
                    f"{path} lacks column {', '.join(missing)} (it has {found}); "
                    "write a header line such as arch,accuracy"
                )
            for fields in table:
                if not any(field.strip() for field in fields):
                    continue
                if len(fields) > len(names):
                    raise DataError(
                        f"{path}, line {table.line_num}: {len(fields)} fields for {len(names)} "
                        'columns; put quotes (") around text that holds a comma'
                    )
                fields += [""] * (len(names) - len(fields))
                yield table.line_num, dict(zip(names, map(str.strip, fields), strict=True))
    except FileNotFoundError:
        raise DataError(f"no file {path}: give a CSV with columns arch,accuracy") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable CSV ({error}); save it as UTF-8 text") from None


def _percent(text: str, place: str) -> float:
    if not text:
        raise DataError(f"{place}: no accuracy; write a percentage, or remove the line")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 100.0:
        raise DataError(f"{place}: accuracy is {text!r}; write a percentage from 0 to 100")
    return value


def _integer(text: str, place: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{place}: isomorph is {text!r}; write a whole number") from None
