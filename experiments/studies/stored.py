"""The files of results/ that figures of the documents are read from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from greenmachine.files import read_json

__all__ = ["DATASETS", "RESULTS", "ROOT", "SPACES", "one_row", "read_result", "read_table"]


ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
SPACES = ("nats-tss", "nats-sss")
DATASETS = ("cifar10", "cifar100", "imagenet16-120")


@cache
def read_table(path: str) -> pd.DataFrame:
    """Return a CSV file of results/."""
    return pd.read_csv(RESULTS / path)


@cache
def read_result(path: str) -> Any:
    """Return the content of a JSON file of results/."""
    return read_json(RESULTS / path)


def one_row(path: str, **where: object) -> pd.Series:
    """Return the one row of a CSV file of results/ with these values."""
    rows = read_table(path)
    for column, value in where.items():
        rows = rows[rows[column] == value]
    if len(rows) != 1:
        raise LookupError(f"results/{path} has {len(rows)} rows of {where}")
    return rows.iloc[0]
